// small.h: the sampler's products with small weights: y (N, O) = x (N, C) w^T with w in blocks of
// 32 neighbours of a row, which share a scale in float16 (q8_0: signed bytes; q4_0: halves of
// bytes), and x quantised like q8_0, a scale in float32 for each block; or with w in bfloat16, and
// x rounded to it.
//
// A product gives the same bytes on every instruction set and with any number of rows beside it:
// the sum over a block is an integer, exact; it is multiplied by the product of both scales; and
// blocks are added in their order, not fused. Of bfloat16 numbers it is the sum that bf16.h
// describes: VDPBF16PS does it, and so do two multiply-adds.
//
// Layout of w, the same for all instruction sets: panels of 16 outputs, whose blocks lie one after
// another. A block of q8_0 is bytes (8, 16, 4): of column 4i + j of output o, q + 128. One of q4_0
// is (4, 16, 4): the low half has q + 8 of columns 0 to 15, the high half of 16 to 31. Behind all
// panels are the scales (panels, blocks, 16). One of bfloat16 is (16, 16, 2): columns 2i and 2i + 1
// of output o. Outputs and columns beyond w's are 0. runtime/files/small.c writes it.
#ifndef DIECAST_SMALL_H
#define DIECAST_SMALL_H

#include "runtime/kernel/bf16.h"
#include "runtime/kernel/product.h"

#if defined(__x86_64__) && defined(__AVX2__)
#include <cpuid.h>
#include <stdatomic.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__aarch64__) && defined(__ARM_NEON)
#include <sys/auxv.h>
#elif defined(__wasm_simd128__)
#include <wasm_simd128.h>
#endif

// A tile's loops are unrolled ROWS or ACROSS times, their very number of steps: told of more, clang
// leaves a loop, and the tile's sums in memory.
enum {
    SMALL_OUTPUTS = 16,               // of a panel
    SMALL_BLOCK = 32,                 // columns
    SMALL_VECS = SMALL_OUTPUTS / VEC, // of a panel
    SMALL_ROWS = VEC == 4 ? 2 : 4,    // the register tile: rows, and
    SMALL_PANELS = VEC == 16 ? 2 : 1, // panels
    SMALL_WIDE = SMALL_PANELS * SMALL_OUTPUTS,
    SMALL_ACROSS = SMALL_PANELS * SMALL_VECS, // vectors
    SMALL_UNROLL = VEC == 4 ? 2 : 8,          // steps of a block that are written out
    SMALL_AHEAD = 2048                        // bytes by which w is prefetched
};

#define SMALL_BLOCKS(C) DIVIDE_UP(C, SMALL_BLOCK)
// Floats of a quantised row of C columns: bytes (blocks, 32), scales (blocks), the sums over each
// block's bytes (blocks), which are int32.
#define SMALL_ROW(C) (SMALL_BLOCKS(C) * 10)
// The same of a row in bfloat16.
#define SMALL_ROW_BFLOAT16(C) (SMALL_BLOCKS(C) * SMALL_BLOCK / 2)

// ---- activations --------------------------------------------------------------------------------

// With few lanes a call costs little beside a block: one copy, for all products.
#if defined(__AVX2__)
#define SMALL_ONCE VEC_INLINE
#else
#define SMALL_ONCE PRODUCT_ONCE
#endif

VEC_INLINE uint32_t small_largest(vec_uint v) {
#if defined(__AVX512F__)
    return _mm512_reduce_max_epu32((__m512i)v);
#else
    uint32_t x[VEC], largest = 0;
    memcpy(x, &v, sizeof v);
    for (int i = 0; i < VEC; i++) {
        largest = x[i] > largest ? x[i] : largest;
    }
    return largest;
#endif
}

