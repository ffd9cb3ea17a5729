// scalar.h: products of one row with weights in q8_0 on a machine without vectors: a sum for each
// output, in the order of small.h's, so that the bytes are the same. Four outputs, whose words lie
// side by side in a panel, share what is loaded of x.
#ifndef DIECAST_SCALAR_H
#define DIECAST_SCALAR_H

#include "runtime/kernel/small.h"

#if defined(__ARM_FEATURE_DSP)
#include <arm_acle.h>
#endif

enum { SCALAR_OUTPUTS = 4 }; // at a time

// Quantises a row x (C), in a function of which there is one copy.
PRODUCT_ONCE void scalar_quantise(float *row, const float *x, int C) {
    for (int b = 0; b < SMALL_BLOCKS(C); b++) {
        small_quantise(row, x, C, b);
    }
}

#if defined(__ARM_FEATURE_DSP)
// Bytes 1 and 3 of a word, in 16 bits each: one instruction, which compilers do not find.
VEC_INLINE int16x2_t scalar_odd_unsigned(uint32_t word) {
    int16x2_t odd;
    __asm__("uxtb16 %0, %1, ror #8" : "=r"(odd) : "r"(word));
    return odd;
}

VEC_INLINE int16x2_t scalar_odd_signed(uint32_t word) {
    int16x2_t odd;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(odd) : "r"(word));
    return odd;
}
#endif

// sums (OUTPUTS) += those of a block: integers, exact. w and x (32) are words of four bytes, of
// which w's are unsigned, and a panel's 16 outputs apart.
VEC_INLINE void scalar_block(int32_t sums[SCALAR_OUTPUTS], const uint32_t *w, const float *x) {
#pragma GCC unroll 8
    for (int g = 0; g < SMALL_BLOCK / 4; g++, w += SMALL_OUTPUTS) {
        uint32_t word;
        memcpy(&word, x + g, sizeof word);
#if defined(__ARM_FEATURE_DSP)
        // Two products of 16 bits and their sum in one instruction: of bytes 0 and 2, and 1 and 3.
        const int16x2_t even = __sxtb16(word), odd = scalar_odd_signed(word);
#pragma GCC unroll 4
        for (int o = 0; o < SCALAR_OUTPUTS; o++) {
            sums[o] = __smlad((int16x2_t)__uxtb16(w[o]), even, sums[o]);
            sums[o] = __smlad(scalar_odd_unsigned(w[o]), odd, sums[o]);
        }
#else
        const int32_t a = (int8_t)(word & 255), b = (int8_t)(word >> 8 & 255);
        const int32_t c = (int8_t)(word >> 16 & 255), d = (int8_t)(word >> 24);
#pragma GCC unroll 4
        for (int o = 0; o < SCALAR_OUTPUTS; o++) {
            sums[o] += (int32_t)(w[o] & 255) * a + (int32_t)(w[o] >> 8 & 255) * b +
                       (int32_t)(w[o] >> 16 & 255) * c + (int32_t)(w[o] >> 24) * d;
        }
#endif
    }
}

// sums (16) = a quantised row x times panel p of w (O, C).
PRODUCT_ONCE void scalar_q8_0(float *sums, const float *x, const uint8_t *w, int O, int C, int p) {
    enum { WORDS = SMALL_BLOCK / 4, BLOCK = SMALL_OUTPUTS * WORDS };
    const int blocks = SMALL_BLOCKS(C);
    const size_t panel = (size_t)p * (size_t)blocks, panels = (size_t)DIVIDE_UP(O, SMALL_OUTPUTS);
    const uint32_t *words = (const uint32_t *)(const void *)w + panel * BLOCK;
    const uint16_t *scales =
        (const uint16_t *)(const void *)(w + panels * (size_t)blocks * BLOCK * 4) +
        panel * SMALL_OUTPUTS;
    for (int first = 0; first < SMALL_OUTPUTS; first += SCALAR_OUTPUTS) {
        float acc[SCALAR_OUTPUTS] = {0};
        for (int b = 0; b < blocks; b++) {
            int32_t of_row, sum[SCALAR_OUTPUTS];
            memcpy(&of_row, x + blocks * (WORDS + 1) + b, sizeof of_row);
#pragma GCC unroll 4
            for (int o = 0; o < SCALAR_OUTPUTS; o++) {
                sum[o] = -128 * of_row;
            }
            scalar_block(sum, words + b * BLOCK + first, x + b * WORDS);
#pragma GCC unroll 4
            for (int o = 0; o < SCALAR_OUTPUTS; o++) {
                const uint16_t *scale = scales + b * SMALL_OUTPUTS + first + o;
                acc[o] += (float)sum[o] * (small_scale((const uint8_t *)(const void *)scale) *
                                           x[blocks * WORDS + b]);
            }
        }
        memcpy(sums + first, acc, sizeof acc);
    }
}

// product_add of one row: to (COLS) = or, with `add`, += a (depth) b (depth, COLS), whose rows are
// b_row floats apart.
PRODUCT_ONCE void scalar_add(float *to, bool add, const float *a, int depth, const float *b,
                             ptrdiff_t b_row) {
    float acc[PRODUCT_COLS];
#pragma GCC unroll 8
    for (int c = 0; c < PRODUCT_COLS; c++) {
        acc[c] = add ? to[c] : 0.0f;
    }
    for (int k = 0; k < depth; k++, b += b_row) {
#pragma GCC unroll 8
        for (int c = 0; c < PRODUCT_COLS; c++) {
            acc[c] += a[k] * b[c];
        }
    }
#pragma GCC unroll 8
    for (int c = 0; c < PRODUCT_COLS; c++) {
        to[c] = acc[c];
    }
}

#endif
