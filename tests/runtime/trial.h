// trial.h: shared by the tests test_loop*.c: a trainer on the fake model, started in a child
// process, from its command line to the files that it writes; and the comparison of two runs. The
// program is included here, so that its main can be called.
#ifndef DIECAST_TRIAL_H
#define DIECAST_TRIAL_H

#include "tests/runtime/fake_model.h"
#include "tests/runtime/suite.h"

#include <math.h>
#include <signal.h>
#include <sys/resource.h>

#define main train_main
#include "runtime/programs/train.c"
#undef main

enum { MICRO_STEPS = 2, ITERS = 31 }; // of run_defaults: 0 to max_iters

// ---- data and trainers --------------------------------------------------------------------------

// Writes a text with a pattern to learn: a letter, the next one, and sometimes another one.
static inline void write_data(const char *name, const char *tokenizer) {
    enum { TRAIN = 2000, VAL = 400 };
    uint16_t tokens[TRAIN + VAL];
    for (uint32_t i = 0; i < TRAIN + VAL; i++) {
        uint64_t random = rng_bits(3, RNG_BENCH, i, 0);
        uint16_t next = i ? (uint16_t)((tokens[i - 1] + 1) % FAKE_V) : 0;
        tokens[i] = rng_below(random, 4) ? next : (uint16_t)rng_below(random << 32, FAKE_V);
    }
    char path[64], meta[512];
    ck_assert_int_eq(mkdir(suite_path(name), 0777), 0);
    snprintf(path, sizeof path, "%s/train.bin", name);
    suite_write(path, tokens, TRAIN * sizeof *tokens);
    snprintf(path, sizeof path, "%s/val.bin", name);
    suite_write(path, tokens + TRAIN, VAL * sizeof *tokens);
    snprintf(path, sizeof path, "%s/meta.json", name);
    snprintf(meta, sizeof meta,
             "{\"dataset\": \"letters\", \"tokenizer\": \"%s\", \"vocab_size\": %d, "
             "\"train_tokens\": %d, \"val_tokens\": %d}\n",
             tokenizer, FAKE_V, TRAIN, VAL);
    suite_write_text(path, meta);
}

struct trial {
    const char *out;      // folder of the run
    const char *flags[8]; // and more, up to NULL
    int signal, signal_at;
    enum fake_call signal_in;
    bool signal_ignored; // at the start, as by nohup
    int nan_from, nan_to;
    double steep;      // a factor of wte's gradients; 0: none
    rlim_t file_limit; // 0: none
    bool empties_data; // the signal, SIGUSR2, is not a stop: it empties train.bin
};

static inline void empty_data(int number) {
    (void)number;
    if (truncate(suite_path("data/train.bin"), 0)) {
        _exit(99);
    }
}

static inline void write_calls(void) {
    FILE *file = fopen(suite_path("calls"), "w");
    for (int i = 0; file && i < FAKE_CALLS; i++) {
        fprintf(file, "%d ", fake_called[i]);
    }
    if (file) {
        fclose(file);
    }
}

static inline void run_trial(void *context) {
    const struct trial *trial = context;
    char out[800], data[600];
    snprintf(out, sizeof out, "--out_dir=%s", suite_path(trial->out));
    snprintf(data, sizeof data, "--data_dir=%s", suite_dir);
    char *argv[16] = {"train", "--dataset=data", data, out};
    int argc = 4;
    for (int i = 0; i < 8 && trial->flags[i]; i++) {
        argv[argc++] = (char *)trial->flags[i];
    }
    ck_assert_ptr_nonnull(freopen(suite_path("stdout"), "w", stdout));
    unsetenv("MAKELEVEL"); // make test sets it
    fake_signal = trial->signal;
    fake_signal_at = trial->signal ? trial->signal_at : -1;
    fake_signal_in = trial->signal_in;
    signal(trial->signal ? abs(trial->signal) : SIGINT, trial->signal_ignored ? SIG_IGN : SIG_DFL);
    fake_wrong_gradient = trial->steep > 0 ? trial->steep : 1;
    if (trial->empties_data) {
        signal(trial->signal, empty_data);
    }
    fake_nan_from = trial->nan_from;
    fake_nan_to = trial->nan_to;
    if (trial->file_limit) {
        struct rlimit limit = {trial->file_limit, trial->file_limit};
        if (setrlimit(RLIMIT_FSIZE, &limit)) { // no ck_assert: Check writes to a file of its own
            _exit(99);
        }
    }
    atexit(write_calls);
    exit(train_main(argc, argv));
}

