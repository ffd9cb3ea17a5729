// gguf_names.c: the names that tensors have in GGUF files, and ours: nanoGPT's for a GPT-2, Hugging
// Face's for the Llama family.
#include "runtime/files/files.h"

#include <stdlib.h>
#include <string.h>

enum { GGUF_THEIRS, GGUF_OURS };

struct gguf_rename {
    const char *names[2];
};
// A family's names: of tensors that are there once, and of the parts of a layer, between the
// layer's prefix with its number and ".weight" or ".bias".
struct gguf_family {
    const char *prefix; // ours
    struct gguf_rename whole[8], layer[16];
};
static const struct gguf_family gguf_gpt2 = {"transformer.h.",
                                             {{{"token_embd.weight", "transformer.wte.weight"}},
                                              {{"position_embd.weight", "transformer.wpe.weight"}},
                                              {{"output_norm.weight", "transformer.ln_f.weight"}},
                                              {{"output_norm.bias", "transformer.ln_f.bias"}},
                                              {{"output.weight", "lm_head.weight"}}},
                                             {{{"attn_norm", "ln_1"}},
                                              {{"attn_qkv", "attn.c_attn"}},
                                              {{"attn_output", "attn.c_proj"}},
                                              {{"ffn_norm", "ln_2"}},
                                              {{"ffn_up", "mlp.c_fc"}},
                                              {{"ffn_down", "mlp.c_proj"}}}},
                                gguf_llama = {"model.layers.",
                                              {{{"token_embd.weight", "model.embed_tokens.weight"}},
                                               {{"output_norm.weight", "model.norm.weight"}},
                                               {{"rope_freqs.weight", "rope_freqs.weight"}},
                                               {{"output.weight", "lm_head.weight"}}},
                                              {{{"attn_norm", "input_layernorm"}},
                                               {{"attn_q", "self_attn.q_proj"}},
                                               {{"attn_k", "self_attn.k_proj"}},
                                               {{"attn_v", "self_attn.v_proj"}},
                                               {{"attn_q_norm", "self_attn.q_norm"}},
                                               {{"attn_k_norm", "self_attn.k_norm"}},
                                               {{"attn_output", "self_attn.o_proj"}},
                                               {{"ffn_norm", "post_attention_layernorm"}},
                                               {{"ffn_gate", "mlp.gate_proj"}},
                                               {{"ffn_up", "mlp.up_proj"}},
                                               {{"ffn_down", "mlp.down_proj"}}}};

// Cuts a layer's name, "blk.N." or "transformer.h.N.", a part, and "weight" or "bias". False if it
// is written otherwise.
static bool gguf_cut(const char *name, const char *prefix, int *number, char part[32],
                     char kind[8]) {
    char again[PARAM_NAME];
    const size_t length = strlen(prefix);
    const char *last = strrchr(name, '.');
    int used = 0;
    if (strncmp(name, prefix, length) != 0 || sscanf(name + length, "%6d.%n", number, &used) != 1 ||
        !used || last < name + length + used || last - (name + length + used) >= 32 ||
        strlen(last + 1) >= 8) {
        return false;
    }
    snprintf(part, 32, "%.*s", (int)(last - (name + length + used)), name + length + used);
    snprintf(kind, 8, "%s", last + 1);
    snprintf(again, sizeof again, "%s%d.%s.%s", prefix, *number, part, kind);
    return !strcmp(name, again); // no sign, and no zeros before the number
}

// Translates a name; false where there is none.
static bool gguf_translate(const struct gguf_family *family, const char *name, int from,
                           char to[PARAM_NAME]) {
    const char *const prefixes[] = {"blk.", family->prefix};
    char part[32], kind[8];
    int number;
    for (const struct gguf_rename *k = family->whole; k->names[0]; k++) {
        if (!strcmp(name, k->names[from])) {
            snprintf(to, PARAM_NAME, "%s", k->names[!from]);
            return true;
        }
    }
    if (gguf_cut(name, prefixes[from], &number, part, kind)) {
        for (const struct gguf_rename *k = family->layer; k->names[0]; k++) {
            if (!strcmp(part, k->names[from])) {
                snprintf(to, PARAM_NAME, "%s%d.%s.%s", prefixes[!from], number, k->names[!from],
                         kind);
                return true;
            }
        }
    }
    return false;
}

// The heads of a tensor whose rows lie pairwise; 0 if its rows do not, or are no such heads: its
// shape is refused then, by whoever looks for it.
static int64_t gguf_heads(const struct safetensors *file, const struct tensor_view *view) {
    const struct slice architecture = gguf_architecture(file);
    char part[32], kind[8], key[96];
    int number;
    int64_t heads = 0;
    if (!gguf_is_pairwise(architecture) || view->ndim < 1 || view->ndim > 2 || !view->stored ||
        !gguf_cut(view->name, "blk.", &number, part, kind) ||
        (strcmp(part, "attn_q") != 0 && strcmp(part, "attn_k") != 0)) {
        return 0;
    }
    snprintf(key, sizeof key, "%.*s.attention.head_count_kv", (int)architecture.length,
             architecture.text);
    if (part[5] == 'q' || !gguf_find(file, key)) {
        key[strlen(key) - strlen("_kv")] = 0;
    }
    const struct gguf_pair *pair = gguf_find(file, key);
    return pair && gguf_integer(pair, 0, &heads) && heads > 0 && heads <= view->dims[0] / 2 &&
                   view->dims[0] % (2 * heads) == 0
               ? heads
               : 0;
}

void gguf_rename(struct safetensors *file) {
    char name[PARAM_NAME];
    const bool llama = file->pairs && gguf_is_llama(gguf_architecture(file));
    for (int i = 0; i < file->count && file->pairs; i++) {
        struct tensor_view *view = &file->tensors[i];
        if (gguf_translate(llama ? &gguf_llama : &gguf_gpt2, view->name, GGUF_THEIRS, name)) {
            view->heads = gguf_heads(file, view);
            free(view->name);
            view->name = allocate_copy(name, strlen(name), "a tensor's name");
        }
    }
}

void gguf_name(const char *own, char name[PARAM_NAME]) {
    if (!gguf_translate(&gguf_gpt2, own, GGUF_OURS, name) &&
        !gguf_translate(&gguf_llama, own, GGUF_OURS, name)) {
        die(EXIT_INTERNAL, "export: GGUF has no name for %s", own);
    }
}
