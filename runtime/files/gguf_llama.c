// gguf_llama.c: what a GGUF file says of a model of the Llama family, llama.cpp's architectures
// llama, arcee, qwen2 and qwen3, in the words of Hugging Face's config.json. What a model here
// cannot be is written too, by the name that Hugging Face has for it, and refused by who reads it;
// a key that may change what the model computes and is not known here ends the program.
#include "runtime/files/files.h"

#include <stdlib.h>
#include <string.h>

static const struct gguf_llama {
    const char *architecture, *activation;
    bool pairwise; // rows of q and k
} gguf_llamas[] = {
    {"llama", "silu", true},
    {"arcee", "relu2", true},
    {"qwen2", "silu", false},
    {"qwen3", "silu", false},
};

static const struct gguf_llama *gguf_llama_of(struct slice architecture) {
    for (size_t i = 0; i < sizeof gguf_llamas / sizeof *gguf_llamas; i++) {
        if (slice_is(architecture, gguf_llamas[i].architecture)) {
            return &gguf_llamas[i];
        }
    }
    return NULL;
}

bool gguf_is_llama(struct slice architecture) {
    return gguf_llama_of(architecture);
}

bool gguf_is_pairwise(struct slice architecture) {
    const struct gguf_llama *llama = gguf_llama_of(architecture);
    return llama && llama->pairwise;
}

// ---- keys ---------------------------------------------------------------------------------------

enum { GGUF_KEY = 96 };

// The key of the architecture, as "llama.block_count"; whether the file has it.
static bool gguf_llama_key(const struct safetensors *file, const char *name, char key[GGUF_KEY]) {
    const struct slice architecture = gguf_architecture(file);
    snprintf(key, GGUF_KEY, "%.*s.%s", (int)architecture.length, architecture.text, name);
    return gguf_find(file, key);
}

static int64_t gguf_llama_integer(const struct safetensors *file, const char *name) {
    char key[GGUF_KEY];
    gguf_llama_key(file, name, key);
    return gguf_need_integer(file, key);
}

// The number, or another one where the file has none, as llama.cpp takes it.
static int64_t gguf_llama_or(const struct safetensors *file, const char *name, int64_t other) {
    char key[GGUF_KEY];
    return gguf_llama_key(file, name, key) ? gguf_need_integer(file, key) : other;
}

static void gguf_llama_check(const struct safetensors *file) {
    static const char *const known[] = {
        "attention.head_count",
        "attention.head_count_kv",
        "attention.key_length",
        "attention.layer_norm_rms_epsilon",
        "attention.sliding_window",
        "attention.value_length",
        "block_count",
        "context_length",
        "embedding_length",
        "expert_count",
        "expert_used_count",
        "feed_forward_length",
        "rope.dimension_count",
        "rope.freq_base",
        "rope.scale_linear",
        "rope.scaling.factor",
        "rope.scaling.finetuned",
        "rope.scaling.original_context_length",
        "rope.scaling.type",
        "vocab_size",
    };
    const struct slice architecture = gguf_architecture(file);
    for (int i = 0; i < file->pairs_count; i++) {
        const struct slice key = file->pairs[i].key;
        bool good = key.length <= architecture.length || key.text[architecture.length] != '.' ||
                    memcmp(key.text, architecture.text, architecture.length) != 0;
        for (size_t k = 0; !good && k < sizeof known / sizeof *known; k++) {
            const struct slice rest = {key.text + architecture.length + 1,
                                       key.length - architecture.length - 1};
            good = slice_is(rest, known[k]);
        }
        if (!good) {
            die(EXIT_DATA,
                "%s: its %.*s is not known here, and may change what the model computes; a model "
                "without it is wanted",
                file->path, SLICE_SHOWN(key));
        }
    }
}

// ---- what they mean -----------------------------------------------------------------------------

