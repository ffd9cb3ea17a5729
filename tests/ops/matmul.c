// matmul.c: y (N, O) = x (N, C) w (O, C)^T.
#include "tests/ops/harness.h"

reference_fn matmul_reference;

void matmul_reference(const struct op *op) {
    const int N = op->d.N, C = op->d.C, O = op->d.O;
    for (int n = 0; n < N; n++) {
        for (int o = 0; o < O; o++) {
            const double *x = op->in[0] + n * C, *w = op->in[1] + o * C;
            double sum = 0;
            for (int c = 0; c < C; c++) {
                sum += x[c] * w[c];
            }
            op->out[0][n * O + o] = sum;
        }
    }
}
