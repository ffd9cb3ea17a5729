// gradient.c: the gradient of a step on devices, in place of the rest of ranks/reduce.c: groups of
// micro-steps add as there, and ranks exchange theirs through NCCL. All of it is queued on the
// stream of the micro-steps, between their graphs and the update's.
#include "runtime/gpu/nccl/nccl.h"

#include <stdlib.h>

enum { GRADIENT_PIECE = 16 << 20 }; // floats of another rank's that are received at a time

static float *gradient_kept;       // (levels, count)
static float *gradient_piece;      // (GRADIENT_PIECE) or less
static double *gradient_losses;    // (micro-steps)
static int64_t *gradient_norm_cut; // (ranks + 1): shares of gpu_model.squares

static int64_t gradient_count(const struct model_info *info) {
    return gpu_state_floats(info);
}

static void *gradient_memory(size_t bytes, const char *what) {
    void *memory;
    size_t available, total;
    CUDA_CHECK(cudaMemGetInfo(&available, &total));
    if (bytes > available || cudaMalloc(&memory, bytes) != cudaSuccess) {
        die(EXIT_MEMORY,
            "GPU: %s take %s more and %s are free on the device; take more ranks, a smaller "
            "reduce_groups or reduce=fast",
            what, figure_bytes((double)bytes).s, figure_bytes((double)available).s);
    }
    return memory;
}

static void gradient_create(struct reduce *r, const struct model_info *info) {
    const int64_t count = gradient_count(info);
    r->kept_bytes = (size_t)(r->levels * count) * sizeof(float);
    gradient_losses = gradient_memory((size_t)r->micro_steps * sizeof(double), "losses");
    if (r->kept_bytes > 0) {
        gradient_kept = gradient_memory(r->kept_bytes, "gradients of groups");
    }
    const struct shares *s = r->shares;
    if (s->zero) {
        const int size = ranks_size();
        gradient_norm_cut =
            allocate((size_t)size + 1, sizeof *gradient_norm_cut, "shares of norms");
        for (int i = 0; i <= size; i++) {
            gradient_norm_cut[i] = s->cut[i] / NCCL_SQUARES;
        }
        gpu_model.squares =
            gradient_memory((size_t)gradient_norm_cut[size] * sizeof(float), "sums for the norm");
    }
    if (ranks_size() > 1 && (!s->fast || s->zero)) {
        const int64_t half = count / 2, piece = half < GRADIENT_PIECE ? half : GRADIENT_PIECE;
        gradient_piece = gradient_memory((size_t)piece * sizeof(float), "another rank's gradients");
    }
}

static void gradient_destroy(struct reduce *r) {
    (void)r;
    CUDA_CHECK(cudaStreamSynchronize(gpu_model.stream));
    CUDA_CHECK(cudaFree(gradient_kept));
    CUDA_CHECK(cudaFree(gradient_piece));
    CUDA_CHECK(cudaFree(gradient_losses));
    CUDA_CHECK(cudaFree(gpu_model.squares));
    free(gradient_norm_cut);
}

static void gradient_copy(void *to, const void *from, size_t bytes) {
    CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, gpu_model.stream));
}

// As reduce_add.
static void gradient_add(struct reduce *r, int64_t micro) {
    const int64_t count = gpu_state_floats(&model_info);
    gradient_copy(gradient_losses + r->first + micro,
                  (char *)gpu_model.state + offsetof(struct step_state, loss), sizeof(double));
    if ((micro + 1) % r->each) {
        return;
    }
    const int64_t group = micro / r->each; // of this rank's
    int meets = 0;
    for (; group >> meets & 1; meets++) {
        sums_add(gpu_model.stream, gpu_model.grads, gradient_kept + meets * count, count);
    }
    if (micro + 1 < r->own) {
        gradient_copy(gradient_kept + meets * count, gpu_model.grads,
                      (size_t)count * sizeof(float));
    }
}

// ---- between ranks ------------------------------------------------------------------------------

// Sends to another rank and receives from it.
static void gradient_exchange(int other, const float *out, int64_t out_count, float *in,
                              int64_t in_count) {
    nccl_check(ncclGroupStart(), "ncclGroupStart");
    if (out_count > 0) {
        nccl_check(
            ncclSend(out, (size_t)out_count, ncclFloat, other, nccl_comm(), gpu_model.stream),
            "ncclSend");
    }
    if (in_count > 0) {
        nccl_check(ncclRecv(in, (size_t)in_count, ncclFloat, other, nccl_comm(), gpu_model.stream),
                   "ncclRecv");
    }
    nccl_check(ncclGroupEnd(), "ncclGroupEnd");
}

static int64_t gradient_least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

// sum_scatter and sum_gather on the device, with the same tree.
static void gradient_scatter(float *x, const int64_t *cut) {
    const int rank = ranks_rank(), steps = sum_steps();
    const int64_t piece = gradient_least(cut[ranks_size()] / 2, GRADIENT_PIECE);
    for (int step = 0; step < steps; step++) {
        const int other = rank ^ 1 << step;
        const struct sum_range ours = sum_range(rank, step + 1),
                               theirs = sum_range(other, step + 1);
        int64_t in = cut[ours.from], in_end = cut[ours.to];
        int64_t out = cut[theirs.from], out_end = cut[theirs.to];
        while (in < in_end || out < out_end) {
            const int64_t take = gradient_least(in_end - in, piece);
            const int64_t give = gradient_least(out_end - out, piece);
            gradient_exchange(other, x + out, give, gradient_piece, take);
            sums_add(gpu_model.stream, x + in, gradient_piece, take);
            in += take;
            out += give;
        }
    }
}

