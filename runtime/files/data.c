// data.c: data sets: what meta.json says of the tokens in train.bin and val.bin, as nanoGPT writes
// them, or in llm.c's shards, and the batches that are drawn from them.
#include "runtime/files/files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
    snprintf(remedy, sizeof remedy, "'make data DATASET=%.*s'%s", (int)(end - start), dir + start,
             start == 5 && !strncmp(dir, "data/", 5) ? "" : " (into data/)");
    return remedy;
}

// Opens a regular file and gets its size.
static int data_file(const char *dir, const char *path, uint64_t *bytes) {
    struct stat status;
    int file = file_open(path, O_RDONLY, &status);
    if (file < 0 && (errno == ENOENT || errno == ENOTDIR)) {
        die(EXIT_MISSING, "%s: is not there; %s makes it", path, data_remedy(dir));
    }
    if (file < 0) {
        die(exit_code_of(errno), "%s: cannot read: %s", path, strerror(errno));
    }
    if (!S_ISREG(status.st_mode)) {
        die(EXIT_DATA, "%s: is not a regular file; %s makes one", path, data_remedy(dir));
    }
    *bytes = (uint64_t)status.st_size;
    return file;
}

static _Noreturn void data_unreadable(const char *path, int reason) {
    die(exit_code_of(reason), "%s: cannot read: %s", path,
        reason ? strerror(reason) : "it became shorter meanwhile");
}

// Opens the one file of a split. Returns its size.
static uint64_t data_open_file(struct split *split, const char *dir, const char *name) {
    split->path = data_path(dir, name);
    uint64_t bytes;
    split->file = data_file(dir, split->path, &bytes);
    if (bytes == 0) {
        die(EXIT_DATA, "%s: is empty; %s makes it again", split->path, data_remedy(dir));
    }
    return bytes;
}

// Counts a file's tokens, once their type is known.
static void data_count(struct split *split, const char *dir, uint64_t bytes, bool wide) {
    split->wide = wide;
    split->count = bytes / tokens_width(wide);
    if (split_bytes(split) != bytes) {
        die(EXIT_DATA, "%s: has %" PRIu64 " bytes, %s; %s makes it again", split->path, bytes,
            wide ? "but a token, of type uint32, takes four"
                 : "an odd number, but a token takes two",
            data_remedy(dir));
    }
}

static void data_check_length(const struct split *split, int block_size) {
    if (split->count < (uint64_t)block_size + 1) {
        die(EXIT_DATA,
            "%s: holds %" PRIu64 " tokens, but block_size=%d needs at least %d; take a longer text "
            "or a smaller block_size",
            split->path, split->count, block_size, block_size + 1);
    }
}

// Reads a whole small file. The caller frees.
static char *data_read(const char *dir, const char *path, size_t *length) {
    uint64_t bytes;
    int file = data_file(dir, path, &bytes);
    if (bytes > DATA_META_MAX) {
        die(EXIT_DATA, "%s: has %" PRIu64 " bytes, more than any such file; %s makes it again",
            path, bytes, data_remedy(dir));
    }
    *length = (size_t)bytes;
    char *text = allocate(*length + 1, 1, path);
    for (size_t at = 0; at < *length;) {
        ssize_t got = read(file, text + at, *length - at);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            data_unreadable(path, got ? errno : 0);
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
        die(EXIT_DATA, "%s: has no integer '%s'; %s makes it again", path, key, data_remedy(dir));
    }
    return value;
}

// ---- shards -------------------------------------------------------------------------------------

// A shard's path: the one that meta.json has, in the folder unless it starts with '/'.
static char *data_shard_path(const char *dir, const char *stated) {
    return *stated == '/' ? allocate_copy(stated, strlen(stated), "a path")
                          : data_path(dir, stated);
}

