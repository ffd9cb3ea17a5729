// cross_entropy.c: losses (N) of logits (N, V) and targets (N), and their mean.
#include "tests/ops/harness.h"

#include <math.h>
#include <stdlib.h>

reference_fn cross_entropy_reference, mean_loss_reference, softcap_reference;

void cross_entropy_reference(const struct op *op) {
    const int N = op->d.N, V = op->d.V;
    const double cap = op->cap;
    double *weights = malloc((size_t)V * sizeof *weights),
           *capped = malloc((size_t)V * sizeof *capped);
    for (int n = 0; n < N; n++) {
        const double *logits = op->in[0] + n * V;
        for (int v = 0; v < V && cap > 0; v++) {
            capped[v] = cap * tanh(logits[v] / cap);
        }
        logits = cap > 0 ? capped : logits;
        const int target = (int)op->in[1][n];
        op->out[0][n] = target < 0 ? 0 : softmax(weights, logits, V) - logits[target];
    }
    free(weights);
    free(capped);
}

void softcap_reference(const struct op *op) {
    for (int i = 0; i < op->d.N * op->d.C; i++) {
        op->out[0][i] = op->cap * tanh(op->in[0][i] / op->cap);
    }
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
