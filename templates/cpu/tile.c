//// tile.c: the register tile that every matrix product is made of.
//$ function tile(k)
// The most that a register tile has; a product may take fewer vectors.
enum { TILE_ROWS = $(k.tile_rows), TILE_VECS = $(k.tile_vecs) };

// acc (rows, vecs) += a (rows, depth) b (depth, vecs): element (i, k) of a lies at a[i * a_row + k
// * a_k], a row of b at b + k * b_k. rows and vecs are constants where this is inlined, so acc
// stays in registers. Of b's last vector only `last` lanes are read. Where `ahead` is not 0, what
// lies that far behind a is fetched for the next tile.
VEC_INLINE void tile_multiply(vec acc[TILE_ROWS][TILE_VECS], const int rows, const int vecs,
                              const int last, int depth, const float *a, ptrdiff_t a_row,
                              ptrdiff_t a_k, const float *b, ptrdiff_t b_k, const int ahead) {
    for (int k = 0; k < depth; k++) {
        vec bk[TILE_VECS];
#pragma GCC unroll 4
        for (int v = 0; v < vecs; v++) {
            const bool whole = last == VEC || v < vecs - 1;
            bk[v] = whole ? vec_load(b + v * VEC) : vec_load_n(b + v * VEC, last);
        }
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) {
            vec ai = vec_splat(a[i * a_row]);
#pragma GCC unroll 4
            for (int v = 0; v < vecs; v++) {
                acc[i][v] = vec_fma(ai, bk[v], acc[i][v]);
            }
        }
        if (ahead) {
            __builtin_prefetch(a + ahead);
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
            const bool whole = last == VEC || v < vecs - 1;
            const float *at = from + i * stride + v * VEC;
            acc[i][v] = whole ? vec_load(at) : vec_load_n(at, last);
        }
    }
}

VEC_INLINE void tile_store(vec acc[TILE_ROWS][TILE_VECS], const int rows, const int vecs,
                           const int last, float *to, ptrdiff_t stride) {
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) {
#pragma GCC unroll 4
        for (int v = 0; v < vecs; v++) {
            float *at = to + i * stride + v * VEC;
            if (last == VEC || v < vecs - 1) {
                vec_store(at, acc[i][v]);
            } else {
                vec_store_n(at, acc[i][v], last);
            }
        }
    }
}

// Calls tile(..., i, p, rows, vecs, last) with the constants of a whole tile, or of the last row
// or panel; a panel is VECS vectors wide.
#define TILE_CASES(tile, i, p, ROWS, COLS, VECS, ...)                                              \
    do {                                                                                           \
        enum { WIDE_ = (VECS)*VEC, LAST_COLS = ((COLS)-1) % WIDE_ + 1 };                           \
        enum { LAST_VECS = DIVIDE_UP(LAST_COLS, VEC), LAST = LAST_COLS - (LAST_VECS - 1) * VEC };  \
        const bool rows_whole = (ROWS) % TILE_ROWS == 0 || (i) + TILE_ROWS <= (ROWS);              \
        const bool cols_whole = ((p) + 1) * WIDE_ <= (COLS);                                       \
        if (rows_whole && cols_whole) {                                                            \
            tile(__VA_ARGS__, i, p, TILE_ROWS, VECS, VEC);                                         \
        } else if (rows_whole) {                                                                   \
            tile(__VA_ARGS__, i, p, TILE_ROWS, LAST_VECS, LAST);                                   \
        } else if (cols_whole) {                                                                   \
            tile(__VA_ARGS__, i, p, (ROWS) % TILE_ROWS, VECS, VEC);                                \
        } else {                                                                                   \
            tile(__VA_ARGS__, i, p, (ROWS) % TILE_ROWS, LAST_VECS, LAST);                          \
        }                                                                                          \
    } while (0)
//$ end
