// model.h: a model in memory and what is done with it: training steps, by a pool of threads, and the
// time that its kernels take. Emitted code (kernel/emitted.h) says what it computes. It stands on base
// and kernel. On a CUDA device, memory.c, step.c and profile.c of the wing gpu stand in for those here.
#ifndef DIECAST_MODEL_MODEL_H
#define DIECAST_MODEL_MODEL_H

#include "runtime/kernel/emitted.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// ---- parallel.c: one parallel region at a time --------------------------------------------------

typedef void parallel_fn(void *context, int thread, int threads);
// Sets the number of threads as --threads asks: at most as many as may run at once, where 0 all of
// them, or OMP_NUM_THREADS. Says so where it takes fewer than were asked for. Returns the number.
int parallel_choose(int asked);
// Sets this very number, up to OMP_THREAD_LIMIT.
int parallel_threads(int threads);
// The number that is set.
int parallel_count(void);
// Runs fn once in each thread and waits for all.
void parallel_run(parallel_fn *fn, void *context);
// Within a region parallel_barrier waits for all of its threads.

// ---- memory.c -----------------------------------------------------------------------------------

// Bytes of the one allocation for this model with the threads that parallel_threads set: the
// printed plan. with_optimizer leaves out m and v where false.
size_t model_plan_bytes(const struct model_info *info, bool with_optimizer);
// What a trainer has in memory before it touches the plan: its code, libraries, the vocabulary.
// 0 on a GPU, whose memory is the plan's alone.
size_t model_program_bytes(void);
// Allocates and zeroes. Dies with EXIT_MEMORY, naming the size wanted and the size there is.
void model_create(struct model *m, const struct model_info *info, bool with_optimizer);
void model_destroy(struct model *m);

// ---- init.c -------------------------------------------------------------------------------------

// Fills params from RNG_INIT: element e of tensor t is a function of (seed, t, e) alone.
void model_init(struct model *m, const struct model_info *info, uint64_t seed);

// ---- optimizer.c: AdamW, Adam and SGD, as torch.optim computes them -----------------------------

struct optimizer_step {
    double learning_rate, beta1, beta2, eps, weight_decay;
    int64_t t;    // 1 for the first update
    double scale; // gradients are multiplied by this first: the clip factor
};
// Tensors are cut in chunks, which threads share. The chunks of a model:
int64_t optimizer_chunks(const struct model_info *info);
// The global L2 norm of grads: m->norms = the sum of squares of each of this thread's chunks; and,
// when all threads have done theirs, the root of their sum, added in order. In double.
void optimizer_norm_part(struct model *m, const struct model_info *info, int thread, int threads);
double optimizer_norm_total(const struct model *m, const struct model_info *info);
// One update of params, m and v: this thread's chunks.
void optimizer_update_part(struct model *m, const struct model_info *info,
                           const struct optimizer_step *step, int thread, int threads);

// ---- step.c, on a CUDA device gpu/step.c: training steps and evaluation batches -----------------
// On the CPU each call has done its work when it returns. On a device it is queued: results are
// read late, with step_wait and step_total, so that the device never waits for the host.

// What the run computes on, and its peak in floating-point operations a second, or 0 where that is
// not known; `line` says it for people.
double step_peak(const struct model *m, char line[256]);
// m's weights (and moments) were filled by the host: what computes gets them, and goes on behind
// `updates` updates. float16: with the loss scaler's factor, 0 before it was set, which has not
// changed for loss_scale_steps updates.
void step_begin(struct model *m, const struct model_info *info, int64_t updates, double loss_scale,
                int64_t loss_scale_steps);
// A micro-step on m's tokens and targets: grads += their gradients, over `micro_steps` in all; the
// first one of a step begins anew. m->tokens and m->targets may point elsewhere afterwards.
void step_gradients(struct model *m, const struct model_info *info, int micro_steps, bool first);
// The last micro-step, as step_gradients, and step_update: on the CPU in one parallel region.
void step_finish(struct model *m, const struct model_info *info, int micro_steps, bool first,
                 const struct step_settings *settings, int64_t t);
// Clips (where grad_clip > 0) and updates, or skips where the loss is not finite or the norm not below
// its limit. t is the number of this update, from 1, on the CPU; a device counts for itself.
void step_update(struct model *m, const struct model_info *info,
                 const struct step_settings *settings, int64_t t);
// Judges the micro-steps since the first one as step_update would, whose result is then there to read,
// and changes nothing.
void step_try(struct model *m, const struct model_info *info);
// Results that were not read yet, and how many of them there may be before step_wait is due.
int step_pending(const struct model *m);
int step_ahead(const struct model *m);
// The result of the oldest step that was not read yet.
struct step_result step_wait(struct model *m);
// One evaluation batch, with m->dropout as it is: adds to the total, which the first one begins.
void step_loss(struct model *m, const struct model_info *info, bool first);
// The total of the losses since the first one; m->loss is the last.
double step_total(struct model *m);
// Makes m's params (and moments) on the host those of now, for a checkpoint or a sample.
void step_fetch(struct model *m, const struct model_info *info);
// Makes m's grads on the host those of the micro-steps since the first one, before step_update; for
// tests.
void step_fetch_grads(struct model *m, const struct model_info *info);

// ---- profile.c: where the time goes -------------------------------------------------------------

extern bool profile_on;                                                // set by bench
void profile_read(double *seconds, int64_t *calls, int kernels_count); // totals so far, per kernel
void profile_reset(void);

// ---- peak.c: what this machine can do, measured -------------------------------------------------

// Floating-point operations a second, in billions, a multiply-add counted as two, all threads at
// once: the best of 144 short rounds, which take some tens of milliseconds. *held, where it is not
// NULL: the rate over all of them, which a core holds for longer.
double peak_gflops(int threads, double *held);
// Bytes a second, in billions, read by all threads together from `bytes` of memory that they share
// out.
double peak_read_gbs(int threads, size_t bytes);

#endif
