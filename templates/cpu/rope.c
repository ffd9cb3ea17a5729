//// rope.c: rotary positions: the table of angles, and queries and keys turned by them.

//// The cosines (D/2) and sines (D/2) of each row's position. Angles are in double: position 8,191
//// times a rate leaves float's sine three digits.
//$ function rope_table(k)
$(k.sign("static void", k.name)) {
    enum { $(k.dims), HALF = D / 2 };
    static const double rate[$(k.specialise and "HALF" or "")] = {$(k.constants)};
    const struct range mine = share($(k.rows), thread, threads);
    for (int n = mine.first; n < mine.last; n++) {
        float *row = table + (size_t)n * D;
        for (int j = 0; j < HALF; j++) {
            const double angle = $(k.decode and "pos[n]" or "n") * rate[j];
            row[j] = (float)cos(angle);
            row[HALF + j] = (float)sin(angle);
        }
    }
}
//$ end

//// to = from with columns j and j + D/2 of each head of queries and keys turned by row n % T of
//// `table`; `sign` is 1 or, for the gradient, -1. Values are as they were. `to` may be `from`.
//// Floor: a row is read and written once: E reads and writes, beside the C E multiply-adds of the
//// product before it.
//$ function turn(k, to, from, sign)
$(k.sign("static void", k.name)) {
    enum { $(k.dims), HALF = D / 2 };
    const struct range mine = share($(k.rows), thread, threads);
    for (int n = mine.first; n < mine.last; n++) {
        const float *xn = $(from) + (size_t)n * E_LD, *cosines = table + (size_t)(n % T) * D;
        float *yn = $(to) + (size_t)n * E_LD;
        for (int h = 0; h < H + KV; h++) {
            for (int j = 0; j < HALF; j += VEC) {
                const vec c = row_load(cosines, j, HALF), s = row_load(cosines + HALF, j, HALF);
                const vec a = row_load(xn + h * D, j, HALF);
                const vec b = row_load(xn + h * D + HALF, j, HALF);
                //$ if sign > 0 then
                row_store(yn + h * D, j, HALF, vec_fma(a, c, -(b * s)));
                row_store(yn + h * D + HALF, j, HALF, vec_fma(b, c, a * s));
                //$ else
                row_store(yn + h * D, j, HALF, vec_fma(a, c, b * s));
                row_store(yn + h * D + HALF, j, HALF, vec_fma(b, c, -(a * s)));
                //$ end
            }
        }
        if (yn != xn) {
            memcpy(yn + (H + KV) * D, xn + (H + KV) * D, KV * D * sizeof(float));
        }
    }
}
//$ end

//$ function rope(k)
//$     turn(k, "y", "qkv", 1)
//$ end

//$ function rope_backward(k)
//$     turn(k, "dqkv", "dy", -1)
//$ end