// Quantises block b of a row x (C): the largest number becomes 127 or -127, and the others round to
// the nearest, ties to even. A block that has a number which is not finite has the scale NaN.
SMALL_ONCE void small_quantise(float *row, const float *x, int C, int b) {
    const int blocks = SMALL_BLOCKS(C), count = int_min(SMALL_BLOCK, C - b * SMALL_BLOCK);
    vec v[SMALL_BLOCK / VEC];
    vec_uint most = {0};
#pragma GCC unroll 8
    for (int i = 0; i < SMALL_BLOCK / VEC; i++) {
        const int lanes = count - i * VEC;
        const float *from = x + b * SMALL_BLOCK + i * VEC;
        v[i] = lanes >= VEC ? vec_load(from) : lanes > 0 ? vec_load_n(from, lanes) : vec_splat(0);
        const vec_uint size = (vec_uint)v[i] & 0x7fffffffu;
        const vec_uint more = (vec_uint)(size > most);
        most = (size & more) | (most & ~more);
    }
    const uint32_t bits = small_largest(most);
    float largest, scale, inverse;
    memcpy(&largest, &bits, sizeof largest);
    const bool some = bits < 0x7f800000u && largest > 0x1p-100f;
    scale = some ? largest / 127.0f : bits < 0x7f800000u ? 0.0f : NAN;
    inverse = some ? 127.0f / largest : 0.0f;
    int32_t number[SMALL_BLOCK], sum = 0;
#pragma GCC unroll 8
    for (int i = 0; i < SMALL_BLOCK / VEC; i++) {
        // The sum's last digits are the rounded number.
        const vec shifted = v[i] * vec_splat(inverse) + vec_splat(0x1.8p23f);
        memcpy(number + i * VEC, &shifted, sizeof shifted);
    }
    int8_t bytes[SMALL_BLOCK];
    for (int i = 0; i < SMALL_BLOCK; i++) {
        bytes[i] = (int8_t)(number[i] & 255);
    }
    for (int i = 0; i < SMALL_BLOCK; i++) {
        sum += bytes[i];
    }
    memcpy(row + b * (SMALL_BLOCK / 4), bytes, sizeof bytes);
    memcpy(row + blocks * (SMALL_BLOCK / 4) + b, &scale, sizeof scale);
    memcpy(row + blocks * (SMALL_BLOCK / 4 + 1) + b, &sum, sizeof sum);
}

// Rounds block b of a row x (C) to the nearest bfloat16, ties to even; subnormal numbers to 0.
VEC_INLINE void small_round(float *row, const float *x, int C, int b) {
    uint32_t bits[SMALL_BLOCK] = {0};
    uint16_t rounded[SMALL_BLOCK];
    memcpy(bits, x + b * SMALL_BLOCK,
           (size_t)int_min(SMALL_BLOCK, C - b * SMALL_BLOCK) * sizeof *bits);
    for (int i = 0; i < SMALL_BLOCK; i++) {
        const uint32_t size = bits[i] & 0x7fffffffu;
        const uint32_t near = bits[i] + 0x7fffu + (bits[i] >> 16 & 1u);
        const uint32_t word = size > 0x7f800000u   ? bits[i] | 0x00400000u
                              : size < 0x00800000u ? bits[i] & 0x80000000u
                                                   : near;
        rounded[i] = (uint16_t)(word >> 16);
    }
    memcpy(row + b * (SMALL_BLOCK / 2), rounded, sizeof rounded);
}

// ---- integer products ---------------------------------------------------------------------------

// Whether this processor has one instruction of VEC lanes for a step of a product: four products of
// bytes and their sum, or two of bfloat16 numbers. Which instructions do it changes no result, so
// that no other program has to be built.
VEC_INLINE bool small_dots(const enum weight_type type) {
#if defined(__x86_64__) && defined(__AVX2__)
    static atomic_int known; // 4: it is known; 1, 2: which there are
    int answer = atomic_load_explicit(&known, memory_order_relaxed);
    if (answer == 0) {
        unsigned a = 0, b, c = 0, d;
        answer = 4;
#if defined(__AVX512F__)
        answer |= __get_cpuid_count(7, 0, &a, &b, &c, &d) && (c >> 11 & 1) ? 1 : 0; // AVX512_VNNI
        answer |= __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 5 & 1) ? 2 : 0;  // AVX512_BF16
#else
        answer |= __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1) ? 1 : 0; // AVX-VNNI
