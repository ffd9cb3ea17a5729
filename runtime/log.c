// log.c: how a program speaks to people and how it ends: one line on stderr, then an exit code.
#include "runtime/runtime.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

void (*die_hook)(void);

// Messages carry names out of files that somebody sent: whatever could break the line or steer a
// terminal is shown as a question mark.
static void log_line(const char *format, va_list arguments) {
    char line[4096];
    vsnprintf(line, sizeof line, format, arguments);
    for (unsigned char *c = (unsigned char *)line; *c; c++) {
        if (*c < 0x20 || *c == 0x7f || (c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0)) {
            *c = '?';
        }
    }
    fflush(stdout); // what was printed before stays before
    fprintf(stderr, "%s\n", line);
}

void warn(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    log_line(format, arguments);
    va_end(arguments);
}

enum exit_code exit_code_of(int reason) {
    return reason == ENOMEM ? EXIT_MEMORY : EXIT_IO;
}

void die(enum exit_code code, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    log_line(format, arguments);
    va_end(arguments);
    void (*hook)(void) = die_hook;
    die_hook = NULL; // a hook that dies itself is not called again
    if (hook) {
        hook();
    }
    exit(code);
}
