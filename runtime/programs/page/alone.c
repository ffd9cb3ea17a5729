// alone.c: what a sampler in a page has in the place of threads, mapped files and stderr, none of
// which WebAssembly has. It stands on base, kernel, files and sample.
#include "runtime/programs/page/page.h"

#include <stdarg.h>
#include <stdio.h>

// ---- sample/team.c: one thread ------------------------------------------------------------------

// Not called: sampler_create is asked for one thread.
void sampler_team_start(struct sampler *s, int threads) {
    (void)s, (void)threads;
}

void sampler_team_end(struct sampler *s) {
    (void)s;
}

void sampler_run(struct sampler *s, sampler_job *job, void *context) {
    job(s, context, 0);
}

void sampler_wait(struct sampler *s) {
    (void)s;
}

void sampler_wait_prefetching(struct sampler *s, int thread) {
    (void)s, (void)thread;
}

void sampler_prefetch(struct sampler *s, int thread, const float *from) {
    (void)s, (void)thread, (void)from;
}

// ---- files/mapped.c: the weights are the page's own ---------------------------------------------

void mapped_forget(const void *bytes) {
    (void)bytes;
}

void mapped_close(const void *bytes) {
    (void)bytes;
}

// ---- base/log.c: messages go to the page --------------------------------------------------------

static void log_line(bool dies, const char *format, va_list arguments) {
    char line[1024];
    int length = vsnprintf(line, sizeof line, format, arguments);
    length = length < (int)sizeof line ? length : (int)sizeof line - 1;
    page_say(line, length, dies);
}

void warn(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    log_line(false, format, arguments);
    va_end(arguments);
}

void die(enum exit_code code, const char *format, ...) {
    (void)code;
    va_list arguments;
    va_start(arguments, format);
    log_line(true, format, arguments); // throws
    va_end(arguments);
    __builtin_trap();
}