#endif
        atomic_store_explicit(&known, answer, memory_order_relaxed);
    }
    return answer & (type == WEIGHT_BF16 ? 2 : 1);
#elif defined(__aarch64__) && defined(__ARM_NEON)
    return type != WEIGHT_BF16 && (getauxval(AT_HWCAP) >> 20 & 1); // ASIMDDP, from a table
#else
    (void)type;
    return false;
#endif
}

// Four neighbours of a row, for all lanes, as small_dot takes them.
struct small_four {
    vec_int even, odd; // with `dots`: all in even
};

VEC_INLINE struct small_four small_four(const float *row, int place, const bool dots) {
    int32_t word;
    memcpy(&word, row + place, sizeof word);
    const vec_int all = (vec_int){0} + word;
    if (dots) {
        return (struct small_four){all, all};
    }
#if defined(__AVX512F__)
    return (struct small_four){(vec_int)_mm512_srai_epi16(_mm512_slli_epi16((__m512i)all, 8), 8),
                               (vec_int)_mm512_srai_epi16((__m512i)all, 8)};
#elif defined(__AVX2__) && defined(__FMA__)
    return (struct small_four){(vec_int)_mm256_srai_epi16(_mm256_slli_epi16((__m256i)all, 8), 8),
                               (vec_int)_mm256_srai_epi16((__m256i)all, 8)};
#elif defined(__SSE2__)
    return (struct small_four){(vec_int)_mm_srai_epi16(_mm_slli_epi16((__m128i)all, 8), 8),
                               (vec_int)_mm_srai_epi16((__m128i)all, 8)};
#elif defined(__wasm_simd128__)
    return (struct small_four){(vec_int)wasm_i16x8_shr(wasm_i16x8_shl((v128_t)all, 8), 8),
                               (vec_int)wasm_i16x8_shr((v128_t)all, 8)};
#else
    return (struct small_four){all, all};
#endif
}

// Whether small_dot takes bytes of w as signed, so that q8_0 loses its 128 before. Elsewhere
// they are unsigned, and a sum begins with what is too much.
#if defined(__aarch64__) && defined(__ARM_NEON)
enum { SMALL_SIGNED = 1 };
#else
enum { SMALL_SIGNED = 0 };
#endif

// sum + w . x in each lane, which has four bytes of both. Pairs are multiplied in 16 bits each,
// which hold both factors, and added in 32.
VEC_INLINE vec_int small_dot(vec_int sum, vec_uint w, struct small_four x, const bool dots) {
#if defined(__AVX512F__)
    if (dots) {
        __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(w), "v"(x.even));
        return sum;
    }
    const __m512i even = _mm512_and_si512((__m512i)w, _mm512_set1_epi16(255));
    const __m512i odd = _mm512_srli_epi16((__m512i)w, 8);
    return sum + (vec_int)_mm512_madd_epi16(even, (__m512i)x.even) +
           (vec_int)_mm512_madd_epi16(odd, (__m512i)x.odd);
#elif defined(__AVX2__) && defined(__FMA__)
    if (dots) {
        __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(w), "x"(x.even));
        return sum;
    }
    const __m256i even = _mm256_and_si256((__m256i)w, _mm256_set1_epi16(255));
    const __m256i odd = _mm256_srli_epi16((__m256i)w, 8);
    return sum + (vec_int)_mm256_madd_epi16(even, (__m256i)x.even) +
           (vec_int)_mm256_madd_epi16(odd, (__m256i)x.odd);
#elif defined(__SSE2__)
    (void)dots;
    const __m128i even = _mm_and_si128((__m128i)w, _mm_set1_epi16(255));
    const __m128i odd = _mm_srli_epi16((__m128i)w, 8);
    return sum + (vec_int)_mm_madd_epi16(even, (__m128i)x.even) +
           (vec_int)_mm_madd_epi16(odd, (__m128i)x.odd);
