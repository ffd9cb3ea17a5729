// describe.c: a model's config.json, for files that have none beside them: tensors by nanoGPT's or
// Hugging Face's names, which say all sizes but the number of heads. What else a file says is
// metadata (tests/reference/pytorch.py, runtime/files/llmc.c). gen/import/gpt2.lua reads it.
#include "runtime/programs/import/describe.h"

#include <string.h>

// A tensor's name without what wraps it.
static const char *describe_name(const char *name) {
    static const char *const prefixes[] = {"_orig_mod.", "module.", "transformer."};
    enum { PREFIXES = sizeof prefixes / sizeof *prefixes };
    for (int p = 0; p < PREFIXES; p++) {
        const size_t length = strlen(prefixes[p]);
        if (!strncmp(name, prefixes[p], length)) {
            name += length;
            p = -1; // start over: one may be inside another
        }
    }
    return name;
}

static const struct tensor_view *describe_find(const struct safetensors *file, const char *name) {
    for (int i = 0; i < file->count; i++) {
        if (!strcmp(describe_name(file->tensors[i].name), name)) {
            return &file->tensors[i];
        }
    }
    return NULL;
}

// A matrix that each GPT-2 has.
static const struct tensor_view *describe_matrix(const struct safetensors *file, const char *name) {
    const struct tensor_view *view = describe_find(file, name);
    if (!view || view->ndim != 2) {
        die(EXIT_DATA,
            "%s: has no matrix %s, as a GPT-2 by nanoGPT's names has, and no config.json is "
            "beside it",
            file->path, name);
    }
    return view;
}

static int describe_layers(const struct safetensors *file) {
    enum { MOST = 1024 }; // of a config; one more is refused by name
    int layers = 0;
    for (char name[PARAM_NAME]; layers <= MOST; layers++) {
        snprintf(name, sizeof name, "h.%d.ln_1.weight", layers);
        if (!describe_find(file, name)) {
            break;
        }
    }
    return layers;
}

static void describe_flag(FILE *out, const char *key, bool value) {
    fprintf(out, ",\"%s\":%s", key, value ? "true" : "false");
}

// A number that the metadata states.
static void describe_number(FILE *out, const struct safetensors *file, const char *key) {
    const char *text = safetensors_metadata(file, key);
    if (!text) {
        return;
    }
    const size_t length = strlen(text);
    if (length == 0 || length > 32 || strspn(text, "0123456789.e-") != length) {
        die(EXIT_DATA, "%s: its metadata says %s is '%.32s'; a number is wanted", file->path, key,
            text);
    }
    // In quotes where it is no JSON number, so that what reads it refuses it by name.
    const char *problem;
    struct json *json = json_parse(text, length, &problem);
    fprintf(out, json ? ",\"%s\":%s" : ",\"%s\":\"%s\"", key, text);
    json_free(json);
}

const char *describe_config(const struct safetensors *file) {
    const char *config = safetensors_metadata(file, "diecast");
    config = config ? config : safetensors_metadata(file, "config");
    return config && *config && !strpbrk(config, "\r\n") ? config : NULL;
}

static void describe_own(FILE *out, const struct safetensors *file, const char *config) {
    fputs("{\"model_type\":\"gpt2\",\"diecast\":", out);
    json_write_string(out, config, strlen(config));
    fprintf(out, ",\"has_tokenizer\":%s}\n",
            safetensors_metadata(file, "tokenizer") ? "true" : "false");
}

void describe_tensors(const struct safetensors *file, FILE *out) {
    const char *config = describe_config(file);
    if (config) {
        describe_own(out, file, config);
        return;
    }
    const struct tensor_view *table = describe_matrix(file, "wte.weight");
    const struct tensor_view *positions = describe_matrix(file, "wpe.weight");
    const struct tensor_view *qkv = describe_matrix(file, "h.0.attn.c_attn.weight");
    const struct tensor_view *head = describe_find(file, "lm_head.weight");
    fprintf(out,
            "{\"model_type\":\"gpt2\",\"sizes_from\":\"list of "
            "tensors\",\"n_layer\":%d,\"n_embd\":%lld,\"n_positions\":%lld,"
            "\"vocab_size\":%lld",
            describe_layers(file), (long long)table->dims[1], (long long)positions->dims[0],
            (long long)table->dims[0]);
    describe_number(out, file, "n_head");
    describe_number(out, file, "dropout");
    fputs(",\"embd_pdrop\":0,\"attn_pdrop\":0,\"resid_pdrop\":0", out);
    // Hugging Face's weights are transposed, and their GELU is GPT-2's; nanoGPT's is the exact one.
    const char *activation = safetensors_metadata(file, "activation_function");
    activation = activation ? activation : qkv->dims[0] < qkv->dims[1] ? "gelu_new" : "gelu";
    fputs(",\"activation_function\":", out);
    json_write_string(out, activation, strlen(activation));
    describe_flag(out, "bias", describe_find(file, "ln_f.bias"));
    describe_flag(out, "qkv_bias", describe_find(file, "h.0.attn.c_attn.bias"));
    describe_flag(out, "lm_head_bias", describe_find(file, "lm_head.bias"));
    describe_flag(out, "tie_word_embeddings",
                  !head || (head->stored == table->stored &&
                            !memcmp(head->place, table->place, head->stored)));
    fputs("}\n", out);
}
