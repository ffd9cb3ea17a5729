// export_gguf.c: a GPT as a GGUF file of llama.cpp's arch gpt2, or of one of the Llama family.
// Weights lie as nanoGPT's do, (out, in). Matrices are of the type that was asked for, but the
// table of tokens, which a tied head reads too, is Q8_0 where they are Q4_0; vectors and the table
// of positions are float32, as llama.cpp's own converter has them. "diecast.config" is our config,
// by which make import makes the same checkpoint of it.
//
// The tokenizer is GPT-2's, or characters: tokens of one character, whose bytes are merged from the
// first on. Rows of the table without a token have one that is unused, since llama.cpp wants as
// many tokens as rows.
#include "runtime/files/files.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    EXPORT_GGUF_ALIGNMENT = 32,
    EXPORT_GGUF_NORMAL = 1, // types of tokens
    EXPORT_GGUF_NAMED = 4,
    EXPORT_GGUF_CONTROL = 3,
    EXPORT_GGUF_UNUSED = 5,
};

struct export_gguf {
    const struct export_model *model;
    const char *architecture;
    FILE *out;      // the file's header
    uint64_t pairs; // written
};

// ---- values -------------------------------------------------------------------------------------

static void export_gguf_number(FILE *out, uint64_t value, size_t bytes) {
    fwrite(&value, bytes, 1, out); // little-endian
}

static void export_gguf_bytes(FILE *out, const char *text, size_t length) {
    export_gguf_number(out, length, 8);
    fwrite(text, 1, length, out);
}

static void export_gguf_key(struct export_gguf *g, const char *key, enum gguf_value type) {
    export_gguf_bytes(g->out, key, strlen(key));
    export_gguf_number(g->out, type, 4);
    g->pairs++;
}

static void export_gguf_text(struct export_gguf *g, const char *key, const char *text) {
    export_gguf_key(g, key, GGUF_TEXT);
    export_gguf_bytes(g->out, text, strlen(text));
}

static void export_gguf_u32(struct export_gguf *g, const char *key, int64_t value) {
    export_gguf_key(g, key, GGUF_U32);
    export_gguf_number(g->out, (uint64_t)value, 4);
}

static void export_gguf_flag(struct export_gguf *g, const char *key, bool value) {
    export_gguf_key(g, key, GGUF_BOOL);
    export_gguf_number(g->out, value, 1);
}

static void export_gguf_list(struct export_gguf *g, const char *key, enum gguf_value type,
                             int64_t count) {
    export_gguf_key(g, key, GGUF_LIST);
    export_gguf_number(g->out, type, 4);
    export_gguf_number(g->out, (uint64_t)count, 8);
}

// ---- the tokenizer ------------------------------------------------------------------------------

// A token's bytes as GPT-2's files write them.
static void export_gguf_shown(FILE *out, const char *bytes, size_t length) {
    char shown[2 * TOKENIZER_TOKEN_MAX];
    fwrite(shown, 1, gpt2_show(bytes, length, shown), out);
}

static void export_gguf_token(FILE *out, const struct tokenizer *tokenizer, int32_t id) {
    struct growing text;
    growing_begin(&text, "a token");
    size_t length;
    const char *bytes = tokenizer_decode(tokenizer, id, &length);
    if (tokenizer->bpe && bpe_kind(tokenizer->bpe, id) != BPE_PLAIN) {
        fwrite(bytes, 1, length, text.file);
    } else {
        export_gguf_shown(text.file, bytes, length);
    }
    char *token = growing_end(&text);
    export_gguf_bytes(out, token, text.length);
    free(token);
}

static void export_gguf_merge(FILE *out, const char *left, size_t left_length, const char *right,
                              size_t right_length) {
    struct growing text;
    growing_begin(&text, "a merge");
    export_gguf_shown(text.file, left, left_length);
    fputs(" ", text.file);
    export_gguf_shown(text.file, right, right_length);
    char *merge = growing_end(&text);
    export_gguf_bytes(out, merge, text.length);
    free(merge);
}

// Writes the merges that make a character, byte after byte; returns how many. Those of its first
// bytes are left out where the character before begins with them too.
static int64_t export_gguf_character(FILE *out, const struct tokenizer *tokenizer, int32_t id) {
    size_t length, before = 0, same = 0;
    const char *bytes = tokenizer_decode(tokenizer, id, &length);
    const char *other = id ? tokenizer_decode(tokenizer, id - 1, &before) : NULL;
    while (same < before && same < length && bytes[same] == other[same]) {
        same++;
    }
    int64_t count = 0;
    for (size_t at = same > 1 ? same : 1; at < length; at++, count++) {
        export_gguf_merge(out, bytes, at, bytes + at, 1);
    }
    return count;
}

