//// matmul_decode.c: the sampler's product, for one row of activations or a few.

//// y (rows, O) = x (rows, C) w^T for the few rows of a sampler's call, w as it lies in the
//// checkpoint: w is read once, VEC outputs at a time, each a dot product along C.
//$ function matmul_decode(k)
$(k.sign("static void", k.name, "int rows, int thread, int threads")) {
    enum { $(k.dims), GROUPS = DIVIDE_UP(O, VEC), FEW = 4 };
    const struct range mine = share(GROUPS, thread, threads);
    for (int g = mine.first; g < mine.last; g++) {
        const int col = g * VEC, lanes = LANES(col, O);
        for (int row0 = 0; row0 < rows; row0 += FEW) {
            const int few = int_min(FEW, rows - row0);
            float sums[FEW][VEC] = {{0.0f}};
            for (int l = 0; l < lanes; l++) {
                const float *w_row = w + (size_t)(col + l) * C;
                vec acc[FEW];
                for (int r = 0; r < FEW; r++) {
                    acc[r] = vec_splat(0.0f);
                }
                if (few == FEW) {
                    for (int c = 0; c < C; c += VEC) {
                        const vec wc = row_load(w_row, c, C);
#pragma GCC unroll 4
                        for (int r = 0; r < FEW; r++) {
                            acc[r] =
                                vec_fma(row_load(x + (size_t)(row0 + r) * C, c, C), wc, acc[r]);
                        }
                    }
                } else {
                    for (int r = 0; r < few; r++) {
                        for (int c = 0; c < C; c += VEC) {
                            acc[r] = vec_fma(row_load(x + (size_t)(row0 + r) * C, c, C),
                                             row_load(w_row, c, C), acc[r]);
                        }
                    }
                }
                for (int r = 0; r < few; r++) {
                    sums[r][l] = vec_sum(acc[r]);
                }
            }
            for (int r = 0; r < few; r++) {
                const int row = row0 + r;
                const size_t at = (size_t)row * O + (size_t)col;
                vec value = vec_load(sums[r]);
                //$ for _, statement in ipairs(k.epilogue) do
                $(statement);
                //$ end
                vec_store_n(y + at, value, lanes);
            }
        }
    }
}
//$ end
