// emulator.cpp: fibers, barriers and launches of emulator.h. shared.cpp has shared memory,
// tiles.cpp shuffles and tiles, cuda_runtime.cpp the device's memory, streams.cpp its streams and
// graphs.
#include <algorithm>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

#include "launch.h"

// -DEMULATOR_UCONTEXT: without asm, as on other processors.
#if defined(__x86_64__) && !defined(EMULATOR_UCONTEXT)
#define EMULATOR_ASM 1
#else
#include <ucontext.h>
#endif

enum {
    STACK_BYTES = 256 * 1024, // a fiber's; pages that no thread touches take no memory
    MAX_THREADS = 1024,       // of a block
    MAX_CLUSTER = 16,
};

struct emulator_thread *emulator_self;
struct emulator_grid emulator_grid;
unsigned emulator_launches;

// ---- the schedule -------------------------------------------------------------------------------

static struct {
    enum emulator_order order;
    uint32_t seed, state, streams; // the generator's state, in a launch and between launches
    bool set;
} schedule;

static uint32_t random_next(uint32_t *state) {
    uint32_t x = *state; // xorshift32
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return *state = x;
}

static uint32_t random_bits(void) {
    return random_next(&schedule.state);
}

void emulator_schedule(enum emulator_order order, unsigned seed) {
    schedule.order = order;
    schedule.seed = seed;
    schedule.streams = seed * 2654435761u | 1;
    schedule.set = true;
}

static void schedule_from_environment(void) {
    if (schedule.set)
        return;
    const char *word = getenv("EMULATOR_SCHEDULE");
    const std::string text = word ? word : "ascending";
    if (text == "ascending")
        emulator_schedule(EMULATOR_ASCENDING, 1);
    else if (text == "descending")
        emulator_schedule(EMULATOR_DESCENDING, 1);
    else if (text.substr(0, 6) == "random" && (text.size() == 6 || text[6] == ':'))
        emulator_schedule(EMULATOR_RANDOM,
                          text.size() > 7 ? (unsigned)strtoul(&text[7], nullptr, 10) : 1);
    else
        emulator_fail({"environment", 0},
                      "EMULATOR_SCHEDULE=%s: wanted ascending, descending or "
                      "random:SEED",
                      text.c_str());
}

enum emulator_order emulator_order_now(void) {
    schedule_from_environment();
    return schedule.order;
}

uint32_t emulator_random(void) {
    schedule_from_environment();
    return random_next(&schedule.streams);
}

int emulator_arch(void) {
    static int arch;
    if (!arch) {
        const char *word = getenv("EMULATOR_ARCH");
        arch = word ? atoi(word) : 80;
        if (arch < 10 || arch > 129)
            emulator_fail({"environment", 0}, "EMULATOR_ARCH=%s: wanted a number such as 80", word);
    }
    return arch;
}

// The most shared memory, static and dynamic together, that a block can have.
size_t emulator_shared_limit(void) {
    switch (emulator_arch()) {
    case 75:
        return 64 * 1024;
    case 80:
    case 87:
        return 163 * 1024;
    case 86:
    case 89:
    case 120:
        return 99 * 1024;
    default:
        return emulator_arch() >= 90 ? 227 * 1024 : 48 * 1024;
    }
}

// ---- errors -------------------------------------------------------------------------------------

void emulator_fail(struct emulator_place at, const char *format, ...) {
    fflush(stdout);
    const struct emulator_thread *t = emulator_self;
    if (emulator_grid.name)
        fprintf(stderr, "%s: ", emulator_grid.name);
    fprintf(stderr, "%s:%d: ", at.file, at.line);
    va_list list;
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    if (t && t->block)
        fprintf(stderr, " (block %u %u %u, thread %u %u %u)", t->block->index.x, t->block->index.y,
                t->block->index.z, t->index.x, t->index.y, t->index.z);
    fputc('\n', stderr);
    fflush(stderr);
    _exit(70);
}

static bool same_place(struct emulator_place a, struct emulator_place b) {
    return a.line == b.line && (a.file == b.file || !strcmp(a.file, b.file));
}