// Writes all merges; returns how many.
static int64_t export_gguf_merges(FILE *out, const struct tokenizer *tokenizer) {
    int64_t count = tokenizer->bpe ? bpe_merge_count(tokenizer->bpe) : 0;
    for (int32_t i = 0; i < count; i++) {
        int32_t left, right;
        size_t a, b;
        bpe_merge_parts(tokenizer, i, &left, &right);
        const char *first = tokenizer_decode(tokenizer, left, &a);
        const char *second = tokenizer_decode(tokenizer, right, &b);
        export_gguf_merge(out, first, a, second, b);
    }
    for (int32_t id = 0; !tokenizer->bpe && id < tokenizer->vocab_size; id++) {
        count += export_gguf_character(out, tokenizer, id);
    }
    return count;
}

// The token at which llama.cpp ends a text, as it always wants one: <|endoftext|>, else an unused
// row, else a token that hardly any text has.
static int32_t export_gguf_end(const struct tokenizer *tokenizer, int64_t rows) {
    static const char rare[] = "\x7f\x01\x02\x03\x04\x05\x06\x07^~`|\\{}@#$%&*+=<>[]_/0123456789";
    const int32_t end = tokenizer->bpe ? bpe_end_of_text(tokenizer->bpe) : -1;
    if (end >= 0 || tokenizer->vocab_size < rows) {
        return end >= 0 ? end : tokenizer->vocab_size;
    }
    for (const char *c = rare; *c; c++) {
        int32_t id;
        size_t where;
        if (tokenizer_encode(tokenizer, c, 1, &id, &where) == 1) {
            return id;
        }
    }
    return tokenizer->vocab_size - 1;
}

static uint64_t export_gguf_type(const struct tokenizer *tokenizer, int32_t id) {
    static const uint64_t types[] = {[BPE_PLAIN] = EXPORT_GGUF_NORMAL,
                                     [BPE_CONTROL] = EXPORT_GGUF_CONTROL,
                                     [BPE_NAMED] = EXPORT_GGUF_NAMED,
                                     [BPE_UNUSED] = EXPORT_GGUF_UNUSED};
    return id >= tokenizer->vocab_size ? EXPORT_GGUF_UNUSED
           : tokenizer->bpe            ? types[bpe_kind(tokenizer->bpe, id)]
                                       : EXPORT_GGUF_NORMAL;
}

static void export_gguf_tokenizer(struct export_gguf *g, const struct tokenizer *tokenizer) {
    const int64_t rows = export_number(g->model, "vocab_size");
    const int32_t end = export_gguf_end(tokenizer, rows);
    const bool has_end = tokenizer->bpe && end == bpe_end_of_text(tokenizer->bpe);
    export_gguf_text(g, "tokenizer.ggml.model", "gpt2");
    static const char *const cuts[] = {"gpt-2", "smollm", "llama-bpe", "qwen2"};
    export_gguf_text(g, "tokenizer.ggml.pre", cuts[tokenizer->cut]);
    export_gguf_list(g, "tokenizer.ggml.tokens", GGUF_TEXT, rows);
    for (int32_t id = 0; id < rows; id++) {
        char unused[32];
        if (id < tokenizer->vocab_size &&
            (!tokenizer->bpe || bpe_kind(tokenizer->bpe, id) != BPE_UNUSED)) {
            export_gguf_token(g->out, tokenizer, id);
        } else {
            snprintf(unused, sizeof unused, "[PAD%d]", id);
            export_gguf_bytes(g->out, unused, strlen(unused));
        }
    }
    export_gguf_list(g, "tokenizer.ggml.token_type", GGUF_I32, rows);
    for (int32_t id = 0; id < rows; id++) {
        export_gguf_number(g->out, export_gguf_type(tokenizer, id), 4);
    }
    struct growing merges;
    growing_begin(&merges, "the tokenizer's merges");
    const int64_t count = export_gguf_merges(merges.file, tokenizer);
    char *bytes = growing_end(&merges);
    export_gguf_list(g, "tokenizer.ggml.merges", GGUF_TEXT, count);
    fwrite(bytes, 1, merges.length, g->out);
    free(bytes);
    const int32_t begin = tokenizer->bpe ? bpe_begin_of_text(tokenizer->bpe) : -1;
    export_gguf_u32(g, "tokenizer.ggml.bos_token_id", begin >= 0 ? begin : end);
    export_gguf_u32(g, "tokenizer.ggml.eos_token_id", end);
    export_gguf_flag(g, "tokenizer.ggml.add_bos_token", tokenizer_begin(tokenizer) >= 0);
    export_gguf_flag(g, "tokenizer.ggml.add_eos_token", false);
    if (!has_end && end < tokenizer->vocab_size) {
        size_t length;
        char shown[2 * TOKENIZER_TOKEN_MAX];
        const char *text = tokenizer_decode(tokenizer, end, &length);
        const size_t bytes = gpt2_show(text, length, shown);
        printf(
            "llama.cpp ends a text at one token at least, and this tokenizer has none for it: it "
            "will be token %d, '%.*s'\n",
            end, (int)bytes, shown);
    }
}

