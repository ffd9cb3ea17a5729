// collection.c: makes a data set of documents: lists them, encodes them in several threads, keeps
// what is done, and gives the files their names at the end.
#include "runtime/programs/prepare/collection.h"
#include "runtime/programs/prepare/crew.h"
#include "runtime/programs/prepare/progress.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SAVED_UNITS = 16 }; // after so many the files are synced

// ---- stops --------------------------------------------------------------------------------------

static volatile sig_atomic_t collection_stop;

// A second signal ends the program at once, which loses what is not saved yet.
static void collection_on_signal(int number) {
    collection_stop = 1;
    signal(number, SIG_DFL);
}

static void collection_listen(void) {
    static const int asking[] = {SIGHUP, SIGINT, SIGTERM};
    for (size_t i = 0; i < sizeof asking / sizeof *asking; i++) {
        struct sigaction action = {.sa_handler = collection_on_signal, .sa_flags = SA_RESTART}, now;
        sigemptyset(&action.sa_mask);
        if (!sigaction(asking[i], NULL, &now) && now.sa_handler != SIG_IGN) {
            sigaction(asking[i], &action, NULL);
        }
    }
}

// ---- what is done -------------------------------------------------------------------------------

struct collection {
    const struct prepare_inputs *inputs;
    struct prepare_progress progress;
    uint64_t done;         // bytes of units that are done
    uint64_t done_before;  // by an earlier run
    double started, shown; // when
    bool live;             // the line is rewritten in its place
    enum exit_code code;   // of a document that is wrong
    char *error;
};

static uint64_t collection_bytes(const struct prepare_inputs *inputs, size_t number) {
    const struct prepare_unit *unit = &inputs->unit[number];
    uint64_t bytes = unit->to - unit->from;
    for (size_t i = 1; i < unit->files; i++) {
        bytes += inputs->file[unit->file + i].bytes;
    }
    return bytes;
}

// A line a second on a terminal, else one every ten.
static void collection_show(struct collection *c) {
    const double now = time_now(), every = c->live ? 1 : 10;
    if (now - c->shown < every) {
        return;
    }
    c->shown = now;
    const double rate = (double)(c->done - c->done_before) / (now - c->started);
    fprintf(c->live ? stderr : stdout, "%s%s of %s, %s/s, %s left%s",
            c->live ? "\r" : "data: ", figure_bytes((double)c->done).s,
            figure_bytes((double)c->inputs->bytes).s, figure_bytes(rate).s,
            figure_seconds((double)(c->inputs->bytes - c->done) / (rate > 1 ? rate : 1)).s,
            c->live ? "    " : "\n");
    fflush(c->live ? stderr : stdout);
}

static bool collection_take(void *context, struct prepare_result *result) {
    struct collection *c = context;
    if (result->error) {
        c->code = result->code;
        c->error = result->error;
        result->error = NULL;
        return false;
    }
    c->done += collection_bytes(c->inputs, c->progress.units);
    prepare_progress_add(&c->progress, result);
    if (c->progress.units % SAVED_UNITS == 0) {
        prepare_progress_save(&c->progress);
    }
    collection_show(c);
    return !collection_stop;
}

// Encodes what is not done. False if it was stopped. Dies for a document that is wrong, after what
// is done before that is saved.
static bool collection_encode(struct collection *c, struct prepare_documents *documents,
                              int threads) {
    struct prepare_progress *p = &c->progress;
    documents->val_below = p->val_below;
    c->done = 0;
    for (size_t i = 0; i < p->units; i++) {
        c->done += collection_bytes(c->inputs, i);
    }
    c->done_before = c->done;
    c->started = c->shown = time_now();
    if (p->units > 0 && p->units < c->inputs->units) {
        printf("data: goes on after %s of %s\n", figure_bytes((double)c->done).s,
               figure_bytes((double)c->inputs->bytes).s);
        fflush(stdout);
    }
    prepare_crew(documents, p->units, threads, collection_take, c);
    if (c->live && c->shown > c->started) {
        fprintf(stderr, "\n");
    }
    if (p->saved < p->units) {
        prepare_progress_save(p);
    }
    if (c->error) {
        die(c->code, "%s", c->error);
    }
    return p->units == c->inputs->units;
}

// ---- the data set -------------------------------------------------------------------------------

// The bound of documents' hashes that gives this fraction.
static uint64_t collection_bound(const char *fraction) {
    char *end;
    const double value = strtod(fraction, &end);
    if (*end || strspn(fraction, "0123456789.") != strlen(fraction) || !(value > 0) ||
        !(value < 1)) {
        die(EXIT_USAGE, "prepare: '%s' is not a fraction of documents to validate with, as 0.0005",
            fraction);
    }
    return (uint64_t)(value * 0x1p64);
}

