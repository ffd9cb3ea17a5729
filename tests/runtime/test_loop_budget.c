// test_loop_budget.c: a run on a fake model that a budget of training time ends, and the figures
// with which a run closes. A budget that one step uses up makes the number of steps certain.
// links: tests/runtime/fake_model.c
#include "tests/runtime/trial.h"

static const char *const one_step = "--max_seconds=1e-9";

// The training time in the metadata of a run's state; -1 if it has none.
static double known_seconds(const char *out) {
    char name[64];
    struct checkpoint_header header;
    snprintf(name, sizeof name, "%s/state.safetensors", out);
    checkpoint_read_header(suite_path(name), &header);
    const double seconds = header.progress.training_seconds;
    checkpoint_free_header(&header);
    return seconds;
}

static void ends_after(int steps, const char *out) {
    char line[64];
    snprintf(line, sizeof line, "\nnum_steps:        %d\n", steps);
    stdout_has(line);
    char *metrics = read_metrics(out);
    ck_assert_int_eq(count_words(metrics, "\"loss\":"), steps);
    free(metrics);
}

// The milliseconds of the lines in a run's log that have the word.
static double sum_of_ms(const char *out, const char *word) {
    size_t length;
    char *text = read_file(out, "metrics.jsonl", &length), *rest = text;
    double sum = 0;
    for (char *line; (line = strsep(&rest, "\n")) && *line;) {
        sum += strstr(line, word) ? atof(strstr(line, "\"ms\":") + 5) : 0;
    }
    free(text);
    return sum;
}

// ---- the budget ---------------------------------------------------------------------------------

START_TEST(ends_at_the_budget) {
    write_data("data", FAKE_TOKENIZER);
    train((struct trial){.out = "spent", .flags = {one_step, "--log_interval=99"}}, EXIT_DONE);
    ends_after(1, "spent");
    stdout_has("\nstep 1: train loss "); // one more evaluation, with its checkpoint
    stdout_has("\nsaving checkpoint to ");
    char *metrics = read_metrics("spent");
    ck_assert(strstr(metrics, "\n{\"iter\":1,\"train_loss\":"));
    free(metrics);
    ck_assert(known_seconds("spent") > 0);
    // the same command has nothing to do
    size_t before_length;
    char *before = read_file("spent", "state.safetensors", &before_length);
    train((struct trial){.out = "spent", .flags = {one_step}}, EXIT_DONE);
    stdout_has("this run is finished, after 1 iterations in ");
    train((struct trial){.out = "spent", .flags = {one_step, "--init_from=resume"}}, EXIT_DONE);
    stdout_has("nothing to do: 1 iterations are done in ");
    is_kept("spent", "state.safetensors", before, before_length);
    free(before);
}
END_TEST

START_TEST(goes_on_without_it) {
    train_straight();
    train((struct trial){.out = "spent", .flags = {one_step}}, EXIT_DONE);
    train((struct trial){.out = "spent"}, EXIT_DONE);
    ends_after(ITERS, "spent");
    same_run("straight", "spent"); // so no time is left in the state
}
END_TEST

START_TEST(a_larger_one_goes_on) {
    train_straight();
    train((struct trial){.out = "spent", .flags = {one_step}}, EXIT_DONE);
    train((struct trial){.out = "spent", .flags = {"--max_seconds=1e6"}}, EXIT_DONE);
    ends_after(ITERS, "spent");
    char *a = read_metrics("straight"), *b = read_metrics("spent");
    ck_assert_str_eq(a, b);
    free(a);
    free(b);
}
END_TEST

