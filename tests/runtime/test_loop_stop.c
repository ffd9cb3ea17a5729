// test_loop_stop.c: a run on a fake model that is stopped or killed and then resumed is the same to
// the byte as one without a stop; and a stop does not wait long.
// links: tests/runtime/fake_model.c
#include "tests/runtime/trial.h"

// ---- stopping and resuming ----------------------------------------------------------------------

static void stops_before(int iter) {
    char line[64];
    snprintf(line, sizeof line, "stopped before iteration %d;", iter);
    stdout_has(line);
}

// Stops by `number` in the micro-step `at`, resumes with other threads, and compares.
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
    setenv("DIECAST_PROCESSORS", "4", 1); // so that every machine runs as many threads
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

int main(void) {
    const TTest *const tests[] = {
        resume_is_exact,
        ignored_signals_stay_ignored,
        stops_between_micro_steps,
        stops_between_evaluations_batches,
        stops_between_a_samples_tokens,
        resume_often,
        stop_in_the_last_iteration_is_the_end,
        a_killed_run_goes_on_from_its_last_state,
    };
    return suite_main("loop: stop", tests, sizeof tests / sizeof tests[0]);
}
