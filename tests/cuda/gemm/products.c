// products.c: products of all types and sizes, with all epilogues; rounding, NaN, and products in a
// captured graph.
#include "tests/cuda/gemm/gemm_test.h"

static void check_product(struct gemm_context *context, struct gemm g, int beyond) {
    char what[256];
    snprintf(
        what, sizeof what,
        "%s: %s -> %s, (%d, %d, %d), transposed %d %d, rows %d longer, accumulate %d residual %d "
        "bias %d dgelu %d gelu %d kept %d",
        g.name, type_name[g.type], type_name[g.out_type], (int)g.rows, (int)g.cols, (int)g.inner,
        g.a_transposed, g.b_transposed, beyond, g.accumulate, g.residual, g.bias, g.dgelu, g.gelu,
        g.kept);
    struct operands o = operands_make(&g, beyond);
    gemm_create(context, &g);
    run(&g, &o, 0.0f);
    matrix_fetch(&o.out);
    matrix_fetch(&o.kept);
    check(count_wrong(&g, &o, NULL) == 0, what);
    check(padding_is_nan(&o.out) && padding_is_nan(&o.kept), "padding is left alone");
    if (g.accumulate) { // once more on top of that
        double *before = malloc((size_t)g.rows * (size_t)g.cols * sizeof *before);
        for (int i = 0; i < g.rows; i++) {
            for (int j = 0; j < g.cols; j++) {
                before[(size_t)i * g.cols + j] =
                    get(o.out.host, g.out_type, (size_t)i * g.out_ld + j);
            }
        }
        run(&g, &o, 1.0f);
        matrix_fetch(&o.out);
        check(count_wrong(&g, &o, before) == 0, what);
        free(before);
    }
    gemm_destroy(&g);
    operands_free(&o);
}

// The three products of a linear layer in all types and with all epilogues.
void check_products(struct gemm_context *context) {
    static const int sizes[][3] = {{1, 1, 1},    {1, 8, 40},   {3, 5, 7},      {16, 16, 16},
                                   {17, 40, 64}, {64, 65, 96}, {129, 100, 300}};
    for (enum gemm_type type = GEMM_BF16; type <= GEMM_TF32; type++) {
        const enum gemm_type out = is_half(type) ? type : GEMM_F32;
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            const struct gemm plain = {.name = "plain",
                                       .rows = sizes[s][0],
                                       .cols = sizes[s][1],
                                       .inner = sizes[s][2],
                                       .type = type,
                                       .out_type = out};
            const int beyond = s % 2 == 0 ? 0 : 8 * (int)s;
            struct gemm forward = plain, backward = plain, weight = plain;
            forward.b_transposed = true;
            weight.a_transposed = true;
            weight.out_type = GEMM_F32;
            weight.accumulate = true;
            check_product(context, forward, beyond);
            check_product(context, backward, beyond);
            check_product(context, weight, beyond);
            // bias, residual, gelu, kept, of y = x w^T
            static const bool follow[][4] = {{1, 0, 0, 0}, {0, 1, 0, 0}, {1, 1, 0, 0}, {0, 0, 1, 0},
                                             {0, 0, 1, 1}, {1, 0, 1, 0}, {1, 0, 1, 1}};
            for (size_t f = 0; f < sizeof follow / sizeof *follow; f++) {
                struct gemm g = forward;
                g.name = "followed";
                g.bias = follow[f][0], g.residual = follow[f][1];
                g.gelu = follow[f][2], g.kept = follow[f][3];
                check_product(context, g, beyond);
            }
            struct gemm dgelu = backward, residual = backward;
            dgelu.dgelu = true;
            residual.residual = true;
            check_product(context, dgelu, beyond);
            check_product(context, residual, beyond);
            residual.factor = 2.0315f, residual.residual_factor = -4.775f;
            check_product(context, residual, beyond);
        }
    }
}

