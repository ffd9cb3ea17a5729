// meta.c: a data set's meta.json, beside token files of 40 and 10 tokens. Where it is accepted, its
// numbers are those of the files, and batches are drawn from them or refused.
#include "runtime/files/files.h"
#include "tests/torture/fuzz/support/fuzz.h"

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
        snprintf(reading.folder, sizeof reading.folder, "%s", fuzz_path("train.bin"));
        *strrchr(reading.folder, '/') = 0;
    }
    fuzz_file("meta.json", bytes, length);
    if (!fuzz_survives(read_data, &reading)) {
        FUZZ_MUST(fuzz_code == EXIT_DATA && strstr(fuzz_line, "meta.json"));
        close(reading.data.train.file);
        close(reading.data.val.file);
        return 0;
    }
    struct data *data = &reading.data;
    FUZZ_MUST(data->train.count == TRAIN && says(bytes, length, "train_tokens", TRAIN));
    FUZZ_MUST(data->val.count == VAL && says(bytes, length, "val_tokens", VAL));
    FUZZ_MUST(says(bytes, length, "vocab_size", data->tokenizer.vocab_size));
    FUZZ_MUST(data->tokenizer.vocab_size > 0 && data->tokenizer.vocab_size <= VOCAB);
    FUZZ_MUST(strlen(data->hash) == 16);
    FUZZ_MUST(fuzz_survives(verify, &reading)); // what is stated was compared already
    int32_t tokens[2 * BLOCK], targets[2 * BLOCK];
    enum exit_code code = data_batch(&data->train, 1, RNG_TRAIN, 7, 2, BLOCK,
                                     data->tokenizer.vocab_size, tokens, targets);
    FUZZ_MUST(code == EXIT_DONE || (code == EXIT_DATA && data->tokenizer.vocab_size < 4));
    data_close(data);
    return 0;
}
