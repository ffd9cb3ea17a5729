// test_loop.c: the trainer's loop, from the command line to the files that it writes, on a fake
// model: stopping and resuming, what it refuses, and what a damaged run leaves behind.
// links: tests/runtime/fake_model.c
#include "tests/runtime/fake_model.h"
#include "tests/runtime/suite.h"

#include <math.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>

#define main train_main
#include "runtime/programs/train.c"
#undef main

enum { MICRO_STEPS = 2, ITERS = 31 }; // of run_defaults: 0 to max_iters

// ---- data and trainers --------------------------------------------------------------------------

// A text with a pattern to learn: a letter, the next one, and now and then another one.
static void write_data(const char *name, const char *tokenizer) {
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
    double steep;      // what gradients of wte are multiplied by; 0: nothing
    rlim_t file_limit; // 0: none
    bool empties_data; // the signal, SIGUSR2, is no stop: train.bin is emptied there
};

static void empty_data(int number) {
    (void)number;
    if (truncate(suite_path("data/train.bin"), 0)) {
        _exit(99);
    }
}

static void write_calls(void) {
    FILE *file = fopen(suite_path("calls"), "w");
    for (int i = 0; file && i < FAKE_CALLS; i++) {
        fprintf(file, "%d ", fake_called[i]);
    }
    if (file) {
        fclose(file);
    }
}

static void run_trial(void *context) {
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

// How often the trainer that ran last made this call.
static int calls(enum fake_call call) {
    size_t length;
    char *text = suite_read("calls", &length);
    int count[FAKE_CALLS];
    ck_assert_int_eq(sscanf(text, "%d %d %d", &count[0], &count[1], &count[2]), FAKE_CALLS);
    free(text);
    return count[call];
}

// Runs a trainer, which must end with this code. What it said is in `stdout` and in the result.
static struct ending train(struct trial trial, int code) {
    struct ending ending = suite_run(run_trial, &trial);
    ck_assert_msg(ending.code == code, "%s ended with %d, not %d: %s", trial.out, ending.code, code,
                  ending.text);
    return ending;
}

// A run straight through, to compare with.
static void train_straight(void) {
    write_data("data", FAKE_TOKENIZER);
    train((struct trial){.out = "straight", .flags = {"--threads=1"}}, EXIT_DONE);
}

// ---- comparing ----------------------------------------------------------------------------------

static char *read_file(const char *folder, const char *name, size_t *length) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return suite_read(path, length);
}

static bool has_file(const char *folder, const char *name) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return suite_exists(path);
}

static void same_file(const char *a_folder, const char *b_folder, const char *name) {
    size_t a_length, b_length;
    char *a = read_file(a_folder, name, &a_length), *b = read_file(b_folder, name, &b_length);
    ck_assert_msg(a_length == b_length && !memcmp(a, b, a_length), "%s differs in %s and %s", name,
                  a_folder, b_folder);
    free(a);
    free(b);
}

