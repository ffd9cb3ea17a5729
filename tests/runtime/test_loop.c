// test_loop.c: the trainer's loop on a fake model: a run without a stop, its output and files, and
// the learning rate.
// links: tests/runtime/fake_model.c
#include "tests/runtime/trial.h"

// ---- a run without a stop -----------------------------------------------------------------------

// Checks that each step's mfu matches its milliseconds, by run.json's figures. Returns the steps.
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
    ck_assert_int_eq(count_words(text, ", mfu -100.00%\n"), 5);        // later ones have a figure
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
    // a name may have characters that JSON must escape
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
    // and again when the run resumes, with its settings then
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

// Checks by stdout that each evaluation after iteration 0 is saved if and only if it is the best.
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
    // without learning, so that evaluations go up and down
    const char *const still = "--learning_rate=0", *const flat = "--decay_lr=False";
    train((struct trial){.out = "best", .flags = {still, flat, "--eval_interval=2"}}, EXIT_DONE);
    int saves = check_saves(false);
    ck_assert_int_gt(saves, 0);
    ck_assert_int_lt(saves, 15);
    train((struct trial){.out = "always",
                         .flags = {still, flat, "--eval_interval=2", "--always_save_checkpoint=1"}},
          EXIT_DONE);
    ck_assert_int_eq(check_saves(true), 15);
    // If a sampler is beside the trainer, this says how to call it: with the state.
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
    // if there is a run, its weights are evaluated
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

// ---- the learning rate --------------------------------------------------------------------------

START_TEST(schedule) {
    struct run run = run_defaults; // lr 1e-2 to 1e-3, warm-up 4, decay to 30
    ck_assert_double_eq_tol(schedule_learning_rate(&run, 0), 1e-2 / 5, 1e-15);
    ck_assert_double_eq_tol(schedule_learning_rate(&run, 3), 4e-2 / 5, 1e-15);
    ck_assert_double_eq_tol(schedule_learning_rate(&run, 4), 1e-2, 1e-15);
    ck_assert_double_eq_tol(schedule_learning_rate(&run, 17), 5.5e-3, 1e-15); // half way
    ck_assert_double_eq_tol(schedule_learning_rate(&run, 30), 1e-3, 1e-15);
    ck_assert_double_eq_tol(schedule_learning_rate(&run, 31), 1e-3, 1e-15);
    run.schedule = "linear"; // the last half of 30 iterations
    run.warmdown_ratio = 0.5;
    ck_assert_double_eq_tol(schedule_learning_rate(&run, 3), 4e-2 / 5, 1e-15);
    ck_assert_double_eq_tol(schedule_learning_rate(&run, 4), 1e-2, 1e-15);
    ck_assert_double_eq_tol(schedule_learning_rate(&run, 15), 1e-2, 1e-15);
    ck_assert_double_eq_tol(schedule_learning_rate(&run, 20), 7e-3, 1e-15);
    ck_assert_double_eq_tol(schedule_learning_rate(&run, 30), 1e-3, 1e-15);
    ck_assert_double_eq_tol(schedule_learning_rate(&run, 31), 1e-3, 1e-15);
    run.warmdown_ratio = 1; // from the warm-up's end on
    ck_assert_double_eq_tol(schedule_learning_rate(&run, 4), 1e-2, 1e-15);
    ck_assert_double_eq_tol(schedule_learning_rate(&run, 17), 5.5e-3, 1e-15);
    run.schedule = "constant";
    ck_assert_double_eq_tol(schedule_learning_rate(&run, 3), 4e-2 / 5, 1e-15);
    ck_assert_double_eq_tol(schedule_learning_rate(&run, 31), 1e-2, 1e-15);
    run.schedule = "cosine";
    run.lr_decay_iters = 4; // no span
    ck_assert_double_eq_tol(schedule_learning_rate(&run, 4), 1e-2, 1e-15);
    ck_assert_double_eq_tol(schedule_learning_rate(&run, 5), 1e-3, 1e-15);
    run.decay_lr = false;
    ck_assert_double_eq_tol(schedule_learning_rate(&run, 0), 1e-2, 1e-15);
}
END_TEST

