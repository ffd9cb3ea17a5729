// device.h: the interface between emitted train.cu and the runtime, beside emitted.h: a model's
// memory on a CUDA device, the step's state there, and the functions that train.cu provides and
// calls. Kernels themselves include kernel.cuh, products gemm.h.
#ifndef DIECAST_DEVICE_H
#define DIECAST_DEVICE_H

#include "runtime/kernel/emitted.h"

#include <cuda_runtime_api.h>

#ifdef __cplusplus
#define _Noreturn [[noreturn]]
extern "C" {
#endif

// ---- step_state: what a captured graph reads that changes from step to step ---------------------

enum { STEP_INPUT_BYTES = 256 }; // of a staging slot, in front of tokens, targets and order
// The settings of one micro-step; the host copies them with the batch.
struct step_input {
    float loss_scale;        // 1 / (targets that count * micro-steps)
    float dropout;           // probability; 0 in evaluations
    uint32_t dropout_key[2]; // for this micro-step
};

enum { STEP_RING = 8 }; // results that the device keeps until the host reads them

struct step_state {
    struct step_input in;
    struct step_settings set;
    double loss;          // of the last micro-batch: the mean over the targets that count
    double total;         // the sum over the step's micro-batches so far
    int64_t t;            // updates so far
    double scale;         // float16: the loss scaler's factor; else 1
    int64_t good;         // float16: updates since the factor last changed
    uint32_t micro;       // micro-steps so far: which staging slot comes next
    uint32_t blocks_done; // thread blocks that have arrived: the last one finishes a kernel's work

    // What the norm kernel computes for the update kernel.
    int32_t skip; // 1: update nothing
    struct update update[GROUPS];

    uint32_t steps; // results written to the ring
    struct step_result ring[STEP_RING];
};

// ---- gpu: a model on the device -----------------------------------------------------------------

struct gemm_context; // gemm.c's

struct gpu {
    // All in one allocation. Rows of tensors are padded: to a multiple of 8 elements, or of 128 if
    // a row is as long as the vocabulary.
    float *params, *grads, *m, *v; // info->state_floats each
    int64_t part_from, part_to;    // floats of params that this process updates, and has m and v of
    float *squares; // of several processes that update a part each: all parts' sums for the norm
    void *packed;   // params converted to the type of activations; float32: params itself
    float *acts;    // info->acts_floats
    int32_t *tokens, *targets; // (N)
    int32_t *order;            // (N): 0..N-1, stably sorted by token
    char *staging[2];          // the next batches, as copied from the host
    struct step_state *state;
    void *workspace; // cuBLASLt's
    size_t workspace_bytes;

    float beta; // the factor of each gradient's old value: 0 in a step's first micro-step, else 1
    cudaStream_t stream;
    struct gemm_context *gemm;
    int sms;   // multiprocessors
    int arch;  // 10 * major + minor compute capability
    int tuned; // products run the algorithms that `make tune` stored
    void *memory;
    size_t memory_bytes;
};

// ---- what emitted train.cu provides -------------------------------------------------------------
// Each launches its kernels on gpu->stream, which may be capturing a graph.

// Copies the batch in the next staging slot to where the model reads it.
void device_take(struct gpu *gpu);
// params -> packed, after params were copied from the host.
void device_prepare(struct gpu *gpu);
// tokens, params, packed -> acts, all but the loss.
void device_forward(struct gpu *gpu);
// After device_forward: targets -> state->loss, and beta * state->total + loss -> state->total.
void device_loss(struct gpu *gpu);
// After device_forward: the same, and grads = beta * grads + d loss / d params.
void device_backward(struct gpu *gpu);
// The norm of grads, then the update of params, packed, m and v; adds a result to the ring.
void device_update(struct gpu *gpu);

// ---- what emitted train.cu calls ----------------------------------------------------------------

// gpu/device.c. Ends the program with EXIT_MEMORY, printing the call, its place, the error's name
// and what to do.
_Noreturn void gpu_fail(const char *call, const char *file, int line, cudaError_t error);

#define CUDA_CHECK(call)                                                                           \
    do {                                                                                           \
        cudaError_t cuda_check_error = (call);                                                     \
        if (cuda_check_error != cudaSuccess) {                                                     \
            gpu_fail(#call, __FILE__, __LINE__, cuda_check_error);                                 \
        }                                                                                          \
    } while (0)

// gpu/profile.c. Called around each launch: an NVTX range with the kernel's name, and, if
// profile_on, a pair of events.
void gpu_kernel_begin(struct gpu *gpu, int kernel);
void gpu_kernel_end(struct gpu *gpu, int kernel);

#ifdef __cplusplus
}
#undef _Noreturn
#endif

#endif
