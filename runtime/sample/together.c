// together.c: several texts side by side: what each of them gives the model goes through it as rows
// of one batch, so that weights are read once for all of them. A text that has ended makes room for
// the next one. Needs only libc, libm and pthreads, since the sampler is also linked statically.
#include "runtime/sample/sample.h"

#include <stdlib.h>
#include <string.h>

enum { TOGETHER_SAME = 16 }; // more tokens than these need not be the same before a draft

// A place for a text, which is s->text[i].
struct together_row {
    struct sampler_request of;
    struct sampler_text *text;
    bool active, ready; // there is a text; its next token can be chosen
    float *logits;      // (V) of that, and then of those behind the draft's tokens
    int drafts;         // tokens of a draft, behind those in use in the text's window
    int64_t count;      // tokens chosen
    int32_t id;         // the last one
};

struct together {
    struct sampler *s;
    const struct sampler_reader *reader;
    struct together_row *rows; // (s->texts)
    int32_t *tokens;           // (max_rows), a batch's
    int active, logits;        // texts; rows of s->logits that are in use
    int source;                // the youngest text of the prompt that came last; -1: none
    bool waits;                // `next` is asked for and has no place yet
    struct sampler_request next;
};

// Copies the keys and values of a text's first tokens, in whole panels.
static void together_copy_cache(float *to, const float *from, int used) {
    const size_t S = (size_t)sampler_info.cache_rows, D = (size_t)sampler_info.cache_width;
    size_t rows = ((size_t)used + SAMPLER_PANEL - 1) / SAMPLER_PANEL * SAMPLER_PANEL;
    rows = rows < S ? rows : S;
    const size_t each = sampler_info.cache_bfloat16 ? 2 : 1; // numbers in a float
    for (size_t at = 0; at < (size_t)sampler_info.cache_floats; at += S * D / each) {
        memcpy(to + at, from + at, rows * D * sizeof *to / each);
    }
}

// Begins a text whose prompt another one, `from`, has taken in: with its logits, if it has chosen
// no token since; else the prompt's last token is taken in again for them. It may have had the same
// place.
static void together_copy(struct together *t, struct together_row *row,
                          const struct together_row *from) {
    struct sampler *s = t->s;
    struct sampler_text *text = row->text;
    const struct sampler_request *r = &row->of;
    const bool fresh = from->active && from->ready && from->count == 0;
    const int used = fresh ? from->text->used : (int)r->count - 1, done = used;
    if (row != from) {
        memcpy(text->window, from->text->window, (size_t)used * sizeof *text->window);
        together_copy_cache(s->memory + text->cache, s->memory + from->text->cache, used);
    }
    sampler_begin_text(text);
    text->used = text->done = done;
    text->slid = fresh && from->text->slid;
    for (int64_t i = 0; i < r->count; i++) {
        text->seen[r->ids[i]] = true;
    }
    if (fresh) {
        const size_t V = (size_t)sampler_info.vocab_size;
        row->logits = s->logits + (size_t)t->logits++ * V;
        row->ready = true;
        memcpy(row->logits, from->logits, V * sizeof *row->logits);
    } else {
        sampler_append(s, text, r->ids + used, 1);
    }
}

// Gives the next texts the places that are free. One whose prompt is that of the text before waits
// until that has taken it in.
static void together_admit(struct together *t) {
    struct sampler *s = t->s;
    for (int i = 0; i < s->texts; i++) {
        struct together_row *row = &t->rows[i];
        if (row->active) {
            continue;
        }
        const struct sampler_request *r = &t->next;
        while (!t->waits && (t->waits = t->reader->next(t->reader->context, &t->next)) &&
               r->max_new_tokens == 0) {
            t->reader->end(t->reader->context, r->text, true);
            t->waits = false;
            t->source = -1;
        }
        if (!t->waits) {
            return;
        }
        const struct together_row *from = r->same && t->source >= 0 ? &t->rows[t->source] : NULL;
        if (from && from->active && from->count == 0 && !from->ready) {
            return;
        }
        if (from && !(from->active && from->count == 0) && from->text->slid) {
            from = NULL;
        }
        *row = (struct together_row){.of = *r, .text = &s->text[i]};
        if (from) {
            together_copy(t, row, from);
        } else {
            sampler_begin_text(row->text);
            sampler_append(s, row->text, r->ids, r->count);
        }
        row->active = true;
        t->waits = false;
        t->source = i;
        t->active++;
    }
}

