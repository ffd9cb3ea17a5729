// test_loop_init_from.c: how a run of a fake model starts: --init_from and finetuning, also if
// there is a run already, another one, or one on other data.
// links: tests/runtime/fake_model.c
#include "tests/runtime/trial.h"

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
    // if asked to, it resumes all the same, and says what differs
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
    ck_assert_int_eq(header.progress.updates, 4); // counted from 0 again, like iterations
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
    ck_assert(strstr(ending.text, "--init_from=gpt2: no such file, and no weights are downloaded "
                                  "here: make import URL=https://huggingface.co/"
                                  "openai-community/gpt2 NAME=gpt2-hf gets them"));
    ending = train((struct trial){.out = "none", .flags = {"--init_from=x/y"}}, EXIT_MISSING);
    ck_assert(strstr(ending.text, "--init_from=x/y: no such file; give auto, scratch, resume"));
    ending = train((struct trial){.out = "none", .flags = {"--init_from=resume"}}, EXIT_MISSING);
    ck_assert(strstr(ending.text, "nothing to resume"));
}
END_TEST

// The seed of a run, by which the runs here are told apart.
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
    // a name of the next set is taken
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

// Copies a run's best weights to another name; returns the flag that starts with them.
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
    // whatever the file's name, if it is the same file
    weights_of("straight", "a copy", from);
    train((struct trial){.out = "run", .flags = {from, "--max_iters=32"}}, EXIT_DONE);
    stdout_has("iteration 31\n");
    // with another run's weights it is another run; nothing of this one is lost
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
    is_kept("run", "state.safetensors", state, length);
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
    train(trial, EXIT_STOPPED); // its own weights have that name since
    stdout_has("iteration 13\n");
}
END_TEST

// Makes a state as an earlier version wrote it, which did not say from which weights its run
// started nor how long its log was.
static void forget_the_beginning(const char *path) {
    struct safetensors file;
    struct tensor_out out[32] = {0};
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
    suite_write_text("run/metrics.jsonl", ""); // whose length it does not know
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
    change_a_token("data/val.bin"); // back again
    train((struct trial){.out = "run", .flags = {"--threads=1"}}, EXIT_DONE);
    change_a_token("data/val.bin"); // a finished run is not this one either
    train((struct trial){.out = "run", .flags = {"--threads=1"}}, EXIT_DATA);
    // Under another name the user has asked for them.
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
        other_data_of_the_same_name,
    };
    return suite_main("loop: init_from", tests, sizeof tests / sizeof tests[0]);
}
