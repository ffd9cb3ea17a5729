// test_gemm.c: runtime/gpu/gemm.c against products in double. test_gemm.sh builds it twice over: with
// the stand-in for cuBLASLt, which needs no CUDA, and on a machine with a GPU with the real one,
// whose numbers are held to the same bounds.
//
//     test_gemm FOLDER      a folder to put tune files in
//
// Bounds: a sum of `inner` products in float is off by at most (inner + 8) 2^-23 times the sum of
// their magnitudes (2^-24 by rounding; tensor cores cut off, hence twice that). GELU's slope is at
// most 1.13. What is stored is off by half a unit of its last place more: 2^-9 in bf16, 2^-12 in
// f16, 2^-24 in float.
#include "runtime/kernel/gemm.h"
#include "runtime/base/base.h"
#include "runtime/gpu/gpu.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef DIECAST_EMULATED
#include <cublasLt.h>
#endif

#ifdef DIECAST_EMULATED
enum { WORKSPACE = 1 << 20 }; // the emulator shields all of device memory, page by page
#else
enum { WORKSPACE = GEMM_WORKSPACE };
#endif

static int passed, failed;

static void check(bool good, const char *what) {
    passed += good;
    failed += !good;
    if (!good) {
        printf("not so: %s\n", what);
    }
}

// ---- element types ------------------------------------------------------------------------------

static const char *const type_name[] = {"bf16", "f16", "f32", "tf32"};
static const int type_bits[] = {8, 11, 24, 11}; // of a mantissa, the leading one too

static bool is_half(enum gemm_type type) {
    return type == GEMM_BF16 || type == GEMM_F16;
}

static size_t type_bytes(enum gemm_type type) {
    return is_half(type) ? 2 : 4;
}

// To the nearest number with so many bits, ties to even. Exponents do not matter here but for f16,
// whose numbers below 2^-14 are multiples of 2^-24.
static double round_to(double x, enum gemm_type type) {
    if (x == 0.0 || !isfinite(x)) {
        return x;
    }
    int exponent;
    frexp(x, &exponent);
    int unit = exponent - type_bits[type];
    unit = type == GEMM_F16 && unit < -24 ? -24 : unit;
    const double rounded = ldexp(nearbyint(ldexp(x, -unit)), unit);
    return type == GEMM_F16 && fabs(rounded) > 65504.0 ? copysign(INFINITY, x) : rounded;
}

static void put(void *data, enum gemm_type type, size_t at, double x) {
    const float value = (float)x; // a number of the type already
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (!is_half(type)) {
        ((float *)data)[at] = value;
    } else if (type == GEMM_BF16) {
        ((uint16_t *)data)[at] = (uint16_t)(bits >> 16);
    } else if (isnan(x)) {
        ((uint16_t *)data)[at] = 0x7e00;
    } else if (isinf(x)) {
        ((uint16_t *)data)[at] = x > 0 ? 0x7c00 : 0xfc00;
    } else {
        int exponent = 0;
        const double part = frexp(fabs(x), &exponent); // in [0.5, 1)
        const uint16_t sign = signbit(x) ? 0x8000 : 0;
        const bool small = x == 0.0 || exponent < -13; // a multiple of 2^-24
        const int mantissa = (int)(small ? ldexp(fabs(x), 24) : ldexp(part, 11));
        ((uint16_t *)data)[at] =
            (uint16_t)(sign | (small ? mantissa : (exponent + 14) << 10 | (mantissa & 0x3ff)));
    }
}

static double get(const void *data, enum gemm_type type, size_t at) {
    if (!is_half(type)) {
        return (double)((const float *)data)[at];
    }
    const uint16_t half = ((const uint16_t *)data)[at];
    if (type == GEMM_BF16) {
        const uint32_t bits = (uint32_t)half << 16;
        float value;
        memcpy(&value, &bits, sizeof value);
        return (double)value;
    }
    const int exponent = half >> 10 & 31, mantissa = half & 0x3ff;
    const double size = exponent == 31  ? (mantissa ? (double)NAN : (double)INFINITY)
                        : exponent == 0 ? ldexp(mantissa, -24)
                                        : ldexp(mantissa + 1024, exponent - 25);
    return half & 0x8000 ? -size : size;
}