// How often the last trainer made this call.
static inline int calls(enum fake_call call) {
    size_t length;
    char *text = suite_read("calls", &length);
    int count[FAKE_CALLS];
    ck_assert_int_eq(sscanf(text, "%d %d %d", &count[0], &count[1], &count[2]), FAKE_CALLS);
    free(text);
    return count[call];
}

// Runs a trainer, which must end with this code. Its output is in `stdout` and in the result.
static inline struct ending train(struct trial trial, int code) {
    struct ending ending = suite_run(run_trial, &trial);
    ck_assert_msg(ending.code == code, "%s ended with %d, not %d: %s", trial.out, ending.code, code,
                  ending.text);
    return ending;
}

// A run without a stop, to compare with.
static inline void train_straight(void) {
    write_data("data", FAKE_TOKENIZER);
    train((struct trial){.out = "straight", .flags = {"--threads=1"}}, EXIT_DONE);
}

// ---- comparing ----------------------------------------------------------------------------------

static inline char *read_file(const char *folder, const char *name, size_t *length) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return suite_read(path, length);
}

static inline bool has_file(const char *folder, const char *name) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return suite_exists(path);
}

static inline void same_file(const char *a_folder, const char *b_folder, const char *name) {
    size_t a_length, b_length;
    char *a = read_file(a_folder, name, &a_length), *b = read_file(b_folder, name, &b_length);
    ck_assert_msg(a_length == b_length && !memcmp(a, b, a_length), "%s differs in %s and %s", name,
                  a_folder, b_folder);
    free(a);
    free(b);
}

// metrics.jsonl without the end of each line, which depends on the clock.
static inline char *read_metrics(const char *folder) {
    size_t length;
    char *text = read_file(folder, "metrics.jsonl", &length), *out = text;
    for (const char *line = text; *line;) {
        const char *end = strchr(line, '\n'), *clock = strstr(line, ",\"ms\":");
        ck_assert_msg(end && clock && clock < end, "a line without time or end: %s", line);
        memmove(out, line, (size_t)(clock - line));
        out += clock - line;
        *out++ = '\n';
        line = end + 1;
    }
    *out = 0;
    return text;
}

static inline void same_run(const char *a, const char *b) {
    same_file(a, b, "ckpt.safetensors");
    same_file(a, b, "state.safetensors");
    char *a_metrics = read_metrics(a), *b_metrics = read_metrics(b);
    ck_assert_str_eq(a_metrics, b_metrics);
    free(a_metrics);
    free(b_metrics);
}

static inline int count_words(const char *text, const char *word) {
    int count = 0;
    for (const char *at = text; (at = strstr(at, word)); at += strlen(word)) {
        count++;
    }
    return count;
}

static inline void stdout_has(const char *word) {
    size_t length;
    char *text = suite_read("stdout", &length);
    ck_assert_msg(strstr(text, word) != NULL, "no '%s' in: %s", word, text);
    free(text);
}

// Fails unless this file of a run has these bytes.
static inline void is_kept(const char *out, const char *name, const char *bytes, size_t length) {
    size_t now;
    char *kept = read_file(out, name, &now);
    ck_assert_uint_eq(now, length);
    ck_assert_mem_eq(kept, bytes, length);
    free(kept);
}

#endif
