// cases.h: shared by the cases of test_hopper.cpp: their list, their schedules, random numbers and
// memory on the device. Includes hopper_cases.cu, which hopper_cases.lua emits.
#ifndef DIECAST_HOPPER_CASES_H
#define DIECAST_HOPPER_CASES_H

#include "hopper_cases.cu"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <vector>

enum { RUNS = 3 };

#ifdef __CUDACC__
enum { SECONDS = 60 }; // that a case may take

static void schedule(int) {
}
#else
enum { SECONDS = 1200 };

static void schedule(int run) {
    static const enum emulator_order orders[RUNS] = {EMULATOR_ASCENDING, EMULATOR_DESCENDING,
                                                     EMULATOR_RANDOM};
    emulator_schedule(orders[run], 5);
}
#endif

struct test {
    std::string name; // GROUP: CASE
    std::function<void()> act;
};

static std::vector<struct test> tests;
static bool wrong; // the test that runs has failed
static uint32_t random_state;

static std::string group_of(const struct test &test) {
    return test.name.substr(0, test.name.find(':'));
}

static const char *test_name(int i) {
    return tests[i].name.c_str();
}

static int test_act(int i) {
    wrong = false;
    random_state = 1;
    tests[i].act();
    return wrong;
}

static void check(bool good, const std::string &what) {
    if (!good) {
        printf("not so: %s\n", what.c_str());
        wrong = true;
    }
}

// A CUDA call that fails ends the case.
static void must(cudaError_t error, const char *what) {
    if (error != cudaSuccess) {
        fprintf(stderr, "hopper: %s: %s: %s\n", what, cudaGetErrorName(error),
                cudaGetErrorString(error));
        _exit(71);
    }
}

static uint32_t random_bits() {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    return random_state ^= random_state << 5;
}

static float random_normal() { // approximately
    float sum = 0.0f;
    for (int i = 0; i < 6; i++) {
        const uint32_t bits = random_bits();
        sum += (float)(bits >> 16) + (float)(bits & 0xffff);
    }
    return sum * 0x1p-16f - 6.0f;
}

// Small whole numbers, whose sums of products are exact.
[[maybe_unused]] static float random_small() {
    return (float)(random_bits() >> 8 & 3) - 1.0f;
}

// Memory of the device, all NaN; host values copied there, arrived when it returns; and back.
template <class T> static T *on_device(size_t count) {
    void *p = NULL;
    must(cudaMalloc(&p, count * sizeof(T)), "cudaMalloc");
    must(cudaMemset(p, 0xff, count * sizeof(T)), "cudaMemset");
    must(cudaDeviceSynchronize(), "filling memory");
    return (T *)p;
}

template <class T> static T *to_device(const std::vector<T> &host) {
    T *p = on_device<T>(host.size());
    must(cudaMemcpy(p, host.data(), host.size() * sizeof(T), cudaMemcpyHostToDevice), "a copy");
    must(cudaDeviceSynchronize(), "a copy to the device");
    return p;
}

template <class T> static std::vector<T> to_host(const T *device, size_t count) {
    std::vector<T> host(count);
    must(cudaDeviceSynchronize(), "the kernels");
    must(cudaMemcpy(host.data(), device, count * sizeof(T), cudaMemcpyDeviceToHost), "a copy");
    return host;
}

static void release(std::initializer_list<void *> all) {
    for (void *p : all) {
        must(cudaFree(p), "cudaFree");
    }
}

#endif