// ---- matrices -----------------------------------------------------------------------------------

// On both sides: what the host holds goes over with matrix_send and comes back with matrix_fetch.
struct matrix {
    enum gemm_type type;
    int rows, cols, ld; // as it lies
    void *host, *device;
};

static struct gpu gpu;
static uint32_t drawn;
static const char *tune_folder;

// Even in [-1, 1), of the type. A device may round to TF32 in its own way, and gets numbers
// that need no rounding.
static double draw(enum gemm_type type) {
#ifdef DIECAST_EMULATED
    type = type == GEMM_TF32 ? GEMM_F32 : type;
#endif
    return round_to(2.0 * rng_uniform(rng_bits(1, 2, drawn++, 0)) - 1.0, type);
}

enum content { RANDOM, POISON };

// Padding holds NaN, and so does all of it where poison is asked for. On the device it is no better
// aligned than it must be.
static struct matrix matrix_make(enum gemm_type type, int rows, int cols, int ld,
                                 enum content content) {
    struct matrix m = {type, rows, cols, ld, malloc((size_t)rows * ld * type_bytes(type)), NULL};
    for (int i = 0; i < rows; i++) {
        for (int j = 0; j < ld; j++) {
            put(m.host, type, (size_t)i * ld + j,
                j < cols && content == RANDOM ? draw(type) : (double)NAN);
        }
    }
    CUDA_CHECK(cudaMalloc(&m.device, (size_t)rows * ld * type_bytes(type) + GEMM_ALIGN));
    m.device = (char *)m.device + GEMM_ALIGN;
    return m;
}

// On the products' stream, which does not wait for the default one.
static void matrix_send(const struct matrix *m) {
    CUDA_CHECK(cudaMemcpyAsync(m->device, m->host, (size_t)m->rows * m->ld * type_bytes(m->type),
                               cudaMemcpyHostToDevice, gpu.stream));
}

static void matrix_fetch(struct matrix *m) {
    CUDA_CHECK(cudaStreamSynchronize(gpu.stream));
    CUDA_CHECK(cudaMemcpy(m->host, m->device, (size_t)m->rows * m->ld * type_bytes(m->type),
                          cudaMemcpyDeviceToHost));
}

static void matrix_free(struct matrix *m) {
    CUDA_CHECK(cudaFree((char *)m->device - GEMM_ALIGN));
    free(m->host);
}

// Element (i, j) of the operand as the product sees it.
static double seen(const struct matrix *m, bool transposed, int i, int j) {
    const double x =
        get(m->host, m->type, (size_t)(transposed ? j : i) * m->ld + (transposed ? i : j));
    return m->type == GEMM_TF32 ? round_to(x, GEMM_TF32) : x;
}

static bool padding_is_nan(const struct matrix *m) {
    for (int i = 0; i < m->rows; i++) {
        for (int j = m->cols; j < m->ld; j++) {
            if (!isnan(get(m->host, m->type, (size_t)i * m->ld + j))) {
                return false;
            }
        }
    }
    return true;
}

// ---- one product against doubles ----------------------------------------------------------------

static double gelu(double x) {
    return 0.5 * x * (1.0 + tanh(sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x)));
}

static double gelu_grad(double x) {
    const double t = tanh(sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x));
    const double slope = sqrt(2.0 / M_PI) * (1.0 + 3.0 * 0.044715 * x * x);
    return 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * slope;
}

// The operands of a product, made for it.
struct operands {
    struct matrix out, a, b, bias, residual, pre, kept;
    struct gemm_extra extra;
};

static int up8(int size) {
    return (size + 7) / 8 * 8;
}

