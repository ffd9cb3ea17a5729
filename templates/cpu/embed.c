//// embed.c: y = wte[token] + wpe[position]; a model without positions has no wpe.

//$ function embed(k)
$(k.sign("static void", k.name)) {
    enum { $(k.dims), COLS = C };
    //$ if k.epilogue_uses_dropout then
    const struct dropout drop = dropout_make(m->dropout, m->dropout_key);
    //$ end
    const struct range mine = share(N, thread, threads);
    for (int row = mine.first; row < mine.last; row++) {
        const float *token = wte + (size_t)tokens[row] * C;
        //$ if k.uses.wpe then
        const float *position = wpe + (size_t)(row % T) * C;
        //$ end
        for (int col = 0; col < C; col += VEC) {
            vec value = row_load(token, col, C);
            //$ if k.uses.wpe then
            value += row_load(position, col, C);
            //$ end
            //$ for _, statement in ipairs(k.epilogue) do
            $(statement);
            //$ end
            row_store(y + (size_t)row * C_LD, col, C, value);
        }
    }
}
//$ end

//// Each thread owns a range of columns in both tables and accumulates the rows of dy in order, so
//// that sums do not depend on the number of threads.
//$ function embed_backward(k)
$(k.sign("static void", k.name)) {
    enum { $(k.dims), GROUPS = DIVIDE_UP(C, VEC) };
    const struct range mine = share(GROUPS, thread, threads);
    clear_columns(dwte, first ? V : 0, C, C, mine);
    //$ if k.uses.dwpe then
    clear_columns(dwpe, first2 ? T : 0, C, C, mine);
    //$ end
    for (int n = 0; n < N; n++) {
        float *dtoken = dwte + (size_t)tokens[n] * C;
        //$ if k.uses.dwpe then
        float *dposition = dwpe + (size_t)(n % T) * C;
        //$ end
        for (int g = mine.first; g < mine.last; g++) {
            const int c = g * VEC;
            const vec d = row_load(dy + (size_t)n * C_LD, c, C);
            row_store(dtoken, c, C, row_load(dtoken, c, C) + d);
            //$ if k.uses.dwpe then
            row_store(dposition, c, C, row_load(dposition, c, C) + d);
            //$ end
        }
    }
}
//$ end

//$ function embed_decode(k)
//$ local small = k.node.inputs[2].type ~= "f32" and k.node.inputs[2].type
//$ local token = "row_load(token, col, C)"
//$ if small then token = "small_table_" .. small .. "(wte, V, C, tokens[row], col)" end
$(k.sign("static void", k.name)) {
    enum { $(k.dims) };
    const struct range mine = share(rows, thread, threads);
    for (int row = mine.first; row < mine.last; row++) {
        //$ if not small then
        const float *token = wte + (size_t)tokens[row] * C;
        //$ end
        //$ if k.uses.wpe then
        const float *position = wpe + (size_t)pos[row] * C;
        //$ else
        (void)pos;
        //$ end
        for (int col = 0; col < C; col += VEC) {
            vec value = $(token);
            //$ if k.uses.wpe then
            value += row_load(position, col, C);
            //$ end
            row_store(y + (size_t)row * C_LD, col, C, value);
        }
    }
}
//$ end
