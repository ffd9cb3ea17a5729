// shares.c: a model's parameters cut in one share a rank, where chunks of the optimizer end, so
// that a rank can have a share's moments and make its update, and no partial norm and no matrix of
// Muon's is cut in two.
//
// A rank maps memory for all moments and touches its own pages alone. Rank 0 has all of them while
// a state is read or written.
#include "runtime/ranks/ranks.h"

#include <limits.h>
#include <stdlib.h>
#include <sys/mman.h>

enum {
    SHARES_PAGE = 4096,
    SHARES_PIECE = 1 << 20,
    SHARES_LINE = 16,   // floats of a cache line
    SHARES_LEAST = 4096 // floats that are gathered at a time, at least
};

static void shares_norms(double *norms, int64_t count) {
    const int size = ranks_size();
    double *all = allocate((size_t)(size * count), sizeof *all, "the ranks' norms");
    double *own = all + ranks_rank() * count;
    for (int64_t i = 0; i < count; i++) {
        own[i] = norms[i];
    }
    ranks_share(all, (size_t)count * sizeof *all);
    for (int64_t i = 0; i < count; i++) { // one of them is not 0
        norms[i] = 0;
        for (int rank = 0; rank < size; rank++) {
            norms[i] += all[rank * count + i];
        }
    }
    free(all);
}

// Muon's update takes matrices as they come, and the library's gather all at once.
static void shares_cut_pieces(struct shares *s, const struct model_info *info) {
    const int size = ranks_size();
    const int64_t most = s->count / size / SHARES_LEAST;
    if (s->fast || info->muon || most < 2) {
        return;
    }
    s->pieces_count = (int)(most < SHARES_PIECES ? most : SHARES_PIECES);
    const int places = s->pieces_count + 1;
    s->pieces = allocate((size_t)(size * places), sizeof *s->pieces, "the ranks' shares");
    for (int share = 0; share < size; share++) {
        const int64_t from = s->cut[share], to = s->cut[share + 1];
        int64_t *cut = s->pieces + share * places;
        for (int i = 0; i < places; i++) {
            const int64_t at = optimizer_cut(info, from + (to - from) * i / s->pieces_count);
            cut[i] = i == 0 ? from : i == s->pieces_count || at > to ? to : at;
        }
    }
}

void shares_create(struct shares *s, const struct model_info *info, bool fast, bool zero) {
    const int size = ranks_size();
    *s = (struct shares){.fast = fast, .zero = zero && size > 1, .count = info->state_floats};
    if (size == 1 && !ranks_device) {
        return;
    }
    if (s->zero && ranks_device && info->optimizer == OPTIMIZER_MUON) {
        die(EXIT_USAGE, "zero=1: on GPUs each rank updates all of Muon's matrices; leave it out");
    }
    if (s->fast && s->zero && !ranks_device && s->count > INT_MAX) {
        die(EXIT_USAGE, "reduce=fast zero=1: MPI counts at most %d parameters; take reduce=exact",
            INT_MAX);
    }
    s->cut = allocate((size_t)size + 1, sizeof *s->cut, "the ranks' shares");
    if (ranks_device) { // shares of one size
        s->count = ranks_device->count(info);
    }
    for (int i = 0; i < size; i++) {
        s->cut[i] =
            i && !ranks_device ? optimizer_cut(info, s->count * i / size) : s->count / size * i;
    }
    s->cut[size] = s->count;
    s->part = allocate((size_t)size + 1, sizeof *s->part, "the ranks' shares");
    s->part_end = allocate((size_t)size, sizeof *s->part_end, "the ranks' shares");
    s->piece = allocate(fast ? 1 : SUM_PIECE, sizeof *s->piece, "a piece of a rank's gradient");
    s->own = shares_of(s, ranks_rank());
    if (s->zero) {
        optimizer_part.from = s->cut[s->own];
        optimizer_part.to = s->cut[s->own + 1];
        optimizer_share_norms = ranks_device ? NULL : shares_norms;
        if (!ranks_device) {
            shares_cut_pieces(s, info);
        }
    }
}

void shares_destroy(struct shares *s) {
    free(s->cut);
    free(s->part);
    free(s->part_end);
    free(s->piece);
    free(s->pieces);
}

int shares_of(const struct shares *s, int rank) {
    return s->fast ? rank : sum_share(rank);
}

