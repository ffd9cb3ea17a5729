// time.c: a monotonic clock.
#include "runtime/base/base.h"

#include <time.h>

double time_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
