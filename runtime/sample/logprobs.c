// logprobs.c: how likely tokens are by the logits that a model gave, before they are changed.
#include <math.h>
#include <string.h>

#include "runtime/sample/sample.h"

double logprobs_total(const float *logits, int vocab_size) {
    double largest = logits[0], sum = 0;
    for (int v = 1; v < vocab_size; v++) {
        largest = logits[v] > largest ? logits[v] : largest;
    }
    for (int v = 0; v < vocab_size; v++) {
        sum += exp(logits[v] - largest);
    }
    return largest + log(sum);
}

// By insertion: after the first few logits hardly any is among the largest so far.
int logprobs_top(const float *logits, int vocab_size, int wanted, int32_t *ids) {
    int count = 0;
    for (int v = 0; v < vocab_size; v++) {
        int at = count;
        while (at > 0 && logits[v] > logits[ids[at - 1]]) {
            at--;
        }
        if (at == wanted) {
            continue;
        }
        count += count < wanted;
        memmove(ids + at + 1, ids + at, (size_t)(count - 1 - at) * sizeof *ids);
        ids[at] = v;
    }
    return count;
}
