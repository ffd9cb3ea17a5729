// pickle.c: nanoGPT's meta.pkl. What is accepted is a tokenizer, and written as a pickle again it
// gives the same one.
#include "runtime/files/files.h"
#include "tests/torture/fuzz/support/fuzz.h"

static char *put(char *at, const char *bytes, size_t length) {
    memcpy(at, bytes, length);
    return at + length;
}

static char *put_number(char *at, int32_t number) {
    *at++ = 'J';
    return put(at, (const char *)&number, sizeof number);
}

static char *put_text(char *at, const char *text, size_t length) {
    *at++ = 'X';
    uint32_t bytes = (uint32_t)length;
    at = put(at, (const char *)&bytes, sizeof bytes);
    return put(at, text, length);
}

static char *put_word(char *at, const char *word) {
    return put_text(at, word, strlen(word));
}

// A pickle of { vocab_size, itos, stoi }.
static size_t pickle(const struct tokenizer *t, char *out) {
    char *at = put(out, "\x80\x02}(", 4);
    at = put_number(put_word(at, "vocab_size"), t->vocab_size);
    for (int back = 0; back < 2; back++) {
        at = put(put_word(at, back ? "stoi" : "itos"), "}(", 2);
        for (int32_t id = 0; id < t->vocab_size; id++) {
            size_t length;
            const char *text = tokenizer_decode(t, id, &length);
            at = back ? put_number(put_text(at, text, length), id)
                      : put_text(put_number(at, id), text, length);
        }
        *at++ = 'u';
    }
    return (size_t)(put(at, "u.", 2) - out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    const char *problem = NULL, *error;
    char *string = pickle_tokenizer((const char *)bytes, length, &problem);
    FUZZ_MUST((string == NULL) == (problem != NULL));
    if (string) {
        struct tokenizer tokenizer;
        FUZZ_MUST(tokenizer_parse(&tokenizer, string, &error));
        FUZZ_MUST(tokenizer.vocab_size > 0 && !strcmp(tokenizer.text, string));
        char *again = malloc(128 + 40 * (size_t)tokenizer.vocab_size);
        FUZZ_MUST(again != NULL);
        char *same = pickle_tokenizer(again, pickle(&tokenizer, again), &problem);
        FUZZ_MUST(same && !strcmp(same, string));
        free(same);
        free(again);
        tokenizer_free(&tokenizer);
        free(string);
    }
    return 0;
}
