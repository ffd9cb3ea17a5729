// bias.c: y (N, C) = x + bias (C).
#include "tests/ops/harness.h"

reference_fn bias_reference;

void bias_reference(const struct op *op) {
    const int N = op->d.N, C = op->d.C;
    for (int n = 0; n < N; n++) {
        for (int c = 0; c < C; c++) {
            op->out[0][n * C + c] = op->in[0][n * C + c] + op->in[1][c];
        }
    }
}