// `beyond`: columns of padding beside what alignment takes.
static struct operands operands_make(struct gemm *g, int beyond) {
    const int rows = (int)g->rows, cols = (int)g->cols, inner = (int)g->inner;
    struct operands o = {0};
    g->out_ld = up8(cols) + beyond;
    g->a_ld = up8(g->a_transposed ? rows : inner) + beyond;
    g->b_ld = up8(g->b_transposed ? inner : cols) + beyond;
    o.out = matrix_make(g->out_type, rows, cols, (int)g->out_ld, POISON);
    o.a = matrix_make(g->type, g->a_transposed ? inner : rows, g->a_transposed ? rows : inner,
                      (int)g->a_ld, RANDOM);
    o.b = matrix_make(g->type, g->b_transposed ? cols : inner, g->b_transposed ? inner : cols,
                      (int)g->b_ld, RANDOM);
    o.bias = matrix_make(g->out_type, 1, cols, up8(cols), RANDOM);
    o.residual = matrix_make(g->out_type, rows, cols, (int)g->out_ld, RANDOM);
    o.pre = matrix_make(g->out_type, rows, cols, (int)g->out_ld, RANDOM);
    o.kept = matrix_make(g->out_type, rows, cols, (int)g->out_ld, POISON);
    struct matrix *all[] = {&o.out, &o.a, &o.b, &o.bias, &o.residual, &o.pre, &o.kept};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        matrix_send(all[i]);
    }
    o.extra.bias = g->bias ? o.bias.device : NULL;
    o.extra.residual = g->residual ? o.residual.device : NULL;
    o.extra.pre = g->dgelu ? o.pre.device : NULL;
    o.extra.kept = g->kept ? o.kept.device : NULL;
    return o;
}

static void operands_free(struct operands *o) {
    struct matrix *all[] = {&o->out, &o->a, &o->b, &o->bias, &o->residual, &o->pre, &o->kept};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        matrix_free(all[i]);
    }
}

static void run(const struct gemm *g, struct operands *o, float beta) {
    gemm_run(&gpu, g, o->out.device, o->a.device, o->b.device, &o->extra, beta);
}

// How often an element is off by more than its bound; before: what out held, or NULL for nothing.
static int count_wrong(const struct gemm *g, const struct operands *o, const double *before) {
    const double unit = ldexp(1.0, -23), half_unit = ldexp(0.5, 1 - type_bits[g->out_type]);
    const double smallest = g->out_type == GEMM_F16 ? ldexp(1.0, -25) : 0.0;
    int wrong = 0;
    for (int i = 0; i < g->rows; i++) {
        for (int j = 0; j < g->cols; j++) {
            const size_t at = (size_t)i * g->out_ld + j;
            double sum = 0.0, size = 0.0;
            for (int k = 0; k < g->inner; k++) {
                const double term =
                    seen(&o->a, g->a_transposed, i, k) * seen(&o->b, g->b_transposed, k, j);
                sum += term;
                size += fabs(term);
            }
            const double more[] = {before ? before[(size_t)i * g->cols + j] : 0.0,
                                   g->residual ? get(o->residual.host, g->out_type, at) : 0.0,
                                   g->bias ? get(o->bias.host, g->out_type, j) : 0.0};
            for (size_t m = 0; m < sizeof more / sizeof *more; m++) {
                sum += more[m];
                size += fabs(more[m]);
            }
            double bound = (double)(g->inner + 8) * unit * size;
            if (g->kept) {
                const double kept = get(o->kept.host, g->out_type, at);
                wrong += !(fabs(kept - sum) <= bound + half_unit * (fabs(sum) + bound) + smallest);
            }
            if (g->gelu) {
                bound = 1.13 * bound + 16 * unit * (1.0 + fabs(sum));
                sum = gelu(sum);
            } else if (g->dgelu) {
                const double pre = get(o->pre.host, g->out_type, at);
                bound = 1.13 * bound + 16 * unit * fabs(sum) * (1.0 + fabs(pre));
                sum *= gelu_grad(pre);
            }
            const double out = get(o->out.host, g->out_type, at);
            wrong += !(fabs(out - sum) <= bound + half_unit * (fabs(sum) + bound) + smallest);
        }
    }
    return wrong;
}

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

// The three products of a linear layer in all types and with all that may follow them.
static void check_products(struct gemm_context *context) {
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
        }
    }
}

