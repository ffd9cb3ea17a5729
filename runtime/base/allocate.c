// allocate.c: allocation that ends the program if it fails, so that no caller has to check, and no
// file is reported as damaged because there was no memory to read it; and, for what must not end a
// program, allocation that does not. Needs only libc, since the
// sampler links it.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE // for fopencookie
#endif
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

void *allocate_or_null(size_t count, size_t size) {
    return calloc(count, size);
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

ssize_t allocate_line(char **line, size_t *size, FILE *file, const char *what) {
    ssize_t length = getline(line, size, file);
    if (length < 0 && !feof(file) && !ferror(file)) {
        allocate_fail(*size, what); // getline() tells this apart by errno alone
    }
    return length;
}

// Adds bytes to the text. It dies only in growing_end, not here, where stdio calls it.
static ssize_t growing_write(void *cookie, const char *bytes, size_t count) {
    struct growing *g = cookie;
    if (g->length + count >= g->room) {
        const size_t room = 2 * (g->length + count) + 1;
        char *text = realloc(g->text, room);
        if (!text) {
            return -1; // the stream remembers it
        }
        g->text = text;
        g->room = room;
    }
    memcpy(g->text + g->length, bytes, count);
    g->length += count;
    g->text[g->length] = 0;
    return (ssize_t)count;
}

void growing_begin(struct growing *g, const char *what) {
    *g = (struct growing){.text = allocate(1, 1, what), .room = 1, .what = what};
    g->file = fopencookie(g, "w", (cookie_io_functions_t){.write = growing_write});
    if (!g->file) {
        allocate_fail(BUFSIZ, what);
    }
}

size_t growing_length(struct growing *g) {
    fflush(g->file);
    return g->length;
}

char *growing_end(struct growing *g) {
    bool good = !fflush(g->file) && !ferror(g->file);
    if (fclose(g->file) || !good) {
        allocate_fail(2 * g->room, g->what);
    }
    return g->text;
}