// Opens the shards of a split, as meta.json lists them: [{ "path", "tokens", "xxh3" }, ...].
static void data_open_shards(struct split *split, const struct json *meta, const char *key,
                             const char *dir, const char *path) {
    const int list = json_get(meta, json_get(meta, 0, "shards"), key);
    const int count = json_is_array(meta, list) ? json_count(meta, list) : 0;
    for (int i = 0; i < count; i++) {
        const int entry = json_element(meta, list, i);
        const bool object = json_is_object(meta, entry);
        char *stated = object ? json_string(meta, json_get(meta, entry, "path")) : NULL;
        char *hash = object ? json_string(meta, json_get(meta, entry, "xxh3")) : NULL;
        int64_t tokens;
        if (!stated || !*stated || !hash || strlen(hash) != 16 ||
            !json_integer(meta, json_get(meta, entry, "tokens"), &tokens)) {
            die(EXIT_DATA,
                "%s: %s shard %d has no path, tokens and xxh3; %s SHARDS=... makes it again", path,
                key, i + 1, data_remedy(dir));
        }
        char *place = data_shard_path(dir, stated);
        enum exit_code code;
        const char *problem = split_add_shard(split, place, &code);
        if (problem) {
            die(code, "%s: %s; put back what %s lists, or list others: %s SHARDS=...", place,
                problem, path, data_remedy(dir));
        }
        struct token_file *shard = &split->shards[i];
        if (shard->count != (uint64_t)tokens) {
            die(EXIT_DATA,
                "%s: holds %" PRIu64 " tokens, but %s says %lld: it is another file; put it back, "
                "or make the list again: %s SHARDS=...",
                place, shard->count, path, (long long)tokens, data_remedy(dir));
        }
        memcpy(shard->stated, hash, sizeof shard->stated);
        free(place);
        free(hash);
        free(stated);
    }
    if (count == 0) {
        die(EXIT_DATA, "%s: lists no %s shards; %s SHARDS=... makes it again", path, key,
            data_remedy(dir));
    }
    split->path = allocate_copy(path, strlen(path), "a path");
}

// Dies if a shard is not what meta.json says. Reads all of it.
static void data_verify_shards(const struct split *split, const char *dir) {
    for (int i = 0; i < split->shard_count; i++) {
        const struct token_file *shard = &split->shards[i];
        struct token_file alone = *shard;
        alone.first = 0;
        const struct split one = {
            .wide = split->wide, .count = shard->count, .shards = &alone, .shard_count = 1};
        char hash[17];
        split_hash(&one, true, hash);
        if (strcmp(hash, shard->stated)) {
            die(EXIT_DATA,
                "%s: its tokens have hash %s, but %s says %s: it is damaged or another; put it "
                "back, or make the list again: %s SHARDS=...",
                shard->path, hash, split->path, shard->stated, data_remedy(dir));
        }
    }
}

// ---- meta.json ----------------------------------------------------------------------------------

static void data_check_count(const struct split *split, int64_t wanted, const char *meta,
                             const char *dir) {
    if (split->count != (uint64_t)wanted) {
        die(EXIT_DATA, "%s: holds %" PRIu64 " tokens, but %s says %lld; %s makes both again",
            split->path, split->count, meta, (long long)wanted, data_remedy(dir));
    }
}

// Reads the hash of 16 digits that meta.json must have under a key.
static void data_meta_hash(const struct json *meta, const char *key, const char *dir,
                           const char *path, char hash[17]) {
    char *text = json_string(meta, json_get(meta, 0, key));
    if (!text || strlen(text) != 16) {
        die(EXIT_DATA, "%s: has no hash '%s', but others; %s makes it again", path, key,
            data_remedy(dir));
    }
    memcpy(hash, text, 17);
    free(text);
}

// Checks the files against meta.json's hashes. A meta.json of an older version has none; its files
// are then used unchecked.
static void data_meta_hashes(struct data *data, const struct json *meta, const char *path) {
    const char *dir = data->dir;
    struct split *splits[] = {&data->train, &data->val};
    static const char *const whole[] = {"train_xxh3", "val_xxh3"};
    static const char *const blocks[] = {"train_blocks_xxh3", "val_blocks_xxh3"};
    if (data->train.shard_count == 0 && json_get(meta, 0, "xxh3") < 0 &&
        json_get(meta, 0, whole[0]) < 0 && json_get(meta, 0, whole[1]) < 0) {
        return;
    }
    for (int i = 0; i < 2; i++) {
        char stated[17];
        data_meta_hash(meta, whole[i], dir, path, splits[i]->stated);
        bool large = split_bytes(splits[i]) > HASH_WHOLE;
        data_meta_hash(meta, large ? blocks[i] : whole[i], dir, path, stated);
        if (strcmp(stated, splits[i]->hash)) {
            data_verify_shards(splits[i], dir); // says which one, unless meta.json is wrong
            die(EXIT_DATA,
                "%s: has hash %s, but %s says %s: it is damaged or another; %s makes both again",
                splits[i]->path, splits[i]->hash, path, stated, data_remedy(dir));
        }
    }
    char stated[17];
    data_meta_hash(meta, "xxh3", dir, path, stated);
    if (strcmp(stated, data->hash)) {
        die(EXIT_DATA,
            "%s: has hash %s, but what it says gives %s: it is damaged; %s makes it again", path,
            stated, data->hash, data_remedy(dir));
    }
}

