// meter.c: the progress line on a terminal. Plain characters and a carriage return, no colours;
// nothing if stderr is not a terminal.
#include "runtime/train/train.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { METER_COLUMNS = 79 };
static const double METER_SECONDS = 0.2; // the least time between two lines

static bool meter_shown;
static double meter_last;

// Whether to show the line: not with NO_COLOR or TERM=dumb, by which users ask for plain output.
static bool meter_wanted(void) {
    static int wanted = -1;
    if (wanted < 0) {
        const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
        wanted =
            isatty(STDERR_FILENO) && !(no_color && *no_color) && !(term && !strcmp(term, "dumb"));
    }
    return wanted;
}

void meter_show(const char *format, ...) {
    if (!meter_wanted()) {
        return;
    }
    double now = time_now();
    if (meter_shown && now - meter_last < METER_SECONDS) {
        return;
    }
    meter_last = now;
    meter_shown = true;
    char line[METER_COLUMNS + 1];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\r%-*s", METER_COLUMNS, line);
    fflush(stderr);
}

void meter_clear(void) {
    if (meter_shown) {
        fprintf(stderr, "\r%*s\r", METER_COLUMNS, "");
        fflush(stderr);
        meter_shown = false;
    }
}
