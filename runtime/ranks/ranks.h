// ranks.h: a job of several processes, its ranks, each of which computes a part of every step's
// micro-steps. one.c is a job of one process: it costs nothing and links nothing. In trainers that
// `make train RANKS=N` builds, mpi/ replaces it. It stands on base, kernel and model.
#ifndef DIECAST_RANKS_RANKS_H
#define DIECAST_RANKS_RANKS_H

#include "runtime/base/base.h"
#include "runtime/model/model.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// ---- one.c, or mpi/mpi.c: what carries data -----------------------------------------------------
// All ranks call each of these in the same order. Where a rank is lost meanwhile, the process ends.

// Call first. Dies with EXIT_USAGE if the process is one of several that know nothing of each
// other. Ranks but 0 print nothing from then on, except why they die.
void ranks_open(int *argc, char ***argv);
int ranks_rank(void); // from 0
int ranks_size(void);
// What is going on, for a line about a rank that is lost.
void ranks_at(int64_t iter, const char *what);
// From now on, after the start: a rank that is not heard of for so many seconds (60 before), or
// dies, ends the job.
void ranks_begin(double timeout);
// all: (size, bytes). Each rank has filled the part of its number, and gets the others'.
void ranks_share(void *all, size_t bytes);
// Every rank gets rank 0's bytes.
void ranks_give(void *bytes, size_t count);
// Sends to another rank, which sends as well, and receives from it.
void ranks_exchange(int other, const void *out, size_t out_bytes, void *in, size_t in_bytes);
// Every rank gets the sum of all ranks' x (count), in an order that is the library's.
void ranks_add(float *x, int64_t count);
// A rank's share of x, between cut[rank] and cut[rank + 1], becomes the sum of all ranks' in that
// order; and every rank gets the others' shares.
void ranks_add_shares(float *x, const int64_t *cut);
void ranks_gather(float *x, const int64_t *cut);
// The time that this thread was in these calls so far: of transfers, and of waiting for others.
double ranks_seconds(void);
// Whether a wait in these calls leaves its processor to other threads, which compute, at the price
// of being slower.
void ranks_patient(bool patient);
// The build's table of gradients that may travel during the backward pass. NULL: there is none.
const struct buckets *ranks_buckets(void);
// Returns when all ranks are here. They may then exit with any code.
void ranks_close(void);

// Where gradients are on a device, what exchanges them there: gpu/nccl sets it in ranks_open. NULL:
// they are in memory, and so are weights. In this place of reduce.c's, its functions queue their
// work behind that of the micro-step before, and wait for nothing.
struct reduce;
struct shares;
struct ranks_device {
    int64_t (*count)(const struct model_info *info); // of gradients, which all ranks have shares of
    void (*create)(struct reduce *r, const struct model_info *info);
    void (*add)(struct reduce *r, int64_t micro);
    void (*finish)(struct reduce *r);
    void (*give_back)(const struct reduce *r);
    void (*bring)(const struct shares *s, struct model *m); // as shares_bring
    void (*destroy)(struct reduce *r);
};
extern const struct ranks_device *ranks_device;

// ---- environment.c ------------------------------------------------------------------------------

// Dies with EXIT_USAGE if the environment says that this process, which is alone, is one of
// several: each of them would write the same run. `why` says why it is alone and what to do.
void ranks_check_alone(const char *why);

// ---- agree.c: what all ranks have to agree on ---------------------------------------------------

// The largest of the ranks' numbers.
int64_t ranks_most(int64_t number);

// What a rank says of itself at the start. If `ended`, it exits with `code`, for a reason that it
// may have said.
struct ranks_card {
    bool ended;
    int code;
    char host[64], line[512];
    char program[17], settings[17], data[17]; // hashes
};
// All ranks meet: if one has ended, or one's program, settings or data are not rank 0's, all exit,
// with one line. The first two are filled in here. A rank that exits before ranks_begin meets the
// others on its way, as ranks_leave does.
void ranks_meet(struct ranks_card *own);
// Of a rank that exits before ranks_begin, from a handler of exit: the others, which are about to
// meet it, exit with the same code, and rank 0 prints the line.
void ranks_leave(int code, const char *line);
// The host of a rank, once they have met.
const char *ranks_host(int rank);

// ---- sum.c --------------------------------------------------------------------------------------
// A power of two ranks. cut: (ranks + 1) places in x, between which shares lie.

// Neighbouring shares, from one up to another: what a rank has after so many exchanges, of which
// there are sum_steps.
struct sum_range {
    int from, to;
};
int sum_steps(void);
struct sum_range sum_range(int rank, int steps);
// A rank's share, for which sum_scatter leaves it the sum over all ranks: first neighbours', then
// those of neighbouring pairs, and so on, as reduce.c adds groups.
int sum_share(int rank);
enum { SUM_PIECE = 1 << 18 }; // floats that are received at a time
// piece: (SUM_PIECE), memory to work in.
void sum_scatter(float *x, const int64_t *cut, float *piece);
// Each rank gets a part of each share, from and to there (ranks), of the rank that has it.
void sum_gather(float *x, const int64_t *from, const int64_t *to);

// ---- shares.c: a share of the parameters for each rank ------------------------------------------

