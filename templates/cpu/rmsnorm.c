//// rmsnorm.c: y = x * rstd * scale, row by row, with rstd = 1 / sqrt(mean(x^2) + eps).
//// The plain ones have no scale.

//// SUMS independent partial sums hide the latency of additions.
//$ function rmsnorm(k)
$(k.sign("static void", k.name)) {
    enum { $(k.dims), SUMS = 4, WIDE = SUMS * VEC };
    const struct range mine = share($(k.rows), thread, threads);
    for (int n = mine.first; n < mine.last; n++) {
        const float *xn = x + (size_t)n * C_LD;
        vec squares[SUMS] = {{0}};
        for (int from = 0; from < C; from += WIDE) {
            for (int s = 0, c = from; s < SUMS && (C % WIDE == 0 || c < C); s++, c += VEC) {
                const vec xc = row_load(xn, c, C); // 0 beyond the row
                squares[s] = vec_fma(xc, xc, squares[s]);
            }
        }
        const vec square = (squares[0] + squares[1]) + (squares[2] + squares[3]);
        const float r = 1.0f / sqrtf(vec_sum(square) / C + $(k.attrs.eps));
        for (int c = 0; c < C; c += VEC) {
            //$ if k.uses.scale then
            const vec yc = row_load(xn, c, C) * r * row_load(scale, c, C);
            //$ else
            const vec yc = row_load(xn, c, C) * r;
            //$ end
            row_store(y + (size_t)n * C_LD, c, C, yc);
        }
        //$ if k.uses.rstd then
        rstd[n] = r;
        //$ end
    }
}
//$ end

//// With xhat = x rstd and g = dy scale:
////   dx = rstd (g - xhat mean(g xhat)),  dscale = sum over rows of dy xhat.
//// The sum over rows is made of P partial sums (P, C), added in order. P is fixed, so that results
//// do not depend on the number of threads.
//$ function rmsnorm_backward(k)
//$ local gains, parts = k.uses.scale, k.uses.scale and "P" or "threads"
$(k.sign("static void", k.name)) {
    enum { $(k.dims), COLS = C, GROUPS = DIVIDE_UP(C, VEC) };
    //$ if k.epilogue_uses_dropout then
    const struct dropout drop = dropout_make(m->dropout, m->dropout_key);
    //$ end
    const struct range mine = share($(parts), thread, threads);
    for (int part = mine.first; part < mine.last; part++) {
        //$ if gains then
        float *dscale_part = partial + (size_t)part * C;
        for (int c = 0; c < C; c++) {
            dscale_part[c] = 0.0f;
        }
        //$ end
        const struct range rows = share(N, part, $(parts));
        for (int row = rows.first; row < rows.last; row++) {
            const float *dyn = dy + (size_t)row * C_LD, *xn = x + (size_t)row * C_LD;
            const float r = rstd[row];
            vec sum_g_xhat = vec_splat(0.0f);
            for (int c = 0; c < C; c += VEC) {
                const vec d = row_load(dyn, c, C);
                //$ if gains then
                const vec g = d * row_load(scale, c, C);
                const vec xhat = row_load(xn, c, C) * r;
                sum_g_xhat = vec_fma(g, xhat, sum_g_xhat); // both are 0 beyond the row
                row_store(dscale_part, c, C, vec_fma(d, xhat, row_load(dscale_part, c, C)));
                //$ else
                const vec xhat = row_load(xn, c, C) * r;
                sum_g_xhat = vec_fma(d, xhat, sum_g_xhat); // both are 0 beyond the row
                //$ end
            }
            const float mean_g_xhat = vec_sum(sum_g_xhat) / C;
            for (int col = 0; col < C; col += VEC) {
                //$ if gains then
                const vec g = row_load(dyn, col, C) * row_load(scale, col, C);
                //$ else
                const vec g = row_load(dyn, col, C);
                //$ end
                const vec xhat = row_load(xn, col, C) * r;
                vec value = (g - xhat * mean_g_xhat) * r;
                //$ if #k.epilogue > 0 then
                const int lanes = LANES(col, C);
                const size_t at = (size_t)row * C_LD + (size_t)col;
                //$ end
                //$ for _, statement in ipairs(k.epilogue) do
                $(statement);
                //$ end
                row_store(dx + (size_t)row * C_LD, col, C, value);
            }
        }
    }
    //$ if gains then
    parallel_barrier();
    const struct range columns = share(GROUPS, thread, threads);
    for (int g = columns.first; g < columns.last; g++) {
        const int c = g * VEC;
        vec sum = first ? vec_splat(0.0f) : row_load(dscale, c, C);
        for (int part = 0; part < P; part++) {
            sum += row_load(partial + (size_t)part * C, c, C);
        }
        row_store(dscale, c, C, sum);
    }
    //$ end
}
//$ end