// Adds rows of a text that are not in the cache yet to a batch, as many as there is room for.
static void together_add(struct together *t, struct sampler_batch *batch,
                         struct together_row *row) {
    struct sampler *s = t->s;
    struct sampler_text *text = row->text;
    const int left = text->used + row->drafts - text->done;
    const int room = sampler_info.max_rows - batch->rows, rows = left < room ? left : room;
    if (rows == 0) {
        return;
    }
    s->runs[batch->count] = (struct sampler_run){
        .cache = text->cache, .first = batch->rows, .rows = rows, .pos = text->done};
    for (int i = 0; i < rows; i++) {
        s->pos[batch->rows + i] = text->first + text->done + i;
        t->tokens[batch->rows + i] = text->window[text->done + i];
    }
    row->logits = s->logits + (size_t)batch->asks * (size_t)sampler_info.vocab_size;
    for (int i = rows - 1 - row->drafts; i < rows; i++) {
        s->asked[batch->asks++] = (struct sampler_run){.first = batch->rows + i, .rows = 1};
    }
    batch->count++;
    batch->rows += rows;
    text->done += rows - row->drafts;
    row->ready = text->done == text->used;
}

// Takes in what the texts have: first a token of each that goes on, then what fits of prompts and
// of what is left at the end of a context.
static void together_take(struct together *t) {
    struct sampler *s = t->s;
    struct sampler_batch batch = {.tokens = t->tokens,
                                  .pos = s->pos,
                                  .runs = s->runs,
                                  .asked = s->asked,
                                  .logits = s->logits};
    for (int longer = 0; longer < 2; longer++) {
        for (int i = 0; i < s->texts; i++) {
            struct together_row *row = &t->rows[i];
            if (row->active && (row->text->used - row->text->done > 1) == longer) {
                together_add(t, &batch, row);
            }
        }
    }
    t->logits = batch.asks;
    sampler_run_batch(s, &batch);
}

// Chooses the next token of each text that is ready: a thread's share of them.
static void together_choose(struct sampler *s, void *context, int thread) {
    struct together *t = context;
    for (int i = thread; i < s->texts; i += s->threads) {
        struct together_row *row = &t->rows[i];
        if (row->active && row->ready) {
            row->id = sampler_next(s, row->text, row->logits, row->of.sampling, row->of.sample,
                                   (uint32_t)row->count);
        }
    }
}

static void together_end(struct together *t, struct together_row *row, bool finite) {
    row->active = false;
    t->active--;
    t->reader->end(t->reader->context, row->of.text, finite);
}

// Takes what followed the longest earlier occurrence of a text's last tokens, two at least, for
// what will follow them now: a draft, which goes through the model behind the last token.
static void together_draft(struct sampler *s, struct together_row *row) {
    const struct sampler_text *text = row->text;
    const int32_t *window = text->window;
    const int used = text->used, room = sampler_info.block_size - used;
    int best = 1, from = used;
    for (int end = used - 1; end > best; end--) {
        int same = 0;
        while (same < end && same < TOGETHER_SAME &&
               window[end - 1 - same] == window[used - 1 - same]) {
            same++;
        }
        if (same > best) {
            best = same;
            from = end;
        }
    }
    int count = used - from < s->lookup ? used - from : s->lookup;
    count = count < room ? count : room;
    memcpy(text->window + used, window + from, (size_t)count * sizeof *window);
    row->drafts = count;
    s->drafted += count;
}

// Goes on with the token that was chosen. Where a draft has it too, the logits behind it are there.
static void together_go_on(struct together *t, struct together_row *row) {
    struct sampler *s = t->s;
    struct sampler_text *text = row->text;
    if (row->drafts > 0 && text->window[text->used] == row->id) {
        s->right++;
        row->drafts--;
        text->seen[row->id] = true;
        text->done = ++text->used;
        row->logits += sampler_info.vocab_size;
        return;
    }
    row->ready = false;
    row->drafts = 0;
    sampler_append(s, text, &row->id, 1);
    if (s->lookup > 0 && text->used - text->done == 1) {
        together_draft(s, row);
    }
}

