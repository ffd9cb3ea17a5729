// fibers.cpp: CUDA threads as fibers: their stacks, the switch between them, and which one runs
// next.
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "launch.h"

// -DEMULATOR_UCONTEXT: without asm, as on other processors.
#if defined(__x86_64__) && !defined(EMULATOR_UCONTEXT)
#define EMULATOR_ASM 1
#else
#include <ucontext.h>
#endif

enum { STACK_BYTES = 256 * 1024 }; // a fiber's; pages that no thread touches take no memory

struct emulator_thread *emulator_self;

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
    if (emulator_schedule_now.order == EMULATOR_ASCENDING)
        lane = __builtin_ctz(ready);
    else if (emulator_schedule_now.order == EMULATOR_DESCENDING)
        lane = 31 - __builtin_clz(ready);
    else {
        const uint32_t by = emulator_random_bits() & 31,
                       rotated = ready >> by | ready << (-by & 31);
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
    if (emulator_schedule_now.order == EMULATOR_RANDOM) {
        const uint32_t bits = emulator_random_bits();
        if (warp && warp->ready && bits >> 28)
            return warp_lane(warp);
        for (size_t i = 0, w = bits % count; i < count; i++, w = w + 1 == count ? 0 : w + 1)
            if (warps[w].ready)
                return warp_lane(&warps[w]);
        return nullptr;
    }
    if (warp && warp->ready)
        return warp_lane(warp);
    if (emulator_schedule_now.order == EMULATOR_ASCENDING) {
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
        if (!strcmp(t.waits_for, first->waits_for) && emulator_same_place(t.at, first->at))
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
void emulator_suspend(const char *waits_for, struct emulator_place at) {
    struct emulator_thread *self = emulator_self;
    self->waits_for = waits_for;
    self->at = at;
    self->warp->ready &= ~(1u << self->lane);
    resume(choose());
    self->waits_for = nullptr;
}

void emulator_make_ready(struct emulator_thread *t) {
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

void emulator_run_blocks(void) {
    main_thread.stack = &main_stack;
    emulator_self = &main_thread;
    for (const auto &hook : block_hooks())
        hook.first();
    resume(choose());
    for (const auto &hook : block_hooks())
        hook.second();
}