void shares_print(const struct shares *s, const struct model_info *info) {
    const int size = ranks_size();
    if (!s->zero) {
        return;
    }
    const int moments = info->optimizer == OPTIMIZER_SGD ? 0 : 8;
    const int others = 8 + (info->packed_floats || info->bf16 ? 2 : 0); // with an image
    if (ranks_device) {
        printf("zero: moments are shared out: of weights, gradients and moments a rank's GPU has "
               "%d + %d/%d = %.3g bytes a parameter, not %d\n",
               others, moments, size, others + (double)moments / size, others + moments);
        return;
    }
    printf(
        "zero: moments are shared out: of weights, gradients and moments a rank has %d + %d/%d = "
        "%.3g bytes a parameter, not %d; rank 0 takes %s more while it reads or writes a state\n",
        others, moments, size, others + (double)moments / size, others + moments,
        figure_bytes((double)moments * (double)(s->count - s->count / size)).s);
}

// Cuts a part in the pieces of it that lie in the ranks' shares or, where all ranks get all, in
// equal ones, so that each sends as much.
static void shares_cut(const struct shares *s, int64_t from, int64_t to) {
    const int size = ranks_size();
    for (int i = 0; i <= size; i++) {
        const int64_t cut =
            s->zero ? s->cut[i] : from + (to - from) / SHARES_LINE * i / size * SHARES_LINE;
        s->part[i] = i == size || cut > to ? to : cut < from ? from : cut;
    }
}

void shares_sum(const struct shares *s, float *x, int64_t from, int64_t to) {
    if (s->fast && !s->zero) {
        ranks_add(x + from, to - from);
        return;
    }
    shares_cut(s, from, to);
    if (s->fast) {
        ranks_add_shares(x, s->part);
        return;
    }
    sum_scatter(x, s->part, s->piece);
    if (!s->zero) {
        sum_gather(x, s->part, s->part + 1);
    }
}

void shares_gather(const struct shares *s, float *x) {
    if (s->fast) {
        ranks_gather(x, s->cut);
    } else {
        sum_gather(x, s->cut, s->cut + 1);
    }
}

void shares_gather_piece(const struct shares *s, float *x, int piece) {
    const int size = ranks_size(), places = s->pieces_count + 1;
    for (int share = 0; share < size; share++) {
        s->part[share] = s->pieces[share * places + piece];
        s->part_end[share] = s->pieces[share * places + piece + 1];
    }
    sum_gather(x, s->part, s->part_end);
}

// ---- rank 0's moments ---------------------------------------------------------------------------

// Moves the share of another rank between it and rank 0.
static void shares_move(const struct shares *s, float *x, int rank, bool to_zero) {
    const int share = shares_of(s, rank);
    for (int64_t from = s->cut[share], to = s->cut[share + 1]; from < to; from += SHARES_PIECE) {
        const int64_t count = to - from < SHARES_PIECE ? to - from : SHARES_PIECE;
        const size_t bytes = (size_t)count * sizeof *x;
        if ((ranks_rank() == 0) == to_zero) {
            ranks_exchange(to_zero ? rank : 0, NULL, 0, x + from, bytes);
        } else {
            ranks_exchange(to_zero ? 0 : rank, x + from, bytes, NULL, 0);
        }
    }
}

static void shares_move_all(const struct shares *s, struct model *m, bool to_zero) {
    float *const parts[] = {m->m, m->v};
    for (int i = 0; i < 2 && parts[i]; i++) {
        for (int rank = 1; rank < ranks_size(); rank++) {
            if (ranks_rank() == 0 || ranks_rank() == rank) {
                shares_move(s, parts[i], rank, to_zero);
            }
        }
    }
}

// Gives the pages back that have none of rank 0's own moments.
static void shares_drop(const struct shares *s, struct model *m) {
    float *const parts[] = {m->m, m->v};
    const size_t from = (size_t)s->cut[s->own] * sizeof(float) / SHARES_PAGE * SHARES_PAGE;
    const size_t to =
        ((size_t)s->cut[s->own + 1] * sizeof(float) + SHARES_PAGE - 1) / SHARES_PAGE * SHARES_PAGE;
    const size_t all = (size_t)s->count * sizeof(float);
    for (int i = 0; i < 2 && parts[i] && ranks_rank() == 0; i++) {
        char *part = (char *)parts[i];
        madvise(part, from, MADV_DONTNEED);
        if (to < all) {
            madvise(part + to, all - to, MADV_DONTNEED);
        }
    }
}

void shares_bring(const struct shares *s, struct model *m) {
    if (s->zero && ranks_device) {
        ranks_device->bring(s, m);
    } else if (s->zero) {
        shares_move_all(s, m, true);
    }
}

void shares_brought(const struct shares *s, struct model *m) {
    if (s->zero && !ranks_device) {
        shares_drop(s, m);
    }
}

void shares_hand_out(const struct shares *s, struct model *m) {
    if (s->zero && !ranks_device) {
        shares_move_all(s, m, false);
        shares_drop(s, m);
    }
}
