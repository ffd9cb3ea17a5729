// product.h: the sampler's products. Weights w (O, C) are read as the checkpoint has them, a row
// for each output, in place: each sum is a dot product of a row of activations and a row of w,
// added up in one order, however many rows there are. Attention's products, whose right side lies
// transposed in the cache, are register tiles of their own.
#ifndef DIECAST_PRODUCT_H
#define DIECAST_PRODUCT_H

#include "runtime/kernel/kernel.h"

#include <float.h>

#if defined(__AVX512F__) || defined(__ARM_NEON)
enum { DOT_REGISTERS = 32 }; // of vectors
#else
enum { DOT_REGISTERS = 16 };
#endif

// A function of which there is one copy, for all sizes: a sampler is to be small.
#if defined(__clang__)
#define PRODUCT_ONCE __attribute__((noinline, unused)) static
#else
#define PRODUCT_ONCE __attribute__((noinline, noclone, unused)) static
#endif

enum {
    PRODUCT_ROWS = VEC == 16 ? 12 : 6, // attention's register tile: ROWS rows of two vectors
    PRODUCT_COLS = 2 * VEC,
    PRODUCT_DEPTH = 256, // of a head's columns at a time: DEPTH x COLS floats stay in L1
    PRODUCT_FEW = 4,     // rows that are a tile of their own

    DOT_ROWS = 4, // the register tile of dot products
    DOT_COLS = DOT_REGISTERS == 32 ? 6 : 3,
    DOT_PANEL = 3 * VEC, // outputs of a panel
    DOT_DEPTH = 1024,    // columns at a time, of which a panel and a block of rows stay in L2
    DOT_BLOCK = 64,      // rows of a block
    DOT_AHEAD = 2048     // bytes by which a single row's products prefetch ahead
};

// The nearest bfloat16 number, ties to even; NaN stays NaN. And such a number as a float.
VEC_INLINE uint16_t bfloat16_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
    return (uint16_t)((nan ? bits | 0x00400000u : bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

VEC_INLINE float bfloat16_float(uint16_t number) {
    const uint32_t bits = (uint32_t)number << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

// VEC numbers from number `at` on, which are floats or in bfloat16.
VEC_INLINE vec product_load(const void *from, ptrdiff_t at, const bool brain) {
    if (!brain) {
        return vec_load((const float *)from + at);
    }
    const uint16_t *number = (const uint16_t *)from + at;
#if defined(__AVX512F__)
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)number));
    return (vec)_mm512_slli_epi32(wide, 16);
#elif defined(__AVX2__) && defined(__FMA__)
    const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)number));
    return (vec)_mm256_slli_epi32(wide, 16);
#else
    const vec_uint bits = {number[0], number[1], number[2], number[3]};
    return (vec)(bits << 16);
#endif
}

// to (rows, COLS) = or, with `add`, += a (rows, depth) b (depth, COLS), where b is of floats or,
// with `brain`, in bfloat16. Rows are to_row, a_row and b_row numbers apart.
VEC_INLINE void product_tile(float *to, ptrdiff_t to_row, const int rows, bool add, const float *a,
                             ptrdiff_t a_row, int depth, const void *b, ptrdiff_t b_row,
                             const bool brain) {
    vec acc[PRODUCT_ROWS][2];
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++) {
        acc[i][0] = add ? vec_load(to + i * to_row) : vec_splat(0.0f);
        acc[i][1] = add ? vec_load(to + i * to_row + VEC) : vec_splat(0.0f);
    }
    for (int k = 0; k < depth; k++) {
        const vec b0 = product_load(b, k * b_row, brain);
        const vec b1 = product_load(b, k * b_row + VEC, brain);
#pragma GCC unroll 12
        for (int i = 0; i < rows; i++) {
            const vec ai = vec_splat(a[i * a_row + k]);
            acc[i][0] = vec_fma(ai, b0, acc[i][0]);
            acc[i][1] = vec_fma(ai, b1, acc[i][1]);
        }
    }
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++) {
        vec_store(to + i * to_row, acc[i][0]);
        vec_store(to + i * to_row + VEC, acc[i][1]);
    }
}

// The same with `rows` rounded up to 1, PRODUCT_FEW or PRODUCT_ROWS.
VEC_INLINE void product_tiles(float *to, ptrdiff_t to_row, int rows, bool add, const float *a,
                              ptrdiff_t a_row, int depth, const void *b, ptrdiff_t b_row,
                              const bool brain) {
    if (rows == 1) {
        product_tile(to, to_row, 1, add, a, a_row, depth, b, b_row, brain);
    } else if (rows <= PRODUCT_FEW) {
        product_tile(to, to_row, PRODUCT_FEW, add, a, a_row, depth, b, b_row, brain);
    } else {
        product_tile(to, to_row, PRODUCT_ROWS, add, a, a_row, depth, b, b_row, brain);
    }
}

