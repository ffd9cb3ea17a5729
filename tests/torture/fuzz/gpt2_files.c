// gpt2_files.c: GPT-2's vocab.bpe, a zero, and encoder.json; where nothing is behind the zero, the
// encoder.json that agrees with the bytes and merges is made. What is accepted is a tokenizer that
// has each token of encoder.json under its id.
#include "runtime/files/files.h"
#include "tests/torture/fuzz/support/fuzz.h"

struct reading {
    char folder[512];
    char *string;
};

static void read_files(void *context) {
    struct reading *reading = context;
    reading->string = gpt2_files_read(reading->folder);
}

static bool seen(int byte) {
    return (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte != 0xad);
}

static void write_key(FILE *out, const char *key, size_t length, int id) {
    fputs(id ? "," : "{", out);
    json_write_string(out, key, length);
    fprintf(out, ":%d", id);
}

// The encoder.json of the 256 bytes, the lines "left right" and <|endoftext|>.
static char *encoder(const char *merges, size_t length, size_t *made) {
    char *text = NULL;
    FILE *out = open_memstream(&text, made);
    FUZZ_MUST(out != NULL);
    int id = 0;
    for (int hidden = 0; hidden < 2; hidden++) {
        uint32_t shown = 0x100;
        for (int byte = 0; byte < 256; byte++) {
            if (seen(byte) == !hidden) {
                char key[4];
                int bytes = utf8_encode(hidden ? shown++ : (uint32_t)byte, key);
                write_key(out, key, (size_t)bytes, id++);
            }
        }
    }
    const char *newline = memchr(merges, '\n', length);
    for (size_t at = newline ? (size_t)(newline - merges) + 1 : length; at < length;) {
        const char *stop = memchr(merges + at, '\n', length - at);
        size_t line = stop ? (size_t)(stop - merges) - at : length - at;
        char *key = malloc(line + 1);
        FUZZ_MUST(key != NULL);
        const char *space = memchr(merges + at, ' ', line);
        size_t left = space ? (size_t)(space - merges) - at : line;
        memcpy(key, merges + at, left);
        if (space) {
            memcpy(key + left, space + 1, line - left - 1);
        }
        write_key(out, key, space ? line - 1 : line, id++);
        free(key);
        at += line + 1;
    }
    write_key(out, TOKENIZER_END_OF_TEXT, strlen(TOKENIZER_END_OF_TEXT), id);
    fputs("}", out);
    FUZZ_MUST(fclose(out) == 0);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    static struct reading reading;
    struct fuzz_input input = {bytes, bytes + length};
    size_t merges_length, ids_length = 0;
    char *merges = fuzz_take(&input, 0, &merges_length);
    if (!merges) {
        return 0;
    }
    bool made = input.at >= input.end;
    ids_length = (size_t)(input.end - input.at);
    char *ids = made ? encoder(merges, merges_length, &ids_length) : NULL;
    snprintf(reading.folder, sizeof reading.folder, "%s",
             fuzz_file("vocab.bpe", merges, merges_length));
    fuzz_file("encoder.json", made ? (const void *)ids : input.at, ids_length);
    *strrchr(reading.folder, '/') = 0;
    if (fuzz_survives(read_files, &reading)) {
        struct tokenizer t;
        const char *error;
        // Its bytes are fewer than its characters, so a token is too long for the one where it is
        // for the other.
        bool good = tokenizer_parse(&t, reading.string, &error);
        FUZZ_MUST(good || strstr(error, "more than 256 bytes"));
        if (good) {
            FUZZ_MUST(!strcmp(t.text, reading.string) &&
                      bpe_end_of_text(t.bpe) == t.vocab_size - 1);
            tokenizer_free(&t);
        }
        free(reading.string);
    } else {
        FUZZ_MUST(fuzz_code == EXIT_DATA);
    }
    free(merges);
    free(ids);
    return 0;
}