// metrics.jsonl without what depends on the clock, which each line ends with.
static char *read_metrics(const char *folder) {
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

static void same_run(const char *a, const char *b) {
    same_file(a, b, "ckpt.safetensors");
    same_file(a, b, "state.safetensors");
    char *a_metrics = read_metrics(a), *b_metrics = read_metrics(b);
    ck_assert_str_eq(a_metrics, b_metrics);
    free(a_metrics);
    free(b_metrics);
}

static int count_words(const char *text, const char *word) {
    int count = 0;
    for (const char *at = text; (at = strstr(at, word)); at += strlen(word)) {
        count++;
    }
    return count;
}

static void stdout_has(const char *word) {
    size_t length;
    char *text = suite_read("stdout", &length);
    ck_assert_msg(strstr(text, word) != NULL, "no '%s' in: %s", word, text);
    free(text);
}

// ---- a run straight through ---------------------------------------------------------------------

// Each step's mfu is what its milliseconds say, by run.json's figures. Returns how many steps.
static int check_rates(const char *folder) {
    size_t length;
    char *text = read_file(folder, "run.json", &length);
    double flops = atof(strstr(text, "\"flops_per_token\": ") + 19);
    double tokens = atof(strstr(text, "\"tokens_per_iter\": ") + 19);
    double peak = atof(strstr(text, "\"peak_flops\": ") + 14);
    free(text);
    text = read_file(folder, "metrics.jsonl", &length);
    int steps = 0;
    for (const char *at = text; (at = strstr(at, "\"tokens_per_s\":")); at++, steps++) {
        const char *line = at;
        while (line > text && line[-1] != '\n') {
            line--;
        }
        double ms = atof(strstr(line, "\"ms\":") + 5), rate, mfu;
        ck_assert_int_eq(sscanf(at, "\"tokens_per_s\":%lf,\"mfu\":%lf}\n", &rate, &mfu), 2);
        double slack = 0.0006 / ms + 1e-3; // ms has three digits
        ck_assert_double_eq_tol(rate * ms / (1e3 * tokens), 1, slack);
        ck_assert_double_eq_tol(mfu * ms / 1e3 / (flops * tokens / peak), 1, slack);
    }
    free(text);
    return steps;
}

START_TEST(trains) {
    train_straight();
    size_t length;
    char *text = suite_read("stdout", &length);
    float train_loss, val_loss, last_train, last_val;
    const char *first = strstr(text, "\nstep 0: train loss "), *last = strstr(text, "\nstep 30: ");
    ck_assert(first && last);
    ck_assert_int_eq(
        sscanf(first, "\nstep 0: train loss %f, val loss %f\n", &train_loss, &val_loss), 2);
    ck_assert_int_eq(
        sscanf(last, "\nstep 30: train loss %f, val loss %f\n", &last_train, &last_val), 2);
    ck_assert_float_gt(val_loss, 2.5f);
    ck_assert_float_lt(last_val, val_loss - 0.3f);
    ck_assert_float_lt(last_train, train_loss - 0.3f);
    ck_assert_int_eq(count_words(text, "\niter "), ITERS);
    ck_assert_int_eq(count_words(text, ", mfu -100.00%\n"), 5);        // then there is a figure
    ck_assert_int_eq(count_words(text, "\nsaving checkpoint to "), 3); // never at iteration 0
    ck_assert(strstr(text, "\ntokens per iteration will be: 64\n"));
    ck_assert(strstr(text, "\nnumber of parameters: 0.00M\n"));
    free(text);

    char *metrics = read_metrics("straight");
    ck_assert_int_eq(count_words(metrics, "\n"), ITERS + 4);
    ck_assert_int_eq(count_words(metrics, "\"skipped\":false"), ITERS);
    ck_assert_int_eq(check_rates("straight"), ITERS);
    ck_assert_int_eq(strncmp(metrics, "{\"iter\":0,\"train_loss\":", 23), 0);
    ck_assert(strstr(metrics, "\n{\"iter\":0,\"loss\":"));
    ck_assert(strstr(metrics, ",\"lr\":0.002,\"grad_norm\":")); // 1e-2 * 1 / (4 + 1)
    free(metrics);
}
END_TEST

// run.json's value at a path of keys, as text.
static void check_run_json(const char *folder, const char *group, const char *key,
                           const char *wanted) {
    size_t length;
    const char *error;
    char *text = read_file(folder, "run.json", &length), *found = NULL, number[32];
    struct json *json = json_parse(text, length, &error);
    ck_assert_msg(json != NULL, "run.json: %s: %s", error, text);
    int value = json_get(json, *group ? json_get(json, 0, group) : 0, key);
    int64_t n;
    if (json_integer(json, value, &n)) {
        snprintf(number, sizeof number, "%lld", (long long)n);
        found = strdup(number);
    } else {
        found = json_string(json, value);
    }
    ck_assert_msg(found && !strcmp(found, wanted), "%s %s is %s, not %s: %s", group, key, found,
                  wanted, text);
    free(found);
    json_free(json);
    free(text);
}

START_TEST(says_what_the_run_is) {
    write_data("data", FAKE_TOKENIZER);
    // a name may hold what JSON must not
    const char *const out = "a {\xc3\xbc \xff}//";
    train((struct trial){.out = out, .flags = {"--threads=2", "--beta2=0.5"}}, EXIT_DONE);
    size_t length;
    char *text = read_file(out, "run.json", &length);
    ck_assert(!strncmp(text, "{\n  \"format\": 1,\n  \"name\": \"a {", 31));
    ck_assert(strstr(text, "\"beta2\": 0.5, \"eps\": 1e-08, "));
    ck_assert(strstr(text, "\"eval_only\": false, "));
    free(text);
    check_run_json(out, "", "name", "a {\xc3\xbc \xef\xbf\xbd}");
    check_run_json(out, "", "config_name", run_config_name);
    check_run_json(out, "", "hash", model_info.hash);
    check_run_json(out, "config", "block_size", "8");
    check_run_json(out, "run", "max_iters", "30");
    check_run_json(out, "run", "init_from", "auto");
    check_run_json(out, "", "tokens_per_iter", "64");
    check_run_json(out, "", "threads", "2");
    check_run_json(out, "", "train_tokens", "2000");
    check_run_json(out, "", "val_tokens", "400");
    // and again where the run goes on, with what is so then
    train((struct trial){.out = out, .flags = {"--init_from=resume", "--max_iters=40"}}, EXIT_DONE);
    check_run_json(out, "run", "max_iters", "40");
    ck_assert(!has_file(out, "run.previous.json"));
}
END_TEST

START_TEST(threads_do_not_change_results) {
    train_straight();
    train((struct trial){.out = "two", .flags = {"--threads=2"}}, EXIT_DONE);
    train((struct trial){.out = "four", .flags = {"--threads", "4"}}, EXIT_DONE);
    same_run("straight", "two");
    same_run("straight", "four");
}
END_TEST

// Goes through stdout: each evaluation after iteration 0 is saved if and only if it is the best.
static int check_saves(bool always) {
    size_t length;
    char *text = suite_read("stdout", &length);
    double best = HUGE_VAL, val_loss;
    int iter, saves = 0;
    for (const char *at = text; (at = strstr(at, "\nstep ")); at++) {
        ck_assert_int_eq(sscanf(at, "\nstep %d: train loss %*f, val loss %lf", &iter, &val_loss),
                         2);
        bool saved = !strncmp(strchr(at + 1, '\n'), "\nsaving checkpoint to ", 22);
        ck_assert_int_eq(saved, iter > 0 && (always || val_loss < best));
        best = val_loss < best ? val_loss : best;
        saves += saved;
    }
    free(text);
    return saves;
}

START_TEST(saves_by_the_rule) {
    write_data("data", FAKE_TOKENIZER);
    // nothing is learnt, so that evaluations go up and down
    const char *const still = "--learning_rate=0", *const flat = "--decay_lr=False";
    train((struct trial){.out = "best", .flags = {still, flat, "--eval_interval=2"}}, EXIT_DONE);
    int saves = check_saves(false);
    ck_assert_int_gt(saves, 0);
    ck_assert_int_lt(saves, 15);
    train((struct trial){.out = "always",
                         .flags = {still, flat, "--eval_interval=2", "--always_save_checkpoint=1"}},
          EXIT_DONE);
    ck_assert_int_eq(check_saves(true), 15);
    // With a sampler beside the trainer, which says what to type: with the state, then.
    char sampler[4096] = "";
    ck_assert_int_gt(readlink("/proc/self/exe", sampler, sizeof sampler - 8), 0);
    strcpy(strrchr(sampler, '/'), "/sample");
    close(open(sampler, O_WRONLY | O_CREAT, 0777));
    train((struct trial){.out = "none", .flags = {"--eval_interval=50"}}, EXIT_DONE);
    unlink(sampler);
    ck_assert(!has_file("none", "ckpt.safetensors"));
    stdout_has("/sample --checkpoint=");
    stdout_has("none/state.safetensors\n");
}
END_TEST

START_TEST(samples_on_the_way) {
    train_straight();
    train((struct trial){.out = "sampled", .flags = {"--sample_interval=12"}}, EXIT_DONE);
    stdout_has("\nsample at iter 12:\n");
    stdout_has("\nsample at iter 24:\n");
    same_run("straight", "sampled");
}
END_TEST

START_TEST(eval_only_writes_nothing) {
    train_straight();
    train((struct trial){.out = "none", .flags = {"--eval_only=True"}}, EXIT_DONE);
    ck_assert(!suite_exists("none"));
    stdout_has("\nstep 0: train loss ");
    // where there is a run, it is that one's weights that are evaluated
    size_t length, after;
    char *before = read_file("straight", "metrics.jsonl", &length);
    train((struct trial){.out = "straight", .flags = {"--eval_only=True"}}, EXIT_DONE);
    stdout_has("\nstep 31: train loss ");
    char *metrics = read_file("straight", "metrics.jsonl", &after);
    ck_assert_str_eq(before, metrics);
    free(before);
    free(metrics);
}
END_TEST

// ---- stopping and going on ----------------------------------------------------------------------

static void stops_before(int iter) {
    char line[64];
    snprintf(line, sizeof line, "stopped before iteration %d;", iter);
    stdout_has(line);
}

// Stops by `number` in the micro-step `at`, goes on with other threads, and compares.
static void stop_and_go(int number, int at, const char *threads, const char *later) {
    const char *out = "stopped";
    char command[900];
    snprintf(command, sizeof command, "rm -rf '%s'", suite_path(out));
    ck_assert_int_eq(system(command), 0);
    train((struct trial){.out = out, .flags = {threads}, .signal = number, .signal_at = at},
          EXIT_STOPPED);
    stops_before((at + 1) / MICRO_STEPS); // an iteration's last micro-step ends it
    train((struct trial){.out = out, .flags = {later}}, EXIT_DONE);
    same_run("straight", out);
}

START_TEST(resume_is_exact) {
    setenv("DIECAST_PROCESSORS", "4", 1); // as many threads as are asked for, on every machine
    train_straight();
    stop_and_go(SIGTERM, 0, "--threads=1", "--threads=1");
    stop_and_go(SIGHUP, 15, "--threads=1", "--threads=1");
    stop_and_go(SIGINT, 18, "--threads=2", "--threads=2");
    stop_and_go(SIGUSR1, 21, "--threads=4", "--threads=4");
    stop_and_go(SIGXCPU, 24, "--threads=1", "--threads=4");
    stop_and_go(-SIGTERM, 35, "--threads=1", "--threads=4"); // as timeout does
}
END_TEST

START_TEST(ignored_signals_stay_ignored) {
    train_straight();
    train((struct trial){.out = "nohup", .signal = SIGHUP, .signal_at = 9, .signal_ignored = true},
          EXIT_DONE);
    same_run("straight", "nohup");
}
END_TEST

// ---- a stop does not wait for more than a micro-step, a batch or a token ------------------------

START_TEST(stops_between_micro_steps) {
    write_data("data", FAKE_TOKENIZER);
    const char *const many = "--gradient_accumulation_steps=50", *const few = "--max_iters=3",
                      *const pace = "--eval_interval=2";
    train((struct trial){.out = "straight", .flags = {many, few, pace}}, EXIT_DONE);
    struct trial trial = {
        .out = "stopped", .flags = {many, few, pace}, .signal = SIGTERM, .signal_at = 120};
    train(trial, EXIT_STOPPED);
    stops_before(2);
    ck_assert_int_eq(calls(FAKE_BACKWARD), 121);
    trial.signal_at = 7; // of the first iteration that is computed again
    train(trial, EXIT_STOPPED);
    stops_before(2);
    ck_assert_int_eq(calls(FAKE_BACKWARD), 8);
    trial.signal = 0;
    train(trial, EXIT_DONE);
    same_run("straight", "stopped");
}
END_TEST

START_TEST(stops_between_evaluations_batches) {
    write_data("data", FAKE_TOKENIZER);
    const char *const many = "--eval_iters=50";
    train((struct trial){.out = "straight", .flags = {many}}, EXIT_DONE);
    for (int at = 140; at <= 170; at += 30) { // of the evaluation at iteration 10, in either split
        struct trial trial = {.out = "stopped",
                              .flags = {many, "--init_from=scratch"},
                              .signal = SIGTERM,
                              .signal_at = at,
                              .signal_in = FAKE_LOSS};
        train(trial, EXIT_STOPPED);
        stops_before(10);
        ck_assert_int_eq(calls(FAKE_LOSS), at + 1);
        train((struct trial){.out = "stopped", .flags = {many}}, EXIT_DONE);
        same_run("straight", "stopped");
    }
}
END_TEST

START_TEST(stops_between_a_samples_tokens) {
    train_straight();
    struct trial trial = {.out = "stopped",
                          .flags = {"--sample_interval=10"}, // where an evaluation is too
                          .signal = SIGTERM,
                          .signal_at = 4,
                          .signal_in = FAKE_SAMPLER};
    train(trial, EXIT_STOPPED);
    stops_before(10);
    ck_assert_int_eq(calls(FAKE_SAMPLER), 5);
    size_t length;
    char *text = suite_read("stdout", &length);
    ck_assert(!strstr(text, "sample at iter 10"));
    free(text);
    trial.signal = 0;
    train(trial, EXIT_DONE);
    stdout_has("\nsample at iter 10:\n");
    same_run("straight", "stopped");
}
END_TEST

START_TEST(resume_often) {
    train_straight();
    for (int start = 0; start < ITERS - 4; start += 4) { // 4 iterations at a time
        train((struct trial){.out = "often",
                             .flags = {"--threads=2"},
                             .signal = SIGTERM,
                             .signal_at = 4 * MICRO_STEPS - 1},
              EXIT_STOPPED);
    }
    train((struct trial){.out = "often"}, EXIT_DONE);
    same_run("straight", "often");
}
END_TEST

START_TEST(stop_in_the_last_iteration_is_the_end) {
    train_straight();
    train((struct trial){.out = "late", .signal = SIGTERM, .signal_at = ITERS * MICRO_STEPS - 1},
          EXIT_DONE);
    same_run("straight", "late");
}
END_TEST

START_TEST(a_killed_run_goes_on_from_its_last_state) {
    train_straight();
    struct trial trial = {.out = "killed",
                          .flags = {"--checkpoint_interval=6"},
                          .signal = SIGKILL,
                          .signal_at = 22 * MICRO_STEPS};
    train(trial, 256 + SIGKILL);
    // Iterations up to 21 are in metrics.jsonl; the state is that of 18; half a line and half a
    // checkpoint are left too.
    FILE *metrics = fopen(suite_path("killed/metrics.jsonl"), "a");
    fputs("{\"iter\":22,\"lo", metrics);
    fclose(metrics);
    suite_write_text("killed/state.safetensors.tmp", "half");
    train((struct trial){.out = "killed"}, EXIT_DONE);
    stdout_has("iteration 18\n");
    same_run("straight", "killed");
    ck_assert(!suite_exists("killed/state.safetensors.tmp"));
}
END_TEST

// ---- a log that is not as it was left -----------------------------------------------------------

// A run that is stopped before iteration 12, which leaves 14 lines: 12 steps, evaluations at 0 and
// 10. Its log, for the caller to free.
static char *stopped_log(const char *out, size_t *length) {
    train((struct trial){.out = out, .flags = {"--csv=1"}, .signal = SIGTERM, .signal_at = 23},
          EXIT_STOPPED);
    return read_file(out, "metrics.jsonl", length);
}

static void put_log(const char *out, const char *bytes, size_t length) {
    char path[64];
    snprintf(path, sizeof path, "%s/metrics.jsonl", out);
    suite_write(path, bytes, length);
}

static char *line_of(char *log, int iter) {
    char start[32];
    snprintf(start, sizeof start, "{\"iter\":%d,\"loss\"", iter);
    char *line = strstr(log, start);
    ck_assert_ptr_nonnull(line);
    return line;
}

// Goes on with a log of these bytes: to the end, saying these words, with `lines` lines at the end.
static void goes_on_with(const char *out, const char *bytes, size_t length, const char *words,
                         int lines) {
    put_log(out, bytes, length);
    struct ending ending = train((struct trial){.out = out, .flags = {"--csv=1"}}, EXIT_DONE);
    ck_assert_msg(strstr(ending.text, words) != NULL, "no '%s' in: %s", words, ending.text);
    char *log = read_metrics(out), *steps = read_file(out, "metrics.csv", &length);
    ck_assert_int_eq(count_words(log, "\n"), lines);
    ck_assert_int_eq(count_words(steps, "\r\n"), count_words(log, "grad_norm") + 1);
    ck_assert_int_eq(count_words(log, "{\"iter\":30,"), 2);
    free(log);
    free(steps);
}

static void is_kept(const char *out, const char *name, const char *bytes, size_t length) {
    size_t now;
    char *kept = read_file(out, name, &now);
    ck_assert_uint_eq(now, length);
    ck_assert_mem_eq(kept, bytes, length);
    free(kept);
}

START_TEST(a_line_that_is_none) {
    write_data("data", FAKE_TOKENIZER);
    for (int way = 0; way < 3; way++) {
        const char *const out = ((const char *[]){"zeros", "text", "cut"})[way];
        size_t length, table_length;
        char *log = stopped_log(out, &length), *line = line_of(log, 5);
        char *table = read_file(out, "metrics.csv", &table_length);
        if (way == 0) {
            memset(line, 0, 20);
        } else if (way == 1) {
            memcpy(line, "nothing of a run's", 18);
        } else {
            *strchr(line, '}') = ' ';
        }
        goes_on_with(out, log, length, "line 7 is none of a run's log; all of it is now ",
                     ITERS + 4 - 1);
        is_kept(out, "metrics.damaged.jsonl", log, length);
        is_kept(out, "metrics.damaged.csv", table, table_length);
        free(table);
        free(log);
    }
}
END_TEST

START_TEST(an_iteration_that_cannot_be) {
    write_data("data", FAKE_TOKENIZER);
    size_t length;
    char *log = stopped_log("high", &length);
    line_of(log, 5)[8] = '9'; // which is behind 4 and in front of 6
    goes_on_with("high", log, length, "line 8 is of iteration 6, behind one of 9; all of it",
                 ITERS + 4 - 1);
    is_kept("high", "metrics.damaged.jsonl", log, length);
    free(log);
    // one that would be of the run's own, and is not what comes next; a name that is taken
    log = stopped_log("later", &length);
    memcpy(line_of(log, 11) + 8, "31", 2);
    suite_write_text("later/metrics.damaged.jsonl", "an earlier accident");
    goes_on_with("later", log, length, "line 14 is of iteration 31, behind one of 10; all of it",
                 ITERS + 4 - 1);
    is_kept("later", "metrics.damaged.2.jsonl", log, length);
    free(log);
}
END_TEST

START_TEST(a_log_that_is_shorter) {
    write_data("data", FAKE_TOKENIZER);
    size_t length;
    char *log = stopped_log("lines", &length);
    static const char says[] = ", where the state knows of 14: the log goes on with a gap\n";
    goes_on_with("lines", log, (size_t)(line_of(log, 9) - log), says, ITERS + 4 - 4);
    ck_assert(!has_file("lines", "metrics.damaged.jsonl"));
    free(log);
    log = stopped_log("half", &length); // of a line that the state has behind it
    length = (size_t)(line_of(log, 9) - log) + 20;
    goes_on_with("half", log, length, says, ITERS + 4 - 4);
    is_kept("half", "metrics.damaged.jsonl", log, length);
    free(log);
    free(stopped_log("gone", &length));
    ck_assert_int_eq(unlink(suite_path("gone/metrics.jsonl")), 0);
    struct ending ending = train((struct trial){.out = "gone"}, EXIT_DONE);
    ck_assert(strstr(ending.text, "metrics.jsonl: has 0 lines of iterations before 12"));
}
END_TEST

START_TEST(a_log_that_cannot_be_read) {
    write_data("data", FAKE_TOKENIZER);
    size_t length;
    free(stopped_log("run", &length));
    ck_assert_int_eq(rename(suite_path("run/metrics.jsonl"), suite_path("log")), 0);
    ck_assert_int_eq(symlink("/proc/self/mem", suite_path("run/metrics.jsonl")), 0);
    struct ending ending = train((struct trial){.out = "run"}, EXIT_DONE);
    ck_assert_msg(strstr(ending.text, "cannot be read behind line 0: Input/output error; all of "
                                      "it is now "),
                  "%s", ending.text);
    char target[32] = "";
    ck_assert_int_gt(readlink(suite_path("run/metrics.damaged.jsonl"), target, sizeof target - 1),
                     0);
    ck_assert_str_eq(target, "/proc/self/mem");
    char *log = read_metrics("run");
    ck_assert_int_eq(count_words(log, "grad_norm"), ITERS - 12);
    free(log);
}
END_TEST

// ---- what may go wrong --------------------------------------------------------------------------

START_TEST(a_full_disk_leaves_the_old_files) {
    write_data("data", FAKE_TOKENIZER);
    struct trial trial = {.out = "full", .signal = SIGTERM, .signal_at = 12 * MICRO_STEPS};
    train(trial, EXIT_STOPPED);
    size_t state_length, ckpt_length, length;
    char *state = read_file("full", "state.safetensors", &state_length);
    char *ckpt = read_file("full", "ckpt.safetensors", &ckpt_length);
    const rlim_t less = 256; // than the next one has, whose numbers may have fewer digits
    struct ending ending =
        train((struct trial){.out = "full", .file_limit = ckpt_length - less}, EXIT_IO);
    ck_assert(strstr(ending.text, "ckpt.safetensors"));
    char *after = read_file("full", "ckpt.safetensors", &length);
    ck_assert_uint_eq(length, ckpt_length);
    ck_assert_mem_eq(after, ckpt, length);
    free(after);

    ending = train((struct trial){.out = "full", .file_limit = state_length - less}, EXIT_IO);
    ck_assert(strstr(ending.text, "state.safetensors"));
    after = read_file("full", "state.safetensors", &length);
    ck_assert_uint_eq(length, state_length);
    ck_assert_mem_eq(after, state, length);
    ck_assert(!has_file("full", "state.safetensors.tmp"));
    ck_assert(!has_file("full", "ckpt.safetensors.tmp"));
    free(after);
    free(state);
    free(ckpt);

    // and with room again, the run ends as if nothing had been
    train((struct trial){.out = "full"}, EXIT_DONE);
    train((struct trial){.out = "straight"}, EXIT_DONE);
    same_run("straight", "full");
}
END_TEST

START_TEST(metrics_on_a_full_disk) {
    write_data("data", FAKE_TOKENIZER);
    const char *const late = "--eval_interval=100", *const wide = "--warmup_iters=4";
    struct ending ending =
        train((struct trial){.out = "full", .flags = {late, wide}, .file_limit = 3000}, EXIT_IO);
    ck_assert(strstr(ending.text, "metrics.jsonl: cannot write"));
    // a file that is written as a whole is not there then, and its first half neither
    ending = train((struct trial){.out = "fuller", .file_limit = 100}, EXIT_IO);
    ck_assert(strstr(ending.text, "run.json: cannot write: File too large"));
    ck_assert_int_eq(count_words(ending.text, "\n"), 1);
    ck_assert(!has_file("fuller", "run.json"));
    ck_assert(!has_file("fuller", "run.json.tmp"));
}
END_TEST

START_TEST(an_unwritable_folder) {
    write_data("data", FAKE_TOKENIZER);
    suite_write_text("file", "");
    struct ending ending = train((struct trial){.out = "file/run"}, EXIT_IO);
    ck_assert(strstr(ending.text, "file/run: cannot make this folder: Not a directory"));
    ck_assert_int_eq(count_words(ending.text, "\n"), 1);
}
END_TEST

START_TEST(bad_numbers_are_skipped) {
    write_data("data", FAKE_TOKENIZER);
    // iterations 5, 6 and 7
    struct trial trial = {.out = "nan", .nan_from = 5 * MICRO_STEPS, .nan_to = 8 * MICRO_STEPS};
    struct ending ending = train(trial, EXIT_DONE);
    ck_assert_int_eq(count_words(ending.text, "update skipped"), 3);
    ck_assert(strstr(ending.text, "iter 7: loss nan"));
    char *metrics = read_metrics("nan");
    ck_assert_int_eq(count_words(metrics, "\"skipped\":true"), 3);
    ck_assert_int_eq(count_words(metrics, "\"loss\":null"), 3);
    free(metrics);
    struct checkpoint_header header;
    checkpoint_read_header(suite_path("nan/state.safetensors"), &header);
    ck_assert_int_eq(header.progress.updates, ITERS - 3);
    ck_assert_int_eq(header.progress.skipped, 3);
    ck_assert_int_eq(header.progress.bad_in_a_row, 0);
    checkpoint_free_header(&header);
}
END_TEST

START_TEST(ten_bad_steps_end_the_run) {
    write_data("data", FAKE_TOKENIZER);
    struct trial trial = {.out = "bad",
                          .flags = {"--checkpoint_interval=4"},
                          .nan_from = 13 * MICRO_STEPS,
                          .nan_to = 1000};
    struct ending ending = train(trial, EXIT_NUMERICS);
    ck_assert(strstr(ending.text, "(10 in a row"));
    ck_assert(!strstr(ending.text, "(11 in a row"));
    // the last state is that from before the bad steps, and whole
    struct checkpoint_header header;
    checkpoint_read_header(suite_path("bad/state.safetensors"), &header);
    ck_assert_int_eq(header.progress.iter, 12);
    ck_assert_int_eq(header.progress.bad_in_a_row, 0);
    checkpoint_free_header(&header);
    // with better numbers, it goes on from there and ends as if nothing had been
    train((struct trial){.out = "bad"}, EXIT_DONE);
    train((struct trial){.out = "straight"}, EXIT_DONE);
    same_run("straight", "bad");
}
END_TEST

// A state in `out` that the run can go on from, of iteration 3; its bytes, for the caller to free.
static char *sound_state(const char *out, size_t *length) {
    train((struct trial){.out = out, .signal = SIGTERM, .signal_at = 5}, EXIT_STOPPED);
    return read_file(out, "state.safetensors", length);
}

static void state_is(const char *out, const char *bytes, size_t length) {
    size_t now;
    char *state = read_file(out, "state.safetensors", &now);
    ck_assert_uint_eq(now, length);
    ck_assert_mem_eq(state, bytes, length);
    free(state);
}

// At this rate one update makes weights by which nothing can be computed.
#define DEADLY "--init_from=resume", "--learning_rate=1000", "--decay_lr=False", "--grad_clip=0"

START_TEST(dead_weights_replace_no_state) {
    train_straight();
    size_t length;
    char *state = sound_state("run", &length);
    // a stop right after the update, which itself was a good one
    struct ending ending =
        train((struct trial){.out = "run", .flags = {DEADLY}, .signal = SIGTERM, .signal_at = 1},
              EXIT_STOPPED);
    ck_assert_msg(strstr(ending.text, "iter 4: these weights give no finite loss and gradients, so "
                                      "they are not saved; "),
                  "%s", ending.text);
    ck_assert(strstr(ending.text, "state.safetensors is still that of iteration 3\n"));
    state_is("run", state, length);
    // a stop when some updates were skipped
    train((struct trial){.out = "run", .flags = {DEADLY}, .signal = SIGTERM, .signal_at = 7},
          EXIT_STOPPED);
    state_is("run", state, length);
    // the end, before the steps that were skipped are too many
    ending = train((struct trial){.out = "run", .flags = {DEADLY, "--max_iters=6"}}, EXIT_NUMERICS);
    ck_assert(strstr(ending.text, "is still that of iteration 3: to resume from there, give "
                                  "--init_from=resume, and lower --learning_rate"));
    state_is("run", state, length);
    // the time for a state, which the update before it has spoilt
    train((struct trial){.out = "run", .flags = {DEADLY, "--checkpoint_interval=4"}},
          EXIT_NUMERICS);
    state_is("run", state, length);
    // and by the rate that it had, the run ends as if nothing had been
    train((struct trial){.out = "run", .flags = {"--init_from=resume"}}, EXIT_DONE);
    same_run("straight", "run");
    free(state);
}
END_TEST

START_TEST(nothing_but_skipped_steps_is_no_end) {
    write_data("data", FAKE_TOKENIZER);
    struct ending ending = train(
        (struct trial){.out = "bad", .flags = {"--max_iters=4"}, .nan_to = 1000}, EXIT_NUMERICS);
    ck_assert(strstr(ending.text, "nothing was saved before: lower --learning_rate"));
    ck_assert(!has_file("bad", "state.safetensors"));
}
END_TEST

// Gradients that are finite, whose squares are not.
START_TEST(gradients_that_moments_cannot_hold) {
    write_data("data", FAKE_TOKENIZER);
    struct ending ending = train(
        (struct trial){.out = "steep", .flags = {"--grad_clip=0"}, .steep = 1e26}, EXIT_NUMERICS);
    ck_assert_int_eq(count_words(ending.text, "update skipped"), 10);
    ck_assert(!has_file("steep", "state.safetensors"));
}
END_TEST

// What a state costs: one micro-step at the end, and none on the way.
START_TEST(states_cost_no_micro_step) {
    train_straight();
    for (int steps = 1; steps <= 2; steps++) { // in an iteration
        char flag[64];
        snprintf(flag, sizeof flag, "--gradient_accumulation_steps=%d", steps);
        train((struct trial){.out = "few", .flags = {flag, "--init_from=scratch"}}, EXIT_DONE);
        ck_assert_int_eq(calls(FAKE_BACKWARD), ITERS * steps + 1);
        train((struct trial){.out = "many",
                             .flags = {flag, "--init_from=scratch", "--checkpoint_interval=1"}},
              EXIT_DONE);
        ck_assert_int_eq(calls(FAKE_BACKWARD), ITERS * steps + 1);
        same_run("few", "many");
    }
    same_run("straight", "many");
}
END_TEST

START_TEST(one_process_a_folder) {
    write_data("data", FAKE_TOKENIZER);
    ck_assert_int_eq(mkdir(suite_path("busy"), 0777), 0);
    suite_write_text("busy/lock", "4711\n");
    int lock = open(suite_path("busy/lock"), O_RDWR | O_CLOEXEC);
    ck_assert_int_eq(flock(lock, LOCK_EX), 0);
    struct ending ending = train((struct trial){.out = "busy"}, EXIT_IO);
    ck_assert(strstr(ending.text, "process 4711 trains in this folder"));
    ck_assert(!has_file("busy", "metrics.jsonl"));
    close(lock);
    train((struct trial){.out = "busy"}, EXIT_DONE);
}
END_TEST

// ---- init_from ----------------------------------------------------------------------------------

START_TEST(auto_stops_at_a_finished_run) {
    train_straight();
    size_t length, after;
    char *before = read_file("straight", "state.safetensors", &length);
    train((struct trial){.out = "straight"}, EXIT_DONE);
    stdout_has("this run is finished, after 31 iterations");
    char *state = read_file("straight", "state.safetensors", &after);
    ck_assert_uint_eq(length, after);
    ck_assert_mem_eq(before, state, length);
    free(before);
    free(state);
    train((struct trial){.out = "straight", .flags = {"--init_from=resume"}}, EXIT_DONE);
    stdout_has("nothing to do: 31 iterations are done and max_iters = 30");
}
END_TEST

START_TEST(auto_stops_at_another_run) {
    write_data("data", FAKE_TOKENIZER);
    train((struct trial){.out = "run", .signal = SIGTERM, .signal_at = 21}, EXIT_STOPPED);
    struct ending ending = train(
        (struct trial){.out = "run", .flags = {"--learning_rate=0.02", "--threads=2"}}, EXIT_USAGE);
    ck_assert(strstr(ending.text, "differs in learning_rate (0.01 there, 0.02 here); "));
    ck_assert_int_eq(count_words(ending.text, "\n"), 1);
    // asked to, it goes on all the same, and says what differs
    train((struct trial){.out = "run",
                         .flags = {"--learning_rate=0.02", "--seed=4", "--init_from=resume"}},
          EXIT_DONE);
    stdout_has(": learning_rate was 0.01, is now 0.02\n");
    stdout_has(": seed was 1337, is now 4\n");
    stdout_has("iteration 11\n");
}
END_TEST

START_TEST(longer_by_resuming) {
    train_straight();
    train((struct trial){.out = "straight", .flags = {"--init_from=resume", "--max_iters=40"}}, 0);
    struct checkpoint_header header;
    checkpoint_read_header(suite_path("straight/state.safetensors"), &header);
    ck_assert_int_eq(header.progress.iter, 41);
    ck_assert_int_eq(header.progress.updates, 41);
    ck_assert(header.progress.finished);
    checkpoint_free_header(&header);
}
END_TEST

START_TEST(scratch_sets_the_old_run_aside) {
    train_straight();
    train((struct trial){.out = "run", .flags = {"--seed=5"}}, EXIT_DONE);
    size_t length, after;
    char *before = read_file("run", "ckpt.safetensors", &length);
    train((struct trial){.out = "run", .flags = {"--init_from=scratch"}}, EXIT_DONE);
    same_run("straight", "run");
    char *previous = read_file("run", "ckpt.previous.safetensors", &after);
    ck_assert_uint_eq(length, after);
    ck_assert_mem_eq(before, previous, length);
    ck_assert(has_file("run", "state.previous.safetensors"));
    ck_assert(has_file("run", "metrics.previous.jsonl"));
    ck_assert(has_file("run", "run.previous.json"));
    free(before);
    free(previous);
}
END_TEST

START_TEST(from_a_checkpoint) {
    train_straight();
    char flag[900];
    snprintf(flag, sizeof flag, "--init_from=%s", suite_path("straight/state.safetensors"));
    train((struct trial){.out = "tuned", .flags = {flag, "--max_iters=3"}}, EXIT_DONE);
    struct checkpoint_header header;
    checkpoint_read_header(suite_path("tuned/state.safetensors"), &header);
    ck_assert_int_eq(header.progress.updates, 4); // counted anew, as iterations are
    ck_assert_int_eq(header.progress.iter, 4);
    checkpoint_free_header(&header);
    float val_loss;
    size_t length;
    char *text = suite_read("stdout", &length);
    ck_assert_int_eq(
        sscanf(strstr(text, "\nstep 0: "), "\nstep 0: train loss %*f, val loss %f", &val_loss), 1);
    ck_assert_float_lt(val_loss, 2.4f); // these weights have learnt something
    free(text);
    struct ending ending =
        train((struct trial){.out = "none", .flags = {"--init_from=gpt2"}}, EXIT_MISSING);
    ck_assert(strstr(ending.text, "--init_from=gpt2: no such file; give auto, scratch, resume"));
    ending = train((struct trial){.out = "none", .flags = {"--init_from=resume"}}, EXIT_MISSING);
    ck_assert(strstr(ending.text, "nothing to resume"));
}
END_TEST

// Runs that are named by their number, since each differs by its seed.
static int64_t seed_of(const char *out, const char *name) {
    char path[64];
    struct checkpoint_header header;
    struct pair seed;
    snprintf(path, sizeof path, "%s/%s", out, name);
    checkpoint_read_header(suite_path(path), &header);
    ck_assert(pairs_find(header.run, "seed", 4, &seed));
    int64_t number = atoll(seed.value);
    checkpoint_free_header(&header);
    return number;
}

START_TEST(scratch_again_and_again_keeps_all) {
    write_data("data", FAKE_TOKENIZER);
    const char *const anew = "--init_from=scratch", *const board = "--tensorboard=1";
    train((struct trial){.out = "run", .flags = {anew, "--seed=1"}}, EXIT_DONE);
    train((struct trial){.out = "run", .flags = {anew, "--seed=2", board}}, EXIT_DONE);
    // a name of the next set is taken, by whatever it may be
    suite_write_text("run/evaluations.previous.2.csv", "a table of somebody's");
    struct trial stopped = {
        .out = "run", .flags = {anew, "--seed=3"}, .signal = SIGTERM, .signal_at = 30};
    train(stopped, EXIT_STOPPED);
    stdout_has("state.previous.3.safetensors\n"); // says so
    stdout_has("events.previous.3.0000000000\n");
    stdout_has("stopped before iteration 15; --init_from=resume starts it again");
    train((struct trial){.out = "run", .flags = {anew, "--seed=4"}}, EXIT_DONE);
    static const char *const names[] = {"state.previous.safetensors",
                                        "state.previous.3.safetensors",
                                        "state.previous.4.safetensors", "state.safetensors"};
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(seed_of("run", names[i]), i + 1);
    }
    ck_assert(has_file("run", "ckpt.previous.3.safetensors"));
    ck_assert(has_file("run", "metrics.previous.3.jsonl"));
    ck_assert(has_file("run", "run.previous.3.json"));
    ck_assert(has_file("run", "events.previous.3.0000000000"));
    ck_assert(!has_file("run", "state.previous.2.safetensors"));
    ck_assert(!has_file("run", "events.out.tfevents.0000000000"));
}
END_TEST