// ---- the header ---------------------------------------------------------------------------------

// A key of the architecture, as "gpt2.block_count".
static void export_gguf_size(struct export_gguf *g, const char *name, int64_t value) {
    char key[96];
    snprintf(key, sizeof key, "%s.%s", g->architecture, name);
    export_gguf_u32(g, key, value);
}

static void export_gguf_float(struct export_gguf *g, const char *name, double value) {
    char key[96];
    const float single = (float)value;
    uint32_t bits;
    memcpy(&bits, &single, sizeof bits);
    snprintf(key, sizeof key, "%s.%s", g->architecture, name);
    export_gguf_key(g, key, GGUF_F32);
    export_gguf_number(g->out, bits, 4);
}

static void export_gguf_llama(struct export_gguf *g) {
    const struct export_model *model = g->model;
    const int64_t heads = export_number(model, "n_head");
    const int64_t size = export_head_size(model);
    export_gguf_size(g, "attention.head_count_kv", export_number_or(model, "n_kv_head", heads));
    export_gguf_size(g, "attention.key_length", size);
    export_gguf_size(g, "attention.value_length", size);
    export_gguf_size(g, "rope.dimension_count", size);
    export_gguf_float(g, "rope.freq_base", export_real_or(model, "rope_theta", 10000));
    export_gguf_float(g, "attention.layer_norm_rms_epsilon", export_epsilon(model));
}

static void export_gguf_pairs(struct export_gguf *g) {
    static const uint32_t file_types[NUMBER_TYPES] = {
        [NUMBER_F32] = 0,  [NUMBER_F16] = 1,   [NUMBER_Q4_0] = 2,
        [NUMBER_Q8_0] = 7, [NUMBER_BF16] = 32,
    };
    static const char *const sizes[][2] = {{"embedding_length", "n_embd"},
                                           {"block_count", "n_layer"},
                                           {"attention.head_count", "n_head"}};
    const struct export_model *model = g->model;
    export_gguf_text(g, "general.architecture", g->architecture);
    export_gguf_text(g, "general.type", "model");
    export_gguf_u32(g, "general.alignment", EXPORT_GGUF_ALIGNMENT);
    export_gguf_u32(g, "general.file_type", file_types[model->type]);
    export_gguf_u32(g, "general.quantization_version", 2);
    export_gguf_size(g, "vocab_size", export_number(model, "vocab_size"));
    export_gguf_size(g, "context_length", export_context(model));
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        export_gguf_size(g, sizes[i][0], export_number(model, sizes[i][1]));
    }
    export_gguf_size(g, "feed_forward_length", export_inner(model));
    if (!strcmp(g->architecture, "gpt2")) {
        export_gguf_float(g, "attention.layer_norm_epsilon", export_epsilon(model));
    } else {
        export_gguf_llama(g);
    }
    export_gguf_text(g, "diecast.config", model->config);
    if (model->tokenizer) {
        export_gguf_tokenizer(g, model->tokenizer);
    } else {
        export_gguf_text(g, "tokenizer.ggml.model", "none");
    }
}

static uint64_t export_gguf_aligned(uint64_t bytes) {
    return (bytes + EXPORT_GGUF_ALIGNMENT - 1) / EXPORT_GGUF_ALIGNMENT * EXPORT_GGUF_ALIGNMENT;
}

static void export_gguf_fill(FILE *out, uint64_t bytes) {
    static const char zeros[EXPORT_GGUF_ALIGNMENT];
    fwrite(zeros, 1, export_gguf_aligned(bytes) - bytes, out);
}

