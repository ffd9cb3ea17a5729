// sum.c: the sum over all ranks in a fixed order, by exchanges between two ranks at a time: halves
// with the rank at distance 1, then quarters with the one at distance 2, and so on; each rank then
// has one share of the sum, and gets the others in reverse. Every float is added in the same tree,
// wherever shares end: addition of two floats commutes.
#include "runtime/ranks/ranks.h"

int sum_steps(void) {
    int steps = 0;
    while (1 << steps < ranks_size()) {
        steps++;
    }
    return steps;
}

struct sum_range sum_range(int rank, int steps) {
    struct sum_range range = {0, ranks_size()};
    for (int i = 0; i < steps; i++) {
        const int middle = (range.from + range.to) / 2;
        *(rank >> i & 1 ? &range.from : &range.to) = middle;
    }
    return range;
}

int sum_share(int rank) {
    return sum_range(rank, sum_steps()).from;
}

void sum_scatter(float *x, const int64_t *cut, float *piece) {
    const int rank = ranks_rank(), steps = sum_steps();
    for (int step = 0; step < steps; step++) {
        const int other = rank ^ 1 << step;
        const struct sum_range ours = sum_range(rank, step + 1),
                               theirs = sum_range(other, step + 1);
        int64_t in = cut[ours.from], in_end = cut[ours.to];
        int64_t out = cut[theirs.from], out_end = cut[theirs.to];
        while (in < in_end || out < out_end) {
            const int64_t take = in_end - in < SUM_PIECE ? in_end - in : SUM_PIECE;
            const int64_t give = out_end - out < SUM_PIECE ? out_end - out : SUM_PIECE;
            ranks_exchange(other, x + out, (size_t)give * sizeof *x, piece,
                           (size_t)take * sizeof *x);
            for (int64_t i = 0; i < take; i++) {
                x[in + i] += piece[i];
            }
            in += take;
            out += give;
        }
    }
}

// Sends x from `out` to its end, and receives from `in` to its end.
static void sum_swap(float *x, int other, int64_t out, int64_t out_end, int64_t in,
                     int64_t in_end) {
    while (in < in_end || out < out_end) {
        const int64_t give = out_end - out < SUM_PIECE ? out_end - out : SUM_PIECE;
        const int64_t take = in_end - in < SUM_PIECE ? in_end - in : SUM_PIECE;
        ranks_exchange(other, x + out, (size_t)give * sizeof *x, x + in, (size_t)take * sizeof *x);
        out += give;
        in += take;
    }
}

void sum_gather(float *x, const int64_t *from, const int64_t *to) {
    const int rank = ranks_rank();
    for (int step = sum_steps(); step-- > 0;) {
        const int other = rank ^ 1 << step;
        const struct sum_range ours = sum_range(rank, step + 1),
                               theirs = sum_range(other, step + 1);
        const int64_t *out = from + ours.from, *out_end = to + ours.from;
        const int64_t *in = from + theirs.from, *in_end = to + theirs.from;
        for (int i = 0, next; i < ours.to - ours.from; i = next) { // shares without gaps together
            next = i + 1;
            while (next < ours.to - ours.from && out_end[next - 1] == out[next] &&
                   in_end[next - 1] == in[next]) {
                next++;
            }
            sum_swap(x, other, out[i], out_end[next - 1], in[i], in_end[next - 1]);
        }
    }
}
