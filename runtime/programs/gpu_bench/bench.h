// bench.h: what the files of the program `bench` on a GPU share: gpu_bench.c runs it, rates.c
// measures the device, figures.c writes and prints the figures.
#ifndef DIECAST_GPU_BENCH_H
#define DIECAST_GPU_BENCH_H

#include "runtime/train/train.h"

struct bench_row {
    const char *name;
    double ms, calls, flop, bytes; // in one step
    bool muon;                     // a part of Muon's update
};

// What the device can do, in units per second; 0 until it is measured.
struct bench_rates {
    double bf16, own; // FLOP of a large product: in bf16, and in the type of the model's products
    const char *type; // the latter's name
    double copied;    // bytes copied, read and written ones together
    int64_t product;  // rows and columns of the product
    size_t copy;      // bytes of the copy
};

struct bench {
    const struct model_info *info;
    struct run run;
    const char *json, *tokens;
    int64_t warm, steps, accumulation;
    struct model m;
    struct split split;                  // of tokens
    int64_t submitted, settled, skipped; // steps
    double settled_at;                   // when the last step was done
    double *ms;                          // (steps), ascending
    struct step_result first, last;      // of the warm and the timed steps

    struct bench_row *rows; // (kernels), slowest first; NULL until they are timed
    int rows_count;
    struct bench_rates rates;
    bool complete; // everything is measured
    char device[256], products[64];
    double peak; // FLOP/s by the data sheet, or 0
    int driver, runtime;
    size_t plan_bytes, used_bytes;
};

// ---- rates.c ------------------------------------------------------------------------------------

// Sets b->rates. Called after the model's memory was freed, so that there is room beside any model.
void bench_measure_device(struct bench *b);
// For qsort: doubles, ascending.
int bench_rising(const void *a, const void *b);
// A quantile of ascending numbers.
double bench_quantile(const double *values, int64_t count, double q);

// ---- figures.c ----------------------------------------------------------------------------------

// Replaces b->json by what is measured so far; what is not known yet is null.
void bench_write(const struct bench *b);
// Prints all figures.
void bench_print(const struct bench *b);

#endif
