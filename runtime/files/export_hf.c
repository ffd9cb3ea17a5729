// export_hf.c: a GPT as a folder from which Hugging Face's transformers loads a GPT-2, or one of
// the Llama family (export_hf_llama.c):
//
//     config.json               sizes and choices, for transformers and for llama.cpp's converter
//     generation_config.json    which token ends a text; which rows of the head are no token
//     model.safetensors         its names; a GPT-2's layers' weights are (in, out) there, and
//                               there are zeros for biases that the model lacks
//     and the tokenizer's files (hf_tokenizer.c), if the checkpoint has a tokenizer
//
// The weights' metadata has our config as "diecast", by which make import makes the same checkpoint
// of it. It is there, and not in config.json, since transformers does not keep it when it saves
// weights that it has changed.
#include "runtime/files/files.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const export_hf_names[] = {
    "config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "vocab.json",
    "merges.txt",  "tokenizer_config.json",
};
enum { EXPORT_HF_NAMES = sizeof export_hf_names / sizeof *export_hf_names };

// ---- the config ---------------------------------------------------------------------------------

// Our activations, and theirs.
static const char *export_hf_activation(const struct export_model *model) {
    static const char *const names[][2] = {
        {"gelu_tanh", "gelu_new"}, {"gelu_erf", "gelu"}, {"relu", "relu"}, {"silu", "silu"}};
    const struct pair pair = export_key(model, "activation");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if ((size_t)pair.value_length == strlen(names[i][0]) &&
            !memcmp(pair.value, names[i][0], strlen(names[i][0]))) {
            return names[i][1];
        }
    }
    die(EXIT_INTERNAL, "export: no name for activation %.*s", pair.value_length, pair.value);
}

// The token that begins and ends texts, written as JSON has it.
static void export_hf_ends(FILE *out, const struct export_model *model) {
    const struct tokenizer *tokenizer = model->tokenizer;
    const int32_t end = tokenizer && tokenizer->bpe ? bpe_end_of_text(tokenizer->bpe) : -1;
    char text[16] = "null";
    if (end >= 0) {
        snprintf(text, sizeof text, "%d", end);
    }
    fprintf(out, "  \"bos_token_id\": %s,\n  \"eos_token_id\": %s,\n", text, text);
}

// What config.json says of a GPT-2, each member followed by a comma.
static void export_hf_gpt2(FILE *out, const struct export_model *model) {
    const long long context = export_number(model, "block_size");
    fprintf(out,
            "  \"architectures\": [\"GPT2LMHeadModel\"],\n  \"model_type\": \"gpt2\",\n"
            "  \"n_layer\": %lld,\n  \"n_head\": %lld,\n  \"n_embd\": %lld,\n"
            "  \"n_inner\": %lld,\n  \"n_positions\": %lld,\n  \"n_ctx\": %lld,\n"
            "  \"vocab_size\": %lld,\n",
            (long long)export_number(model, "n_layer"), (long long)export_number(model, "n_head"),
            (long long)export_number(model, "n_embd"), (long long)export_inner(model), context,
            context, (long long)export_number(model, "vocab_size"));
    fprintf(out,
            "  \"activation_function\": \"%s\",\n  \"layer_norm_epsilon\": %.9g,\n"
            "  \"scale_attn_weights\": true,\n  \"scale_attn_by_inverse_layer_idx\": false,\n"
            "  \"reorder_and_upcast_attn\": false,\n  \"add_cross_attention\": false,\n"
            "  \"embd_pdrop\": 0.0,\n  \"attn_pdrop\": 0.0,\n  \"resid_pdrop\": 0.0,\n",
            export_hf_activation(model), export_epsilon(model));
}

static void export_hf_config(FILE *out, const struct export_model *model) {
    const bool tied = !memcmp(export_key(model, "tie_weights").value, "true", 4);
    const char *type = number_type_name(model->type);
    fputs("{\n", out);
    if (!strcmp(export_family(model), "gpt2")) {
        export_hf_gpt2(out, model);
    } else {
        export_hf_llama(out, model);
    }
    export_hf_ends(out, model);
    fprintf(out,
            "  \"tie_word_embeddings\": %s,\n  \"initializer_range\": 0.02,\n"
            "  \"use_cache\": true,\n  \"dtype\": \"%s\",\n  \"torch_dtype\": \"%s\"\n}\n",
            tied ? "true" : "false", type, type);
}