// Calls the reader before and after the next tokens are chosen. Ends the texts that have all of
// theirs. Whether some can choose another one.
static bool together_step(struct together *t) {
    struct sampler *s = t->s;
    const struct sampler_reader *reader = t->reader;
    bool more = false;
    for (int i = 0; i < s->texts; i++) {
        struct together_row *row = &t->rows[i];
        if (!row->active || !row->ready) {
            continue;
        }
        if (!floats_are_finite(row->logits, s->vocab_size)) {
            together_end(t, row, false);
        } else if (reader->look) {
            reader->look(reader->context, row->of.text, row->logits);
        }
    }
    sampler_run(s, together_choose, t);
    for (int i = 0; i < s->texts; i++) {
        struct together_row *row = &t->rows[i];
        if (!row->active || !row->ready) {
            continue;
        }
        row->count++;
        if (!reader->emit(reader->context, row->of.text, row->id) ||
            row->count == row->of.max_new_tokens) {
            together_end(t, row, true);
        } else {
            together_go_on(t, row);
            more = more || row->ready;
        }
    }
    return more;
}

static struct together together_begin(struct sampler *s, const struct sampler_reader *reader) {
    struct together t = {.s = s, .reader = reader, .source = -1};
    t.rows = allocate((size_t)s->texts, sizeof *t.rows, "the texts");
    t.tokens = allocate((size_t)sampler_info.max_rows, sizeof *t.tokens, "the texts");
    return t;
}

static void together_free(struct together *t) {
    free(t->rows);
    free(t->tokens);
}

void sampler_serve(struct sampler *s, const struct sampler_reader *reader) {
    struct together t = together_begin(s, reader);
    for (together_admit(&t); t.active > 0; together_admit(&t)) {
        together_take(&t);
        together_admit(&t); // those that were waiting for a prompt
        while (together_step(&t)) {
        }
    }
    together_free(&t);
}

void sampler_answer(struct sampler *s, const struct sampler_request *request,
                    const struct sampler_reader *reader) {
    struct together t = together_begin(s, reader);
    struct sampler_text *text = &s->text[0];
    const int32_t *ids = request->ids;
    int64_t count = request->count;
    for (int64_t taken; (taken = sampler_append(s, text, ids, count)) < count; count -= taken) {
        sampler_fill(s, text, s->logits); // before the context's older half is dropped
        ids += taken;
    }
    t.rows[0] = (struct together_row){.of = *request, .text = text, .active = true};
    for (t.active = 1; t.active > 0;) {
        together_take(&t);
        while (together_step(&t)) {
        }
    }
    together_free(&t);
}

// ---- texts after one prompt ---------------------------------------------------------------------

struct several {
    struct sampler_request next;
    const struct sampler_reader *reader;
    int texts;
};

static bool several_next(void *context, struct sampler_request *request) {
    struct several *several = context;
    if (several->next.text == several->texts) {
        return false;
    }
    *request = several->next;
    several->next.text++;
    several->next.sample++;
    several->next.same = true;
    return true;
}

static void several_look(void *context, int text, const float *logits) {
    const struct several *several = context;
    several->reader->look(several->reader->context, text, logits);
}

static bool several_emit(void *context, int text, int32_t id) {
    const struct several *several = context;
    return several->reader->emit(several->reader->context, text, id);
}

static void several_end(void *context, int text, bool finite) {
    const struct several *several = context;
    several->reader->end(several->reader->context, text, finite);
}

void sampler_together(struct sampler *s, const int32_t *ids, int64_t count, int64_t max_new_tokens,
                      const struct sampling *sampling, uint32_t first, int texts,
                      const struct sampler_reader *reader) {
    struct several several = {.reader = reader, .texts = texts};
    several.next = (struct sampler_request){.ids = ids,
                                            .count = count,
                                            .max_new_tokens = max_new_tokens,
                                            .sampling = sampling,
                                            .sample = first};
    const struct sampler_reader through = {.context = &several,
                                           .next = several_next,
                                           .look = reader->look ? several_look : NULL,
                                           .emit = several_emit,
                                           .end = several_end};
    sampler_serve(s, &through);
}
