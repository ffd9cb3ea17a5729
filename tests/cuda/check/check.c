// check.c: see check.h.
#include "check.h"
#include "survive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST = 64 }; // tests of a case, cases of a suite

struct loop {
    check_test *test;
    const char *function;
    check_name *name;
    int first, end;
};

struct TCase {
    const char *name;
    double seconds; // that a test may take
    struct loop loops[MOST];
    int count;
};

struct Suite {
    const char *name;
    TCase *cases[MOST];
    int count;
};

struct SRunner {
    Suite *suite;
    int failed;
};

static void *allocate(size_t bytes) {
    void *memory = calloc(1, bytes);
    if (!memory) {
        perror("check");
        abort();
    }
    return memory;
}

Suite *suite_create(const char *name) {
    Suite *suite = allocate(sizeof *suite);
    suite->name = name;
    return suite;
}

TCase *tcase_create(const char *name) {
    TCase *tcase = allocate(sizeof *tcase);
    tcase->name = name;
    tcase->seconds = 4;
    return tcase;
}

void suite_add_tcase(Suite *suite, TCase *tcase) {
    if (suite->count == MOST) {
        abort();
    }
    suite->cases[suite->count++] = tcase;
}

void tcase_set_timeout(TCase *tcase, double seconds) {
    const char *multiplier = getenv("CK_TIMEOUT_MULTIPLIER");
    const double by = multiplier ? strtod(multiplier, NULL) : 1;
    tcase->seconds = by > 0 ? seconds * by : seconds;
}

void check_add(TCase *tcase, check_test *test, const char *function, check_name *name, int first,
               int end) {
    if (tcase->count == MOST) {
        abort();
    }
    tcase->loops[tcase->count++] = (struct loop){test, function, name, first, end};
}

SRunner *srunner_create(Suite *suite) {
    SRunner *runner = allocate(sizeof *runner);
    runner->suite = suite;
    return runner;
}

// ---- tests of a suite, numbered from 0 ----------------------------------------------------------

struct numbered {
    const TCase *tcase;
    const struct loop *loop;
    int i;
};

static const Suite *suite; // that runs
static jmp_buf next_test;

// Test `number`; after the last one its loop is NULL.
static struct numbered test_at(int number) {
    for (int c = 0; c < suite->count; c++) {
        const TCase *tcase = suite->cases[c];
        for (int l = 0; l < tcase->count; l++) {
            const struct loop *loop = &tcase->loops[l];
            if (number < loop->end - loop->first) {
                return (struct numbered){tcase, loop, loop->first + number};
            }
            number -= loop->end - loop->first;
        }
    }
    return (struct numbered){NULL, NULL, 0};
}

static const char *name_of(int number) {
    static char name[256];
    const struct numbered t = test_at(number);
    if (t.loop->name) {
        snprintf(name, sizeof name, "%s: %s", t.tcase->name, t.loop->name(t.loop->function, t.i));
    } else {
        snprintf(name, sizeof name, "%s: %s %d", t.tcase->name, t.loop->function, t.i);
    }
    return name;
}

static struct numbered running;

static int run(int number) {
    running = test_at(number);
    if (setjmp(next_test) != 0) {
        return 1;
    }
    running.loop->test(running.i);
    return 0;
}

void check_fail(const char *file, int line, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    printf("%s:%d:F:%s:%d: ", file, line, running.tcase->name, running.i);
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
    longjmp(next_test, 1);
}

// All tests get the longest of the cases' limits: with one child for each case, each would have to
// open the device.
void srunner_run_all(SRunner *runner, enum print_output output) {
    (void)output;
    suite = runner->suite;
    int count = 0;
    double seconds = 0;
    while (test_at(count).loop) {
        const TCase *tcase = test_at(count++).tcase;
        seconds = tcase->seconds > seconds ? tcase->seconds : seconds;
    }
    printf("Running suite(s): %s\n", suite->name);
    const struct survive_totals t = survive_run(count, name_of, run, seconds);
    runner->failed = t.failures + t.errors;
    printf("%d%%: Checks: %d, Failures: %d, Errors: %d\n",
           count ? (count - runner->failed) * 100 / count : 100, count, t.failures, t.errors);
    fflush(stdout);
}

int srunner_ntests_failed(SRunner *runner) {
    return runner->failed;
}

void srunner_free(SRunner *runner) {
    for (int c = 0; c < runner->suite->count; c++) {
        free(runner->suite->cases[c]);
    }
    free(runner->suite);
    free(runner);
}
