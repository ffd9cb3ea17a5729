// bench.h: what the files of the program `bench` share: gpu_bench.c runs it, rates.c
// measures the device, figures.c says what was found.
#ifndef DIECAST_GPU_BENCH_H
#define DIECAST_GPU_BENCH_H

#include "runtime/train/train.h"

struct bench_row {
    const char *name;
    double ms, calls, flop, bytes; // an update
};

// What the device can do, in units a second; 0 until it is measured.
struct bench_rates {
    double bf16, own; // FLOP of a large product: in bf16, in what the model multiplies in
    const char *type; // the latter's name
    double copied;    // bytes, read and written ones together
    int64_t product;  // rows and columns
    size_t copy;      // bytes
};

struct bench {
    const struct model_info *info;
    struct run run;
    const char *json, *tokens;
    int64_t warm, steps, accumulation;
    struct model m;
    struct split split; // of tokens
    int64_t submitted, settled, skipped;
    double settled_at;              // when the last one was
    double *ms;                     // (steps), rising
    struct step_result first, last; // of the warm and the timed updates

    struct bench_row *rows; // (kernels), slowest first; NULL until they are timed
    int rows_count;
    struct bench_rates rates;
    bool complete; // all of it is measured
    char device[256], products[64];
    double peak; // FLOP/s by the data sheet, or 0
    int driver, runtime;
    size_t plan_bytes, used_bytes;
};

// ---- rates.c ------------------------------------------------------------------------------------

// Sets b->rates. After the model's memory was given back, so that the largest plan leaves room too.
void bench_measure_device(struct bench *b);
// For qsort: doubles, the least first.
int bench_rising(const void *a, const void *b);
// Of numbers that rise.
double bench_quantile(const double *values, int64_t count, double q);

// ---- figures.c ----------------------------------------------------------------------------------

// Writes what is measured so far to b->json, as a whole: what is not known yet is null.
void bench_write(const struct bench *b);
// Prints all of it.
void bench_print(const struct bench *b);

#endif
