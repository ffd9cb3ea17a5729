// kernel.h: what every emitted CPU kernel includes: vectors, and how threads share work. Each
// thread of a parallel region calls the kernel with its number and their count. Work is divided
// into whole items, whose arithmetic does not depend on the thread that computes them.
#ifndef DIECAST_KERNEL_H
#define DIECAST_KERNEL_H

#include "runtime/kernel/emitted.h"
#include "runtime/kernel/dropout.h"
#include "runtime/kernel/vec.h"
#include "runtime/kernel/vec_math.h"

// A function that is not inlined, so that it does not compete for its caller's registers.
#define APART static __attribute__((noinline))

struct range {
    int first, last; // [first, last)
};

// This thread's share of `items`: a contiguous range.
static inline struct range share(int items, int thread, int threads) {
    struct range r = {(int)((int64_t)items * thread / threads),
                      (int)((int64_t)items * (thread + 1) / threads)};
    return r;
}

// A thread's part of a grid of items: a range of rows times a range of columns.
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

// Divides a grid (rows, cols) of tiles among threads so that the busiest one has the least cost: 1
// for each tile, 1 for each column, whose panel is packed, and 2/5 for each row, which is read.
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

// Access to a row of `columns` floats, one vector at a time; the last vector may be partial. Sizes
// are constants after inlining, so each access is one instruction, plain or masked.
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
