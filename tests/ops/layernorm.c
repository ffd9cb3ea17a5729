// layernorm.c: y (N, C), mean (N), rstd (N) of x (N, C), scale (C), shift (C).
#include "tests/ops/harness.h"

#include <math.h>

reference_fn layernorm_reference;

void layernorm_reference(const struct op *op) {
    const int N = op->d.N, C = op->d.C;
    const double *scale = op->in[1], *shift = op->in[2];
    for (int n = 0; n < N; n++) {
        const double *x = op->in[0] + n * C;
        double mean = 0, variance = 0;
        for (int c = 0; c < C; c++) {
            mean += x[c] / C;
        }
        for (int c = 0; c < C; c++) {
            variance += (x[c] - mean) * (x[c] - mean) / C;
        }
        const double rstd = 1 / sqrt(variance + op->eps);
        for (int c = 0; c < C; c++) {
            op->out[0][n * C + c] = (x[c] - mean) * rstd * scale[c] + (shift ? shift[c] : 0);
        }
        if (op->out[1]) {
            op->out[1][n] = mean;
            op->out[2][n] = rstd;
        }
    }
}
