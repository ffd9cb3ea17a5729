// profile.c: time of each kernel on a device: NVTX ranges for Nsight, and, if profile_on, a pair of
// events around each launch.
#include "runtime/gpu/gpu.h"
#include "runtime/base/base.h"

#include <nvtx3/nvToolsExt.h>
#include <stdlib.h>

bool profile_on;
void (*profile_follow)(void); // the host does not see kernels end

static struct {
    struct pair_of_events {
        cudaEvent_t begin, end;
        int kernel;
    } * pairs;
    int count, room;
    double *seconds; // (kernels)
    int64_t *calls;
} profile;

static struct pair_of_events *profile_next(void) {
    if (profile.count == profile.room) {
        int room = profile.room ? 2 * profile.room : 1024;
        struct pair_of_events *pairs = realloc(profile.pairs, (size_t)room * sizeof *pairs);
        if (!pairs) {
            die(EXIT_MEMORY, "profile: no memory for %d events", room);
        }
        for (int i = profile.room; i < room; i++) {
            CUDA_CHECK(cudaEventCreate(&pairs[i].begin));
            CUDA_CHECK(cudaEventCreate(&pairs[i].end));
        }
        profile.pairs = pairs;
        profile.room = room;
    }
    return &profile.pairs[profile.count++];
}

void gpu_kernel_begin(struct gpu *gpu, int kernel) {
    nvtxRangePushA(model_info.kernels[kernel].name);
    if (profile_on) {
        struct pair_of_events *pair = profile_next();
        pair->kernel = kernel;
        CUDA_CHECK(cudaEventRecord(pair->begin, gpu->stream));
    }
}

void gpu_kernel_end(struct gpu *gpu, int kernel) {
    (void)kernel;
    if (profile_on) {
        CUDA_CHECK(cudaEventRecord(profile.pairs[profile.count - 1].end, gpu->stream));
    }
    nvtxRangePop();
}

void profile_reset(void) {
    free(profile.seconds);
    free(profile.calls);
    profile.seconds = calloc((size_t)model_info.kernels_count, sizeof *profile.seconds);
    profile.calls = calloc((size_t)model_info.kernels_count, sizeof *profile.calls);
    if (!profile.seconds || !profile.calls) {
        die(EXIT_MEMORY, "profile: no memory for %d kernels", model_info.kernels_count);
    }
    profile.count = 0;
}

void gpu_profile_collect(void) {
    CUDA_CHECK(cudaStreamSynchronize(gpu_model.stream));
    for (int i = 0; i < profile.count; i++) {
        const struct pair_of_events *pair = &profile.pairs[i];
        float ms;
        CUDA_CHECK(cudaEventElapsedTime(&ms, pair->begin, pair->end));
        profile.seconds[pair->kernel] += (double)ms / 1e3;
        profile.calls[pair->kernel]++;
    }
    profile.count = 0;
}

void profile_read(double *seconds, int64_t *calls, int kernels_count) {
    gpu_profile_collect();
    for (int i = 0; i < kernels_count; i++) {
        seconds[i] = profile.seconds[i];
        calls[i] = profile.calls[i];
    }
}
