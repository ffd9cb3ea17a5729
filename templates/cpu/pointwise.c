//// pointwise.c: a pointwise op that fused into no other kernel.
//$ function pointwise(k)
$(k.sign("static void", k.name)) {
    enum { $(k.dims), COLS = C };
    //$ if k.epilogue_uses_dropout then
    const struct dropout drop = dropout_make(m->dropout, m->dropout_key);
    //$ end
    const struct range mine = share($(k.rows), thread, threads);
    for (int row = mine.first; row < mine.last; row++) {
        for (int col = 0; col < C; col += VEC) {
            const int lanes = LANES(col, C);
            const size_t at = (size_t)row * C_LD + (size_t)col;
            vec value = vec_load_n($(k.stream) + at, lanes);
            //$ for _, statement in ipairs(k.epilogue) do
            $(statement);
            //$ end
            vec_store_n($(k.y) + at, value, lanes);
        }
    }
}
//$ end
