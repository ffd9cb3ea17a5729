// allocate.c: allocation that ends the program if it fails, so that no caller has to check, and no
// file is reported as damaged because there was no memory to read it. Needs only libc, since the
// sampler links it.
#include "runtime/base/base.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static _Noreturn void allocate_fail(size_t bytes, const char *what) {
    die(EXIT_MEMORY,
        "no memory for %s: %zu bytes were wanted; end other programs, or raise the limit", what,
        bytes);
}

void *allocate(size_t count, size_t size, const char *what) {
    // At least one byte, so that NULL always means failure: libc may return NULL for size zero.
    void *memory = count && size ? calloc(count, size) : calloc(1, 1);
    if (!memory) {
        allocate_fail(size && count > SIZE_MAX / size ? SIZE_MAX : count * size, what);
    }
    return memory;
}

void *allocate_again(void *memory, size_t bytes, const char *what) {
    void *other = realloc(memory, bytes ? bytes : 1);
    if (!other) {
        allocate_fail(bytes, what);
    }
    return other;
}

char *allocate_copy(const char *text, size_t length, const char *what) {
    char *copy = allocate(length + 1, 1, what);
    memcpy(copy, text, length);
    return copy;
}

char *allocate_print(const char *what, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *text = allocate((size_t)length + 1, 1, what);
    va_start(arguments, format);
    vsnprintf(text, (size_t)length + 1, format, arguments);
    va_end(arguments);
    return text;
}
