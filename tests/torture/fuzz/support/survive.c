// survive.c: how a target goes on after a reader ended the program, without a process for each
// input. The linker turns the runtime's calls of die, warn and exit into those here
// (--wrap, tests/torture/fuzz.mk); die and exit jump back into fuzz_survives. What was allocated
// since is known from the wrapped malloc, calloc, realloc and free, and is freed; files that were
// mapped are known from mapped_open and mapped_close, and are closed.
#include "runtime/files/files.h"
#include "tests/torture/fuzz/support/fuzz.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

int fuzz_code, fuzz_warnings;
char fuzz_line[4096];

static bool guarded;
static jmp_buf back;

_Noreturn void fuzz_fail(const char *file, int line, const char *condition) {
    fprintf(stderr, "%s:%d: does not hold: %s (the reader said: %s)\n", file, line, condition,
            fuzz_line);
    abort();
}

// ---- memory -------------------------------------------------------------------------------------

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void __wrap_free(void *memory);

enum { HELD_MAX = 1 << 16 };
static void *held[HELD_MAX]; // allocated since fuzz_survives began, and not freed
static int held_count;

static void *hold(void *memory) {
    if (guarded && memory) {
        if (held_count == HELD_MAX) {
            fuzz_fail(__FILE__, __LINE__, "fewer allocations");
        }
        held[held_count++] = memory;
    }
    return memory;
}

static void let_go(const void *memory) {
    for (int i = held_count; guarded && memory && i-- > 0;) {
        if (held[i] == memory) {
            held[i] = held[--held_count];
            return;
        }
    }
}

void *__wrap_malloc(size_t size) {
    return hold(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size) {
    return hold(__real_calloc(count, size));
}

void *__wrap_realloc(void *memory, size_t size) {
    let_go(memory);
    return hold(__real_realloc(memory, size));
}

void __wrap_free(void *memory) {
    let_go(memory);
    __real_free(memory);
}

// ---- mapped files -----------------------------------------------------------------------------

const void *__real_mapped_open(int file, size_t length, const char *path);
void __real_mapped_close(const void *bytes);
const void *__wrap_mapped_open(int file, size_t length, const char *path);
void __wrap_mapped_close(const void *bytes);

enum { MAPPED_MAX = 8 };
static const void *mapped[MAPPED_MAX]; // NULL: a free place

static void mapped_replace(const void *old, const void *new) {
    int i = 0;
    while (i < MAPPED_MAX && mapped[i] != old) {
        i++;
    }
    FUZZ_MUST(i < MAPPED_MAX);
    mapped[i] = new;
}

const void *__wrap_mapped_open(int file, size_t length, const char *path) {
    const void *bytes = __real_mapped_open(file, length, path);
    mapped_replace(NULL, bytes);
    return bytes;
}

void __wrap_mapped_close(const void *bytes) {
    mapped_replace(bytes, NULL);
    __real_mapped_close(bytes);
}

// ---- ends ---------------------------------------------------------------------------------------

_Noreturn void __wrap_die(enum exit_code code, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void __wrap_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void __wrap_exit(int code);
_Noreturn void __real_exit(int code);

static _Noreturn void jump(int code) {
    fuzz_code = code;
    longjmp(back, 1);
}

void __wrap_die(enum exit_code code, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(fuzz_line, sizeof fuzz_line, format, arguments);
    va_end(arguments);
    if (!guarded) {
        fuzz_fail(__FILE__, __LINE__, "die() within fuzz_survives");
    }
    FUZZ_MUST(*fuzz_line != 0);
    // Bad input is never a bug of the program's, nor without memory.
    FUZZ_MUST(code == EXIT_USAGE || code == EXIT_DATA || code == EXIT_MISSING);
    jump(code);
}

void __wrap_warn(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(fuzz_line, sizeof fuzz_line, format, arguments);
    va_end(arguments);
    fuzz_warnings++;
}

void __wrap_exit(int code) {
    if (!guarded) {
        __real_exit(code);
    }
    *fuzz_line = 0;
    jump(code);
}

bool fuzz_survives(void (*read)(void *context), void *context) {
    held_count = 0;
    fuzz_warnings = 0;
    fuzz_code = EXIT_DONE;
    *fuzz_line = 0;
    guarded = true;
    bool returned = !setjmp(back);
    if (returned) {
        read(context);
    }
    for (int i = 0; i < MAPPED_MAX && !returned; i++) {
        if (mapped[i]) {
            __wrap_mapped_close(mapped[i]);
        }
    }
    guarded = false;
    for (int i = 0; i < held_count && !returned; i++) {
        __real_free(held[i]);
    }
    return returned;
}

// ---- files and pieces ---------------------------------------------------------------------------

enum { FILES = 8 };
static struct { char name[32], path[512]; } files[FILES];

const char *fuzz_path(const char *name) {
    int i = 0;
    while (i < FILES && *files[i].name && strcmp(files[i].name, name)) {
        i++;
    }
    FUZZ_MUST(i < FILES);
    if (!*files[i].name) {
        const char *folder = getenv("FUZZ_TMP");
        snprintf(files[i].name, sizeof files[i].name, "%s", name);
        // Workers may share a folder.
        snprintf(files[i].path, sizeof files[i].path, "%s/%ld", folder ? folder : ".",
                 (long)getpid());
        mkdir(files[i].path, 0777);
        size_t used = strlen(files[i].path);
        snprintf(files[i].path + used, sizeof files[i].path - used, "/%s", name);
    }
    return files[i].path;
}

const char *fuzz_file(const char *name, const void *bytes, size_t length) {
    const char *path = fuzz_path(name);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    FUZZ_MUST(file >= 0 && write(file, bytes, length) == (ssize_t)length && close(file) == 0);
    return path;
}

char *fuzz_take(struct fuzz_input *input, int end, size_t *length) {
    if (input->at >= input->end) {
        return NULL;
    }
    const uint8_t *stop = memchr(input->at, end, (size_t)(input->end - input->at));
    *length = (size_t)((stop ? stop : input->end) - input->at);
    char *piece = malloc(*length + 1);
    FUZZ_MUST(piece != NULL);
    memcpy(piece, input->at, *length);
    piece[*length] = 0;
    input->at = stop ? stop + 1 : input->end;
    return piece;
}
