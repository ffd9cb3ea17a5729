//// attention_decode.c: the sampler's attention, to the keys and values in its cache.

//// Rows pos .. pos + rows - 1: their keys and values go into the cache (2, T, C), then each row
//// attends to all before it. Each head is one thread's.
//$ function attention_decode(k)
$(k.sign("static void", k.name, "int pos, int rows, int thread, int threads")) {
    enum { $(k.dims) };
    const struct range mine = share(H, thread, threads);
    for (int h = mine.first; h < mine.last; h++) {
        float *w = weights + (size_t)h * S;
        for (int row = 0; row < rows; row++) {
            const float *q = qkv + (size_t)row * E + h * D;
            float *keys = cache + h * D, *values = keys + (size_t)T * C; // rows C apart
            const int i = pos + row;
            memcpy(keys + (size_t)i * C, q + C, D * sizeof(float));
            memcpy(values + (size_t)i * C, q + 2 * C, D * sizeof(float));
            float largest = -INFINITY;
            for (int j = 0; j <= i; j++) {
                vec dots = vec_splat(0.0f);
                for (int d = 0; d < D; d += VEC) {
                    dots = vec_fma(row_load(q, d, D), row_load(keys + (size_t)j * C, d, D), dots);
                }
                w[j] = vec_sum(dots) * $(k.attrs.scale);
                largest = w[j] > largest ? w[j] : largest;
            }
            for (int j = i + 1; j < DIVIDE_UP(i + 1, VEC) * VEC; j++) {
                w[j] = -INFINITY;
            }
            vec total = vec_splat(0.0f);
            for (int j = 0; j <= i; j += VEC) {
                const vec e = vec_exp(vec_load(w + j) - largest);
                vec_store(w + j, e);
                total += e;
            }
            const float scale = 1.0f / vec_sum(total);
            float *to = y + (size_t)row * C + h * D;
            for (int d = 0; d < D; d += VEC) {
                vec sum = vec_splat(0.0f);
                for (int j = 0; j <= i; j++) {
                    sum = vec_fma(vec_splat(w[j]), row_load(values + (size_t)j * C, d, D), sum);
                }
                row_store(to, d, D, sum * scale);
            }
        }
    }
}
//$ end
