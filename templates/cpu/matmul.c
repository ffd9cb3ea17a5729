//// matmul.c: products with a weight, forward and backward, and the packing of weights.

//// y (N, O) = x (N, C) w^T, and dx (N, C) = dy (N, O) w: the same product with other letters. K is
//// what is summed over, COLS the columns of the result. The weight comes packed, (PANELS, K,
//// TILE_COLS).
//$ function matmul(k)
//$ local tile_place = "int i, int p, const int rows, const int vecs, const int last"
$(k.sign("VEC_INLINE void", k.part.tile, tile_place)) {
    enum { $(k.dims), K = $(k.inner), COLS = $(k.cols) };
    vec acc[TILE_ROWS][TILE_VECS];
    tile_zero(acc, rows, vecs);
    tile_multiply(acc, rows, vecs, K, $(k.a) + (size_t)i * K, K, 1,
                  packed + (size_t)p * K * TILE_COLS, TILE_COLS);
    //$ if k.epilogue_uses_dropout then
    const struct dropout drop = dropout_make(m->dropout, m->dropout_key);
    //$ end
    //$ if #k.epilogue == 0 then
    tile_store(acc, rows, vecs, last, $(k.y) + (size_t)i * COLS + p * TILE_COLS, COLS);
    //$ else
    // By way of memory: unrolled, the code below would be long and short of registers.
    _Alignas(64) float done[TILE_ROWS * TILE_COLS];
    tile_store(acc, rows, vecs, VEC, done, TILE_COLS);
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 4
        for (int v = 0; v < vecs; v++) {
            const int row = i + r, col = p * TILE_COLS + v * VEC;
            const int lanes = v == vecs - 1 ? last : VEC;
            const size_t at = (size_t)row * COLS + (size_t)col;
            vec value = vec_load(done + r * TILE_COLS + v * VEC);
            //$ for _, statement in ipairs(k.epilogue) do
            $(statement);
            //$ end
            vec_store_n($(k.y) + at, value, lanes);
        }
    }
    //$ end
}

$(k.sign("static void", k.name, "int thread, int threads")) {
    enum { $(k.dims), K = $(k.inner), COLS = $(k.cols) };
    enum { TILES = DIVIDE_UP(N, TILE_ROWS), PANELS = DIVIDE_UP(COLS, TILE_COLS) };
    // An item is a block of rows times a panel. The block's rows stay in the second-level cache
    // while the panels pass by; blocks are alike, and small enough for 64 items, so that threads
    // share evenly.
    enum { MOST = MAX(1, MIN(65536 / (K * TILE_ROWS), TILES * PANELS / 64)) };
    enum { BLOCKS = DIVIDE_UP(TILES, MOST), BLOCK = DIVIDE_UP(TILES, BLOCKS) * TILE_ROWS };
    // The larger operand is read once: rows outside where they are more than the weight.
    enum { ROWS_OUTSIDE = N >= COLS };
    const struct range mine = share(BLOCKS * PANELS, thread, threads);
    for (int item = mine.first; item < mine.last; item++) {
        const int block = ROWS_OUTSIDE ? item / PANELS : item % BLOCKS;
        const int p = ROWS_OUTSIDE ? item % PANELS : item / BLOCKS;
        for (int i = block * BLOCK; i < int_min(N, (block + 1) * BLOCK); i += TILE_ROWS) {
            TILE_CASES($(k.part.tile), i, p, N, COLS, $(k.arg_names));
        }
    }
}
//$ end

//// dw (O, C) += dy^T (O, N) x (N, C), summed over rows in order. Both operands are packed a slice
//// of rows at a time, since their columns are far apart.
//$ function matmul_dw(k)
VEC_INLINE void $(k.part.tile)(float *dw, const float *a, const float *b, int depth, int o, int p,
                               const int rows, const int vecs, const int last) {
    enum { $(k.dims) };
    float *to = dw + (size_t)o * C + (size_t)p * TILE_COLS;
    vec acc[TILE_ROWS][TILE_VECS];
    tile_load(acc, rows, vecs, last, to, C);
    tile_multiply(acc, rows, vecs, depth, a, 1, TILE_ROWS, b, TILE_COLS);
    tile_store(acc, rows, vecs, last, to, C);
}

