// attention.c: causal attention, one query of one head at a time.
#include "tests/ops/harness.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

double softmax(double *y, const double *x, int count) {
    double largest = x[0], sum = 0;
    for (int i = 1; i < count; i++) {
        largest = x[i] > largest ? x[i] : largest;
    }
    for (int i = 0; i < count; i++) {
        sum += y[i] = exp(x[i] - largest);
    }
    for (int i = 0; i < count; i++) {
        y[i] /= sum;
    }
    return largest + log(sum);
}

// y (D) of query q over keys and values 0 .. i, or the window's, each `stride` apart; returns the
// log of the sum of exponentials. row: the query's number among those of all heads and batches, for
// dropout.
static double attend(const struct op *op, double *y, const double *q, const double *keys,
                     const double *values, int stride, int i, int64_t row) {
    const int D = op->d.D, T = op->d.T, first = op->d.W && i > op->d.W ? i - op->d.W : 0;
    double *weights = calloc((size_t)T, sizeof *weights);
    for (int j = first; j <= i; j++) {
        for (int d = 0; d < D; d++) {
            weights[j] += q[d] * keys[j * stride + d] * op->scale;
        }
        weights[j] = op->cap > 0 ? op->cap * tanh(weights[j] / op->cap) : weights[j];
    }
    const double lse = softmax(weights + first, weights + first, i + 1 - first);
    memset(y, 0, (size_t)D * sizeof *y);
    for (int j = first; j <= i; j++) {
        const double weight = weights[j] * (op->site ? dropout_factor(op, row, T, j) : 1);
        for (int d = 0; d < D; d++) {
            y[d] += weight * values[j * stride + d];
        }
    }
    free(weights);
    return lse;
}

reference_fn attention_reference, attention_decode_reference;

// The heads of keys, fewer than those of queries where these share them.
static int key_heads(const struct op *op) {
    return op->d.KV ? op->d.KV : op->d.H;
}

// qkv (N, (H + 2 KV) D) -> y (N, C), lse (H, N)
void attention_reference(const struct op *op) {
    const int B = op->d.B, T = op->d.T, H = op->d.H, D = op->d.D, C = op->d.C, E = op->d.E;
    const int KV = key_heads(op);
    for (int b = 0; b < B; b++) {
        for (int h = 0; h < H; h++) {
            const double *query = op->in[0] + b * T * E + h * D;
            const double *keys = op->in[0] + b * T * E + (H + h / (H / KV)) * D;
            for (int i = 0; i < T; i++) {
                const double lse = attend(op, op->out[0] + (b * T + i) * C + h * D, query + i * E,
                                          keys, keys + KV * D, E, i, (int64_t)(b * H + h) * T + i);
                if (op->out[1]) {
                    op->out[1][h * op->d.N + b * T + i] = lse;
                }
            }
        }
    }
}

// qkv (N, (H + 2 KV) D) of the positions from pos on -> cache, y (N, C). The cache holds all keys,
// in transposed panels (KV, S / P, D, P), and then all values (KV, S, D).
void attention_decode_reference(const struct op *op) {
    const int N = op->d.N, H = op->d.H, D = op->d.D, C = op->d.C, E = op->d.E, S = op->d.S;
    const int P = op->panel, KV = key_heads(op);
    double *plain = malloc((size_t)S * 2 * D * sizeof *plain); // (S, 2, D)
    for (int h = 0; h < H; h++) {
        const int kv = h / (H / KV);
        double *keys = (double *)op->in[1] + kv * S * D, *values = keys + S * KV * D;
        for (int n = 0; n < N; n++) {
            const double *qkv = op->in[0] + n * E + h * D;
            const double *key = op->in[0] + n * E + (H + kv) * D;
            const int i = op->pos + n;
            for (int d = 0; d < D; d++) {
                keys[(i / P * D + d) * P + i % P] = key[d];
                values[i * D + d] = key[KV * D + d];
            }
            for (int j = 0; j <= i; j++) {
                for (int d = 0; d < D; d++) {
                    plain[(2 * j) * D + d] = keys[(j / P * D + d) * P + j % P];
                    plain[(2 * j + 1) * D + d] = values[j * D + d];
                }
            }
            attend(op, op->out[0] + n * C + h * D, qkv, plain, plain + D, 2 * D, i, 0);
        }
    }
    free(plain);
}
