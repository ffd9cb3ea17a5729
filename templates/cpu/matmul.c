//// matmul.c: matrix products with a weight: y, dx and dw. With factors in bfloat16 (bf16.h) both
//// operands are packed: a cache block of the first, rounded on the way, and a panel of the second,
//// rounded on the way in dw; a weight is an image, whose numbers the update has rounded.

//// The register tile of a product, and its store.
//$ function matmul_tile(k)
//$ local t, bf16 = k.tiling, k.products == "bf16"
//$ if k.epilogue_is_long then
//$ local done = "const float *done, int i, int p, int rows, int cols"
// The epilogue of a tile, applied to its sums `done` (rows, WIDE). Not inlined, since its constants
// would take registers from the product.
$(k.sign_part("APART void", k.part.store, done)) {
    enum { $(k.dims), COLS = $(k.cols), COLS_LD = $(k.cols_ld), WIDE = $(t.vecs) * VEC };
    (void)$(k.a), (void)w;
    //$ if k.epilogue_uses_dropout then
    const struct dropout drop = dropout_make(m->dropout, m->dropout_key);
    //$ end
    for (int r = 0; r < rows; r++) {
        for (int c = 0; c < cols; c += VEC) {
            const int row = i + r, col = p * WIDE + c, lanes = int_min(VEC, cols - c);
            const size_t at = (size_t)row * COLS_LD + (size_t)col;
            vec value = vec_load(done + r * WIDE + c);
            //$ for _, statement in ipairs(k.epilogue) do
            $(statement);
            //$ end
            vec_store_n($(k.y) + at, value, lanes);
        }
    }
}

//$ end
//$ local pieces = "const float *panel, int from, int depth, int i, int p, const int rows, "
//$     .. "const int vecs, const int last"
//$ if bf16 then pieces = "const float *packed, int first_row, " .. pieces end
$(k.sign_part("VEC_INLINE void", k.part.tile, pieces)) {
    enum { $(k.dims), K = $(k.inner), K_LD = $(k.inner_ld) };
    enum { COLS = $(k.cols), COLS_LD = $(k.cols_ld), WIDE = $(t.vecs) * VEC };
    (void)w;
    const size_t first_at = (size_t)i * COLS_LD + p * WIDE;
    float *to = $(k.y) + first_at;
    vec acc[TILE_ROWS][TILE_VECS];
    if (from == 0) {
        tile_zero(acc, rows, vecs);
        tile_prefetch(to, rows, (vecs - 1) * VEC + last, COLS_LD);
    } else {
        tile_load(acc, rows, vecs, last, to, COLS_LD);
    }
    //$ if #k.store_tiles > 0 then
    // Prefetches the epilogue's operands, to arrive while the tile is computed.
    if (from + depth == K) {
        //$ for _, name in ipairs(k.store_tiles) do
        tile_prefetch($(name) + first_at, rows, (vecs - 1) * VEC + last, COLS_LD);
        //$ end
    }
    //$ end
    //$ if bf16 then
    (void)$(k.a);
    enum { PACKED_LD = $(k.part.packed) };
    packed += (size_t)(i - first_row) * PACKED_LD;
    tile_multiply_bf16(acc, rows, vecs, FACTORS(depth), packed, PACKED_LD, 1, panel, WIDE);
    //$ else
    tile_multiply(acc, rows, vecs, VEC, depth, $(k.a) + (size_t)i * K_LD + from, K_LD, 1, panel,
                  WIDE, 0);
    //$ end
    //$ if #k.epilogue == 0 then
    tile_store(acc, rows, vecs, last, to, COLS_LD);
    //$ else
    if (from + depth < K) {
        tile_store(acc, rows, vecs, last, to, COLS_LD);
        return;
    }
    //$ if k.epilogue_is_long then
    _Alignas(64) float done[TILE_ROWS * WIDE];
    tile_store(acc, rows, vecs, VEC, done, WIDE);
    $(k.part.store)($(k.arg_names), done, i, p, rows, (vecs - 1) * VEC + last);
    //$ else
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 4
        for (int v = 0; v < vecs; v++) {
            const int row = i + r, col = p * WIDE + v * VEC;
            const int lanes = v == vecs - 1 ? last : VEC;
            const size_t at = (size_t)row * COLS_LD + (size_t)col;
            vec value = acc[r][v];
            //$ for _, statement in ipairs(k.epilogue) do
            $(statement);
            //$ end
            vec_store_n($(k.y) + at, value, lanes);
        }
    }
    //$ end
    //$ end
}
//$ end