// Sums that lie between two numbers of the output's type, and those that leave its range.
static void check_rounding(struct gemm_context *context) {
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

// A NaN in one operand is seen in every sum that it enters, and in no other.
static void check_nan(struct gemm_context *context) {
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
static void check_graph(struct gemm_context *context) {
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
    gemm_destroy(&g); // the graph needs no descriptor any more
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

#ifdef DIECAST_EMULATED // a process that has a device open can't be forked

// ---- what ends the program ----------------------------------------------------------------------

// fn in a process of its own; its exit code, and the first line of what it said.
static int ended(void (*fn)(void *), void *argument, char line[512]) {
    int channel[2];
    fflush(NULL);
    if (pipe(channel) != 0) {
        return -1;
    }
    const pid_t child = fork();
    if (child == 0) {
        dup2(channel[1], STDERR_FILENO);
        close(channel[0]);
        close(channel[1]);
        fn(argument);
        _exit(0);
    }
    close(channel[1]);
    ssize_t held = 0;
    for (ssize_t got; held < 511 && (got = read(channel[0], line + held, 511 - held)) > 0;) {
        held += got;
    }
    line[held] = 0;
    close(channel[0]);
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 256;
}

static void check_dies(void (*fn)(void *), void *argument, int code, const char *word) {
    char line[512], what[640];
    const int got = ended(fn, argument, line);
    const char *newline = strchr(line, '\n');
    snprintf(what, sizeof what, "ends with %d and one line with '%s'; it was %d: %s", code, word,
             got, line);
    check(got == code && newline && newline[1] == 0 && strstr(line, word), what);
}

static void create(void *gemm) {
    gemm_create(gpu.gemm, gemm);
}

struct bad_call {
    const struct gemm *gemm;
    char *out;
    void *a, *b;
    struct gemm_extra extra;
};

static void call(void *argument) {
    struct bad_call *bad = argument;
    gemm_run(&gpu, bad->gemm, bad->out, bad->a, bad->b, &bad->extra, 0.0f);
}

static void check_faults(void) {
    const struct gemm good = {.name = "good",
                              .rows = 8,
                              .cols = 16,
                              .inner = 24,
                              .out_ld = 16,
                              .a_ld = 24,
                              .b_ld = 16,
                              .type = GEMM_BF16,
                              .out_type = GEMM_BF16};
    // No product is made where the shape can't be.
    struct gemm bad[13];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        bad[i] = good;
    }
    bad[0].rows = 0;
    bad[1].out_ld = 8;
    bad[2].a_ld = 16;
    bad[3].b_ld = 8;
    bad[4].a_ld = 28; // 56 bytes
    bad[5].out_ld = 20;
    bad[12].b_ld = 20;
    bad[6].out_type = GEMM_TF32;
    bad[7].gelu = bad[7].residual = true;
    bad[8].kept = true;
    bad[9].dgelu = bad[9].bias = true;
    bad[10].accumulate = bad[10].bias = true;
    // 4 floats are 16 bytes, but GELU's input wants 8 elements
    bad[11].type = bad[11].out_type = GEMM_F32;
    bad[11].out_ld = 20, bad[11].gelu = bad[11].kept = true;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        check_dies(create, &bad[i], EXIT_INTERNAL, "no product can be made of");
    }

    // No algorithm: one line with the product, the call, the status and what to do.
    const size_t bytes = gpu.workspace_bytes;
    struct gemm_context *context = gpu.gemm;
    gpu.workspace_bytes = 0;
    gpu.gemm = gemm_context_create(&gpu, NULL);
    struct gemm none = good;
    check_dies(create, &none, EXIT_MEMORY,
               "good: cublasLtMatmulAlgoGetHeuristic: CUBLAS_STATUS_NOT_SUPPORTED (15): ");
    gemm_context_destroy(gpu.gemm);
    gpu.workspace_bytes = bytes;
    gpu.gemm = context;

    // No call without all operands, with one too many, or with one that is not aligned.
    struct gemm g = good;
    g.bias = true;
    struct operands o = operands_make(&g, 0);
    gemm_create(context, &g);
    const struct bad_call fine = {&g, o.out.device, o.a.device, o.b.device, o.extra};
    struct bad_call calls[] = {fine, fine, fine, fine};
    calls[0].a = NULL;
    calls[1].extra.bias = NULL;
    calls[2].extra.residual = o.residual.device;
    calls[3].out += 8;
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        check_dies(call, &calls[i], EXIT_INTERNAL, "good: ");
    }
    gemm_destroy(&g);
    operands_free(&o);
}

// ---- what the stand-in refuses ------------------------------------------------------------------

