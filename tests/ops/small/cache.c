// cache.c: the sampler's attention over a cache in bfloat16 gives the bytes that it gives over one
// in float32, if keys and values are rounded before: rows of one call or of many, its result and
// its softmax weights. cache.lua writes the kernels; test_small.sh builds it for each instruction
// set.
#include "runtime/files/files.h"
#include "runtime/kernel/product.h"

#include <stdio.h>
#include <stdlib.h>

typedef void plain_fn(float *y, const float *qkv, float *cache, float *weights, int tokens,
                      const struct sampler_run *runs, int count, int thread, int threads);
typedef void brain_fn(float *y, const float *qkv, uint16_t *cache, float *weights, int tokens,
                      const struct sampler_run *runs, int count, int thread, int threads);
struct attention {
    int T, H, KV, D, S;
    plain_fn *plain;
    brain_fn *brain;
};

#include "cache_kernels.h"

static int passed, failed;

static void expect(bool good, const char *what, const struct attention *a, int piece) {
    passed += good;
    failed += !good;
    if (!good) {
        printf("FAILED: %s, T = %d, H = %d, KV = %d, D = %d, %d rows at a time\n", what, a->T, a->H,
               a->KV, a->D, piece);
    }
}

static float *numbers(size_t count) {
    float *memory = aligned_alloc(64, (count * sizeof *memory + 63) / 64 * 64);
    if (memory == NULL) {
        exit(71);
    }
    memset(memory, 0, count * sizeof *memory);
    return memory;
}

// From -2 to 2.
static float number(uint64_t i) {
    uint64_t bits = (i + 1) * 0x9e3779b97f4a7c15u;
    bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9u;
    return (float)(bits >> 40) * 0x1p-22f - 2.0f;
}

// The text lies behind a line of the cache, and goes through in pieces of so many rows.
static void run(const struct attention *a, int piece, bool brain, const float *qkv, float *y,
                float *weights) {
    const int E = (a->H + 2 * a->KV) * a->D, C = a->H * a->D, threads = 3;
    float *cache = numbers((size_t)2 * a->KV * a->S * a->D + 16);
    for (int at = 0; at < a->T; at += piece) {
        const int rows = int_min(piece, a->T - at);
        const struct sampler_run text = {.cache = 16, .rows = rows, .pos = at};
        float *to = y + (size_t)at * C;
        const float *from = qkv + (size_t)at * E;
        for (int thread = 0; thread < threads; thread++) {
            if (brain) {
                a->brain(to, from, (uint16_t *)(void *)cache, weights, a->T, &text, 1, thread,
                         threads);
            } else {
                a->plain(to, from, cache, weights, a->T, &text, 1, thread, threads);
            }
        }
    }
    free(cache);
}

static void compare(const struct attention *a) {
    const int E = (a->H + 2 * a->KV) * a->D, C = a->H * a->D;
    const size_t inputs = (size_t)a->T * E, outputs = (size_t)a->T * C;
    const size_t squares = (size_t)a->H * a->T * a->T;
    float *qkv = numbers(inputs), *rounded = numbers(inputs);
    float *y[2] = {numbers(outputs), numbers(outputs)};
    float *weights[2] = {numbers(squares), numbers(squares)};
    int changed = 0;
    for (size_t i = 0; i < inputs; i++) {
        rounded[i] = qkv[i] = number(i);
        if ((int)(i % E) >= C) {
            const uint32_t bits = (uint32_t)number_to_brain(qkv[i]) << 16;
            memcpy(&rounded[i], &bits, sizeof bits);
        }
        changed += rounded[i] != qkv[i];
    }
    expect(changed > (int)inputs / 4, "numbers to round", a, 0);
    run(a, a->T, false, rounded, y[0], weights[0]);
    for (int piece = 1; piece <= a->T; piece = piece * 5 + 2) {
        memset(y[1], 0, outputs * sizeof *y[1]);
        run(a, piece, true, qkv, y[1], weights[1]);
        expect(!memcmp(y[0], y[1], outputs * sizeof *y[0]), "the result", a, piece);
        expect(!memcmp(weights[0], weights[1], squares * sizeof *weights[0]), "weights", a, piece);
    }
    free(qkv);
    free(rounded);
    for (int i = 0; i < 2; i++) {
        free(y[i]);
        free(weights[i]);
    }
}

static void check_rounding(void) {
    static const struct attention none;
    const float given[] = {0.0f, -0.0f, 1.00390625f, 1.01171875f, 3e38f, 1e-40f, INFINITY, NAN};
    for (size_t i = 0; i < sizeof given / sizeof *given; i++) {
        const uint16_t brain = bfloat16_of(given[i]);
        expect(brain == number_to_brain(given[i]), "rounding", &none, (int)i);
        const uint32_t bits = (uint32_t)brain << 16;
        const float wide = bfloat16_float(brain);
        expect(!memcmp(&bits, &wide, sizeof bits), "widening", &none, (int)i);
    }
}

int main(void) {
    check_rounding();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        compare(&cases[i]);
    }
    printf("%d passed, %d failed, a cache in bfloat16\n", passed, failed);
    return failed > 0;
}
