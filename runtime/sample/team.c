// team.c: the sampler's threads, which share the work of each kernel. Needs only libc and pthreads,
// since the sampler is also linked statically.
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/sample/sample.h"

enum {
    SAMPLER_THREADS = 8,                  // unless more are asked for
    SAMPLER_WEIGHTS_PER_THREAD = 1 << 18, // with fewer, another thread costs more than it saves
    // How often a waiting thread checks before it sleeps. If it yielded instead, any busy process
    // would get its time slice: tokens took 50 times as long. Long is the time in which one thread
    // chooses the tokens of some texts: to sleep then and be woken, on a virtual machine, takes
    // longer than the kernels of a small model. Short is the time by which a kernel's threads
    // finish apart: where another one has lost its processor, it is no use to wait longer.
    SAMPLER_LONG_SPINS = 100000,
    SAMPLER_SHORT_SPINS = 10000,
    SAMPLER_CALM = 300,                  // short sleeps after which long spins are tried again
    SAMPLER_STACK_BYTES = 256 * 1024,    // of each thread, under every libc
    SAMPLER_PREFETCH_BYTES = 256 * 1024, // the most that a waiting thread prefetches
};
static const double SAMPLER_LOST_SECONDS = 1e-3; // who is away for longer has lost its processor
static const double SAMPLER_IDLE_SECONDS = 0.03; // or, between two tokens, has none to compute

// The weights that a thread reads next and prefetches while it waits. One cache line per thread.
struct sampler_next {
    _Alignas(SAMPLER_ALIGNMENT) const char *ahead;
    const char *end;
};

// The threads that share the work of sampler_forward. Thread 0 is the caller of sampler_generate.
struct sampler_team {
    atomic_int arrived;             // threads that wait in this round
    atomic_uint round;              // grows by one each time that all have arrived
    atomic_int asleep;              // waiting threads that sleep
    pthread_mutex_t gate;           // held until the number of threads is known, and to sleep
    pthread_cond_t awake;           // signalled when a round ends
    bool own;                       // no more threads than processors
    atomic_int spins;               // 0 if not own
    atomic_int calm;                // sleeps since one that showed a lost processor
    pthread_t *thread;              // (threads - 1)
    struct sampler_worker *workers; // (threads - 1)
    struct sampler_next *next;      // (threads)

    sampler_job *job; // NULL: the threads are to end
    void *context;
};

struct sampler_worker {
    struct sampler *s;
    int number;
};

// A barrier. While a thread spins it prefetches a cache line per try, from *ahead up to `end`.
// `idle`: there may be nothing to do, so a very long wait says nothing about processors.
static void sampler_arrive(struct sampler *s, const char **ahead, const char *end, bool idle) {
    struct sampler_team *team = s->team;
    unsigned round = atomic_load(&team->round);
    if (atomic_fetch_add(&team->arrived, 1) == s->threads - 1) {
        atomic_store(&team->arrived, 0);
        atomic_store(&team->round, round + 1);
        if (atomic_load(&team->asleep) > 0) {
            pthread_mutex_lock(&team->gate);
            pthread_cond_broadcast(&team->awake);
            pthread_mutex_unlock(&team->gate);
        }
        return;
    }
    for (int tries = 0, most = atomic_load(&team->spins); tries < most; tries++) {
        if (atomic_load(&team->round) != round) {
            return;
        }
        if (*ahead < end) {
            __builtin_prefetch(*ahead, 0, 2);
            *ahead += SAMPLER_ALIGNMENT;
        }
    }
    const double began = time_now();
    pthread_mutex_lock(&team->gate);
    atomic_fetch_add(&team->asleep, 1);
    while (atomic_load(&team->round) == round) {
        pthread_cond_wait(&team->awake, &team->gate);
    }
    atomic_fetch_sub(&team->asleep, 1);
    pthread_mutex_unlock(&team->gate);
    const double waited = time_now() - began;
    if (!team->own || (idle && waited > SAMPLER_IDLE_SECONDS)) {
        return;
    }
    if (waited > SAMPLER_LOST_SECONDS) {
        atomic_store(&team->spins, SAMPLER_SHORT_SPINS);
        atomic_store(&team->calm, 0);
    } else if (atomic_fetch_add(&team->calm, 1) == SAMPLER_CALM) {
        atomic_store(&team->spins, SAMPLER_LONG_SPINS);
    }
}