#elif defined(__wasm_simd128__)
    (void)dots;
    const v128_t even = wasm_v128_and((v128_t)w, wasm_i16x8_splat(255));
    const v128_t odd = wasm_u16x8_shr((v128_t)w, 8);
    return sum + (vec_int)wasm_i32x4_dot_i16x8(even, (v128_t)x.even) +
           (vec_int)wasm_i32x4_dot_i16x8(odd, (v128_t)x.odd);
#elif defined(__aarch64__) && defined(__ARM_NEON)
    if (dots) {
        __asm__(".arch armv8.2-a+dotprod\n\tsdot %0.4s, %1.16b, %2.16b"
                : "+w"(sum)
                : "w"(w), "w"(x.even));
        return sum;
    }
    const int8x16_t a = (int8x16_t)w, b = (int8x16_t)x.even;
    const int32x4_t low = vpaddlq_s16(vmull_s8(vget_low_s8(a), vget_low_s8(b)));
    const int32x4_t high = vpaddlq_s16(vmull_s8(vget_high_s8(a), vget_high_s8(b)));
    return sum + (vec_int)vcombine_s32(vpadd_s32(vget_low_s32(low), vget_high_s32(low)),
                                       vpadd_s32(vget_low_s32(high), vget_high_s32(high)));
#else
    (void)dots;
    const vec_int word = x.even;
    return sum + (vec_int)(w & 255u) * (word << 24 >> 24) +
           (vec_int)(w >> 8 & 255u) * (word << 16 >> 24) +
           (vec_int)(w >> 16 & 255u) * (word << 8 >> 24) + (vec_int)(w >> 24) * (word >> 24);
#endif
}

// ---- scales -------------------------------------------------------------------------------------

// VEC numbers in float16, exactly.
VEC_INLINE vec small_scales(const uint8_t *at) {
#if defined(__AVX512F__)
    return (vec)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)at));
#elif defined(__AVX2__) && defined(__FMA__)
    return (vec)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)at));
#elif defined(__wasm_simd128__)
    const vec_uint bits = (vec_uint)wasm_i32x4_load16x4(at);
    return (vec)((vec_uint)((vec)(bits << 13 & 0x0fffe000u) * vec_splat(0x1p112f)) |
                 (bits & 0x80000000u));
#else
    uint16_t half[VEC];
    memcpy(half, at, sizeof half);
    const vec_uint bits = {half[0], half[1], half[2], half[3]};
    return (vec)((vec_uint)((vec)((bits & 0x7fffu) << 13) * vec_splat(0x1p112f)) | (bits & 0x8000u)
                                                                                       << 16);
#endif
}

VEC_INLINE float small_scale(const uint8_t *at) {
    uint16_t half;
    memcpy(&half, at, sizeof half);
    const uint32_t bits = (uint32_t)(half & 0x7fff) << 13;
    float size;
    memcpy(&size, &bits, sizeof size);
    size *= 0x1p112f;
    return half & 0x8000 ? -size : size;
}

// ---- products of bfloat16 numbers ---------------------------------------------------------------

