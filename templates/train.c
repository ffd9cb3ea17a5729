//// train.c: the frame of a trainer's model: kernels, then forward, loss and backward.
//$ function train(k)
// train.c: $(k.title).
//
//$ for i, line in ipairs(k.command) do
//$ local label = i == 1 and "  made by      " or "               "
// $(label)$(line)
//$ end
//   parameters   $(k.num_params)
//   memory       weights, gradients and moments $(k.params_mib) each, activations $(k.acts_mib)
//                ($(k.unplanned_mib) before planning)
//$ if k.image_mib then
//                and the weights rounded to bfloat16, for products, $(k.image_mib)
//$ end
//   one step     $(k.step_flops) ($(k.step_flops_nanogpt) as nanoGPT counts), a micro-batch of
//                $(k.c.batch_size) x $(k.c.block_size) tokens
//
// In this order: kernels by first use, model_forward, model_loss, model_backward, the update of the
// parameters, and what the runtime needs to know. Each buffer is declared with its shape; the
// comment above a call is the name that the model gives it.
#include "model.h"

#include "runtime/kernel/kernel.h"
#include "runtime/kernel/panel.h"
//$ if k.products == "bf16" then
#include "runtime/kernel/bf16.h"
//$ end

_Static_assert(VEC == $(k.isa.vec), $(k.string(k.vec_message)));

//$ if not k.specialise then
// The sizes of a kernel's operands, by the kernel's letters; X_LD is the distance between rows of
// X.
struct sizes {
    int $(k.size_letters);
};

// A kernel that takes its sizes as arguments: the compiler must not specialise it for its callers.
#ifdef __clang__
#define ANY_SIZES static __attribute__((noinline, used))
#else
#define ANY_SIZES static __attribute__((noipa))
#endif

//$ end
$(k.tile)
$(k.kernel_texts)
// ---- the model ----------------------------------------------------------------------------------

enum {
    //$ for _, kernel in ipairs(k.kernels) do
    $("KERNEL_"..kernel.name),
    //$ end
    KERNELS,
};

// Runs a kernel in all threads, waits for all of them, and adds the time to the kernel's profile.
#define RUN(kernel, ...)                                                                           \
    do {                                                                                           \
        $(k.run);                                                                                  \
        kernel_done(KERNEL_##kernel, thread);                                                      \
    } while (0)

//$ for _, phase in ipairs({ "forward", "loss", "backward" }) do
//$ if k[phase].functions ~= "" then
$(k[phase].functions)
//$ end
void $("model_"..phase)(struct model *m, int thread, int threads) {
    profile_start(thread);
    //$ if k[phase].body ~= "" then
    $(k[phase].body)
    //$ else
    (void)m;
    (void)threads;
    //$ end
}

//$ end
#undef RUN

// ---- the update, from templates/cpu/optimizer.c -------------------------------------------------

$(k.update_text)
//$ if k.muon then
struct muon_scratch {
    //$ if k.products == "bf16" then
    float panel[TILE_VECS * VEC * FACTORS_WHOLE($(k.muon.inner))];
    float strip[TILE_ROWS * FACTORS_LD(FACTORS($(k.muon.inner)))];
    //$ else
    float panel[TILE_VECS * VEC * $(k.muon.inner)];
    //$ end
};
// Memory of each thread, for kernels and for Muon's packed panels.
union model_scratch {
    //$ for _, name in ipairs(k.scratch) do
    //$ local gap = 2 * #name > 79 and "\n        " or " "
    struct $(name.."_scratch"..gap..name);
    //$ end
};

$(k.muon.text)
//$ end
// ---- what the runtime needs to know -------------------------------------------------------------

static const struct kernel_info model_kernels[KERNELS] = {
    //$ for _, kernel in ipairs(k.kernels) do
    //$ local cost = string.format("%.0f.0, %.0f.0", kernel.flops, kernel.bytes)
    {"$(kernel.name)", $(cost)},
    //$ end
};

//$ if k.products == "bf16" then
// Products in bfloat16.
static const bool model_bf16[KERNELS + 1] = {
    //$ for _, kernel in ipairs(k.kernels) do
    //$ if kernel.op.product or kernel.op.weight_gradient or kernel.op.factors then
    [$("KERNEL_"..kernel.name)] = true,
    //$ end
    //$ end
};

//$ end
//$ if #k.scratch > 0 and not k.muon then
union model_scratch {
    //$ for _, name in ipairs(k.scratch) do
    //$ local gap = 2 * #name > 79 and "\n        " or " "
    struct $(name.."_scratch"..gap..name);
    //$ end
};
//$ end

const struct model_info model_info = {
    .hash = MODEL_HASH,
    .config = MODEL_CONFIG,
    .title = $(k.string(k.title)),
    .batch_size = MODEL_B,
    .block_size = MODEL_T,
    .vocab_size = MODEL_V,
    .n_layer = MODEL_L,
    .n_head = MODEL_H,
    .n_embd = MODEL_C,
    .optimizer = $(k.optimizer),
    .update = $(k.update),
    //$ if k.muon then
    .muon = muon,
    .muon_floats = $(k.muon_floats),
    //$ end
    .dropout = $(tostring(k.c.has_dropout)),
    .params = model_params,
    .params_count = MODEL_PARAMS,
    .state_floats = $(k.state_floats),
    .acts_floats = $(k.acts_floats),
    .losses = $(k.losses),
    //$ if #k.scratch > 0 then
    .scratch_bytes = sizeof(union model_scratch),
    //$ end
    .dtype = "$(k.c.dtype)",
    .num_params = $(k.num_params),
    .num_params_nanogpt = $(k.num_params_nanogpt),
    .flops_per_token = $(k.flops_per_token..".0"),
    .kernels = model_kernels,
    .kernels_count = KERNELS,
    //$ if k.muon then
    .muon_kernels = $(#k.muon.kernels),
    //$ end
    //$ if k.products == "bf16" then
    .bf16 = model_bf16,
    //$ end
};
//$ end