static void export_gguf_tensors(FILE *out, const struct tensor_out *tensors, int count) {
    uint64_t at = 0;
    for (int i = 0; i < count; i++) {
        const struct tensor_out *tensor = &tensors[i];
        char name[PARAM_NAME];
        gguf_name(tensor->name, name);
        export_gguf_bytes(out, name, strlen(name));
        export_gguf_number(out, (uint64_t)tensor->ndim, 4);
        for (int d = tensor->ndim; d-- > 0;) { // the row's length first
            export_gguf_number(out, (uint64_t)tensor->dims[d], 8);
        }
        export_gguf_number(out, gguf_type_of(number_type_dtype(tensor->type)), 4);
        export_gguf_number(out, at, 8);
        at = export_gguf_aligned(at + tensor_out_bytes(tensor));
    }
}

// ---- the file -----------------------------------------------------------------------------------

// Sets each tensor's type, whose blocks must fill the rows.
static void export_gguf_types(const struct export_model *model, struct tensor_out *tensors,
                              int count) {
    const size_t block = number_block(model->type);
    const char *table = param_tokens(model->params, model->params_count);
    for (int i = 0; i < count; i++) {
        struct tensor_out *tensor = &tensors[i];
        if (tensor->ndim == 1 || !strcmp(tensor->name, "transformer.wpe.weight")) {
            tensor->type = NUMBER_F32;
        } else if ((size_t)tensor->dims[1] % block) {
            die(EXIT_USAGE,
                "TYPE: %s stores %zu neighbours in a row together, and the rows of %s are %lld "
                "long, no multiple of it; TYPE=float16 takes any",
                number_type_name(model->type), block, tensor->name, (long long)tensor->dims[1]);
        } else if (model->type == NUMBER_Q4_0 && !strcmp(tensor->name, table)) {
            tensor->type = NUMBER_Q8_0;
        }
    }
}

// llama.cpp turns neighbours where the rows of q and k lie pairwise.
static void export_gguf_rows(const struct export_gguf *g, struct tensor_out *tensors, int count) {
    const struct slice architecture = {g->architecture, strlen(g->architecture)};
    const int64_t heads = export_number(g->model, "n_head");
    for (int i = 0; i < count && gguf_is_pairwise(architecture); i++) {
        const char *name = tensors[i].name;
        const bool q = strstr(name, ".q_proj."), k = strstr(name, ".k_proj.");
        tensors[i].heads = q ? heads : k ? export_number_or(g->model, "n_kv_head", heads) : 0;
    }
}

bool export_gguf(const struct export_model *model, const char *path, char error[512]) {
    (void)error; // replace_end ends the program where a write failed
    int count;
    struct tensor_out *tensors = export_gpt2_tensors(model, &count);
    struct tensor_out *divisors = &tensors[count]; // a Llama's list has room
    const bool divided = export_gguf_divisors(model, divisors);
    count += divided;
    export_gguf_types(model, tensors, count);
    struct growing pairs, entries;
    growing_begin(&pairs, "a file's header");
    struct export_gguf g = {
        .model = model, .architecture = export_family(model), .out = pairs.file};
    export_gguf_rows(&g, tensors, count);
    export_gguf_pairs(&g);
    char *first = growing_end(&pairs);
    growing_begin(&entries, "a file's header");
    export_gguf_tensors(entries.file, tensors, count);
    char *second = growing_end(&entries);
    void *room = allocate(tensor_out_room(tensors, count), 1, "a tensor");

    struct replacement file;
    replace_begin(&file, path);
    fwrite("GGUF", 4, 1, file.file);
    export_gguf_number(file.file, 3, 4);
    export_gguf_number(file.file, (uint64_t)count, 8);
    export_gguf_number(file.file, g.pairs, 8);
    fwrite(first, 1, pairs.length, file.file);
    fwrite(second, 1, entries.length, file.file);
    export_gguf_fill(file.file, 4 + 4 + 8 + 8 + pairs.length + entries.length);
    for (int i = 0; i < count; i++) {
        const size_t bytes = tensor_out_bytes(&tensors[i]);
        fwrite(tensor_out_stored(&tensors[i], room), 1, bytes, file.file);
        export_gguf_fill(file.file, bytes);
    }
    replace_end(&file);
    free(room);
    free(first);
    free(second);
    free(divided ? (void *)divisors->data : NULL);
    free(tensors);
    return true;
}
