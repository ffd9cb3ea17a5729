// panel.h: packing pieces of a matrix into panels that a register tile reads in order; prefetching;
// sums over rows.
#ifndef DIECAST_PANEL_H
#define DIECAST_PANEL_H

#include "runtime/kernel/kernel.h"

// Transposes VEC x VEC floats: to[c * to_stride + r] = from[r * from_stride + c].
VEC_INLINE void panel_transpose(float *to, ptrdiff_t to_stride, const float *from,
                                ptrdiff_t from_stride) {
#if defined(__AVX512F__)
    __m512 a[16], b[16];
#pragma GCC unroll 16
    for (int r = 0; r < 16; r++) {
        a[r] = _mm512_loadu_ps(from + r * from_stride);
    }
    // Interleaves pairs of rows, then fours, within each 128 bits; then exchanges 128-bit quarters.
#pragma GCC unroll 8
    for (int r = 0; r < 16; r += 2) {
        b[r] = _mm512_unpacklo_ps(a[r], a[r + 1]);
        b[r + 1] = _mm512_unpackhi_ps(a[r], a[r + 1]);
    }
#pragma GCC unroll 4
    for (int r = 0; r < 16; r += 4) {
        const __m512d low = (__m512d)b[r], high = (__m512d)b[r + 1];
        a[r] = (__m512)_mm512_unpacklo_pd(low, (__m512d)b[r + 2]);
        a[r + 1] = (__m512)_mm512_unpackhi_pd(low, (__m512d)b[r + 2]);
        a[r + 2] = (__m512)_mm512_unpacklo_pd(high, (__m512d)b[r + 3]);
        a[r + 3] = (__m512)_mm512_unpackhi_pd(high, (__m512d)b[r + 3]);
    }
#pragma GCC unroll 4
    for (int c = 0; c < 4; c++) {
        const __m512 p = _mm512_shuffle_f32x4(a[c], a[c + 4], 0x88);
        const __m512 q = _mm512_shuffle_f32x4(a[c + 8], a[c + 12], 0x88);
        const __m512 s = _mm512_shuffle_f32x4(a[c], a[c + 4], 0xdd);
        const __m512 t = _mm512_shuffle_f32x4(a[c + 8], a[c + 12], 0xdd);
        _mm512_storeu_ps(to + c * to_stride, _mm512_shuffle_f32x4(p, q, 0x88));
        _mm512_storeu_ps(to + (c + 4) * to_stride, _mm512_shuffle_f32x4(s, t, 0x88));
        _mm512_storeu_ps(to + (c + 8) * to_stride, _mm512_shuffle_f32x4(p, q, 0xdd));
        _mm512_storeu_ps(to + (c + 12) * to_stride, _mm512_shuffle_f32x4(s, t, 0xdd));
    }
#elif defined(__AVX2__) && defined(__FMA__)
    __m256 a[8], b[8];
#pragma GCC unroll 8
    for (int r = 0; r < 8; r++) {
        a[r] = _mm256_loadu_ps(from + r * from_stride);
    }
#pragma GCC unroll 4
    for (int r = 0; r < 8; r += 2) {
        b[r] = _mm256_unpacklo_ps(a[r], a[r + 1]);
        b[r + 1] = _mm256_unpackhi_ps(a[r], a[r + 1]);
    }
#pragma GCC unroll 2
    for (int r = 0; r < 8; r += 4) {
        a[r] = _mm256_shuffle_ps(b[r], b[r + 2], 0x44);
        a[r + 1] = _mm256_shuffle_ps(b[r], b[r + 2], 0xee);
        a[r + 2] = _mm256_shuffle_ps(b[r + 1], b[r + 3], 0x44);
        a[r + 3] = _mm256_shuffle_ps(b[r + 1], b[r + 3], 0xee);
    }
#pragma GCC unroll 4
    for (int c = 0; c < 4; c++) {
        _mm256_storeu_ps(to + c * to_stride, _mm256_permute2f128_ps(a[c], a[c + 4], 0x20));
        _mm256_storeu_ps(to + (c + 4) * to_stride, _mm256_permute2f128_ps(a[c], a[c + 4], 0x31));
    }
#else
    vec_transpose_4x4(to, to_stride, from, from_stride);
#endif
}

// A piece (depth, wide) of a weight, packed as one panel: its first column is p * WIDE, and its
// first index in the inner dimension is `from`. `offset` is where it begins in the weight.
struct piece {
    int p, from, depth, wide;
    size_t offset;
};

// Prefetches a matrix in steps, beside other work: `rows` rows of `lines` cache lines each.
struct prefetch {
    const float *row;
    ptrdiff_t stride;
    int lines, rows, each; // each: lines a step
    int line;
};

