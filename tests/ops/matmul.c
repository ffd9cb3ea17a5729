// matmul.c: y (N, O) = x (N, C) w (O, C)^T.
//
// For large shapes this is most of the reference's work, since a gradient's differences repeat the
// product many times. So it works on tiles, ROWS rows of x by a panel of w, which is PANEL outputs
// side by side, in vectors that every 64-bit machine has. Each element is still summed in order of
// C.
#include "tests/ops/harness.h"

#include <stdlib.h>
#include <string.h>

typedef double pair __attribute__((vector_size(2 * sizeof(double)))); // as malloc aligns
enum { PAIRS = 2, PANEL = 2 * PAIRS, ROWS = 4 };

// w (O, C) -> panels (ceil(O / PANEL), C, PANEL), 0 after the last output.
static pair *pack(const double *w, int O, int C) {
    const size_t panels = (size_t)(O + PANEL - 1) / PANEL;
    double *packed = calloc(panels * (size_t)C * PANEL, sizeof *packed);
    for (int o = 0; o < O; o++) {
        double *panel = packed + (size_t)(o / PANEL) * (size_t)C * PANEL;
        for (int c = 0; c < C; c++) {
            panel[c * PANEL + o % PANEL] = w[(size_t)o * (size_t)C + (size_t)c];
        }
    }
    return (pair *)packed;
}

// ROWS rows of x (C) by a panel (C, PANEL).
static void multiply(pair y[ROWS][PAIRS], const double *const x[ROWS], const pair *panel, int C) {
    pair sums[ROWS][PAIRS] = {{{0}}}; // in registers
    for (int c = 0; c < C; c++) {
        for (int r = 0; r < ROWS; r++) {
            for (int p = 0; p < PAIRS; p++) {
                sums[r][p] += x[r][c] * panel[c * PAIRS + p];
            }
        }
    }
    memcpy(y, sums, sizeof sums);
}

reference_fn matmul_reference;

void matmul_reference(const struct op *op) {
    const int N = op->d.N, C = op->d.C, O = op->d.O;
    pair *packed = pack(op->in[1], O, C);
    for (int n = 0; n < N; n += ROWS) {
        const double *x[ROWS];
        for (int r = 0; r < ROWS; r++) { // after the last row: that row again
            x[r] = op->in[0] + (size_t)(n + r < N ? n + r : N - 1) * (size_t)C;
        }
        for (int o = 0; o < O; o += PANEL) {
            const int outputs = O - o < PANEL ? O - o : PANEL;
            pair y[ROWS][PAIRS];
            multiply(y, x, packed + (size_t)(o / PANEL) * (size_t)C * PAIRS, C);
            for (int r = 0; r < ROWS && n + r < N; r++) {
                memcpy(op->out[0] + (size_t)(n + r) * (size_t)O + o, y[r],
                       (size_t)outputs * sizeof(double));
            }
        }
    }
    free(packed);
}
