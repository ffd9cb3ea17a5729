// memory.c: memory of a model that trains on a device. The device has one allocation (layout.c).
// The host has params, m and v without the device's padding, which checkpoints are written from,
// and two pinned slots for batches.
#include "runtime/gpu/gpu.h"
#include "runtime/base/base.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static const double FIRST_LOSS_SCALE = 65536; // as in PyTorch's GradScaler

struct gpu gpu_model;
static char *gpu_host_slots[2]; // pinned

// ---- its size -----------------------------------------------------------------------------------

size_t model_plan_bytes(const struct model_info *info, bool with_optimizer) {
    size_t offset[GPU_PARTS + 1];
    const size_t open = gpu_model.workspace_bytes; // 0 while no device is known
    gpu_layout(info, with_optimizer, open ? open : gpu_workspace_bytes(info, SIZE_MAX), offset);
    return offset[GPU_PARTS];
}

size_t model_program_bytes(void) {
    return 0;
}

size_t model_peak_bytes(void) {
    return gpu_model.memory_bytes;
}

// Ends the program, saying what would fit: activations are proportional to batch_size.
static _Noreturn void gpu_too_large(const struct model_info *info, size_t bytes, size_t available) {
    size_t acts = (size_t)info->acts_floats * sizeof(float);
    size_t each = acts / (size_t)info->batch_size, fixed = bytes - acts;
    char advice[128] = "a smaller n_layer or n_embd";
    if (available > fixed + each) {
        snprintf(advice, sizeof advice, "batch_size=%zu (about) fits, and so may recompute=block",
                 (available - fixed) / each);
    }
    die(EXIT_MEMORY, "GPU: this model takes %s (%zu bytes) and %s are free on the device; %s",
        figure_bytes((double)bytes).s, bytes, figure_bytes((double)available).s, advice);
}

// ---- create and destroy -------------------------------------------------------------------------

static float *gpu_host_floats(int64_t count) {
    void *memory = mmap(NULL, (size_t)count * sizeof(float) + 1, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        die(EXIT_MEMORY, "memory: no room on the host for %s of weights",
            figure_bytes((double)count * 4).s);
    }
    return memory;
}

static void gpu_place(struct gpu *gpu, const size_t offset[GPU_PARTS + 1],
                      const struct model_info *info) {
    char *base = gpu->memory;
    bool moments = offset[3] > offset[2];
    gpu->params = (float *)(base + offset[0]);
    gpu->grads = (float *)(base + offset[1]);
    gpu->part_from = optimizer_part.from;
    gpu->part_to = optimizer_part.to;
    // Of a part, what is before it has addresses, but no memory.
    gpu->m = moments ? (float *)(base + offset[2]) - gpu->part_from : NULL;
    gpu->v = moments ? (float *)(base + offset[3]) - gpu->part_from : NULL;
    gpu->packed = info->packed_floats ? (void *)(base + offset[4]) : (void *)gpu->params;
    gpu->acts = (float *)(base + offset[5]);
    gpu->tokens = (int32_t *)(base + offset[6]);
    gpu->targets = (int32_t *)(base + offset[7]);
    gpu->order = (int32_t *)(base + offset[8]);
    gpu->staging[0] = base + offset[9];
    gpu->staging[1] = base + offset[10];
    gpu->state = (struct step_state *)(base + offset[11]);
    gpu->workspace = base + offset[12];
    gpu->workspace_bytes = offset[13] - offset[12];
}

