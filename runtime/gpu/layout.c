// layout.c: how the one allocation of a model that trains on a device is divided:
//
//     params | grads | m | v | packed | acts | tokens | targets | order | two staging slots |
//     state | the workspace of products
#include "runtime/gpu/gpu.h"

enum { GPU_ALIGN = 256 };

static size_t gpu_aligned(size_t bytes) {
    return (bytes + GPU_ALIGN - 1) / GPU_ALIGN * GPU_ALIGN;
}

int64_t gpu_round = 1;

int64_t gpu_state_floats(const struct model_info *info) {
    return (info->device_floats + gpu_round - 1) / gpu_round * gpu_round;
}

// Floats of moments: all, or those of this process's part.
static int64_t gpu_moments(const struct model_info *info) {
    const bool part = optimizer_part.to < INT64_MAX;
    return part ? optimizer_part.to - optimizer_part.from : gpu_state_floats(info);
}

size_t gpu_slot_bytes(const struct model_info *info) {
    return STEP_INPUT_BYTES +
           3 * sizeof(int32_t) * (size_t)info->batch_size * (size_t)info->block_size;
}

void gpu_layout(const struct model_info *info, bool with_optimizer, size_t workspace,
                size_t offset[GPU_PARTS + 1]) {
    size_t state = (size_t)gpu_state_floats(info) * sizeof(float);
    bool moments = with_optimizer && info->optimizer != OPTIMIZER_SGD;
    size_t ids = (size_t)info->batch_size * (size_t)info->block_size * sizeof(int32_t);
    const size_t bytes[GPU_PARTS] = {
        state,
        with_optimizer ? state : 0,
        moments ? (size_t)gpu_moments(info) * sizeof(float) : 0,
        moments ? (size_t)gpu_moments(info) * sizeof(float) : 0,
        (size_t)info->packed_floats * sizeof(float),
        (size_t)info->acts_floats * sizeof(float),
        ids,
        ids,
        ids,
        gpu_slot_bytes(info),
        gpu_slot_bytes(info),
        sizeof(struct step_state),
        workspace,
    };
    offset[0] = 0;
    for (int i = 0; i < GPU_PARTS; i++) {
        offset[i + 1] = offset[i] + gpu_aligned(bytes[i]);
    }
}

size_t gpu_workspace_bytes(const struct model_info *info, size_t device) {
    size_t offset[GPU_PARTS + 1];
    gpu_layout(info, true, 0, offset); // also for a program that only evaluates: the same products
    return gemm_workspace_bytes(offset[GPU_PARTS], device);
}
