// parallel.c: a pool of threads for one parallel region at a time; it is kept until their number
// changes. A thread that waits, for the others or for work, spins briefly and then sleeps. On a
// busy machine, threads that spin for milliseconds, as OpenMP's do, take processor time from those
// that work, and threads that yield lose their time slices to other programs.
#include "runtime/model/model.h"
#include "runtime/base/base.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    PARALLEL_MOST = 1024,
    // How often a thread checks before it sleeps: a few hundred microseconds, by which the threads
    // of a kernel usually finish apart. With 1000, a step on an otherwise idle shared host takes
    // 20% longer.
    PARALLEL_SPINS = 100000,
    // A time slice: Linux's minimum. On a busy machine, 300,000 is 1.1 times as slow.
    PARALLEL_SLICE_NS = 100000,
};

// An event that threads wait for, and how often it has happened.
struct parallel_event {
    atomic_uint count; // a futex
    atomic_int asleep; // threads that sleep in the futex
};

static int parallel_team = 1; // threads; thread 0 is the caller of parallel_run
static bool parallel_running;
static pthread_t parallel_worker[PARALLEL_MOST]; // indices from 1 on
static int parallel_started = 1;                 // threads that exist, thread 0 included

static struct parallel_event parallel_job; // a new job: fn(context), or NULL to end the threads
static parallel_fn *parallel_job_fn;
static void *parallel_job_context;

static bool parallel_crowded; // there are more threads than processors

static struct parallel_event parallel_met; // all threads have arrived at a barrier
static atomic_int parallel_arrived;

// ---- waiting ------------------------------------------------------------------------------------

static void parallel_wait(struct parallel_event *event, unsigned last) {
    for (int looks = parallel_crowded ? 0 : PARALLEL_SPINS; looks > 0; looks--) {
        if (atomic_load_explicit(&event->count, memory_order_acquire) != last) {
            return;
        }
    }
    atomic_fetch_add(&event->asleep, 1);
    while (atomic_load(&event->count) == last) {
        syscall(SYS_futex, &event->count, FUTEX_WAIT_PRIVATE, last, NULL, NULL, 0);
    }
    atomic_fetch_sub(&event->asleep, 1);
}

static void parallel_advance(struct parallel_event *event) {
    atomic_fetch_add(&event->count, 1);
    if (atomic_load(&event->asleep) > 0) {
        syscall(SYS_futex, &event->count, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
    }
}

void parallel_barrier(void) {
    if (!parallel_running || parallel_team == 1) {
        return;
    }
    const unsigned last = atomic_load_explicit(&parallel_met.count, memory_order_relaxed);
    if (atomic_fetch_add(&parallel_arrived, 1) + 1 == parallel_team) {
        atomic_store_explicit(&parallel_arrived, 0, memory_order_relaxed);
        parallel_advance(&parallel_met);
    } else {
        parallel_wait(&parallel_met, last);
    }
}

// ---- threads ------------------------------------------------------------------------------------

static void *parallel_work(void *argument) {
    const int thread = (int)(intptr_t)argument;
    for (unsigned jobs = 0;; jobs++) {
        parallel_wait(&parallel_job, jobs);
        if (!parallel_job_fn) {
            return NULL;
        }
        parallel_job_fn(parallel_job_context, thread, parallel_team);
        parallel_barrier();
    }
}

static void parallel_end(void) {
    parallel_job_fn = NULL;
    parallel_advance(&parallel_job);
    for (; parallel_started > 1; parallel_started--) {
        pthread_join(parallel_worker[parallel_started - 1], NULL);
    }
    atomic_store(&parallel_job.count, 0);
}

// Asks for short time slices, which threads started later inherit. On a busy machine each thread
// then gets the same share of time in smaller pieces, so that threads wait less at barriers for one
// whose slice is over. Has an effect from Linux 6.12 on.
static void parallel_short_slices(void) {
    struct { // sched_setattr(2)'s, whose header conflicts with some libcs' headers
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
    } attributes = {0}; // valgrind does not know that sched_getattr fills it
    if (!syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) &&
        attributes.policy == SCHED_OTHER) {
        attributes.runtime = PARALLEL_SLICE_NS;
        syscall(SYS_sched_setattr, 0, &attributes, 0);
    }
}

static void parallel_begin(void) {
    if (parallel_started < parallel_team) {
        parallel_short_slices();
    }
    for (; parallel_started < parallel_team; parallel_started++) {
        int problem = pthread_create(&parallel_worker[parallel_started], NULL, parallel_work,
                                     (void *)(intptr_t)parallel_started);
        if (problem) {
            die(EXIT_MEMORY,
                "threads: %d of %d could be started: %s; take fewer: --threads=", parallel_started,
                parallel_team, strerror(problem));
        }
    }
}

void parallel_run(parallel_fn *fn, void *context) {
    parallel_begin();
    parallel_job_fn = fn;
    parallel_job_context = context;
    parallel_running = true;
    if (parallel_team > 1) {
        parallel_advance(&parallel_job);
    }
    fn(context, 0, parallel_team);
    parallel_barrier();
    parallel_running = false;
}

int parallel_threads(int threads) {
    threads = threads < PARALLEL_MOST ? threads : PARALLEL_MOST;
    if (threads != parallel_team) {
        parallel_end();
        parallel_team = threads;
        parallel_crowded = threads > processors_allowed();
    }
    return threads;
}

int parallel_choose(int asked) {
    const char *variable = getenv("OMP_NUM_THREADS"); // the variable that people know
    const int from_variable = variable ? atoi(variable) : 0;
    if (asked == 0 && from_variable > 0) {
        return parallel_threads(processors_threads("OMP_NUM_THREADS", from_variable));
    }
    return parallel_threads(processors_threads("--threads", asked));
}

int parallel_count(void) {
    return parallel_team;
}