//// y (N, O) = x (N, C) w^T, and dx (N, C) = dy (N, O) w: one template, with K the inner dimension
//// and COLS the columns of the result. The first operand is read in place; the weight is packed,
//// one panel (DEPTH, WIDE) at a time, which stays in L1 while a cache block of rows uses it. If it
//// has halves, gate's and up's, a panel has WIDE columns of each, side by side. `tile` writes
//// another register tile with its store.
//$ function matmul(k, tile)
//$ local t, bf16 = k.tiling, k.products == "bf16"
//$ local panel = k.halves and "2 * WIDE" or "WIDE"
//$ local outside = t.slices_outside == 1
//$ if bf16 then
//$ local inner, tiles = k.d[k.inner], (k.d.N + k.tile_rows - 1) // k.tile_rows
//$ local blocks = (tiles + t.block - 1) // t.block
//$ local rows, depth = (tiles + blocks - 1) // blocks * k.tile_rows, math.min(t.depth, inner)
//$ local wide = t.vecs * k.vec * (k.halves and 2 or 1)
// The packed rows of a cache block: all of K or, if slices are the outer loop, a slice of it; and
// the packed panel.
enum { $(k.part.packed) = FACTORS_LD(FACTORS($(outside and depth or inner))) };
struct $(k.part.scratch) {
    float rows[$(rows) * $(k.part.packed)], panel[FACTORS_WHOLE($(depth)) * $(wide)];
};

//$ end
//$ (tile or matmul_tile)(k)

// Maps work item `item` to a panel of w: its first column is p * WIDE, its slice of K begins at
// `from`. If SLICES_OUTSIDE, K is the outer loop and L2 holds a slice of the first operand;
// otherwise columns are outer and L2 holds the result.
static inline struct piece $(k.part.piece)(struct range panels, int item) {
    enum { $(k.dims), K = $(k.inner), COLS = $(k.cols), WIDE = $(t.vecs) * VEC };
    enum { DEPTH = $(t.depth), SLICES = DIVIDE_UP(K, DEPTH), SLICES_OUTSIDE = $(t.slices_outside) };
    const int count = panels.last - panels.first;
    const int p = panels.first + (SLICES_OUTSIDE ? item % count : item / SLICES);
    const int from = (SLICES_OUTSIDE ? item / count : item % SLICES) * DEPTH;
    //$ local offset = k.transposed and "(size_t)p * WIDE * K + from"
    //$     or "(size_t)from * COLS + p * WIDE"
    return (struct piece){p, from, int_min(DEPTH, K - from), int_min(WIDE, COLS - p * WIDE),
                          $(offset)};
}