// Muon's momentum and decay at an iteration.
static void muon_is(const struct run *run, int64_t iter, double momentum, double decay) {
    const struct step_settings settings = schedule_settings(run, 1e-2, iter);
    ck_assert_double_eq_tol(settings.muon_momentum, momentum, 1e-15);
    ck_assert_double_eq_tol(settings.muon_decay, decay, 1e-15);
}

START_TEST(schedules_of_muon) {
    struct run run = run_defaults;
    run.muon_momentum = 0.95;
    run.muon_momentum_start = 0.85;
    run.muon_weight_decay = 0.2;
    muon_is(&run, 0, 0.95, 0.2);
    muon_is(&run, 31, 0.95, 0.2);
    run.muon_momentum_warmup = 20;
    run.muon_decay_schedule = "cosine"; // to 30
    muon_is(&run, 0, 0.85, 0.2);
    muon_is(&run, 10, 0.9, 0.15);
    muon_is(&run, 15, 0.925, 0.1);
    muon_is(&run, 20, 0.95, 0.05);
    muon_is(&run, 30, 0.95, 0);
    muon_is(&run, 31, 0.95, 0);
    run.muon_momentum_warmdown = 8;
    run.muon_momentum_end = 0.75;
    muon_is(&run, 10, 0.9, 0.15);
    run.muon_decay_schedule = "constant";
    muon_is(&run, 22, 0.95, 0.2);
    muon_is(&run, 24, 0.9, 0.2);
    muon_is(&run, 30, 0.75, 0.2);
    muon_is(&run, 31, 0.75, 0.2);
    run.muon_momentum_warmdown = 0;
    run.muon_decay_schedule = "cosine";
    run.lr_decay_iters = 0;
    muon_is(&run, 0, 0.85, 0);
}
END_TEST

static void group_is(const struct group_settings *group, double rate, double beta1, double beta2,
                     double decay, bool decays) {
    ck_assert_double_eq_tol(group->learning_rate, rate, 1e-15);
    ck_assert(group->beta1 == beta1 && group->beta2 == beta2);
    ck_assert(group->weight_decay == decay && group->decays == decays);
}

START_TEST(groups_of_parameters) {
    struct run run = run_defaults; // lr 1e-2, betas 0.9 and 0.99, decay 0.1
    struct step_settings settings = schedule_settings(&run, 5e-3, 0);
    for (int group = 0; group < GROUPS; group++) {
        group_is(&settings.group[group], 5e-3, 0.9, 0.99, 0.1, false);
    }
    run.embd_learning_rate = 0.3;
    run.embd_beta1 = 0;
    run.head_beta2 = 0.5;
    run.head_learning_rate = 0;
    run.vector_weight_decay = 0;
    settings = schedule_settings(&run, 5e-3, 0);
    group_is(&settings.group[GROUP_MATRICES], 5e-3, 0.9, 0.99, 0.1, false);
    group_is(&settings.group[GROUP_EMBD], 0.15, 0, 0.99, 0.1, false);
    group_is(&settings.group[GROUP_HEAD], 0, 0.9, 0.5, 0.1, false);
    group_is(&settings.group[GROUP_VECTORS], 5e-3, 0.9, 0.99, 0, true);
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
    ending = train((struct trial){.out = "head", .flags = {"--head_beta1=0.5"}}, 0);
    ck_assert(strstr(ending.text, "head_beta1 = 0.5, but this model has no such tensor"));
    ending = train(
        (struct trial){.out = "zero",
                       .flags = {"--learning_rate=0", "--min_lr=0", "--vector_learning_rate=0.1"}},
        0);
    ck_assert(strstr(ending.text, "vector_learning_rate = 0.1 follows learning_rate, which is 0"));
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
        schedule,
        schedules_of_muon,
        groups_of_parameters,
        warns_of_traps,
    };
    return suite_main("loop", tests, sizeof tests / sizeof tests[0]);
}
