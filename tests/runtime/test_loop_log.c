// test_loop_log.c: a run on a fake model resumes although metrics.jsonl has changed: lines that
// cannot be used are kept under another name.
// links: tests/runtime/fake_model.c
#define _GNU_SOURCE // for memmem
#include "tests/runtime/trial.h"

#include <math.h>
#include <string.h>

// ---- a changed log ------------------------------------------------------------------------------

// Stops a run before iteration 12, which leaves 14 lines: 12 steps, evaluations at 0 and 10.
// Returns its log, which the caller frees.
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

// Resumes with a log of these bytes: to the end, printing these words, with `lines` lines at the
// end.
static void resumes_with(const char *out, const char *bytes, size_t length, const char *words,
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
        resumes_with(out, log, length, "line 7 is not of a run's log; all of it is now ",
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
    line_of(log, 5)[8] = '9'; // between 4 and 6
    resumes_with("high", log, length, "line 8 is of iteration 6, after one of 9; all of it",
                 ITERS + 4 - 1);
    is_kept("high", "metrics.damaged.jsonl", log, length);
    free(log);
    // a line that could be this run's, but is not the next one; a name that is taken
    log = stopped_log("later", &length);
    memcpy(line_of(log, 11) + 8, "31", 2);
    suite_write_text("later/metrics.damaged.jsonl", "an earlier accident");
    resumes_with("later", log, length, "line 14 is of iteration 31, after one of 10; all of it",
                 ITERS + 4 - 1);
    is_kept("later", "metrics.damaged.2.jsonl", log, length);
    free(log);
}
END_TEST

START_TEST(a_log_that_is_shorter) {
    write_data("data", FAKE_TOKENIZER);
    size_t length;
    char *log = stopped_log("lines", &length);
    static const char says[] = ", where the state knows of 14: the log continues with a gap\n";
    resumes_with("lines", log, (size_t)(line_of(log, 9) - log), says, ITERS + 4 - 4);
    ck_assert(!has_file("lines", "metrics.damaged.jsonl"));
    free(log);
    log = stopped_log("half", &length); // of a line before the state
    length = (size_t)(line_of(log, 9) - log) + 20;
    resumes_with("half", log, length, says, ITERS + 4 - 4);
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
    ck_assert_msg(strstr(ending.text, "cannot be read after line 0: Input/output error; all of "
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

// The lowest validation loss that TensorBoard is told goes on from the log's; a null is none.
START_TEST(the_best_before) {
    write_data("data", FAKE_TOKENIZER);
    size_t length;
    char *log = stopped_log("best", &length), *value = strstr(log, "\"val_loss\":") + 11;
    value[0] = '0'; // 0.something
    float wanted = strtof(value, NULL), got;
    value = strstr(value, "\"val_loss\":") + 11;
    memset(value, ' ', strcspn(value, ",}"));
    memcpy(value, "null", 4);
    put_log("best", log, length);
    free(log);
    train((struct trial){.out = "best", .flags = {"--tensorboard=1"}}, EXIT_DONE);
    char *events = read_file("best", "events.out.tfevents.0000000012", &length);
    const char *found = memmem(events, length, "val/best_loss\x15", 14);
    ck_assert_ptr_nonnull(found);
    memcpy(&got, found + 14, sizeof got);
    ck_assert_float_eq(got, wanted);
    free(events);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        a_line_that_is_none,   an_iteration_that_cannot_be,
        a_log_that_is_shorter, a_log_that_cannot_be_read,
        the_best_before,
    };
    return suite_main("loop: log", tests, sizeof tests / sizeof tests[0]);
}
