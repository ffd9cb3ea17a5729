//// sample.c: the frame of a sampler's model: a few tokens forward through a cache of keys and
//// values.
//$ function sample(k)
// sample.c: a model's forward pass for sampling.
//
//   $(k.title)
//$ for i, line in ipairs(k.command) do
//$ local label = i == 1 and "  made by      " or "               "
// $(label)$(line)
//$ end
//$ local memory = k.memory_floats * 4 .. " bytes beside the weights"
//   memory       $(memory), which stay in the checkpoint's mapping,
//                and $(k.cache_floats * 4) for each further text that is written at a time
//
//$ if k.weights then
// Kernels in order of first use, then sampler_forward. Matrices are in $(k.weights), laid out as in
// small.h; the letters are model.h's, but N is the most tokens that one call takes.
//$ else
// Kernels in order of first use, then sampler_forward. Weights are laid out as in nanoGPT's
// checkpoint; the letters are model.h's, but N is the most tokens that one call takes.
//$ end
#include "model.h"

#include "runtime/kernel/kernel.h"
#include "runtime/kernel/product.h"
//$ if k.weights then
#include "runtime/kernel/small.h"
//$ end

_Static_assert(VEC == $(k.isa.vec), $(k.string(k.vec_message)));

$(k.kernel_texts)
// ---- the model ----------------------------------------------------------------------------------

// Runs a kernel in all threads and waits for all of them.
#define RUN(kernel, ...)                                                                           \
    do {                                                                                           \
        $(k.run);                                                                                  \
        sampler_wait_prefetching(s, thread);                                                       \
    } while (0)

// From here on, a waiting thread prefetches its part of w (O, C), which a product reads next.
#define PREFETCH(w, O, C) sampler_prefetch(s, thread, product_part(w, O, C, thread, s->threads))
//$ if k.weights then
#define PREFETCH_SMALL(type, w, O, C)                                                              \
    sampler_prefetch(s, thread, small_part(type, w, O, C, thread, s->threads))
#define PREFETCH_BFLOAT16(w, O, C) PREFETCH_SMALL(WEIGHT_BF16, w, O, C)
#define PREFETCH_Q8_0(w, O, C) PREFETCH_SMALL(WEIGHT_Q8_0, w, O, C)
#define PREFETCH_Q4_0(w, O, C) PREFETCH_SMALL(WEIGHT_Q4_0, w, O, C)
//$ end

//$ if k.forward.functions ~= "" then
$(k.forward.functions)
//$ end
void sampler_forward(struct sampler *s, const struct sampler_batch *batch, int thread) {
    $(k.forward.body)
}

#undef RUN
#undef PREFETCH

const struct sampler_info sampler_info = {
    .config = MODEL_CONFIG,
    .block_size = MODEL_T,
    .vocab_size = MODEL_V,
    .n_layer = MODEL_L,
    .n_head = MODEL_H,
    .n_embd = MODEL_C,
    .params = model_params,
    .params_count = MODEL_PARAMS,
    .max_rows = $(k.rows),
    .memory_floats = $(k.memory_floats),
    .cache_floats = $(k.cache_floats),
    .cache_rows = $(k.cache_rows),
    .cache_width = $(k.cache_width),
    //$ if k.cache_bfloat16 then
    .cache_bfloat16 = true,
    //$ end
    //$ if k.weights then
    .weights = $(k.weights_enum),
    .open_small = sampler_open_small,
    //$ end
};
//$ end
