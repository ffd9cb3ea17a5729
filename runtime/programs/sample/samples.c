// samples.c: the texts of one prompt or of many, written side by side and shown in order.
#include "runtime/programs/sample/modes.h"

#include <stdlib.h>

enum {
    SAMPLES_TOGETHER = 64, // at most: beyond, reading caches takes longer than reading weights
    SAMPLES_AHEAD = 4      // so many times as many texts may have begun before one is shown
};

// A text that has begun and is not shown yet, or not all of it.
struct sample {
    struct answer answer;
    const struct sample_job *job;
    int64_t number; // among those of its job
    bool ended, finite;
};

struct samples {
    struct sampler *s;
    const struct tokenizer *tokenizer;
    const struct sample_job *job, *end; // the next text's, and behind the last
    int64_t number;                     // of the next text
    struct sample *ring;                // text i of all is at i % room
    int64_t shown, begun;               // texts
    int64_t tokens;                     // of all
    int room;
};

// Shows all texts in order, as far as they have ended, and what there is of the next one.
static void samples_show(struct samples *g) {
    for (; g->shown < g->begun; g->shown++) {
        struct sample *sample = &g->ring[g->shown % g->room];
        answer_release(&sample->answer);
        if (!sample->ended) {
            break;
        }
        if (!sample->finite) {
            not_finite(sample->job->flags.checkpoint);
        }
        answer_end(&sample->answer, &sample->job->prompt, sample->number,
                   sample->job->sampling.seed, "\n---------------\n");
    }
}

static bool samples_next(void *context, struct sampler_request *request) {
    struct samples *g = context;
    while (g->job < g->end && g->number == g->job->flags.num_samples) {
        g->job++;
        g->number = 0;
    }
    if (g->job == g->end || g->begun - g->shown == g->room) {
        return false;
    }
    const struct sample_job *job = g->job;
    const int text = (int)(g->begun % g->room);
    struct sample *sample = &g->ring[text];
    *sample = (struct sample){.job = job, .number = g->number};
    sample->answer = (struct answer){.tokenizer = g->tokenizer,
                                     .flags = &job->flags,
                                     .vocab_size = g->s->vocab_size,
                                     .held = g->shown < g->begun};
    answer_begin(&sample->answer, &job->prompt, false);
    *request = (struct sampler_request){.ids = job->prompt.ids,
                                        .count = job->prompt.count,
                                        .max_new_tokens = job->flags.max_new_tokens,
                                        .sampling = &job->sampling,
                                        .sample = (uint32_t)g->number,
                                        .text = text,
                                        .same = g->number > 0};
    g->begun++;
    g->number++;
    return true;
}

static void samples_look(void *context, int text, const float *logits) {
    struct samples *g = context;
    answer_look(&g->ring[text].answer, logits);
}

static bool samples_token(void *context, int text, int32_t id) {
    struct samples *g = context;
    g->tokens++;
    return answer_token(&g->ring[text].answer, id);
}

static void samples_end(void *context, int text, bool finite) {
    struct samples *g = context;
    struct sample *sample = &g->ring[text];
    answer_last(&sample->answer);
    sample->ended = true;
    sample->finite = finite;
    samples_show(g);
}

// Bytes of a text that is written.
static double samples_bytes(const struct sample_flags *flags) {
    return (double)sampler_info.cache_floats * sizeof(float) +
           (double)sampler_info.vocab_size *
               ((2 + (double)flags->lookup) * sizeof(float) + sizeof(bool));
}

// How many texts are written at a time.
static int samples_together(int64_t texts, const struct sample_flags *flags) {
    const int64_t asked = flags->together;
    int64_t most = texts < sampler_info.max_rows ? texts : sampler_info.max_rows;
    if (asked > 0) {
        return (int)(most < asked ? most : asked);
    }
    const double fit = (double)memory_available("") / 2 / samples_bytes(flags);
    most = most < SAMPLES_TOGETHER ? most : SAMPLES_TOGETHER;
    most = fit < (double)most ? (int64_t)fit : most;
    return most > 1 ? (int)most : 1;
}

void samples_write(struct sampler *s, const struct tokenizer *tokenizer,
                   const struct sample_job *jobs, int64_t count) {
    int64_t texts = 0;
    bool beyond = false, look = false;
    for (int64_t i = 0; i < count; i++) {
        const struct sample_flags *flags = &jobs[i].flags;
        const int64_t taken = jobs[i].prompt.count + flags->max_new_tokens - 1; // not the last one
        texts += flags->num_samples;
        look = look || flags->json || flags->timing;
        beyond = beyond || (flags->num_samples > 0 && flags->max_new_tokens > 1 &&
                            taken > sampler_info.block_size);
    }
    if (beyond && !s->slide_half) {
        say_slide("a text may go");
    }
    const int together = texts > 0 ? samples_together(texts, &jobs->flags) : 1;
    if (texts > 0 && jobs->flags.timing) {
        warn("%d of %lld texts at a time, of %.1f KB each", together, (long long)texts,
             samples_bytes(&jobs->flags) / 1000);
    }
    s->lookup = (int)jobs->flags.lookup;
    if (together > 1 || s->lookup > 0) {
        sampler_make_room(s, together);
    }
    struct samples g = {.s = s, .tokenizer = tokenizer, .job = jobs, .end = jobs + count};
    g.room = SAMPLES_AHEAD * together;
    g.ring = allocate((size_t)g.room, sizeof *g.ring, "the samples");
    const struct sampler_reader reader = {.context = &g,
                                          .next = samples_next,
                                          .look = look ? samples_look : NULL,
                                          .emit = samples_token,
                                          .end = samples_end};
    sampler_serve(s, &reader);
    if (jobs) {
        say_lookup(s, &jobs->flags, g.tokens);
    }
    free(g.ring);
    output_flush();
}
