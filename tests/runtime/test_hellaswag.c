// test_hellaswag.c: the share of right endings on a fake model, beside a plain count in which each
// token of an ending is a batch of its own; and a run that evaluates it on the way: the same run to
// the byte, stopped and resumed too.
// links: tests/runtime/fake_model.c
#include "tests/runtime/choosing.h"
#include "tests/runtime/trial.h"

enum { ITEMS = 40 };

static struct choosing asked;

// Writes the file of items to the scratch folder as a run finds it, with the fake model's tokens.
static void write_items(void) {
    choosing_random(&asked, ITEMS, FAKE_V, 6, 5);
    mkdir(suite_path("hellaswag"), 0777);
    choosing_write(&asked, "hellaswag/hellaswag_val.bin");
    choosing_write_meta(&asked, "hellaswag/hellaswag_val.json", FAKE_TOKENIZER);
}

// ---- beside a plain count -----------------------------------------------------------------------

// The loss of token `at` of the context and an ending, by the T tokens before it, in the last row
// of a batch.
static double plain_loss(struct model *m, const uint16_t *tokens, int begin, int at) {
    const int row = (FAKE_B - 1) * FAKE_T;
    for (int n = 0; n < FAKE_N; n++) {
        m->tokens[n] = n % FAKE_V;
        m->targets[n] = -1;
    }
    for (int t = begin; t < at; t++) {
        m->tokens[row + t - begin] = tokens[t];
    }
    m->targets[row + at - 1 - begin] = tokens[at];
    step_loss(m, &model_info, true);
    return m->loss;
}

struct plain {
    int right_by_mean, right_by_sum, cut;
};

// Reads the items from their words alone.
static struct plain plain_count(struct model *m) {
    struct plain plain = {0, 0, 0};
    const uint16_t *word = asked.words + CHOICES_HEADER / 2;
    for (int i = 0; i < ITEMS; i++) {
        const int right = word[3], context = word[5];
        const uint16_t *begin = word + 6, *ending = begin + context;
        double means[CHOICES], sums[CHOICES];
        bool cut = false;
        for (int e = 0; e < CHOICES; e++) {
            uint16_t all[64];
            const int count = *ending, length = context + count;
            memcpy(all, begin, (size_t)context * sizeof *all);
            memcpy(all + context, ending + 1, (size_t)count * sizeof *all);
            const int left_out = length > FAKE_T + 1 ? length - FAKE_T - 1 : 0;
            cut = cut || left_out;
            sums[e] = 0;
            for (int at = context; at < length; at++) {
                sums[e] += plain_loss(m, all, left_out, at);
            }
            means[e] = sums[e] / count;
            ending += 1 + count;
        }
        int by_mean = 0, by_sum = 0;
        for (int e = 1; e < CHOICES; e++) {
            by_mean = means[e] < means[by_mean] ? e : by_mean;
            by_sum = sums[e] < sums[by_sum] ? e : by_sum;
        }
        plain.right_by_mean += by_mean == right;
        plain.right_by_sum += by_sum == right;
        plain.cut += cut;
        word = ending;
    }
    return plain;
}

START_TEST(as_a_plain_count) {
    write_items();
    struct model m;
    struct hellaswag h;
    model_create(&m, &model_info, false);
    hellaswag_open(&h, suite_path("hellaswag/hellaswag_val.bin"), &model_info, "it",
                   FAKE_TOKENIZER);
    for (uint64_t seed = 1; seed <= 5; seed++) {
        parallel_threads(seed % 2 ? 1 : 3);
        model_init(&m, &model_info, seed);
        const struct plain plain = plain_count(&m);
        ck_assert(hellaswag_run(&h, &m, &model_info));
        ck_assert_int_eq(h.right_by_mean, plain.right_by_mean);
        ck_assert_int_eq(h.right_by_sum, plain.right_by_sum);
        ck_assert_int_eq(h.cut, plain.cut);
        ck_assert_int_gt(h.cut, 0);
        ck_assert_int_lt(h.cut, ITEMS);
        ck_assert(h.finite);
        ck_assert_int_eq((int)strlen(h.chosen_by_mean), ITEMS);
    }
    hellaswag_close(&h);
    model_destroy(&m);
}
END_TEST