// Products of one size together are those one after the other, if not to the byte on a device.
void check_batch(struct gemm_context *context) {
    enum { BATCH = 3, ROWS = 17, COLS = 24, INNER = 40 };
    for (enum gemm_type type = GEMM_BF16; type <= GEMM_TF32; type++) {
        const struct gemm alone = {.name = "alone",
                                   .rows = ROWS,
                                   .cols = COLS,
                                   .inner = INNER,
                                   .out_ld = COLS,
                                   .a_ld = INNER,
                                   .b_ld = COLS,
                                   .type = type,
                                   .out_type = is_half(type) ? type : GEMM_F32,
                                   .factor = 0.5f,
                                   .residual = true,
                                   .residual_factor = -3.0f};
        struct gemm one = alone, all = alone;
        all.batch = BATCH;
        all.out_stride = ROWS * COLS, all.a_stride = ROWS * INNER, all.b_stride = INNER * COLS;
        struct matrix a = matrix_make(type, BATCH * ROWS, INNER, INNER, RANDOM);
        struct matrix b = matrix_make(type, BATCH * INNER, COLS, COLS, RANDOM);
        struct matrix x = matrix_make(one.out_type, BATCH * ROWS, COLS, COLS, RANDOM);
        struct matrix out[2];
        matrix_send(&a), matrix_send(&b), matrix_send(&x);
        gemm_create(context, &one), gemm_create(context, &all);
        for (int together = 0; together < 2; together++) {
            out[together] = matrix_make(one.out_type, BATCH * ROWS, COLS, COLS, POISON);
            matrix_send(&out[together]);
            const size_t bytes = is_half(type) ? 2 : 4;
            for (int i = 0; i < (together ? 1 : BATCH); i++) {
                const struct gemm_extra extra = {.residual = (char *)x.device +
                                                             (size_t)i * ROWS * COLS * bytes};
                gemm_run(&gpu, together ? &all : &one,
                         (char *)out[together].device + (size_t)i * ROWS * COLS * bytes,
                         (char *)a.device + (size_t)i * ROWS * INNER * bytes,
                         (char *)b.device + (size_t)i * INNER * COLS * bytes, &extra, 0.0f);
            }
            matrix_fetch(&out[together]);
        }
        int wrong = 0;
        for (size_t i = 0; i < BATCH * ROWS * COLS; i++) {
            const double got = get(out[1].host, one.out_type, i);
            wrong += !(fabs(got - get(out[0].host, one.out_type, i)) <= 1e-2 * (1 + fabs(got)));
        }
        check(wrong == 0, "products of a batch");
        gemm_destroy(&one), gemm_destroy(&all);
        matrix_free(&a), matrix_free(&b), matrix_free(&x);
        matrix_free(&out[0]), matrix_free(&out[1]);
    }
}

