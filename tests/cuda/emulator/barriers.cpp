// barriers.cpp: how threads meet: queues, meetings, warps, block_sync, named barriers, clusters.
#include <string.h>

#include "launch.h"

void emulator_sleep(struct emulator_queue *queue, const char *waits_for, struct emulator_place at) {
    queue->sleeping.push_back(emulator_self);
    emulator_suspend(waits_for, at);
}

void emulator_wake(struct emulator_queue *queue) {
    for (struct emulator_thread *t : queue->sleeping)
        emulator_make_ready(t);
    queue->sleeping.clear();
}

void emulator_meet(struct emulator_meeting *meeting, int threads, const char *operation,
                   struct emulator_place at, const std::function<void()> &act) {
    if (meeting->came++ == 0) {
        meeting->operation = operation;
        meeting->at = at;
    } else if (strcmp(meeting->operation, operation) || !emulator_same_place(meeting->at, at))
        emulator_fail(at, "threads meet at different operations: %s here, %s at %s:%d", operation,
                      meeting->operation, meeting->at.file, meeting->at.line);
    if (meeting->came < threads) {
        emulator_sleep(&meeting->queue, operation, at);
        return;
    }
    if (act)
        act();
    meeting->came = 0;
    emulator_wake(&meeting->queue);
}

void emulator_meet_warp(const char *operation, struct emulator_place at,
                        void (*act)(struct emulator_warp *warp, const void *argument),
                        const void *argument) {
    struct emulator_warp *warp = emulator_self->warp;
    if (warp->met++ == 0) {
        if (warp->lanes != EMULATOR_WARP)
            emulator_fail(at, "%s in a warp of %d lanes: blocks are whole warps", operation,
                          warp->lanes);
        warp->operation = operation;
        warp->at = at;
    } else if (warp->at.line != at.line ||
               (warp->operation != operation && strcmp(warp->operation, operation)) ||
               !emulator_same_place(warp->at, at))
        emulator_fail(at, "lanes of a warp meet at different operations: %s here, %s at %s:%d",
                      operation, warp->operation, warp->at.file, warp->at.line);
    if (warp->gone > 0)
        emulator_fail(at, "%s after a lane of the warp has returned", operation);
    if (warp->met < EMULATOR_WARP) {
        emulator_suspend(operation, at);
        return;
    }
    if (act)
        act(warp, argument);
    warp->met = 0;
    warp->ready = 0xffffffffu;
}

void block_sync(struct emulator_place at) {
    struct emulator_block *block = emulator_self->block;
    struct emulator_barrier *barrier = &block->barrier[0];
    if (barrier->came++ == 0)
        barrier->at = at;
    else if (!emulator_same_place(barrier->at, at))
        emulator_fail(at, "threads of a block meet at different barriers: here, and at %s:%d",
                      barrier->at.file, barrier->at.line);
    if (block->gone > 0)
        emulator_fail(at, "block_sync after a thread of the block has returned");
    if (barrier->came < block->threads) {
        emulator_suspend("block_sync", at);
        return;
    }
    barrier->came = 0;
    for (int w = 0, left = block->threads; left > 0; w++, left -= EMULATOR_WARP)
        block->warp[w].ready = left >= EMULATOR_WARP ? 0xffffffffu : (1u << left) - 1;
}

void warp_sync(struct emulator_place at) {
    emulator_meet_warp("warp_sync", at, nullptr, nullptr);
}

// Counts the thread's arrival. Returns whether it was the last that the barrier waits for.
static bool barrier_count(int id, int threads, const char *what, struct emulator_place at) {
    const struct emulator_thread *self = emulator_self;
    struct emulator_block *block = self->block;
    if (id < 1 || id >= EMULATOR_BARRIERS || threads <= 0 || threads % EMULATOR_WARP ||
        threads > block->threads)
        emulator_fail(at, "%s(%d, %d): ids are 1 to 15, threads whole warps of the block", what, id,
                      threads);
    struct emulator_barrier *barrier = &block->barrier[id];
    if (barrier->came == 0) {
        barrier->expected = threads;
        barrier->at = at;
    } else if (barrier->expected != threads)
        emulator_fail(at, "%s(%d, %d), which waits for %d threads since %s:%d", what, id, threads,
                      barrier->expected, barrier->at.file, barrier->at.line);
    uint32_t *here = &barrier->here[self->number / EMULATOR_WARP];
    if (*here >> self->lane & 1)
        emulator_fail(at, "%s(%d, %d): this thread has come already; others are missing", what, id,
                      threads);
    *here |= 1u << self->lane;
    if (++barrier->came < threads)
        return false;
    for (int w = 0; w < EMULATOR_WARPS; w++) {
        if (barrier->waiting[w])
            block->warp[w].ready |= barrier->waiting[w];
        barrier->here[w] = barrier->waiting[w] = 0;
    }
    barrier->came = 0;
    return true;
}

void barrier_sync(int id, int threads, struct emulator_place at) {
    if (barrier_count(id, threads, "barrier_sync", at))
        return;
    const struct emulator_thread *self = emulator_self;
    self->block->barrier[id].waiting[self->number / EMULATOR_WARP] |= 1u << self->lane;
    emulator_suspend("barrier_sync", at);
}

void barrier_arrive(int id, int threads, struct emulator_place at) {
    barrier_count(id, threads, "barrier_arrive", at);
}

void emulator_cluster_sync(struct emulator_place at) {
    emulator_meet(&emulator_run.cluster, (int)emulator_run.threads.size(), "cluster_sync", at,
                  nullptr);
}

int emulator_cluster_rank(void) {
    return emulator_self->block->rank;
}

void *emulator_cluster_map(const void *shared, int rank, struct emulator_place at) {
    emulator_check_shared(shared, 1, 1, "a shared address", at);
    if (rank < 0 || rank >= (int)emulator_run.blocks.size())
        emulator_fail(at, "block %d of a cluster of %zu", rank, emulator_run.blocks.size());
    const size_t offset = (size_t)((const unsigned char *)shared - emulator_run.room) % SHARED_ROOM;
    return emulator_run.room + (size_t)rank * SHARED_ROOM + offset;
}