START_TEST(time_adds_up_over_resumes) {
    write_data("data", FAKE_TOKENIZER);
    const char *const first = "--max_iters=9", *const later = "--max_iters=30";
    char same[64], more[64];
    train((struct trial){.out = "run", .flags = {first, "--max_seconds=1e6"}}, EXIT_DONE);
    const double seconds = known_seconds("run");
    ck_assert(seconds > 0);
    snprintf(same, sizeof same, "--max_seconds=%.17g", seconds);
    snprintf(more, sizeof more, "--max_seconds=%.17g", seconds + 1e-9);
    train((struct trial){.out = "run", .flags = {later, same}}, EXIT_DONE);
    stdout_has("this run is finished, after 10 iterations in ");
    train((struct trial){.out = "run", .flags = {later, more}}, EXIT_DONE);
    ends_after(11, "run");
    ck_assert(known_seconds("run") > seconds);
}
END_TEST

// A run under a budget that is stopped often, and killed: its time is that of the steps in its log,
// each once, and its results are those of a run without stops.
START_TEST(time_counts_each_step_once) {
    train_straight();
    const char *const enough = "--max_seconds=1e6", *const often = "--checkpoint_interval=6";
    for (int start = 0; start < ITERS - 4; start += 4) {
        struct trial trial = {.out = "run", .flags = {enough, often}, .signal = SIGTERM};
        trial.signal_at = 4 * MICRO_STEPS - 1;
        train(trial, EXIT_STOPPED);
        ck_assert_double_eq_tol(known_seconds("run"), sum_of_ms("run", "\"loss\"") / 1e3, 1e-4);
        if (start == 12) { // three iterations later, without a new state
            trial.signal = SIGKILL;
            trial.signal_at = 3 * MICRO_STEPS;
            train(trial, 256 + SIGKILL);
        }
    }
    train((struct trial){.out = "run", .flags = {enough, often}}, EXIT_DONE);
    ends_after(ITERS, "run");
    ck_assert_double_eq_tol(known_seconds("run"), sum_of_ms("run", "\"loss\"") / 1e3, 1e-4);
    char *a = read_metrics("straight"), *b = read_metrics("run");
    ck_assert_str_eq(a, b);
    free(a);
    free(b);
}
END_TEST

START_TEST(earlier_time_is_in_the_log) {
    write_data("data", FAKE_TOKENIZER);
    train((struct trial){.out = "run", .flags = {"--max_iters=9"}}, EXIT_DONE);
    ck_assert_double_eq(known_seconds("run"), -1);
    train((struct trial){.out = "run", .flags = {one_step}}, EXIT_DONE);
    ends_after(10, "run");
    stdout_has("\nstep 10: train loss ");
    ck_assert(known_seconds("run") > 0);
}
END_TEST

START_TEST(stops_in_the_last_evaluation) {
    write_data("data", FAKE_TOKENIZER);
    train((struct trial){.out = "straight", .flags = {one_step}}, EXIT_DONE);
    struct trial trial = {.out = "stopped",
                          .flags = {one_step},
                          .signal = SIGTERM,
                          .signal_at = 8, // the first evaluation has 6 batches
                          .signal_in = FAKE_LOSS};
    train(trial, EXIT_STOPPED);
    stdout_has("stopped before iteration 1;");
    trial.signal = 0;
    train(trial, EXIT_DONE);
    ends_after(1, "stopped");
    char *a = read_metrics("straight"), *b = read_metrics("stopped");
    ck_assert_str_eq(a, b);
    free(a);
    free(b);
}
END_TEST

START_TEST(says_that_the_rate_goes_by_iterations) {
    write_data("data", FAKE_TOKENIZER);
    struct ending ending = train((struct trial){.out = "a", .flags = {one_step}}, EXIT_DONE);
    ck_assert(strstr(ending.text, "max_seconds = 1e-09 ended the run after 1 iterations, where"));
    ending = train((struct trial){.out = "b", .flags = {one_step, "--decay_lr=0"}}, EXIT_DONE);
    ck_assert_str_eq(ending.text, "");
}
END_TEST

// ---- the closing figures ------------------------------------------------------------------------

