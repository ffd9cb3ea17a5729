// log.c: messages and exits: one line on stderr, then an exit code.
#include "runtime/base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

void (*die_hook)(void);
void (*log_hook)(const char *line, bool dies);

void streams_open(void) {
    for (int stream = STDIN_FILENO; stream <= STDERR_FILENO; stream++) {
        // open() returns the lowest free number, which is this one, since those below are open.
        if (fcntl(stream, F_GETFD) < 0 && open("/dev/null", O_RDWR) != stream) {
            _exit(EXIT_IO); // there is no stderr to say why
        }
    }
    stream_stdout();
}

int streams_close(int code) {
    if ((fflush(stdout) || ferror(stdout)) && code == EXIT_DONE) {
        warn("stdout: could not be written, so a part of what was printed is lost; make room, or "
             "print to another place");
        return EXIT_IO;
    }
    return code;
}

static void log_line(bool dies, const char *format, va_list arguments) {
    char line[4096];
    message_print(line, sizeof line, format, arguments);
    fflush(stdout); // keeps stdout and stderr in order
    if (log_hook) {
        log_hook(line, dies);
        return;
    }
    fprintf(stderr, "%s\n", line);
}

void warn(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    log_line(false, format, arguments);
    va_end(arguments);
}

void die(enum exit_code code, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    log_line(true, format, arguments);
    va_end(arguments);
    void (*hook)(void) = die_hook;
    die_hook = NULL; // a hook that calls die() is not called again
    if (hook) {
        hook();
    }
    exit(code);
}