// Rows of the head without a token get no text, as in our sampler.
static void export_hf_generation(FILE *out, const struct export_model *model) {
    const int64_t rows = export_number(model, "vocab_size");
    const int64_t tokens = model->tokenizer ? model->tokenizer->vocab_size : rows;
    fputs("{\n", out);
    export_hf_ends(out, model);
    if (tokens < rows) {
        fputs("  \"suppress_tokens\": [", out);
        for (int64_t id = tokens; id < rows; id++) {
            fprintf(out, "%s%lld", id > tokens ? ", " : "", (long long)id);
        }
        fputs("],\n", out);
    }
    fputs("  \"do_sample\": false\n}\n", out);
}

// ---- the tensors --------------------------------------------------------------------------------

// The layers' weights, which are (in, out) in the file.
static void export_hf_transpose(struct tensor_out *tensors, int count) {
    for (int i = 0; i < count; i++) {
        struct tensor_out *tensor = &tensors[i];
        if (tensor->ndim == 2 && strstr(tensor->name, ".h.")) {
            const int64_t rows = tensor->dims[0];
            tensor->transposed = true;
            tensor->dims[0] = tensor->dims[1];
            tensor->dims[1] = rows;
        }
    }
}

// ---- the folder ---------------------------------------------------------------------------------

struct export_hf {
    const struct export_model *model;
    struct new_folder folder;
};

static void export_hf_vocabulary(FILE *out, const struct export_model *model) {
    hf_write_vocabulary(out, model->tokenizer);
    fputs("\n", out);
}

static void export_hf_merges(FILE *out, const struct export_model *model) {
    hf_write_merges(out, model->tokenizer);
}

static void export_hf_tokenizer(FILE *out, const struct export_model *model) {
    hf_write_tokenizer(out, model->tokenizer);
}

static void export_hf_tokenizer_config(FILE *out, const struct export_model *model) {
    hf_write_tokenizer_config(out, model->tokenizer, export_number(model, "block_size"));
}

static bool export_hf_text(const struct export_hf *hf, const char *name,
                           void (*write)(FILE *, const struct export_model *)) {
    struct growing text;
    growing_begin(&text, name);
    write(text.file, hf->model);
    char *bytes = growing_end(&text);
    const bool good = new_folder_put(&hf->folder, name, bytes, text.length);
    const int reason = errno;
    free(bytes);
    errno = reason;
    return good;
}

static bool export_hf_texts(const struct export_hf *hf) {
    const struct tokenizer *tokenizer = hf->model->tokenizer;
    return export_hf_text(hf, "config.json", export_hf_config) &&
           export_hf_text(hf, "generation_config.json", export_hf_generation) &&
           (!tokenizer ||
            (export_hf_text(hf, "tokenizer.json", export_hf_tokenizer) &&
             export_hf_text(hf, "vocab.json", export_hf_vocabulary) &&
             (!tokenizer->bpe || export_hf_text(hf, "merges.txt", export_hf_merges)) &&
             export_hf_text(hf, "tokenizer_config.json", export_hf_tokenizer_config)));
}

bool export_hf(const struct export_model *model, const char *path, char error[512]) {
    struct export_hf hf = {.model = model};
    if (!new_folder_begin(&hf.folder, path, export_hf_names, EXPORT_HF_NAMES)) {
        snprintf(error, SAFETENSORS_ERROR, "%s.tmp: cannot be made a folder: %s", path,
                 strerror(errno));
        return false;
    }
    int count;
    struct tensor_out *tensors = export_gpt2_tensors(model, &count);
    export_hf_transpose(tensors, count);
    const char *const metadata[] = {"format", "pt", "diecast", model->config};
    char *weights = new_folder_path(&hf.folder, "model.safetensors");
    bool good = safetensors_write(weights, tensors, count, metadata, 2, error);
    int reason = errno;
    free(weights);
    free(tensors);
    if (!good) {
        errno = reason;
        new_folder_drop(&hf.folder);
        return false;
    }
    good = export_hf_texts(&hf);
    if (!good) {
        new_folder_drop(&hf.folder);
    } else {
        good = new_folder_end(&hf.folder);
    }
    if (!good) {
        reason = errno;
        snprintf(error, SAFETENSORS_ERROR, "%s: cannot write its files: %s", path,
                 strerror(reason));
        errno = reason;
    }
    return good;
}
