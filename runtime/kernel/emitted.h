// emitted.h: the interface between emitted code and the runtime.
//
//     emitted train.c   provides  model_info, model_forward, model_loss, model_backward
//     emitted sample.c  provides  sampler_info, sampler_forward
//
// and each calls a few functions of the runtime, which are declared here and nowhere else, so that
// kernels include no header of another wing. device.h and gemm.h add what a CUDA trainer needs.
//
// Letters, here and in emitted code: B batch, T context, C width, L layers, H heads, D head size,
// F feed-forward width, V vocabulary, N = B * T rows.
#ifndef DIECAST_EMITTED_H
#define DIECAST_EMITTED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// ---- a trainer: what emitted train.c provides ---------------------------------------------------

// A member that most tables leave out: false or 0 then. C++ warns of that, unless it is said here.
#ifdef __cplusplus
#define IF_STATED = {}
#else
#define IF_STATED
#endif

enum init_kind { INIT_ZEROS, INIT_ONES, INIT_NORMAL, INIT_UNIFORM };

// What an optimizer may treat apart: embeddings (tokens', which may be the head's too, and
// positions'), a head of its own, what has one axis (gains and biases), and all other matrices.
enum param_group { GROUP_MATRICES, GROUP_EMBD, GROUP_HEAD, GROUP_VECTORS, GROUPS };

// One tensor of checkpoints, or one for each layer, of the same shape and at equal distances. The
// table follows the order of nanoGPT's state dict, with layers folded together.
struct param {
    const char *name; // in files; "%d" stands for the layer where layers > 1 or the name has one
    int layers;       // instances: n_layer where the name has "%d", else 1
    int64_t offset;   // of instance 0 in params, in floats (grads, m and v have the same layout)
    int64_t stride;   // from one instance to the next, in floats
    int64_t device_offset, device_stride; // the same on a CUDA device
    int64_t device_pitch;                 // on a device: floats from one row to the next
    int ndim;                             // 1 or 2
    int64_t dims[2]; // (out, in) for a weight, (count) for a vector (dims[1] is 1)
    bool decay;      // weight decay applies
    bool copy;       // a second name for memory that an earlier entry owns (a tied lm_head.weight):
                     // saved and shape-checked, never counted, initialised or updated
    enum param_group group IF_STATED;
    bool muon IF_STATED; // Muon updates it, not `update`
    // Its rows follow the entry's before it: one tensor in memory, several in files.
    bool joined IF_STATED;
    enum init_kind init;
    float init_value; // the standard deviation, or the bound of ±bound
};

// One emitted kernel, for bench's table. calls is counted at run time.
struct kernel_info {
    const char *name; // as in train.c: matmul_768x128x512_bias_gelu_erf
    double flops;     // per call
    double bytes;     // per call: each operand read once, each result written once
};

enum optimizer_kind { OPTIMIZER_ADAMW, OPTIMIZER_ADAM, OPTIMIZER_SGD, OPTIMIZER_MUON };

// The arguments of one update of a group of parameters (update.h).
struct update {
    float scale;                      // multiplies the gradients: clip factor / loss scale
    bool decays;                      // weight decay applies to all of the group
    float keep_decayed, l2_decayed;   // AdamW: the factor that decay leaves; Adam, SGD: decay
    float rate;                       // SGD: the learning rate
    float mean_weight;                // 1 - beta1
    float square_keep, square_weight; // beta2, 1 - beta2
    float root, inverse_root;         // sqrt(1 - beta2^t), and 1 over that
    float step;                       // learning rate / (1 - beta1^t)
    float eps;
    float muon_rate, muon_keep; // Muon's learning rate, and the factor that its decay leaves
    float muon_momentum, muon_mean_weight; // the momentum, and 1 - that
    bool muon_match;                       // rates as for AdamW: 0.2 sqrt(longer side) of them
};

// Updates `count` neighbours of one tensor: params, and where the optimizer has moments means and
// squares, by their gradients. decay: weight decay applies to the tensor.
typedef void update_fn(const struct update *u, bool decay, float *params, const float *grads,
                       float *means, float *squares, int64_t count);

struct model;
// Updates the tensors with `muon` by Muon; all threads call it.
typedef void muon_fn(struct model *m, const struct update *u, int thread, int threads);

