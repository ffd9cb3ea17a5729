// gguf.c: GGUF files, and what they say of a GPT-2. The first byte says whether the rest is a file,
// or merges "left right", a line each, from which a list of tokens is made. Tensors of an accepted
// file lie within it in their order, as large as their shapes say; what it says of a model is JSON;
// its tokenizer is one.
// links: tests/runtime/fake_model.c
#include "runtime/files/files.h"
#include "runtime/kernel/emitted.h"
#include "tests/torture/fuzz/support/fuzz.h"

#include <unistd.h>

struct reading {
    const char *path;
    void (*then)(struct reading *reading); // what is done with the file once it is open
    struct safetensors file;
    bool open;
    FILE *out;
    char *tokenizer;
    struct slice *merges, *tokens;
    size_t length, merges_count, tokens_count;
    char error[SAFETENSORS_ERROR];
};

static void read_file(void *context) {
    struct reading *reading = context;
    enum exit_code code = EXIT_DONE;
    reading->open = gguf_open(&reading->file, reading->path, reading->error, &code);
    FUZZ_MUST(reading->open || (*reading->error && code == EXIT_DATA));
    if (reading->open) {
        reading->then(reading);
        safetensors_close(&reading->file);
    }
}

static void describe(struct reading *reading) {
    gguf_describe(&reading->file, reading->out);
}

static void read_tokenizer(struct reading *reading) {
    reading->tokenizer = gguf_tokenizer(&reading->file);
}

static void read_lists(void *context) {
    struct reading *reading = context;
    struct slice(*merge)[2] = calloc(reading->merges_count + 1, sizeof *merge);
    uint8_t *kind = calloc(reading->tokens_count, 1);
    FUZZ_MUST(merge && kind);
    for (size_t i = 0; i < reading->merges_count; i++) {
        bpe_source_cut(reading->merges[i], merge[i]);
    }
    kind[reading->tokens_count - 1] = BPE_CONTROL;
    const struct bpe_source source = {.path = "lists",
                                      .cut = PRETOKENIZER_GPT2,
                                      .token = reading->tokens,
                                      .kind = kind,
                                      .count = reading->tokens_count,
                                      .merge = merge,
                                      .merges = reading->merges_count,
                                      .begin = -1,
                                      .end = -1};
    reading->tokenizer = bpe_source_string(&source);
    free(merge);
    free(kind);
}

static void adapt(struct reading *reading) {
    struct safetensors *file = &reading->file;
    gguf_rename(file);
    if (!foreign_adapt(file, model_info.params, model_info.params_count, reading->error)) {
        FUZZ_MUST(*reading->error);
        return;
    }
    for (int i = 0; i < file->count; i++) {
        const struct tensor_view *t = &file->tensors[i];
        size_t floats = 1;
        for (int d = 0; d < t->ndim; d++) {
            floats *= (size_t)t->dims[d];
        }
        float sum = 0;
        for (size_t k = 0; k < floats; k++) {
            sum += t->data[k];
        }
        FUZZ_MUST(floats * sizeof(float) == t->bytes);
        FUZZ_MUST(sum == sum || sum != sum); // every number was read
    }
}

// Of the types whose numbers are read.
static uint64_t stored_bytes(const char *type, uint64_t numbers) {
    return !strcmp(type, "F32")                            ? numbers * 4
           : !strcmp(type, "F16") || !strcmp(type, "BF16") ? numbers * 2
           : !strcmp(type, "Q8_0")                         ? numbers / 32 * 34
           : !strcmp(type, "Q4_0")                         ? numbers / 32 * 18
           : !strcmp(type, "Q4_1")                         ? numbers / 32 * 20
                                                           : UINT64_MAX;
}

static void check(struct reading *reading) {
    const struct safetensors *file = &reading->file;
    const size_t length = reading->length;
    const char *begin = file->map, *at = begin;
    FUZZ_MUST(file->map_bytes == length);
    for (int i = 0; i < file->pairs_count; i++) {
        const struct gguf_pair *pair = &file->pairs[i];
        char *key = allocate_copy(pair->key.text, pair->key.length, "a key");
        FUZZ_MUST(gguf_find(file, key) == pair);
        free(key);
        FUZZ_MUST(pair->key.text > at && pair->key.text + pair->key.length < pair->at);
        at = pair->at;
        int64_t x;
        for (uint64_t k = 0; k < pair->count && k < 16; k++) {
            (void)gguf_integer(pair, k, &x);
        }
        if (pair->item == GGUF_TEXT) {
            struct slice *texts = gguf_texts(pair);
            for (uint64_t k = 0; k < pair->count; k++) {
                FUZZ_MUST(texts[k].text >= at && texts[k].text + texts[k].length <= begin + length);
                at = texts[k].text + texts[k].length;
            }
            free(texts);
        }
    }
    for (int i = 0; i < file->count; i++) {
        const struct tensor_view *t = &file->tensors[i];
        uint64_t numbers = 1;
        for (int d = 0; d < t->ndim; d++) {
            FUZZ_MUST(t->dims[d] >= 0 &&
                      !__builtin_mul_overflow(numbers, (uint64_t)t->dims[d], &numbers));
        }
        const uint64_t bytes = stored_bytes(t->dtype, numbers);
        FUZZ_MUST(bytes == t->stored || bytes == UINT64_MAX);
        FUZZ_MUST(t->place >= at && t->place + t->stored <= begin + length);
        FUZZ_MUST(!t->data || ((uintptr_t)t->data % sizeof(float) == 0 && t->bytes == t->stored));
        FUZZ_MUST(safetensors_find(file, t->name) == t);
        at = t->place + t->stored;
    }
}