// Reads the key token_type: true for uint32; without it tokens are uint16, as they always were.
static bool data_meta_type(const struct json *meta, const char *dir, const char *path) {
    const int value = json_get(meta, 0, "token_type");
    char *type = json_string(meta, value);
    const bool wide = type && !strcmp(type, "uint32");
    if (value >= 0 && !wide && (!type || strcmp(type, "uint16") != 0)) {
        die(EXIT_DATA, "%s: token_type is not known; there are: uint16, uint32; %s makes it again",
            path, data_remedy(dir));
    }
    free(type);
    return wide;
}

// Opens the files of both splits.
static void data_open_splits(struct data *data, const struct json *meta, const char *path,
                             int block_size) {
    const char *dir = data->dir;
    struct split *splits[] = {&data->train, &data->val};
    static const char *const keys[] = {"train", "val"}, *const names[] = {"train.bin", "val.bin"};
    const bool wide = data_meta_type(meta, dir, path);
    const int shards = json_get(meta, 0, "shards");
    uint64_t bytes[2];
    if (shards >= 0 && !json_is_object(meta, shards)) {
        die(EXIT_DATA, "%s: its 'shards' are no object; %s SHARDS=... makes it again", path,
            data_remedy(dir));
    }
    for (int i = 0; i < 2; i++) {
        if (shards >= 0) {
            data_open_shards(splits[i], meta, keys[i], dir, path);
        } else {
            bytes[i] = data_open_file(splits[i], dir, names[i]);
        }
    }
    for (int i = 0; i < 2; i++) {
        if (shards < 0) {
            data_count(splits[i], dir, bytes[i], wide);
        } else if (splits[i]->wide != wide) {
            die(EXIT_DATA, "%s: token_type is %s, but %s has %s; %s SHARDS=... makes it again",
                path, wide ? "uint32" : "uint16", splits[i]->shards->path,
                wide ? "uint16" : "uint32", data_remedy(dir));
        }
        data_check_length(splits[i], block_size);
        split_hash(splits[i], false, splits[i]->hash);
    }
}

static void data_meta(struct data *data, int vocab_size, int block_size) {
    const char *dir = data->dir;
    char *path = data_path(dir, "meta.json");
    if (!path_is_there(path)) { // then tokens that are not there either are the first to be missed
        data_open_file(&data->train, dir, "train.bin");
        data_open_file(&data->val, dir, "val.bin");
    }
    size_t length;
    char *text = data_read(dir, path, &length);
    const char *error;
    struct json *meta = json_parse(text, length, &error);
    if (!meta) {
        die(EXIT_DATA, "%s: %s; %s makes it again", path, error, data_remedy(dir));
    }
    if (!json_is_object(meta, 0)) {
        die(EXIT_DATA, "%s: is not a JSON object; %s makes it again", path, data_remedy(dir));
    }
    data_open_splits(data, meta, path, block_size);
    char *tokenizer = json_string(meta, json_get(meta, 0, "tokenizer"));
    if (!tokenizer) {
        die(EXIT_DATA, "%s: has no string 'tokenizer'; %s makes it again", path, data_remedy(dir));
    }
    if (!tokenizer_parse(&data->tokenizer, tokenizer, &error)) {
        die(EXIT_DATA, "%s: %s; %s makes it again", path, error, data_remedy(dir));
    }
    int64_t stated = data_meta_integer(meta, "vocab_size", dir, path);
    if (stated != data->tokenizer.vocab_size) {
        die(EXIT_DATA, "%s: says vocab_size %lld, but its tokenizer has %d; %s makes it again",
            path, (long long)stated, data->tokenizer.vocab_size, data_remedy(dir));
    }
    if (stated > vocab_size) {
        die(EXIT_DATA,
            "%s: the data's vocabulary is %lld, this trainer's is %d; build one with "
            "vocab_size=%lld",
            path, (long long)stated, vocab_size, (long long)stated);
    }
    data_check_count(&data->train, data_meta_integer(meta, "train_tokens", dir, path), path, dir);
    data_check_count(&data->val, data_meta_integer(meta, "val_tokens", dir, path), path, dir);
    hash_data(tokenizer, data->train.count, data->val.count, data->train.hash, data->val.hash,
              data->hash);
    data_meta_hashes(data, meta, path);
    free(tokenizer);
    json_free(meta);
    free(text);
    free(path);
}

