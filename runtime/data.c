// data.c: token files as nanoGPT writes them, memory-mapped, so that they may be larger than
// memory, and the batches drawn from them.
#include "runtime/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "token files are little-endian");

enum { DATA_META_MAX = 16 << 20 }; // 65,536 characters take well under 1 MB

static char *data_path(const char *dir, const char *file) {
    return allocate_print("a path", "%s/%s", dir, file);
}

// The command that makes a folder's files, for messages: "make data DATASET=name".
static const char *data_remedy(const char *dir) {
    static char remedy[256];
    size_t end = strlen(dir);
    while (end > 1 && dir[end - 1] == '/') {
        end--;
    }
    size_t start = end;
    while (start > 0 && dir[start - 1] != '/') {
        start--;
    }
    snprintf(remedy, sizeof remedy, "'make data DATASET=%.*s'", (int)(end - start), dir + start);
    return remedy;
}

// Opens a regular file and tells its size.
static int data_file(const char *dir, const char *path, size_t *bytes) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 && (errno == ENOENT || errno == ENOTDIR)) {
        die(EXIT_MISSING, "%s: is not there; %s makes it", path, data_remedy(dir));
    }
    struct stat status;
    if (file < 0 || fstat(file, &status) != 0) {
        die(exit_code_of(errno), "%s: cannot read: %s", path, strerror(errno));
    }
    if (!S_ISREG(status.st_mode)) {
        die(EXIT_DATA, "%s: is no regular file; %s makes one", path, data_remedy(dir));
    }
    *bytes = (size_t)status.st_size;
    return file;
}

static void data_map(struct split *split, const char *dir, const char *name, int block_size) {
    split->path = data_path(dir, name);
    size_t bytes;
    int file = data_file(dir, split->path, &bytes);
    if (bytes == 0) {
        die(EXIT_DATA, "%s: is empty; %s makes it anew", split->path, data_remedy(dir));
    }
    if (bytes % 2) {
        die(EXIT_DATA, "%s: has %zu bytes, an odd number, but a token takes two; %s makes it anew",
            split->path, bytes, data_remedy(dir));
    }
    split->count = bytes / 2;
    if (split->count < (size_t)block_size + 1) {
        die(EXIT_DATA,
            "%s: holds %zu tokens, but block_size=%d needs at least %d; take a longer text or a "
            "smaller block_size",
            split->path, split->count, block_size, block_size + 1);
    }
    void *map = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, file, 0);
    if (map == MAP_FAILED) {
        die(EXIT_IO, "%s: cannot map %zu bytes: %s", split->path, bytes, strerror(errno));
    }
    close(file);
    split->tokens = map;
}

// Reads a whole small file. The caller frees.
static char *data_read(const char *dir, const char *path, size_t *length) {
    int file = data_file(dir, path, length);
    if (*length > DATA_META_MAX) {
        die(EXIT_DATA, "%s: has %zu bytes, more than any such file; %s makes it anew", path,
            *length, data_remedy(dir));
    }
    char *text = allocate(*length + 1, 1, path);
    for (size_t at = 0; at < *length;) {
        ssize_t got = read(file, text + at, *length - at);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            die(EXIT_IO, "%s: cannot read: %s", path,
                got ? strerror(errno) : "it became shorter meanwhile");
        }
        at += (size_t)got;
    }
    close(file);
    return text;
}

static int64_t data_meta_integer(const struct json *meta, const char *key, const char *dir,
                                 const char *path) {
    int64_t value;
    if (!json_integer(meta, json_get(meta, 0, key), &value)) {
        die(EXIT_DATA, "%s: has no integer '%s'; %s makes it anew", path, key, data_remedy(dir));
    }
    return value;
}

static void data_check_count(const struct split *split, int64_t wanted, const char *meta,
                             const char *dir) {
    if (split->count != (size_t)wanted) {
        die(EXIT_DATA, "%s: holds %zu tokens, but %s says %lld; %s makes both anew", split->path,
            split->count, meta, (long long)wanted, data_remedy(dir));
    }
}

