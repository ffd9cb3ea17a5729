//// model.h: the sizes of one model and the table of its parameters; included by train.c and
//// sample.c.
//$ function model(k)
// model.h: the sizes of this model and the table of its parameters.
//
//   $(k.title)
//$ for i, line in ipairs(k.command) do
//$ local label = i == 1 and "  made by   " or "            "
// $(label)$(line)
//$ end
//   build     $(k.hash)
//
// Letters: B batch, T context, C width, L layers, H heads, D head size, F feed-forward width,
// V vocabulary, N = B * T rows, Q = D.
#ifndef DIECAST_MODEL_H
#define DIECAST_MODEL_H

#include "runtime/kernel/emitted.h"

enum {
    MODEL_B = $(k.c.batch_size),
    MODEL_T = $(k.c.block_size),
    MODEL_C = $(k.c.n_embd),
    MODEL_L = $(k.c.n_layer),
    MODEL_H = $(k.c.n_head),
    MODEL_V = $(k.c.vocab_size),
};

#define MODEL_HASH "$(k.hash)"

// The baked keys.
// clang-format off
#define MODEL_CONFIG                                                                               \
    $(k.config)
// clang-format on

//$ local all = { nanogpt = "nanoGPT's", llama = "Llama's", nanochat = "NanoChat's" }
//$ local whose = all[k.c.tensor_names] or all.nanogpt
// Names are $(whose); %d stands for the layer. Offsets and strides are in floats.
//$ if k.c.backend == "cuda" then
// On the device, rows are padded to be `device_pitch` floats apart.
//$ end
static const struct param model_params[] = {
    //$ for _, p in ipairs(k.entries) do
    {.name = "$(p.name)",
     .layers = $(p.layers),
     .offset = $(p.offset),
     .stride = $(p.stride),
     //$ if k.c.backend == "cuda" then
     .device_offset = $(p.device_offset),
     .device_stride = $(p.device_stride),
     .device_pitch = $(p.device_pitch),
     //$ end
     .ndim = $(#p.dims),
     .dims = {$(p.dims[1]), $(p.dims[2] or 1)},
     .decay = $(tostring(p.decay)),
     .copy = $(tostring(p.copy)),
     //$ if p.group ~= "MATRICES" then
     .group = $("GROUP_"..p.group),
     //$ end
     //$ if p.muon then
     .muon = true,
     //$ end
     //$ if p.joined then
     .joined = true,
     //$ end
     .init = $("INIT_"..p.init),
     .init_value = $(p.init_value)},
    //$ end
};
enum { MODEL_PARAMS = sizeof model_params / sizeof model_params[0] };

#endif
//$ end