// sums (rows, WIDE) = rows of rounded x times panels of w: a register tile. Rows beyond `last`
// repeat that.
VEC_INLINE void small_tile_bfloat16(float *sums, const int rows, const int panels, const bool dots,
                                    const float *x, int last, int C, const uint8_t *w) {
    const int words = SMALL_ROW_BFLOAT16(C);
    const size_t panel = (size_t)words * SMALL_OUTPUTS * 4;
    const float *row[SMALL_ROWS];
    vec acc[SMALL_ROWS][SMALL_PANELS * SMALL_VECS];
#pragma GCC unroll SMALL_ROWS
    for (int r = 0; r < rows; r++) {
        row[r] = x + (size_t)int_min(r, last) * (size_t)words;
#pragma GCC unroll SMALL_ACROSS
        for (int p = 0; p < panels * SMALL_VECS; p++) {
            acc[r][p] = vec_splat(0.0f);
        }
    }
#pragma GCC unroll 4
    for (int k = 0; k < words; k++, w += SMALL_OUTPUTS * 4) {
        vec_uint pair[SMALL_ROWS];
#pragma GCC unroll SMALL_ROWS
        for (int r = 0; r < rows; r++) {
            uint32_t word;
            memcpy(&word, row[r] + k, sizeof word);
            pair[r] = (vec_uint){0} + word;
        }
#pragma GCC unroll SMALL_ACROSS
        for (int p = 0; p < panels * SMALL_VECS; p++) {
            const uint8_t *at = w + (size_t)(p / SMALL_VECS) * panel + p % SMALL_VECS * VEC * 4;
            if (p % SMALL_VECS == 0) {
                __builtin_prefetch(at + SMALL_AHEAD);
            }
            vec_uint of_w;
            memcpy(&of_w, at, sizeof of_w);
#pragma GCC unroll SMALL_ROWS
            for (int r = 0; r < rows; r++) {
#if defined(__AVX512F__)
                if (dots) {
                    __asm__("vdpbf16ps %2, %1, %0" : "+v"(acc[r][p]) : "v"(of_w), "v"(pair[r]));
                    continue;
                }
#else
                (void)dots;
#endif
                acc[r][p] =
                    vec_fma((vec)(of_w & 0xffff0000u), (vec)(pair[r] & 0xffff0000u), acc[r][p]);
                acc[r][p] = vec_fma((vec)(of_w << 16), (vec)(pair[r] << 16), acc[r][p]);
            }
        }
    }
#pragma GCC unroll SMALL_ROWS
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll SMALL_ACROSS
        for (int p = 0; p < panels * SMALL_VECS; p++) {
            vec_store(sums + r * SMALL_WIDE + p * VEC, acc[r][p]);
        }
    }
}

// ---- products of blocks -------------------------------------------------------------------------

VEC_INLINE size_t small_block_bytes(const enum weight_type type) {
    const int eighths = type == WEIGHT_BF16 ? 16 : type == WEIGHT_Q8_0 ? 8 : 4;
    return (size_t)(SMALL_OUTPUTS * SMALL_BLOCK * eighths / 8);
}