struct model_info {
    const char *hash;   // of all baked keys: the name of the build folder
    const char *config; // the baked keys, "key=value key=value ...", no quotes, no escapes
    const char *title;  // one line for people: "gpt 4 layers, 4 heads, 128 wide, ..."
    int batch_size, block_size, vocab_size, n_layer, n_head, n_embd;
    enum optimizer_kind optimizer;
    update_fn *update;   // of that optimizer; NULL on a device, where a kernel updates all
    muon_fn *muon;       // NULL if no tensor is Muon's
    int64_t muon_floats; // what it works in
    bool dropout;        // dropout is built in
    const struct param *params;
    int params_count;      // entries of the table
    int64_t state_floats;  // length of params, and of grads, m and v: sum of all, with padding
    int64_t packed_floats; // on a device: length of packed, the weights in the type of activations
    int64_t acts_floats;   // length of acts: activations and their gradients
    int64_t losses;        // in acts, in floats: the losses of the rows (N), after model_loss
    size_t scratch_bytes;  // for each thread: memory that kernels use while they run
    int64_t device_floats; // on a CUDA device: length of params there, with its padding
    const char *dtype;     // what is computed in: "float32", ...
    int64_t num_params;    // all
    int64_t num_params_nanogpt; // without position embeddings, as nanoGPT counts
    double flops_per_token;     // 6 N + 12 L H Q T with nanoGPT's N
    const struct kernel_info *kernels;
    int kernels_count;
    int muon_kernels; // so many of them, the last ones, are parts of Muon's update
    const bool *bf16; // on a CPU: which kernels are products in bfloat16; NULL: none
};

// The settings of a group of parameters in one update.
struct group_settings {
    double learning_rate, beta1, beta2, weight_decay;
    bool decays; // weight decay applies to all of the group, whatever its tensors' `decay` is
};

// The settings of one update.
struct step_settings {
    struct group_settings group[GROUPS];
    double eps;
    double grad_clip; // 0 is off
    double muon_rate, muon_momentum, muon_decay;
    bool muon_match;  // Muon's updates are scaled to have AdamW's root mean square
    int32_t only_try; // on a device: compute the result, but update and count nothing
};

// A step whose gradients have a norm from here on is skipped, like one that is not finite: the
// square of such a gradient overflows float and would leave infinity in Adam's moments for good.
#define STEP_NORM_LIMIT 0x1p64

// How one optimizer step went.
struct step_result {
    double total;    // the sum of its micro-batches' losses
    double last;     // the loss of the last one
    double norm;     // of the gradients, before the clip; NaN where the loss is not finite
    double scale;    // float16: the loss scaler's factor for the next step; else 1
    int64_t t;       // updates so far, this one too
    int64_t good;    // float16: updates since the factor last changed
    int32_t skipped; // loss or gradients are not finite: parameters and moments are unchanged
};

// A model in memory. All arrays are in one allocation (memory.c).
struct model {
    float *params, *grads, *m,
        *v;           // state_floats each; m and v are NULL where the optimizer has none
    uint16_t *packed; // on a CPU with products in bfloat16: an image of params (bf16.h), at the
                      // same places; else NULL
    bool imaged;      // it is of params as they are: who writes them sets this to false
    float *acts;      // acts_floats
    int32_t *tokens;  // (B, T), each in [0, V)
    int32_t *targets; // (B, T), each in [0, V), or -1: not counted
    float loss_scale; // 1 / (targets that count * accumulation): d loss / d row's loss
    bool first;       // a step's first micro-step: gradients are overwritten
    float dropout;    // probability; 0 in evaluations
    uint32_t dropout_key[2];   // for this micro-step
    double loss;               // out: mean over the targets that count
    double total;              // of the micro-batches or evaluation batches so far
    struct step_result result; // of the last step
    int pending;               // 1: result has not been read yet
    float *muon;               // info->muon_floats
    double *norms;             // optimizer_chunks: partial sums of squared gradients
    char *scratch;             // info->scratch_bytes (rounded up to pages) for each thread
    const char *products;      // on a device: how the algorithms of its products were chosen
    void *memory;              // the one allocation
    size_t memory_bytes;
};

// Neighbouring gradients, from and to there in floats of grads. They are final when so many kernels
// of a micro-step, forward and backward, have run.
struct bucket {
    int64_t from, to;
    int after;
};
// All gradients, in the order in which they are final: emitted buckets.c, of a trainer for several
// ranks on CPUs.
struct buckets {
    const struct bucket *list; // (count)
    int count;
    int kernels; // of a micro-step
};

extern const struct model_info model_info;
extern const struct buckets model_buckets;
// Every thread of one parallel region calls each of these, with its number and their count; results
// do not depend on the count. They end with a barrier.
// tokens, params -> acts, all but the loss.
void model_forward(struct model *m, int thread, int threads);
// After model_forward: targets -> loss. For evaluations.
void model_loss(struct model *m, int thread, int threads);
// After model_forward: targets -> loss, and grads = or, where not the first micro-step, += d loss /
// d params (scaled by loss_scale).
void model_backward(struct model *m, int thread, int threads);

// ---- what emitted train.c calls -----------------------------------------------------------------

// model/memory.c: this thread's scratch memory.
void *model_scratch(const struct model *m, int thread);
// model/parallel.c: waits until all threads of the parallel region are here.
void parallel_barrier(void);
// model/optimizer.c: whether this process updates the matrix at this place of params.
bool optimizer_owns(int64_t at);
// model/profile.c. All threads call this after each kernel: a barrier, and, if profile_on, adds the
// time since the last call to the kernel's.
void kernel_done(int kernel, int thread);
// Called before the first kernel.
void profile_start(int thread);

