// encode.c: runs our tokenizer for tokenizer.py, through pipes:
//
//     encode PLACE prompt | ordinary | decode
//
// with the tokenizer at PLACE (tokenizer_files.c). Reads records of uint32 words or bytes, each
// with its length before it as a uint32, and answers each with one: prompt and ordinary take UTF-8
// and give ids, decode takes ids and gives UTF-8.
#include "runtime/files/files.h"

#include <stdlib.h>
#include <string.h>

// The next record, or NULL at the end.
static char *encode_read(uint32_t *length, size_t unit) {
    if (fread(length, sizeof *length, 1, stdin) != 1) {
        return NULL;
    }
    char *bytes = malloc(*length * unit + 1);
    if (!bytes || fread(bytes, unit, *length, stdin) != *length) {
        die(EXIT_IO, "encode: a record of %u is cut short", *length);
    }
    return bytes;
}

static void encode_write(const void *items, uint32_t length, size_t unit) {
    fwrite(&length, sizeof length, 1, stdout);
    fwrite(items, unit, length, stdout);
}

// Encodes a text as prepare does.
static int64_t encode_ordinary(const struct tokenizer *t, const char *text, size_t length,
                               int32_t *ids) {
    int64_t count = 0;
    for (size_t at = 0; at < length;) {
        size_t piece = pretokenize(t->cut, text + at, length - at);
        count += bpe_encode(t, text + at, piece, ids + count);
        at += piece;
    }
    return count;
}

static void encode_text(const struct tokenizer *t, bool prompt, const char *text, uint32_t length) {
    int32_t *ids = malloc((tokenizer_room(t, length) + 1) * sizeof *ids);
    size_t where;
    int64_t count = prompt ? tokenizer_encode(t, text, length, ids, &where)
                           : encode_ordinary(t, text, length, ids);
    if (count < 0) {
        die(EXIT_DATA, "encode: no UTF-8 at %zu", where);
    }
    encode_write(ids, (uint32_t)count, sizeof *ids);
    free(ids);
}

static void decode_ids(const struct tokenizer *t, const int32_t *ids, uint32_t count) {
    char *text = malloc((size_t)count * 3 * (TOKENIZER_TOKEN_MAX + 1) + 3);
    struct utf8_mend mend = {0};
    size_t length = 0;
    for (uint32_t i = 0; i < count; i++) {
        size_t bytes;
        const char *token = tokenizer_decode(t, ids[i], &bytes);
        length += utf8_mend(&mend, token, bytes, text + length);
    }
    length += utf8_mend_end(&mend, text + length);
    encode_write(text, (uint32_t)length, 1);
    free(text);
}

int main(int argc, char **argv) {
    if (argc != 3) {
        die(EXIT_USAGE, "encode: PLACE and one of prompt, ordinary, decode are wanted");
    }
    char *string = tokenizer_files_read(argv[1]), *record;
    struct tokenizer t;
    const char *error;
    if (!tokenizer_parse(&t, string, &error)) {
        die(EXIT_DATA, "%s: %s", argv[1], error);
    }
    bool decode = strcmp(argv[2], "decode") == 0;
    uint32_t length;
    while ((record = encode_read(&length, decode ? sizeof(int32_t) : 1)) != NULL) {
        if (decode) {
            decode_ids(&t, (const int32_t *)record, length);
        } else {
            encode_text(&t, strcmp(argv[2], "prompt") == 0, record, length);
        }
        free(record);
    }
    tokenizer_free(&t);
    free(string);
    return 0;
}
