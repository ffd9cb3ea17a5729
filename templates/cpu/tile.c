//// tile.c: the register tile of every matrix product: TILE_ROWS rows of up to TILE_VECS vectors.
//$ function tile(k)
// The largest register tile; a product may use fewer vectors.
enum { TILE_ROWS = $(k.tile_rows), TILE_VECS = $(k.tile_vecs) };

// acc (rows, vecs) += a (rows, depth) b (depth, vecs): element (i, k) of a is a[i * a_row + k *
// a_k], row k of b begins at b + k * b_k. rows and vecs are constants where this is inlined, so acc
// stays in registers. Of b's last vector only `last` lanes are read. If `ahead` is not 0, a[ahead]
// is prefetched at each step, for the next tile.
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

//$ if k.products == "bf16" then
// The same with packed factors (bf16.h): depth counts them, and b has whole vectors.
VEC_INLINE void tile_multiply_bf16(vec acc[TILE_ROWS][TILE_VECS], const int rows, const int vecs,
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
                acc[i][v] = factor_fma(ai, bk[v], acc[i][v]);
            }
        }
        a += a_k;
        b += b_k;
    }
}

//$ end
// Prefetches a tile (rows, columns) of memory.
VEC_INLINE void tile_prefetch(const float *from, const int rows, const int columns,
                              ptrdiff_t stride) {
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) {
        for (int c = 0; c < columns; c += PREFETCH_LINE) {
            __builtin_prefetch(from + r * stride + c);
        }
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

// The last vector of a row has `last` columns; tile_load and tile_store touch nothing beyond them.
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

//$ if k.specialise then
// Calls tile(..., i, p, rows, vecs, last) with constant sizes: of a whole tile, or of one at the
// bottom or right edge of (ROWS, COLS). i is the tile's first row; panel p is VECS vectors wide.
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
//$ else
_Static_assert(TILE_ROWS <= 8 && TILE_VECS <= 3, "TILE_CASES below has no more cases");

// Calls tile(..., i, p, rows, vecs, last) with `vecs` as a constant.
#define TILE_VECS_CASES(tile, i, p, rows, vecs, last, VECS, ...)                                   \
    do {                                                                                           \
        if ((VECS) >= 3 && (vecs) == 3) {                                                          \
            tile(sizes, __VA_ARGS__, i, p, rows, MIN(3, VECS), last);                              \
        } else if ((VECS) >= 2 && (vecs) == 2) {                                                   \
            tile(sizes, __VA_ARGS__, i, p, rows, MIN(2, VECS), last);                              \
        } else {                                                                                   \
            tile(sizes, __VA_ARGS__, i, p, rows, 1, last);                                         \
        }                                                                                          \
    } while (0)

// Calls tile(..., i, p, rows, vecs, last) for a matrix (ROWS, COLS) whose sizes are not constants:
// for a whole tile, one with fewer columns, or one with fewer rows, split into 4, 2 and 1 rows.
#define TILE_CASES(tile, i, p, ROWS, COLS, VECS, ...)                                              \
    do {                                                                                           \
        const int rows_ = int_min(TILE_ROWS, (ROWS) - (i));                                        \
        const int cols_ = int_min((VECS)*VEC, (COLS) - (p) * (VECS)*VEC);                          \
        const int vecs_ = DIVIDE_UP(cols_, VEC), last_ = cols_ - (vecs_ - 1) * VEC;                \
        if (rows_ == TILE_ROWS && cols_ == (VECS)*VEC) {                                           \
            tile(sizes, __VA_ARGS__, i, p, TILE_ROWS, VECS, VEC);                                  \
        } else if (rows_ == TILE_ROWS) {                                                           \
            TILE_VECS_CASES(tile, i, p, TILE_ROWS, vecs_, last_, VECS, __VA_ARGS__);               \
        } else {                                                                                   \
            int from_ = (i);                                                                       \
            if (rows_ & 4) {                                                                       \
                TILE_VECS_CASES(tile, from_, p, 4, vecs_, last_, VECS, __VA_ARGS__);               \
                from_ += 4;                                                                        \
            }                                                                                      \
            if (rows_ & 2) {                                                                       \
                TILE_VECS_CASES(tile, from_, p, 2, vecs_, last_, VECS, __VA_ARGS__);               \
                from_ += 2;                                                                        \
            }                                                                                      \
            if (rows_ & 1) {                                                                       \
                TILE_VECS_CASES(tile, from_, p, 1, vecs_, last_, VECS, __VA_ARGS__);               \
            }                                                                                      \
        }                                                                                          \
    } while (0)
//$ end
//$ end
