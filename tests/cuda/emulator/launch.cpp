// launch.cpp: a launch: what a device would refuse, and its blocks one after another.
#include <algorithm>
#include <sys/mman.h>

#include "launch.h"

enum { MAX_THREADS = 1024 }; // of a block

struct emulator_grid emulator_grid;
unsigned emulator_launches;

static unsigned long long volume(dim3 d) {
    return (unsigned long long)d.x * d.y * d.z;
}

static void check_config(const struct emulator_config *c) {
    const unsigned long long threads = volume(c->block), limit = emulator_shared_limit();
    emulator_grid.name = c->name;
    if (threads == 0 || threads > MAX_THREADS || c->block.z > 64)
        emulator_fail(c->at, "a block of %u %u %u threads: 1 to %d", c->block.x, c->block.y,
                      c->block.z, MAX_THREADS);
    if (volume(c->grid) == 0 || c->grid.x > 0x7fffffffu || c->grid.y > 65535 || c->grid.z > 65535)
        emulator_fail(c->at, "a grid of %u %u %u blocks", c->grid.x, c->grid.y, c->grid.z);
    if (c->bytes > limit)
        emulator_fail(c->at, "%zu bytes of dynamic shared memory: this device has %llu", c->bytes,
                      limit);
    if (c->cluster == 0 || c->cluster > MAX_CLUSTER || c->grid.x % c->cluster)
        emulator_fail(c->at, "clusters of %u blocks in a grid of %u", c->cluster, c->grid.x);
    if (c->cluster > 1 && emulator_arch() < 90)
        emulator_fail(c->at, "clusters need compute capability 9.0");
    emulator_grid.name = nullptr;
}

static void run_start(const struct emulator_config *c) {
    emulator_schedule_read();
    emulator_launches++;
    emulator_schedule_now.state =
        (emulator_schedule_now.seed + emulator_launches) * 2654435761u | 1;
    emulator_grid.name = c->name;
    emulator_grid.grid = c->grid;
    emulator_grid.block = c->block;
    emulator_grid.cluster = c->cluster;
    emulator_grid.dynamic_bytes = c->bytes;
    emulator_grid.dynamic_kind = nullptr;
    emulator_run.static_top = emulator_run.static_bytes = 0;
    emulator_run.arrays.clear();
    emulator_forget();
    if (!emulator_run.room) {
        emulator_run.room = (unsigned char *)mmap(
            nullptr, (size_t)MAX_CLUSTER * SHARED_ROOM, PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (emulator_run.room == MAP_FAILED)
            emulator_fail(c->at, "no memory for shared memory");
    }
    const size_t threads = volume(c->block), warps = (threads + EMULATOR_WARP - 1) / EMULATOR_WARP;
    emulator_run.blocks.resize(c->cluster);
    emulator_run.warps.resize(c->cluster * warps);
    emulator_run.threads.resize(c->cluster * threads);
    for (size_t b = 0; b < c->cluster; b++) {
        struct emulator_block *block = &emulator_run.blocks[b];
        *block = {};
        block->rank = (int)b;
        block->threads = (int)threads;
        block->warp = &emulator_run.warps[b * warps];
        block->shared = emulator_run.room + b * SHARED_ROOM;
        for (size_t w = 0; w < warps; w++) {
            struct emulator_warp *warp = &block->warp[w];
            warp->lanes = (int)std::min<size_t>(EMULATOR_WARP, threads - w * EMULATOR_WARP);
            warp->block = block;
            warp->thread = &emulator_run.threads[b * threads + w * EMULATOR_WARP];
        }
        for (size_t t = 0; t < threads; t++) {
            struct emulator_thread *thread = &emulator_run.threads[b * threads + t];
            const unsigned x = c->block.x, y = c->block.y, n = (unsigned)t;
            thread->index = {n % x, n / x % y, n / (x * y)};
            thread->number = (int)t;
            thread->lane = (int)t % EMULATOR_WARP;
            thread->block = block;
            thread->warp = &block->warp[t / EMULATOR_WARP];
        }
    }
}

// Runs one block, or the blocks of one cluster.
static void run_cluster(uint3 first) {
    for (struct emulator_block &block : emulator_run.blocks) {
        block.index = {first.x + (unsigned)block.rank, first.y, first.z};
        block.gone = 0;
        memset(block.barrier, 0, sizeof block.barrier);
        for (const struct array &array : emulator_run.arrays)
            emulator_array_start(&block, array.offset, array.bytes);
    }
    for (struct emulator_warp &warp : emulator_run.warps) {
        warp.ready = warp.lanes == EMULATOR_WARP ? 0xffffffffu : (1u << warp.lanes) - 1;
        warp.met = warp.gone = 0;
    }
    for (struct emulator_thread &thread : emulator_run.threads) {
        thread.started = false;
        thread.waits_for = nullptr;
        thread.copies.clear();
        thread.groups.clear();
    }
    emulator_run.alive = (int)emulator_run.threads.size();
    emulator_run.cluster.came = 0;
    emulator_run.cluster.queue.sleeping.clear();
    emulator_run_blocks();
    for (const struct emulator_block &block : emulator_run.blocks)
        emulator_shared_check(&block);
}

static void run_grid(const struct emulator_config *c, const std::function<void()> &thread) {
    if (emulator_self)
        emulator_fail(c->at, "a kernel cannot launch another");
    run_start(c);
    emulator_run.body = thread;
    const size_t clusters = volume(c->grid) / c->cluster, across = c->grid.x / c->cluster;
    // blocks in the schedule's order; a random one steps by a number coprime to their number
    size_t step = 1, at = 0;
    if (emulator_schedule_now.order == EMULATOR_DESCENDING)
        step = clusters - 1, at = clusters - 1;
    else if (emulator_schedule_now.order == EMULATOR_RANDOM) {
        at = emulator_random_bits() % clusters;
        step = emulator_random_bits() % clusters + 1;
        while (std::__gcd(step, clusters) != 1)
            step++;
    }
    for (size_t i = 0; i < clusters; i++, at = (at + step) % clusters) {
        const unsigned x = (unsigned)(at % across) * c->cluster;
        run_cluster({x, (unsigned)(at / across % c->grid.y), (unsigned)(at / across / c->grid.y)});
    }
    emulator_run.body = nullptr;
    emulator_self = nullptr;
    emulator_device_check(c->at);
    emulator_grid.name = nullptr;
}

void emulator_launch(const struct emulator_config *config, std::function<void()> thread) {
    check_config(config);
    const struct emulator_config kept = *config;
    emulator_enqueue(config->stream, [kept, thread]() { run_grid(&kept, thread); });
}