enum { PREFETCH_LINE = 16 }; // floats

VEC_INLINE struct prefetch prefetch_of(const float *from, ptrdiff_t stride, int rows, int columns,
                                       int steps) {
    const int lines = DIVIDE_UP(columns, PREFETCH_LINE);
    return (struct prefetch){from, stride, lines, rows, DIVIDE_UP(rows * lines, steps), 0};
}

VEC_INLINE void prefetch_some(struct prefetch *f) {
    for (int i = 0; i < f->each && f->rows > 0; i++) {
        __builtin_prefetch(f->row + f->line * PREFETCH_LINE);
        if (++f->line == f->lines) {
            f->line = 0;
            f->row += f->stride;
            f->rows--;
        }
    }
}

// to (depth, width) = from (depth, columns), padded with 0 to whole vectors.
VEC_INLINE void pack_rows(float *to, const int width, const float *from, ptrdiff_t stride,
                          int depth, int columns) {
    if (columns == width) {
        for (int k = 0; k < depth; k++) {
#pragma GCC unroll 4
            for (int c = 0; c < width; c += VEC) {
                vec_store(to + (size_t)k * width + c, vec_load(from + k * stride + c));
            }
        }
        return;
    }
    for (int k = 0; k < depth; k++) {
        for (int c = 0; c < columns; c += VEC) {
            const int lanes = int_min(VEC, columns - c);
            vec_store(to + (size_t)k * width + c, vec_load_n(from + k * stride + c, lanes));
        }
    }
}

// The part of a transpose, to (depth, rows) of from (rows, depth), that is whole VEC x VEC blocks.
VEC_INLINE void transpose_blocks(float *to, ptrdiff_t to_stride, const float *from,
                                 ptrdiff_t stride, int depth, int rows) {
    for (int r = 0; r + VEC <= rows; r += VEC) {
        for (int k = 0; k + VEC <= depth; k += VEC) {
            panel_transpose(to + k * to_stride + r, to_stride, from + r * stride + k, stride);
        }
    }
}

// to (depth, rows) = the transpose of from (rows, depth).
VEC_INLINE void transpose(float *to, ptrdiff_t to_stride, const float *from, ptrdiff_t stride,
                          int depth, int rows) {
    const int whole_rows = rows / VEC * VEC, whole_depth = depth / VEC * VEC;
    transpose_blocks(to, to_stride, from, stride, depth, rows);
    for (int k = 0; k < depth; k++) {
        for (int r = k < whole_depth ? whole_rows : 0; r < rows; r++) {
            to[k * to_stride + r] = from[r * stride + k];
        }
    }
}

// to (depth, width) = the transpose of from (rows, depth), padded with 0 to whole vectors.
VEC_INLINE void pack_transposed(float *to, const int width, const float *from, ptrdiff_t stride,
                                int depth, int rows) {
    const int whole_rows = rows / VEC * VEC, whole_depth = depth / VEC * VEC;
    transpose_blocks(to, width, from, stride, depth, rows);
    if (rows == whole_rows && depth == whole_depth) {
        return;
    }
    const int end = DIVIDE_UP(rows, VEC) * VEC;
    for (int k = 0; k < depth; k++) {
        for (int r = k < whole_depth ? whole_rows : 0; r < end; r++) {
            to[(size_t)k * width + r] = r < rows ? from[r * stride + k] : 0.0f;
        }
    }
}

// Sets a range of columns of x (rows, columns) to 0; `groups` counts groups of VEC columns.
VEC_INLINE void clear_columns(float *x, int rows, int columns, ptrdiff_t stride,
                              struct range groups) {
    for (int n = 0; n < rows; n++) {
        for (int g = groups.first; g < groups.last; g++) {
            const int c = g * VEC;
            vec_store_n(x + n * stride + c, vec_splat(0.0f), int_min(VEC, columns - c));
        }
    }
}

// sums (columns) += the rows of x (rows, columns), in order, or = if `first`; for a range of
// columns, where `groups` counts groups of VEC columns.
__attribute__((unused)) static void sum_rows(float *sums, const float *x, int rows, int columns,
                                             ptrdiff_t stride, bool first, struct range groups) {
    for (int g = groups.first; g < groups.last; g++) {
        const int c = g * VEC, lanes = int_min(VEC, columns - c);
        vec sum = first ? vec_splat(0.0f) : vec_load_n(sums + c, lanes);
        for (int n = 0; n < rows; n++) {
            sum += vec_load_n(x + n * stride + c, lanes);
        }
        vec_store_n(sums + c, sum, lanes);
    }
}

#endif
