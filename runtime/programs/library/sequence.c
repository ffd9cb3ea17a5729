// sequence.c: tokens into sequences, and out of them.
#include <string.h>

#include "runtime/programs/library/model.h"

static struct sampler_text *sequence_text(struct NAME_model *model, int number) {
    return &model->s.text[number];
}

int NAME_length(struct NAME_model *model, int number) {
    const struct sequence *q = model_sequence(model, number);
    if (!q) {
        return -1;
    }
    const int length = sequence_text(model, number)->used + q->waits;
    return length < sampler_info.block_size ? length : sampler_info.block_size;
}

int NAME_begin(struct NAME_model *model, int number) {
    struct sequence *q = model_sequence(model, number);
    if (!q) {
        return NAME_WRONG;
    }
    sampler_begin_text(sequence_text(model, number));
    *q = (struct sequence){.logits = q->logits};
    return NAME_OK;
}

// Whether `more` tokens may come behind what is in the context; if not, with the line.
static bool sequence_has_room(struct NAME_model *model, int number, int64_t more) {
    const int used = sequence_text(model, number)->used;
    if (model->may_slide || more <= sampler_info.block_size - used) {
        return true;
    }
    model_fail(model, NAME_FULL,
               "sequence %d: has %d tokens, and %lld more do not fit into the context of %d; begin "
               "it anew, or open the model with a slide",
               number, used, (long long)more, sampler_info.block_size);
    return false;
}

static void sequence_feed(struct NAME_model *model, int number, const int32_t *tokens,
                          int64_t count) {
    struct sequence *q = &model->sequence[number];
    sampler_take_text(&model->s, sequence_text(model, number), tokens, count, q->logits);
    q->has_logits = true;
}

int sequence_take(struct NAME_model *model, int number) {
    struct sequence *q = &model->sequence[number];
    if (q->waits) {
        if (!sequence_has_room(model, number, 1)) {
            return NAME_FULL;
        }
        sequence_feed(model, number, &q->last, 1);
        q->waits = false;
    }
    return NAME_OK;
}

int NAME_feed(struct NAME_model *model, int number, const int32_t *tokens, int64_t count) {
    struct sequence *q = model_sequence(model, number);
    if (!q) {
        return NAME_WRONG;
    }
    if (count < 0 || (count > 0 && !tokens)) {
        return model_fail(model, NAME_WRONG, "tokens: found %lld of them, wanted 0 or more",
                          (long long)count);
    }
    for (int64_t i = 0; i < count; i++) {
        if (!model_has_token(model, tokens[i], i)) {
            return NAME_WRONG;
        }
    }
    if (!sequence_has_room(model, number, count + q->waits)) {
        return NAME_FULL;
    }
    sequence_take(model, number);
    if (count > 0) {
        sequence_feed(model, number, tokens, count);
    }
    return NAME_OK;
}

// ---- choosing -----------------------------------------------------------------------------------

// Whether the logits of the next token are there and good; if not, the status, with the line.
static int sequence_ready(struct NAME_model *model, int number) {
    const struct sequence *q = &model->sequence[number];
    if (!q->has_logits) {
        return model_fail(model, NAME_WRONG, "sequence %d: has no token yet; feed it one", number);
    }
    if (!floats_are_finite(q->logits, model->s.vocab_size)) {
        return model_fail(model, NAME_DATA,
                          "sequence %d: the weights give logits that are not finite; take another "
                          "checkpoint",
                          number);
    }
    return NAME_OK;
}

const float *NAME_logits(struct NAME_model *model, int number) {
    const struct sequence *q = model_sequence(model, number);
    return q && sequence_take(model, number) == NAME_OK && sequence_ready(model, number) == NAME_OK
               ? q->logits
               : NULL;
}

static const struct NAME_options greedy;

// The options of number i of a list.
static const struct NAME_options *options_of(const struct NAME_options *options, int i) {
    return options ? &options[i] : &greedy;
}

// Whether a number lies from least to most, or is 0; if not, with the line. Refuses NaN.
static bool option_fits(struct NAME_model *model, const char *name, double value, double least,
                        double most) {
    if (value == 0 || (value >= least && value <= most)) {
        return true;
    }
    model_fail(model, NAME_WRONG, "%s: found %g, wanted 0, or %g to %g", name, value, least, most);
    return false;
}

static bool options_fit(struct NAME_model *model, const struct NAME_options *o) {
    return option_fits(model, "repetition_penalty", o->repetition_penalty, SAMPLING_PENALTY_LEAST,
                       SAMPLING_PENALTY_MOST) &&
           option_fits(model, "temperature", o->temperature, 0, SAMPLING_TEMPERATURE_MOST) &&
           option_fits(model, "top_k", o->top_k, 1, INT32_MAX) &&
           option_fits(model, "top_p", o->top_p, 0, 1) &&
           option_fits(model, "min_p", o->min_p, 0, 1);
}