// Sums that lie between two numbers of the output's type, and those that leave its range.
void check_rounding(struct gemm_context *context) {
    static const struct {
        enum gemm_type type;
        double a0, b0, a1, b1, wanted; // a0 b0 + a1 b1
    } cases[] = {
        {GEMM_BF16, 16, 16, 1, 1, 256},           {GEMM_BF16, 16, 16, 3, 1, 260},
        {GEMM_BF16, -16, 16, -3, 1, -260},        {GEMM_F16, 64, 32, 1, 1, 2048},
        {GEMM_F16, 64, 32, 3, 1, 2052},           {GEMM_F16, 256, 255.875, 0, 0, 65504},
        {GEMM_F16, 256, 256, 0, 0, INFINITY},     {GEMM_F16, 0x1p-12, 0x1p-12, 0, 0, 0x1p-24},
        {GEMM_F16, 0x1p-13, 0x1p-12, 0, 0, 0},    {GEMM_F16, 0x1.8p-12, 0x1p-12, 0, 0, 0x1p-23},
        {GEMM_F32, 4096, 4096, 1, 1, 16777216},   {GEMM_F32, 4096, 4096, 3, 1, 16777220},
        {GEMM_BF16, INFINITY, 1, 1, 1, INFINITY}, {GEMM_BF16, INFINITY, 1, -INFINITY, 1, NAN},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct gemm g = {.name = "rounding",
                         .rows = 1,
                         .cols = 1,
                         .inner = 2,
                         .b_transposed = true,
                         .type = cases[c].type,
                         .out_type = cases[c].type};
        struct operands o = operands_make(&g, 0);
        put(o.a.host, g.type, 0, cases[c].a0);
        put(o.a.host, g.type, 1, cases[c].a1);
        put(o.b.host, g.type, 0, cases[c].b0);
        put(o.b.host, g.type, 1, cases[c].b1);
        matrix_send(&o.a);
        matrix_send(&o.b);
        gemm_create(context, &g);
        run(&g, &o, 0.0f);
        matrix_fetch(&o.out);
        const double got = get(o.out.host, g.out_type, 0);
        char what[128];
        snprintf(what, sizeof what, "%s: %g * %g + %g * %g is %g, not %g", type_name[g.type],
                 cases[c].a0, cases[c].b0, cases[c].a1, cases[c].b1, cases[c].wanted, got);
        check(got == cases[c].wanted || (isnan(got) && isnan(cases[c].wanted)), what);
        gemm_destroy(&g);
        operands_free(&o);
    }
}

// A NaN in one operand makes every sum that it enters NaN, and no other.
void check_nan(struct gemm_context *context) {
    struct gemm g = {.name = "nan",
                     .rows = 9,
                     .cols = 20,
                     .inner = 30,
                     .b_transposed = true,
                     .type = GEMM_BF16,
                     .out_type = GEMM_BF16};
    struct operands o = operands_make(&g, 0);
    put(o.a.host, g.type, 4 * (size_t)g.a_ld + 29, NAN);
    matrix_send(&o.a);
    gemm_create(context, &g);
    run(&g, &o, 0.0f);
    matrix_fetch(&o.out);
    bool good = true;
    for (int i = 0; i < g.rows; i++) {
        for (int j = 0; j < g.cols; j++) {
            good &= isnan(get(o.out.host, g.out_type, (size_t)i * g.out_ld + j)) == (i == 4);
        }
    }
    check(good, "a NaN reaches its own row and no other");
    gemm_destroy(&g);
    operands_free(&o);
}

// In a captured graph each launch keeps the operands that it was given.
void check_graph(struct gemm_context *context) {
    struct gemm g = {.name = "graph",
                     .rows = 20,
                     .cols = 24,
                     .inner = 33,
                     .b_transposed = true,
                     .type = GEMM_BF16,
                     .out_type = GEMM_BF16,
                     .bias = true,
                     .gelu = true,
                     .kept = true};
    struct operands one = operands_make(&g, 8), two = operands_make(&g, 8);
    gemm_create(context, &g);
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    CUDA_CHECK(cudaStreamBeginCapture(gpu.stream, cudaStreamCaptureModeThreadLocal));
    run(&g, &one, 0.0f);
    run(&g, &two, 0.0f);
    CUDA_CHECK(cudaStreamEndCapture(gpu.stream, &graph));
    CUDA_CHECK(cudaGraphInstantiate(&exec, graph, 0));
    gemm_destroy(&g); // the graph does not need the descriptors any more
    CUDA_CHECK(cudaGraphLaunch(exec, gpu.stream));
    struct operands *both[] = {&one, &two};
    for (int i = 0; i < 2; i++) {
        matrix_fetch(&both[i]->out);
        matrix_fetch(&both[i]->kept);
        check(count_wrong(&g, both[i], NULL) == 0, "a graph's product has its own operands");
    }
    CUDA_CHECK(cudaGraphExecDestroy(exec));
    CUDA_CHECK(cudaGraphDestroy(graph));
    operands_free(&one);
    operands_free(&two);
}
