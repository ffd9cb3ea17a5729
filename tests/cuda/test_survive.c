// test_survive.c: tests that pass, fail and die, for test_survive.sh, which has the expected
// output. C, and C++.
#include "survive.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static pid_t parent;

static int holds(void) {
    return getpid() == parent; // tests run in a child
}

static int fails(void) {
    printf("what does not hold\n");
    return 1;
}

static int segfaults(void) {
    printf("a line before it dies\n");
    return raise(SIGSEGV);
}

static int exits(void) {
    printf("and says so\n");
    exit(71);
}

static int hangs(void) {
    return pause();
}

static const struct {
    const char *name;
    int (*run)(void);
} tests[] = {
    {"a: holds", holds},         {"a: fails", fails},      {"a: holds after", holds},
    {"b: segfaults", segfaults}, {"b: exits", exits},      {"b: hangs", hangs},
    {"b: holds behind", holds},  {"b: exits last", exits},
};

static const char *name_of(int i) {
    return tests[i].name;
}

static int run(int i) {
    return tests[i].run();
}

int main(void) {
    parent = getpid();
    printf("once\n"); // still in the buffer when the first child is made
    const struct survive_totals totals = survive_run(sizeof tests / sizeof *tests, name_of, run, 1);
    printf("%d checks, %d failures, %d errors\n", totals.checks, totals.failures, totals.errors);
    return 0;
}