static void gradient_gather(float *x, const int64_t *cut) {
    const int rank = ranks_rank();
    for (int step = sum_steps(); step-- > 0;) {
        const int other = rank ^ 1 << step;
        const struct sum_range ours = sum_range(rank, step + 1),
                               theirs = sum_range(other, step + 1);
        gradient_exchange(other, x + cut[ours.from], cut[ours.to] - cut[ours.from],
                          x + cut[theirs.from], cut[theirs.to] - cut[theirs.from]);
    }
}

// x: (cut[ranks]) on the device. Shares have one size.
void ranks_add_shares(float *x, const int64_t *cut) {
    nccl_check(ncclReduceScatter(x, x + cut[ranks_rank()], (size_t)cut[1], ncclFloat, ncclSum,
                                 nccl_comm(), gpu_model.stream),
               "ncclReduceScatter");
}

void ranks_gather(float *x, const int64_t *cut) {
    nccl_check(ncclAllGather(x + cut[ranks_rank()], x, (size_t)cut[1], ncclFloat, nccl_comm(),
                             gpu_model.stream),
               "ncclAllGather");
}

// Both: count has shares of one size.
void ranks_add(float *x, int64_t count) {
    const int64_t share = count / ranks_size();
    float *own = x + ranks_rank() * share;
    nccl_check(
        ncclReduceScatter(x, own, (size_t)share, ncclFloat, ncclSum, nccl_comm(), gpu_model.stream),
        "ncclReduceScatter");
    nccl_check(ncclAllGather(own, x, (size_t)share, ncclFloat, nccl_comm(), gpu_model.stream),
               "ncclAllGather");
}

// Each rank gets the other shares of x.
static void gradient_get_all(const struct shares *s, float *x, const int64_t *cut) {
    if (s->fast) {
        ranks_gather(x, cut);
    } else {
        gradient_gather(x, cut);
    }
}

// As reduce_finish.
static void gradient_finish(struct reduce *r) {
    const struct shares *s = r->shares;
    float *grads = gpu_model.grads;
    nccl_check(ncclAllGather(gradient_losses + r->first, gradient_losses, (size_t)r->own,
                             ncclDouble, nccl_comm(), gpu_model.stream),
               "ncclAllGather");
    sums_losses(gpu_model.stream, gpu_model.state, gradient_losses, r->micro_steps);
    if (s->fast && s->zero) {
        ranks_add_shares(grads, s->cut);
    } else if (s->fast) {
        ranks_add(grads, s->count);
    } else {
        gradient_scatter(grads, s->cut);
        if (!s->zero) {
            gradient_gather(grads, s->cut);
        }
    }
    if (s->zero) {
        const int64_t from = s->cut[s->own];
        sums_squares(gpu_model.stream, grads + from, gpu_model.squares + from / NCCL_SQUARES,
                     s->cut[1]);
        gradient_get_all(s, gpu_model.squares, gradient_norm_cut);
    }
}

// As reduce_return. An update that was skipped has left the weights as they are everywhere.
static void gradient_give_back(const struct reduce *r) {
    const struct shares *s = r->shares;
    if (s->zero) {
        gradient_get_all(s, gpu_model.params, s->cut);
        device_prepare(&gpu_model);
    }
}

// ---- moments that are shared out ----------------------------------------------------------------

// Rank 0's host gets another rank's part of m or v, a piece at a time.
static void gradient_bring_share(const struct shares *s, float *host, float *device, int rank) {
    const int share = shares_of(s, rank);
    const int64_t piece = gradient_least(s->count / 2, GRADIENT_PIECE);
    for (int64_t at = s->cut[share], end = s->cut[share + 1]; at < end; at += piece) {
        const int64_t count = gradient_least(end - at, piece);
        if (ranks_rank() == 0) {
            gradient_exchange(rank, NULL, 0, gradient_piece, count);
            gpu_copy(&model_info, host, gradient_piece - at, at, at + count, TO_HOST);
        } else {
            gradient_exchange(0, device + at, count, NULL, 0);
        }
    }
}

static void gradient_bring(const struct shares *s, struct model *m) {
    float *const hosts[] = {m->m, m->v}, *const devices[] = {gpu_model.m, gpu_model.v};
    for (int i = 0; i < 2 && hosts[i]; i++) {
        for (int rank = 1; rank < ranks_size(); rank++) {
            if (ranks_rank() == 0 || ranks_rank() == rank) {
                gradient_bring_share(s, hosts[i], devices[i], rank);
            }
        }
    }
    CUDA_CHECK(cudaStreamSynchronize(gpu_model.stream));
}

const struct ranks_device gradient_device = {.count = gradient_count,
                                             .create = gradient_create,
                                             .add = gradient_add,
                                             .finish = gradient_finish,
                                             .give_back = gradient_give_back,
                                             .bring = gradient_bring,
                                             .destroy = gradient_destroy};