void model_create(struct model *m, const struct model_info *info, bool with_optimizer) {
    struct gpu *gpu = &gpu_model;
    gpu_open(gpu);
    size_t offset[GPU_PARTS + 1], available, total;
    CUDA_CHECK(cudaMemGetInfo(&available, &total));
    gpu_layout(info, with_optimizer, gpu_workspace_bytes(info, total), offset);
    gpu->memory_bytes = offset[GPU_PARTS];
    if (gpu->memory_bytes > available ||
        cudaMalloc(&gpu->memory, gpu->memory_bytes) != cudaSuccess) {
        gpu_too_large(info, gpu->memory_bytes, available);
    }
    // The padding of weights, gradients and moments must be 0, and stays 0.
    CUDA_CHECK(cudaMemsetAsync(gpu->memory, 0, offset[5], gpu->stream));
    gpu_place(gpu, offset, info);
    gpu->gemm = gemm_context_create(gpu, gemm_tune_folder());
    for (int i = 0; i < model_gemms_count; i++) {
        gemm_create(gpu->gemm, model_gemms[i]);
    }
    for (int i = 0; i < 2; i++) {
        void *slot;
        CUDA_CHECK(cudaHostAlloc(&slot, gpu_slot_bytes(info), cudaHostAllocDefault));
        gpu_host_slots[i] = slot;
    }
    bool moments = gpu->m != NULL;
    *m = (struct model){
        .params = gpu_host_floats(info->state_floats),
        .m = moments ? gpu_host_floats(info->state_floats) : NULL,
        .v = moments ? gpu_host_floats(info->state_floats) : NULL,
        .products = gemm_context_choice(gpu->gemm),
        .memory = gpu->memory,
        .memory_bytes = gpu->memory_bytes,
    };
    gpu_next_slot(m, info, 0);
}

void gpu_next_slot(struct model *m, const struct model_info *info, int slot) {
    m->tokens = (int32_t *)(gpu_host_slots[slot] + STEP_INPUT_BYTES);
    m->targets = m->tokens + (int64_t)info->batch_size * info->block_size;
}

char *gpu_host_slot(int slot) {
    return gpu_host_slots[slot];
}

void model_destroy(struct model *m) {
    struct gpu *gpu = &gpu_model;
    CUDA_CHECK(cudaStreamSynchronize(gpu->stream));
    gpu_step_end();
    for (int i = 0; i < model_gemms_count; i++) {
        gemm_destroy(model_gemms[i]);
    }
    gemm_context_destroy(gpu->gemm);
    for (int i = 0; i < 2; i++) {
        CUDA_CHECK(cudaFreeHost(gpu_host_slots[i]));
    }
    CUDA_CHECK(cudaFree(gpu->memory));
    gpu_close(gpu);
    size_t bytes = (size_t)model_info.state_floats * sizeof(float) + 1;
    munmap(m->params, bytes);
    if (m->m) {
        munmap(m->m, bytes);
        munmap(m->v, bytes);
    }
    if (m->grads) {
        munmap(m->grads, bytes);
    }
    *gpu = (struct gpu){0};
    *m = (struct model){0};
}

// ---- to the device and back ---------------------------------------------------------------------

// Copies rows of `width` floats between the host, where they lie side by side, and the device,
// where they are `pitch` apart.
static void gpu_copy_rows(float *host, float *device, int64_t width, int64_t pitch, int64_t rows,
                          enum gpu_direction direction) {
    const size_t bytes = (size_t)width * sizeof(float), apart = (size_t)pitch * sizeof(float);
    if (width <= 0 || rows <= 0) {
        return;
    }
    if (direction == TO_DEVICE) {
        CUDA_CHECK(cudaMemcpy2DAsync(device, apart, host, bytes, bytes, (size_t)rows,
                                     cudaMemcpyHostToDevice, gpu_model.stream));
    } else {
        CUDA_CHECK(cudaMemcpy2DAsync(host, bytes, device, apart, bytes, (size_t)rows,
                                     cudaMemcpyDeviceToHost, gpu_model.stream));
    }
}

static int64_t gpu_clip(int64_t x, int64_t low, int64_t high) {
    return x < low ? low : x > high ? high : x;
}

// One row's part between two places of the device's floats; the row begins at `at`.
static void gpu_copy_row(float *host, float *device, int64_t at, int64_t width, int64_t from,
                         int64_t to, enum gpu_direction direction) {
    const int64_t first = gpu_clip(from - at, 0, width), last = gpu_clip(to - at, 0, width);
    gpu_copy_rows(host + first, device + at + first, last - first, width, 1, direction);
}

