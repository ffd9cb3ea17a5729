// peak.c: measures this machine's peak rates of multiply-adds and of reads.
#include "runtime/model/model.h"
#include "runtime/base/base.h"
#include "runtime/kernel/bf16.h"

#include <stdlib.h>
#include <sys/mman.h>

// Rounds are short, so that the best one is undisturbed, and many, so that the scheduler has time
// to spread the threads over the cores.
enum { PEAK_ROUNDS = 24, PEAK_MULTIPLY_ROUNDS = 144, PEAK_ACCUMULATORS = VEC == 16 ? 24 : 12 };
// They take some 30 ms, or 200 ms of reads. An emulator may need a minute: it does with fewer.
#define PEAK_SECONDS 1.0
enum { PEAK_AHEAD = 1024 }; // distance of the prefetch, in floats

struct peak_job {
    int64_t steps; // per round: multiply-adds of each accumulator, or passes over the memory
    const float *memory;
    size_t vectors; // of memory, for all threads together
    double best;    // seconds of the fastest round
    double all;     // seconds of all rounds after the warm-up
    int rounds;     // how many there were
    volatile float sink;
};

static void peak_round_done(struct peak_job *job, int thread, double *last) {
    parallel_barrier();
    if (thread == 0) {
        double now = time_now();
        if (*last > 0) {
            job->best = now - *last < job->best ? now - *last : job->best;
            job->all += now - *last;
            job->rounds++;
        }
        *last = now;
    }
    parallel_barrier();
}

VEC_INLINE void peak_multiply_add(void *context, int thread, int threads, const bool bf16) {
    (void)threads;
    struct peak_job *job = context;
    vec acc[PEAK_ACCUMULATORS];
    for (int i = 0; i < PEAK_ACCUMULATORS; i++) {
        acc[i] = vec_splat((float)i);
    }
    const vec factor = vec_splat(0.999f), addend = vec_splat(0.001f);
    double last = 0;
    // The first one warms up.
    for (int round = 0; round <= PEAK_MULTIPLY_ROUNDS && job->all < PEAK_SECONDS; round++) {
        for (int64_t s = 0; round && s < job->steps; s++) {
#pragma GCC unroll 24
            for (int i = 0; i < PEAK_ACCUMULATORS; i++) {
                acc[i] = bf16 ? factor_fma(factor, addend, acc[i]) // any numbers
                              : vec_fma(acc[i], factor, addend);
            }
        }
        peak_round_done(job, thread, &last);
    }
    for (int i = 1; i < PEAK_ACCUMULATORS; i++) {
        acc[0] += acc[i];
    }
    if (vec_sum(acc[0]) == 12345.0f) {
        job->sink = 1.0f; // keeps the compiler from removing the sums
    }
}

static void peak_of_float(void *context, int thread, int threads) {
    peak_multiply_add(context, thread, threads, false);
}

static void peak_of_bf16(void *context, int thread, int threads) {
    peak_multiply_add(context, thread, threads, true);
}

bool peak_has_bf16(void) {
    return FACTOR_FLOATS == 2;
}

double peak_gflops(int threads, bool bf16, double *held) {
    struct peak_job job = {.steps = 100000, .best = 1e9};
    parallel_run(bf16 ? peak_of_bf16 : peak_of_float, &job);
    double flops = 2.0 * VEC * PEAK_ACCUMULATORS * (double)job.steps * threads;
    flops *= bf16 ? FACTOR_FLOATS : 1;
    if (held) {
        *held = flops * job.rounds / job.all * 1e-9;
    }
    return flops / job.best * 1e-9;
}

enum { PEAK_STREAMS = 8 };

// Sums `vectors` vectors of memory, with a software prefetch if `ahead`.
VEC_INLINE void peak_sum(const float *from, size_t vectors, bool ahead, vec acc[PEAK_STREAMS]) {
    for (size_t v = 0; v < vectors; v += PEAK_STREAMS) {
#pragma GCC unroll 8
        for (size_t i = 0; i < PEAK_STREAMS; i++) {
            const float *at = from + (v + i) * VEC;
            if (ahead) {
                __builtin_prefetch(at + PEAK_AHEAD);
            }
            acc[i] += vec_load(at);
        }
    }
}

// Every other round prefetches: whether that is faster than the hardware's prefetcher alone depends
// on the machine and on the cache level that is read.
static void peak_read(void *context, int thread, int threads) {
    struct peak_job *job = context;
    const size_t vectors = job->vectors / (size_t)threads / PEAK_STREAMS * PEAK_STREAMS;
    const float *from = job->memory + (size_t)thread * vectors * VEC;
    vec acc[PEAK_STREAMS];
    for (int i = 0; i < PEAK_STREAMS; i++) {
        acc[i] = vec_splat(0.0f);
    }
    double last = 0;
    // The first one warms up.
    for (int round = 0; round <= PEAK_ROUNDS && job->all < PEAK_SECONDS; round++) {
        for (int64_t s = 0; s < job->steps; s++) {
            if (round % 2) {
                peak_sum(from, vectors, true, acc);
            } else {
                peak_sum(from, vectors, false, acc);
            }
        }
        peak_round_done(job, thread, &last);
    }
    for (int i = 1; i < PEAK_STREAMS; i++) {
        acc[0] += acc[i];
    }
    if (vec_sum(acc[0]) == 12345.0f) {
        job->sink = 1.0f;
    }
}

double peak_read_gbs(int threads, size_t bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        return 0;
    }
    madvise(memory, bytes, MADV_HUGEPAGE);
    for (size_t i = 0; i < bytes; i += 4096) {
        ((char *)memory)[i] = 1; // allocates the page: unwritten pages share one page of zeros
    }
    struct peak_job job = {.memory = memory, .vectors = bytes / sizeof(vec), .best = 1e9};
    job.steps = (int64_t)((size_t)(64 << 20) / bytes) + 1;
    parallel_run(peak_read, &job);
    munmap(memory, bytes);
    const size_t per_thread = job.vectors / (size_t)threads / PEAK_STREAMS * PEAK_STREAMS;
    return (double)(per_thread * sizeof(vec)) * threads * (double)job.steps / job.best * 1e-9;
}
