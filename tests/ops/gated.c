// gated.c: y (N, C) = act(gate) * up, the two halves of x (N, 2 C).
#include "tests/ops/harness.h"

#include <math.h>

static double silu(double x) {
    return x / (1 + exp(-x));
}

static double gelu(double x) {
    return 0.5 * x * (1 + erf(x / sqrt(2.0)));
}

static void gate(const struct op *op, double act(double)) {
    const int N = op->d.N, C = op->d.C;
    for (int n = 0; n < N; n++) {
        const double *x = op->in[0] + n * 2 * C;
        for (int c = 0; c < C; c++) {
            op->out[0][n * C + c] = act(x[c]) * x[C + c];
        }
    }
}

reference_fn swiglu_reference, geglu_reference;

void swiglu_reference(const struct op *op) {
    gate(op, silu);
}

void geglu_reference(const struct op *op) {
    gate(op, gelu);
}