$(k.sign("static void", k.name, "int thread, int threads")) {
    enum { $(k.dims), TILES = DIVIDE_UP(O, TILE_ROWS), PANELS = DIVIDE_UP(C, TILE_COLS) };
    // Each slice of DEPTH rows reads and writes all of dw: a longer one where dw is beyond the caches.
    enum { DEPTH = MIN(N, (int64_t)O * C > 1 << 20 ? 256 : 128) };
    // a holds BLOCK tiles of a slice and stays in the second-level cache, b in the first.
    enum { BLOCK = MIN(TILES, MAX(1, 65536 / (DEPTH * TILE_ROWS))) };
    _Alignas(64) float a[BLOCK][DEPTH * TILE_ROWS], b[DEPTH * TILE_COLS];
    // Threads share the tiles of O or the panels of C, whichever leaves the busiest one less to do:
    // a tile's product with a panel costs about 20, packing the tile 3.
    const int most_tiles = DIVIDE_UP(TILES, threads), most_panels = DIVIDE_UP(PANELS, threads);
    const bool by_panels =
        (int64_t)TILES * (20 * most_panels + 3) < (int64_t)most_tiles * (20 * PANELS + 3);
    const struct range tiles = by_panels ? share(TILES, 0, 1) : share(TILES, thread, threads);
    const struct range panels = by_panels ? share(PANELS, thread, threads) : share(PANELS, 0, 1);
    for (int first = tiles.first; first < tiles.last; first += BLOCK) {
        const int last = int_min(first + BLOCK, tiles.last);
        for (int n = 0; n < N; n += DEPTH) {
            const int depth = int_min(DEPTH, N - n);
            for (int t = first; t < last; t++) {
                const float *from = dy + (size_t)n * O + (size_t)t * TILE_ROWS;
                if ((t + 1) * TILE_ROWS <= O) {
                    tile_pack(a[t - first], TILE_ROWS, from, O, depth, TILE_ROWS);
                } else {
                    tile_pack(a[t - first], TILE_ROWS, from, O, depth, (O - 1) % TILE_ROWS + 1);
                }
                //$ if k.uses.dbias then
                if (panels.first == 0 && panels.last > 0) {
                    tile_add_rows(dbias + t * TILE_ROWS, a[t - first], depth,
                                  int_min(TILE_ROWS, O - t * TILE_ROWS));
                }
                //$ end
            }
            for (int p = panels.first; p < panels.last; p++) {
                const float *from = x + (size_t)n * C + (size_t)p * TILE_COLS;
                if ((p + 1) * TILE_COLS <= C) {
                    tile_pack(b, TILE_COLS, from, C, depth, TILE_COLS);
                } else {
                    tile_pack(b, TILE_COLS, from, C, depth, (C - 1) % TILE_COLS + 1);
                }
                for (int t = first; t < last; t++) {
                    TILE_CASES($(k.part.tile), t * TILE_ROWS, p, O, C, dw, a[t - first], b, depth);
                }
            }
        }
    }
}
//$ end

//// packed (P, C, S) = the panels of w (O, C) turned, for y = x w^T.
//$ function pack(k)
$(k.sign("static void", k.name, "int thread, int threads")) {
    enum { $(k.dims) };
    const struct range mine = share(P, thread, threads);
    for (int p = mine.first; p < mine.last; p++) {
        tile_pack_turned(packed + (size_t)p * C * S, S, w + (size_t)p * S * C, C, C,
                         int_min(S, O - p * S));
    }
}
//$ end

//// packed (P, O, S) = the panels of w (O, C), for dx = dy w.
//$ function pack_dx(k)
$(k.sign("static void", k.name, "int thread, int threads")) {
    enum { $(k.dims) };
    const struct range mine = share(P, thread, threads);
    for (int p = mine.first; p < mine.last; p++) {
        float *to = packed + (size_t)p * O * S;
        const float *from = w + (size_t)p * S;
        if ((p + 1) * S <= C) {
            tile_pack(to, S, from, C, O, S);
        } else {
            tile_pack(to, S, from, C, O, (C - 1) % S + 1);
        }
    }
}
//$ end
