// together.c: several texts after one prompt, side by side: a token of each is a row of one batch.
// Needs only libc, libm and pthreads, since the sampler is also linked statically.
#include "runtime/sample/sample.h"

#include <stdlib.h>
#include <string.h>

// A text that goes on.
struct together_row {
    int number;
    struct sampler_text *text;
    float *logits; // (V) of the next token
    int32_t id;    // the last token, which is not taken in yet
};

struct together {
    const struct sampling *sampling;
    uint32_t first, step;
    struct together_row *rows;
    int count;
};

// Copies the prompt's keys and values, in whole panels.
static void together_copy_cache(float *to, const float *from, int used) {
    const size_t S = (size_t)sampler_info.cache_rows, D = (size_t)sampler_info.cache_width;
    size_t rows = ((size_t)used + SAMPLER_PANEL - 1) / SAMPLER_PANEL * SAMPLER_PANEL;
    rows = rows < S ? rows : S;
    for (size_t at = 0; at < (size_t)sampler_info.cache_floats; at += S * D) {
        memcpy(to + at, from + at, rows * D * sizeof *to);
    }
}

// Takes the prompt in, once, and gives each text its keys, values and logits.
static void together_begin(struct sampler *s, const int32_t *ids, int64_t count, bool again,
                           int texts) {
    const size_t V = (size_t)sampler_info.vocab_size;
    struct sampler_text *text = s->text;
    const bool there = again && !text->slid && text->used >= count;
    sampler_begin_text(text);
    if (there) { // the last token's logits are gone, and the tokens seen are more than the prompt's
        text->used = text->done = (int)count - 1;
        for (int64_t i = 0; i < count; i++) {
            text->seen[ids[i]] = true;
        }
    }
    const int64_t from = there ? count - 1 : 0;
    sampler_take_text(s, text, ids + from, count - from, s->logits);
    for (int i = 1; i < texts; i++) {
        struct sampler_text *other = &text[i];
        other->used = text->used;
        other->done = text->done;
        other->first = text->first;
        other->slid = text->slid;
        memcpy(other->window, text->window, (size_t)text->used * sizeof *text->window);
        memcpy(other->seen, text->seen, V * sizeof *text->seen);
        memcpy(s->logits + (size_t)i * V, s->logits, V * sizeof *s->logits);
        together_copy_cache(s->memory + other->cache, s->memory + text->cache, text->used);
    }
}

// Chooses the next token of each row: a thread's share of them.
static void together_choose(struct sampler *s, void *context, int thread) {
    struct together *t = context;
    for (int i = thread; i < t->count; i += s->threads) {
        struct together_row *row = &t->rows[i];
        sampler_penalise(row->logits, row->text->seen, s->vocab_size,
                         t->sampling->repetition_penalty);
        const uint64_t draw = rng_bits((uint32_t)t->sampling->seed, RNG_SAMPLE,
                                       t->first + (uint32_t)row->number, t->step);
        row->id = sampler_choose(row->logits, s->vocab_size, t->sampling, draw);
    }
}

// Takes the last token of each row in: in one batch, but texts whose window slides one by one.
static void together_take(struct sampler *s, struct together *t, int32_t *tokens) {
    const int T = sampler_info.block_size;
    const size_t V = (size_t)sampler_info.vocab_size;
    struct sampler_batch batch = {
        .tokens = tokens, .pos = s->pos, .runs = s->runs, .logits = s->logits};
    for (int i = 0; i < t->count; i++) {
        struct sampler_text *text = t->rows[i].text;
        t->rows[i].logits = NULL;
        if (text->used == T) {
            continue;
        }
        const int row = batch.rows++;
        s->runs[row] =
            (struct sampler_run){.cache = text->cache, .first = row, .rows = 1, .pos = text->used};
        s->pos[row] = text->first + text->used;
        tokens[row] = t->rows[i].id;
        text->seen[tokens[row]] = true;
        text->window[text->used++] = tokens[row];
        text->done = text->used;
        t->rows[i].logits = s->logits + (size_t)row * V;
    }
    batch.count = batch.rows;
    if (batch.count > 0) {
        sampler_run_batch(s, &batch);
    }
    for (int i = 0, row = batch.rows; i < t->count; i++) {
        struct together_row *of = &t->rows[i];
        if (of->logits == NULL) {
            of->logits = s->logits + (size_t)row++ * V;
            sampler_take_text(s, of->text, &of->id, 1, of->logits);
        }
    }
}

// Calls the reader before and after a token of each text is chosen. Keeps those that go on.
static void together_step(struct sampler *s, struct together *t,
                          const struct sampler_reader *reader) {
    int kept = 0;
    for (int i = 0; i < t->count; i++) {
        const struct together_row row = t->rows[i];
        if (!floats_are_finite(row.logits, s->vocab_size)) {
            reader->end(reader->context, row.number, false);
            continue;
        }
        if (reader->look) {
            reader->look(reader->context, row.number, row.logits);
        }
        t->rows[kept++] = row;
    }
    t->count = kept;
    sampler_run(s, together_choose, t);
    kept = 0;
    for (int i = 0; i < t->count; i++) {
        const struct together_row row = t->rows[i];
        if (reader->emit(reader->context, row.number, row.id)) {
            t->rows[kept++] = row;
        } else {
            reader->end(reader->context, row.number, true);
        }
    }
    t->count = kept;
}

void sampler_together(struct sampler *s, const int32_t *ids, int64_t count, bool again,
                      int64_t max_new_tokens, const struct sampling *sampling, uint32_t first,
                      int texts, const struct sampler_reader *reader) {
    struct together t = {.sampling = sampling, .first = first, .count = texts};
    t.rows = allocate((size_t)texts, sizeof *t.rows, "the texts");
    int32_t *tokens = allocate((size_t)texts, sizeof *tokens, "the texts");
    for (int i = 0; i < texts; i++) {
        t.rows[i] = (struct together_row){.number = i,
                                          .text = &s->text[i],
                                          .logits = s->logits +
                                                    (size_t)i * (size_t)sampler_info.vocab_size};
    }
    for (int64_t step = 0; step < max_new_tokens && t.count > 0; step++) {
        if (step == 0) {
            together_begin(s, ids, count, again, texts);
        } else {
            together_take(s, &t, tokens);
        }
        t.step = (uint32_t)step;
        together_step(s, &t, reader);
    }
    for (int i = 0; i < t.count; i++) {
        reader->end(reader->context, t.rows[i].number, true);
    }
    free(t.rows);
    free(tokens);
}