static void sampler_wait_or_idle(struct sampler *s, bool idle) {
    if (s->threads > 1) {
        const char *nothing = NULL;
        sampler_arrive(s, &nothing, NULL, idle);
    }
}

void sampler_wait(struct sampler *s) {
    sampler_wait_or_idle(s, false);
}

void sampler_wait_prefetching(struct sampler *s, int thread) {
    if (s->threads > 1) {
        struct sampler_next *next = &s->team->next[thread];
        sampler_arrive(s, &next->ahead, next->end, false);
    }
}

void sampler_prefetch(struct sampler *s, int thread, const float *from) {
    if (s->threads > 1) {
        struct sampler_next *next = &s->team->next[thread];
        next->ahead = (const char *)from;
        next->end = next->ahead + SAMPLER_PREFETCH_BYTES;
    }
}

// The loop of threads 1 and up: a barrier starts each job and another one ends it.
static void *sampler_work(void *argument) {
    struct sampler_worker *worker = argument;
    struct sampler *s = worker->s;
    struct sampler_team *team = s->team;
    pthread_mutex_lock(&team->gate);
    pthread_mutex_unlock(&team->gate);
    for (;;) {
        sampler_wait_or_idle(s, true);
        if (team->job == NULL) {
            return NULL;
        }
        team->job(s, team->context, worker->number);
        sampler_wait(s);
    }
}

void sampler_run(struct sampler *s, sampler_job *job, void *context) {
    if (s->threads == 1) {
        job(s, context, 0);
        return;
    }
    s->team->job = job;
    s->team->context = context;
    sampler_wait(s);
    job(s, context, 0);
    sampler_wait(s);
}

static void *team_allocate(size_t count, size_t size) {
    return allocate(count, size, "the sampler");
}

int sampler_threads(int most) {
    int64_t weights = 0;
    for (int i = 0; i < sampler_info.params_count; i++) {
        const struct param *param = &sampler_info.params[i];
        weights += param->layers * param->dims[0] * (param->ndim > 1 ? param->dims[1] : 1);
    }
    int64_t threads = weights / SAMPLER_WEIGHTS_PER_THREAD;
    threads = threads < SAMPLER_THREADS ? threads : SAMPLER_THREADS;
    threads = threads < most ? threads : most;
    return threads < 1 ? 1 : (int)threads;
}

void sampler_team_start(struct sampler *s, int threads) {
    struct sampler_team *team = team_allocate(1, sizeof *team);
    team->thread = team_allocate((size_t)threads - 1, sizeof *team->thread);
    team->workers = team_allocate((size_t)threads - 1, sizeof *team->workers);
    if (posix_memalign((void **)&team->next, SAMPLER_ALIGNMENT,
                       (size_t)threads * sizeof *team->next) != 0) {
        die(EXIT_MEMORY, "sampler: no memory for %d threads; free some", threads);
    }
    memset(team->next, 0, (size_t)threads * sizeof *team->next);
    pthread_mutex_init(&team->gate, NULL);
    pthread_mutex_lock(&team->gate);
    pthread_cond_init(&team->awake, NULL);
    team->own = threads <= processors_allowed();
    atomic_store(&team->spins, team->own ? SAMPLER_LONG_SPINS : 0);
    s->team = team;

    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, SAMPLER_STACK_BYTES);
    // Signals are for the caller's threads, but for those that a thread's own mistake raises.
    sigset_t none, before;
    sigfillset(&none);
    const int own[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGABRT};
    for (int i = 0; i < 5; i++) {
        sigdelset(&none, own[i]);
    }
    pthread_sigmask(SIG_BLOCK, &none, &before);
    int started = 0;
    while (started < threads - 1) {
        team->workers[started] = (struct sampler_worker){.s = s, .number = started + 1};
        if (pthread_create(&team->thread[started], &attributes, sampler_work,
                           &team->workers[started]) != 0) {
            break;
        }
        started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    s->threads = started + 1;
    pthread_mutex_unlock(&team->gate);
}

void sampler_team_end(struct sampler *s) {
    struct sampler_team *team = s->team;
    if (team == NULL) {
        return;
    }
    team->job = NULL;
    sampler_wait(s);
    for (int i = 0; i < s->threads - 1; i++) {
        pthread_join(team->thread[i], NULL);
    }
    pthread_cond_destroy(&team->awake);
    pthread_mutex_destroy(&team->gate);
    free(team->thread);
    free(team->workers);
    free(team->next);
    free(team);
}