void gpu_copy(const struct model_info *info, float *host, float *device, int64_t from, int64_t to,
              enum gpu_direction direction) {
    for (int i = 0; i < info->params_count; i++) {
        const struct param *p = &info->params[i];
        const int64_t rows = p->ndim == 2 ? p->dims[0] : 1, width = p->dims[p->ndim - 1];
        const int64_t pitch = p->ndim == 2 ? p->device_pitch : width;
        for (int l = 0; l < p->layers && !p->copy; l++) {
            const int64_t at = p->device_offset + l * p->device_stride;
            float *here = host + p->offset + l * p->stride;
            // Rows that are within as a whole, and the parts of those before and behind them.
            const int64_t first = gpu_clip((from - at + pitch - 1) / pitch, 0, rows);
            const int64_t last = gpu_clip((to - at - width) / pitch + 1, first, rows);
            const bool reaches = to - at >= width;
            const int64_t whole = reaches ? last : first;
            gpu_copy_rows(here + first * width, device + at + first * pitch, width, pitch,
                          whole - first, direction);
            if (first > 0) {
                gpu_copy_row(here + (first - 1) * width, device, at + (first - 1) * pitch, width,
                             from, to, direction);
            }
            if (whole < rows) {
                gpu_copy_row(here + whole * width, device, at + whole * pitch, width, from, to,
                             direction);
            }
        }
    }
}

static void gpu_copy_all(struct model *m, const struct model_info *info,
                         enum gpu_direction direction) {
    struct gpu *gpu = &gpu_model;
    gpu_copy(info, m->params, gpu->params, 0, INT64_MAX / 2, direction);
    if (m->m) {
        const int64_t to = gpu_clip(gpu->part_to, 0, INT64_MAX / 2);
        gpu_copy(info, m->m, gpu->m, gpu->part_from, to, direction);
        gpu_copy(info, m->v, gpu->v, gpu->part_from, to, direction);
    }
}

void step_begin(struct model *m, const struct model_info *info, int64_t updates, double loss_scale,
                int64_t loss_scale_steps) {
    struct gpu *gpu = &gpu_model;
    bool scaled = !strcmp(info->dtype, "float16");
    // A checkpoint has 0 if it is new or older than loss scaling, and 1 if its type needs none.
    bool was_scaled = loss_scale > 0 && loss_scale != 1;
    double scale = was_scaled ? loss_scale : FIRST_LOSS_SCALE;
    struct step_state state = {
        .t = updates,
        .scale = scaled ? scale : 1,
        .good = loss_scale_steps,
    };
    CUDA_CHECK(
        cudaMemcpyAsync(gpu->state, &state, sizeof state, cudaMemcpyHostToDevice, gpu->stream));
    gpu_copy_all(m, info, TO_DEVICE);
    device_prepare(gpu);
    CUDA_CHECK(cudaStreamSynchronize(gpu->stream));
    gpu_step_restart();
}

void step_fetch(struct model *m, const struct model_info *info) {
    gpu_copy_all(m, info, TO_HOST);
    CUDA_CHECK(cudaStreamSynchronize(gpu_model.stream));
}

void step_fetch_grads(struct model *m, const struct model_info *info) {
    struct gpu *gpu = &gpu_model;
    double scale;
    if (!m->grads) {
        m->grads = gpu_host_floats(info->state_floats);
    }
    gpu_copy(info, m->grads, gpu->grads, 0, INT64_MAX / 2, TO_HOST);
    CUDA_CHECK(cudaMemcpyAsync(&scale, (char *)gpu->state + offsetof(struct step_state, scale),
                               sizeof scale, cudaMemcpyDeviceToHost, gpu->stream));
    CUDA_CHECK(cudaStreamSynchronize(gpu->stream));
    for (int64_t i = 0; i < info->state_floats; i++) {
        m->grads[i] = (float)(m->grads[i] / scale); // exact: a power of two
    }
}

double step_peak(const struct model *m, char line[256]) {
    (void)m;
    char name[256];
    double peak = gpu_peak(name);
    if (peak > 0) {
        snprintf(line, 256, "%.200s's dense bfloat16 peak of %.1f TFLOP/s", name, peak / 1e12);
    } else {
        snprintf(line, 256, "%.200s, whose peak is not known here: no mfu", name);
    }
    return peak;
}
