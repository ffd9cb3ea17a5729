// llmc.c: reads the files of llm.c: GPT-2's weights (gpt2_124M.bin, gpt2_124M_bf16.bin) and the
// tokens of its tokenizer (gpt2_tokenizer.bin). Both begin with 256 little-endian int32:
//
//     weights    20240326, version, T, V, L, H, C, padded V; version 3 is float32, 5 bfloat16
//     tokens     20240328, version, count, <|endoftext|>; version 1 has 50257 and does not say so
//
// Behind them are a model's tensors, each of all layers, as nanoGPT transposes them: wte, padded
// with rows that no token has; wpe; then those of llmc_layer, and ln_f. Of a tokenizer each token
// follows as a byte with its length, and its bytes: there are no merges, so that nothing can be
// encoded with it.
#include "runtime/files/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "llm.c's files are little-endian");

// Rows and columns of a layer's tensors in units of C; a vector has no columns.
const struct llmc_part llmc_layer[LLMC_LAYER] = {
    {"ln_1.weight", 1, 0},      {"ln_1.bias", 1, 0},          {"attn.c_attn.weight", 3, 1},
    {"attn.c_attn.bias", 3, 0}, {"attn.c_proj.weight", 1, 1}, {"attn.c_proj.bias", 1, 0},
    {"ln_2.weight", 1, 0},      {"ln_2.bias", 1, 0},          {"mlp.c_fc.weight", 4, 1},
    {"mlp.c_fc.bias", 4, 0},    {"mlp.c_proj.weight", 1, 4},  {"mlp.c_proj.bias", 1, 0},
};

static bool llmc_fail(char *error, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool llmc_fail(char *error, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error, SAFETENSORS_ERROR, format, arguments);
    va_end(arguments);
    return false;
}

// ---- what a file is -----------------------------------------------------------------------------

int32_t llmc_magic(const char *path) {
    int32_t magic = 0;
    struct stat status;
    int file = file_open(path, O_RDONLY | O_NONBLOCK, &status); // a pipe is not waited for
    if (file >= 0 && S_ISREG(status.st_mode)) {
        ssize_t got;
        UNINTERRUPTED(got, read(file, &magic, sizeof magic));
        if (got != sizeof magic) {
            magic = 0; // too short for any of them; who opens it says what it is, or why it is not
        }
    }
    if (file >= 0) {
        close(file);
    }
    return magic;
}

// Maps a file with this magic number. NULL with a line in error.
static const void *llmc_map(const char *path, int32_t magic, size_t *bytes, char *error,
                            enum exit_code *code) {
    struct stat status;
    int32_t found;
    *code = EXIT_DATA;
    int file = file_open(path, O_RDONLY, &status);
    if (file < 0) {
        *code = errno == ENOENT || errno == ENOTDIR ? EXIT_MISSING : exit_code_of(errno);
        llmc_fail(error, "%s: cannot open: %s", path, strerror(errno));
    } else if (!S_ISREG(status.st_mode) || status.st_size < LLMC_HEADER) {
        llmc_fail(error, "%s: is not a file of %d bytes or more, as llm.c's are; it is truncated",
                  path, LLMC_HEADER);
    } else {
        *bytes = (size_t)status.st_size;
        const char *map = mapped_open(file, *bytes, path);
        memcpy(&found, map, sizeof found);
        if (found == magic) {
            return map;
        }
        llmc_fail(error, "%s: begins with %d; llm.c's file of %s begins with %d", path, found,
                  magic == LLMC_MODEL ? "weights" : "tokens", magic);
        mapped_close(map);
        return NULL;
    }
    if (file >= 0) {
        close(file);
    }
    return NULL;
}

// ---- weights ------------------------------------------------------------------------------------

// What the header states, each with the largest value that a model here can have
// (gen/config/keys.lua): so that no product of them is more than 2^60.
static bool llmc_read_sizes(struct llmc_sizes *sizes, const char *path, const int32_t *header,
                            char *error) {
    const struct {
        const char *name;
        int at, most;
        int *to;
    } fields[] = {
        {"max_seq_len", 2, 1 << 20, &sizes->T}, {"vocab_size", 3, 1 << 24, &sizes->V},
        {"num_layers", 4, 1024, &sizes->L},     {"num_heads", 5, 1024, &sizes->H},
        {"channels", 6, 65536, &sizes->C},      {"padded_vocab_size", 7, 1 << 24, &sizes->padded}};
    for (size_t f = 0; f < sizeof fields / sizeof *fields; f++) {
        const int32_t stated = header[fields[f].at];
        if (stated < 1 || stated > fields[f].most) {
            return llmc_fail(error, "%s: %s is %d; a whole number from 1 to %d is wanted", path,
                             fields[f].name, stated, fields[f].most);
        }
        *fields[f].to = stated;
    }
    if (sizes->padded < sizes->V) {
        return llmc_fail(error, "%s: padded_vocab_size %d is below vocab_size %d", path,
                         sizes->padded, sizes->V);
    }
    if (sizes->C % sizes->H) {
        return llmc_fail(error, "%s: num_heads %d does not divide channels %d", path, sizes->H,
                         sizes->C);
    }
    return true;
}

