// barriers.cuh: barriers and warp operations that some threads miss, and threads that sleep.
#ifndef DIECAST_FAULTS_BARRIERS_CUH
#define DIECAST_FAULTS_BARRIERS_CUH

#include "faults.cuh"

// ---- barriers -----------------------------------------------------------------------------------

// y = 128 - i: each thread reads what a thread of another warp wrote.
KERNEL(128) reverse(float *y, bool fault) {
    SHARED(float, tile, [128]);
    const int t = threadIdx.x;
    tile[t] = (float)t + 1;
    if (!fault)
        block_sync();
    y[t] = tile[127 - t];
}

static bool missing_barrier(bool fault) {
    float *y = device_floats(128, 0);
    LAUNCH(reverse, 1, 128, 0, 0, y, fault);
    return holds(y, 128, 128, -1);
}

// y = 128 * rounds: the next round's writes must wait for this round's reads.
KERNEL(128) rounds(float *y, bool fault) {
    SHARED(float, tile, [128]);
    const int t = threadIdx.x;
    float sum = 0;
    for (int i = 0; i < 4; i++) {
        tile[t] = (float)(i * 128 + t);
        block_sync();
        sum += tile[127 - t];
        if (!fault)
            block_sync();
    }
    y[t] = sum;
}

static bool overwritten_early(bool fault) {
    float *y = device_floats(128, 0);
    LAUNCH(rounds, 1, 128, 0, 0, y, fault);
    return holds(y, 128, 768 + 4 * 127, -4);
}

KERNEL(32) reverse_warp(float *y, bool fault) {
    SHARED(float, tile, [32]);
    const int t = threadIdx.x;
    tile[t] = (float)t + 1;
    if (!fault)
        warp_sync();
    y[t] = tile[31 - t];
}

static bool missing_warp_sync(bool fault) {
    float *y = device_floats(32, 0);
    LAUNCH(reverse_warp, 1, 32, 0, 0, y, fault);
    return holds(y, 32, 32, -1);
}

KERNEL(128) diverge(bool fault) {
    if (!fault || threadIdx.x < 64)
        block_sync();
    barrier_sync(1, 128);
}

static bool divergent_barrier(bool fault) {
    LAUNCH(diverge, 1, 128, 0, 0, fault);
    return cudaDeviceSynchronize() == cudaSuccess;
}

KERNEL(128) two_barriers(bool fault) {
    if (fault && threadIdx.x >= 64)
        block_sync();
    else
        block_sync();
}

static bool different_barriers(bool fault) {
    LAUNCH(two_barriers, 1, 128, 0, 0, fault);
    return cudaDeviceSynchronize() == cudaSuccess;
}

KERNEL(128) leave(bool fault) {
    if (fault && threadIdx.x == 77)
        return;
    block_sync();
}

static bool early_return(bool fault) {
    LAUNCH(leave, 2, 128, 0, 0, fault);
    return cudaDeviceSynchronize() == cudaSuccess;
}

KERNEL(128) named(bool fault) { // two warps wait for two others that only arrive
    if (threadIdx.x < 64)
        barrier_sync(3, 128);
    else if (!fault || threadIdx.x < 96)
        barrier_arrive(3, 128);
}

static bool missing_arrival(bool fault) {
    LAUNCH(named, 1, 128, 0, 0, fault);
    return cudaDeviceSynchronize() == cudaSuccess;
}

KERNEL(128) counts(bool fault) {
    barrier_sync(1, fault && threadIdx.x >= 64 ? 64 : 128);
}

static bool different_counts(bool fault) {
    LAUNCH(counts, 1, 128, 0, 0, fault);
    return cudaDeviceSynchronize() == cudaSuccess;
}

KERNEL(64) twice(bool fault) {
    if (threadIdx.x < 32) {
        barrier_arrive(1, 64);
        if (fault)
            barrier_arrive(1, 64);
    } else
        barrier_sync(1, 64);
    if (fault)
        barrier_sync(1, 64);
}

static bool arrives_twice(bool fault) {
    LAUNCH(twice, 1, 64, 0, 0, fault);
    return cudaDeviceSynchronize() == cudaSuccess;
}

// ---- warps --------------------------------------------------------------------------------------

KERNEL(32) lanes(float *y, bool fault) {
    float x = (float)threadIdx.x;
    if (fault && threadIdx.x >= 16)
        x = warp_shfl(x, 0);
    else
        x = warp_shfl_xor(x, 1);
    y[threadIdx.x] = x;
}

static bool diverging_lanes(bool fault) {
    float *y = device_floats(32, 0);
    LAUNCH(lanes, 1, 32, 0, 0, y, fault);
    return cudaDeviceSynchronize() == cudaSuccess;
}

KERNEL(32) half_warp(float *y, bool fault) {
    if (!fault || threadIdx.x < 16)
        y[threadIdx.x] = warp_sum(1);
}

static bool missing_lanes(bool fault) {
    float *y = device_floats(32, 0);
    LAUNCH(half_warp, 1, 32, 0, 0, y, fault);
    return holds(y, 32, 32, 0);
}

static bool part_of_warp(bool fault) {
    float *y = device_floats(64, 0);
    LAUNCH(half_warp, 1, fault ? 48 : 64, 0, 0, y, false);
    return holds(y, 64, 32, 0);
}

// ---- threads that sleep -------------------------------------------------------------------------

static struct emulator_queue sleepers;
static int late; // an idle hook delivers it, as late as possible

static bool deliver(void) {
    if (late != 1)
        return false;
    late = 2;
    emulator_wake(&sleepers);
    return true;
}

static struct emulator_meeting group;
static int acts;

KERNEL(128) sleep_and_meet(float *y, bool fault) {
    if (threadIdx.x == 0 && !fault)
        late = 1;
    block_sync();
    if (threadIdx.x >= 64)
        emulator_sleep(&sleepers, "a delivery", {__FILE__, __LINE__});
    else
        emulator_meet(&group, 64, "two warps", {__FILE__, __LINE__}, []() { acts++; });
    y[threadIdx.x] = (float)(late * 10 + acts);
}

static bool asleep(bool fault) {
    emulator_on_idle(deliver);
    float *y = device_floats(128, 0);
    LAUNCH(sleep_and_meet, 1, 128, 0, 0, y, fault);
    std::vector<float> x(128);
    cudaMemcpy(x.data(), y, 512, cudaMemcpyDeviceToHost);
    return x[0] == 11 && x[127] == 21; // the delivery came after all else
}

static const std::vector<struct test> barriers_tests = {
    {"missing barrier", missing_barrier, nullptr},
    {"barrier missing before the next round", overwritten_early, nullptr},
    {"missing warp_sync", missing_warp_sync, nullptr},
    {"divergent barrier", divergent_barrier, "waits at barrier_sync"},
    {"different barriers", different_barriers, "threads of a block meet at different barriers"},
    {"early return", early_return, "returned"},
    {"missing arrival", missing_arrival, "barrier_sync waits for threads that never come"},
    {"different counts", different_counts, "barrier_sync"},
    {"a thread arrives twice", arrives_twice, "this thread has come already"},
    {"diverging lanes", diverging_lanes, "lanes of a warp meet at different operations"},
    {"missing lanes", missing_lanes, "returned"},
    {"part of a warp", part_of_warp, "in a warp of 16 lanes"},
    {"asleep", asleep, "a delivery waits for threads that never come"},
};

#endif
