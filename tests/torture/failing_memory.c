// failing_memory.c: a library for LD_PRELOAD in which the K-th call that asks for memory fails, of
// the program and of libc: malloc, calloc, realloc, aligned_alloc and the like, mmap, mremap.
//
//     FAILING_CALL=K FAILING_HIT=FILE LD_PRELOAD=failing_memory.so PROGRAM ...
//
// writes "K malloc 4096" to FILE when it is reached; K of 0 fails none, and FILE gets their number.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

static atomic_long calls;

static void tell(const char *line, int length) {
    int file = open(getenv("FAILING_HIT"), O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (file < 0 || write(file, line, (size_t)length) != length) {
        _exit(99);
    }
    close(file);
}

__attribute__((destructor)) static void tell_all(void) {
    const char *wanted = getenv("FAILING_CALL");
    if (wanted && strtol(wanted, NULL, 10) == 0) {
        char line[32];
        tell(line, snprintf(line, sizeof line, "%ld\n", atomic_load(&calls)));
    }
}

// Counts a call. Whether it is to fail.
static int fails(const char *name, size_t size) {
    const char *wanted = getenv("FAILING_CALL");
    long k = atomic_fetch_add(&calls, 1) + 1;
    if (!wanted || strtol(wanted, NULL, 10) != k) {
        return 0;
    }
    char line[96];
    tell(line, snprintf(line, sizeof line, "%ld %s %zu\n", k, name, size));
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t size) {
    return fails("malloc", size) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
    return fails("calloc", count * size) ? NULL : __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size) {
    return fails("realloc", size) ? NULL : __libc_realloc(memory, size);
}

void *reallocarray(void *memory, size_t count, size_t size) {
    return fails("reallocarray", count * size) ? NULL : __libc_realloc(memory, count * size);
}

void *memalign(size_t alignment, size_t size) {
    return fails("memalign", size) ? NULL : __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    return fails("aligned_alloc", size) ? NULL : __libc_memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size) {
    if (fails("posix_memalign", size)) {
        return ENOMEM;
    }
    *memory = __libc_memalign(alignment, size);
    return *memory ? 0 : ENOMEM;
}

void *mmap(void *at, size_t length, int protection, int flags, int file, off_t from) {
    return fails("mmap", length)
               ? MAP_FAILED
               : (void *)syscall(SYS_mmap, at, length, protection, flags, file, from);
}

void *mmap64(void *at, size_t length, int protection, int flags, int file, off_t from)
    __attribute__((alias("mmap")));