// The straight run's best weights under a name of their own, and the flag that begins with them.
static const char *weights_of(const char *run, const char *name, char flag[900]) {
    size_t length;
    char *bytes = read_file(run, "ckpt.safetensors", &length);
    suite_write(name, bytes, length);
    free(bytes);
    snprintf(flag, 900, "--init_from=%s", suite_path(name));
    return flag;
}

START_TEST(the_same_command_goes_on_with_a_finetune) {
    train_straight();
    char from[900];
    weights_of("straight", "weights", from);
    train((struct trial){.out = "whole", .flags = {from}}, EXIT_DONE);
    struct trial trial = {.out = "run", .flags = {from}, .signal = SIGTERM, .signal_at = 15};
    train(trial, EXIT_STOPPED);
    stdout_has("stopped before iteration 8; start it again to resume");
    train(trial, EXIT_STOPPED);
    stdout_has("resuming from");
    trial.signal = 0;
    train(trial, EXIT_DONE);
    stdout_has("iteration 16\n");
    same_run("whole", "run");
    ck_assert(!has_file("run", "state.previous.safetensors"));
    train(trial, EXIT_DONE);
    stdout_has("this run is finished, after 31 iterations");
    // whatever the file is called, if it is that one
    weights_of("straight", "a copy", from);
    train((struct trial){.out = "run", .flags = {from, "--max_iters=32"}}, EXIT_DONE);
    stdout_has("iteration 31\n");
    // another run's weights are another beginning; nothing of this one is lost
    weights_of("run", "others", from);
    train((struct trial){.out = "run", .flags = {from}}, EXIT_DONE);
    stdout_has("starts from the weights in");
    stdout_has("state.previous.safetensors\n");
}
END_TEST