// ---- stacks and the switch between them ---------------------------------------------------------

struct emulator_stack {
    unsigned char *low; // above its guard page
    void *saved;        // the stack pointer, while another stack runs
#ifndef EMULATOR_ASM
    ucontext_t context;
#endif
};
static auto &stacks = *new std::vector<struct emulator_stack *>();
static auto &free_stacks = *new std::vector<struct emulator_stack *>();
static struct emulator_stack main_stack;
static struct emulator_thread main_thread;

static void fiber_entry(void);

#ifdef EMULATOR_ASM
extern "C" void emulator_switch(void **save, void *to);
// Callee-saved registers are pushed to the stack, below the return address.
asm(R"(
.text
.globl emulator_switch
.type emulator_switch, @function
emulator_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size emulator_switch, .-emulator_switch
)");
#endif

static struct emulator_stack *stack_take(void) {
    struct emulator_stack *stack;
    if (free_stacks.empty()) {
        const size_t page = (size_t)sysconf(_SC_PAGESIZE);
        unsigned char *p =
            (unsigned char *)mmap(nullptr, STACK_BYTES + page, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p == MAP_FAILED || mprotect(p, page, PROT_NONE))
            emulator_fail({__FILE__, __LINE__}, "no memory for %zu stacks", stacks.size());
        stack = new emulator_stack();
        stack->low = p + page;
        stacks.push_back(stack);
    } else {
        stack = free_stacks.back();
        free_stacks.pop_back();
#ifdef EMULATOR_ASAN
        __asan_unpoison_memory_region(stack->low, STACK_BYTES);
#endif
    }
#ifdef EMULATOR_ASM
    // Stacks begin at different offsets in a page: otherwise their hot lines would share cache
    // sets.
    static unsigned colour;
    uintptr_t top = (uintptr_t)stack->low + STACK_BYTES - colour++ % 61 * 64;
    void **sp = (void **)(top & ~(uintptr_t)63);
    *--sp = nullptr; // keeps the entry's frame aligned as after a call
    *--sp = (void *)fiber_entry;
    for (int i = 0; i < 6; i++)
        *--sp = nullptr;
    stack->saved = sp;
#else
    getcontext(&stack->context);
    stack->context.uc_stack.ss_sp = stack->low;
    stack->context.uc_stack.ss_size = STACK_BYTES;
    stack->context.uc_link = nullptr;
    makecontext(&stack->context, fiber_entry, 0);
#endif
    return stack;
}

bool emulator_in_guard(const void *p) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (const struct emulator_stack *stack : stacks)
        if ((const unsigned char *)p < stack->low && (const unsigned char *)p >= stack->low - page)
            return true;
    return false;
}

#ifdef EMULATOR_ASAN
static const void *main_low;
static size_t main_bytes;

static void switch_arrived(void *fake) {
    const void *low;
    size_t bytes;
    __sanitizer_finish_switch_fiber(fake, &low, &bytes);
    if (!main_bytes) { // the first switch came from the program's own stack
        main_low = low;
        main_bytes = bytes;
    }
}
#endif

// Switches from the stack `from` to emulator_self's. If `last`, `from` is never returned to.
static void switch_stack(struct emulator_stack *from, bool last) {
    struct emulator_stack *to = emulator_self->stack;
    (void)last;
#ifdef EMULATOR_ASAN
    void *fake = nullptr;
    const bool to_main = to == &main_stack;
    __sanitizer_start_switch_fiber(last ? nullptr : &fake, to_main ? main_low : to->low,
                                   to_main ? main_bytes : (size_t)STACK_BYTES);
#endif
#ifdef EMULATOR_ASM
    emulator_switch(&from->saved, to->saved);
#else
    swapcontext(&from->context, &to->context);
#endif
#ifdef EMULATOR_ASAN
    switch_arrived(fake);
#endif
}

// ---- which thread runs next ---------------------------------------------------------------------

// Never destroyed: exit handlers may use the device.
struct launch_state &emulator_run = *new struct launch_state();
static auto &run = emulator_run;

