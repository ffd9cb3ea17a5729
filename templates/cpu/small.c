//// small.c: the sampler's products with weights of few bits; rows rounded for them.

//// q (N, Q) = the rows of x (N, C), block by block. Threads share the blocks of all rows.
//$ function quantise(k)
$(k.sign("static void", k.name)) {
    enum { $(k.dims), BLOCKS = SMALL_BLOCKS(C) };
    const struct range mine = share(rows * BLOCKS, thread, threads);
    for (int i = mine.first; i < mine.last; i++) {
        const size_t row = (size_t)(i / BLOCKS);
        small_quantise(q + row * SMALL_ROW(C), x + row * C, C, i % BLOCKS);
    }
}
//$ end

//// The same in bfloat16.
//$ function round_bfloat16(k)
$(k.sign("static void", k.name)) {
    enum { $(k.dims), BLOCKS = SMALL_BLOCKS(C) };
    const struct range mine = share(rows * BLOCKS, thread, threads);
    for (int i = mine.first; i < mine.last; i++) {
        const size_t row = (size_t)(i / BLOCKS);
        small_round(q + row * SMALL_ROW_BFLOAT16(C), x + row * C, C, i % BLOCKS);
    }
}
//$ end

//// y (rows, O) = quantised rows times w^T. Each thread computes a contiguous range of panels.
//$ function matmul_small(k)
//$ local type = k.node.inputs[2].type
//$ local round = type == "bfloat16" and "small_round" or "small_quantise"
//$ local row = type == "bfloat16" and "SMALL_ROW_BFLOAT16(C)" or "SMALL_ROW(C)"
$(k.sign("static void", k.name)) {
    enum { $(k.dims) };
    //$ if k.op.own_row(k.d) then
    //$ if k.target.scalar then
    float own[$(row)] = {0};
    scalar_quantise(own, x, C);
    q = own;
    //$ else
    _Alignas(64) float own[$(row)];
    for (int b = 0; b < SMALL_BLOCKS(C) && rows == 1; b++) {
        $(round)(own, x, C, b);
        q = own;
    }
    //$ end
    //$ else
    (void)x;
    //$ end
    _Alignas(64) float sums[DIVIDE_UP(N, SMALL_ROWS) * SMALL_ROWS * SMALL_WIDE];
    const struct range mine = share(DIVIDE_UP(O, SMALL_OUTPUTS), thread, threads);
    for (int p = mine.first; p < mine.last; p += SMALL_PANELS) {
        const int panels = int_min(SMALL_PANELS, mine.last - p), from = p * SMALL_OUTPUTS;
        const int to = int_min(from + panels * SMALL_OUTPUTS, O);
        //$ if k.target.scalar then
        scalar_$(type)(sums, q, w, O, C, p);
        //$ else
        small_$(type)(sums, panels, q, rows, w, O, C, p);
        //$ end
        for (int row = 0; row < rows; row++) {
            for (int col = from; col < to; col += VEC) {
                const int lanes = LANES(col, O);
                const size_t at = (size_t)row * O + (size_t)col;
                vec value = vec_load(sums + row * SMALL_WIDE + col - from);
                //$ for _, statement in ipairs(k.epilogue) do
                $(statement);
                //$ end
                vec_store_n(y + at, value, lanes);
            }
        }
    }
}
//$ end