void hash_data(const char *tokenizer, uint64_t train_tokens, uint64_t val_tokens, const char *train,
               const char *val, char text[17]) {
    char *all = allocate_print("a data set's hash", "%s\n%llu %s\n%llu %s\n", tokenizer,
                               (unsigned long long)train_tokens, train,
                               (unsigned long long)val_tokens, val);
    hash_bytes(all, strlen(all), text);
    free(all);
}

void data_open(struct data *data, const char *dir, int vocab_size, int block_size) {
    memset(data, 0, sizeof *data);
    data->train.file = data->val.file = -1;
    data->dir = allocate_copy(dir, strlen(dir), "a path");
    data_meta(data, vocab_size, block_size);
}

void data_verify(const struct data *data) {
    const struct split *splits[] = {&data->train, &data->val};
    for (int i = 0; i < 2; i++) {
        data_verify_shards(splits[i], data->dir);
        char hash[17];
        if (splits[i]->shard_count > 0) {
            continue;
        }
        split_hash(splits[i], true, hash);
        if (*splits[i]->stated && strcmp(hash, splits[i]->stated)) {
            die(EXIT_DATA,
                "%s: has hash %s, but meta.json beside it says %s: it is damaged; %s makes both "
                "again",
                splits[i]->path, hash, splits[i]->stated, data_remedy(data->dir));
        }
    }
}

void data_close(struct data *data) {
    split_close(&data->train);
    split_close(&data->val);
    tokenizer_free(&data->tokenizer);
    free(data->dir);
    memset(data, 0, sizeof *data);
}

// One row of a batch: tokens (T) from `offset` on, and targets (T), each the token after.
static enum exit_code data_row(const struct split *split, uint64_t offset, int T, int vocab_size,
                               int32_t *tokens, int32_t *targets) {
    enum { PIECE = 4096 };
    uint32_t piece[PIECE];
    for (int t = 0; t <= T;) {
        int count = T + 1 - t < PIECE ? T + 1 - t : PIECE;
        enum exit_code code = split_tokens(split, offset + (uint64_t)t, (size_t)count, piece);
        if (code) {
            return code;
        }
        for (int i = 0; i < count; i++, t++) {
            if (piece[i] >= (uint32_t)vocab_size) {
                const struct token_place place = split_place(split, offset + (uint64_t)t);
                warn("%s: token %" PRIu64 " is %" PRIu32 ", but the vocabulary has %d; make the "
                     "data again, or build with a larger vocab_size",
                     place.path, place.at, piece[i], vocab_size);
                return EXIT_DATA;
            }
            if (t < T) {
                tokens[t] = (int32_t)piece[i];
            }
            if (t > 0) {
                targets[t - 1] = (int32_t)piece[i];
            }
        }
    }
    return EXIT_DONE;
}

enum exit_code data_batch(const struct split *split, uint64_t seed, enum rng_stream stream,
                          uint64_t index, int B, int T, int vocab_size, int32_t *tokens,
                          int32_t *targets) {
    for (int b = 0; b < B; b++) {
        uint64_t row = index * (uint64_t)B + (uint64_t)b;
        uint64_t bits =
            rng_bits((uint32_t)seed, (uint32_t)stream, (uint32_t)row, (uint32_t)(row >> 32));
        // In [0, count - T), so that the last target exists: nanoGPT's randint(len(data) - T).
        uint64_t offset = rng_below(bits, split->count - (uint64_t)T);
        size_t at = (size_t)b * (size_t)T; // (B, T)
        enum exit_code code = data_row(split, offset, T, vocab_size, tokens + at, targets + at);
        if (code) {
            return code;
        }
    }
    return EXIT_DONE;
}