static void collection_name(struct collection *c, const struct prepare_collection *how,
                            const struct tokenizer *tokenizer, struct prepare_stated stated) {
    struct prepare_progress *p = &c->progress;
    char *last = allocate_print(
        "meta.json",
        "  \"documents\": %llu,\n  \"val_documents\": %llu,\n%s  \"val_fraction\": \"%s\"\n",
        (unsigned long long)(p->documents_count[0] + p->documents_count[1]),
        (unsigned long long)p->documents_count[1], how->fold ? "  \"newlines\": \"lf\",\n" : "",
        how->fraction);
    struct prepare_meta meta = {.name = how->name, .tokenizer = tokenizer, .last = last};
    for (int i = 0; i < 2; i++) {
        struct prepare_file *file = &prepare_files[i];
        meta.tokens[i] = p->count[i];
        if (p->named[i]) {
            // The file that was opened for more is empty.
            prepare_remove_one(file);
            stated.tokens[i] = (int64_t)p->count[i];
            stated.wide = p->width > 2;
        } else {
            prepare_finish(file);
        }
        meta.tokens_at[i] = p->named[i] ? file->path : file->temporary;
    }
    prepare_meta(&meta, prepare_create(PREPARE_META, how->out, "meta.json"));
    free(last);
    prepare_keep(how->out, &stated);
    prepare_rename();
}

static void collection_say(const struct collection *c, const char *out,
                           const struct tokenizer *tokenizer) {
    const struct prepare_progress *p = &c->progress;
    char vocabulary[96];
    tokenizer_describe(tokenizer, vocabulary);
    for (int i = 0; i < 2; i++) {
        printf("%s: %s documents, %s tokens\n", prepare_files[i].path,
               figure_count((int64_t)p->documents_count[i]).s,
               figure_count((int64_t)p->count[i]).s);
    }
    printf("%s: the vocabulary: %s\n", prepare_files[PREPARE_META].path, vocabulary);
    printf("data: %s\n", out);
}

enum exit_code prepare_collection(const struct prepare_collection *how) {
    struct prepare_inputs inputs;
    struct tokenizer tokenizer;
    const char *error;
    const uint64_t bound = collection_bound(how->fraction);
    prepare_list(&inputs, how->path, how->unit_bytes);
    char *string = tokenizer_files_read(how->place);
    if (!tokenizer_parse(&tokenizer, string, &error)) {
        die(EXIT_DATA, "%s: %s", how->place, error);
    }
    free(string);
    if (!tokenizer.bpe || bpe_end_of_text(tokenizer.bpe) < 0) {
        die(EXIT_DATA,
            "%s: has no token that ends a text, as " TOKENIZER_END_OF_TEXT " does; one is wanted "
            "after each document",
            how->place);
    }
    const struct prepare_stated stated = prepare_guard(how->out);
    collection_listen();
    struct prepare_documents documents = {
        .inputs = &inputs, .tokenizer = &tokenizer, .fold = how->fold, .val_below = bound};
    struct collection c = {.inputs = &inputs, .live = isatty(STDERR_FILENO)};
    prepare_progress_open(&c.progress, &documents, how->out, how->fraction);
    bool whole = collection_encode(&c, &documents, how->threads);
    const uint64_t *count = c.progress.documents_count;
    if (whole && count[1] == 0 && count[0] > 0) {
        // So few documents that none has such a hash: the one with the least is for val.bin.
        prepare_progress_restart(&c.progress, c.progress.least + 1);
        whole = collection_encode(&c, &documents, how->threads);
    }
    if (!whole) {
        printf("data: stopped after %s of %s; the same command goes on\n",
               figure_bytes((double)c.done).s, figure_bytes((double)inputs.bytes).s);
        return EXIT_STOPPED;
    }
    if (count[0] == 0 || count[1] == 0) {
        die(EXIT_DATA,
            "%s: of its %llu documents none is left for %s.bin; other ones, or another VAL, are "
            "wanted",
            how->path, (unsigned long long)(count[0] + count[1]), count[0] ? "val" : "train");
    }
    collection_name(&c, how, &tokenizer, stated);
    collection_say(&c, how->out, &tokenizer);
    prepare_progress_close(&c.progress);
    prepare_unlist(&inputs);
    tokenizer_free(&tokenizer);
    return EXIT_DONE;
}
