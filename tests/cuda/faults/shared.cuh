// shared.cuh: shared memory: out of bounds, read before it is written, or too much of it.
#ifndef DIECAST_FAULTS_SHARED_CUH
#define DIECAST_FAULTS_SHARED_CUH

#include "faults.cuh"

KERNEL(64) write_shared(float *y, int at) {
    SHARED(float, first, [40]);
    SHARED(float, second, [64]);
    const int t = threadIdx.x;
    second[t] = (float)t;
    float *p = first;
    for (int i = t; i < 40; i += 64)
        p[i] = 1;
    if (t == 5)
        p[at] = 1;
    block_sync();
    y[t] = second[t];
}

static bool shared_bounds(bool fault) {
    float *y = device_floats(64, 0);
    LAUNCH(write_shared, 2, 64, 0, 0, y, fault ? 40 : 39);
    return holds(y, 64, 0, 1);
}

KERNEL(64) write_dynamic(float *y, int at) {
    SHARED_DYNAMIC(float, row);
    row[threadIdx.x] = (float)threadIdx.x;
    block_sync();
    y[threadIdx.x] = row[threadIdx.x];
    block_sync();
    if (threadIdx.x == 0)
        row[at] = 1;
}

static bool dynamic_bounds(bool fault) {
    float *y = device_floats(64, 0);
    LAUNCH(write_dynamic, 1, 64, 256, 0, y, fault ? 64 : 63);
    return holds(y, 64, 0, 1);
}

static bool dynamic_before(bool fault) {
    float *y = device_floats(64, 0);
    LAUNCH(write_dynamic, 1, 64, 256, 0, y, fault ? -1 : 0);
    return holds(y, 64, 0, 1);
}

KERNEL(32) read_unwritten(float *y, bool fault) {
    SHARED(float, sum, [32]);
    if (!fault)
        sum[threadIdx.x] = 0;
    sum[threadIdx.x] += 3;
    y[blockIdx.x * 32 + threadIdx.x] = sum[threadIdx.x];
}

static bool unwritten_shared(bool fault) {
    float *y = device_floats(64, 0);
    LAUNCH(read_unwritten, 2, 32, 0, 0, y, fault);
    return holds(y, 64, 3, 0);
}

template <int N> KERNEL(32) static_room(float *y) {
    SHARED(float, a, [N / 2]);
    SHARED(float, b, [N / 2]);
    a[threadIdx.x] = b[threadIdx.x] = 1;
    y[threadIdx.x] = a[threadIdx.x];
}

static bool static_limit(bool fault) {
    float *y = device_floats(32, 0);
    if (fault)
        LAUNCH(static_room<12 * 1024 + 8>, 1, 32, 0, 0, y);
    else
        LAUNCH(static_room<12 * 1024>, 1, 32, 0, 0, y);
    return holds(y, 32, 1, 0);
}

KERNEL(32) dynamic_room(float *y) {
    SHARED_DYNAMIC(float, row);
    row[threadIdx.x] = 2;
    y[threadIdx.x] = row[threadIdx.x];
}

static bool dynamic_limit(const char *arch, size_t limit, bool fault) {
    setenv("EMULATOR_ARCH", arch, 1);
    float *y = device_floats(32, 0);
    LAUNCH(dynamic_room, 1, 32, limit + (fault ? 16 : 0), 0, y);
    return holds(y, 32, 2, 0);
}

static bool dynamic_limit_80(bool fault) {
    return dynamic_limit("80", 163 * 1024, fault);
}

static bool dynamic_limit_86(bool fault) {
    return dynamic_limit("86", 99 * 1024, fault);
}

static bool dynamic_limit_90(bool fault) {
    return dynamic_limit("90", 227 * 1024, fault);
}

KERNEL(32) both_rooms(float *y) {
    SHARED(float, a, [1024]);
    SHARED_DYNAMIC(float, row);
    row[threadIdx.x] = a[threadIdx.x] = 2;
    y[threadIdx.x] = row[threadIdx.x];
}

static bool both_limits(bool fault) {
    float *y = device_floats(32, 0);
    LAUNCH(both_rooms, 1, 32, (fault ? 160 : 159) * 1024, 0, y);
    return holds(y, 32, 2, 0);
}

static const std::vector<struct test> shared_tests = {
    {"shared array, bounds", shared_bounds, "behind this shared array of 160"},
    {"dynamic shared memory, bounds", dynamic_bounds, "behind this shared array of 256"},
    {"before dynamic shared memory", dynamic_before, "before dynamic shared memory"},
    {"unwritten shared memory", unwritten_shared, nullptr},
    {"static shared memory, limit", static_limit, "bytes of static shared memory"},
    {"dynamic shared memory, limit of 8.0", dynamic_limit_80, "this device has 166912"},
    {"dynamic shared memory, limit of 8.6", dynamic_limit_86, "this device has 101376"},
    {"dynamic shared memory, limit of 9.0", dynamic_limit_90, "this device has 232448"},
    {"static and dynamic, limit", both_limits, "static and dynamic shared memory"},
};

#endif
