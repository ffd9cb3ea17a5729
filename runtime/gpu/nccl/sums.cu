// sums.cu: what a job of several GPUs computes between its transfers: sums of gradients in a fixed
// order, and of losses. It is no part of a model: emitted train.cu is the same with and without.
#include "runtime/kernel/device.h"
#include "runtime/kernel/kernel.cuh"
#include "runtime/kernel/kernel_math.cuh"

// A thread takes one access of four floats.
KERNEL(256) sum_of_gradients(float *x, const float *other, int64_t fours) {
    const int64_t i = (int64_t)blockIdx.x * 256 + threadIdx.x;
    if (i < fours) {
        struct four a = four_load(x + i * 4);
        const struct four b = four_load(other + i * 4);
        for (int e = 0; e < 4; e++) {
            a.v[e] += b.v[e];
        }
        four_store(x + i * 4, a);
    }
}

// A block for each 16,384 floats, as grad_norm of templates/cuda/optimizer.cu takes them.
KERNEL(512) sums_of_squares(const float *x, float *squares) {
    constexpr int THREADS = 512, AT_ONCE = 8;
    const int64_t first = (int64_t)blockIdx.x * AT_ONCE * THREADS + threadIdx.x;
    struct four g[AT_ONCE];
#pragma unroll
    for (int a = 0; a < AT_ONCE; a++) {
        g[a] = four_load(x + (first + a * THREADS) * 4);
    }
    float sum = 0.0f;
#pragma unroll
    for (int a = 0; a < AT_ONCE; a++) {
        sum += (g[a].v[0] * g[a].v[0] + g[a].v[1] * g[a].v[1]) +
               (g[a].v[2] * g[a].v[2] + g[a].v[3] * g[a].v[3]);
    }
    squares[(int64_t)blockIdx.x * THREADS + threadIdx.x] = sum;
}

// One thread: some additions, in the order of micro-steps.
KERNEL(32) sum_of_losses(struct step_state *state, const double *losses, int64_t count) {
    if (threadIdx.x == 0) {
        double total = losses[0];
        for (int64_t i = 1; i < count; i++) {
            total += losses[i];
        }
        state->total = total;
        state->loss = losses[count - 1];
    }
}

extern "C" {

void sums_add(cudaStream_t stream, float *x, const float *other, int64_t count) {
    if (count > 0) {
        LAUNCH(sum_of_gradients, (unsigned)((count / 4 + 255) / 256), 256, 0, stream, x, other,
               count / 4);
    }
}

void sums_squares(cudaStream_t stream, const float *x, float *squares, int64_t count) {
    LAUNCH(sums_of_squares, (unsigned)(count / 16384), 512, 0, stream, x, squares);
}

void sums_losses(cudaStream_t stream, struct step_state *state, const double *losses,
                 int64_t count) {
    LAUNCH(sum_of_losses, 1, 32, 0, stream, state, losses, count);
}
}
