// gguf_model.c: what a GGUF file says of a model: the sizes of a GPT-2, llama.cpp's architecture
// "gpt2". gguf_llama.c has the sizes of the other models, gguf_names.c the tensors' names,
// gguf_tokenizer.c the tokenizer of any.
#include "runtime/files/files.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// ---- sizes -------------------------------------------------------------------------------------

const struct gguf_pair *gguf_need(const struct safetensors *file, const char *key) {
    const struct gguf_pair *pair = gguf_find(file, key);
    if (!pair) {
        die(EXIT_DATA,
            "%s: has no %s, which each such model of llama.cpp's has; convert the model again",
            file->path, key);
    }
    return pair;
}

int64_t gguf_need_integer(const struct safetensors *file, const char *key) {
    const struct gguf_pair *pair = gguf_need(file, key);
    int64_t number;
    if (pair->type == GGUF_LIST || !gguf_integer(pair, 0, &number)) {
        die(EXIT_DATA, "%s: its %s is not a whole number", file->path, key);
    }
    return number;
}

const struct gguf_pair *gguf_text_of(const struct safetensors *file, const char *key) {
    const struct gguf_pair *pair = gguf_find(file, key);
    if (pair && pair->type != GGUF_TEXT) {
        die(EXIT_DATA, "%s: its %s is no text", file->path, key);
    }
    return pair;
}

struct slice gguf_slice(const struct gguf_pair *pair) {
    uint64_t length;
    memcpy(&length, pair->at, sizeof length);
    return (struct slice){pair->at + sizeof length, (size_t)length};
}

void gguf_write_float(float x, FILE *out) {
    char text[32];
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)x);
        if (strtof(text, NULL) == x) {
            break;
        }
    }
    fprintf(out, isfinite(x) ? "%s" : "\"%s\"", text);
}

float gguf_need_float(const struct safetensors *file, const char *key) {
    const struct gguf_pair *pair = gguf_need(file, key);
    if (pair->type != GGUF_F32) {
        die(EXIT_DATA, "%s: its %s is no float32", file->path, key);
    }
    float x;
    memcpy(&x, pair->at, sizeof x);
    return x;
}

static void gguf_describe_tensors(const struct safetensors *file, FILE *out) {
    const struct tensor_view *table = safetensors_find(file, "token_embd.weight");
    const struct tensor_view *head = safetensors_find(file, "output.weight");
    if (!table || table->ndim != 2) {
        die(EXIT_DATA, "%s: has no token_embd.weight, the table of tokens", file->path);
    }
    const bool tied =
        !head || (head->stored == table->stored && !strcmp(head->dtype, table->dtype) &&
                  !memcmp(head->place, table->place, head->stored));
    fprintf(out, ",\"vocab_size\":%lld,\"tie_word_embeddings\":%s", (long long)table->dims[0],
            tied ? "true" : "false");
}

static void gguf_describe_gpt2(const struct safetensors *file, FILE *out) {
    static const char *const sizes[][2] = {
        {"gpt2.block_count", "n_layer"},         {"gpt2.attention.head_count", "n_head"},
        {"gpt2.embedding_length", "n_embd"},     {"gpt2.context_length", "n_positions"},
        {"gpt2.feed_forward_length", "n_inner"},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        fprintf(out, ",\"%s\":%lld", sizes[i][1], (long long)gguf_need_integer(file, sizes[i][0]));
    }
    fputs(",\"layer_norm_epsilon\":", out);
    gguf_write_float(gguf_need_float(file, "gpt2.attention.layer_norm_epsilon"), out);
    // It is what llama.cpp computes; training is no part of such a file.
    fputs(",\"activation_function\":\"gelu_new\",\"resid_pdrop\":0,\"embd_pdrop\":0,"
          "\"attn_pdrop\":0",
          out);
}

struct slice gguf_architecture(const struct safetensors *file) {
    const struct gguf_pair *pair = gguf_text_of(file, "general.architecture");
    return pair ? gguf_slice(pair) : (struct slice){"missing", 7};
}

void gguf_describe(const struct safetensors *file, FILE *out) {
    const struct slice kind = gguf_architecture(file);
    const bool gpt2 = slice_is(kind, "gpt2");
    fputs("{\"model_type\":", out);
    json_write_string(out, kind.text, kind.length);
    if (gpt2 || gguf_is_llama(kind)) {
        (gpt2 ? gguf_describe_gpt2 : gguf_describe_llama)(file, out);
        gguf_describe_tensors(file, out);
        fprintf(out, ",\"has_tokenizer\":%s", gguf_has_tokenizer(file) ? "true" : "false");
        const struct gguf_pair *own = gguf_text_of(file, "diecast.config");
        if (own) { // of make export
            fputs(",\"diecast\":", out);
            json_write_string(out, gguf_slice(own).text, gguf_slice(own).length);
        }
    }
    fputs("}\n", out);
}

// ---- for people --------------------------------------------------------------------------------

static void gguf_print_value(const struct gguf_pair *pair) {
    enum { MOST = 400 };
    int64_t number;
    double x;
    float single;
    if (pair->type == GGUF_LIST) {
        printf("%s %s",
               figure_count((int64_t)(pair->count > INT64_MAX ? INT64_MAX : pair->count)).s,
               pair->item == GGUF_TEXT   ? "texts"
               : pair->item == GGUF_BOOL ? "flags"
                                         : "numbers");
    } else if (pair->type == GGUF_TEXT) {
        char shown[MOST + 4];
        slice_show(gguf_slice(pair), MOST, shown);
        fputs(shown, stdout);
    } else if (pair->type == GGUF_BOOL) {
        fputs(*pair->at ? "true" : "false", stdout);
    } else if (pair->type == GGUF_F32) {
        memcpy(&single, pair->at, sizeof single);
        gguf_write_float(single, stdout);
    } else if (pair->type == GGUF_F64) {
        memcpy(&x, pair->at, sizeof x);
        printf("%.17g", x);
    } else {
        gguf_integer(pair, 0, &number);
        if (pair->type == GGUF_U64) {
            printf("%llu", (unsigned long long)number);
        } else {
            printf("%lld", (long long)number);
        }
    }
}

void gguf_print(const struct safetensors *file) {
    for (int i = 0; i < file->pairs_count; i++) {
        const struct gguf_pair *pair = &file->pairs[i];
        char key[120 + 4];
        slice_show(pair->key, 120, key);
        printf("  %-34s ", key);
        gguf_print_value(pair);
        putchar('\n');
    }
}