// A product that is right in everything, as cuBLASLt is told of it: D (40, 20) = A (24, 40)^T B.
struct request {
    cublasComputeType_t compute;
    cudaDataType_t a, b, c, d;
    int64_t a_cols, c_rows, a_ld, c_ld, d_ld;
    uint32_t epilogue;
    int32_t bias_type, aux_type;
    int64_t aux_ld;
    uint32_t align;      // promised
    int bias_by, aux_by; // bytes beside an aligned place, or -1: no pointer
    int a_by, d_by, workspace_by;
    size_t workspace_less; // than the algorithm asks for
    bool in_place, scratch, other_algorithm;
};

static cublasStatus_t refused(const struct request *r, char *memory) {
    cublasLtHandle_t handle;
    cublasLtMatmulDesc_t desc;
    cublasLtMatmulPreference_t preference;
    cublasLtMatrixLayout_t a, b, c, d;
    const int32_t transposed = CUBLAS_OP_T;
    char *bias = r->bias_by < 0 ? NULL : memory + 0x10000 + r->bias_by;
    char *aux = r->aux_by < 0 ? NULL : memory + 0x20000 + r->aux_by;
    cublasLtCreate(&handle);
    cublasLtMatmulDescCreate(&desc, r->compute, CUDA_R_32F);
    cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_TRANSA, &transposed,
                                   sizeof transposed);
    cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_EPILOGUE, &r->epilogue, 4);
    cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &r->bias_type, 4);
    cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_DATA_TYPE, &r->aux_type,
                                   4);
    cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, &r->aux_ld, 8);
    cublasLtMatrixLayoutCreate(&a, r->a, 24, (uint64_t)r->a_cols, r->a_ld);
    cublasLtMatrixLayoutCreate(&b, r->b, 24, 20, 24);
    cublasLtMatrixLayoutCreate(&c, r->c, (uint64_t)r->c_rows, 20, r->c_ld);
    cublasLtMatrixLayoutCreate(&d, r->d, 40, 20, r->d_ld);
    cublasLtMatmulPreferenceCreate(&preference);
    const uint64_t most = 1 << 20;
    const uint32_t reduction =
        r->scratch ? CUBLASLT_REDUCTION_SCHEME_MASK : CUBLASLT_REDUCTION_SCHEME_NONE;
    cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                         &most, sizeof most);
    cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
                                         &reduction, sizeof reduction);
    for (int i = 0; i < 4; i++) {
        cublasLtMatmulPreferenceSetAttribute(
            preference,
            (cublasLtMatmulPreferenceAttributes_t)(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES + i),
            &r->align, sizeof r->align);
    }
    // The heuristic is shown pointers that are aligned as promised, the call those of the request.
    const void *aligned = memory + 0x10000;
    cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &aligned, 8);
    cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, &aligned, 8);
    cublasLtMatmulHeuristicResult_t result;
    int found = 0;
    cublasStatus_t status =
        cublasLtMatmulAlgoGetHeuristic(handle, desc, a, b, c, d, preference, 1, &result, &found);
    if (status == CUBLAS_STATUS_SUCCESS) {
        if (r->other_algorithm) {
            const int32_t straight = CUBLAS_OP_N;
            result.algo.data[1] ^= (uint64_t)straight + 1;
        }
        cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, 8);
        cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, &aux, 8);
        const float one = 1.0f;
        char *to = memory + 0x30000 + r->d_by;
        const char *from = r->in_place ? to : memory + 0x40000;
        status = cublasLtMatmul(handle, desc, &one, memory + r->a_by, a, memory + 0x8000, b, &one,
                                from, c, to, d, &result.algo, memory + 0x50000 + r->workspace_by,
                                result.workspaceSize - r->workspace_less, gpu.stream);
    }
    CUDA_CHECK(cudaStreamSynchronize(gpu.stream));
    cublasLtMatmulPreferenceDestroy(preference);
    cublasLtMatrixLayoutDestroy(a);
    cublasLtMatrixLayoutDestroy(b);
    cublasLtMatrixLayoutDestroy(c);
    cublasLtMatrixLayoutDestroy(d);
    cublasLtMatmulDescDestroy(desc);
    cublasLtDestroy(handle);
    return status;
}