uint64_t llmc_numbers(const struct llmc_sizes *sizes) {
    const uint64_t C = (uint64_t)sizes->C;
    uint64_t layer = 0;
    for (int i = 0; i < LLMC_LAYER; i++) {
        const uint64_t columns = llmc_layer[i].columns ? (uint64_t)llmc_layer[i].columns * C : 1;
        layer += (uint64_t)llmc_layer[i].rows * C * columns;
    }
    return ((uint64_t)sizes->padded + (uint64_t)sizes->T + 2) * C + (uint64_t)sizes->L * layer;
}

// A walk over the tensors in the file's order.
struct llmc_walk {
    struct safetensors *file;
    const char *dtype;
    size_t at, number; // offset of the next tensor's data; bytes of a number
};

// Adds the tensor that stands next; `behind` rows of padding follow it.
static void llmc_add(struct llmc_walk *walk, char *name, int64_t rows, int64_t columns,
                     int64_t behind) {
    const size_t row = (size_t)(columns ? columns : 1) * walk->number;
    struct tensor_view *view = &walk->file->tensors[walk->file->count++];
    *view = (struct tensor_view){
        .name = name,
        .ndim = columns ? 2 : 1,
        .dims = {rows, columns},
        .begin = walk->at,
        .stored = (size_t)rows * row,
        .place = (const char *)walk->file->map + LLMC_HEADER + walk->at,
    };
    strcpy(view->dtype, walk->dtype);
    if (walk->number == sizeof(float)) {
        view->data = (const float *)view->place;
        view->bytes = view->stored;
    }
    walk->at += view->stored + (size_t)behind * row;
}

static void llmc_add_all(struct safetensors *file, const struct llmc_sizes *sizes) {
    struct llmc_walk walk = {.file = file,
                             .dtype = sizes->brain ? "BF16" : "F32",
                             .number = sizes->brain ? 2 : sizeof(float)};
    const int64_t C = sizes->C;
    file->tensors =
        allocate(4 + LLMC_LAYER * (size_t)sizes->L, sizeof *file->tensors, "a list of tensors");
    llmc_add(&walk, allocate_print("a tensor's name", "transformer.wte.weight"), sizes->V, C,
             sizes->padded - sizes->V);
    llmc_add(&walk, allocate_print("a tensor's name", "transformer.wpe.weight"), sizes->T, C, 0);
    for (int i = 0; i < LLMC_LAYER; i++) {
        for (int layer = 0; layer < sizes->L; layer++) {
            llmc_add(
                &walk,
                allocate_print("a tensor's name", "transformer.h.%d.%s", layer, llmc_layer[i].name),
                llmc_layer[i].rows * C, llmc_layer[i].columns * C, 0);
        }
    }
    llmc_add(&walk, allocate_print("a tensor's name", "transformer.ln_f.weight"), C, 0, 0);
    llmc_add(&walk, allocate_print("a tensor's name", "transformer.ln_f.bias"), C, 0, 0);
}

// What the shapes do not say, as metadata, sorted.
static void llmc_describe(struct safetensors *file, const struct llmc_sizes *sizes) {
    const char *const pairs[] = {
        "activation_function", "gelu_new", "format", "llm.c", "n_head", NULL,
        "padded_vocab_size",   NULL};
    enum { PAIRS = sizeof pairs / sizeof *pairs / 2 };
    const int numbers[PAIRS] = {0, 0, sizes->H, sizes->padded};
    file->metadata = allocate(PAIRS, 2 * sizeof *file->metadata, "metadata");
    file->metadata_count = PAIRS;
    for (int i = 0; i < PAIRS; i++) {
        file->metadata[2 * i] = allocate_print("metadata", "%s", pairs[2 * i]);
        file->metadata[2 * i + 1] = pairs[2 * i + 1]
                                        ? allocate_print("metadata", "%s", pairs[2 * i + 1])
                                        : allocate_print("metadata", "%d", numbers[i]);
    }
}

// Reads the header of a mapped file and points tensors at what follows it.
static bool llmc_read(struct safetensors *file, char *error) {
    int32_t header[LLMC_HEADER / 4];
    memcpy(header, file->map, sizeof header);
    struct llmc_sizes sizes = {.brain = header[1] == LLMC_BFLOAT16};
    if (header[1] != LLMC_FLOAT32 && header[1] != LLMC_BFLOAT16) {
        return llmc_fail(error,
                         "%s: is of version %d; 3, float32, and 5, bfloat16, are read, which "
                         "llm.c's train_gpt2.py writes today",
                         file->path, header[1]);
    }
    if (!llmc_read_sizes(&sizes, file->path, header, error)) {
        return false;
    }
    const uint64_t bytes = LLMC_HEADER + llmc_numbers(&sizes) * (sizes.brain ? 2 : sizeof(float));
    if (file->map_bytes != bytes) {
        return llmc_fail(error, "%s: has %zu bytes, but the sizes in its header take %llu; %s",
                         file->path, file->map_bytes, (unsigned long long)bytes,
                         file->map_bytes < bytes ? "it is truncated" : "take another file");
    }
    llmc_add_all(file, &sizes);
    llmc_describe(file, &sizes);
    return true;
}

