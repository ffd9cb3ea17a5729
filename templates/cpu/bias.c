//// bias.c: dbias += sum of dy's rows, for a bias whose gradient did not fuse into a matmul_dw.
//$ function bias_grad(k)
$(k.sign("static void", k.name)) {
    enum { $(k.dims) };
    sum_rows(dbias, dy, N, C, C_LD, first, share(DIVIDE_UP(C, VEC), thread, threads));
}
//$ end
