//// matmul_decode.c: the sampler's product, for one row of activations or many.

//// y (rows, O) = x (rows, C) w^T, with w as the checkpoint has it. Each thread computes a
//// contiguous range of outputs, so it reads its part of w from end to end.
//$ function matmul_decode(k)
$(k.sign("static void", k.name)) {
    enum { $(k.dims) };
    _Alignas(64) float sums[DIVIDE_UP(N, DOT_ROWS) * DOT_ROWS * DOT_PANEL];
    const struct range mine = product_share(O, thread, threads);
    for (int from = mine.first; from < mine.last; from += DOT_PANEL) {
        const int to = int_min(from + DOT_PANEL, mine.last);
        product_panel(sums, x, rows, w + (size_t)from * C, to - from, C, to < mine.last);
        for (int row = 0; row < rows; row++) {
            for (int col = from; col < to; col += VEC) {
                const int lanes = LANES(col, O);
                const size_t at = (size_t)row * O + (size_t)col;
                vec value = vec_load(sums + row * DOT_PANEL + col - from);
                //$ for _, statement in ipairs(k.epilogue) do
                $(statement);
                //$ end
                vec_store_n(y + at, value, lanes);
            }
        }
    }
}
//$ end
