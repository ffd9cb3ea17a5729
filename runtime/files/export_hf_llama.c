// export_hf_llama.c: what config.json says of a Llama, Qwen2, Qwen3, Arcee or NanoChat.
// transformers 5 reads rope_parameters and dtype, transformers 4 and llama.cpp's converter
// rope_theta, rope_scaling and torch_dtype: all are there.
#include "runtime/files/files.h"

#include <math.h>
#include <string.h>

static bool export_hf_says(const struct export_model *model, const char *key, const char *value) {
    struct pair pair;
    return pairs_find(model->config, key, (int)strlen(key), &pair) &&
           (size_t)pair.value_length == strlen(value) && !memcmp(pair.value, value, strlen(value));
}

static const char *export_hf_truth(const struct export_model *model, const char *key) {
    return export_hf_says(model, key, "true") ? "true" : "false";
}

// A number that is a float to whoever reads JSON, whole or not.
static void export_hf_real(FILE *out, const char *name, double value) {
    fprintf(out, value == floor(value) && value < 1e15 ? "\"%s\": %.1f" : "\"%s\": %.17g", name,
            value);
}

// The members of rope_parameters, or of rope_scaling, which has no theta.
static void export_hf_scaling(FILE *out, const struct export_model *model) {
    fputs("\"rope_type\": \"llama3\", ", out);
    export_hf_real(out, "factor", export_real_or(model, "rope_factor", 8));
    fputs(", ", out);
    export_hf_real(out, "low_freq_factor", export_real_or(model, "rope_low_freq_factor", 1));
    fputs(", ", out);
    export_hf_real(out, "high_freq_factor", export_real_or(model, "rope_high_freq_factor", 4));
    fprintf(out, ", \"original_max_position_embeddings\": %lld",
            (long long)export_number_or(model, "rope_original_context", 8192));
}

static void export_hf_rope(FILE *out, const struct export_model *model) {
    const double theta = export_real_or(model, "rope_theta", 10000);
    const bool scaled = export_hf_says(model, "rope_scaling", "llama3");
    fputs("  ", out);
    export_hf_real(out, "rope_theta", theta);
    fputs(",\n  \"rope_scaling\": ", out);
    if (scaled) {
        fputs("{", out);
        export_hf_scaling(out, model);
        fputs("}", out);
    } else {
        fputs("null", out);
    }
    fputs(",\n  \"rope_parameters\": {", out);
    export_hf_real(out, "rope_theta", theta);
    fputs(", ", out);
    if (scaled) {
        export_hf_scaling(out, model);
    } else {
        fputs("\"rope_type\": \"default\"", out);
    }
    fputs("},\n", out);
}

// The cap of a NanoChat's logits, and that no token is padding: its config has others if it says
// nothing.
static void export_hf_nanochat(FILE *out, const struct export_model *model) {
    const double cap = export_real_or(model, "logit_softcap", 0);
    fputs("  ", out);
    if (cap > 0) {
        export_hf_real(out, "final_logit_softcapping", cap);
    } else {
        fputs("\"final_logit_softcapping\": null", out);
    }
    fputs(",\n  \"pad_token_id\": null,\n", out);
}

void export_hf_llama(FILE *out, const struct export_model *model) {
    static const char *const names[][2] = {{"llama", "LlamaForCausalLM"},
                                           {"qwen2", "Qwen2ForCausalLM"},
                                           {"qwen3", "Qwen3ForCausalLM"},
                                           {"arcee", "ArceeForCausalLM"},
                                           {"nanochat", "NanoChatForCausalLM"}};
    const char *family = export_family(model), *class = names[0][1];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        class = strcmp(names[i][0], family) ? class : names[i][1];
    }
    const long long heads = export_number(model, "n_head");
    fprintf(out,
            "  \"architectures\": [\"%s\"],\n  \"model_type\": \"%s\",\n"
            "  \"num_hidden_layers\": %lld,\n  \"num_attention_heads\": %lld,\n"
            "  \"num_key_value_heads\": %lld,\n  \"head_dim\": %lld,\n  \"hidden_size\": %lld,\n"
            "  \"intermediate_size\": %lld,\n  \"max_position_embeddings\": %lld,\n"
            "  \"vocab_size\": %lld,\n",
            class, family, (long long)export_number(model, "n_layer"), heads,
            (long long)export_number_or(model, "n_kv_head", heads),
            (long long)export_head_size(model), (long long)export_number(model, "n_embd"),
            (long long)export_inner(model), (long long)export_context(model),
            (long long)export_number(model, "vocab_size"));
    export_hf_rope(out, model);
    fprintf(
        out,
        "  \"hidden_act\": \"%s\",\n  \"rms_norm_eps\": %.9g,\n  \"attention_bias\": %s,\n"
        "  \"mlp_bias\": %s,\n  \"attention_dropout\": 0.0,\n  \"use_sliding_window\": false,\n",
        export_hf_says(model, "activation", "relu2")   ? "relu2"
        : export_hf_says(model, "activation", "geglu") ? "gelu"
                                                       : "silu",
        export_epsilon(model), export_hf_truth(model, "qkv_bias"),
        export_hf_truth(model, "mlp_bias"));
    if (!strcmp(family, "nanochat")) {
        export_hf_nanochat(out, model);
    }
}