static void data_meta(struct data *data, int vocab_size) {
    const char *dir = data->dir;
    char *path = data_path(dir, "meta.json");
    size_t length;
    char *text = data_read(dir, path, &length);
    const char *error;
    struct json *meta = json_parse(text, length, &error);
    if (!meta) {
        die(EXIT_DATA, "%s: %s; %s makes it anew", path, error, data_remedy(dir));
    }
    if (!json_is_object(meta, 0)) {
        die(EXIT_DATA, "%s: is no JSON object; %s makes it anew", path, data_remedy(dir));
    }
    char *tokenizer = json_string(meta, json_get(meta, 0, "tokenizer"));
    if (!tokenizer) {
        die(EXIT_DATA, "%s: has no string 'tokenizer'; %s makes it anew", path, data_remedy(dir));
    }
    if (!tokenizer_parse(&data->tokenizer, tokenizer, &error)) {
        die(EXIT_DATA, "%s: %s; %s makes it anew", path, error, data_remedy(dir));
    }
    int64_t stated = data_meta_integer(meta, "vocab_size", dir, path);
    if (stated != data->tokenizer.vocab_size) {
        die(EXIT_DATA, "%s: says vocab_size %lld, but its tokenizer has %d; %s makes it anew", path,
            (long long)stated, data->tokenizer.vocab_size, data_remedy(dir));
    }
    if (stated > vocab_size) {
        die(EXIT_DATA,
            "%s: the data's vocabulary is %lld, this trainer's is %d; build one with "
            "vocab_size=%lld",
            path, (long long)stated, vocab_size, (long long)stated);
    }
    data_check_count(&data->train, data_meta_integer(meta, "train_tokens", dir, path), path, dir);
    data_check_count(&data->val, data_meta_integer(meta, "val_tokens", dir, path), path, dir);
    free(tokenizer);
    json_free(meta);
    free(text);
    free(path);
}

void data_open(struct data *data, const char *dir, int vocab_size, int block_size) {
    memset(data, 0, sizeof *data);
    data->dir = allocate_copy(dir, strlen(dir), "a path");
    data_map(&data->train, dir, "train.bin", block_size);
    data_map(&data->val, dir, "val.bin", block_size);
    data_meta(data, vocab_size);
}

static void data_unmap(struct split *split) {
    munmap((void *)split->tokens, split->count * sizeof *split->tokens);
    free(split->path);
}

void data_close(struct data *data) {
    data_unmap(&data->train);
    data_unmap(&data->val);
    tokenizer_free(&data->tokenizer);
    free(data->dir);
    memset(data, 0, sizeof *data);
}

void data_batch(const struct split *split, uint64_t seed, enum rng_stream stream, uint64_t index,
                int B, int T, int vocab_size, int32_t *tokens, int32_t *targets) {
    for (int b = 0; b < B; b++) {
        uint64_t row = index * (uint64_t)B + (uint64_t)b;
        uint64_t bits =
            rng_bits((uint32_t)seed, (uint32_t)stream, (uint32_t)row, (uint32_t)(row >> 32));
        // [0, count - T), so that the last target is there: nanoGPT's randint(len(data) - T).
        size_t offset = rng_below(bits, split->count - (size_t)T);
        for (int t = 0; t <= T; t++) {
            int32_t id = split->tokens[offset + (size_t)t];
            if (id >= vocab_size) {
                die(EXIT_DATA,
                    "%s: token %zu is %d, but the vocabulary has %d; make the data anew, or build "
                    "with a larger vocab_size",
                    split->path, offset + (size_t)t, id, vocab_size);
            }
            if (t < T) {
                tokens[(size_t)b * (size_t)T + (size_t)t] = id; // (B, T)
            }
            if (t > 0) {
                targets[(size_t)b * (size_t)T + (size_t)t - 1] = id; // (B, T)
            }
        }
    }
}