//$ local head, name = "static void", k.name
//$ if bf16 then head, name = "APART void", k.part.products end
$(k.sign(head, name)) {
    //$ if bf16 then
    struct $(k.part.scratch) *s = scratch;
    float *panel = s->panel;
    //$ end
    enum { $(k.dims), K = $(k.inner), COLS = $(k.cols), VECS = $(t.vecs), WIDE = VECS * VEC };
    //$ if bf16 then
    enum { K_LD = $(k.inner_ld) };
    //$ end
    enum { DEPTH = $(t.depth), SLICES = DIVIDE_UP(K, DEPTH) };
    enum { TILES = DIVIDE_UP(N, TILE_ROWS), PANELS = DIVIDE_UP(COLS, WIDE) };
    // BLOCK tiles of rows share a packed panel. The tuned block is evened out over all TILES.
    enum { BLOCK = DIVIDE_UP(TILES, DIVIDE_UP(TILES, $(t.block))) };
    //$ if not bf16 then
    _Alignas(64) float panel[DEPTH * $(panel)];
    //$ end
    const struct part mine = part_of(TILES, PANELS, thread, threads);
    const int items = SLICES * (mine.cols.last - mine.cols.first);
    for (int block = mine.rows.first; block < mine.rows.last; block += BLOCK) {
        const int end = int_min(N, int_min(block + BLOCK, mine.rows.last) * TILE_ROWS);
        for (int item = 0; item < items; item++) {
            const struct piece at = $(k.part.piece)(mine.cols, item);
            //$ local copy = k.transposed and "pack_transposed" or "pack_rows"
            //$ if bf16 then copy = k.transposed and "image_transposed" or "image_columns" end
            //$ local stride = k.transposed and "K" or "COLS"
            $(copy)(panel, $(panel), w + at.offset, $(stride), at.depth, at.wide);
            //$ if k.halves then
            const $(bf16 and "uint16_t" or "float") *up = w + at.offset + (size_t)COLS * K;
            $(copy)(panel + WIDE, $(panel), up, $(stride), at.depth, at.wide);
            //$ end
            //$ if bf16 then
            if ($(outside and "at.p == mine.cols.first" or "item == 0")) {
                const int first = block * TILE_ROWS;
                const float *from = $(k.a) + (size_t)first * K_LD$(outside and " + at.from" or "");
                factors_rows(s->rows, $(k.part.packed), from, K_LD, end - first,
                             $(outside and "at.depth" or "K"));
            }
            //$ end
            // Prefetches the next panel of the weight beside the products with this one.
            const struct piece after =
                $(k.part.piece)(mine.cols, item + 1 < items ? item + 1 : item);
            //$ local rows = k.transposed and "after.wide, after.depth" or "after.depth, after.wide"
            //$ if bf16 then
            struct prefetch next = prefetch_image(w + after.offset, $(stride), $(rows),
                                                  DIVIDE_UP(end, TILE_ROWS) - block);
            //$ else
            struct prefetch next = prefetch_of(w + after.offset, $(stride), $(rows),
                                               DIVIDE_UP(end, TILE_ROWS) - block);
            //$ end
            //$ if k.halves then
            struct prefetch next_up = next;
            next_up.row += (size_t)COLS * K$(bf16 and " / 2" or "");
            //$ end
            for (int i = block * TILE_ROWS; i < end; i += TILE_ROWS) {
                prefetch_some(&next);
                //$ if k.halves then
                prefetch_some(&next_up);
                //$ end
                //$ if bf16 then
                //$ local column = outside and "" or " + at.from / FACTOR_FLOATS"
                TILE_CASES($(k.part.tile), i, at.p, N, COLS, VECS, $(k.arg_names), s->rows$(column),
                           block * TILE_ROWS, panel, at.from, at.depth);
                //$ else
                TILE_CASES($(k.part.tile), i, at.p, N, COLS, VECS, $(k.arg_names), panel, at.from,
                           at.depth);
                //$ end
            }
        }
    }
}
//$ if bf16 then

$(k.sign("static void", k.name)) {
    const uint64_t before = flush_begin();
    $(k.part.products)($(k.all_names));
    flush_end(before);
}
//$ end
//$ end

