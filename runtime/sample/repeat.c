// repeat.c: the penalty on tokens that were said before, that of Keskar et al., 2019 (CTRL) and of
// transformers' RepetitionPenaltyLogitsProcessor: in float32, once however often a token came.
#include "runtime/sample/sample.h"

void sampler_penalise(float *logits, const bool *seen, int vocab_size, double penalty) {
    if (penalty == 0 || penalty == 1) {
        return;
    }
    for (int v = 0; v < vocab_size; v++) {
        if (seen[v]) {
            logits[v] = logits[v] < 0 ? logits[v] * (float)penalty : logits[v] / (float)penalty;
        }
    }
}