START_TEST(a_finetune_whose_beginning_is_gone) {
    train_straight();
    char from[900], others[900];
    weights_of("straight", "weights", from);
    struct trial trial = {.out = "run", .flags = {from}, .signal = SIGTERM, .signal_at = 25};
    train(trial, EXIT_STOPPED);
    size_t length;
    char *state = read_file("run", "state.safetensors", &length);
    weights_of("run", "others", others);
    ck_assert_int_eq(rename(suite_path("others"), suite_path("weights")), 0);
    struct ending ending = train(trial, EXIT_DATA);
    ck_assert(strstr(ending.text, "has changed since the run in"));
    ck_assert(strstr(ending.text, "--init_from=resume resumes that run"));
    ck_assert_int_eq(count_words(ending.text, "\n"), 1);
    unlink(suite_path("weights"));
    ending = train(trial, EXIT_MISSING);
    ck_assert(strstr(ending.text, "no such file any more; the run in"));
    state_is("run", state, length);
    free(state);
    train((struct trial){.out = "run", .flags = {"--init_from=resume"}}, EXIT_DONE);
}
END_TEST

START_TEST(a_finetune_of_the_folders_own_weights) {
    train_straight();
    char from[900];
    snprintf(from, sizeof from, "--init_from=%s", suite_path("straight/ckpt.safetensors"));
    struct trial trial = {.out = "straight", .flags = {from}, .signal = SIGTERM, .signal_at = 25};
    train(trial, EXIT_STOPPED);
    stdout_has("ckpt.previous.safetensors\n");
    train(trial, EXIT_STOPPED); // its own have taken that name since
    stdout_has("iteration 13\n");
}
END_TEST

