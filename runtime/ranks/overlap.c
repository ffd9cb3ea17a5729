// overlap.c: a thread that exchanges gradients while the others still compute: where the backward
// pass of a rank's last micro-step has made a bucket of them, it works on that, in the order of the
// build's table, which is the same on all ranks.
#include "runtime/ranks/ranks.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct overlap {
    const struct buckets *buckets;
    overlap_fn *work;
    void *context;
    pthread_t thread;
    pthread_mutex_t mutex; // of what follows
    pthread_cond_t changed;
    int ready, done; // buckets of this step
    bool ends;
    double carried;      // the time of the thread's transfers so far
    atomic_bool waiting; // all gradients are there, and the step waits for the thread
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
        const struct bucket *bucket = &o->buckets->list[o->done];
        pthread_mutex_unlock(&o->mutex);
        o->work(o->context, bucket->from, bucket->to);
        pthread_mutex_lock(&o->mutex);
        o->carried = ranks_seconds();
        o->done++;
        pthread_cond_broadcast(&o->changed);
    }
    pthread_mutex_unlock(&o->mutex);
    return NULL;
}

static void overlap_ready(struct overlap *o, int ready) {
    pthread_mutex_lock(&o->mutex);
    o->ready = ready;
    pthread_cond_broadcast(&o->changed);
    pthread_mutex_unlock(&o->mutex);
}

// Thread 0, behind each kernel of the micro-step.
static void overlap_follow(void) {
    struct overlap *o = overlap_now;
    const int before = o->ready; // this thread alone changes it
    int ready = before;
    overlap_kernels++;
    while (ready < o->buckets->count && o->buckets->list[ready].after <= overlap_kernels) {
        ready++;
    }
    if (ready > before) {
        overlap_ready(o, ready);
    }
}

struct overlap *overlap_open(overlap_fn *work, void *context) {
    struct overlap *o = allocate(1, sizeof *o, "a thread for exchanges");
    *o = (struct overlap){.buckets = ranks_buckets(), .work = work, .context = context};
    pthread_mutex_init(&o->mutex, NULL);
    pthread_cond_init(&o->changed, NULL);
    if (pthread_create(&o->thread, NULL, overlap_run, o)) {
        die(EXIT_MEMORY, "threads: none is left for the exchange of gradients; --overlap=false "
                         "takes none");
    }
    return o;
}

void overlap_begin(struct overlap *o) {
    overlap_now = o;
    overlap_kernels = 0;
    ranks_patient(true);
    profile_follow = overlap_follow;
}

double overlap_finish(struct overlap *o, double *carried) {
    const double began = time_now();
    if (overlap_now == o && overlap_kernels != o->buckets->kernels) {
        die(EXIT_INTERNAL, "ranks: a micro-step has %d kernels, and buckets.c says %d",
            overlap_kernels, o->buckets->kernels);
    }
    profile_follow = NULL;
    overlap_now = NULL;
    o->waiting = true;
    ranks_patient(false);
    overlap_ready(o, o->buckets->count);
    pthread_mutex_lock(&o->mutex);
    while (o->done < o->ready) {
        pthread_cond_wait(&o->changed, &o->mutex);
    }
    o->ready = o->done = 0;
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
