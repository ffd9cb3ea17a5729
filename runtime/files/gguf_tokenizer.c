// gguf_tokenizer.c: the tokenizer in a GGUF file: byte-pair encoding, or characters.
//
//     tokenizer.ggml.tokens, token_type, merges    the vocabulary (bpe_source.c)
//     tokenizer.ggml.pre                           how text is cut
//     tokenizer.ggml.bos_token_id, eos_token_id, add_bos_token
//
// What a name under `pre` means besides, llama.cpp knows without being told, and so do we.
#include "runtime/files/files.h"

#include <stdlib.h>
#include <string.h>

enum { // llama.cpp's types of tokens
    GGUF_TOKEN_NORMAL = 1,
    GGUF_TOKEN_UNKNOWN,
    GGUF_TOKEN_CONTROL,
    GGUF_TOKEN_USER_DEFINED,
    GGUF_TOKEN_UNUSED,
    GGUF_TOKEN_BYTE
};

// The names of ways to cut text that are known, and what comes with each.
static const struct gguf_pre {
    const char *name;
    enum pretokenizer cut;
    bool adds_begin, nfc,
        whole; // where the file says nothing of adding; the rest is as text.h has it
} gguf_pre[] = {
    {"gpt-2", PRETOKENIZER_GPT2, false, false, false},
    {"default", PRETOKENIZER_GPT2, false, false, false},
    {"smollm", PRETOKENIZER_SMOLLM, false, false, false},
    {"llama-bpe", PRETOKENIZER_LLAMA3, true, false, true},
    {"qwen2", PRETOKENIZER_QWEN2, false, true, false},
};

struct gguf_tokens {
    struct slice *text;
    uint8_t *kind; // enum bpe_kind
    size_t count;  // without unused ones at the end, which fill the table of tokens up
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

static bool gguf_is_padding(struct slice text, size_t id) {
    char padding[32];
    snprintf(padding, sizeof padding, "[PAD%zu]", id);
    return slice_is(text, padding);
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
    struct gguf_tokens tokens = {.count = (size_t)list->count, .text = gguf_texts(list)};
    tokens.kind = allocate(tokens.count, 1, "the tokenizer's tokens");
    bool used = false;
    for (size_t i = tokens.count; types && i-- > 0;) {
        int64_t type;
        if (!gguf_integer(types, i, &type) || type < GGUF_TOKEN_NORMAL || type > GGUF_TOKEN_BYTE) {
            die(EXIT_DATA, "%s: token %zu is of type %lld; 1 to 6 are known", file->path, i,
                (long long)type);
        }
        // Files of some years ago have what fills the table up as tokens of users.
        used = used || (type != GGUF_TOKEN_UNUSED && !gguf_is_padding(tokens.text[i], i));
        tokens.count -= !used;
        tokens.kind[i] = type == GGUF_TOKEN_UNUSED                                  ? BPE_UNUSED
                         : type == GGUF_TOKEN_USER_DEFINED                          ? BPE_NAMED
                         : type == GGUF_TOKEN_CONTROL || type == GGUF_TOKEN_UNKNOWN ? BPE_CONTROL
                                                                                    : BPE_PLAIN;
    }
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

// ---- byte-pair encoding ------------------------------------------------------------------------

// The id under a key, or -1 where there is none.
static int32_t gguf_id(const struct safetensors *file, const char *key, size_t tokens) {
    const struct gguf_pair *pair = gguf_find(file, key);
    int64_t id = -1;
    if (pair && (pair->type == GGUF_LIST || !gguf_integer(pair, 0, &id) || id >= INT32_MAX)) {
        die(EXIT_DATA, "%s: its %s is no token", file->path, key);
    }
    return id < (int64_t)tokens ? (int32_t)id : -1; // some files name one that fills the table up
}

static bool gguf_adds_begin(const struct safetensors *file, bool otherwise) {
    const struct gguf_pair *pair = gguf_find(file, "tokenizer.ggml.add_bos_token");
    if (pair && pair->type != GGUF_BOOL) {
        die(EXIT_DATA, "%s: its tokenizer.ggml.add_bos_token is not true or false", file->path);
    }
    return pair ? *pair->at != 0 : otherwise;
}

static const struct gguf_pre *gguf_pre_of(const struct safetensors *file) {
    const struct gguf_pair *pair = gguf_text_of(file, "tokenizer.ggml.pre");
    if (!pair) {
        return &gguf_pre[0]; // as files had none of GPT-2's
    }
    struct growing names;
    growing_begin(&names, "a message");
    for (size_t i = 0; i < sizeof gguf_pre / sizeof *gguf_pre; i++) {
        if (slice_is(gguf_slice(pair), gguf_pre[i].name)) {
            free(growing_end(&names));
            return &gguf_pre[i];
        }
        fprintf(names.file, "%s%s", i ? ", " : "", gguf_pre[i].name);
    }
    die(EXIT_DATA, "%s: its tokenizer cuts text as '%.*s' does; one of %s is wanted", file->path,
        SLICE_SHOWN(gguf_slice(pair)), growing_end(&names));
}

static char *gguf_bpe(const struct safetensors *file, const struct gguf_tokens *tokens) {
    const struct gguf_pre *pre = gguf_pre_of(file);
    const struct gguf_pair *list = gguf_list(file, "tokenizer.ggml.merges", GGUF_TEXT);
    const size_t count = list ? (size_t)list->count : 0;
    if (!count) {
        die(EXIT_DATA, "%s: its tokens are no rising list of characters, and no merges make others",
            file->path);
    }
    struct slice *merges = gguf_texts(list);
    struct slice(*merge)[2] = allocate(count, sizeof *merge, "the tokenizer's merges");
    for (size_t i = 0; i < count; i++) {
        bpe_source_cut(merges[i], merge[i]);
    }
    const struct bpe_source source = {
        .path = file->path,
        .cut = pre->cut,
        .token = tokens->text,
        .kind = tokens->kind,
        .count = tokens->count,
        .merge = merge,
        .merges = count,
        .begin = gguf_id(file, "tokenizer.ggml.bos_token_id", tokens->count),
        .end = gguf_id(file, "tokenizer.ggml.eos_token_id", tokens->count),
        .adds_begin = gguf_adds_begin(file, pre->adds_begin),
        .nfc = pre->nfc,
        .whole = pre->whole,
    };
    char *text = bpe_source_string(&source);
    free(merge);
    free(merges);
    return text;
}

char *gguf_tokenizer(const struct safetensors *file) {
    if (!gguf_has_tokenizer(file)) {
        return NULL;
    }
    const struct slice model = gguf_slice(gguf_text_of(file, "tokenizer.ggml.model"));
    if (!slice_is(model, "gpt2")) {
        die(EXIT_DATA, "%s: its tokenizer is '%.*s'; 'gpt2', byte-pair encoding, is wanted",
            file->path, SLICE_SHOWN(model));
    }
    struct gguf_tokens tokens = gguf_tokens(file);
    char *text = gguf_characters(&tokens);
    text = text ? text : gguf_bpe(file, &tokens);
    free(tokens.kind);
    free(tokens.text);
    return text;
}