enum { SHARES_PIECES = 16 }; // of a share, at most, that are gathered one by one
struct shares {
    int64_t *cut; // (ranks + 1); NULL of one process
    int64_t count;
    int own;           // this rank's share
    bool fast;         // sums are in the library's order
    bool zero;         // a rank has its share's moments and makes its update alone
    int64_t *part;     // (ranks + 1) places in a part of the gradient that is summed,
    int64_t *part_end; // (ranks) or where pieces of shares end
    float *piece;      // (SUM_PIECE)
    // Where shares are updated and gathered in pieces: piece number i of the share `share` lies
    // between places i and i + 1 of pieces + share * (pieces_count + 1). 0: they are not.
    int64_t *pieces;
    int pieces_count;
};
// Before the model is created. Dies with EXIT_USAGE if MPI cannot count so many parameters.
void shares_create(struct shares *s, const struct model_info *info, bool fast, bool zero);
void shares_destroy(struct shares *s);
int shares_of(const struct shares *s, int rank);
void shares_print(const struct shares *s, const struct model_info *info);
// x, from and to there, becomes the sum over all ranks: all of it or, with `zero`, what is in this
// rank's share. One thread at a time.
void shares_sum(const struct shares *s, float *x, int64_t from, int64_t to);
// x becomes what each rank has in its share.
void shares_gather(const struct shares *s, float *x);
// The same of a piece of each share alone.
void shares_gather_piece(const struct shares *s, float *x, int piece);
// Rank 0 gets all moments, to write them; and gives their memory back.
void shares_bring(const struct shares *s, struct model *m);
void shares_brought(const struct shares *s, struct model *m);
// All get their moments from rank 0, which has read them.
void shares_hand_out(const struct shares *s, struct model *m);

// ---- overlap.c: exchanges while others compute --------------------------------------------------

struct overlap;
typedef void overlap_fn(void *context, int number);
// Starts a thread, which does nothing yet. Dies with EXIT_MEMORY.
struct overlap *overlap_open(void *context);
// The thread will do work(context, number) of each number below `count`, in order, once that is
// ready.
// What was begun before and not finished is forgotten; nothing of it may be ready.
void overlap_begin(struct overlap *o, overlap_fn *work, int count);
// All below `ready` are; several threads may call it.
void overlap_ready(struct overlap *o, int ready);
// Of the micro-step that follows: bucket `number` of ranks_buckets is ready once it is final.
void overlap_follow(struct overlap *o);
// All are ready: returns when they are done, with the seconds that it took. *carried: how long the
// thread's transfers have taken so far.
double overlap_finish(struct overlap *o, double *carried);
// Of the thread's work: whether no thread computes meanwhile.
bool overlap_waits(const struct overlap *o);
void overlap_close(struct overlap *o); // NULL is nothing

// ---- reduce.c: the gradient of a step -----------------------------------------------------------
// A step's micro-steps are cut in groups of neighbours. Within a group, gradients add in order;
// groups add in one tree: ((0 + 1) + (2 + 3)) + ((4 + 5) + (6 + 7)). A rank has neighbouring
// groups, so the sum has the same bytes for any number of ranks that divides that of the groups.
// Where it shall be fast, any number of ranks has one group each, and the library adds them.

struct reduce {
    int64_t micro_steps, groups; // of the job
    int64_t first, own;          // this rank's first micro-step and how many it has,
    int64_t each;                // and how many a group has
    bool plain;                  // one group, one process: nothing to do
    const struct shares *shares;
    int levels;  // gradients that are kept beside m->grads: log2 of own groups
    float *kept; // (levels, state_floats)
    size_t kept_bytes;
    double *losses; // (micro_steps)
    struct model *m;
    const struct model_info *info;
    struct overlap *overlap; // NULL: what ranks exchange waits for the last micro-step's end
    bool begun;              // the last micro-step's gradients travel as they are made
    bool *normed;            // (optimizer_chunks): whose partial norms have been taken meanwhile
    atomic_int updated[SHARES_PIECES]; // how many threads have updated a piece
    double waited, hidden; // seconds so far: for the thread that exchanges, and behind computation
    double carried;        // of its transfers
};
// The number of groups of a run that starts: 1 on one process, else the largest power of two up to
// 8 that divides the micro-steps.
int64_t reduce_choose(int64_t micro_steps);
// Dies with EXIT_USAGE unless groups and ranks divide what they must.
void reduce_check(const struct model_info *info, int64_t micro_steps, int64_t groups, bool fast);
// With `overlap`, and if the build has buckets, gradients travel while they are made. Dies with
// EXIT_MEMORY.
void reduce_create(struct reduce *r, struct model *m, const struct model_info *info,
                   int64_t micro_steps, int64_t groups, const struct shares *shares, bool overlap);
// Prints how gradients add, in one line, and in another one what a rank has.
void reduce_print(const struct reduce *r);
// Before this rank's last micro-step: its gradients may travel from now on.
void reduce_begin(struct reduce *r);
// After this rank's micro-step number `micro`, from 0: keeps its loss and, where a group ends, adds
// its gradient.
void reduce_add(struct reduce *r, int64_t micro);
// After the last one: m's total and loss become the job's, and so do its grads, or this rank's
// share of them where ranks update a share each. All ranks call it, one that could not compute its
// micro-steps too, since others' gradients may be under way.
void reduce_finish(struct reduce *r);
// After the update: m's params are the job's.
void reduce_return(struct reduce *r);
// Seconds so far that steps took longer for exchanges, and that these took behind computation.
double reduce_waited(const struct reduce *r);
double reduce_hidden(const struct reduce *r);
void reduce_destroy(struct reduce *r);

#endif
