// dropout.c: the mask, one element at a time, by the generator of runtime/base/rng.c.
#include "tests/ops/harness.h"

double dropout_factor(const struct op *op, int64_t row, int columns, int column) {
    const double probability = op->settings->dropout;
    const int padded = (columns + 63) / 64 * 64;
    const int64_t element = row * padded + column;
    const int quarter = (int)(element % 64) / 16, lane = (int)(element % 16);
    const uint64_t bits = rng_bits(op->settings->dropout_key[0], op->settings->dropout_key[1],
                                   (uint32_t)(element / 64 * 16 + lane), op->site);
    const int threshold = (int)(probability * 65536 + 0.5);
    return (int)(bits >> 16 * quarter & 0xffff) >= threshold ? 1 / (1 - probability) : 0;
}

reference_fn dropout_reference;

void dropout_reference(const struct op *op) {
    const int N = op->d.N, C = op->d.C;
    for (int n = 0; n < N; n++) {
        for (int c = 0; c < C; c++) {
            op->out[0][n * C + c] = op->in[0][n * C + c] * dropout_factor(op, n, C, c);
        }
    }
}
