// add.c: y (N, C) = x + addend.
#include "tests/ops/harness.h"

reference_fn add_reference;

void add_reference(const struct op *op) {
    for (int i = 0; i < op->d.N * op->d.C; i++) {
        op->out[0][i] = op->in[0][i] + op->in[1][i];
    }
}
