//// qk_norm.c: each head h of queries and keys is x rstd gain, with rstd = 1 / sqrt(mean(x^2) +
//// eps) over its D columns. The gain is q_gain (D) of queries, k_gain of keys; the plain ones have
//// none.

//// Values are as they were. `y` may be `qkv`.
//$ function qk_norm(k)
$(k.sign("static void", k.name)) {
    enum { $(k.dims) };
    const struct range mine = share($(k.rows), thread, threads);
    for (int n = mine.first; n < mine.last; n++) {
        const float *xn = qkv + (size_t)n * E_LD;
        float *yn = y + (size_t)n * E_LD;
        for (int h = 0; h < H + KV; h++) {
            const float *xh = xn + h * D;
            //$ if k.uses.q_gain then
            const float *gain = h < H ? q_gain : k_gain;
            //$ end
            vec squares = vec_splat(0.0f);
            for (int c = 0; c < D; c += VEC) {
                const vec x = row_load(xh, c, D); // 0 beyond the head
                squares = vec_fma(x, x, squares);
            }
            const float r = 1.0f / sqrtf(vec_sum(squares) / D + $(k.attrs.eps));
            for (int c = 0; c < D; c += VEC) {
                //$ if k.uses.q_gain then
                row_store(yn + h * D, c, D, row_load(xh, c, D) * r * row_load(gain, c, D));
                //$ else
                row_store(yn + h * D, c, D, row_load(xh, c, D) * r);
                //$ end
            }
            //$ if k.uses.rstd then
            rstd[(size_t)n * (H + KV) + h] = r;
            //$ end
        }
        if (yn != xn) {
            memcpy(yn + (H + KV) * D, xn + (H + KV) * D, KV * D * sizeof(float));
        }
    }
}
//$ end

//// With xhat = x rstd and g = dy gain, of each head:
////   dx = rstd (g - xhat mean(g xhat)),  dgain = sum over rows and heads of dy xhat.
//// The sums are made of P partial sums (P, 2, D) of ranges of rows, added in order. P is fixed, so
//// that results do not depend on the number of threads. `dqkv` may be `dy`.
//$ function qk_norm_backward(k)
//$ local gains = k.uses.q_gain
$(k.sign("static void", k.name)) {
    enum { $(k.dims) };
    const struct range mine = share(P, thread, threads);
    for (int part = mine.first; part < mine.last; part++) {
        //$ if gains then
        float *sums = partial + (size_t)part * 2 * D;
        for (int c = 0; c < 2 * D; c++) {
            sums[c] = 0.0f;
        }
        //$ end
        const struct range rows = share(N, part, P);
        for (int n = rows.first; n < rows.last; n++) {
            const float *dyn = dy + (size_t)n * E_LD, *xn = qkv + (size_t)n * E_LD;
            float *dxn = dqkv + (size_t)n * E_LD;
            for (int h = 0; h < H + KV; h++) {
                const float *dh = dyn + h * D, *xh = xn + h * D;
                const float r = rstd[(size_t)n * (H + KV) + h];
                //$ if gains then
                const float *gain = h < H ? q_gain : k_gain;
                float *sum = h < H ? sums : sums + D;
                //$ end
                vec sum_g_xhat = vec_splat(0.0f);
                for (int c = 0; c < D; c += VEC) {
                    const vec d = row_load(dh, c, D), xhat = row_load(xh, c, D) * r;
                    //$ if gains then
                    sum_g_xhat = vec_fma(d * row_load(gain, c, D), xhat, sum_g_xhat);
                    row_store(sum, c, D, vec_fma(d, xhat, row_load(sum, c, D)));
                    //$ else
                    sum_g_xhat = vec_fma(d, xhat, sum_g_xhat);
                    //$ end
                }
                const float mean_g_xhat = vec_sum(sum_g_xhat) / D;
                for (int c = 0; c < D; c += VEC) {
                    const vec xhat = row_load(xh, c, D) * r;
                    //$ if gains then
                    const vec g = row_load(dh, c, D) * row_load(gain, c, D);
                    //$ else
                    const vec g = row_load(dh, c, D);
                    //$ end
                    row_store(dxn + h * D, c, D, (g - xhat * mean_g_xhat) * r);
                }
            }
            if (dxn != dyn) {
                memcpy(dxn + (H + KV) * D, dyn + (H + KV) * D, KV * D * sizeof(float));
            }
        }
    }
    //$ if gains then
    parallel_barrier();
    enum { GROUPS = DIVIDE_UP(D, VEC) };
    const struct range columns = share(2 * GROUPS, thread, threads);
    for (int g = columns.first; g < columns.last; g++) {
        const int key = g / GROUPS, c = g % GROUPS * VEC;
        float *gradient = key ? dk_gain : dq_gain;
        vec sum = first ? vec_splat(0.0f) : row_load(gradient, c, D);
        for (int part = 0; part < P; part++) {
            sum += row_load(partial + ((size_t)part * 2 + key) * D, c, D);
        }
        row_store(gradient, c, D, sum);
    }
    //$ end
}
//$ end
