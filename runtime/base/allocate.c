// allocate.c: memory, or the end of the program: nothing here goes on without what it asked for,
// and a file is never called damaged because there was no room to read it. Needs libc alone, since
// the sampler carries it.
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
    // One byte at least: NULL means failure then, whatever libc does with sizes of zero.
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
