// model.h: a model in memory: its weights, training steps on a pool of threads, and the time that
// its kernels take. The computation is emitted code (kernel/emitted.h). It stands on base and
// kernel. On a CUDA device, memory.c, step.c and profile.c of the wing gpu replace those here.
#ifndef DIECAST_MODEL_MODEL_H
#define DIECAST_MODEL_MODEL_H

#include "runtime/kernel/emitted.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// ---- parallel.c: a pool of threads, one parallel region at a time -------------------------------

typedef void parallel_fn(void *context, int thread, int threads);
// Sets the number of threads from --threads; 0 means OMP_NUM_THREADS if that is set, else as many
// as may run at once, which is also the maximum. Warns if that is less than asked for. Returns the
// number.
int parallel_choose(int asked);
// Sets exactly this number, up to 1024 (PARALLEL_MOST). Returns the number.
int parallel_threads(int threads);
// The number of threads that is set.
int parallel_count(void);
// Runs fn once in each thread and waits for all. Within fn, parallel_barrier (kernel/emitted.h)
// waits until all threads have arrived.
void parallel_run(parallel_fn *fn, void *context);

// ---- memory.c -----------------------------------------------------------------------------------

// Bytes of the allocation for this model with the threads set by parallel_threads, as trainers
// print them. Without with_optimizer, m and v are left out; of a part (optimizer.c), what others
// have is, for which addresses are kept, but no memory.
size_t model_plan_bytes(const struct model_info *info, bool with_optimizer);
// Bytes that the program has in memory before it touches that allocation: code, libraries, the
// vocabulary. 0 on a GPU, whose memory holds the allocation alone.
size_t model_program_bytes(void);
// The most bytes that this process has had in memory so far, or 0 where that is not known; on a GPU
// the device's bytes that the model's allocation takes, as frameworks count what they allocate.
size_t model_peak_bytes(void);
// Allocates zeroed memory. Dies with EXIT_MEMORY, naming the wanted and the available size.
void model_create(struct model *m, const struct model_info *info, bool with_optimizer);
void model_destroy(struct model *m);

// FLOP a token as llm.c counts them: 6 for each of all parameters, and half of the attention's
// (T, T) products, which are what nanoGPT's figure has besides its own parameters.
static inline double model_flops_llmc(const struct model_info *info) {
    const double attention = info->flops_per_token - 6.0 * (double)info->num_params_nanogpt;
    return 6.0 * (double)info->num_params + attention / 2;
}

// ---- init.c -------------------------------------------------------------------------------------

// Fills params from RNG_INIT: element e of tensor t is a function of (seed, t, e) alone.
void model_init(struct model *m, const struct model_info *info, uint64_t seed);

// ---- normals.c ----------------------------------------------------------------------------------

// Fills out (count) with scale * rng_normal(rng_bits(seed, RNG_INIT, first + i, high)), rounded to
// float: the same bytes, several times as fast.
void normals_fill(float *out, int64_t count, uint32_t seed, uint32_t first, uint32_t high,
                  float scale);

// ---- optimizer.c: the gradients' norm, and the emitted update of all parameters -----------------

// The part of params, in floats from and to there, whose moments this process has and which it
// updates: all, unless it is set before the other calls.
struct optimizer_part {
    int64_t from, to;
};
extern struct optimizer_part optimizer_part;
// Where others wait for the part: places in it (count + 1), between chunks, and what each thread
// calls behind its update of what is before place number `piece`, in order from 1.
struct optimizer_pieces {
    const int64_t *cut;
    int count;
    void (*updated)(void *context, int piece);
    void *context;
};
extern struct optimizer_pieces optimizer_pieces;
// The lowest place not below `at` where a part may begin: between chunks, and not in a matrix that
// is updated as a whole.
int64_t optimizer_cut(const struct model_info *info, int64_t at);
// Of several processes with a part each: after optimizer_norm_part, gets others' norms (count), of
// which one's own are there and all else is 0. NULL of one process.
extern void (*optimizer_share_norms)(double *norms, int64_t count);
// The number of chunks that the model's tensors are cut in, which are shared out to threads.
int64_t optimizer_chunks(const struct model_info *info);
// The global L2 norm of grads, in double. norm_part writes the sum of squares of each of this
// thread's chunks to m->norms, and with of_part 0 for those of other parts; norm_total, after all
// threads have done so, adds them in order and takes the root.
void optimizer_norm_part(struct model *m, const struct model_info *info, bool of_part, int thread,
                         int threads);