PRODUCT_ONCE void product_add_float32(float *to, ptrdiff_t to_row, int rows, bool add,
                                      const float *a, ptrdiff_t a_row, int depth, const float *b,
                                      ptrdiff_t b_row) {
    product_tiles(to, to_row, rows, add, a, a_row, depth, b, b_row, false);
}

PRODUCT_ONCE void product_add_bfloat16(float *to, ptrdiff_t to_row, int rows, bool add,
                                       const float *a, ptrdiff_t a_row, int depth,
                                       const uint16_t *b, ptrdiff_t b_row) {
    product_tiles(to, to_row, rows, add, a, a_row, depth, b, b_row, true);
}

// By the type of b.
#define product_add(to, to_row, rows, add, a, a_row, depth, b, b_row)                              \
    _Generic((b), const float *: product_add_float32, const uint16_t *: product_add_bfloat16)(     \
        to, to_row, rows, add, a, a_row, depth, b, b_row)

// to[i * stride] = or, with `add`, += the sum over the lanes of v[i], as vec_sum adds them up: four
// of them in the time of two.
VEC_INLINE void dot_store(float *to, ptrdiff_t stride, bool add, const vec v[4]) {
    float sum[4];
#if defined(__AVX512F__)
    const __m512 a = (__m512)v[0], b = (__m512)v[1], c = (__m512)v[2], d = (__m512)v[3];
    const __m512 ab =
        _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
    const __m512 cd =
        _mm512_add_ps(_mm512_shuffle_f32x4(c, d, 0x44), _mm512_shuffle_f32x4(c, d, 0xee));
    __m512 all =
        _mm512_add_ps(_mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xdd));
    all = _mm512_add_ps(all, _mm512_permute_ps(all, 0x4e));
    all = _mm512_add_ps(all, _mm512_permute_ps(all, 0xb1));
    _mm_storeu_ps(sum, _mm512_castps512_ps128(_mm512_maskz_compress_ps(0x1111, all)));
#elif defined(__AVX2__) && defined(__FMA__)
    const __m256 a = (__m256)v[0], b = (__m256)v[1], c = (__m256)v[2], d = (__m256)v[3];
    const __m256 ac =
        _mm256_add_ps(_mm256_permute2f128_ps(a, c, 0x20), _mm256_permute2f128_ps(a, c, 0x31));
    const __m256 bd =
        _mm256_add_ps(_mm256_permute2f128_ps(b, d, 0x20), _mm256_permute2f128_ps(b, d, 0x31));
    const __m256 all =
        _mm256_add_ps(_mm256_shuffle_ps(ac, bd, 0x44), _mm256_shuffle_ps(ac, bd, 0xee));
    const __m256 one = _mm256_add_ps(all, _mm256_permute_ps(all, 0xb1));
    _mm_storeu_ps(sum,
                  _mm_shuffle_ps(_mm256_castps256_ps128(one), _mm256_extractf128_ps(one, 1), 0x88));
#else
    for (int i = 0; i < 4; i++) {
        sum[i] = vec_sum(v[i]);
    }
#endif
    for (int i = 0; i < 4; i++) {
        to[i * stride] = add ? to[i * stride] + sum[i] : sum[i];
    }
}

// One step of a dot product: VEC columns, or the `lanes` last ones.
VEC_INLINE vec dot_load(const float *row, int lanes) {
    return lanes == VEC ? vec_load(row) : vec_load_n(row, lanes);
}

// sums (cols) = a row of x (C) times the rows of w (cols, C), one after another, so that w is read
// from end to end.
static inline void dot_row(float *sums, const float *x, const float *w, int cols, int C) {
    for (int o = 0; o < cols; o++) {
        float sum = 0.0f;
        for (int k = 0; k < C; k += DOT_DEPTH) {
            const int end = int_min(k + DOT_DEPTH, C);
            vec acc = vec_splat(0.0f);
            int c = k;
#pragma GCC unroll 4
            for (; c + VEC <= end; c += VEC, w += VEC) {
                __builtin_prefetch((const char *)w + DOT_AHEAD);
                acc = vec_fma(vec_load(x + c), vec_load(w), acc);
            }
            if (c < end) {
                acc = vec_fma(vec_load_n(x + c, end - c), vec_load_n(w, end - c), acc);
                w += end - c;
            }
            sum = k > 0 ? sum + vec_sum(acc) : vec_sum(acc);
        }
        sums[o] = sum;
    }
}

