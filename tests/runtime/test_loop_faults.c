// test_loop_faults.c: errors while a fake model trains: a full disk, numbers that are not finite,
// missing data, a second process in the same folder.
// links: tests/runtime/fake_model.c
#include "tests/runtime/trial.h"

#include <sys/file.h>

START_TEST(a_full_disk_leaves_the_old_files) {
    write_data("data", FAKE_TOKENIZER);
    struct trial trial = {.out = "full", .signal = SIGTERM, .signal_at = 12 * MICRO_STEPS};
    train(trial, EXIT_STOPPED);
    size_t state_length, ckpt_length, length;
    char *state = read_file("full", "state.safetensors", &state_length);
    char *ckpt = read_file("full", "ckpt.safetensors", &ckpt_length);
    const rlim_t less = 256; // than the next state has, whose numbers may have fewer digits
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

    // and with room again, the run ends as if nothing had happened
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
    // a file that is written as a whole does not exist then, not even its first half
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
    // the last state is from before the bad steps, and complete
    struct checkpoint_header header;
    checkpoint_read_header(suite_path("bad/state.safetensors"), &header);
    ck_assert_int_eq(header.progress.iter, 12);
    ck_assert_int_eq(header.progress.bad_in_a_row, 0);
    checkpoint_free_header(&header);
    // with better numbers, it resumes from there and ends as if nothing had happened
    train((struct trial){.out = "bad"}, EXIT_DONE);
    train((struct trial){.out = "straight"}, EXIT_DONE);
    same_run("straight", "bad");
}
END_TEST

// Makes a state in `out` that can be resumed, of iteration 3; returns its bytes, which the caller
// frees.
static char *sound_state(const char *out, size_t *length) {
    train((struct trial){.out = out, .signal = SIGTERM, .signal_at = 5}, EXIT_STOPPED);
    return read_file(out, "state.safetensors", length);
}

// At this rate one update makes the weights useless.
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
    is_kept("run", "state.safetensors", state, length);
    // a stop when some updates were skipped
    train((struct trial){.out = "run", .flags = {DEADLY}, .signal = SIGTERM, .signal_at = 7},
          EXIT_STOPPED);
    is_kept("run", "state.safetensors", state, length);
    // the end, before too many steps were skipped
    ending = train((struct trial){.out = "run", .flags = {DEADLY, "--max_iters=6"}}, EXIT_NUMERICS);
    ck_assert(strstr(ending.text, "is still that of iteration 3: to resume from there, give "
                                  "--init_from=resume, and lower --learning_rate"));
    is_kept("run", "state.safetensors", state, length);
    // a state is due after an update that has ruined the weights
    train((struct trial){.out = "run", .flags = {DEADLY, "--checkpoint_interval=4"}},
          EXIT_NUMERICS);
    is_kept("run", "state.safetensors", state, length);
    // and at its old rate the run ends as if nothing had happened
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

// Finite gradients, whose squares are not finite.
START_TEST(gradients_that_moments_cannot_hold) {
    write_data("data", FAKE_TOKENIZER);
    struct ending ending = train(
        (struct trial){.out = "steep", .flags = {"--grad_clip=0"}, .steep = 1e26}, EXIT_NUMERICS);
    ck_assert_int_eq(count_words(ending.text, "update skipped"), 10);
    ck_assert(!has_file("steep", "state.safetensors"));
}
END_TEST

// A state costs one micro-step at the end, and none on the way.
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

// The state is of the last complete iteration, and the run resumes when the file is there again.
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

int main(void) {
    const TTest *const tests[] = {
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
        data_that_are_gone_while_it_trains,
    };
    return suite_main("loop: faults", tests, sizeof tests / sizeof tests[0]);
}