static void gguf_write_size(FILE *out, const char *name, int64_t value) {
    fprintf(out, ",\"%s\":%lld", name, (long long)value);
}

static void gguf_describe_heads(const struct safetensors *file, FILE *out) {
    const int64_t width = gguf_llama_integer(file, "embedding_length");
    const int64_t heads = gguf_llama_integer(file, "attention.head_count");
    const int64_t usual = heads > 0 ? width / heads : 0;
    const int64_t size = gguf_llama_or(file, "attention.key_length", usual);
    const int64_t values = gguf_llama_or(file, "attention.value_length", usual);
    const int64_t turned = gguf_llama_or(file, "rope.dimension_count", size);
    gguf_write_size(out, "hidden_size", width);
    gguf_write_size(out, "num_attention_heads", heads);
    gguf_write_size(out, "num_key_value_heads",
                    gguf_llama_or(file, "attention.head_count_kv", heads));
    gguf_write_size(out, "head_dim", size);
    if (values != size) {
        gguf_write_size(out, "v_head_dim", values);
    }
    if (turned != size) {
        fprintf(out, ",\"partial_rotary_factor\":%.9g", size ? (double)turned / (double)size : 0.0);
    }
}

// A file without a type of scaling, but with a factor, is scaled linearly by llama.cpp.
static void gguf_describe_rope(const struct safetensors *file, FILE *out) {
    char key[GGUF_KEY], type_key[GGUF_KEY];
    const float theta =
        gguf_llama_key(file, "rope.freq_base", key) ? gguf_need_float(file, key) : 10000;
    fputs(",\"rope_theta\":", out);
    gguf_write_float(theta, out);
    gguf_llama_key(file, "rope.scaling.type", type_key);
    const struct gguf_pair *type = gguf_text_of(file, type_key);
    const bool scaled = gguf_llama_key(file, "rope.scaling.factor", key) ||
                        gguf_llama_key(file, "rope.scale_linear", key);
    if (type ? slice_is(gguf_slice(type), "none") : !scaled) {
        gguf_describe_divisors(file, theta, out);
        return;
    }
    fputs(",\"rope_scaling\":{\"rope_type\":", out);
    if (type) {
        json_write_string(out, gguf_slice(type).text, gguf_slice(type).length);
    } else {
        fputs("\"linear\"", out);
    }
    fputs("}", out);
}

static void gguf_describe_others(const struct safetensors *file, FILE *out) {
    const int64_t experts = gguf_llama_or(file, "expert_count", 0);
    const int64_t window = gguf_llama_or(file, "attention.sliding_window", 0);
    if (experts) {
        gguf_write_size(out, "num_local_experts", experts);
    }
    if (window) {
        gguf_write_size(out, "sliding_window", window);
        fputs(",\"use_sliding_window\":true", out);
    }
}

void gguf_describe_llama(const struct safetensors *file, FILE *out) {
    static const char *const sizes[][2] = {
        {"block_count", "num_hidden_layers"},
        {"context_length", "max_position_embeddings"},
        {"feed_forward_length", "intermediate_size"},
    };
    gguf_llama_check(file);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        gguf_write_size(out, sizes[i][1], gguf_llama_integer(file, sizes[i][0]));
    }
    gguf_describe_heads(file, out);
    char key[GGUF_KEY];
    gguf_llama_key(file, "attention.layer_norm_rms_epsilon", key);
    fputs(",\"rms_norm_eps\":", out);
    gguf_write_float(gguf_need_float(file, key), out);
    gguf_describe_rope(file, out);
    gguf_describe_others(file, out);
    fprintf(out, ",\"hidden_act\":\"%s\",\"attention_bias\":%s,\"mlp_bias\":%s",
            gguf_llama_of(gguf_architecture(file))->activation,
            safetensors_find(file, "blk.0.attn_q.bias") ? "true" : "false",
            safetensors_find(file, "blk.0.ffn_up.bias") ? "true" : "false");
}