static void check_refusals(void) {
    void *memory;
    CUDA_CHECK(cudaMalloc(&memory, 1 << 20));
    CUDA_CHECK(cudaMemsetAsync(memory, 0, 1 << 20, gpu.stream));
    const cudaDataType_t bf16 = CUDA_R_16BF, f16 = CUDA_R_16F, f32 = CUDA_R_32F;
    const struct request fine = {.compute = CUBLAS_COMPUTE_32F,
                                 .a = bf16,
                                 .b = bf16,
                                 .c = bf16,
                                 .d = bf16,
                                 .a_cols = 40,
                                 .c_rows = 40,
                                 .a_ld = 24,
                                 .c_ld = 40,
                                 .d_ld = 40,
                                 .epilogue = CUBLASLT_EPILOGUE_GELU_AUX_BIAS,
                                 .bias_type = bf16,
                                 .aux_type = bf16,
                                 .aux_ld = 40,
                                 .align = 16,
                                 .scratch = true};
    check(refused(&fine, memory) == CUBLAS_STATUS_SUCCESS, "a product without a fault runs");
    struct request in_place = fine;
    in_place.in_place = true;
    check(refused(&in_place, memory) == CUBLAS_STATUS_SUCCESS, "C and D may be one matrix");

    enum { INVALID = CUBLAS_STATUS_INVALID_VALUE, UNSUPPORTED = CUBLAS_STATUS_NOT_SUPPORTED };
    struct {
        int status;
        const char *why;
        struct request r;
    } cases[24];
    int count = 0;
#define REFUSES(wanted, reason, ...)                                                               \
    do {                                                                                           \
        struct request r = fine;                                                                   \
        __VA_ARGS__;                                                                               \
        cases[count].status = wanted, cases[count].why = reason, cases[count++].r = r;             \
    } while (0)
    REFUSES(INVALID, "auxiliary leading dimension not divisible by 8", r.aux_ld = 44);
    REFUSES(INVALID, "auxiliary leading dimension below the rows", r.aux_ld = 32);
    REFUSES(INVALID, "no auxiliary pointer", r.aux_by = -1);
    REFUSES(INVALID, "auxiliary data of another type than D", r.aux_type = f32);
    REFUSES(INVALID, "no bias pointer", r.bias_by = -1);
    REFUSES(INVALID, "a bias of another type than D", r.bias_type = f32);
    REFUSES(INVALID, "leading dimension below the rows", r.a_ld = 16);
    REFUSES(INVALID, "leading dimension below the rows", r.d_ld = 32);
    REFUSES(INVALID, "leading dimension below the rows", r.c_ld = 32);
    REFUSES(INVALID, "sizes that do not match", r.a_cols = 32);
    REFUSES(INVALID, "sizes that do not match", r.c_rows = 32);
    REFUSES(UNSUPPORTED, "types that are not in the table", r.b = f16);
    REFUSES(UNSUPPORTED, "types that are not in the table", r.c = f32);
    REFUSES(UNSUPPORTED, "types that are not in the table", r.c = r.d = f16);
    REFUSES(UNSUPPORTED, "types that are not in the table", r.a = r.b = f32);
    REFUSES(UNSUPPORTED, "types that are not in the table", r.compute = CUBLAS_COMPUTE_16F);
    REFUSES(UNSUPPORTED, "an epilogue that the stand-in does not know", r.epilogue = 208);
    REFUSES(UNSUPPORTED, "a pointer that is less aligned than was promised", r.a_by = 8);
    REFUSES(UNSUPPORTED, "a pointer that is less aligned than was promised", r.align = 256,
            r.d_by = 16);
    REFUSES(UNSUPPORTED, "a pointer that is less aligned than was promised", r.bias_by = 2);
    REFUSES(UNSUPPORTED, "a pointer that is less aligned than was promised", r.aux_by = 8);
    REFUSES(INVALID, "workspace too small", r.workspace_less = 1);
    REFUSES(INVALID, "workspace not aligned to 256 bytes", r.workspace_by = 128);
    REFUSES(INVALID, "C and D in one place with different layouts", r.in_place = true, r.c_ld = 48);
#undef REFUSES
    for (int i = 0; i < count; i++) {
        char what[256];
        const cublasStatus_t status = refused(&cases[i].r, memory);
        snprintf(what, sizeof what, "refused with %d: %s; it was %d: %s", cases[i].status,
                 cases[i].why, status, cublaslt_refusal());
        check(status == (cublasStatus_t)cases[i].status &&
                  strcmp(cublaslt_refusal(), cases[i].why) == 0,
              what);
    }
    struct request other = fine;
    other.other_algorithm = true;
    check(refused(&other, memory) == CUBLAS_STATUS_INVALID_VALUE,
          "an algorithm runs the product alone that it was made for");
    CUDA_CHECK(cudaFree(memory));
}

