// samples.c: several texts after one prompt, written side by side and shown one behind the other.
#include "runtime/programs/sample/modes.h"

#include <stdlib.h>
#include <string.h>

enum { SAMPLES_TOGETHER = 64 }; // at most: beyond, reading caches takes longer than reading weights

// The texts of a group. Those before `shown` are written, the one at `shown` is being written.
struct samples {
    struct answer *answers;
    const struct prompt *prompt;
    const struct sample_flags *flags;
    bool *ended, *finite; // of each
    int count, shown;
    int64_t first; // the number of the group's first text
    uint64_t seed;
};

// Writes all texts in order, as far as they have ended, and what there is of the next one.
static void samples_show(struct samples *g) {
    for (; g->shown < g->count; g->shown++) {
        struct answer *answer = &g->answers[g->shown];
        answer_release(answer);
        if (!g->ended[g->shown]) {
            break;
        }
        if (!g->finite[g->shown]) {
            not_finite(g->flags->checkpoint);
        }
        answer_end(answer, g->prompt, g->first + g->shown, g->seed, "\n---------------\n");
    }
}

static void samples_look(void *context, int text, const float *logits) {
    struct samples *g = context;
    answer_look(&g->answers[text], logits);
}

static bool samples_token(void *context, int text, int32_t id) {
    struct samples *g = context;
    return answer_token(&g->answers[text], id);
}

static void samples_end(void *context, int text, bool finite) {
    struct samples *g = context;
    answer_last(&g->answers[text]);
    g->ended[text] = true;
    g->finite[text] = finite;
    samples_show(g);
}

// How many texts are written at a time.
static int samples_together(const struct sample_flags *flags) {
    int64_t most = flags->num_samples;
    most = most < sampler_info.max_rows ? most : sampler_info.max_rows;
    if (flags->together > 0) {
        return (int)(most < flags->together ? most : flags->together);
    }
    const double bytes = (double)sampler_info.cache_floats * sizeof(float) +
                         (double)sampler_info.vocab_size * (2 * sizeof(float) + sizeof(bool));
    const double fit = (double)memory_available("") / 2 / bytes;
    most = most < SAMPLES_TOGETHER ? most : SAMPLES_TOGETHER;
    most = fit < (double)most ? (int64_t)fit : most;
    return most > 1 ? (int)most : 1;
}

void samples_write(struct sampler *s, const struct tokenizer *tokenizer,
                   const struct sample_flags *flags, const struct sampling *sampling,
                   const struct prompt *prompt) {
    const int most = flags->num_samples > 0 ? samples_together(flags) : 0;
    if (most > 1) {
        sampler_make_room(s, most);
    }
    // The last token of a text is not taken in.
    if (most > 0 && !s->slide_half && flags->max_new_tokens > 1 &&
        prompt->count + flags->max_new_tokens - 1 > sampler_info.block_size) {
        say_slide("a text may go");
    }
    struct samples g = {.prompt = prompt, .flags = flags, .seed = sampling->seed};
    g.answers = allocate((size_t)most, sizeof *g.answers, "the samples");
    g.ended = allocate((size_t)most, sizeof *g.ended, "the samples");
    g.finite = allocate((size_t)most, sizeof *g.finite, "the samples");
    for (int i = 0; i < most; i++) {
        g.answers[i] =
            (struct answer){.tokenizer = tokenizer, .flags = flags, .vocab_size = s->vocab_size};
    }
    const struct sampler_reader reader = {.context = &g,
                                          .look = sampling->look ? samples_look : NULL,
                                          .emit = samples_token,
                                          .end = samples_end};
    for (; g.first < flags->num_samples; g.first += g.count) {
        const int64_t left = flags->num_samples - g.first;
        g.count = left < most ? (int)left : most;
        g.shown = 0;
        for (int i = 0; i < g.count; i++) {
            g.ended[i] = false;
            g.answers[i].held = i > 0;
            answer_begin(&g.answers[i], prompt, false);
        }
        sampler_together(s, prompt->ids, prompt->count, g.first > 0, flags->max_new_tokens,
                         sampling, (uint32_t)g.first, g.count, &reader);
    }
    for (int i = 0; i < most; i++) {
        answer_free(&g.answers[i]);
    }
    free(g.answers);
    free(g.ended);
    free(g.finite);
    output_flush();
}
