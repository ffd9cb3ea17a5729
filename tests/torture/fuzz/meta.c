// meta.c: a data set's meta.json, beside token files of 40 and 10 tokens, and token shards of the
// same, s and t, that it may list. Where it is accepted, its numbers are those of the files, and
// batches are drawn from them or refused.
#include "runtime/files/files.h"
#include "tests/torture/fuzz/support/fuzz.h"

#include <fcntl.h>
#include <unistd.h>

enum { TRAIN = 40, VAL = 10, VOCAB = 300, BLOCK = 4 };

struct reading {
    char folder[512];
    struct data data;
};

static void read_data(void *context) {
    struct reading *reading = context;
    data_open(&reading->data, reading->folder, VOCAB, BLOCK);
}

static void verify(void *context) {
    data_verify(&((struct reading *)context)->data);
}

static void make_tokens(const char *name, int count) {
    uint16_t tokens[TRAIN];
    for (int i = 0; i < count; i++) {
        tokens[i] = (uint16_t)(i % 4);
    }
    fuzz_file(name, tokens, (size_t)count * sizeof *tokens);
}

static void make_shard(const char *name, int count) {
    char bytes[TOKEN_SHARD_HEADER + 2 * TRAIN] = {0};
    const int32_t header[3] = {20240520, 1, count};
    memcpy(bytes, header, sizeof header);
    for (int i = 0; i < count; i++) {
        bytes[TOKEN_SHARD_HEADER + 2 * i] = (char)(i % 4);
    }
    fuzz_file(name, bytes, TOKEN_SHARD_HEADER + 2 * (size_t)count);
}

// Which of the first descriptors are open; closes those that were not before.
enum { DESCRIPTORS = 256 };
static bool was_open[DESCRIPTORS];

static void note_descriptors(void) {
    for (int file = 0; file < DESCRIPTORS; file++) {
        was_open[file] = fcntl(file, F_GETFD) >= 0;
    }
}

static void close_descriptors(void) {
    for (int file = 0; file < DESCRIPTORS; file++) {
        if (!was_open[file]) {
            close(file);
        }
    }
}

// A number of the text, as it stands there.
static bool says(const uint8_t *bytes, size_t length, const char *key, int64_t wanted) {
    const char *error;
    struct json *json = json_parse((const char *)bytes, length, &error);
    int64_t number = -1;
    bool same = json && json_integer(json, json_get(json, 0, key), &number) && number == wanted;
    json_free(json);
    return same;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    static struct reading reading;
    if (!*reading.folder) {
        make_tokens("train.bin", TRAIN);
        make_tokens("val.bin", VAL);
        make_shard("s", TRAIN);
        make_shard("t", VAL);
        snprintf(reading.folder, sizeof reading.folder, "%s", fuzz_path("train.bin"));
        *strrchr(reading.folder, '/') = 0;
    }
    fuzz_file("meta.json", bytes, length);
    note_descriptors();
    if (!fuzz_survives(read_data, &reading)) {
        // A shard's path may lead anywhere, or nowhere.
        FUZZ_MUST(fuzz_code == EXIT_DATA || fuzz_code == EXIT_MISSING || fuzz_code == EXIT_IO);
        FUZZ_MUST(strstr(fuzz_line, "meta.json") &&
                  (fuzz_code == EXIT_DATA || strstr(fuzz_line, "SHARDS")));
        close_descriptors();
        return 0;
    }
    struct data *data = &reading.data;
    const int64_t train = (int64_t)data->train.count, val = (int64_t)data->val.count;
    FUZZ_MUST(says(bytes, length, "train_tokens", train) && says(bytes, length, "val_tokens", val));
    FUZZ_MUST(data->train.shard_count || (train == TRAIN && val == VAL) ||
              (data->train.wide && 2 * train == TRAIN && 2 * val == VAL));
    FUZZ_MUST(says(bytes, length, "vocab_size", data->tokenizer.vocab_size));
    FUZZ_MUST(data->tokenizer.vocab_size > 0 && data->tokenizer.vocab_size <= VOCAB);
    FUZZ_MUST(strlen(data->hash) == 16);
    // What is stated was compared already, but for the hash of each shard alone.
    FUZZ_MUST(fuzz_survives(verify, &reading) ||
              (data->train.shard_count && strstr(fuzz_line, "its tokens have hash")));
    int32_t tokens[2 * BLOCK], targets[2 * BLOCK];
    enum exit_code code = data_batch(&data->train, 1, RNG_TRAIN, 7, 2, BLOCK,
                                     data->tokenizer.vocab_size, tokens, targets);
    FUZZ_MUST(code == EXIT_DONE ||
              (code == EXIT_DATA && (data->train.wide || data->tokenizer.vocab_size < 4)));
    data_close(data);
    return 0;
}
