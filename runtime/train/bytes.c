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
    for (int32_t n = 0; n < rows; n++) {
        const size_t length = tokenizer_bytes(bytes->tokenizer, targets[n]);
        bytes->count += (int64_t)length;
        if (!length) {
            bytes->rows[bytes->rows_count++] = n;
        }
    }
}

void bytes_add(struct bytes *bytes, struct model *m) {
    if (bytes->rows_count) {
        step_losses(m, bytes->info, bytes->losses);
    }
    for (int32_t i = 0; i < bytes->rows_count; i++) {
        bytes->left_out += bytes->losses[bytes->rows[i]];
    }
}

double bytes_end(struct bytes *bytes, double total) {
    const double rows = (double)bytes->info->batch_size * bytes->info->block_size;
    free(bytes->rows);
    free(bytes->losses);
    return bytes->count ? (total * rows - bytes->left_out) / log(2) / (double)bytes->count : NAN;
}
