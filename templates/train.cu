//// train.cu: the frame of a CUDA trainer's model: kernels, then forward, loss, backward and
//// update.
//$ function train(k)
// train.cu: $(k.title).
//
//$ for i, line in ipairs(k.command) do
//$ local label = i == 1 and "  made by      " or "               "
// $(label)$(line)
//$ end
//   parameters   $(k.num_params)
//   memory       weights, gradients and moments $(k.params_mib) each in float,
//                $(k.image_text), activations
//                $(k.acts_mib) ($(k.unplanned_mib) before planning)
//   one step     $(k.step_flops) ($(k.step_flops_nanogpt) as nanoGPT counts), a micro-batch of
//                $(k.c.batch_size) x $(k.c.block_size) tokens
//
// In this order: kernels by first use, each with its launcher; device_forward, device_loss,
// device_backward, device_update; what the runtime needs to know. Each buffer is declared with its
// shape; the comment above a call is the name that the model gives it.
#include "model.h"

#include "runtime/kernel/gemm.h"
#include "runtime/kernel/device.h"
#include "runtime/kernel/kernel.cuh"
#include "runtime/kernel/kernel_math.cuh"
#include "runtime/kernel/update.h"
//$ for _, header in ipairs(k.headers) do
#include $('"'..header..'"')
//$ end

typedef $(k.elem_type) elem; // the type of activations

$(k.kernel_texts)
// ---- the model ----------------------------------------------------------------------------------

enum {
    //$ for _, kernel in ipairs(k.kernels) do
    $("KERNEL_"..kernel.name),
    //$ end
    KERNELS,
};

// Launches a kernel, between marks for the profile.
#define RUN(kernel, ...)                                                                           \
    do {                                                                                           \
        gpu_kernel_begin(gpu, KERNEL_##kernel);                                                    \
        $(k.run);                                                                                  \
        gpu_kernel_end(gpu, KERNEL_##kernel);                                                      \
    } while (0)

extern "C" {

//$ for _, phase in ipairs({ "forward", "loss", "backward" }) do
//$ if k[phase].functions ~= "" then
$(k[phase].functions)
//$ end
void $("device_"..phase)(struct gpu *gpu) {
    //$ if k[phase].body ~= "" then
    $(k[phase].body)
    //$ else
    (void)gpu;
    //$ end
}

//$ end
// Copies the batch in staging slot `state->micro` to where the model reads it.
void device_take(struct gpu *gpu) {
    $(k.run_whole("step_take"));
}

// The norm of the gradients, the clip factor, and, if all are finite, the update.
void device_update(struct gpu *gpu) {
    $(k.run_whole("grad_norm"));
    $(k.run_update)
}

// Converts the parameters, after they came from the host, to the type of activations.
void device_prepare(struct gpu *gpu) {
    //$ if k.c.dtype ~= "float32" then
    $(k.run_whole("cast"));
    //$ else
    (void)gpu;
    //$ end
}

#undef RUN

// ---- what the runtime needs to know -------------------------------------------------------------

struct gemm *const model_gemms[] = {
    //$ for _, name in ipairs(k.gemms) do
    &$(name),
    //$ end
};
const int model_gemms_count = $(#k.gemms);

static const struct kernel_info model_kernels[KERNELS] = {
    //$ for _, kernel in ipairs(k.kernels) do
    {"$(kernel.name)", $(string.format("%.0f.0", kernel.flops)),
     $(string.format("%.0f.0", kernel.bytes))},
    //$ end
};

extern const struct model_info model_info;
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
    .dropout = $(tostring(k.c.has_dropout)),
    .params = model_params,
    .params_count = MODEL_PARAMS,
    .state_floats = $(k.state_floats),
    .packed_floats = $(k.packed_floats),
    .acts_floats = $(k.acts_floats),
    .losses = $(k.losses),
    .scratch_bytes = 0,
    .device_floats = $(k.device_floats),
    .dtype = "$(k.c.dtype)",
    .num_params = $(k.num_params),
    .num_params_nanogpt = $(k.num_params_nanogpt),
    .flops_per_token = $(k.flops_per_token..".0"),
    .kernels = model_kernels,
    .kernels_count = KERNELS,
    //$ if k.muon_kernels > 0 then
    .muon_kernels = $(k.muon_kernels),
    //$ end
};

} // extern "C"
//$ end