// ---- tune files with faults ---------------------------------------------------------------------

// A file's text; the caller frees.
static char *read_file(const char *path) {
    FILE *file = fopen(path, "rb");
    char *text = calloc(1, 1 << 16);
    if (file) {
        text[fread(text, 1, (1 << 16) - 1, file)] = 0;
        fclose(file);
    }
    return text;
}

static void write_file(const char *path, const char *text) {
    FILE *file = fopen(path, "wb");
    check(file && fputs(text, file) >= 0 && fclose(file) == 0, "a tune file is written");
}

// Says how the product is chosen by what the file holds.
static void reopen(void *gemm) {
    struct gemm_context *context = gemm_context_create(&gpu, tune_folder);
    gemm_create(context, gemm);
    fprintf(stderr, "%s\n", gemm_context_choice(context));
}

static void check_reopen(struct gemm *g, const char *text, const char *path, const char *first,
                         const char *second) {
    char line[512], what[1024];
    write_file(path, text);
    const int code = ended(reopen, g, line);
    char *newline = strchr(line, '\n');
    const bool warned = newline && newline[1] != 0;
    const bool good = code == 0 && strstr(line, first) && warned == (second != NULL) &&
                      (!second || strstr(newline, second) == newline + 1);
    snprintf(what, sizeof what, "a tune file is answered with '%s', '%s'; it was %d: %s", first,
             second ? second : "", code, line);
    check(good, what);
}

#endif

// ---- the tune file ------------------------------------------------------------------------------

