// check.c: see check.h.
#include "check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST = 64 }; // tests of a case, cases of a suite

struct loop {
    check_test *test;
    int first, end;
};

struct TCase {
    const char *name;
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

static jmp_buf next_test;
static const TCase *running; // the case of the test that is running
static int running_i;

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
    return tcase;
}

void suite_add_tcase(Suite *suite, TCase *tcase) {
    if (suite->count == MOST) {
        abort();
    }
    suite->cases[suite->count++] = tcase;
}

void tcase_set_timeout(TCase *tcase, double seconds) {
    (void)tcase;
    (void)seconds;
}

void tcase_add_loop_test(TCase *tcase, check_test *test, int first, int end) {
    if (tcase->count == MOST) {
        abort();
    }
    tcase->loops[tcase->count++] = (struct loop){test, first, end};
}

SRunner *srunner_create(Suite *suite) {
    SRunner *runner = allocate(sizeof *runner);
    runner->suite = suite;
    return runner;
}

void check_fail(const char *file, int line, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    printf("%s:%d:F:%s:%d: ", file, line, running->name, running_i);
    vprintf(format, arguments);
    printf("\n");
    fflush(stdout);
    va_end(arguments);
    longjmp(next_test, 1);
}

static bool passes(check_test *test, int i) {
    running_i = i;
    if (setjmp(next_test) != 0) {
        return false;
    }
    test(i);
    return true;
}

void srunner_run_all(SRunner *runner, enum print_output output) {
    (void)output;
    int checks = 0;
    printf("Running suite(s): %s\n", runner->suite->name);
    for (int c = 0; c < runner->suite->count; c++) {
        running = runner->suite->cases[c];
        for (int l = 0; l < running->count; l++) {
            const struct loop *loop = &running->loops[l];
            for (int i = loop->first; i < loop->end; i++) {
                checks++;
                runner->failed += !passes(loop->test, i);
            }
        }
    }
    printf("%d%%: Checks: %d, Failures: %d, Errors: 0\n",
           checks ? (checks - runner->failed) * 100 / checks : 100, checks, runner->failed);
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
