// embed.c: y (N, C) = wte (V, C) of each token + wpe (T, C) of its position.
#include "tests/ops/harness.h"

reference_fn embed_reference;

void embed_reference(const struct op *op) {
    const int N = op->d.N, C = op->d.C, T = op->d.T;
    const double *tokens = op->in[0], *wte = op->in[1], *wpe = op->in[2];
    for (int n = 0; n < N; n++) {
        for (int c = 0; c < C; c++) {
            op->out[0][n * C + c] =
                wte[(int)tokens[n] * C + c] + (wpe ? wpe[(op->pos + n) % T * C + c] : 0);
        }
    }
}
