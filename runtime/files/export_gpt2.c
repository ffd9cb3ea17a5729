// export_gpt2.c: what the writers of models' files share: the config's values, and the tensors that
// every GPT-2 has.
#include "runtime/files/files.h"
#include "runtime/kernel/emitted.h"

#include <stdlib.h>
#include <string.h>

// ---- the config ---------------------------------------------------------------------------------

struct pair export_key(const struct export_model *model, const char *key) {
    struct pair pair;
    if (!pairs_find(model->config, key, (int)strlen(key), &pair)) {
        die(EXIT_INTERNAL, "export: the config has no %s", key);
    }
    return pair;
}

int64_t export_number(const struct export_model *model, const char *key) {
    return strtoll(export_key(model, key).value, NULL, 10);
}

int64_t export_number_or(const struct export_model *model, const char *key, int64_t other) {
    struct pair pair;
    const bool stated = pairs_find(model->config, key, (int)strlen(key), &pair);
    return stated ? strtoll(pair.value, NULL, 10) : other;
}

double export_real_or(const struct export_model *model, const char *key, double other) {
    struct pair pair;
    const bool stated = pairs_find(model->config, key, (int)strlen(key), &pair);
    return stated ? strtod(pair.value, NULL) : other;
}

int64_t export_inner(const struct export_model *model) {
    return export_number_or(model, "n_ff", 4 * export_number(model, "n_embd"));
}

int64_t export_head_size(const struct export_model *model) {
    return export_number_or(model, "head_size",
                            export_number(model, "n_embd") / export_number(model, "n_head"));
}

int64_t export_context(const struct export_model *model) {
    return export_number_or(model, "model_context", export_number(model, "block_size"));
}

double export_epsilon(const struct export_model *model) {
    return export_real_or(model, "norm_eps", 1e-5);
}

// ---- the tensors --------------------------------------------------------------------------------

// Whether the tensor is a weight whose module has a bias in GPT-2.
static bool export_gpt2_wants_bias(const struct tensor_out *tensor) {
    static const char *const modules[] = {"ln_1",     "attn.c_attn", "attn.c_proj",     "ln_2",
                                          "mlp.c_fc", "mlp.c_proj",  "transformer.ln_f"};
    for (size_t i = 0; i < sizeof modules / sizeof *modules; i++) {
        char end[32];
        const int tail = snprintf(end, sizeof end, "%s.weight", modules[i]);
        const size_t length = strlen(tensor->name);
        if (length >= (size_t)tail && !strcmp(tensor->name + length - (size_t)tail, end)) {
            return true;
        }
    }
    return false;
}

static bool export_gpt2_has(const struct export_model *model, const char *name) {
    for (int i = 0; i < model->count; i++) {
        if (!strcmp(model->tensors[i].name, name)) {
            return true;
        }
    }
    return false;
}

struct tensor_out *export_gpt2_tensors(const struct export_model *model, int *count) {
    struct tensor_out *out = allocate(2 * (size_t)model->count, sizeof *out, "a list of tensors");
    *count = 0;
    for (int i = 0; i < model->count; i++) {
        if (model->at[i].param->copy) {
            continue; // a tied head
        }
        const struct tensor_out *weight = &out[*count];
        out[(*count)++] = model->tensors[i];
        if (export_gpt2_wants_bias(weight)) {
            struct tensor_out bias = {.ndim = 1, .dims = {weight->dims[0]}, .type = model->type};
            snprintf(bias.name, sizeof bias.name, "%.*s.bias",
                     (int)(strlen(weight->name) - strlen(".weight")), weight->name);
            if (!export_gpt2_has(model, bias.name)) {
                out[(*count)++] = bias;
            }
        }
    }
    return out;
}

// ---- the family ---------------------------------------------------------------------------------

// Whether the model has a tensor whose name ends so.
static bool export_has_ending(const struct export_model *model, const char *end) {
    const size_t tail = strlen(end);
    for (int i = 0; i < model->count; i++) {
        const size_t length = strlen(model->tensors[i].name);
        if (length >= tail && !strcmp(model->tensors[i].name + length - tail, end)) {
            return true;
        }
    }
    return false;
}

const char *export_family(const struct export_model *model) {
    return !export_has_ending(model, "model.embed_tokens.weight") ? "gpt2"
           : export_has_ending(model, ".mlp.fc1.weight")          ? "nanochat"
           : export_has_ending(model, ".q_norm.weight")           ? "qwen3"
           : !export_has_ending(model, ".gate_proj.weight")       ? "arcee"
           : export_has_ending(model, ".q_proj.bias") && !export_has_ending(model, ".o_proj.bias")
               ? "qwen2"
               : "llama";
}
