// qk_norm.c: y (N, E), rstd (N, H + KV) of qkv (N, E), and q_gain (D), k_gain (D) or none.
#include "tests/ops/harness.h"

#include <math.h>

reference_fn qk_norm_reference, qk_norm_plain_reference;

void qk_norm_reference(const struct op *op) {
    const int N = op->d.N, E = op->d.E, D = op->d.D, H = op->d.H, heads = H + op->d.KV;
    for (int n = 0; n < N; n++) {
        for (int c = 0; c < E; c++) {
            op->out[0][n * E + c] = op->in[0][n * E + c];
        }
        for (int h = 0; h < heads; h++) {
            const double *gain = op->in[h < H ? 1 : 2];
            double *y = op->out[0] + n * E + h * D;
            double mean_square = 0;
            for (int c = 0; c < D; c++) {
                mean_square += y[c] * y[c] / D;
            }
            const double rstd = 1 / sqrt(mean_square + op->eps);
            for (int c = 0; c < D; c++) {
                y[c] *= rstd * (gain ? gain[c] : 1);
            }
            if (op->out[1]) {
                op->out[1][n * heads + h] = rstd;
            }
        }
    }
}

void qk_norm_plain_reference(const struct op *op) {
    qk_norm_reference(op);
}