// Hooks may be added before main.
static std::vector<bool (*)(void)> &idle_hooks(void) {
    static auto &hooks = *new std::vector<bool (*)(void)>();
    return hooks;
}

static std::vector<std::pair<void (*)(void), void (*)(void)>> &block_hooks(void) {
    static auto &hooks = *new std::vector<std::pair<void (*)(void), void (*)(void)>>();
    return hooks;
}

void emulator_on_idle(bool (*hook)(void)) {
    idle_hooks().push_back(hook);
}

void emulator_on_block(void (*start)(void), void (*end)(void)) {
    block_hooks().push_back({start, end});
}

static struct emulator_thread *warp_lane(struct emulator_warp *warp) {
    const uint32_t ready = warp->ready;
    int lane;
    if (schedule.order == EMULATOR_ASCENDING)
        lane = __builtin_ctz(ready);
    else if (schedule.order == EMULATOR_DESCENDING)
        lane = 31 - __builtin_clz(ready);
    else {
        const uint32_t by = random_bits() & 31, rotated = ready >> by | ready << (-by & 31);
        lane = (__builtin_ctz(rotated) + by) & 31;
    }
    return warp->thread + lane;
}

// Chooses a thread that can run: of the warp that ran last, or else of the next warp in the
// schedule's order; null if there is none. A random schedule sometimes switches to another warp
// earlier.
static struct emulator_thread *choose_ready(void) {
    struct emulator_warp *warp = emulator_self->warp;
    const size_t count = run.warps.size();
    struct emulator_warp *warps = run.warps.data();
    if (schedule.order == EMULATOR_RANDOM) {
        const uint32_t bits = random_bits();
        if (warp && warp->ready && bits >> 28)
            return warp_lane(warp);
        for (size_t i = 0, w = bits % count; i < count; i++, w = w + 1 == count ? 0 : w + 1)
            if (warps[w].ready)
                return warp_lane(&warps[w]);
        return nullptr;
    }
    if (warp && warp->ready)
        return warp_lane(warp);
    if (schedule.order == EMULATOR_ASCENDING) {
        for (size_t w = 0; w < count; w++)
            if (warps[w].ready)
                return warp_lane(&warps[w]);
    } else {
        for (size_t w = count; w-- > 0;)
            if (warps[w].ready)
                return warp_lane(&warps[w]);
    }
    return nullptr;
}

// No thread can run: reports where one thread waits, and where another one waits for something
// else.
[[noreturn]] static void deadlock(void) {
    struct emulator_thread *first = nullptr;
    for (struct emulator_thread &t : run.threads) {
        if (!t.waits_for)
            continue;
        if (!first)
            first = &t;
        if (!strcmp(t.waits_for, first->waits_for) && same_place(t.at, first->at))
            continue;
        emulator_self = first;
        emulator_fail(first->at,
                      "%s waits for threads that never come; thread %d waits at %s of %s:%d",
                      first->waits_for, t.number, t.waits_for, t.at.file, t.at.line);
    }
    emulator_self = first;
    emulator_fail(first->at, "%s waits for threads that never come: nothing can run",
                  first->waits_for);
}

static struct emulator_thread *choose(void) {
    struct emulator_thread *next = choose_ready();
    while (!next && run.alive > 0) {
        bool progress = false;
        for (size_t i = 0; i < idle_hooks().size() && !progress; i++)
            progress = idle_hooks()[i]();
        next = choose_ready();
        if (!next && !progress)
            deadlock();
    }
    return next;
}

// Continues with `next`, on a new stack if it has not started.
static void resume(struct emulator_thread *next) {
    struct emulator_thread *self = emulator_self;
    if (next == self)
        return;
    if (!next->started) {
        next->started = true;
        next->stack = stack_take();
    }
    emulator_self = next;
    switch_stack(self->stack, false);
}

// Stops the current thread until its lane's ready bit is set.
static void suspend(const char *waits_for, struct emulator_place at) {
    struct emulator_thread *self = emulator_self;
    self->waits_for = waits_for;
    self->at = at;
    self->warp->ready &= ~(1u << self->lane);
    resume(choose());
    self->waits_for = nullptr;
}

