// product.c: one product's operands, and its result compared with doubles.
//
// Bounds: the error of a sum of `inner` products in float is at most (inner + 8) 2^-23 times the
// sum of their magnitudes (2^-24 by rounding; tensor cores truncate, hence twice that). GELU's
// slope is at most 1.13. Storing adds half a unit of the last place: 2^-9 in bf16, 2^-12 in f16,
// 2^-24 in float.
#include "tests/cuda/gemm/gemm_test.h"

static double gelu(double x) {
    return 0.5 * x * (1.0 + tanh(sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x)));
}

static double gelu_grad(double x) {
    const double t = tanh(sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x));
    const double slope = sqrt(2.0 / M_PI) * (1.0 + 3.0 * 0.044715 * x * x);
    return 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * slope;
}

static int up8(int size) {
    return (size + 7) / 8 * 8;
}

// `beyond`: columns of padding in addition to those for alignment.
struct operands operands_make(struct gemm *g, int beyond) {
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

void operands_free(struct operands *o) {
    struct matrix *all[] = {&o->out, &o->a, &o->b, &o->bias, &o->residual, &o->pre, &o->kept};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        matrix_free(all[i]);
    }
}

void run(const struct gemm *g, struct operands *o, float beta) {
    gemm_run(&gpu, g, o->out.device, o->a.device, o->b.device, &o->extra, beta);
}

// Counts the elements whose error is above the bound; before: out's values before, or NULL.
int count_wrong(const struct gemm *g, const struct operands *o, const double *before) {
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
            const double factor = g->factor != 0.0f ? g->factor : 1.0;
            const double added = g->residual_factor != 0.0f ? g->residual_factor : 1.0;
            sum *= factor;
            size *= fabs(factor);
            const double residual = g->residual ? get(o->residual.host, g->out_type, at) : 0.0;
            const double more[] = {before ? before[(size_t)i * g->cols + j] : 0.0, added * residual,
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