// Before that, of chunks in a part of grads: writes theirs to m->norms, and `normed` (chunks) gets
// true for those. What optimizer_normed points to, if it is not NULL, norm_part leaves as it is.
void optimizer_norm_early(struct model *m, const struct model_info *info, int64_t from, int64_t to,
                          bool *normed);
extern const bool *optimizer_normed;
double optimizer_norm_total(const struct model *m, const struct model_info *info);
// Makes m's image of the weights, if it has one that is not of them as they are. All threads call
// this.
void optimizer_image_part(struct model *m, const struct model_info *info, int thread, int threads);
// Updates this thread's chunks of params, m and v, of the part, and of the image.
void optimizer_update_part(struct model *m, const struct model_info *info,
                           const struct update updates[GROUPS], int thread, int threads);

// ---- step.c, on a CUDA device gpu/step.c: training steps and evaluation batches -----------------
// On the CPU each call has finished when it returns. On a device it is queued, and results are read
// later, with step_wait and step_total, so that the device does not wait for the host.

// The peak of the processor or device in floating-point operations a second, or 0 if it is unknown;
// `line` describes it for people.
double step_peak(const struct model *m, char line[256]);
// Call after the host has filled m's weights (and moments): copies them to the device and continues
// from `updates` updates. For float16: loss_scale is the loss scaler's factor, 0 if it was never
// set, unchanged for loss_scale_steps updates.
void step_begin(struct model *m, const struct model_info *info, int64_t updates, double loss_scale,
                int64_t loss_scale_steps);
// A micro-step on m's tokens and targets: adds their gradients, divided by micro_steps, to grads;
// the first one of a step overwrites grads. m->tokens and m->targets may point elsewhere
// afterwards.
void step_gradients(struct model *m, const struct model_info *info, int micro_steps, bool first);
// The last micro-step of a step: step_gradients and step_update, on the CPU in one parallel region.
void step_finish(struct model *m, const struct model_info *info, int micro_steps, bool first,
                 const struct step_settings *settings, int64_t t);
// Clips (if grad_clip > 0) and updates; skips both if the loss is not finite or the norm is not
// below STEP_NORM_LIMIT. t is the number of this update, from 1, on the CPU; a device counts by
// itself.
void step_update(struct model *m, const struct model_info *info,
                 const struct step_settings *settings, int64_t t);
// Makes the result (loss, norm, skipped) of the micro-steps since the first one as step_update
// would, but updates nothing.
void step_try(struct model *m, const struct model_info *info);
// The number of results that were not read yet, and how many of them may wait before step_wait must
// be called.
int step_pending(const struct model *m);
int step_ahead(const struct model *m);
// Waits for and returns the result of the oldest step that was not read yet.
struct step_result step_wait(struct model *m);
// The loss of one evaluation batch, with m->dropout as it is: the first one sets the total, others
// add.
void step_loss(struct model *m, const struct model_info *info, bool first);
// The total of the losses since the first one; m->loss is the last.
double step_total(struct model *m);
// The losses of the rows (N) of the last step_loss, 0 where a target does not count.
void step_losses(struct model *m, const struct model_info *info, float *losses);
// Brings m's params (and moments) on the host up to date, for a checkpoint or a sample.
void step_fetch(struct model *m, const struct model_info *info);
// Brings m's grads on the host up to date, before step_update; for tests.
void step_fetch_grads(struct model *m, const struct model_info *info);

// ---- profile.c: time per kernel -----------------------------------------------------------------

extern bool profile_on;                                                // set by bench
void profile_read(double *seconds, int64_t *calls, int kernels_count); // totals so far, per kernel
void profile_reset(void);

// On a CPU: called behind each kernel, in one thread, while others may begin with the next one.
// NULL does nothing.
extern void (*profile_follow)(void);

// ---- peak.c: this machine's peak rates, measured ------------------------------------------------

// GFLOP/s of all threads together, a multiply-add counted as two, in float32 or of factors in
// bfloat16: the best of 144 short rounds, which take some tens of milliseconds in all. *held, if
// not NULL, becomes the mean rate over all rounds, which a core can sustain for longer.
double peak_gflops(int threads, bool bf16, double *held);
// Whether this instruction set multiplies bfloat16, faster than float32.
bool peak_has_bf16(void);
// GB/s read by all threads together from `bytes` of memory, of which each reads its part.
double peak_read_gbs(int threads, size_t bytes);

#endif
