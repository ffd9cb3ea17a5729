// faults.cuh: shared by the planted faults: floats on the device, and the type of a test.
#ifndef DIECAST_FAULTS_CUH
#define DIECAST_FAULTS_CUH

#include "kernel.cuh"

#include <vector>

// A planted fault and its correct twin; returns whether the numbers are correct.
struct test {
    const char *name;
    bool (*run)(bool fault);
    const char *message; // null: wrong numbers under at least one schedule
};

static float *device_floats(int n, float value) {
    std::vector<float> x((size_t)n, value);
    float *p;
    cudaMalloc(&p, (size_t)n * 4);
    cudaMemcpy(p, x.data(), (size_t)n * 4, cudaMemcpyHostToDevice);
    cudaDeviceSynchronize(); // some tests' streams do not wait for the default one
    return p;
}

// Whether p (n) holds first, first + step, …
static bool holds(const float *p, int n, float first, float step) {
    std::vector<float> x((size_t)n);
    if (cudaMemcpy(x.data(), p, (size_t)n * 4, cudaMemcpyDeviceToHost) != cudaSuccess)
        return false;
    for (int i = 0; i < n; i++)
        if (x[(size_t)i] != first + step * (float)i)
            return false;
    return true;
}

#endif