// As a trainer wrote it that did not say what its run began from, nor how long its log was.
static void forget_the_beginning(const char *path) {
    struct safetensors file;
    struct tensor_out out[32];
    const char *metadata[64];
    char error[512];
    enum exit_code code;
    int pairs = 0;
    ck_assert(safetensors_open(&file, suite_path(path), error, &code));
    for (int i = 0; i < file.count; i++) {
        const struct tensor_view *view = &file.tensors[i];
        out[i] = (struct tensor_out){
            .ndim = view->ndim, .dims = {view->dims[0], view->dims[1]}, .data = view->data};
        snprintf(out[i].name, sizeof out[i].name, "%s", view->name);
    }
    for (int i = 0; i < file.metadata_count; i++) {
        const char *key = file.metadata[2 * i];
        if (strncmp(key, "from", 4) && strncmp(key, "xxh3", 4) && strcmp(key, "log_lines")) {
            metadata[2 * pairs] = key;
            metadata[2 * pairs++ + 1] = file.metadata[2 * i + 1];
        }
    }
    ck_assert(safetensors_write(suite_path("other"), out, file.count, metadata, pairs, error));
    safetensors_close(&file);
    ck_assert_int_eq(rename(suite_path("other"), suite_path(path)), 0);
}

START_TEST(a_state_that_does_not_say_what_it_began_from) {
    train_straight();
    char from[900];
    weights_of("straight", "weights", from);
    struct trial trial = {.out = "run", .flags = {from}, .signal = SIGTERM, .signal_at = 15};
    train(trial, EXIT_STOPPED);
    forget_the_beginning("run/state.safetensors");
    struct ending ending = train(trial, EXIT_USAGE);
    ck_assert(strstr(ending.text, "which did not say what a run began from; --init_from=resume"));
    ck_assert_int_eq(count_words(ending.text, "\n"), 1);
    put_log("run", "", 0); // which it does not know of
    ending = train((struct trial){.out = "run"}, EXIT_DONE);
    ck_assert_str_eq(ending.text, "");
    stdout_has("iteration 8\n");
}
END_TEST