static void make_ready(struct emulator_thread *t) {
    t->warp->ready |= 1u << t->lane;
}

// A thread has returned: it is an error if others wait for it.
static void finish(struct emulator_thread *self) {
    struct emulator_warp *warp = self->warp;
    struct emulator_block *block = self->block;
    warp->ready &= ~(1u << self->lane);
    warp->gone++;
    block->gone++;
    run.alive--;
    if (warp->met > 0)
        emulator_fail(warp->at, "a lane has returned while others of its warp wait at %s",
                      warp->operation);
    if (block->barrier[0].came > 0)
        emulator_fail(block->barrier[0].at, "a thread has returned while others of "
                                            "its block wait at this block_sync");
}

// What every fiber runs: a thread, and then each next thread that has not started. So a kernel
// without a barrier is one plain loop.
static void fiber_entry(void) {
#ifdef EMULATOR_ASAN
    switch_arrived(nullptr);
#endif
    struct emulator_stack *stack = emulator_self->stack;
    for (;;) {
        run.body();
        finish(emulator_self);
        struct emulator_thread *next = choose();
        if (next && !next->started) {
            next->started = true;
            next->stack = stack;
            emulator_self = next;
            continue;
        }
        emulator_self = next ? next : &main_thread;
        free_stacks.push_back(stack);
        switch_stack(stack, true);
        abort();
    }
}

// ---- barriers -----------------------------------------------------------------------------------

void emulator_sleep(struct emulator_queue *queue, const char *waits_for, struct emulator_place at) {
    queue->sleeping.push_back(emulator_self);
    suspend(waits_for, at);
}

void emulator_wake(struct emulator_queue *queue) {
    for (struct emulator_thread *t : queue->sleeping)
        make_ready(t);
    queue->sleeping.clear();
}

