// overlap.c: a thread that exchanges what others have computed while they compute the rest: buckets
// of gradients, in the order of the build's table, or pieces of updated weights. The order is the
// same on all ranks.
#include "runtime/ranks/ranks.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct overlap {
    void *context;
    pthread_t thread;
    pthread_mutex_t mutex; // of what follows
    pthread_cond_t changed;
    overlap_fn *work;
    int count, ready, done; // numbers of one list
    bool ends;
    double carried;      // the time of the thread's transfers so far
    atomic_bool waiting; // all is computed, and the step waits for the thread
};

static struct overlap *overlap_now; // a micro-step's kernels are followed for it,
static int overlap_kernels;         // and so many of them have run

static void *overlap_run(void *context) {
    struct overlap *o = context;
    pthread_mutex_lock(&o->mutex);
    while (!o->ends) {
        if (o->done == o->ready) {
            pthread_cond_wait(&o->changed, &o->mutex);
            continue;
        }
        overlap_fn *const work = o->work;
        const int number = o->done;
        pthread_mutex_unlock(&o->mutex);
        work(o->context, number);
        pthread_mutex_lock(&o->mutex);
        o->carried = ranks_seconds();
        o->done++;
        pthread_cond_broadcast(&o->changed);
    }
    pthread_mutex_unlock(&o->mutex);
    return NULL;
}

struct overlap *overlap_open(void *context) {
    struct overlap *o = allocate(1, sizeof *o, "a thread for exchanges");
    o->context = context;
    pthread_mutex_init(&o->mutex, NULL);
    pthread_cond_init(&o->changed, NULL);
    if (pthread_create(&o->thread, NULL, overlap_run, o)) {
        die(EXIT_MEMORY, "threads: none is left for the exchange of gradients; --overlap=false "
                         "takes none");
    }
    return o;
}

void overlap_begin(struct overlap *o, overlap_fn *work, int count) {
    pthread_mutex_lock(&o->mutex);
    o->work = work;
    o->count = count;
    o->ready = o->done = 0;
    pthread_mutex_unlock(&o->mutex);
}

static void overlap_advance(struct overlap *o, int ready, bool patient) {
    pthread_mutex_lock(&o->mutex);
    if (ready > o->ready) {
        ranks_patient(patient);
        o->ready = ready;
        pthread_cond_broadcast(&o->changed);
    }
    pthread_mutex_unlock(&o->mutex);
}

void overlap_ready(struct overlap *o, int ready) {
    overlap_advance(o, ready, true);
}

// Thread 0, behind each kernel of the micro-step.
static void overlap_kernel(void) {
    const struct buckets *buckets = ranks_buckets();
    const int before = overlap_now->ready; // this thread alone changes it
    int ready = before;
    overlap_kernels++;
    while (ready < buckets->count && buckets->list[ready].after <= overlap_kernels) {
        ready++;
    }
    if (ready > before) {
        overlap_ready(overlap_now, ready);
    }
}

void overlap_follow(struct overlap *o) {
    overlap_now = o;
    overlap_kernels = 0;
    profile_follow = overlap_kernel;
}

double overlap_finish(struct overlap *o, double *carried) {
    const double began = time_now();
    if (overlap_now && overlap_kernels != ranks_buckets()->kernels) {
        die(EXIT_INTERNAL, "ranks: a micro-step has %d kernels, and buckets.c says %d",
            overlap_kernels, ranks_buckets()->kernels);
    }
    profile_follow = NULL;
    overlap_now = NULL;
    o->waiting = true;
    ranks_patient(false);
    overlap_advance(o, o->count, false);
    pthread_mutex_lock(&o->mutex);
    while (o->done < o->count) {
        pthread_cond_wait(&o->changed, &o->mutex);
    }
    *carried = o->carried;
    pthread_mutex_unlock(&o->mutex);
    o->waiting = false;
    return time_now() - began;
}

bool overlap_waits(const struct overlap *o) {
    return o->waiting;
}

void overlap_close(struct overlap *o) {
    if (o) {
        pthread_mutex_lock(&o->mutex);
        o->ends = true;
        pthread_cond_broadcast(&o->changed);
        pthread_mutex_unlock(&o->mutex);
        pthread_join(o->thread, NULL);
        free(o);
    }
}
