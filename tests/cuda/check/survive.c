// survive.c: see survive.h.
#include "survive.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void need(int good, const char *what) {
    if (!good) {
        perror(what);
        exit(71);
    }
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

// ---- the child: sends the parent a byte after each test, 0 if it passed -------------------------

static void run_from(int first, int count, survive_name *name, survive_test *test, int to) {
    for (int i = first; i < count; i++) {
        printf("run %s\n", name(i));
        fflush(stdout);
        const char failed = test(i) != 0;
        fflush(stdout);
        need(write(to, &failed, 1) == 1, "survive: write");
    }
    _exit(0); // without the parent's functions registered with atexit
}

// ---- the parent ---------------------------------------------------------------------------------

enum answer { HOLDS, FAILED, DIED, TOO_LONG };

static enum answer wait_for_answer(int from, double seconds) {
    const double deadline = now() + seconds;
    struct pollfd one = {.fd = from, .events = POLLIN};
    int ready;
    do {
        const double left = deadline - now();
        ready = poll(&one, 1, left > 0 ? (int)(left * 1000) + 1 : 0);
    } while (ready < 0 && errno == EINTR);
    need(ready >= 0, "survive: poll");
    if (ready == 0) {
        return TOO_LONG;
    }
    char failed;
    const ssize_t bytes = read(from, &failed, 1);
    need(bytes >= 0, "survive: read");
    return bytes == 0 ? DIED : failed ? FAILED : HOLDS;
}

static void say_died(const char *name, int status) {
    if (WIFSIGNALED(status)) {
        const int number = WTERMSIG(status);
        printf("DIED %s: killed by signal %d (%s)\n", name, number, strsignal(number));
    } else {
        printf("DIED %s: exit %d\n", name, WEXITSTATUS(status));
    }
}

// Runs tests from `first` on in one child; returns the number after the last test with a result.
static int run_child(int first, int count, survive_name *name, survive_test *test, double seconds,
                     struct survive_totals *totals) {
    int ends[2], status;
    need(pipe(ends) == 0, "survive: pipe");
    fflush(NULL); // or the child would print it again
    const pid_t child = fork();
    need(child >= 0, "survive: fork");
    if (child == 0) {
        close(ends[0]);
        run_from(first, count, name, test, ends[1]);
    }
    close(ends[1]);
    int i = first;
    enum answer answer = HOLDS;
    while (i < count && answer <= FAILED) {
        answer = wait_for_answer(ends[0], seconds);
        totals->failures += answer == FAILED;
        i++;
    }
    close(ends[0]);
    if (answer == TOO_LONG) {
        kill(child, SIGKILL);
    }
    while (waitpid(child, &status, 0) < 0) {
        need(errno == EINTR, "survive: waitpid");
    }
    if (answer >= DIED) {
        totals->errors++;
        if (answer == TOO_LONG) {
            printf("DIED %s: no end within %g s\n", name(i - 1), seconds);
        } else {
            say_died(name(i - 1), status);
        }
        fflush(stdout);
    }
    return i;
}

struct survive_totals survive_run(int count, survive_name *name, survive_test *test,
                                  double seconds) {
    struct survive_totals totals = {.checks = count};
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ); // so that output of a test that dies is not lost
    for (int i = 0; i < count;) {
        i = run_child(i, count, name, test, seconds, &totals);
    }
    return totals;
}