void emulator_meet(struct emulator_meeting *meeting, int threads, const char *operation,
                   struct emulator_place at, const std::function<void()> &act) {
    if (meeting->came++ == 0) {
        meeting->operation = operation;
        meeting->at = at;
    } else if (strcmp(meeting->operation, operation) || !same_place(meeting->at, at))
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
               !same_place(warp->at, at))
        emulator_fail(at, "lanes of a warp meet at different operations: %s here, %s at %s:%d",
                      operation, warp->operation, warp->at.file, warp->at.line);
    if (warp->gone > 0)
        emulator_fail(at, "%s after a lane of the warp has returned", operation);
    if (warp->met < EMULATOR_WARP) {
        suspend(operation, at);
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
    else if (!same_place(barrier->at, at))
        emulator_fail(at, "threads of a block meet at different barriers: here, and at %s:%d",
                      barrier->at.file, barrier->at.line);
    if (block->gone > 0)
        emulator_fail(at, "block_sync after a thread of the block has returned");
    if (barrier->came < block->threads) {
        suspend("block_sync", at);
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
    suspend("barrier_sync", at);
}

void barrier_arrive(int id, int threads, struct emulator_place at) {
    barrier_count(id, threads, "barrier_arrive", at);
}

void emulator_cluster_sync(struct emulator_place at) {
    emulator_meet(&run.cluster, (int)run.threads.size(), "cluster_sync", at, nullptr);
}

int emulator_cluster_rank(void) {
    return emulator_self->block->rank;
}

void *emulator_cluster_map(const void *shared, int rank, struct emulator_place at) {
    emulator_check_shared(shared, 1, 1, "a shared address", at);
    if (rank < 0 || rank >= (int)run.blocks.size())
        emulator_fail(at, "block %d of a cluster of %zu", rank, run.blocks.size());
    const size_t offset = (size_t)((const unsigned char *)shared - run.room) % SHARED_ROOM;
    return run.room + (size_t)rank * SHARED_ROOM + offset;
}

// ---- launches -----------------------------------------------------------------------------------

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
    schedule_from_environment();
    emulator_launches++;
    schedule.state = (schedule.seed + emulator_launches) * 2654435761u | 1;
    emulator_grid.name = c->name;
    emulator_grid.grid = c->grid;
    emulator_grid.block = c->block;
    emulator_grid.cluster = c->cluster;
    emulator_grid.dynamic_bytes = c->bytes;
    emulator_grid.dynamic_kind = nullptr;
    run.static_top = run.static_bytes = 0;
    run.arrays.clear();
    if (!run.room) {
        run.room = (unsigned char *)mmap(nullptr, (size_t)MAX_CLUSTER * SHARED_ROOM,
                                         PROT_READ | PROT_WRITE,
                                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (run.room == MAP_FAILED)
            emulator_fail(c->at, "no memory for shared memory");
    }
    const size_t threads = volume(c->block), warps = (threads + EMULATOR_WARP - 1) / EMULATOR_WARP;
    run.blocks.resize(c->cluster);
    run.warps.resize(c->cluster * warps);
    run.threads.resize(c->cluster * threads);
    main_thread.stack = &main_stack;
    for (size_t b = 0; b < c->cluster; b++) {
        struct emulator_block *block = &run.blocks[b];
        *block = {};
        block->rank = (int)b;
        block->threads = (int)threads;
        block->warp = &run.warps[b * warps];
        block->shared = run.room + b * SHARED_ROOM;
        for (size_t w = 0; w < warps; w++) {
            struct emulator_warp *warp = &block->warp[w];
            warp->lanes = (int)std::min<size_t>(EMULATOR_WARP, threads - w * EMULATOR_WARP);
            warp->block = block;
            warp->thread = &run.threads[b * threads + w * EMULATOR_WARP];
        }
        for (size_t t = 0; t < threads; t++) {
            struct emulator_thread *thread = &run.threads[b * threads + t];
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
    for (struct emulator_block &block : run.blocks) {
        block.index = {first.x + (unsigned)block.rank, first.y, first.z};
        block.gone = 0;
        memset(block.barrier, 0, sizeof block.barrier);
        for (const struct array &array : run.arrays)
            emulator_array_start(&block, array.offset, array.bytes);
    }
    for (struct emulator_warp &warp : run.warps) {
        warp.ready = warp.lanes == EMULATOR_WARP ? 0xffffffffu : (1u << warp.lanes) - 1;
        warp.met = warp.gone = 0;
    }
    for (struct emulator_thread &thread : run.threads) {
        thread.started = false;
        thread.waits_for = nullptr;
        thread.copies.clear();
        thread.groups.clear();
    }
    run.alive = (int)run.threads.size();
    run.cluster.came = 0;
    run.cluster.queue.sleeping.clear();
    emulator_self = &main_thread;
    for (const auto &hook : block_hooks())
        hook.first();
    resume(choose());
    for (const auto &hook : block_hooks())
        hook.second();
    for (const struct emulator_block &block : run.blocks)
        emulator_shared_check(&block);
}

static void run_grid(const struct emulator_config *c, const std::function<void()> &thread) {
    if (emulator_self)
        emulator_fail(c->at, "a kernel cannot launch another");
    run_start(c);
    run.body = thread;
    const size_t clusters = volume(c->grid) / c->cluster, across = c->grid.x / c->cluster;
    // blocks in the schedule's order; a random one steps by a number coprime to their number
    size_t step = 1, at = 0;
    if (schedule.order == EMULATOR_DESCENDING)
        step = clusters - 1, at = clusters - 1;
    else if (schedule.order == EMULATOR_RANDOM) {
        at = random_bits() % clusters;
        step = random_bits() % clusters + 1;
        while (std::__gcd(step, clusters) != 1)
            step++;
    }
    for (size_t i = 0; i < clusters; i++, at = (at + step) % clusters) {
        const unsigned x = (unsigned)(at % across) * c->cluster;
        run_cluster({x, (unsigned)(at / across % c->grid.y), (unsigned)(at / across / c->grid.y)});
    }
    run.body = nullptr;
    emulator_self = nullptr;
    emulator_device_check(c->at);
    emulator_grid.name = nullptr;
}

void emulator_launch(const struct emulator_config *config, std::function<void()> thread) {
    check_config(config);
    const struct emulator_config kept = *config;
    emulator_enqueue(config->stream, [kept, thread]() { run_grid(&kept, thread); });
}
