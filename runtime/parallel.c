// parallel.c: one parallel region at a time, on OpenMP's threads.
#include "runtime/runtime.h"

#include <omp.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { PARALLEL_SPINS = 2000 }; // some microseconds

static atomic_int parallel_arrived;
static atomic_uint parallel_phase;

// Processors that the container grants, rounded up; 0 where there is no limit.
static int parallel_quota(void) {
    FILE *file = fopen("/sys/fs/cgroup/cpu.max", "r");
    if (!file) {
        return 0;
    }
    double quota = 0, period = 0;
    bool limited = fscanf(file, "%lf %lf", &quota, &period) == 2 && quota > 0 && period > 0;
    fclose(file);
    return limited ? (int)((quota + period - 1) / period) : 0;
}

int parallel_threads(int threads) {
    omp_set_dynamic(0);
    if (threads == 0) {
        threads = omp_get_max_threads();
        int quota = getenv("OMP_NUM_THREADS") ? 0 : parallel_quota();
        if (quota > 0 && quota < threads) {
            threads = quota;
        }
    }
    int limit = omp_get_thread_limit();
    omp_set_num_threads(threads < limit ? threads : limit);
    return omp_get_max_threads();
}

int parallel_count(void) {
    return omp_get_max_threads();
}

// OpenMP's own barriers spin for long before they sleep, which costs a time slice wherever threads
// outnumber the free cores. This one gives the core away soon.
void parallel_barrier(void) {
    const int team = omp_get_num_threads();
    if (team == 1) {
        return;
    }
    const unsigned phase = atomic_load_explicit(&parallel_phase, memory_order_relaxed);
    const int arrived = atomic_fetch_add_explicit(&parallel_arrived, 1, memory_order_acq_rel);
    if (arrived + 1 == team) {
        atomic_store_explicit(&parallel_arrived, 0, memory_order_relaxed);
        atomic_store_explicit(&parallel_phase, phase + 1, memory_order_release);
        return;
    }
    int spins = 0;
    while (atomic_load_explicit(&parallel_phase, memory_order_acquire) == phase) {
        if (++spins > PARALLEL_SPINS) {
            sched_yield();
        }
    }
}

void parallel_run(parallel_fn *fn, void *context) {
#pragma omp parallel
    {
        fn(context, omp_get_thread_num(), omp_get_num_threads());
        parallel_barrier(); // all come to OpenMP's, at the region's end, at once
    }
}