static void check_tune(void) {
    struct gemm g = {.name = "tuned",
                     .rows = 40,
                     .cols = 64,
                     .inner = 1000,
                     .b_transposed = true,
                     .type = GEMM_BF16,
                     .out_type = GEMM_F32};
    struct operands o = operands_make(&g, 0), chosen = o;
    chosen.out = matrix_make(GEMM_F32, 40, 64, (int)g.out_ld, POISON);
    const size_t bytes = (size_t)g.rows * g.out_ld * sizeof(float);

    // Choose the last one, save, and read back.
    struct gemm_context *context = gpu.gemm = gemm_context_create(&gpu, tune_folder);
    gemm_create(context, &g);
    check(strcmp(gemm_context_choice(context), "heuristic") == 0, "no file: the heuristic's");
    const int count = gemm_choices(&g);
    check(count >= 1 && count <= GEMM_CHOICES, "the heuristic names 1 to 8 algorithms");
    run(&g, &o, 0.0f);
    gemm_choose(&g, count - 1);
    run(&g, &chosen, 0.0f);
    matrix_fetch(&o.out);
    matrix_fetch(&chosen.out);
    check(count_wrong(&g, &chosen, NULL) == 0, "another algorithm gives the same sums");
#ifdef DIECAST_EMULATED
    check(count == 3, "of five algorithms three have sums that lose nothing");
    check(memcmp(o.out.host, chosen.out.host, bytes) != 0, "but not the same bits");
#endif
    struct gemm *list[] = {&g};
    char path[512];
    snprintf(path, sizeof path, "%s", gemm_tune_save(context, list, 1));
    gemm_destroy(&g);
    gemm_context_destroy(context);

    context = gpu.gemm = gemm_context_create(&gpu, tune_folder);
    gemm_create(context, &g);
    char choice[64], choice2[64];
    snprintf(choice, sizeof choice, "%s", gemm_context_choice(context));
    check(strncmp(choice, "tuned:", 6) == 0 && strlen(choice) == 22, "a choice's name");
    run(&g, &o, 0.0f);
    matrix_fetch(&o.out);
    check(memcmp(o.out.host, chosen.out.host, bytes) == 0, "the algorithm that was saved runs");
    gemm_destroy(&g);

    // A second shape is added, the first stays, and the name says so.
    struct gemm wider = g;
    wider.cols = 72, wider.out_ld = 72;
    gemm_create(context, &wider);
    list[0] = &wider;
    gemm_tune_save(context, list, 1);
    gemm_destroy(&wider);
    gemm_context_destroy(context);
    context = gpu.gemm = gemm_context_create(&gpu, tune_folder);
    gemm_create(context, &g);
    check(strcmp(gemm_context_choice(context), choice) == 0, "one product's choice is its own");
    gemm_create(context, &wider);
    check(strcmp(gemm_context_choice(context), choice) != 0 &&
              strncmp(gemm_context_choice(context), "tuned:", 6) == 0,
          "two products' choice has another name");
    snprintf(choice2, sizeof choice2, "%s", gemm_context_choice(context));
    gemm_destroy(&wider);
    wider.cols = 80, wider.out_ld = 80; // not in the file
    gemm_create(context, &wider);
    check(strcmp(gemm_context_choice(context), choice2) != 0,
          "and so has theirs with a third that is the heuristic's");
    gemm_destroy(&wider);
    gemm_destroy(&g);
    gemm_context_destroy(context);
    gpu.gemm = NULL;

#ifdef DIECAST_EMULATED
    // Whatever is wrong with the file, it is one line on stderr, and the heuristic's choice.
    char *text = read_file(path), *bad = malloc(strlen(text) + 4096);
    char *line = strchr(text, '\n') + 1, *hex = strchr(line, ' ') + 1;
    const size_t at = (size_t)(hex - text);
    check_reopen(&g, text, path, choice, NULL);
    strcpy(bad, text), bad[at + 20] ^= 1; // one digit, still hex: 0 and 1, 2 and 3, ...
    check_reopen(&g, bad, path, ":2: a wrong checksum", "heuristic");
    strcpy(bad, text), bad[at + 20] = 'x';
    check_reopen(&g, bad, path, ":2: a digit that is not hex", "heuristic");
    strcpy(bad, text), bad[(size_t)(line - text)] = 'c'; // bf16 -> cf16
    check_reopen(&g, bad, path, ":2: a wrong checksum", "heuristic");
    strcpy(bad, text), memmove(bad + at, bad + at + 2, strlen(bad + at + 2) + 1);
    check_reopen(&g, bad, path, ":2: a wrong length", "heuristic");
    strcpy(bad, text), bad[(size_t)(line - text)] = ' ';
    check_reopen(&g, bad, path, ":2: no shape", "heuristic");
    strcpy(bad, text), bad[strlen(bad) - 1] = 0; // the last line's end: another shape's
    check_reopen(&g, bad, path, ":3: no end", choice);
    strcpy(bad, text), memset(bad + strlen(bad), 0, 1), memset(bad + at, 'a', 4000),
        bad[at + 4000] = 0;
    strcat(bad, strchr(line, '\n'));
    check_reopen(&g, bad, path, ":2: no end", "heuristic");
    strcpy(bad, text), bad[13] = '2'; // diecast-tune 1
    check_reopen(&g, bad, path, ":1: not 'diecast-tune 1 ", "heuristic");
    check_reopen(&g, "", path, "heuristic", NULL);

    // A choice that wants more workspace than there is.
    write_file(path, text);
    gpu.workspace_bytes = 4096;
    check_reopen(&g, text, path, "does not take the algorithm", "heuristic");
    gpu.workspace_bytes = WORKSPACE;
    free(bad);
    free(text);
#endif
    matrix_free(&chosen.out);
    operands_free(&o);
}

int main(int argc, char **argv) {
    if (argc != 2) {
        die(EXIT_USAGE, "test_gemm FOLDER");
    }
    tune_folder = argv[1];
    gpu_open(&gpu);
    CUDA_CHECK(cudaMalloc(&gpu.workspace, WORKSPACE));
    gpu.workspace_bytes = WORKSPACE;
    gpu.gemm = gemm_context_create(&gpu, NULL);
    check_products(gpu.gemm);
    check_rounding(gpu.gemm);
    check_nan(gpu.gemm);
    check_graph(gpu.gemm);
#ifdef DIECAST_EMULATED
    check_faults();
    check_refusals();
#endif
    gemm_context_destroy(gpu.gemm);
    check_tune();
    CUDA_CHECK(cudaFree(gpu.workspace));
    gpu_close(&gpu);
    printf("%d passed, %d failed, 0 skipped\n", passed, failed);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