// An ending of more tokens than a row: its last T are asked for, each by those before it.
START_TEST(an_ending_longer_than_a_row) {
    static const uint16_t tokens[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    choosing_begin(&asked);
    choosing_item(&asked, 0);
    choosing_part(&asked, tokens, 2);
    for (int e = 0; e < CHOICES; e++) {
        choosing_part(&asked, tokens + e, e == 3 ? 1 : 12 - e);
    }
    choosing_write(&asked, "long.bin");
    choosing_write_meta(&asked, "long.json", FAKE_TOKENIZER);
    struct model m;
    struct hellaswag h;
    model_create(&m, &model_info, false);
    model_init(&m, &model_info, 1);
    hellaswag_open(&h, suite_path("long.bin"), &model_info, "it", FAKE_TOKENIZER);
    ck_assert(hellaswag_run(&h, &m, &model_info));
    ck_assert_int_eq(h.cut, 1);
    for (int t = 0; t < FAKE_T; t++) { // the first ending: 5 ... 12
        ck_assert_int_eq(m.tokens[t], 4 + t);
        ck_assert_int_eq(m.targets[t], 5 + t);
    }
    for (int t = 0; t < FAKE_T; t++) { // the last one: 1 2 4
        ck_assert_int_eq(m.tokens[3 * FAKE_T + t], t < 2 ? t + 1 : 0);
        ck_assert_int_eq(m.targets[3 * FAKE_T + t], t == 1 ? 4 : -1);
    }
    hellaswag_close(&h);
    model_destroy(&m);
}
END_TEST

// ---- in a run -----------------------------------------------------------------------------------

// The lines of a run's log that are not HellaSwag's; the caller frees.
static char *other_lines(const char *out) {
    char *text = read_metrics(out), *to = text;
    for (const char *line = text; *line;) {
        const char *next = strchr(line, '\n') + 1;
        const char *word = strstr(line, "hellaswag");
        if (!word || word >= next) {
            memmove(to, line, (size_t)(next - line));
            to += next - line;
        }
        line = next;
    }
    *to = 0;
    return text;
}

// The header differs: it has the number of the log's lines.
static void same_tensors(const char *a, const char *b, const char *name) {
    size_t length[2];
    char *bytes[2] = {read_file(a, name, &length[0]), read_file(b, name, &length[1])};
    for (int i = 0; i < 2; i++) {
        uint64_t header;
        memcpy(&header, bytes[i], sizeof header);
        ck_assert_uint_lt(header, length[i]);
        length[i] -= sizeof header + header;
        memmove(bytes[i], bytes[i] + sizeof header + header, length[i]);
    }
    ck_assert_uint_eq(length[0], length[1]);
    ck_assert_mem_eq(bytes[0], bytes[1], length[0]);
    free(bytes[0]);
    free(bytes[1]);
}

static const char *const often = "--hellaswag_interval=8";

START_TEST(a_run_that_evaluates_it_is_the_same) {
    train_straight();
    write_items();
    train((struct trial){.out = "asked", .flags = {often, "--csv=1", "--tensorboard=1"}},
          EXIT_DONE);
    stdout_has("\nstep 0: HellaSwag accuracy: ");
    stdout_has("\nstep 24: HellaSwag accuracy: ");
    stdout_has("/40=0.");
    stdout_has("longer than the model's context");
    same_tensors("straight", "asked", "ckpt.safetensors");
    same_tensors("straight", "asked", "state.safetensors");
    size_t length;
    char *straight = read_metrics("straight"), *asked_too = other_lines("asked");
    ck_assert_str_eq(straight, asked_too);
    char *log = read_file("asked", "metrics.jsonl", &length);
    ck_assert_int_eq(count_words(log, ",\"hellaswag\":0."), 4);
    ck_assert_int_eq(count_words(log, ",\"hellaswag_sum\":0."), 4);
    ck_assert_ptr_nonnull(strstr(log, "{\"iter\":8,\"hellaswag\":"));
    char *table = read_file("asked", "evaluations.csv", &length);
    ck_assert_ptr_nonnull(
        strstr(table, "step,train_loss,val_loss,ms,val_bpb,hellaswag,hellaswag_sum\r\n0,"));
    ck_assert_ptr_nonnull(strstr(table, "\r\n8,,,"));
    ck_assert_int_eq(count_words(table, "\r\n"), 1 + 4 + 4);
    char *events = read_file("asked", "events.out.tfevents.0000000000", &length);
    int tags = 0;
    for (size_t at = 0; at + 13 < length; at++) {
        tags += !memcmp(events + at, "val/hellaswag", 13);
    }
    ck_assert_int_eq(tags, 4 * 2); // by the mean, and by the sum
    free(events);
    free(straight);
    free(asked_too);
    free(log);
    free(table);
}
END_TEST

START_TEST(stopped_within_it) {
    write_data("data", FAKE_TOKENIZER);
    write_items();
    train((struct trial){.out = "straight", .flags = {often, "--eval_interval=16"}}, EXIT_DONE);
    // Batches: 6 of an evaluation at 0, 40 of HellaSwag at 0 and 8, then 6 and 40 at 16.
    enum { AT_8 = 6 + ITEMS, AT_16 = AT_8 + ITEMS };
    // Within HellaSwag, within an evaluation, and in the last batch, behind which two lines follow.
    static const int at[] = {10, AT_8 + 3, AT_16 + 2, AT_16 + 6 + 11, AT_16 + 6 + ITEMS - 1};
    for (int i = 0; i < 5; i++) {
        struct trial trial = {.out = "stopped",
                              .flags = {often, "--eval_interval=16", "--init_from=scratch"},
                              .signal = SIGTERM,
                              .signal_at = at[i],
                              .signal_in = FAKE_LOSS};
        train(trial, EXIT_STOPPED);
        char line[64];
        snprintf(line, sizeof line, "stopped before iteration %d;", i == 0 ? 0 : i == 1 ? 8 : 16);
        stdout_has(line);
        ck_assert_int_eq(calls(FAKE_LOSS), at[i] + 1);
        struct ending ending = train(
            (struct trial){.out = "stopped", .flags = {often, "--eval_interval=16"}}, EXIT_DONE);
        ck_assert_msg(!strstr(ending.text, "the state knows of"), "%s", ending.text);
        same_run("straight", "stopped");
    }
}
END_TEST

START_TEST(it_is_evaluated_without_a_run) {
    write_data("data", FAKE_TOKENIZER);
    write_items();
    train((struct trial){.out = "none", .flags = {often, "--eval_only=True"}}, EXIT_DONE);
    stdout_has("\nstep 0: HellaSwag accuracy: ");
    ck_assert(!suite_exists("none"));
}
END_TEST

START_TEST(it_is_evaluated_where_time_ends_the_run) {
    write_data("data", FAKE_TOKENIZER);
    write_items();
    train((struct trial){.out = "spent", .flags = {often, "--max_seconds=1e-9"}}, EXIT_DONE);
    stdout_has("\nstep 0: HellaSwag accuracy: ");
    stdout_has("\nstep 1: HellaSwag accuracy: ");
}
END_TEST

START_TEST(what_is_wrong_is_said_before_a_run) {
    write_data("data", FAKE_TOKENIZER);
    struct ending ending = train((struct trial){.out = "none", .flags = {often}}, EXIT_MISSING);
    ck_assert_ptr_nonnull(strstr(ending.text, "hellaswag_val.bin: cannot open"));
    ck_assert_ptr_nonnull(strstr(ending.text, "make data EVAL=hellaswag"));
    write_items();
    choosing_write_meta(&asked, "hellaswag/hellaswag_val.json",
                        "char 30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66");
    ending = train((struct trial){.out = "none", .flags = {often}}, EXIT_DATA);
    ck_assert_ptr_nonnull(strstr(ending.text, "a model of the same tokenizer is wanted"));
    ck_assert(!suite_exists("none"));
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        as_a_plain_count,
        an_ending_longer_than_a_row,
        a_run_that_evaluates_it_is_the_same,
        stopped_within_it,
        it_is_evaluated_without_a_run,
        it_is_evaluated_where_time_ends_the_run,
        what_is_wrong_is_said_before_a_run,
    };
    return suite_main("HellaSwag", tests, sizeof tests / sizeof tests[0]);
}
