// activation.c: the pointwise functions, by C's library.
#include "tests/ops/harness.h"

#include <math.h>

static double gelu_erf(double x) {
    return 0.5 * x * (1 + erf(x / sqrt(2.0)));
}

static double gelu_tanh(double x) {
    return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

static double relu(double x) {
    return x > 0 ? x : 0;
}

static double relu2(double x) {
    return relu(x) * relu(x);
}

static double silu(double x) {
    return x / (1 + exp(-x));
}

static void each(const struct op *op, double function(double)) {
    for (int i = 0; i < op->d.N * op->d.C; i++) {
        op->out[0][i] = function(op->in[0][i]);
    }
}

reference_fn gelu_erf_reference, gelu_tanh_reference, relu_reference, relu2_reference,
    silu_reference;

void gelu_erf_reference(const struct op *op) {
    each(op, gelu_erf);
}

void gelu_tanh_reference(const struct op *op) {
    each(op, gelu_tanh);
}

void relu_reference(const struct op *op) {
    each(op, relu);
}

void relu2_reference(const struct op *op) {
    each(op, relu2);
}

void silu_reference(const struct op *op) {
    each(op, silu);
}
