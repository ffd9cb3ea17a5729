// gguf_model.c: what a GGUF file says of a model: the sizes of a GPT-2, llama.cpp's architecture
// "gpt2", and the tokenizer of any. gguf_llama.c has the sizes of the other models, gguf_names.c
// the tensors' names.
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

// ---- the tokenizer -----------------------------------------------------------------------------

enum { // llama.cpp's types of tokens
    GGUF_TOKEN_NORMAL = 1,
    GGUF_TOKEN_UNUSED = 5,
    GGUF_TOKEN_BYTE = 6
};

struct gguf_tokens {
    struct slice *text;
    size_t count; // without unused ones at the end, which fill the table of tokens up
};

bool gguf_has_tokenizer(const struct safetensors *file) {
    const struct gguf_pair *model = gguf_text_of(file, "tokenizer.ggml.model");
    return model && !slice_is(gguf_slice(model), "none") &&
           !slice_is(gguf_slice(model), "no_vocab");
}

static const struct gguf_pair *gguf_list(const struct safetensors *file, const char *key,
                                         enum gguf_value item) {
    const struct gguf_pair *pair = gguf_find(file, key);
    if (pair && (pair->type != GGUF_LIST || pair->item != item)) {
        die(EXIT_DATA, "%s: its %s is no list of %s", file->path, key,
            item == GGUF_TEXT ? "texts" : "32-bit integers");
    }
    return pair;
}

static struct gguf_tokens gguf_tokens(const struct safetensors *file) {
    const struct gguf_pair *list = gguf_list(file, "tokenizer.ggml.tokens", GGUF_TEXT);
    const struct gguf_pair *types = gguf_list(file, "tokenizer.ggml.token_type", GGUF_I32);
    if (!list) {
        die(EXIT_DATA, "%s: has a tokenizer without tokenizer.ggml.tokens", file->path);
    }
    if (types && types->count != list->count) {
        die(EXIT_DATA, "%s: has %llu tokens, but tokenizer.ggml.token_type is of %llu", file->path,
            (unsigned long long)list->count, (unsigned long long)types->count);
    }
    struct gguf_tokens tokens = {.count = (size_t)list->count};
    bool used = false;
    for (size_t i = tokens.count; types && i-- > 0;) {
        int64_t type;
        if (!gguf_integer(types, i, &type) || type < GGUF_TOKEN_NORMAL || type > GGUF_TOKEN_BYTE) {
            die(EXIT_DATA, "%s: token %zu is of type %lld; 1 to 6 are known", file->path, i,
                (long long)type);
        }
        used = used || type != GGUF_TOKEN_UNUSED;
        tokens.count -= !used;
    }
    tokens.text = gguf_texts(list);
    return tokens;
}

// The one character that a token is, or -1: its bytes are written as GPT-2's files write them.
static int64_t gguf_character(struct slice token) {
    unsigned char bytes[4];
    size_t length = 0;
    for (size_t at = 0; at < token.length;) {
        uint32_t shown, byte;
        const int used =
            utf8_decode((const unsigned char *)token.text + at, token.length - at, &shown);
        if (!used || length == sizeof bytes || !gpt2_byte_of(shown, &byte)) {
            return -1;
        }
        bytes[length++] = (unsigned char)byte;
        at += (size_t)used;
    }
    uint32_t character;
    return length && (size_t)utf8_decode(bytes, length, &character) == length ? (int64_t)character
                                                                              : -1;
}

// "char 0a 20 ..." if all tokens are characters, ascending; else NULL.
static char *gguf_characters(const struct gguf_tokens *tokens) {
    struct growing text;
    growing_begin(&text, "the tokenizer");
    fputs("char", text.file);
    int64_t before = -1;
    bool good = tokens->count > 0;
    for (size_t i = 0; good && i < tokens->count; i++) {
        const int64_t character = gguf_character(tokens->text[i]);
        good = character > before;
        before = character;
        fprintf(text.file, " %02llx", (unsigned long long)character);
    }
    char *made = growing_end(&text);
    if (!good) {
        free(made);
    }
    return good ? made : NULL;
}

char *gguf_tokenizer(const struct safetensors *file) {
    if (!gguf_has_tokenizer(file)) {
        return NULL;
    }
    const struct slice model = gguf_slice(gguf_text_of(file, "tokenizer.ggml.model"));
    const struct gguf_pair *pre = gguf_text_of(file, "tokenizer.ggml.pre");
    if (!slice_is(model, "gpt2")) {
        die(EXIT_DATA, "%s: its tokenizer is '%.*s'; 'gpt2', byte-pair encoding, is wanted",
            file->path, SLICE_SHOWN(model));
    }
    struct gguf_tokens tokens = gguf_tokens(file);
    char *text = gguf_characters(&tokens);
    if (!text) {
        if (pre && !slice_is(gguf_slice(pre), "gpt-2")) {
            die(EXIT_DATA, "%s: its tokenizer cuts text as '%.*s' does; 'gpt-2' is wanted",
                file->path, SLICE_SHOWN(gguf_slice(pre)));
        }
        const struct gguf_pair *list = gguf_list(file, "tokenizer.ggml.merges", GGUF_TEXT);
        struct slice *merges = list ? gguf_texts(list) : NULL;
        text = gpt2_lists_read(file->path, merges, list ? (size_t)list->count : 0, tokens.text,
                               tokens.count);
        free(merges);
    }
    free(tokens.text);
    return text;
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
