// output.c: what the sampler writes to stdout.
#include "runtime/programs/sample/answer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Ends the program, without a message if the reader has closed the pipe.
static _Noreturn void output_failed(void) {
    int problem = errno;
    if (problem != EPIPE) {
        warn("stdout: cannot write: %s; make room and start again", strerror(problem));
    }
    _exit(EXIT_IO);
}

void output_write(const char *text, size_t length) {
    if (fwrite(text, 1, length, stdout) != length) {
        output_failed();
    }
}

void output_flush(void) {
    if (fflush(stdout) != 0) {
        output_failed();
    }
}

void output_line(struct growing *line) {
    char *text = growing_end(line);
    output_write(text, line->length);
    output_write("\n", 1);
    output_flush();
    free(text);
}
