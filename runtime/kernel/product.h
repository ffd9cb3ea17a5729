// product.h: the sampler's products. Weights w (O, C) are read as the checkpoint has them, a row
// for each output. One or a few rows of activations are dot products, which read w once; many rows
// are a product of register tiles, for which w is packed and transposed one panel at a time.
#ifndef DIECAST_PRODUCT_H
#define DIECAST_PRODUCT_H

#include "runtime/kernel/panel.h"

enum {
    PRODUCT_ROWS = VEC == 16 ? 12 : 6, // the register tile: ROWS rows of two vectors
    PRODUCT_COLS = 2 * VEC,
    PRODUCT_DEPTH = 256, // of a panel: DEPTH x COLS floats stay in L1
    PRODUCT_FEW = 4,     // rows up to which a product is dot products
    PRODUCT_AHEAD = 2048 // bytes by which dot products prefetch ahead of where they read
};

// to (rows, COLS) = or, with `add`, += a (rows, depth) b (depth, COLS). Rows are to_row, a_row and
// b_row floats apart.
VEC_INLINE void product_tile(float *to, ptrdiff_t to_row, const int rows, bool add, const float *a,
                             ptrdiff_t a_row, int depth, const float *b, ptrdiff_t b_row) {
    vec acc[PRODUCT_ROWS][2];
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++) {
        acc[i][0] = add ? vec_load(to + i * to_row) : vec_splat(0.0f);
        acc[i][1] = add ? vec_load(to + i * to_row + VEC) : vec_splat(0.0f);
    }
    for (int k = 0; k < depth; k++, b += b_row) {
        const vec b0 = vec_load(b), b1 = vec_load(b + VEC);
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
__attribute__((noinline, unused)) static void product_add(float *to, ptrdiff_t to_row, int rows,
                                                          bool add, const float *a, ptrdiff_t a_row,
                                                          int depth, const float *b,
                                                          ptrdiff_t b_row) {
    if (rows == 1) {
        product_tile(to, to_row, 1, add, a, a_row, depth, b, b_row);
    } else if (rows <= PRODUCT_FEW) {
        product_tile(to, to_row, PRODUCT_FEW, add, a, a_row, depth, b, b_row);
    } else {
        product_tile(to, to_row, PRODUCT_ROWS, add, a, a_row, depth, b, b_row);
    }
}

// sums (rows, COLS) = x (rows, C) w (cols, C)^T, as dot products with one row of w after another;
// `rows` is 1 or PRODUCT_FEW. Rows of x beyond `last_row` repeat it.
VEC_INLINE void product_dots(float *sums, const float *x, const int rows, int last_row,
                             const float *w, int cols, const int C) {
    for (int o = 0; o < cols; o++, w += C) {
        vec acc[PRODUCT_FEW][4] = {{{0}}};
        for (int c = 0; c < C; c += 4 * VEC) {
#pragma GCC unroll 4
            for (int v = 0; v < 4; v++) {
                if (c + v * VEC < C) {
                    __builtin_prefetch((const char *)(w + c + v * VEC) + PRODUCT_AHEAD);
                    const vec wc = row_load(w, c + v * VEC, C);
#pragma GCC unroll 4
                    for (int r = 0; r < rows; r++) {
                        const float *x_row = x + (size_t)int_min(r, last_row) * C;
                        acc[r][v] = vec_fma(row_load(x_row, c + v * VEC, C), wc, acc[r][v]);
                    }
                }
            }
        }
#pragma GCC unroll 4
        for (int r = 0; r < rows; r++) {
            sums[r * PRODUCT_COLS + o] = vec_sum((acc[r][0] + acc[r][1]) + (acc[r][2] + acc[r][3]));
        }
    }
}

// sums (rows, COLS) = x (rows, C) w (cols, C)^T in tiles; `rows` is rounded up to whole tiles,
// which sums must have room for. If `more`, the panel of w behind this one is prefetched meanwhile.
__attribute__((noinline, unused)) static void
product_tiles(float *sums, const float *x, int rows, const float *w, int cols, int C, bool more) {
    _Alignas(64) float panel[PRODUCT_DEPTH * PRODUCT_COLS],
        rest[PRODUCT_ROWS * PRODUCT_DEPTH] = {0};
    const int tiles = DIVIDE_UP(rows, PRODUCT_ROWS);
    for (int k = 0; k < C; k += PRODUCT_DEPTH) {
        const int depth = int_min(PRODUCT_DEPTH, C - k);
        pack_transposed(panel, PRODUCT_COLS, w + k, C, depth, cols);
        const bool last = k + depth == C;
        const float *next = last ? w + (size_t)cols * C : w + k + depth;
        for (int t = 0; t < tiles; t++) {
            const float *a = x + (size_t)t * PRODUCT_ROWS * C + k;
            float *to = sums + t * PRODUCT_ROWS * PRODUCT_COLS;
            if (!last || more) {
                const struct range ahead = share(cols, t, tiles);
                for (int o = ahead.first; o < ahead.last; o++) {
                    for (int i = 0; i < PRODUCT_DEPTH; i += 16) {
                        __builtin_prefetch(next + (size_t)o * C + i, 0, 2);
                    }
                }
            }
            const int some = int_min(PRODUCT_ROWS, rows - t * PRODUCT_ROWS);
            for (int i = 0; i < some && some < PRODUCT_ROWS; i++) { // padded to a whole tile
                memcpy(rest + i * PRODUCT_DEPTH, a + (size_t)i * C, (size_t)depth * sizeof *rest);
            }
            product_add(to, PRODUCT_COLS, some, k > 0, some < PRODUCT_ROWS ? rest : a,
                        some < PRODUCT_ROWS ? PRODUCT_DEPTH : C, depth, panel, PRODUCT_COLS);
        }
    }
}

// sums (rows, COLS) = x (rows, C) w (cols, C)^T: one panel of outputs.
VEC_INLINE void product_panel(float *sums, const float *x, int rows, const float *w, int cols,
                              const int C, bool more) {
    if (rows == 1) {
        product_dots(sums, x, 1, 0, w, cols, C);
    } else if (rows <= PRODUCT_FEW) {
        product_dots(sums, x, PRODUCT_FEW, rows - 1, w, cols, C);
    } else {
        product_tiles(sums, x, rows, w, cols, C, more);
    }
}

// The panels of outputs that a thread computes.
VEC_INLINE struct range product_share(int O, int thread, int threads) {
    return share(DIVIDE_UP(O, PRODUCT_COLS), thread, threads);
}

// Where a thread's part of w (O, C) begins, for prefetching.
VEC_INLINE const float *product_part(const float *w, int O, int C, int thread, int threads) {
    return w + (size_t)product_share(O, thread, threads).first * PRODUCT_COLS * C;
}

#endif