// sums (rows, WIDE) = rows of quantised x times panels of w, whose scales are at `scales`: a
// register tile. Rows beyond `last` repeat that.
VEC_INLINE void small_tile(float *sums, const enum weight_type type, const int rows,
                           const int panels, const bool dots, const float *x, int last, int C,
                           const uint8_t *w, const uint8_t *scales) {
    enum { WORDS = SMALL_BLOCK / 4 };
    const int blocks = SMALL_BLOCKS(C), zero = type == WEIGHT_Q4_0 ? 8 : SMALL_SIGNED ? 0 : 128;
    const int groups = type == WEIGHT_Q8_0 ? WORDS : WORDS / 2;
    const size_t bytes = small_block_bytes(type), panel = (size_t)blocks * bytes;
    const size_t scales_panel = (size_t)blocks * SMALL_OUTPUTS * 2;
    const float *row[SMALL_ROWS];
    vec acc[SMALL_ROWS][SMALL_PANELS * SMALL_VECS];
#pragma GCC unroll SMALL_ROWS
    for (int r = 0; r < rows; r++) {
        row[r] = x + (size_t)int_min(r, last) * (size_t)SMALL_ROW(C);
#pragma GCC unroll SMALL_ACROSS
        for (int p = 0; p < panels * SMALL_VECS; p++) {
            acc[r][p] = vec_splat(0.0f);
        }
    }
    for (int b = 0; b < blocks; b++, w += bytes, scales += SMALL_OUTPUTS * 2) {
        vec_int sum[SMALL_ROWS][SMALL_PANELS * SMALL_VECS];
#pragma GCC unroll SMALL_ROWS
        for (int r = 0; r < rows; r++) {
            int32_t of_row;
            memcpy(&of_row, row[r] + blocks * (WORDS + 1) + b, sizeof of_row);
#pragma GCC unroll SMALL_ACROSS
            for (int p = 0; p < panels * SMALL_VECS; p++) {
                sum[r][p] = (vec_int){0} - zero * of_row;
            }
        }
#pragma GCC unroll SMALL_UNROLL
        for (int g = 0; g < groups; g++) {
            struct small_four four[SMALL_ROWS], high[SMALL_ROWS];
#pragma GCC unroll SMALL_ROWS
            for (int r = 0; r < rows; r++) {
                four[r] = small_four(row[r], b * WORDS + g, dots);
                high[r] = type == WEIGHT_Q8_0 ? four[r]
                                              : small_four(row[r], b * WORDS + g + WORDS / 2, dots);
            }
#pragma GCC unroll SMALL_ACROSS
            for (int p = 0; p < panels * SMALL_VECS; p++) {
                const uint8_t *at = w + (size_t)(p / SMALL_VECS) * panel + g * SMALL_OUTPUTS * 4 +
                                    p % SMALL_VECS * VEC * 4;
                if (p % SMALL_VECS == 0) {
                    __builtin_prefetch(at + SMALL_AHEAD);
                }
                vec_uint bytes_of;
                memcpy(&bytes_of, at, sizeof bytes_of);
                if (SMALL_SIGNED && type == WEIGHT_Q8_0) {
                    bytes_of ^= 0x80808080u;
                }
#pragma GCC unroll SMALL_ROWS
                for (int r = 0; r < rows; r++) {
                    if (type == WEIGHT_Q8_0) {
                        sum[r][p] = small_dot(sum[r][p], bytes_of, four[r], dots);
                    } else {
                        const vec_uint low = bytes_of & 0x0f0f0f0fu;
                        const vec_uint up = bytes_of >> 4 & 0x0f0f0f0fu;
                        sum[r][p] = small_dot(sum[r][p], low, four[r], dots);
                        sum[r][p] = small_dot(sum[r][p], up, high[r], dots);
                    }
                }
            }
        }
#pragma GCC unroll SMALL_ACROSS
        for (int p = 0; p < panels * SMALL_VECS; p++) {
            const vec of_w = small_scales(scales + (size_t)(p / SMALL_VECS) * scales_panel +
                                          p % SMALL_VECS * VEC * 2);
#pragma GCC unroll SMALL_ROWS
            for (int r = 0; r < rows; r++) {
                const vec scale = of_w * vec_splat(row[r][blocks * WORDS + b]);
                acc[r][p] += __builtin_convertvector(sum[r][p], vec) * scale;
            }
        }
    }
#pragma GCC unroll SMALL_ROWS
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll SMALL_ACROSS
        for (int p = 0; p < panels * SMALL_VECS; p++) {
            vec_store(sums + r * SMALL_WIDE + p * VEC, acc[r][p]);
        }
    }
}

// sums (rows, WIDE) = quantised x (rows, ROW(C)) times `panels` panels of w (O, C) from number
// `first` on. Sums have room for whole tiles.
VEC_INLINE void small_product(float *sums, const enum weight_type type, const bool dots,
                              const int panels, const float *x, int rows, const uint8_t *w, int O,
                              int C, int first) {
    const size_t blocks = (size_t)SMALL_BLOCKS(C), bytes = small_block_bytes(type);
    if (type == WEIGHT_BF16) {
        w += (size_t)first * blocks * bytes;
        if (rows == 1) {
            small_tile_bfloat16(sums, 1, panels, dots, x, 0, C, w);
        }
        for (int r = 0; r < rows && rows > 1; r += SMALL_ROWS) {
            small_tile_bfloat16(sums + r * SMALL_WIDE, SMALL_ROWS, panels, dots,
                                x + (size_t)r * SMALL_ROW_BFLOAT16(C), rows - r - 1, C, w);
        }
        return;
    }
    const uint8_t *scales = w + (size_t)DIVIDE_UP(O, SMALL_OUTPUTS) * blocks * bytes +
                            (size_t)first * blocks * SMALL_OUTPUTS * 2;
    w += (size_t)first * blocks * bytes;
    if (rows == 1) {
        small_tile(sums, type, 1, panels, dots, x, 0, C, w, scales);
        return;
    }
    for (int r = 0; r < rows; r += SMALL_ROWS) {
        small_tile(sums + r * SMALL_WIDE, type, SMALL_ROWS, panels, dots,
                   x + (size_t)r * SMALL_ROW(C), rows - r - 1, C, w, scales);
    }
}