// sums (ROWS, PANEL) = or, with `add`, += x (ROWS, depth) w (COLS, depth)^T: a register tile. Rows
// of x beyond `last_x` and of w beyond `last_w` repeat these. Meanwhile a cache line of each of the
// rows `ahead` of the next piece of w is prefetched.
VEC_INLINE void dot_tile(float *sums, bool add, const float *x, int last_x, const float *w,
                         int last_w, int depth, int C, const float *next, struct range ahead) {
    const float *x_row[DOT_ROWS], *w_row[DOT_COLS];
    vec acc[DOT_COLS][DOT_ROWS];
#pragma GCC unroll 4
    for (int r = 0; r < DOT_ROWS; r++) {
        x_row[r] = x + (size_t)int_min(r, last_x) * C;
    }
#pragma GCC unroll 8
    for (int o = 0; o < DOT_COLS; o++) {
        w_row[o] = w + (size_t)int_min(o, last_w) * C;
#pragma GCC unroll 4
        for (int r = 0; r < DOT_ROWS; r++) {
            acc[o][r] = vec_splat(0.0f);
        }
    }
    for (int c = 0; c < depth; c += VEC) {
        for (int i = ahead.first; i < ahead.last; i++) {
            __builtin_prefetch(next + (size_t)i * C + c);
        }
        const int lanes = int_min(VEC, depth - c);
        vec xc[DOT_ROWS];
#pragma GCC unroll 4
        for (int r = 0; r < DOT_ROWS; r++) {
            xc[r] = dot_load(x_row[r] + c, lanes);
        }
#pragma GCC unroll 8
        for (int o = 0; o < DOT_COLS; o++) {
            const vec wc = dot_load(w_row[o] + c, lanes);
#pragma GCC unroll 4
            for (int r = 0; r < DOT_ROWS; r++) {
                acc[o][r] = vec_fma(xc[r], wc, acc[o][r]);
            }
        }
    }
#pragma GCC unroll 8
    for (int o = 0; o < DOT_COLS; o++) {
        dot_store(sums + o, DOT_PANEL, add, acc[o]);
    }
}

// The same for `rows` rows and `cols` outputs. Sums have room for whole tiles of both.
static inline void dot_block(float *sums, bool add, const float *x, int rows, const float *w,
                             int cols, int depth, int C, const float *next, int next_cols) {
    const int tiles = DIVIDE_UP(rows, DOT_ROWS);
    for (int o = 0; o < cols; o += DOT_COLS) {
        const bool inside = o + DOT_COLS < cols;
        const float *ahead = inside ? w + (size_t)(o + DOT_COLS) * C : next;
        const int lines = inside ? int_min(DOT_COLS, cols - o - DOT_COLS) : next_cols;
        for (int t = 0; t < tiles; t++) {
            const int row = t * DOT_ROWS;
            dot_tile(sums + row * DOT_PANEL + o, add, x + (size_t)row * C, rows - row - 1,
                     w + (size_t)o * C, cols - o - 1, depth, C, ahead, share(lines, t, tiles));
        }
    }
}

// sums (rows, PANEL) = x (rows, C) w (cols, C)^T: one panel of outputs. A sum is a chain of
// multiply-adds in each lane over DEPTH columns, then over the lanes, then over what follows: it
// depends neither on `rows` nor on `cols`. If `more`, the panel of w behind this one is prefetched
// at the end.
PRODUCT_ONCE void product_panel(float *sums, const float *x, int rows, const float *w, int cols,
                                int C, bool more) {
    if (rows == 1) {
        dot_row(sums, x, w, cols, C);
        return;
    }
    for (int k = 0; k < C; k += DOT_DEPTH) {
        const int depth = int_min(DOT_DEPTH, C - k);
        const bool last = k + depth == C;
        for (int row = 0; row < rows; row += DOT_BLOCK) {
            const bool again = row + DOT_BLOCK < rows;
            dot_block(sums + row * DOT_PANEL, k > 0, x + (size_t)row * C + k,
                      int_min(DOT_BLOCK, rows - row), w + k, cols, depth, C,
                      last ? w + (size_t)cols * C : w + k + depth,
                      again || (last && !more) ? 0 : DOT_COLS);
        }
    }
}

// The outputs that a thread computes, in whole vectors.
VEC_INLINE struct range product_share(int O, int thread, int threads) {
    const struct range vecs = share(DIVIDE_UP(O, VEC), thread, threads);
    return (struct range){vecs.first * VEC, int_min(vecs.last * VEC, O)};
}

// Where a thread's part of w (O, C) begins, for prefetching.
VEC_INLINE const float *product_part(const float *w, int O, int C, int thread, int threads) {
    return w + (size_t)product_share(O, thread, threads).first * C;
}

#endif