START_TEST(data_of_another_vocabulary) {
    train_straight();
    char command[900];
    snprintf(command, sizeof command, "rm -r '%s'", suite_path("data"));
    ck_assert_int_eq(system(command), 0);
    write_data("data", "char 62 63 64 65 66 67 68 69 6a 6b 6c 6d 6e 6f 70 71");
    struct ending ending =
        train((struct trial){.out = "straight", .flags = {"--init_from=resume"}}, EXIT_DATA);
    ck_assert(strstr(ending.text, "its tokenizer is char, 16 characters"));
}
END_TEST

// ---- the learning rate --------------------------------------------------------------------------

START_TEST(schedule) {
    struct run run = run_defaults; // lr 1e-2 to 1e-3, warm-up 4, decay to 30
    ck_assert_double_eq_tol(schedule_learning_rate(&run, 0), 1e-2 / 5, 1e-15);
    ck_assert_double_eq_tol(schedule_learning_rate(&run, 3), 4e-2 / 5, 1e-15);
    ck_assert_double_eq_tol(schedule_learning_rate(&run, 4), 1e-2, 1e-15);
    ck_assert_double_eq_tol(schedule_learning_rate(&run, 17), 5.5e-3, 1e-15); // half way
    ck_assert_double_eq_tol(schedule_learning_rate(&run, 30), 1e-3, 1e-15);
    ck_assert_double_eq_tol(schedule_learning_rate(&run, 31), 1e-3, 1e-15);
    run.lr_decay_iters = 4; // no span
    ck_assert_double_eq_tol(schedule_learning_rate(&run, 4), 1e-2, 1e-15);
    ck_assert_double_eq_tol(schedule_learning_rate(&run, 5), 1e-3, 1e-15);
    run.decay_lr = false;
    ck_assert_double_eq_tol(schedule_learning_rate(&run, 0), 1e-2, 1e-15);
}
END_TEST

