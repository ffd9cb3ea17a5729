// sum.c: the sum of all ranks' gradients, by recursive halving and doubling.
//
// First each rank exchanges one half of the floats with its neighbour and adds the other half; then
// a quarter with the rank at distance 2, and so on, until it has the sum of its own part. Then the
// parts are exchanged back in reverse. Each float is added in the same tree, whichever rank adds
// it, since a + b = b + a.
#include "runtime/ranks/ranks.h"

#include <stdlib.h>

enum { SUM_PIECE = 1 << 18 }; // floats that are received at a time

struct sum_range {
    int64_t from, to;
};

// The halves of a range: [0] of the lower rank of a pair, [1] of the upper one. Parts begin at
// cache lines.
static void sum_halve(struct sum_range range, struct sum_range half[2]) {
    const int64_t middle = range.from + (range.to - range.from) / 2 / 16 * 16;
    half[0] = (struct sum_range){range.from, middle};
    half[1] = (struct sum_range){middle, range.to};
}

// Exchanges `theirs` with another rank for its floats of `ours`, and adds those.
static void sum_add(float *x, struct sum_range ours, struct sum_range theirs, int other,
                    float *piece) {
    int64_t in = ours.from, out = theirs.from;
    while (in < ours.to || out < theirs.to) {
        const int64_t take = ours.to - in < SUM_PIECE ? ours.to - in : SUM_PIECE;
        const int64_t give = theirs.to - out < SUM_PIECE ? theirs.to - out : SUM_PIECE;
        ranks_exchange(other, x + out, (size_t)give * sizeof *x, piece, (size_t)take * sizeof *x);
        for (int64_t i = 0; i < take; i++) {
            x[in + i] += piece[i];
        }
        in += take;
        out += give;
    }
}

// The reverse: exchanges `ours`, which is summed, for `theirs`.
static void sum_return(float *x, struct sum_range ours, struct sum_range theirs, int other) {
    int64_t out = ours.from, in = theirs.from;
    while (in < theirs.to || out < ours.to) {
        const int64_t give = ours.to - out < SUM_PIECE ? ours.to - out : SUM_PIECE;
        const int64_t take = theirs.to - in < SUM_PIECE ? theirs.to - in : SUM_PIECE;
        ranks_exchange(other, x + out, (size_t)give * sizeof *x, x + in, (size_t)take * sizeof *x);
        out += give;
        in += take;
    }
}

void ranks_sum(float *x, int64_t count) {
    enum { MOST = 31 }; // log2 of more ranks than an int counts
    struct sum_range half[MOST][2], range = {0, count};
    const int rank = ranks_rank(), size = ranks_size();
    float *piece = allocate(SUM_PIECE, sizeof *piece, "a piece of another rank's gradient");
    int steps = 0;
    for (; 1 << steps < size; steps++) {
        const int upper = rank >> steps & 1;
        sum_halve(range, half[steps]);
        sum_add(x, half[steps][upper], half[steps][!upper], rank ^ 1 << steps, piece);
        range = half[steps][upper];
    }
    while (steps-- > 0) {
        const int upper = rank >> steps & 1;
        sum_return(x, half[steps][upper], half[steps][!upper], rank ^ 1 << steps);
    }
    free(piece);
}
