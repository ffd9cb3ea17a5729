// emulator.cpp: fibers, barriers, shared memory and tiles of emulator.h.
// cuda_runtime.cpp has the device's memory, streams.cpp its streams and graphs.
#include <algorithm>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

#include "emulator.h"
#include "memory.h"

// -DEMULATOR_UCONTEXT: as on a machine that the few lines of asm are not for.
#if defined(__x86_64__) && !defined(EMULATOR_UCONTEXT)
#define EMULATOR_ASM 1
#else
#include <ucontext.h>
#endif

#if defined(__SANITIZE_ADDRESS__)
#define EMULATOR_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EMULATOR_ASAN 1
#endif
#endif
#ifdef EMULATOR_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

enum {
    STACK_BYTES = 256 * 1024, // a fiber's; pages that no thread touches take no memory
    MAX_THREADS = 1024,       // of a block
    MAX_CLUSTER = 16,
    STATIC_ROOM = 128 * 1024,               // room for a block's static arrays with red zones
    SHARED_ROOM = STATIC_ROOM + 256 * 1024, // and for its dynamic shared memory
    RED_ZONE = 128,                         // bytes behind each array
    STATIC_LIMIT = 48 * 1024,
    MAX_COPIES = 4096 // of one thread, under way
};

// Halves of NaN in every 16- and 32-bit type: what was never written, and what
// no one may write.
static const uint16_t unwritten = 0xffff, red = 0xfff5;

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

// What a block can have of shared memory, the static and the dynamic together.
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
    void *saved;        // the stack pointer of who was switched away from
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
// Callee-saved registers go to the stack; the return address lies above them.
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
    // Stacks begin at different offsets of a page: else their hot lines share the
    // same cache sets.
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

// From the stack `from`, which is never returned to where `last`, to
// emulator_self's.
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

struct array { // of shared memory
    size_t offset, bytes;
    struct emulator_place at; // its declaration
};

struct launch_state {
    std::vector<struct emulator_thread> threads;
    std::vector<struct emulator_warp> warps;
    std::vector<struct emulator_block> blocks; // of the cluster
    std::function<void()> body;
    int alive;
    struct emulator_meeting cluster;
    size_t static_top, static_bytes; // with and without red zones
    std::vector<struct array> arrays;
    unsigned char *room; // shared memory of MAX_CLUSTER blocks
};
static auto &run = *new struct launch_state(); // never destroyed: exit handlers
                                               // may use the device

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

// A thread that can run: of the warp that ran last, else of the next warp in
// the schedule's order; null where there is none. At random, now and then
// another warp gets its turn earlier.
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

// Nothing can run: says where one thread waits, and where another one that waits for something else.
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

// Goes on with `next`, on a fresh stack where it has not started.
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

// The thread that runs stops until someone sets its lane's ready bit.
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

// A thread has returned: nobody may be waiting for it.
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

// What every fiber runs: a thread, and then every thread that has not started
// when its turn comes. A kernel without a barrier is one plain loop.
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

// ---- meeting ------------------------------------------------------------------------------------

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

// Counts the thread in; whether it was the last that the barrier waits for.
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

// ---- memory -------------------------------------------------------------------------------------

// By address, so that a red zone may begin at an odd one.
static unsigned char red_byte(const unsigned char *p) {
    return (unsigned char)((uintptr_t)p & 1 ? red >> 8 : red & 255);
}

void emulator_guard(void *p, size_t bytes, bool on) {
    (void)p, (void)bytes, (void)on;
#ifdef EMULATOR_ASAN
    if (on)
        __asan_poison_memory_region(p, bytes);
    else
        __asan_unpoison_memory_region(p, bytes);
#endif
}

void emulator_red_set(void *p, size_t bytes) {
    unsigned char *to = (unsigned char *)p;
    emulator_guard(p, bytes, false);
    for (size_t i = 0; i < bytes; i++)
        to[i] = red_byte(to + i);
    emulator_guard(p, bytes, true);
}

long emulator_red_written(void *p, size_t bytes) {
    const uint64_t whole = red * 0x0001000100010001u;
    emulator_guard(p, bytes, false);
    const unsigned char *from = (const unsigned char *)p;
    long found = -1;
    for (size_t i = 0; i < bytes && found < 0;) {
        uint64_t eight;
        if ((uintptr_t)(from + i) % 2 == 0 && i + 8 <= bytes &&
            (memcpy(&eight, from + i, 8), eight == whole)) {
            i += 8;
            continue;
        }
        if (from[i] != red_byte(from + i))
            found = (long)i;
        i++;
    }
    emulator_guard(p, bytes, true);
    return found;
}

