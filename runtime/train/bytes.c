// bytes.c: bits per byte of an evaluation: the losses of its targets over the bytes of text that
// they stand for. Targets that stand for none, <|endoftext|>, are left out: their losses too.
#include "runtime/train/train.h"

#include <math.h>
#include <stdlib.h>

void bytes_begin(struct bytes *bytes, const struct model_info *info,
                 const struct tokenizer *tokenizer) {
    const size_t rows = (size_t)info->batch_size * (size_t)info->block_size;
    *bytes = (struct bytes){
        .info = info,
        .tokenizer = tokenizer,
        .rows = allocate(rows, sizeof *bytes->rows, "an evaluation's rows"),
        .losses = allocate(rows, sizeof *bytes->losses, "an evaluation's losses"),
    };
}

void bytes_take(struct bytes *bytes, const int32_t *targets) {
    const int32_t rows = bytes->info->batch_size * bytes->info->block_size;
    bytes->rows_count = 0;
    bytes->taken = 0;
    for (int32_t n = 0; n < rows; n++) {
        const size_t length = tokenizer_bytes(bytes->tokenizer, targets[n]);
        bytes->taken += (int64_t)length;
        if (!length) {
            bytes->rows[bytes->rows_count++] = n;
        }
    }
}

void bytes_left(struct bytes *bytes, struct model *m, float *left) {
    if (bytes->rows_count) {
        step_losses(m, bytes->info, bytes->losses);
    }
    for (int32_t i = 0; i < bytes->rows_count; i++) {
        left[i] = bytes->losses[bytes->rows[i]];
    }
}

void bytes_count(struct bytes *bytes, int64_t taken, const float *left, int64_t count) {
    bytes->count += taken;
    for (int64_t i = 0; i < count; i++) {
        bytes->left_out += left[i];
    }
}

void bytes_add(struct bytes *bytes, struct model *m) {
    bytes_left(bytes, m, bytes->losses); // in place, as rows[i] >= i
    bytes_count(bytes, bytes->taken, bytes->losses, bytes->rows_count);
}

double bytes_end(struct bytes *bytes, double total) {
    const double rows = (double)bytes->info->batch_size * bytes->info->block_size;
    free(bytes->rows);
    free(bytes->losses);
    return bytes->count ? (total * rows - bytes->left_out) / log(2) / (double)bytes->count : NAN;
}
