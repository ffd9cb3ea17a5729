// tune.h: the interface between programs/tune.c and the candidate kernels that gen/tune.lua emits.
#ifndef DIECAST_TUNE_H
#define DIECAST_TUNE_H

#include <stddef.h>
#include <stdint.h>

// b is of floats, or of bfloat16 numbers, if it is an image of a weight (bf16.h).
typedef void tune_fn(float *out, const float *a, const void *b, void *scratch, int thread,
                     int threads);

// A product, and one kernel for each tiling of it.
struct tune_shape {
    const char *name;
    int64_t floats[3]; // of memory of out, a, b
    size_t scratch;    // bytes of memory that a way needs for each thread
    tune_fn *const *ways;
    int ways_count;
};

extern const struct tune_shape *const tune_shapes[]; // up to a NULL

#endif
