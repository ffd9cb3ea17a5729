// estimate.c: an evaluation that ranks share: in each round every rank takes one batch, and all add
// the round's losses in the order of batches, so that the sums have the same bytes as those of one
// process.
#include "runtime/train/train.h"

#include <inttypes.h>
#include <stdlib.h>

// What a rank has of a round.
struct estimate_part {
    double loss;
    int64_t stop, failed; // it was asked to stop; an exit code
    int64_t taken, left;  // bytes that its targets stand for, targets that stand for none
};

// Computes this rank's batch, number k.
static struct estimate_part estimate_own(struct estimate *e, struct bytes *bytes, int64_t k) {
    const struct model_info *info = e->info;
    struct estimate_part own = {.stop = stop_asked()};
    if (k >= e->batches) {
        return own;
    }
    own.failed = data_batch(e->split, e->seed, e->stream, (uint64_t)(e->iter * e->batches + k),
                            info->batch_size, info->block_size, info->vocab_size, e->m->tokens,
                            e->m->targets);
    if (!own.failed) {
        bytes_take(bytes, e->m->targets);
        own.taken = bytes->taken;
        own.left = bytes->rows_count;
        step_loss(e->m, info, true);
        own.loss = step_total(e->m);
    }
    return own;
}

bool estimate_shared(struct estimate *e, double *mean, double *bpb) {
    const int size = ranks_size(), rank = ranks_rank();
    struct estimate_part *parts = allocate((size_t)size, sizeof *parts, "an evaluation's losses");
    const size_t rows = (size_t)e->info->batch_size * (size_t)e->info->block_size;
    float *left = allocate((size_t)size * rows, sizeof *left, "an evaluation's losses");
    struct bytes bytes;
    bytes_begin(&bytes, e->info, e->tokenizer);
    double total = 0;
    e->m->dropout = 0;
    e->stop = false;
    e->failed = EXIT_DONE;
    for (int64_t k = 0; k < e->batches && !e->stop && !e->failed; k += size) {
        parts[rank] = estimate_own(e, &bytes, k + rank);
        ranks_share(parts, sizeof *parts);
        int64_t most = 0;
        for (int r = 0; r < size; r++) {
            most = parts[r].left > most ? parts[r].left : most;
            e->stop = e->stop || parts[r].stop;
            e->failed = parts[r].failed ? (enum exit_code)parts[r].failed : e->failed;
        }
        if (most) {
            if (parts[rank].left) {
                bytes_left(&bytes, e->m, left + rank * most);
            }
            ranks_share(left, (size_t)most * sizeof *left);
        }
        for (int r = 0; r < size && k + r < e->batches; r++) {
            total = k + r ? total + parts[r].loss : parts[r].loss;
            bytes_count(&bytes, parts[r].taken, left + r * most, parts[r].left);
        }
    }
    *mean = total / (double)e->batches;
    *bpb = bytes_end(&bytes, total);
    free(parts);
    free(left);
    return !e->stop && !e->failed;
}
