// test_parallel.c: parallel regions: each thread runs once, barriers hold, the number of threads
// changes; and waiting threads sleep soon, which is checked by the kernel's counts of context
// switches, not by time.
#include "tests/runtime/suite.h"

#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/syscall.h>

enum { MANY = 128, ROUNDS = 50 };

static atomic_int calls[MANY];
static atomic_int team_seen;

static void count_call(void *context, int thread, int threads) {
    ck_assert_ptr_eq(context, calls);
    atomic_fetch_add(&calls[thread], 1);
    atomic_store(&team_seen, threads);
}

START_TEST(every_thread_once) {
    const int sizes[] = {1, 2, MANY, 3, 1, 1, 7};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        ck_assert_int_eq(parallel_threads(sizes[i]), sizes[i]);
        ck_assert_int_eq(parallel_count(), sizes[i]);
        for (int round = 1; round <= 3; round++) {
            parallel_run(count_call, calls);
            ck_assert_int_eq(team_seen, sizes[i]);
            for (int thread = 0; thread < MANY; thread++) {
                ck_assert_int_eq(calls[thread], thread < sizes[i] ? round : 0);
            }
        }
        memset(calls, 0, sizeof calls);
    }
}
END_TEST

static atomic_int here;

// No thread leaves a barrier before all have arrived.
static void meet(void *context, int thread, int threads) {
    (void)thread;
    atomic_int *wrong = context;
    for (int round = 1; round <= ROUNDS; round++) {
        atomic_fetch_add(&here, 1);
        parallel_barrier();
        if (atomic_load(&here) != round * threads) {
            atomic_fetch_add(wrong, 1);
        }
        parallel_barrier();
    }
}

START_TEST(barriers_hold) {
    const int sizes[] = {1, 2, 5, MANY};
    const char *const processors[] = {"1", "1024"}; // threads that share them, and that need not
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (int j = 0; j < 2; j++) {
            setenv("DIECAST_PROCESSORS", processors[j], 1);
            atomic_int wrong = 0;
            here = 0;
            parallel_threads(1); // the number of processors is read when that of threads changes
            parallel_threads(sizes[i]);
            parallel_run(meet, &wrong);
            ck_assert_int_eq(wrong, 0);
            ck_assert_int_eq(here, sizes[i] * ROUNDS);
        }
    }
    parallel_barrier(); // outside of a region: does not wait
}
END_TEST

// ---- waiting ------------------------------------------------------------------------------------

// Thread 0 arrives last, and only when it has seen the others asleep.
static void come_last(void *context, int thread, int threads) {
    if (thread == 0 && !suite_all_asleep(threads - 1)) {
        *(bool *)context = false;
    }
    parallel_barrier();
}

START_TEST(who_waits_sleeps) {
    const char *const processors[] = {"1", "1024"};
    for (int j = 0; j < 2; j++) {
        setenv("DIECAST_PROCESSORS", processors[j], 1);
        bool slept = true;
        parallel_threads(1);
        parallel_threads(16);
        parallel_run(come_last, &slept);
        ck_assert_msg(slept, "at a barrier, %s processors", processors[j]);
        ck_assert_msg(suite_all_asleep(15), "without work, %s processors", processors[j]);
    }
}
END_TEST

static atomic_int yields;

// Replaces libc's: threads that yield lose their time slices to programs that never do.
int sched_yield(void) {
    atomic_fetch_add(&yields, 1);
    return (int)syscall(SYS_sched_yield);
}

static void many_barriers(void *context, int thread, int threads) {
    (void)context, (void)thread, (void)threads;
    for (int round = 0; round < 4 * ROUNDS; round++) {
        parallel_barrier();
    }
}

// A thread that shares its processor sleeps once for each wait: the kernel counts no more voluntary
// context switches than waits, except for a few when threads start and end.
START_TEST(a_wait_is_one_sleep) {
    setenv("DIECAST_PROCESSORS", "1", 1);
    struct rusage before, after;
    parallel_threads(32);
    parallel_run(many_barriers, NULL); // starts the threads
    getrusage(RUSAGE_SELF, &before);
    parallel_run(many_barriers, NULL);
    getrusage(RUSAGE_SELF, &after);
    const long waits = 32 * (4 * ROUNDS + 2);
    ck_assert_int_le(after.ru_nvcsw - before.ru_nvcsw, waits);
    ck_assert_int_eq(yields, 0);
}
END_TEST

// ---- how many -----------------------------------------------------------------------------------

static void choose(void *context) {
    exit(parallel_choose(*(int *)context));
}

START_TEST(no_more_than_may_run_at_once) {
    setenv("DIECAST_PROCESSORS", "5", 1);
    const struct {
        int asked, taken;
        const char *variable, *said;
    } cases[] = {{0, 5, NULL, ""},
                 {2, 2, NULL, ""},
                 {200, 5, NULL, "--threads=200: only 5"},
                 {0, 3, "3", ""},
                 {0, 3, "3,2", ""},
                 {0, 5, "77", "OMP_NUM_THREADS=77: only 5"},
                 {4, 4, "77", ""},
                 {9, 5, "2", "--threads=9: only 5"},
                 {0, 5, "0", ""},
                 {0, 5, "many", ""},
                 {0, 5, "", ""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (cases[i].variable) {
            setenv("OMP_NUM_THREADS", cases[i].variable, 1);
        } else {
            unsetenv("OMP_NUM_THREADS");
        }
        int asked = cases[i].asked;
        struct ending ending = suite_run(choose, &asked);
        ck_assert_int_eq(ending.code, cases[i].taken);
        ck_assert_msg(!strncmp(ending.text, cases[i].said, strlen(cases[i].said)) &&
                          !*cases[i].said == !*ending.text,
                      "case %zu said: %s", i, ending.text);
    }
}
END_TEST

// LeakSanitizer starts a thread as the program ends.
static void leave(int code, void *context) {
    (void)context;
    _exit(code);
}

static void start_many(void *context) {
    on_exit(leave, NULL);
    struct rlimit few = {0, 0};
    setrlimit(RLIMIT_NPROC, &few);
    if (geteuid() == 0 && (setgid(65534) || setuid(65534))) { // root has no such limit
        exit(77);
    }
    parallel_threads(8);
    parallel_run(count_call, context);
}

START_TEST(threads_that_cannot_be_had) {
    suite_dies(start_many, calls, EXIT_MEMORY, "threads: 1 of 8 could be started", "--threads=");
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        every_thread_once,
        barriers_hold,
        who_waits_sleeps,
        a_wait_is_one_sleep,
        no_more_than_may_run_at_once,
        threads_that_cannot_be_had,
    };
    return suite_main("parallel", tests, sizeof tests / sizeof *tests);
}
