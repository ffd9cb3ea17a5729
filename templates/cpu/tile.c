//// tile.c: the register tile that every matrix product is made of.
//$ function tile(k)
enum { TILE_ROWS = $(k.tile_rows), TILE_VECS = $(k.tile_vecs), TILE_COLS = TILE_VECS * VEC };

// acc (rows, vecs) += a (rows, depth) b (depth, vecs): element (i, k) of a lies at a[i * a_row + k
// * a_k], a row of b at b + k * b_k. rows and vecs are constants where this is inlined, so acc
// stays in registers.
VEC_INLINE void tile_multiply(vec acc[TILE_ROWS][TILE_VECS], const int rows, const int vecs,
                              int depth, const float *a, ptrdiff_t a_row, ptrdiff_t a_k,
                              const float *b, ptrdiff_t b_k) {
    for (int k = 0; k < depth; k++) {
        vec bk[TILE_VECS];
#pragma GCC unroll 4
        for (int v = 0; v < vecs; v++) {
            bk[v] = vec_load(b + v * VEC);
        }
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) {
            vec ai = vec_splat(a[i * a_row]);
#pragma GCC unroll 4
            for (int v = 0; v < vecs; v++) {
                acc[i][v] = vec_fma(ai, bk[v], acc[i][v]);
            }
        }
        a += a_k;
        b += b_k;
    }
}

VEC_INLINE void tile_zero(vec acc[TILE_ROWS][TILE_VECS], const int rows, const int vecs) {
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) {
#pragma GCC unroll 4
        for (int v = 0; v < vecs; v++) {
            acc[i][v] = vec_splat(0.0f);
        }
    }
}

// The last of a row's vectors holds `last` columns; what lies beyond is not touched.
VEC_INLINE void tile_load(vec acc[TILE_ROWS][TILE_VECS], const int rows, const int vecs,
                          const int last, const float *from, ptrdiff_t stride) {
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) {
#pragma GCC unroll 4
        for (int v = 0; v < vecs; v++) {
            acc[i][v] = vec_load_n(from + i * stride + v * VEC, v == vecs - 1 ? last : VEC);
        }
    }
}

VEC_INLINE void tile_store(vec acc[TILE_ROWS][TILE_VECS], const int rows, const int vecs,
                           const int last, float *to, ptrdiff_t stride) {
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) {
#pragma GCC unroll 4
        for (int v = 0; v < vecs; v++) {
            vec_store_n(to + i * stride + v * VEC, acc[i][v], v == vecs - 1 ? last : VEC);
        }
    }
}

// Copies `columns` of each of `depth` rows into rows of `width` floats, 0 behind them.
VEC_INLINE void tile_pack(float *to, const int width, const float *from, ptrdiff_t stride,
                          int depth, const int columns) {
    for (int k = 0; k < depth; k++) {
        for (int c = 0; c < width; c += VEC) {
            vec v = c < columns ? row_load(from + k * stride, c, columns) : vec_splat(0.0f);
            row_store(to + (size_t)k * width, c, width, v);
        }
    }
}

// to (columns) += the sum of the rows of a packed tile, in order.
__attribute__((unused)) static void tile_add_rows(float *to, const float *packed, int depth,
                                                  int columns) {
    for (int c = 0; c < columns; c++) {
        float sum = to[c];
        for (int k = 0; k < depth; k++) {
            sum += packed[k * TILE_ROWS + c];
        }
        to[c] = sum;
    }
}

// Copies `rows` rows of `depth` floats, turned, into depth rows of `width` floats, 0 behind them.
__attribute__((unused)) static void tile_pack_turned(float *to, int width, const float *from,
                                                     ptrdiff_t stride, int depth, int rows) {
    for (int k = 0; k < depth; k += 4) {
        float *at = to + (size_t)k * width;
        const int fours = depth - k >= 4 ? rows / 4 * 4 : 0;
        for (int r = 0; r < fours; r += 4) {
            vec_turn_4x4(at + r, width, from + r * stride + k, stride);
        }
        for (int i = k; i < int_min(k + 4, depth); i++, at += width) {
            for (int r = fours; r < width; r++) {
                at[r] = r < rows ? from[r * stride + i] : 0.0f;
            }
        }
    }
}

// Calls tile(..., rows, vecs, last) with the constants of a whole tile, or of the last row or
// panel.
#define TILE_CASES(tile, i, p, ROWS, COLS, ...)                                                    \
    do {                                                                                           \
        enum { LAST_COLS = ((COLS)-1) % TILE_COLS + 1 };                                           \
        enum { LAST_VECS = DIVIDE_UP(LAST_COLS, VEC), LAST = LAST_COLS - (LAST_VECS - 1) * VEC };  \
        const bool rows_whole = (ROWS) % TILE_ROWS == 0 || (i) + TILE_ROWS <= (ROWS);              \
        const bool cols_whole = ((p) + 1) * TILE_COLS <= (COLS);                                   \
        if (rows_whole && cols_whole) {                                                            \
            tile(__VA_ARGS__, i, p, TILE_ROWS, TILE_VECS, VEC);                                    \
        } else if (rows_whole) {                                                                   \
            tile(__VA_ARGS__, i, p, TILE_ROWS, LAST_VECS, LAST);                                   \
        } else if (cols_whole) {                                                                   \
            tile(__VA_ARGS__, i, p, (ROWS) % TILE_ROWS, TILE_VECS, VEC);                           \
        } else {                                                                                   \
            tile(__VA_ARGS__, i, p, (ROWS) % TILE_ROWS, LAST_VECS, LAST);                          \
        }                                                                                          \
    } while (0)
//$ end