static void array_start(struct emulator_block *block, size_t offset, size_t bytes) {
    emulator_guard(block->shared + offset, bytes, false);
    memset(block->shared + offset, unwritten & 255, bytes);
    emulator_red_set(block->shared + offset + bytes, RED_ZONE);
}

// Arrays are placed as the launch's first block meets their declarations; later
// ones find them there.
void emulator_place_array(struct emulator_array *array, size_t bytes, struct emulator_place at) {
    const size_t offset = run.static_top;
    run.static_bytes = ((run.static_bytes + 15) & ~(size_t)15) + bytes;
    if (run.static_bytes > STATIC_LIMIT)
        emulator_fail(at, "%zu bytes of static shared memory: at most %d", run.static_bytes,
                      STATIC_LIMIT);
    if (run.static_bytes + emulator_grid.dynamic_bytes > emulator_shared_limit())
        emulator_fail(at, "%zu bytes of static and dynamic shared memory: this device has %zu",
                      run.static_bytes + emulator_grid.dynamic_bytes, emulator_shared_limit());
    run.static_top = (offset + bytes + RED_ZONE + 127) & ~(size_t)127;
    if (run.static_top > STATIC_ROOM)
        emulator_fail(at, "too many shared arrays");
    // 16-byte aligned, and no more
    array->offset = offset + 16;
    run.static_top += 128;
    array->launch = emulator_launches;
    run.arrays.push_back({array->offset, bytes, at});
    for (struct emulator_block &block : run.blocks)
        array_start(&block, array->offset, bytes);
}

// Dynamic shared memory is one more array, as far from the next greater
// alignment as it may be.
void *emulator_dynamic(size_t align, struct emulator_place at) {
    const size_t offset = STATIC_ROOM + 1024 + (align == 1024 ? 0 : align);
    const char *kind = align == 1024 ? "SHARED_DYNAMIC_1024" : "SHARED_DYNAMIC";
    if (!emulator_grid.dynamic_kind) {
        emulator_grid.dynamic_kind = kind;
        // an empty array before it: red zones lie behind arrays
        run.arrays.push_back({offset - RED_ZONE, 0, at});
        run.arrays.push_back({offset, emulator_grid.dynamic_bytes, at});
        for (struct emulator_block &block : run.blocks) {
            array_start(&block, offset - RED_ZONE, 0);
            array_start(&block, offset, emulator_grid.dynamic_bytes);
        }
    } else if (strcmp(emulator_grid.dynamic_kind, kind))
        emulator_fail(at, "%s and %s in one kernel", kind, emulator_grid.dynamic_kind);
    return emulator_self->block->shared + offset;
}

static void shared_check(const struct emulator_block *block) {
    for (const struct array &array : run.arrays) {
        unsigned char *end = block->shared + array.offset + array.bytes;
        const long behind = emulator_red_written(end, RED_ZONE);
        const uint3 b = block->index;
        if (behind < 0)
            continue;
        if (array.bytes == 0)
            emulator_fail(array.at, "written before dynamic shared memory, in block %u %u %u", b.x,
                          b.y, b.z);
        emulator_fail(array.at,
                      "written %ld bytes behind this shared array of %zu, in block %u %u %u",
                      behind, array.bytes, b.x, b.y, b.z);
    }
}

static bool in_shared(const void *p, size_t bytes) {
    const unsigned char *from = (const unsigned char *)p;
    for (const struct emulator_block &block : run.blocks) {
        if (from < block.shared || from >= block.shared + SHARED_ROOM)
            continue;
        const size_t offset = (size_t)(from - block.shared);
        for (const struct array &array : run.arrays)
            if (offset >= array.offset && offset + bytes <= array.offset + array.bytes)
                return true;
    }
    return false;
}

static void check_align(const void *p, size_t align, const char *what, struct emulator_place at) {
    if ((uintptr_t)p % align)
        emulator_fail(at, "%s: address %p is not %zu-byte aligned", what, p, align);
}

void emulator_check_global(const void *p, size_t bytes, size_t align, const char *what,
                           struct emulator_place at) {
    check_align(p, align, what, at);
    if (!emulator_device_holds(p, bytes))
        emulator_fail(at, "%s: %zu bytes at %p: %s", what, bytes, p,
                      in_shared(p, bytes) ? "shared memory, wanted global"
                                          : emulator_device_why(p, bytes).c_str());
}