// ---- a sampler: what emitted sample.c provides --------------------------------------------------

struct sampler;
struct safetensors;

// How a sampler's matrices are stored: as the checkpoint has them, or in the layout of small.h.
enum weight_type { WEIGHT_F32, WEIGHT_BF16, WEIGHT_Q8_0, WEIGHT_Q4_0, WEIGHT_TYPES };

struct sampler_info {
    const char *config; // the baked keys
    int block_size, vocab_size, n_layer, n_head, n_embd;
    const struct param *params; // names and shapes as in model_info; offset and stride unused
    int params_count;
    int max_rows;          // tokens that one sampler_forward call takes at most
    int64_t memory_floats; // KV cache and activations
    // The KV cache of a text: pieces (cache_rows, cache_width) of which a position has its row, or
    // panels of SAMPLER_PANEL positions theirs.
    int64_t cache_floats;
    int cache_rows, cache_width;
    bool cache_bfloat16; // its numbers are in bfloat16, two in a float
    enum weight_type weights;
    // Uses the weights of an open file in that type; NULL if they are float32, so that a sampler of
    // these has no more to link.
    bool (*open_small)(struct sampler *s, const struct safetensors *file, char error[512]);
};
enum { SAMPLER_PANEL = 32 };
// A text that is written: what is in its KV cache.
struct sampler_text {
    size_t cache;    // floats from the first text's KV cache to this one's
    int32_t *window; // (T), the tokens of the context
    int used;        // so many of them
    int done;        // of these: keys and values are in the cache
    int first;       // the position of the first one, where it need not be 0 (slide.c)
    bool slid;       // there were others before them
    bool *seen;      // (V), the tokens of the whole text so far
};
struct sampler {
    // One per tensor instance in memory: params[0] layer 0, layer 1, ..., params[1] ...; entries
    // that are joined to one before have none of their own.
    const float **weight;
    float *memory; // the first text's KV cache, activations, then the others' caches; 64-byte
                   // aligned, zeroed
    void *block;   // the allocation that memory is aligned in
    int texts;     // that there is room for
    struct sampler_text *text; // (texts)
    float *logits;             // (texts * (1 + lookup), V), but at most max_rows
    int *pos;                  // (max_rows), a batch's
    struct sampler_run *runs;  // (texts), a batch's
    struct sampler_run *asked; // (max_rows), a batch's
    int vocab_size;            // the tokenizer's: ids from here to V are padding and never chosen
    int lookup;                // tokens of a draft at most, where there is room; 0: none is tried
    int64_t drafted, right;    // tokens of drafts, and of these: those that were chosen
    bool slide_half;           // at the end of the context a text loses the older half, not a token
    int threads;
    struct sampler_team *team; // NULL with one thread
    float *weights;            // receives attention's weights; NULL if they are not wanted
    int weights_tokens;        // the number of tokens that weights has room for
};
extern const struct sampler_info sampler_info;
// Rows of a batch that are one text's, one behind the other.
struct sampler_run {
    size_t cache;    // floats from the first text's KV cache to this one's
    int first, rows; // rows of the batch
    int pos;         // of the first one in the context
};
struct sampler_batch {
    const int32_t *tokens; // (rows)
    const int *pos; // (rows), of each in its text: below T where the model has a table of them
    int rows;       // 1..max_rows
    const struct sampler_run *runs;
    int count;                       // runs, of different texts
    const struct sampler_run *asked; // their last rows are those that logits are wanted of
    int asks;                        // so many, at least one
    float *logits;                   // (asks, V)
};
// Runs the batch's tokens through the model, adding them to the KV caches. What is computed for a
// row does not depend on those of other texts. Called by each of s->threads threads.
void sampler_forward(struct sampler *s, const struct sampler_batch *batch, int thread);

// ---- what emitted sample.c calls: sample/team.c -------------------------------------------------

// Waits until all threads of s are here. Returns at once with one thread.
void sampler_wait(struct sampler *s);
// The same, and meanwhile prefetches a part of what this thread reads next, which begins at `from`
// of its last sampler_prefetch.
void sampler_wait_prefetching(struct sampler *s, int thread);
void sampler_prefetch(struct sampler *s, int thread, const float *from);

// sample/small.c: checks that a file has this sampler's weights, as make sampler TYPE= writes them,
// and points s->weight at them. False with one line in error.
bool sampler_open_small(struct sampler *s, const struct safetensors *file, char error[512]);

// sample/sampler.c: where one layer's attention weights go, or NULL.
float *sampler_layer_weights(const struct sampler *s, int layer);

#ifdef __cplusplus
}
#endif

#endif
