// open.c: opens and closes a model, and has the lines of calls that fail.
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/programs/library/model.h"

// ---- messages -----------------------------------------------------------------------------------

int model_fail(struct NAME_model *model, int status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    message_print(model->error, sizeof model->error, format, arguments);
    va_end(arguments);
    return status;
}

struct sequence *model_sequence(struct NAME_model *model, int number) {
    if (number >= 0 && number < model->sequences) {
        return &model->sequence[number];
    }
    model_fail(model, NAME_WRONG, "sequence %d: found %d of them; wanted 0 to %d", number,
               model->sequences, model->sequences - 1);
    return NULL;
}

bool model_has_token(struct NAME_model *model, int32_t token, int64_t place) {
    if (token >= 0 && token < model->s.vocab_size) {
        return true;
    }
    model_fail(model, NAME_WRONG, "token %d, number %lld of the list: wanted 0 to %d", token,
               (long long)place, model->s.vocab_size - 1);
    return false;
}

const char *NAME_error(const struct NAME_model *model) {
    return model->error;
}

const char *NAME_warning(const struct NAME_model *model) {
    return model->warning;
}

int NAME_vocab_size(const struct NAME_model *model) {
    return model->s.vocab_size;
}

int32_t NAME_end_token(const struct NAME_model *model) {
    const struct bpe *bpe = model->file.tokenizer.bpe;
    return bpe ? bpe_end_of_text(bpe) : -1;
}

// There are no weights inside.
const char sampler_weights[1], sampler_weights_end[1];

// ---- opening ------------------------------------------------------------------------------------

struct opening {
    struct NAME_model *model;
    struct NAME_settings settings;
    const char *path; // NULL: of bytes
    const void *bytes;
    size_t length;
};

// Adds up the sequences' memory.
static void open_sequences(struct NAME_model *m) {
    const size_t count = (size_t)m->sequences, V = (size_t)sampler_info.vocab_size;
    sampler_make_room(&m->s, m->sequences);
    m->sequence = allocate(count, sizeof *m->sequence, "the sequences");
    m->texts = allocate(count, sizeof *m->texts, "the sequences");
    m->tokens = allocate(count, sizeof *m->tokens, "the sequences");
    m->logits = allocate(count * V, sizeof *m->logits, "the sequences");
    m->choice = allocate(V, sizeof *m->choice, "the sequences");
    for (size_t i = 0; i < count; i++) {
        m->sequence[i].logits = m->s.logits + i * V;
    }
}

static void open_run(void *context) {
    struct opening *o = context;
    struct NAME_model *m = o->model;
    char error[512];
    enum exit_code code = EXIT_DATA;
    const int most = processors_allowed(), asked = o->settings.threads;
    const int threads = asked == 0 ? sampler_threads(most) : asked < most ? asked : most;
    const bool good = o->path ? sampler_open(&m->file, &m->s, o->path, threads, error, &code)
                              : sampler_open_bytes(&m->file, &m->s, "the memory", o->bytes,
                                                   o->length, threads, error);
    if (!good) {
        die(code, "%s", error);
    }
    open_sequences(m);
}

static void open_undo(void *context) {
    struct opening *o = context;
    sampler_team_end(&o->model->s);
}

// What is wrong with the settings, as a line; NULL if nothing is.
static const char *open_problem(const struct opening *o, char line[NAME_LINE]) {
    const struct NAME_settings *s = &o->settings;
    if (s->threads < 0 || s->threads > NAME_MOST_THREADS) {
        snprintf(line, NAME_LINE, "threads: found %d, wanted 0 to %d", s->threads,
                 NAME_MOST_THREADS);
    } else if (s->sequences < 0 || s->sequences > sampler_info.max_rows) {
        snprintf(line, NAME_LINE, "sequences: found %d, wanted 1 to %d", s->sequences,
                 sampler_info.max_rows);
    } else if (s->slide != NAME_SLIDE_NOT && s->slide != NAME_SLIDE_ONE &&
               s->slide != NAME_SLIDE_HALF) {
        snprintf(line, NAME_LINE, "slide: found %d, wanted one of enum NAME_slide", (int)s->slide);
    } else if (!o->path && (!o->bytes || (uintptr_t)o->bytes % sizeof(float))) {
        snprintf(line, NAME_LINE, "the memory: found address %p, wanted a multiple of 4", o->bytes);
    } else {
        return NULL;
    }
    return line;
}

static struct NAME_model *open_model(struct opening *o, const struct NAME_settings *settings,
                                     char *error) {
    char line[NAME_LINE];
    error = error ? error : line;
    *error = '\0';
    o->settings = settings ? *settings : (struct NAME_settings){0};
    if (open_problem(o, error)) {
        return NULL;
    }
    struct NAME_model *m = allocate_or_null(1, sizeof *m);
    if (!m) {
        snprintf(error, NAME_LINE, "no memory for the model");
        return NULL;
    }
    m->sequences = o->settings.sequences > 0 ? o->settings.sequences : 1;
    o->model = m;
    if (trap_run(open_run, open_undo, o, error, m->warning) != EXIT_DONE) {
        free(m);
        return NULL;
    }
    m->may_slide = o->settings.slide != NAME_SLIDE_NOT;
    m->s.slide_half = o->settings.slide == NAME_SLIDE_HALF;
    m->bytes = o->path ? m->file.tensors.map : NULL;
    return m;
}

struct NAME_model *NAME_open(const char *path, const struct NAME_settings *settings, char *error) {
    struct opening o = {.path = path ? path : ""};
    return open_model(&o, settings, error);
}

struct NAME_model *NAME_open_memory(const void *bytes, size_t length,
                                    const struct NAME_settings *settings, char *error) {
    struct opening o = {.bytes = bytes, .length = length};
    return open_model(&o, settings, error);
}

void NAME_close(struct NAME_model *model) {
    if (!model) {
        return;
    }
    sampler_close(&model->file, &model->s);
    free((void *)model->bytes);
    free(model->sequence);
    free(model->texts);
    free(model->tokens);
    free(model->logits);
    free(model->choice);
    free(model);
}