START_TEST(warns_of_traps) {
    write_data("data", FAKE_TOKENIZER);
    struct ending ending = train((struct trial){.out = "short", .flags = {"--max_iters=3"}}, 0);
    ck_assert(strstr(ending.text, "max_iters = 3 is below warmup_iters = 4"));
    ck_assert(strstr(ending.text, "lr_decay_iters = 30 is far from max_iters = 3"));
    ck_assert(strstr(ending.text, "eval_interval = 10 is above max_iters = 3"));
    ending = train((struct trial){.out = "plain"}, 0);
    ck_assert_str_eq(ending.text, "");
}
END_TEST

// ---- data ---------------------------------------------------------------------------------------

// The state is of the last whole iteration, and the run goes on when the file is there again.
START_TEST(data_that_are_gone_while_it_trains) {
    train_straight();
    size_t length;
    char *tokens = suite_read("data/train.bin", &length);
    // In the middle of an iteration's micro-steps, and between two.
    for (int at = 20; at < 22; at++) {
        struct ending ending = train((struct trial){.out = "run",
                                                    .flags = {"--threads=1", "--init_from=scratch"},
                                                    .signal = SIGUSR2,
                                                    .signal_at = at,
                                                    .empties_data = true},
                                     EXIT_IO);
        ck_assert_msg(strstr(ending.text, "train.bin: cannot read token"), "%s", ending.text);
        ck_assert_int_eq(count_words(ending.text, "\n"), 1);
        stdout_has("to resume from");
        suite_write("data/train.bin", tokens, length);
        train((struct trial){.out = "run", .flags = {"--threads=1"}}, EXIT_DONE);
        same_run("straight", "run");
    }
    free(tokens);
}
END_TEST

