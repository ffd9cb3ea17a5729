//// bias.c: the gradient of a bias whose dy no product reads.
//$ function bias_grad(k)
$(k.sign("static void", k.name, "int thread, int threads")) {
    enum { $(k.dims), GROUPS = DIVIDE_UP(C, VEC) };
    const struct range mine = share(GROUPS, thread, threads);
    for (int g = mine.first; g < mine.last; g++) {
        vec sum = row_load(dbias, g * VEC, C);
        for (int n = 0; n < N; n++) {
            sum += row_load(dy + (size_t)n * C, g * VEC, C);
        }
        row_store(dbias, g * VEC, C, sum);
    }
}
//$ end
