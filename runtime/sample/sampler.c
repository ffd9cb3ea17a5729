// sampler.c: from tokens to tokens: the sampler's memory and the loop that generates. The model
// itself is in the emitted sample.c. Needs only libc and libm, since the sampler is also linked
// statically.
#include <stdlib.h>
#include <string.h>

#include "runtime/sample/sample.h"

static void sampler_batch_job(struct sampler *s, void *context, int thread) {
    sampler_forward(s, context, thread);
}

void sampler_run_batch(struct sampler *s, struct sampler_batch *batch) {
    sampler_run(s, sampler_batch_job, batch);
}

static void *sampler_allocate(size_t count, size_t size) {
    return allocate(count, size, "the sampler");
}

// Floats from the first text's KV cache to another one's, which lie behind the activations.
static size_t sampler_cache(int text) {
    const size_t line = SAMPLER_ALIGNMENT / sizeof(float);
    const size_t first = ((size_t)sampler_info.memory_floats + line - 1) / line * line;
    const size_t each = ((size_t)sampler_info.cache_floats + line - 1) / line * line;
    return text == 0 ? 0 : first + (size_t)(text - 1) * each;
}

static void sampler_free_room(struct sampler *s) {
    for (int i = 0; i < s->texts; i++) {
        free(s->text[i].window);
        free(s->text[i].seen);
    }
    free(s->text);
    free(s->runs);
    free(s->block);
    free(s->logits);
}

void sampler_make_room(struct sampler *s, int texts) {
    sampler_free_room(s);
    const size_t line = SAMPLER_ALIGNMENT / sizeof(float), V = (size_t)sampler_info.vocab_size;
    s->texts = texts;
    const int most = sampler_info.max_rows / texts - 1; // beside the last token of each
    s->lookup = s->lookup < most ? s->lookup : most;
    s->text = sampler_allocate((size_t)texts, sizeof *s->text);
    s->runs = sampler_allocate((size_t)texts, sizeof *s->runs);
    s->logits = sampler_allocate((size_t)texts * (size_t)(1 + s->lookup), V * sizeof *s->logits);
    s->block = sampler_allocate(sampler_cache(texts) + line, sizeof *s->memory);
    s->memory = (float *)(((uintptr_t)s->block + SAMPLER_ALIGNMENT - 1) / SAMPLER_ALIGNMENT *
                          SAMPLER_ALIGNMENT);
    for (int i = 0; i < texts; i++) {
        s->text[i] = (struct sampler_text){
            .cache = sampler_cache(i),
            .window = sampler_allocate((size_t)sampler_info.block_size, sizeof *s->text->window),
            .seen = sampler_allocate(V, sizeof *s->text->seen),
        };
    }
}

void sampler_create(struct sampler *s, int threads) {
    int weights = 0;
    for (int i = 0; i < sampler_info.params_count; i++) {
        weights += sampler_info.params[i].layers;
    }
    *s = (struct sampler){
        .weight = sampler_allocate((size_t)weights, sizeof *s->weight),
        .pos = sampler_allocate((size_t)sampler_info.max_rows, sizeof *s->pos),
        .asked = sampler_allocate((size_t)sampler_info.max_rows, sizeof *s->asked),
        .vocab_size = sampler_info.vocab_size,
        .threads = 1,
    };
    sampler_make_room(s, 1);
    if (threads > 1) {
        sampler_team_start(s, threads);
    }
}

void sampler_destroy(struct sampler *s) {
    sampler_team_end(s);
    free(s->weight);
    free(s->pos);
    free(s->asked);
    sampler_free_room(s);
    *s = (struct sampler){0};
}

void sampler_fill(struct sampler *s, struct sampler_text *text, float *logits) {
    while (text->done < text->used) {
        const int left = text->used - text->done, pos = text->done;
        const int rows = left < sampler_info.max_rows ? left : sampler_info.max_rows;
        for (int i = 0; i < rows; i++) {
            s->pos[i] = text->first + pos + i;
        }
        s->runs[0] = (struct sampler_run){.cache = text->cache, .rows = rows, .pos = pos};
        struct sampler_batch batch = {.tokens = text->window + pos,
                                      .pos = s->pos,
                                      .rows = rows,
                                      .runs = s->runs,
                                      .count = 1,
                                      .asked = s->runs,
                                      .asks = 1,
                                      .logits = logits};
        sampler_run_batch(s, &batch);
        text->done += rows;
    }
}

