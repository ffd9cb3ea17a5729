// launches.cuh: launches that a device refuses, stacks that overflow, clusters.
#ifndef DIECAST_FAULTS_LAUNCHES_CUH
#define DIECAST_FAULTS_LAUNCHES_CUH

#include "faults.cuh"

static bool threads_of_block(bool fault) {
    float *y = device_floats(8, 0);
    LAUNCH(store_float, 1, fault ? 1025 : 1024, 0, 0, y, 3);
    return cudaDeviceSynchronize() == cudaSuccess;
}

static bool empty_grid(bool fault) {
    float *y = device_floats(8, 0);
    LAUNCH(store_float, fault ? 0 : 1, 32, 0, 0, y, 3);
    return cudaDeviceSynchronize() == cudaSuccess;
}

KERNEL(32) deep(float *y, int depth) {
    volatile float big[4096]; // 16 KiB
    for (int i = 0; i < 4096; i++)
        big[i] = (float)i;
    if (depth > 0)
        deep(y, depth - 1);
    block_sync();
    y[threadIdx.x] = big[4095];
}

static bool stack_overflow(bool fault) {
    float *y = device_floats(32, 0);
    LAUNCH(deep, 1, 32, 0, 0, y, fault ? 40 : 2);
    return holds(y, 32, 4095, 0);
}

// y (4 blocks of 32): each block of a cluster of two reads its neighbour's shared array.
KERNEL(32) neighbours(float *y, bool fault) {
    SHARED(float, mine, [32]);
    mine[threadIdx.x] = (float)(blockIdx.x * 32 + threadIdx.x);
    if (!fault)
        emulator_cluster_sync();
    const float *other = (const float *)emulator_cluster_map(mine, emulator_cluster_rank() ^ 1);
    y[(blockIdx.x ^ 1) * 32 + threadIdx.x] = other[threadIdx.x];
    emulator_cluster_sync();
}

static bool cluster_on(const char *arch, bool fault) {
    setenv("EMULATOR_ARCH", arch, 1);
    float *y = device_floats(128, 0);
    LAUNCH_CLUSTER(neighbours, 2, 4, 32, 0, 0, y, fault);
    return holds(y, 128, 0, 1);
}

static bool cluster(bool fault) {
    return cluster_on("90", fault);
}

static bool cluster_arch(bool fault) {
    return cluster_on(fault ? "80" : "90", false);
}

static const std::vector<struct test> launches_tests = {
    {"threads of a block", threads_of_block, "a block of 1025 1 1 threads"},
    {"empty grid", empty_grid, "a grid of 0 1 1 blocks"},
    {"stack overflow", stack_overflow, "stack"},
    {"cluster", cluster, nullptr},
    {"cluster on 8.0", cluster_arch, "clusters need compute capability 9.0"},
};

#endif
