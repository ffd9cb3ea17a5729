// hf_bpe.c: a tokenizer.json of a byte-pair encoding, and behind a zero, where there is one, the
// tokenizer_config.json beside it. What is accepted is a tokenizer, and what make export writes of
// it is read as the same one.
#include "runtime/files/files.h"
#include "tests/torture/fuzz/support/fuzz.h"

struct reading {
    const char *path;
    char *string;
};

static void read_tokenizer(void *context) {
    struct reading *reading = context;
    reading->string = hf_bpe_read(reading->path);
}

static void write_file(const char *name, const struct tokenizer *tokenizer, bool config) {
    struct growing text;
    growing_begin(&text, name);
    if (config) {
        hf_write_tokenizer_config(text.file, tokenizer, 1024);
    } else {
        hf_write_tokenizer(text.file, tokenizer);
    }
    char *written = growing_end(&text);
    fuzz_file(name, written, text.length);
    free(written);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    static struct reading reading;
    struct fuzz_input input = {bytes, bytes + length};
    size_t json_length;
    char *json = fuzz_take(&input, 0, &json_length);
    if (!json) {
        return 0;
    }
    fuzz_file("tokenizer_config.json", input.at, (size_t)(input.end - input.at));
    if (input.at >= input.end) {
        remove(fuzz_path("tokenizer_config.json"));
    }
    reading.path = fuzz_file("tokenizer.json", json, json_length);
    free(json);
    if (!fuzz_survives(read_tokenizer, &reading)) {
        FUZZ_MUST(fuzz_code == EXIT_DATA);
        return 0;
    }
    struct tokenizer tokenizer;
    const char *error;
    const bool good = tokenizer_parse(&tokenizer, reading.string, &error);
    FUZZ_MUST(good || strstr(error, "a merge twice") || strstr(error, "more than 4096") ||
              !strcmp(reading.string, "char"));
    if (good) {
        FUZZ_MUST(!strcmp(tokenizer.text, reading.string));
        write_file("tokenizer.json", &tokenizer, false);
        write_file("tokenizer_config.json", &tokenizer, true);
        free(reading.string);
        FUZZ_MUST(fuzz_survives(read_tokenizer, &reading));
        FUZZ_MUST(!strcmp(tokenizer.text, reading.string));
        tokenizer_free(&tokenizer);
    }
    free(reading.string);
    return 0;
}