VEC_INLINE void small_panels(float *sums, const enum weight_type type, const bool dots, int panels,
                             const float *x, int rows, const uint8_t *w, int O, int C, int first) {
    if (SMALL_PANELS == 1 || panels == SMALL_PANELS) { // else clang has the same tile twice
        small_product(sums, type, dots, SMALL_PANELS, x, rows, w, O, C, first);
    } else {
        small_product(sums, type, dots, 1, x, rows, w, O, C, first);
    }
}

#define SMALL_PRODUCT(name, type)                                                                  \
    PRODUCT_ONCE void name(float *sums, int panels, const float *x, int rows, const uint8_t *w,    \
                           int O, int C, int first) {                                              \
        if (small_dots(type)) {                                                                    \
            small_panels(sums, type, true, panels, x, rows, w, O, C, first);                       \
        } else {                                                                                   \
            small_panels(sums, type, false, panels, x, rows, w, O, C, first);                      \
        }                                                                                          \
    }
SMALL_PRODUCT(small_q8_0, WEIGHT_Q8_0)
SMALL_PRODUCT(small_q4_0, WEIGHT_Q4_0)
SMALL_PRODUCT(small_sums_bfloat16, WEIGHT_BF16)

// Subnormal numbers are 0, as VDPBF16PS takes them.
VEC_INLINE void small_bfloat16(float *sums, int panels, const float *x, int rows, const uint8_t *w,
                               int O, int C, int first) {
    const uint64_t before = flush_begin();
    small_sums_bfloat16(sums, panels, x, rows, w, O, C, first);
    flush_end(before);
}

// Where the panels of w (O, C) begin that a thread multiplies, for prefetching.
VEC_INLINE const float *small_part(const enum weight_type type, const uint8_t *w, int O, int C,
                                   int thread, int threads) {
    const struct range mine = share(DIVIDE_UP(O, SMALL_OUTPUTS), thread, threads);
    return (const float *)(const void *)(w + (size_t)mine.first * (size_t)SMALL_BLOCKS(C) *
                                                 small_block_bytes(type));
}

// VEC numbers from column c on of a row of a table w (V, C) in q8_0.
VEC_INLINE vec small_table_q8_0(const uint8_t *w, int V, int C, int row, int c) {
    const size_t blocks = (size_t)SMALL_BLOCKS(C), o = (size_t)row % SMALL_OUTPUTS;
    const size_t block = (size_t)row / SMALL_OUTPUTS * blocks + (size_t)(c / SMALL_BLOCK);
    const uint8_t *at = w + block * small_block_bytes(WEIGHT_Q8_0) + o * 4;
    const uint8_t *scales =
        w + (size_t)DIVIDE_UP(V, SMALL_OUTPUTS) * blocks * small_block_bytes(WEIGHT_Q8_0);
    const float scale = small_scale(scales + (block * SMALL_OUTPUTS + o) * 2);
    float x[VEC];
    for (int i = 0; i < VEC; i++) {
        const int k = c % SMALL_BLOCK + i;
        x[i] = (float)((int)at[k / 4 * SMALL_OUTPUTS * 4 + k % 4] - 128) * scale;
    }
    return vec_load(x);
}

// The same of one in bfloat16.
VEC_INLINE vec small_table_bfloat16(const uint8_t *w, int V, int C, int row, int c) {
    (void)V;
    const size_t blocks = (size_t)SMALL_BLOCKS(C), o = (size_t)row % SMALL_OUTPUTS;
    const uint8_t *at =
        w + (size_t)row / SMALL_OUTPUTS * blocks * small_block_bytes(WEIGHT_BF16) + o * 4;
    float x[VEC];
    for (int i = 0; i < VEC; i++) {
        const int k = c + i;
        uint16_t half;
        memcpy(&half, at + (size_t)(k / 2) * SMALL_OUTPUTS * 4 + k % 2 * 2, sizeof half);
        const uint32_t bits = (uint32_t)half << 16;
        memcpy(&x[i], &bits, sizeof bits);
    }
    return vec_load(x);
}

#endif