bool llmc_open(struct safetensors *file, const char *path, char error[512], enum exit_code *code) {
    *file = (struct safetensors){.path = allocate_copy(path, strlen(path), "a path")};
    file->map = llmc_map(path, LLMC_MODEL, &file->map_bytes, error, code);
    if (file->map && llmc_read(file, error)) {
        return true;
    }
    safetensors_close(file);
    return false;
}

// ---- tokens -------------------------------------------------------------------------------------

const char *llmc_token(const struct llmc_tokens *tokens, size_t *at, size_t *length) {
    const unsigned char *map = tokens->map;
    *length = map[*at];
    const char *token = (const char *)map + *at + 1;
    *at += 1 + *length;
    return token;
}

// Checks the header and that each token lies within the file.
static bool llmc_check_tokens(struct llmc_tokens *tokens, const char *path, char *error) {
    int32_t header[4];
    memcpy(header, tokens->map, sizeof header);
    tokens->version = header[1];
    tokens->count = header[2];
    tokens->end_of_text = tokens->version == 1 ? LLMC_VERSION_1_TOKENS - 1 : header[3];
    if (tokens->version != 1 && tokens->version != 2) {
        return llmc_fail(error, "%s: is of version %d; 1 and 2 of llm.c's tokenizers are read",
                         path, tokens->version);
    }
    if (tokens->count < 1 || (size_t)tokens->count > (tokens->bytes - LLMC_HEADER) / 2) {
        return llmc_fail(error,
                         "%s: states %d tokens, for which its %zu bytes have no room; it is "
                         "truncated or damaged",
                         path, tokens->count, tokens->bytes);
    }
    if (tokens->version == 1 && tokens->count != LLMC_VERSION_1_TOKENS) {
        return llmc_fail(error, "%s: is of version 1, which has %d tokens, but states %d", path,
                         LLMC_VERSION_1_TOKENS, tokens->count);
    }
    if (tokens->end_of_text < 0 || tokens->end_of_text >= tokens->count) {
        return llmc_fail(error, "%s: <|endoftext|> is token %d of %d", path, tokens->end_of_text,
                         tokens->count);
    }
    size_t at = LLMC_HEADER;
    for (int i = 0; i < tokens->count; i++) {
        size_t length = 1;
        if (at < tokens->bytes) {
            llmc_token(tokens, &at, &length);
        } else {
            at = tokens->bytes + 1;
        }
        if (length == 0) {
            return llmc_fail(error, "%s: token %d has no bytes", path, i);
        }
        if (at > tokens->bytes) {
            return llmc_fail(error,
                             "%s: token %d of %d ends behind the file's end; it is truncated", path,
                             i, tokens->count);
        }
    }
    if (at != tokens->bytes) {
        return llmc_fail(error, "%s: %zu bytes follow its %d tokens", path, tokens->bytes - at,
                         tokens->count);
    }
    return true;
}

bool llmc_tokens_open(struct llmc_tokens *tokens, const char *path, char error[512],
                      enum exit_code *code) {
    *tokens = (struct llmc_tokens){0};
    tokens->map = llmc_map(path, LLMC_TOKENS, &tokens->bytes, error, code);
    if (tokens->map && !llmc_check_tokens(tokens, path, error)) {
        llmc_tokens_close(tokens);
    }
    return tokens->map != NULL;
}

void llmc_tokens_close(struct llmc_tokens *tokens) {
    mapped_close(tokens->map);
    tokens->map = NULL;
}

bool llmc_tokens_are(const struct llmc_tokens *tokens, const char *path,
                     const struct tokenizer *tokenizer, char error[512]) {
    if (tokens->count != tokenizer->vocab_size) {
        return llmc_fail(error, "%s: has %d tokens, the tokenizer %d; take both from one place",
                         path, tokens->count, tokenizer->vocab_size);
    }
    size_t at = LLMC_HEADER;
    for (int i = 0; i < tokens->count; i++) {
        size_t length, wanted;
        const char *token = llmc_token(tokens, &at, &length);
        const char *own = tokenizer_decode(tokenizer, i, &wanted);
        if (length != wanted || memcmp(token, own, length) != 0) {
            return llmc_fail(error,
                             "%s: token %d has other bytes than the tokenizer's; take both from "
                             "one place",
                             path, i);
        }
    }
    const int32_t end = tokenizer->bpe ? bpe_end_of_text(tokenizer->bpe) : -1;
    return tokens->end_of_text == end ||
           llmc_fail(error, "%s: <|endoftext|> is %d, the tokenizer's is %d", path,
                     tokens->end_of_text, end);
}