// The value of a key in the closing block of the last trainer's output; NaN without a line.
static double closing_value(const char *key) {
    size_t length;
    char *text = suite_read("stdout", &length), line[64];
    const char *block = strstr(text, "\n---\n");
    ck_assert(block != NULL);
    snprintf(line, sizeof line, "\n%s: ", key);
    const char *at = strstr(block, line);
    const double value = at ? atof(at + strlen(line)) : NAN;
    free(text);
    return value;
}

// And in run.json.
static double result_value(const char *out, const char *key) {
    size_t length;
    char *text = read_file(out, "run.json", &length), *end;
    const char *error;
    struct json *json = json_parse(text, length, &error);
    ck_assert(json != NULL);
    int object = json_get(json, 0, "result");
    ck_assert_msg(object >= 0, "no result: %s", text);
    char quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\": ", key);
    const char *at = strstr(strstr(text, "\"result\": {"), quoted);
    ck_assert_msg(at != NULL, "no %s: %s", key, text);
    const double value = strtod(at + strlen(quoted), &end);
    ck_assert(strchr(",}n", *end) != NULL);
    const double found = *end == 'n' ? NAN : value;
    json_free(json);
    free(text);
    return found;
}

static double last_logged(const char *out, const char *key) {
    char quoted[64];
    size_t length;
    char *text = read_file(out, "metrics.jsonl", &length);
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    double value = NAN;
    for (const char *at = text; (at = strstr(at, quoted)); at++) {
        value = atof(at + strlen(quoted));
    }
    free(text);
    return value;
}

static void check_closing(const char *out, int steps) {
    static const struct {
        const char *key;
        double within;
    } lines[] = {{"val_loss", 1e-6},   {"val_bpb", 1e-6},       {"training_seconds", 0.06},
                 {"peak_mb", 0.06},    {"total_seconds", 0.06}, {"mfu_percent", 0.006},
                 {"tokens_M", 0.0006}, {"num_steps", 0},        {"num_params_M", 0.0006}};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        const double here = closing_value(lines[i].key), there = result_value(out, lines[i].key);
        ck_assert_msg(fabs(here - there) <= lines[i].within, "%s: %.17g and %.17g", lines[i].key,
                      here, there);
    }
    ck_assert_double_eq_tol(result_value(out, "val_loss"), last_logged(out, "val_loss"), 1e-8);
    ck_assert_double_eq_tol(result_value(out, "val_bpb"), last_logged(out, "val_bpb"), 1e-8);
    ck_assert_double_eq(result_value(out, "num_steps"), steps);
    ck_assert_double_eq(result_value(out, "num_params_M"), (double)model_info.num_params / 1e6);
    ck_assert_double_eq_tol(result_value(out, "tokens_M"), 64e-6 * steps, 1e-12);
    const double training = result_value(out, "training_seconds");
    ck_assert_double_eq_tol(training, sum_of_ms(out, "\"loss\"") / 1e3, 1e-6 * steps);
    ck_assert(result_value(out, "total_seconds") >=
              training + sum_of_ms(out, "\"val_loss\"") / 1e3 - 1e-4);
    ck_assert(result_value(out, "peak_mb") > 1 && result_value(out, "peak_mb") < 1e5);
    ck_assert(result_value(out, "mfu_percent") > 0);
}

START_TEST(closes_with_figures) {
    train_straight();
    check_closing("straight", ITERS);
    // each token is one byte
    ck_assert_double_eq_tol(result_value("straight", "val_bpb"),
                            result_value("straight", "val_loss") / log(2), 1e-8);
    // and so does a run that was stopped, with the times of both parts
    train((struct trial){.out = "stopped", .signal = SIGTERM, .signal_at = 45}, EXIT_STOPPED);
    size_t length;
    char *text = read_file("stopped", "run.json", &length);
    ck_assert(!strstr(text, "result"));
    free(text);
    text = suite_read("stdout", &length);
    ck_assert(!strstr(text, "\n---\n"));
    free(text);
    train((struct trial){.out = "stopped"}, EXIT_DONE);
    check_closing("stopped", ITERS);
}
END_TEST

