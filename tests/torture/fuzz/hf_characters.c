// hf_characters.c: a tokenizer.json of characters. What is accepted is a tokenizer, and what
// make export writes of it is read as the same one.
#include "runtime/files/files.h"
#include "tests/torture/fuzz/support/fuzz.h"

struct reading {
    struct json *json;
    char *string;
};

static void read_characters(void *context) {
    struct reading *reading = context;
    reading->string = hf_characters("tokenizer.json", reading->json);
}

// What is written of a tokenizer is read as its string.
static void check_written(const struct tokenizer *tokenizer) {
    struct growing text;
    const char *error;
    growing_begin(&text, "tokenizer.json");
    hf_write_tokenizer(text.file, tokenizer);
    char *written = growing_end(&text);
    struct json *json = json_parse(written, text.length, &error);
    FUZZ_MUST(json != NULL);
    char *again = hf_characters("tokenizer.json", json);
    FUZZ_MUST(again && !strcmp(again, tokenizer->text));
    free(again);
    json_free(json);
    free(written);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    const char *error;
    const char *text = length ? (const char *)bytes : "";
    struct reading reading = {.json = json_parse(text, length, &error)};
    if (!reading.json) {
        return 0;
    }
    if (!fuzz_survives(read_characters, &reading)) {
        FUZZ_MUST(fuzz_code == EXIT_DATA);
    } else if (reading.string) {
        struct tokenizer tokenizer;
        const bool empty = !strcmp(reading.string, "char");
        FUZZ_MUST(tokenizer_parse(&tokenizer, reading.string, &error) == !empty);
        if (!empty) {
            FUZZ_MUST(!strcmp(tokenizer.text, reading.string));
            check_written(&tokenizer);
            tokenizer_free(&tokenizer);
        }
        free(reading.string);
    }
    json_free(reading.json);
    return 0;
}
