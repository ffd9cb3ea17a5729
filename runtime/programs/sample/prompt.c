// prompt.c: reads the texts that the sampler is given, and makes tokens of them.
#include "runtime/programs/sample/prompt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_PROMPT_BYTES = 64 << 20 };

static void prompt_check(const struct prompt *prompt) {
    if (prompt->length == 0) {
        die(prompt->code, "%s: an empty prompt; give one character at least", prompt->place);
    }
}

void prompt_read_file(struct prompt *prompt, const char *path) {
    *prompt = (struct prompt){.place = path, .code = EXIT_DATA};
    FILE *file = stream_open(path, "r");
    if (file == NULL) {
        die(errno == ENOENT ? EXIT_MISSING : exit_code_of(errno), "%s: cannot read the prompt: %s",
            path, strerror(errno));
    }
    for (;;) {
        prompt->text = allocate_again(prompt->text, prompt->length + 65536, "the prompt");
        size_t got = fread(prompt->text + prompt->length, 1, 65536, file);
        prompt->length += got;
        if (prompt->length > MOST_PROMPT_BYTES) {
            die(EXIT_DATA, "%s: more than %d bytes of prompt; give less", path, MOST_PROMPT_BYTES);
        }
        if (got == 0) {
            break;
        }
    }
    if (ferror(file)) {
        die(exit_code_of(errno), "%s: cannot read the prompt: %s", path, strerror(errno));
    }
    fclose(file);
    prompt_check(prompt);
}

void prompt_read(struct prompt *prompt, const char *start) {
    if (strncmp(start, "FILE:", 5) == 0) {
        prompt_read_file(prompt, start + 5);
        return;
    }
    *prompt = (struct prompt){.place = "--start", .code = EXIT_USAGE, .length = strlen(start)};
    prompt->text = allocate_copy(start, prompt->length, "the prompt");
    prompt_check(prompt);
}

void prompt_default(struct prompt *prompt, const struct tokenizer *tokenizer) {
    int32_t id = tokenizer_start(tokenizer);
    *prompt = (struct prompt){.place = "--start", .code = EXIT_USAGE};
    const char *text = tokenizer_decode(tokenizer, id, &prompt->length);
    prompt->text = allocate_copy(text, prompt->length, "the prompt");
    prompt->ids = allocate(1, sizeof *prompt->ids, "the prompt");
    prompt->ids[0] = id;
    prompt->count = 1;
}

// Says what is wrong with the text at byte `where`.
static void prompt_problem(const struct prompt *prompt, const struct tokenizer *tokenizer,
                           size_t where, char error[512]) {
    size_t line = 1, column = 1;
    for (size_t i = 0; i < where; i++) {
        if (prompt->text[i] == '\n') {
            line++;
            column = 1;
        } else if ((prompt->text[i] & 0xc0) != 0x80) {
            column++;
        }
    }
    const unsigned char *found = (const unsigned char *)prompt->text + where;
    uint32_t codepoint;
    int bytes = utf8_decode(found, prompt->length - where, &codepoint);
    if (bytes == 0) {
        snprintf(error, 512,
                 "%.300s: line %zu, character %zu: byte 0x%02x is not UTF-8; give UTF-8 text",
                 prompt->place, line, column, *found);
        return;
    }
    char vocabulary[96];
    tokenizer_describe(tokenizer, vocabulary);
    snprintf(error, 512,
             "%.300s: line %zu, character %zu: '%.*s' (U+%04X) is not in the vocabulary (%s); "
             "leave it out",
             prompt->place, line, column, bytes, found, (unsigned)codepoint, vocabulary);
}

bool prompt_encode(struct prompt *prompt, const struct tokenizer *tokenizer, char error[512],
                   size_t *where) {
    const int32_t begin = prompt->goes_on ? -1 : tokenizer_begin(tokenizer);
    const int begins = begin >= 0;
    free(prompt->ids);
    prompt->ids =
        allocate(tokenizer_room(tokenizer, prompt->length) + 1, sizeof *prompt->ids, "the prompt");
    prompt->ids[0] = begin;
    prompt->count =
        tokenizer_encode(tokenizer, prompt->text, prompt->length, prompt->ids + begins, where);
    if (prompt->count < 0) {
        prompt_problem(prompt, tokenizer, *where, error);
        return false;
    }
    prompt->count += begins;
    return true;
}

void prompt_free(struct prompt *prompt) {
    free(prompt->text);
    free(prompt->ids);
}