START_TEST(what_the_last_evaluation_found_is_known_after_a_stop) {
    write_data("data", FAKE_TOKENIZER);
    struct trial trial = {
        .out = "late", .flags = {"--eval_interval=99"}, .signal = SIGTERM, .signal_at = 55};
    train(trial, EXIT_STOPPED);
    trial.signal = 0;
    train(trial, EXIT_DONE);
    ck_assert_double_eq_tol(closing_value("val_bpb"), last_logged("late", "val_bpb"), 1e-6);
    ck_assert_double_eq_tol(closing_value("val_loss"), last_logged("late", "val_loss"), 1e-6);
    // five steps of a process are not timed for mfu
    ck_assert(isnan(closing_value("mfu_percent")));
    ck_assert(isnan(result_value("late", "mfu_percent")));
}
END_TEST

// ---- bits per byte ------------------------------------------------------------------------------

START_TEST(bits_per_byte) {
    // a, b, two of two bytes, one of three; later ids stand for nothing
    struct tokenizer tokenizer;
    const char *error;
    ck_assert(tokenizer_parse(&tokenizer, "char 61 62 e9 20ac", &error));
    static const int lengths[] = {1, 1, 2, 3, 0, 0};
    for (int id = 0; id < 6; id++) {
        ck_assert_int_eq((int)tokenizer_bytes(&tokenizer, id), lengths[id]);
    }
    ck_assert_int_eq((int)tokenizer_bytes(&tokenizer, -1), 0);

    struct model m;
    model_create(&m, &model_info, false);
    float *losses = m.acts + model_info.losses;
    int32_t targets[FAKE_N];
    double total = 0, kept = 0;
    int64_t count = 0;
    struct bytes bytes;
    bytes_begin(&bytes, &model_info, &tokenizer);
    for (int batch = 0; batch < 3; batch++) {
        double mean = 0;
        for (int n = 0; n < FAKE_N; n++) {
            targets[n] = batch == 1 ? n % 4 : (n + batch) % 6; // the second one has none without
            losses[n] = (float)(1 + n % 7 + batch);
            mean += losses[n] / FAKE_N;
            kept += lengths[targets[n]] ? losses[n] : 0;
            count += lengths[targets[n]];
        }
        bytes_take(&bytes, targets);
        bytes_add(&bytes, &m);
        total += mean;
    }
    ck_assert_double_eq_tol(bytes_end(&bytes, total), kept / log(2) / (double)count, 1e-12);

    for (int n = 0; n < FAKE_N; n++) {
        targets[n] = 5;
    }
    bytes_begin(&bytes, &model_info, &tokenizer);
    bytes_take(&bytes, targets);
    bytes_add(&bytes, &m);
    ck_assert(isnan(bytes_end(&bytes, 1)));
    model_destroy(&m);
    tokenizer_free(&tokenizer);
}
END_TEST

START_TEST(without_bytes_there_is_no_line) {
    const struct closing closing = {.val_loss = 1, .val_bpb = NAN, .mfu_percent = NAN};
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    closing_write(&closing, out);
    fclose(out);
    ck_assert(strstr(text, "\"val_bpb\": null, ") && strstr(text, "\"mfu_percent\": null, "));
    free(text);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        ends_at_the_budget,
        goes_on_without_it,
        a_larger_one_goes_on,
        time_adds_up_over_resumes,
        time_counts_each_step_once,
        earlier_time_is_in_the_log,
        stops_in_the_last_evaluation,
        says_that_the_rate_goes_by_iterations,
        closes_with_figures,
        what_the_last_evaluation_found_is_known_after_a_stop,
        bits_per_byte,
        without_bytes_there_is_no_line,
    };
    return suite_main("loop: budget", tests, sizeof tests / sizeof tests[0]);
}
