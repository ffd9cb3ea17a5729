// matmul.c: y (N, O) = x (N, C) w (O, C)^T; and w as panels of S columns, 0 behind the last.
#include "tests/ops/harness.h"

reference_fn matmul_reference, pack_reference, pack_dx_reference;

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

void pack_reference(const struct op *op) {
    const int C = op->d.C, O = op->d.O, S = op->d.S;
    for (int p = 0; p < op->d.P; p++) {
        for (int c = 0; c < C; c++) {
            for (int s = 0; s < S; s++) {
                const int o = p * S + s;
                op->out[0][(p * C + c) * S + s] = o < O ? op->in[0][o * C + c] : 0;
            }
        }
    }
}

void pack_dx_reference(const struct op *op) {
    const int C = op->d.C, O = op->d.O, S = op->d.S;
    for (int p = 0; p < op->d.P; p++) {
        for (int o = 0; o < O; o++) {
            for (int s = 0; s < S; s++) {
                const int c = p * S + s;
                op->out[0][(p * O + o) * S + s] = c < C ? op->in[0][o * C + c] : 0;
            }
        }
    }
}
