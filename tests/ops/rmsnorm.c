// rmsnorm.c: y (N, C), rstd (N) of x (N, C), scale (C) or none.
#include "tests/ops/harness.h"

#include <math.h>

reference_fn rmsnorm_reference, rmsnorm_plain_reference;

void rmsnorm_reference(const struct op *op) {
    const int N = op->d.N, C = op->d.C;
    const double *scale = op->in[1];
    for (int n = 0; n < N; n++) {
        const double *x = op->in[0] + n * C;
        double mean_square = 0;
        for (int c = 0; c < C; c++) {
            mean_square += x[c] * x[c] / C;
        }
        const double rstd = 1 / sqrt(mean_square + op->eps);
        for (int c = 0; c < C; c++) {
            op->out[0][n * C + c] = x[c] * rstd * (scale ? scale[c] : 1);
        }
        if (op->out[1]) {
            op->out[1][n] = rstd;
        }
    }
}

void rmsnorm_plain_reference(const struct op *op) {
    rmsnorm_reference(op);
}
