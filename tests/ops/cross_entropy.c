// cross_entropy.c: losses (N) of logits (N, V) and targets (N), and their mean.
#include "tests/ops/harness.h"

#include <stdlib.h>

reference_fn cross_entropy_reference, mean_loss_reference;

void cross_entropy_reference(const struct op *op) {
    const int N = op->d.N, V = op->d.V;
    double *weights = malloc((size_t)V * sizeof *weights);
    for (int n = 0; n < N; n++) {
        const double *logits = op->in[0] + n * V;
        const int target = (int)op->in[1][n];
        op->out[0][n] = target < 0 ? 0 : softmax(weights, logits, V) - logits[target];
    }
    free(weights);
}

void mean_loss_reference(const struct op *op) {
    double sum = 0;
    int counted = 0;
    for (int n = 0; n < op->d.N; n++) {
        sum += op->in[1][n] < 0 ? 0 : op->in[0][n];
        counted += op->in[1][n] >= 0;
    }
    *op->loss = sum / counted;
}
