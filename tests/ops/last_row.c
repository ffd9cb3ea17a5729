// last_row.c: y (C) = row N - 1 of x (N, C).
#include "tests/ops/harness.h"

reference_fn last_row_reference;

void last_row_reference(const struct op *op) {
    for (int c = 0; c < op->d.C; c++) {
        op->out[0][c] = op->in[0][(op->d.N - 1) * op->d.C + c];
    }
}