static int32_t sequence_choose(struct NAME_model *model, int number, const struct NAME_options *o) {
    struct sequence *q = &model->sequence[number];
    const struct sampling sampling = {.repetition_penalty = o->repetition_penalty,
                                      .temperature = o->temperature,
                                      .top_k = o->top_k,
                                      .top_p = o->top_p == 0 ? 1 : o->top_p,
                                      .min_p = o->min_p,
                                      .seed = o->seed};
    memcpy(model->choice, q->logits, (size_t)sampler_info.vocab_size * sizeof *model->choice);
    q->last = sampler_next(&model->s, sequence_text(model, number), model->choice, &sampling,
                           o->sample, (uint32_t)q->chosen++);
    q->waits = true;
    q->has_logits = false;
    return q->last;
}

// Takes in the tokens that wait: side by side, where a token fits into a context.
static void sequences_take(struct NAME_model *model, int count, const int *sequences) {
    const size_t V = (size_t)sampler_info.vocab_size;
    int texts = 0;
    for (int i = 0; i < count; i++) {
        struct sampler_text *text = sequence_text(model, sequences[i]);
        const struct sequence *q = &model->sequence[sequences[i]];
        if (q->waits && text->used < sampler_info.block_size) {
            model->texts[texts] = text;
            model->tokens[texts++] = q->last;
        }
    }
    if (texts > 0) {
        sampler_take_each(&model->s, texts, model->texts, model->tokens, model->logits);
    }
    for (int i = 0; i < texts; i++) {
        struct sequence *q = &model->sequence[model->texts[i] - model->s.text];
        memcpy(q->logits, model->logits + (size_t)i * V, V * sizeof *q->logits);
        q->waits = false;
        q->has_logits = true;
    }
    for (int i = 0; i < count; i++) {
        sequence_take(model, sequences[i]);
    }
}

// Checks what step is given.
static int sequences_fit(struct NAME_model *model, int count, const int *sequences,
                         const struct NAME_options *options) {
    for (int i = 0; i < count; i++) {
        struct sequence *q = model_sequence(model, sequences[i]);
        if (!q || !options_fit(model, options_of(options, i))) {
            return NAME_WRONG;
        }
        if (q->named) {
            return model_fail(model, NAME_WRONG, "sequence %d: found twice; wanted each once",
                              sequences[i]);
        }
        q->named = true;
        if (q->waits && !sequence_has_room(model, sequences[i], 1)) {
            return NAME_FULL;
        }
    }
    return NAME_OK;
}

int NAME_step_each(struct NAME_model *model, int count, const int *sequences,
                   const struct NAME_options *options, int32_t *tokens) {
    if (count < 0 || count > model->sequences) {
        return model_fail(model, NAME_WRONG, "sequences: found a list of %d, wanted 0 to %d", count,
                          model->sequences);
    }
    int status = sequences_fit(model, count, sequences, options);
    for (int i = 0; i < model->sequences; i++) {
        model->sequence[i].named = false;
    }
    if (status == NAME_OK) {
        sequences_take(model, count, sequences);
    }
    for (int i = 0; i < count && status == NAME_OK; i++) {
        status = sequence_ready(model, sequences[i]);
    }
    for (int i = 0; i < count && status == NAME_OK; i++) {
        tokens[i] = sequence_choose(model, sequences[i], options_of(options, i));
    }
    return status;
}

int NAME_step(struct NAME_model *model, int number, const struct NAME_options *options,
              int32_t *token) {
    return NAME_step_each(model, 1, &number, options, token);
}

// ---- attention ----------------------------------------------------------------------------------

struct looking {
    struct NAME_model *model;
    int number;
    float *weights;
};

static void look_run(void *context) {
    struct looking *l = context;
    sampler_look(&l->model->s, sequence_text(l->model, l->number),
                 l->model->sequence[l->number].logits, l->weights);
}

int NAME_attention(struct NAME_model *model, int number, float *weights) {
    struct sequence *q = model_sequence(model, number);
    if (!q) {
        return NAME_WRONG;
    }
    if (sampler_info.n_head == 0) {
        return model_fail(model, NAME_WRONG, "attention: this model is a bigram, which has none");
    }
    const int status = sequence_take(model, number);
    if (status != NAME_OK) {
        return status;
    }
    if (!q->has_logits) {
        return sequence_ready(model, number);
    }
    struct looking l = {model, number, weights};
    return (int)trap_run(look_run, NULL, &l, model->error, NULL);
}
