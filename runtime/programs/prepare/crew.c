// crew.c: threads that encode units, and take the results in order.
#include "runtime/programs/prepare/crew.h"

#include <pthread.h>
#include <stdlib.h>

enum { CREW_RESULTS = 4 }; // for each thread: how far one may be ahead of the slowest

struct crew {
    const struct prepare_documents *documents;
    bool (*take)(void *context, struct prepare_result *result);
    void *context;
    pthread_mutex_t lock; // for all below
    pthread_cond_t changed;
    size_t begun, taken; // units: the next to encode, and the next to take
    bool taking, over;
    size_t slots;
    struct prepare_result *result; // (slots): unit u has result u % slots
    bool *ready;                   // (slots)
};

// What every thread does: takes the next result if it is there, else encodes the next unit if there
// is room for its result, else waits.
static void *crew_work(void *context) {
    struct crew *c = context;
    const size_t units = c->documents->inputs->units;
    pthread_mutex_lock(&c->lock);
    while (!c->over && c->taken < units) {
        const size_t slot = c->taken % c->slots;
        if (c->ready[slot] && !c->taking) {
            c->taking = true;
            pthread_mutex_unlock(&c->lock);
            const bool more = c->take(c->context, &c->result[slot]);
            pthread_mutex_lock(&c->lock);
            c->taking = false;
            c->ready[slot] = false;
            c->taken++;
            c->over = c->over || !more;
            pthread_cond_broadcast(&c->changed);
        } else if (c->begun < units && c->begun < c->taken + c->slots) {
            const size_t unit = c->begun++;
            pthread_mutex_unlock(&c->lock);
            prepare_encode(c->documents, unit, &c->result[unit % c->slots]);
            pthread_mutex_lock(&c->lock);
            c->ready[unit % c->slots] = true;
            pthread_cond_broadcast(&c->changed);
        } else {
            pthread_cond_wait(&c->changed, &c->lock);
        }
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

void prepare_crew(const struct prepare_documents *documents, size_t first, int threads,
                  bool (*take)(void *context, struct prepare_result *result), void *context) {
    struct crew c = {.documents = documents,
                     .take = take,
                     .context = context,
                     .begun = first,
                     .taken = first,
                     .slots = threads > 1 ? CREW_RESULTS * (size_t)threads : 1};
    c.result = allocate(c.slots, sizeof *c.result, "the documents' tokens");
    c.ready = allocate(c.slots, sizeof *c.ready, "the documents' tokens");
    pthread_mutex_init(&c.lock, NULL);
    pthread_cond_init(&c.changed, NULL);
    pthread_t *thread = allocate((size_t)threads, sizeof *thread, "threads");
    int started = 1; // this one
    while (started < threads && pthread_create(&thread[started], NULL, crew_work, &c) == 0) {
        started++;
    }
    crew_work(&c);
    for (int i = 1; i < started; i++) {
        pthread_join(thread[i], NULL);
    }
    pthread_cond_destroy(&c.changed);
    pthread_mutex_destroy(&c.lock);
    for (size_t i = 0; i < c.slots; i++) {
        prepare_result_free(&c.result[i]);
    }
    free(thread);
    free(c.ready);
    free(c.result);
}