void sampler_begin_text(struct sampler_text *text) {
    text->used = text->done = text->first = 0;
    text->slid = false;
    memset(text->seen, 0, (size_t)sampler_info.vocab_size * sizeof *text->seen);
}

void sampler_begin(struct sampler *s) {
    sampler_begin_text(&s->text[0]);
}

void sampler_take_text(struct sampler *s, struct sampler_text *text, const int32_t *ids,
                       int64_t count, float *logits) {
    for (int64_t taken; count > 0; ids += taken, count -= taken) {
        taken = sampler_append(s, text, ids, count);
        sampler_fill(s, text, logits);
    }
}

void sampler_take_each(struct sampler *s, int texts, struct sampler_text *const *text,
                       const int32_t *ids, float *logits) {
    for (int i = 0; i < texts; i++) {
        sampler_append(s, text[i], &ids[i], 1);
        const int pos = text[i]->done++;
        s->pos[i] = text[i]->first + pos;
        s->runs[i] =
            (struct sampler_run){.cache = text[i]->cache, .first = i, .rows = 1, .pos = pos};
    }
    struct sampler_batch batch = {.tokens = ids,
                                  .pos = s->pos,
                                  .rows = texts,
                                  .runs = s->runs,
                                  .count = texts,
                                  .asked = s->runs,
                                  .asks = texts,
                                  .logits = logits};
    sampler_run_batch(s, &batch);
}

void sampler_take(struct sampler *s, const int32_t *ids, int64_t count) {
    sampler_take_text(s, &s->text[0], ids, count, s->logits);
}

void sampler_attention(struct sampler *s, const int32_t *ids, int count, float *weights) {
    s->weights = weights;
    s->weights_tokens = count;
    sampler_begin(s);
    sampler_take(s, ids, count);
    s->weights = NULL;
}

// Of (L, H, tokens, tokens) weights the kernels write the last query's alone, so that the place of
// each head's row is the one before it and tokens^2 further: with the least `tokens` for which rows
// do not overlap, no more is touched than there is to tell.
void sampler_look(struct sampler *s, struct sampler_text *text, float *logits, float *weights) {
    const size_t rows = (size_t)sampler_info.n_layer * (size_t)sampler_info.n_head;
    const size_t used = (size_t)text->used;
    size_t tokens = 1;
    while (tokens * tokens < used) {
        tokens++;
    }
    const size_t apart = tokens * tokens, first = (used - 1) * tokens;
    float *all = allocate(first + rows * apart, sizeof *all, "the attention weights");
    s->weights = all;
    s->weights_tokens = (int)tokens;
    text->done = text->used - 1;
    sampler_fill(s, text, logits);
    s->weights = NULL;
    for (size_t i = 0; i < rows; i++) {
        memcpy(weights + i * used, all + first + i * apart, used * sizeof *weights);
    }
    free(all);
}

float *sampler_layer_weights(const struct sampler *s, int layer) {
    const size_t square = (size_t)s->weights_tokens * (size_t)s->weights_tokens;
    return s->weights ? s->weights + (size_t)layer * (size_t)sampler_info.n_head * square : NULL;
}

int32_t sampler_next(const struct sampler *s, const struct sampler_text *text, float *logits,
                     const struct sampling *sampling, uint32_t sample, uint32_t i) {
    sampler_penalise(logits, text->seen, s->vocab_size, sampling->repetition_penalty);
    const uint64_t draw = rng_bits((uint32_t)sampling->seed, RNG_SAMPLE, sample, i);
    return sampler_choose(logits, s->vocab_size, sampling, draw);
}

bool sampler_generate(struct sampler *s, const int32_t *ids, int64_t count, int64_t max_new_tokens,
                      const struct sampling *sampling, uint32_t sample,
                      bool (*emit)(void *context, int32_t id), void *context) {
    int32_t id;
    sampler_begin(s);
    for (int64_t i = 0; i < max_new_tokens; i++, ids = &id, count = 1) {
        sampler_take(s, ids, count);
        if (!floats_are_finite(s->logits, s->vocab_size)) {
            return false;
        }
        if (sampling->look) {
            sampling->look(context, s->logits);
        }
        id = sampler_next(s, &s->text[0], s->logits, sampling, sample, (uint32_t)i);
        if (!emit(context, id)) {
            break;
        }
    }
    return true;
}
