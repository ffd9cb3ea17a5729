// llmc_tokens.c: llm.c's tokenizer: the header's first 16 bytes, and the tokens; the rest of the
// header is zeros. What is accepted has as many tokens as it states, none empty, which end with the
// file; it is compared with a tokenizer of two characters.
#include "runtime/files/files.h"
#include "tests/torture/fuzz/support/fuzz.h"

enum { STATED = 16 };

struct reading {
    const char *path;
    struct llmc_tokens tokens;
    bool open;
    char error[SAFETENSORS_ERROR];
};

static void read_tokens(void *context) {
    struct reading *reading = context;
    enum exit_code code = EXIT_DONE;
    reading->open = llmc_tokens_open(&reading->tokens, reading->path, reading->error, &code);
    FUZZ_MUST(reading->open || (*reading->error && code == EXIT_DATA));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    const size_t stated = length < STATED ? length : STATED, data = length - stated;
    uint8_t *made = calloc(LLMC_HEADER + data, 1);
    FUZZ_MUST(made != NULL);
    memcpy(made, bytes, stated);
    memcpy(made + LLMC_HEADER, bytes + stated, data);
    struct reading reading = {.path = fuzz_file("tokens.bin", made, LLMC_HEADER + data)};
    FUZZ_MUST(fuzz_survives(read_tokens, &reading));
    if (reading.open) {
        const struct llmc_tokens *tokens = &reading.tokens;
        size_t at = LLMC_HEADER, sum = 0, size;
        for (int i = 0; i < tokens->count; i++) {
            const char *token = llmc_token(tokens, &at, &size);
            FUZZ_MUST(size > 0 && at <= LLMC_HEADER + data);
            sum += 1 + size + (size_t)(token[size - 1] & 0);
        }
        FUZZ_MUST(sum == data && tokens->end_of_text < tokens->count);
        struct tokenizer tokenizer;
        const char *problem;
        FUZZ_MUST(tokenizer_parse(&tokenizer, "char 61 62", &problem));
        FUZZ_MUST(!llmc_tokens_are(tokens, "tokens.bin", &tokenizer, reading.error) &&
                  *reading.error); // which has no <|endoftext|>
        tokenizer_free(&tokenizer);
        llmc_tokens_close(&reading.tokens);
    }
    free(made);
    return 0;
}