void emulator_check_shared(const void *p, size_t bytes, size_t align, const char *what,
                           struct emulator_place at) {
    check_align(p, align, what, at);
    if (!in_shared(p, bytes))
        emulator_fail(at, "%s: %zu bytes at %p: not inside one array of shared memory", what, bytes,
                      p);
}

void emulator_check_memory(const void *p, size_t bytes, size_t align, const char *what,
                           struct emulator_place at) {
    check_align(p, align, what, at);
    if (!emulator_device_holds(p, bytes) && !in_shared(p, bytes))
        emulator_fail(at, "%s: %zu bytes at %p: %s", what, bytes, p,
                      emulator_device_why(p, bytes).c_str());
}

uint32_t atomic_add(uint32_t *p, uint32_t x, struct emulator_place at) {
    emulator_check_memory(p, 4, 4, "atomic_add", at);
    const uint32_t before = *p;
    *p = before + x;
    return before;
}

// ---- shuffles and tiles -------------------------------------------------------------------------

struct shuffle_lane {
    uint32_t x;
    int from;
};

uint32_t emulator_shuffle(uint32_t x, int from, const char *operation, struct emulator_place at) {
    const struct emulator_thread *self = emulator_self;
    const struct shuffle_lane mine = {x, from < 0 ? self->lane : from};
    memcpy(self->warp->in[self->lane], &mine, sizeof mine);
    emulator_meet_warp(
        operation, at,
        [](struct emulator_warp *warp, const void *) {
            for (int lane = 0; lane < EMULATOR_WARP; lane++) {
                struct shuffle_lane l;
                memcpy(&l, warp->in[lane], sizeof l);
                memcpy(warp->out[lane], warp->in[l.from], 4);
            }
        },
        nullptr);
    memcpy(&x, self->warp->out[self->lane], 4);
    return x;
}

// The bytes come at the wait; until then the destination is poisoned.
void cp_async16(void *shared, const void *global, bool in, struct emulator_place at) {
    emulator_check_shared(shared, 16, 16, "cp_async16 to", at);
    if (in)
        emulator_check_global(global, 16, 16, "cp_async16 from", at);
    memset(shared, unwritten & 255, 16);
    struct emulator_thread *self = emulator_self;
    if (self->copies.size() == MAX_COPIES)
        emulator_fail(at, "cp_async16: %d copies under way: is there no wait?", MAX_COPIES);
    self->copies.push_back({shared, in ? global : nullptr});
}

void cp_async_commit() {
    emulator_self->groups.push_back(emulator_self->copies.size());
}

void emulator_copies_wait(int groups) {
    struct emulator_thread *self = emulator_self;
    const size_t keep = (size_t)groups;
    if (self->groups.size() <= keep)
        return;
    const size_t done = self->groups.size() - keep, copies = self->groups[done - 1];
    for (size_t i = 0; i < copies; i++) {
        const struct emulator_copy *copy = &self->copies[i];
        if (copy->from)
            memcpy(copy->to, copy->from, 16);
        else
            memset(copy->to, 0, 16);
    }
    self->copies.erase(self->copies.begin(), self->copies.begin() + (long)copies);
    self->groups.erase(self->groups.begin(), self->groups.begin() + (long)done);
    for (size_t &end : self->groups)
        end -= copies;
}

static void ldmatrix(uint32_t *r, int matrices, bool transposed, const void *row,
                     const char *operation, struct emulator_place at) {
    const struct emulator_thread *self = emulator_self;
    if (self->lane < 8 * matrices)
        emulator_check_shared(row, 16, 16, operation, at);
    memcpy(self->warp->in[self->lane], &row, sizeof row);
    const int how = matrices * 2 + transposed;
    emulator_meet_warp(
        operation, at,
        [](struct emulator_warp *warp, const void *argument) {
            const int how = *(const int *)argument, matrices = how / 2;
            for (int i = 0; i < matrices; i++) {
                uint16_t m[8][8];
                for (int j = 0; j < 8; j++) {
                    const void *from;
                    memcpy(&from, warp->in[8 * i + j], sizeof from);
                    memcpy(m[j], from, 16);
                }
                for (int lane = 0; lane < EMULATOR_WARP; lane++) {
                    const int j = lane / 4, k = lane % 4 * 2;
                    const uint16_t pair[2] = {how & 1 ? m[k][j] : m[j][k],
                                              how & 1 ? m[k + 1][j] : m[j][k + 1]};
                    memcpy(warp->out[lane] + 4 * i, pair, 4);
                }
            }
        },
        &how);
    memcpy(r, self->warp->out[self->lane], (size_t)matrices * 4);
}

