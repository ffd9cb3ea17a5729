// profile.c: time per kernel, measured by thread 0: a kernel's time is from the barrier before it
// to the barrier after it.
#include "runtime/model/model.h"
#include "runtime/base/base.h"

enum { PROFILE_KERNELS = 1024 };

bool profile_on;
void (*profile_follow)(void);
static double profile_seconds[PROFILE_KERNELS];
static int64_t profile_calls[PROFILE_KERNELS];
static double profile_last;

void kernel_done(int kernel, int thread) {
    parallel_barrier();
    if (thread == 0 && profile_follow) {
        profile_follow();
    }
    if (profile_on && thread == 0) {
        double now = time_now();
        profile_seconds[kernel] += now - profile_last;
        profile_calls[kernel]++;
        profile_last = now;
    }
}

void profile_start(int thread) {
    if (profile_on && thread == 0) {
        if (model_info.kernels_count > PROFILE_KERNELS) {
            die(EXIT_INTERNAL, "profile: %d kernels, room for %d", model_info.kernels_count,
                PROFILE_KERNELS);
        }
        profile_last = time_now();
    }
}

void profile_read(double *seconds, int64_t *calls, int kernels_count) {
    for (int i = 0; i < kernels_count; i++) {
        seconds[i] = profile_seconds[i];
        calls[i] = profile_calls[i];
    }
}

void profile_reset(void) {
    for (int i = 0; i < PROFILE_KERNELS; i++) {
        profile_seconds[i] = 0;
        profile_calls[i] = 0;
    }
}
