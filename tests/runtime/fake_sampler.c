// fake_sampler.c: a model small enough to follow by hand, in place of an emitted sample.c. Each
// layer mixes a row, stores the result in the cache and adds a sum over the cache that weights
// positions by their distance, so that logits depend on every token and its position: an error in
// the cache changes them. With FAKE_RELATIVE it has no table of positions.
#include <math.h>

#include "tests/runtime/fake_sampler.h"

#define SHAPE(rows, columns) .ndim = 2, .dims = {rows, columns}
static const struct param fake_params[] = {
    {.name = "transformer.wte.weight", .layers = 1, SHAPE(FAKE_V, FAKE_C)},
#ifndef FAKE_RELATIVE
    {.name = "transformer.wpe.weight", .layers = 1, SHAPE(FAKE_T, FAKE_C)},
#endif
    {.name = "transformer.h.%d.mix.weight", .layers = FAKE_L, SHAPE(FAKE_C, FAKE_C)},
    {.name = "transformer.ln_f.weight", .layers = 1, .ndim = 1, .dims = {FAKE_C, 1}},
    {.name = "lm_head.weight", .layers = 1, SHAPE(FAKE_V, FAKE_C), .copy = true},
};

const struct sampler_info sampler_info = {
    .config = FAKE_CONFIG,
    .block_size = FAKE_T,
    .vocab_size = FAKE_V,
    .n_layer = FAKE_L,
    .n_head = 1,
    .n_embd = FAKE_C,
    .params = fake_params,
    .params_count = sizeof fake_params / sizeof fake_params[0],
    .max_rows = FAKE_ROWS,
    .memory_floats = (FAKE_L * FAKE_T + FAKE_ROWS) * FAKE_C,
    .cache_floats = FAKE_L * FAKE_T * FAKE_C,
    .cache_rows = FAKE_T,
    .cache_width = FAKE_C,
};

struct fake_call fake_calls[FAKE_CALLS];
int fake_calls_count;

void sampler_forward(struct sampler *s, const struct sampler_batch *batch, int thread) {
    enum { T = FAKE_T, C = FAKE_C, V = FAKE_V, L = FAKE_L };
#ifdef FAKE_RELATIVE
    const float *wte = s->weight[0], *const *mixes = s->weight + 1;
#else
    const float *wte = s->weight[0], *wpe = s->weight[1], *const *mixes = s->weight + 2;
#endif
    const float *ln_f = mixes[L];
    float *caches = s->memory;     // (L, T, C) of the first text
    float *x = caches + L * T * C; // (max_rows, C)
    const int count = batch->rows;
    if (thread == 0 && fake_calls_count < FAKE_CALLS) {
        fake_calls[fake_calls_count++] =
            (struct fake_call){.count = count, .pos = batch->pos[0], .texts = batch->count};
    }
    float *cache[FAKE_ROWS]; // of each row's text
    int pos[FAKE_ROWS];      // in that
    for (int i = 0; i < batch->count; i++) {
        const struct sampler_run *run = &batch->runs[i];
        for (int r = run->first; r < run->first + run->rows; r++) {
            cache[r] = caches + run->cache;
            pos[r] = run->pos + r - run->first;
        }
    }
    for (int r = thread; r < count; r += s->threads) {
        for (int c = 0; c < C; c++) {
            x[r * C + c] = wte[batch->tokens[r] * C + c];
#ifndef FAKE_RELATIVE
            x[r * C + c] += wpe[batch->pos[r] * C + c];
#endif
        }
    }
    for (int l = 0; l < L; l++) {
        const float *mix = mixes[l]; // (C, C)
        for (int r = thread; r < count; r += s->threads) {
            float *kept = cache[r] + l * T * C; // (T, C)
            for (int c = 0; c < C; c++) {
                float sum = 0;
                for (int i = 0; i < C; i++) {
                    sum += mix[c * C + i] * x[r * C + i];
                }
                kept[pos[r] * C + c] = tanhf(sum);
            }
        }
        sampler_wait(s);
        float *weights = sampler_layer_weights(s, l);
        for (int r = thread; r < count && weights; r += s->threads) {
            for (int j = 0; j <= pos[r]; j++) {
                weights[pos[r] * s->weights_tokens + j] = (float)(l + 1) / (float)(1 + pos[r]);
            }
        }
        for (int r = thread; r < count; r += s->threads) {
            const float *kept = cache[r] + l * T * C;
            for (int c = 0; c < C; c++) {
                for (int j = 0; j <= pos[r]; j++) {
                    x[r * C + c] += kept[j * C + c] / (float)(1 + pos[r] - j);
                }
            }
        }
    }
    sampler_wait(s);
    for (int i = 0; i < batch->asks; i++) {
        const float *last = x + (batch->asked[i].first + batch->asked[i].rows - 1) * C;
        for (int v = thread; v < V; v += s->threads) {
            float sum = 0;
            for (int c = 0; c < C; c++) {
                sum += last[c] * ln_f[c] * wte[v * C + c];
            }
            batch->logits[i * V + v] = sum;
        }
    }
}
