// kernel.h: what emitted kernels stand on: vectors, the register tile's building blocks, and the
// way in which threads share work. A kernel is called by every thread of a region, with its number
// and their count. Work is cut into whole items, whose arithmetic does not depend on who does them.
#ifndef DIECAST_KERNEL_H
#define DIECAST_KERNEL_H

#include "runtime/kernel/emitted.h"
#include "runtime/kernel/dropout.h"
#include "runtime/kernel/vec.h"
#include "runtime/kernel/vec_math.h"

// A function of its own, with registers of its own.
#define APART static __attribute__((noinline))

struct range {
    int first, last; // [first, last)
};

// This thread's share of `items`, neighbours together.
static inline struct range share(int items, int thread, int threads) {
    struct range r = {(int)((int64_t)items * thread / threads),
                      (int)((int64_t)items * (thread + 1) / threads)};
    return r;
}

// A thread's part of a grid of items: some rows of it times some columns.
struct part {
    struct range rows, cols;
};

static inline int int_min(int a, int b) {
    return a < b ? a : b;
}

static inline int int_max(int a, int b) {
    return a > b ? a : b;
}

#define DIVIDE_UP(a, b) (((a) + (b)-1) / (b))

// Cuts a grid into as many parts as there are threads, so that the busiest has least to do: its
// items, one more for each column, which is packed, and 2/5 for each row, which is read.
static inline struct part part_of(int rows, int cols, int thread, int threads) {
    int across = 1; // parts side by side in a row of parts
    int64_t least = INT64_MAX;
    for (int a = 1; a <= threads; a++) {
        if (threads % a == 0) {
            const int64_t across_of = DIVIDE_UP(cols, a), down = DIVIDE_UP(rows, threads / a);
            const int64_t cost = 5 * across_of * (down + 1) + 2 * down;
            across = cost < least ? a : across;
            least = cost < least ? cost : least;
        }
    }
    struct part part = {share(rows, thread / across, threads / across),
                        share(cols, thread % across, across)};
    return part;
}
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define DROPOUT_CHUNKS(columns) DIVIDE_UP(columns, DROPOUT_CHUNK)

// 0, 1, 2, ...
VEC_INLINE vec_int vec_lanes(void) {
    vec_int lanes;
    for (int l = 0; l < VEC; l++) {
        lanes[l] = l;
    }
    return lanes;
}

// A row of `columns` floats is read and written a vector at a time; the last one may be partial.
// Both sizes are constants where these are used, so each access is one instruction or a masked one.
#define LANES(c, columns) ((columns) % VEC == 0 || (c) + VEC <= (columns) ? VEC : (columns) % VEC)

VEC_INLINE vec row_load(const float *row, int c, const int columns) {
    return columns % VEC == 0 || c + VEC <= columns ? vec_load(row + c)
                                                    : vec_load_n(row + c, columns % VEC);
}

VEC_INLINE void row_store(float *row, int c, const int columns, vec v) {
    if (columns % VEC == 0 || c + VEC <= columns) {
        vec_store(row + c, v);
    } else {
        vec_store_n(row + c, v, columns % VEC);
    }
}

// v with the lanes beyond the row's end set to `fill`.
VEC_INLINE vec row_only(vec v, int c, const int columns, float fill) {
    if (columns % VEC == 0 || c + VEC <= columns) {
        return v;
    }
    for (int l = columns % VEC; l < VEC; l++) {
        v[l] = fill;
    }
    return v;
}

#endif
