// trap.c: below a call of the library nothing exits or prints: here is what the runtime has in
// base/log.c for programs, and the memory that it allocates. The library is linked with --wrap of
// malloc and its like, so that a call which dies can free what it has allocated so far.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "runtime/programs/library/model.h"

struct trap {
    jmp_buf back;
    enum exit_code code;
    char *error, *warning;
    void **held; // what was allocated since, and is not freed
    size_t count, room;
};
// That of this thread's call. The one variable of the library that is written.
static _Thread_local struct trap *trap;

// Apart, so that no variable of trap_run's is lost by the jump. Whether `run` came to its end.
static __attribute__((noinline)) bool trap_enter(void (*run)(void *context), void *context) {
    if (setjmp(trap->back)) {
        return false;
    }
    run(context);
    return true;
}

enum exit_code trap_run(void (*run)(void *context), void (*undo)(void *context), void *context,
                        char error[NAME_LINE], char *warning) {
    struct trap here = {.code = EXIT_DONE, .error = error, .warning = warning};
    trap = &here;
    if (!trap_enter(run, context) && undo) {
        undo(context);
    }
    trap = NULL;
    for (size_t i = 0; here.code != EXIT_DONE && i < here.count; i++) {
        free(here.held[i]);
    }
    free(here.held);
    return here.code;
}

// ---- messages -----------------------------------------------------------------------------------

void warn(const char *format, ...) {
    if (trap && trap->warning) {
        va_list arguments;
        va_start(arguments, format);
        message_print(trap->warning, NAME_LINE, format, arguments);
        va_end(arguments);
    }
}

// Only called where there is a trap: what workers run does not die.
void die(enum exit_code code, const char *format, ...) {
    if (!trap) {
        __builtin_trap();
    }
    va_list arguments;
    va_start(arguments, format);
    message_print(trap->error, NAME_LINE, format, arguments);
    va_end(arguments);
    trap->code = code;
    longjmp(trap->back, 1);
}

// ---- memory -------------------------------------------------------------------------------------

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t bytes);
int __real_posix_memalign(void **memory, size_t alignment, size_t bytes);
void __real_free(void *memory);

void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t bytes);
int __wrap_posix_memalign(void **memory, size_t alignment, size_t bytes);
void __wrap_free(void *memory);

// Makes room to remember one more. False if there is no memory for that.
static bool trap_grow(void) {
    if (!trap || trap->count < trap->room) {
        return true;
    }
    const size_t room = 2 * trap->room + 16;
    void **held = __real_realloc(trap->held, room * sizeof *held);
    if (held) {
        trap->held = held;
        trap->room = room;
    }
    return held;
}

static void *trap_hold(void *memory) {
    if (trap && memory) {
        trap->held[trap->count++] = memory;
    }
    return memory;
}

bool trap_holds(const void *memory) {
    size_t i = trap ? trap->count : 0;
    while (i > 0 && trap->held[i - 1] != memory) {
        i--;
    }
    return i > 0;
}

// Most of what is freed was allocated last.
static void trap_let_go(const void *memory) {
    for (size_t i = trap ? trap->count : 0; memory && i > 0; i--) {
        if (trap->held[i - 1] == memory) {
            trap->held[i - 1] = trap->held[--trap->count];
            return;
        }
    }
}

void *__wrap_malloc(size_t bytes) {
    return trap_grow() ? trap_hold(__real_malloc(bytes)) : NULL;
}

void *__wrap_calloc(size_t count, size_t size) {
    return trap_grow() ? trap_hold(__real_calloc(count, size)) : NULL;
}

void *__wrap_realloc(void *memory, size_t bytes) {
    void *other = trap_grow() ? __real_realloc(memory, bytes) : NULL;
    if (other) {
        trap_let_go(memory);
        trap_hold(other);
    }
    return other;
}

int __wrap_posix_memalign(void **memory, size_t alignment, size_t bytes) {
    const int failed = trap_grow() ? __real_posix_memalign(memory, alignment, bytes) : ENOMEM;
    if (!failed) {
        trap_hold(*memory);
    }
    return failed;
}

void __wrap_free(void *memory) {
    trap_let_go(memory);
    __real_free(memory);
}
