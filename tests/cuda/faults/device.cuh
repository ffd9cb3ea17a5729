// device.cuh: device memory: out of bounds, freed, misaligned, unwritten, or read by the host.
#ifndef DIECAST_FAULTS_DEVICE_CUH
#define DIECAST_FAULTS_DEVICE_CUH

#include "faults.cuh"

KERNEL(32) store_vector(float *y, int at) {
    if (threadIdx.x == 0)
        vec_store(y + at, vec_fill(1));
}

static bool vector_bounds(bool fault) {
    float *y = device_floats(100, 1);
    LAUNCH(store_vector, 1, 32, 0, 0, y, fault ? 96 : 92);
    return holds(y, 100, 1, 0);
}

static bool vector_before(bool fault) {
    float *y = device_floats(100, 1);
    LAUNCH(store_vector, 1, 32, 0, 0, y, fault ? -4 : 0);
    return holds(y, 100, 1, 0);
}

KERNEL(32) store_float(float *y, int at) {
    if (threadIdx.x == 0)
        y[at] = 1;
}

static bool float_bounds(bool fault) {
    float *y = device_floats(101, 1);
    LAUNCH(store_float, 1, 32, 0, 0, y, fault ? 101 : 100);
    return holds(y, 101, 1, 0);
}

static bool float_before(bool fault) {
    float *y = device_floats(101, 1);
    LAUNCH(store_float, 1, 32, 0, 0, y, fault ? -1 : 0);
    return holds(y, 101, 1, 0);
}

KERNEL(32) load_vector(float *y, const float *x) {
    vec_store(y + threadIdx.x * VEC, vec_load(x + threadIdx.x * VEC));
}

static bool freed_memory(bool fault) {
    float *x = device_floats(256, 3), *y = device_floats(256, 0);
    if (fault)
        cudaFree(x);
    LAUNCH(load_vector, 1, 32, 0, 0, y, x);
    return holds(y, 256, 3, 0);
}

static bool host_memory(bool fault) {
    static float host[256];
    float *x = device_floats(256, 0), *y = device_floats(256, 1);
    LAUNCH(load_vector, 1, 32, 0, 0, y, fault ? host : x);
    return holds(y, 256, 0, 0);
}

static bool misaligned_vector(bool fault) {
    float *x = device_floats(264, 3), *y = device_floats(256, 1);
    LAUNCH(load_vector, 1, 32, 0, 0, y, x + (fault ? 2 : 4));
    return holds(y, 256, 3, 0);
}

static bool host_access(bool fault) {
    float *y = device_floats(4, 1);
    return fault ? *(volatile float *)y == 1 : holds(y, 4, 1, 0);
}

// Blocks run in any order: one must not read what another writes.
KERNEL(32) chain(float *y, bool fault) {
    const int b = blockIdx.x;
    y[b * 32 + threadIdx.x] = fault && b > 0 ? y[(b - 1) * 32 + threadIdx.x] + 1 : (float)b;
}

static bool order_of_blocks(bool fault) {
    float *y = device_floats(4 * 32, 0);
    LAUNCH(chain, 4, 32, 0, 0, y, fault);
    std::vector<float> x(128);
    cudaMemcpy(x.data(), y, 512, cudaMemcpyDeviceToHost);
    bool good = true;
    for (int i = 0; i < 128; i++)
        good = good && x[(size_t)i] == (float)(i / 32);
    return good;
}

static bool unwritten_device(bool fault) {
    float *x, *y = device_floats(256, 0);
    cudaMalloc(&x, 1024);
    if (!fault)
        cudaMemset(x, 0, 1024);
    LAUNCH(load_vector, 1, 32, 0, 0, y, x);
    return holds(y, 256, 0, 0);
}

static const std::vector<struct test> device_tests = {
    {"vec_store, bounds", vector_bounds, "out of bounds: bytes 384 to 416 of a block of 400"},
    {"vec_store before a block", vector_before, "out of bounds"},
    {"a float, bounds", float_bounds, "written out of bounds: 0 bytes behind a block of 404"},
    {"a float before a block", float_before,
     "written out of bounds: 4 bytes before a block of 404"},
    {"freed memory", freed_memory, "device memory that was freed"},
    {"host memory in a kernel", host_memory, "not device memory"},
    {"misaligned vec_load", misaligned_vector, "is not 16-byte aligned"},
    {"device memory on the host", host_access, "the host reads or writes device memory"},
    {"order of blocks", order_of_blocks, nullptr},
    {"unwritten device memory", unwritten_device, nullptr},
};

#endif