// What is said is JSON.
static void check_description(struct reading *reading) {
    static char text[1 << 16];
    const char *problem;
    const long length = ftell(reading->out);
    FUZZ_MUST(length > 0 && length < (long)sizeof text);
    rewind(reading->out);
    FUZZ_MUST(fread(text, 1, (size_t)length, reading->out) == (size_t)length);
    struct json *json = json_parse(text, (size_t)length - 1, &problem); // without the newline
    FUZZ_MUST(json && json_get(json, 0, "model_type") >= 0);
    json_free(json);
}

static void check_tokenizer(struct reading *reading) {
    struct tokenizer t;
    const char *error;
    const bool good = tokenizer_parse(&t, reading->tokenizer, &error);
    FUZZ_MUST(good || strstr(error, "a merge twice"));
    if (good) {
        FUZZ_MUST(!strcmp(t.text, reading->tokenizer));
        tokenizer_free(&t);
    }
    free(reading->tokenizer);
    reading->tokenizer = NULL;
}

// Whether the reader takes the file and what is done with it then.
static bool does(struct reading *reading, void (*then)(struct reading *reading)) {
    reading->then = then;
    const bool returned = fuzz_survives(read_file, reading);
    FUZZ_MUST(returned || fuzz_code == EXIT_DATA);
    return returned;
}

static void try_file(const uint8_t *bytes, size_t length) {
    static FILE *out;
    struct reading reading = {.path = fuzz_file("file.gguf", bytes, length), .length = length};
    out = out ? out : fopen(fuzz_path("said"), "w+");
    FUZZ_MUST(out != NULL && does(&reading, check));
    if (!reading.open) {
        return;
    }
    reading.out = out;
    rewind(out);
    if (does(&reading, describe)) {
        check_description(&reading);
    }
    if (does(&reading, read_tokenizer) && reading.tokenizer) {
        check_tokenizer(&reading);
    }
    (void)does(&reading, adapt); // it is refused by one line if its architecture is no text
}

// The bytes' characters, what the lines make, and <|endoftext|>.
static void try_merges(const uint8_t *bytes, size_t length) {
    static char made[256][4];
    struct fuzz_input input = {bytes, bytes + length};
    struct reading reading = {0};
    size_t most = 1, count = 0;
    for (size_t i = 0; i < length; i++) {
        most += bytes[i] == '\n';
    }
    char **lines = calloc(most, 2 * sizeof *lines);
    reading.merges = calloc(most, sizeof *reading.merges);
    reading.tokens = calloc(256 + most + 1, sizeof *reading.tokens);
    FUZZ_MUST(lines && reading.merges && reading.tokens);
    for (uint32_t shown = 0; shown < 0x200; shown++) { // in GPT-2's order: seen ones first
        uint32_t byte;
        if (gpt2_byte_of(shown, &byte)) {
            reading.tokens[reading.tokens_count] = (struct slice){
                made[reading.tokens_count], (size_t)utf8_encode(shown, made[reading.tokens_count])};
            reading.tokens_count++;
        }
    }
    size_t piece;
    for (char *line; (line = fuzz_take(&input, '\n', &piece)); count++) {
        char *token = malloc(piece + 1), *space = memchr(line, ' ', piece);
        FUZZ_MUST(token && count < most);
        const size_t left = space ? (size_t)(space - line) : piece;
        memcpy(token, line, left);
        memcpy(token + left, line + left + (space != NULL), piece - left - (space != NULL));
        reading.merges[count] = (struct slice){line, piece};
        reading.tokens[reading.tokens_count++] = (struct slice){token, piece - (space != NULL)};
        lines[2 * count] = line;
        lines[2 * count + 1] = token;
    }
    reading.merges_count = count;
    reading.tokens[reading.tokens_count++] =
        (struct slice){TOKENIZER_END_OF_TEXT, strlen(TOKENIZER_END_OF_TEXT)};
    if (fuzz_survives(read_lists, &reading)) {
        check_tokenizer(&reading);
    } else {
        FUZZ_MUST(fuzz_code == EXIT_DATA);
    }
    for (size_t i = 0; i < 2 * count; i++) {
        free(lines[i]);
    }
    free(lines);
    free(reading.merges);
    free(reading.tokens);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    if (length > 0) {
        (bytes[0] & 1 ? try_merges : try_file)(bytes + 1, length - 1);
    }
    return 0;
}