//// dw (O, C) += dy^T (O, N) x (N, C), or = for a step's first micro-step. Rows are summed in
//// order, and both operands are read in place.
//$ function matmul_dw(k)
//$ local t, bf16 = k.tiling, k.products == "bf16"
//$ if bf16 then
//$ local depth, rows = math.min(t.depth, k.d.N), t.block * k.tile_rows
// Packed: a slice of dy for the rows of a block of dw, and a panel of x.
enum { $(k.part.packed) = FACTORS_LD($(math.min(rows, (k.d.O + 15) // 16 * 16))) };
struct $(k.part.scratch) {
    float dy[FACTORS($(depth)) * $(k.part.packed)], x[FACTORS($(depth)) * $(t.vecs * k.vec)];
};

// dy and x are packed here, dy from the tile's column on.
//$ end
VEC_INLINE void $(k.part.tile)(float *dw, const float *dy, const float *x, bool begins, int depth,
                               int o, int p, const int rows, const int vecs, const int last) {
    enum { $(k.dims), WIDE = $(t.vecs) * VEC };
    float *to = dw + (size_t)o * C + p * WIDE;
    vec acc[TILE_ROWS][TILE_VECS];
    if (begins) {
        tile_zero(acc, rows, vecs);
    } else {
        tile_load(acc, rows, vecs, last, to, C);
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++) {
            __builtin_prefetch(to + (TILE_ROWS + r) * C, 1); // the next tile's
        }
    }
    //$ if bf16 then
    tile_multiply_bf16(acc, rows, vecs, FACTORS(depth), dy, 1, $(k.part.packed), x, WIDE);
    //$ else
    tile_multiply(acc, rows, vecs, VEC, depth, dy + o, 1, O_LD, x + p * WIDE, C_LD, 16);
    //$ end
    tile_store(acc, rows, vecs, last, to, C);
}

//$ local head, name = "static void", k.name
//$ if bf16 then head, name = "APART void", k.part.products end
$(k.sign(head, name)) {
    //$ if bf16 then
    struct $(k.part.scratch) *s = scratch;
    //$ end
    enum { $(k.dims), VECS = $(t.vecs), WIDE = VECS * VEC };
    enum { TILES = DIVIDE_UP(O, TILE_ROWS), PANELS = DIVIDE_UP(C, WIDE) };
    // A block (ROWS tiles, COLS panels) of dw stays in L2 over all slices of DEPTH rows; a panel of
    // x's slice stays in L1 while it meets the block's rows.
    enum { DEPTH = $(t.depth), ROWS = $(t.block), COLS = $(t.block_cols) };
    const struct part mine = part_of(TILES, PANELS, thread, threads);
    for (int row = mine.rows.first; row < mine.rows.last; row += ROWS) {
        const int end = int_min(O, int_min(row + ROWS, mine.rows.last) * TILE_ROWS);
        for (int col = mine.cols.first; col < mine.cols.last; col += COLS) {
            const int last = int_min(col + COLS, mine.cols.last);
            for (int n = 0; n < N; n += DEPTH) {
                const int depth = int_min(DEPTH, N - n);
                const float *dys = dy + (size_t)n * O_LD, *xs = x + (size_t)n * C_LD;
                //$ if bf16 then
                const int first_row = row * TILE_ROWS;
                factors_columns(s->dy, $(k.part.packed), dys + first_row, O_LD, depth,
                                end - first_row);
                //$ end
                for (int p = col; p < last; p++) {
                    //$ if bf16 then
                    factors_columns(s->x, WIDE, xs + p * WIDE, C_LD, depth,
                                    int_min(WIDE, C - p * WIDE));
                    //$ end
                    struct prefetch next =
                        prefetch_of(xs + (p + 1) * WIDE, C_LD, p + 1 < last ? depth : 0, WIDE,
                                    DIVIDE_UP(end, TILE_ROWS) - row);
                    for (int o = row * TILE_ROWS; o < end; o += TILE_ROWS) {
                        prefetch_some(&next);
                        //$ if bf16 then
                        TILE_CASES($(k.part.tile), o, p, O, C, VECS, dw, s->dy + (o - first_row),
                                   s->x, first && n == 0, depth);
                        //$ else
                        TILE_CASES($(k.part.tile), o, p, O, C, VECS, dw, dys, xs, first && n == 0,
                                   depth);
                        //$ end
                    }
                }
            }
        }
    }
    //$ if k.uses.dbias then
    // dbias (O) += the sum of dy's rows, in order.
    const struct range groups = share(DIVIDE_UP(O, VEC), thread, threads);
    sum_rows(dbias, dy, N, O, O_LD, first2, groups);
    //$ end
}
//$ if bf16 then

$(k.sign("static void", k.name)) {
    const uint64_t before = flush_begin();
    $(k.part.products)($(k.all_names));
    flush_end(before);
}
//$ end
//$ end