void ldmatrix_x4(uint32_t (&r)[4], const void *row, struct emulator_place at) {
    ldmatrix(r, 4, false, row, "ldmatrix_x4", at);
}

void ldmatrix_x4_trans(uint32_t (&r)[4], const void *row, struct emulator_place at) {
    ldmatrix(r, 4, true, row, "ldmatrix_x4_trans", at);
}

void ldmatrix_x2(uint32_t (&r)[2], const void *row, struct emulator_place at) {
    ldmatrix(r, 2, false, row, "ldmatrix_x2", at);
}

void ldmatrix_x2_trans(uint32_t (&r)[2], const void *row, struct emulator_place at) {
    ldmatrix(r, 2, true, row, "ldmatrix_x2_trans", at);
}

struct mma_lane {
    uint16_t a[4][2], b[2][2];
    float d[4];
};

// Products of 16-bit elements are exact in float; the sums round once per
// product, in order of k.
template <class T> static void mma_act(struct emulator_warp *warp, const void *) {
    typedef float half_row __attribute__((vector_size(16)));
    float a[16][16];
    float b[16][8], d[16][8];
    for (int lane = 0; lane < EMULATOR_WARP; lane++) {
        const int g = lane / 4, t = lane % 4 * 2;
        struct mma_lane l;
        memcpy(&l, warp->in[lane], sizeof l);
        for (int e = 0; e < 2; e++) {
            a[g][t + e] = to_f32(T{l.a[0][e]});
            a[g + 8][t + e] = to_f32(T{l.a[1][e]});
            a[g][t + 8 + e] = to_f32(T{l.a[2][e]});
            a[g + 8][t + 8 + e] = to_f32(T{l.a[3][e]});
            b[t + e][g] = to_f32(T{l.b[0][e]});
            b[t + 8 + e][g] = to_f32(T{l.b[1][e]});
            d[g][t + e] = l.d[e];
            d[g + 8][t + e] = l.d[2 + e];
        }
    }
    half_row columns[16][2];
    memcpy(columns, b, sizeof b);
    for (int i = 0; i < 16; i++) {
        half_row sum[2];
        memcpy(sum, d[i], sizeof sum);
        for (int k = 0; k < 16; k++) {
            sum[0] += a[i][k] * columns[k][0];
            sum[1] += a[i][k] * columns[k][1];
        }
        memcpy(d[i], sum, sizeof sum);
    }
    for (int lane = 0; lane < EMULATOR_WARP; lane++) {
        const int g = lane / 4, t = lane % 4 * 2;
        memcpy(warp->out[lane], &d[g][t], 8);
        memcpy(warp->out[lane] + 8, &d[g + 8][t], 8);
    }
}

template <class T>
void mma_16816(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1,
               struct emulator_place at) {
    const struct emulator_thread *self = emulator_self;
    unsigned char *in = self->warp->in[self->lane];
    memcpy(in, a, 16);
    memcpy(in + 16, &b0, 4);
    memcpy(in + 20, &b1, 4);
    memcpy(in + 24, d, 16);
    emulator_meet_warp("mma_16816", at, mma_act<T>, nullptr);
    memcpy(d, self->warp->out[self->lane], 16);
}
template void mma_16816<bf16>(float (&)[4], const uint32_t (&)[4], uint32_t, uint32_t,
                              struct emulator_place);
template void mma_16816<f16>(float (&)[4], const uint32_t (&)[4], uint32_t, uint32_t,
                             struct emulator_place);

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

// One block, or the blocks of one cluster.
static void run_cluster(uint3 first) {
    for (struct emulator_block &block : run.blocks) {
        block.index = {first.x + (unsigned)block.rank, first.y, first.z};
        block.gone = 0;
        memset(block.barrier, 0, sizeof block.barrier);
        for (const struct array &array : run.arrays)
            array_start(&block, array.offset, array.bytes);
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
        shared_check(&block);
}

static void run_grid(const struct emulator_config *c, const std::function<void()> &thread) {
    if (emulator_self)
        emulator_fail(c->at, "a kernel cannot launch another");
    run_start(c);
    run.body = thread;
    const size_t clusters = volume(c->grid) / c->cluster, across = c->grid.x / c->cluster;
    // blocks in the schedule's order; at random: a walk with a step that is
    // coprime to their number
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