static void change_a_token(const char *path) {
    int file = open(suite_path(path), O_RDWR);
    char byte;
    ck_assert_int_eq(pread(file, &byte, 1, 100), 1);
    byte ^= 1;
    ck_assert_int_eq(pwrite(file, &byte, 1, 100), 1);
    close(file);
}

// Another text under the same name makes another run.
START_TEST(other_data_of_the_same_name) {
    write_data("data", FAKE_TOKENIZER);
    train(
        (struct trial){.out = "run", .flags = {"--threads=1"}, .signal = SIGTERM, .signal_at = 20},
        EXIT_STOPPED);
    change_a_token("data/val.bin");
    static const char *const from[] = {"--init_from=auto", "--init_from=resume"};
    for (int i = 0; i < 2; i++) {
        struct ending ending =
            train((struct trial){.out = "run", .flags = {"--threads=1", from[i]}}, EXIT_DATA);
        ck_assert_msg(strstr(ending.text, "is trained on data of hash") &&
                          strstr(ending.text, "is now of") &&
                          strstr(ending.text, "--init_from=scratch"),
                      "%s", ending.text);
        ck_assert_int_eq(count_words(ending.text, "\n"), 1);
    }
    change_a_token("data/val.bin"); // as it was
    train((struct trial){.out = "run", .flags = {"--threads=1"}}, EXIT_DONE);
    change_a_token("data/val.bin"); // a finished run is not this one either
    train((struct trial){.out = "run", .flags = {"--threads=1"}}, EXIT_DATA);
    // With a name of their own they are asked for.
    ck_assert_int_eq(rename(suite_path("data"), suite_path("other")), 0);
    train((struct trial){.out = "run",
                         .flags = {"--dataset=other", "--init_from=resume", "--max_iters=32",
                                   "--threads=1"}},
          EXIT_DONE);
    stdout_has("dataset was data, is now other");
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        trains,
        says_what_the_run_is,
        threads_do_not_change_results,
        saves_by_the_rule,
        samples_on_the_way,
        eval_only_writes_nothing,
        resume_is_exact,
        ignored_signals_stay_ignored,
        stops_between_micro_steps,
        stops_between_evaluations_batches,
        stops_between_a_samples_tokens,
        resume_often,
        stop_in_the_last_iteration_is_the_end,
        a_killed_run_goes_on_from_its_last_state,
        a_line_that_is_none,
        an_iteration_that_cannot_be,
        a_log_that_is_shorter,
        a_log_that_cannot_be_read,
        a_full_disk_leaves_the_old_files,
        metrics_on_a_full_disk,
        an_unwritable_folder,
        bad_numbers_are_skipped,
        ten_bad_steps_end_the_run,
        dead_weights_replace_no_state,
        nothing_but_skipped_steps_is_no_end,
        gradients_that_moments_cannot_hold,
        states_cost_no_micro_step,
        one_process_a_folder,
        auto_stops_at_a_finished_run,
        auto_stops_at_another_run,
        longer_by_resuming,
        scratch_sets_the_old_run_aside,
        from_a_checkpoint,
        scratch_again_and_again_keeps_all,
        the_same_command_goes_on_with_a_finetune,
        a_finetune_whose_beginning_is_gone,
        a_finetune_of_the_folders_own_weights,
        a_state_that_does_not_say_what_it_began_from,
        data_of_another_vocabulary,
        schedule,
        warns_of_traps,
        data_that_are_gone_while_it_trains,
        other_data_of_the_same_name,
    };
    return suite_main("loop", tests, sizeof tests / sizeof tests[0]);
}
