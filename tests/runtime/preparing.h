// preparing.h: what the tests test_prepare*.c share: the program prepare, which is included here
// and runs in a child process each time, its arguments, and files as GPT-2's.
#ifndef DIECAST_PREPARING_H
#define DIECAST_PREPARING_H

#include "tests/runtime/suite.h"

#include "runtime/programs/prepare/collection.c"
#include "runtime/programs/prepare/crew.c"

// A document is changed before this call of pretokenize, counted from 1; 0: never.
static int changed_at, cut;
static const char *changed;

static inline size_t piece_of(enum pretokenizer how, const char *text, size_t length) {
    if (changed_at > 0 && ++cut == changed_at) {
        suite_write_text(changed, "another text, of the same file");
    }
    return pretokenize(how, text, length);
}
#define pretokenize piece_of
#include "runtime/programs/prepare/documents.c"
#undef pretokenize
#include "runtime/programs/prepare/inputs.c"
#include "runtime/programs/prepare/output.c"
#include "runtime/programs/prepare/progress.c"

// The text is emptied before this call of utf8_decode, counted from 1; 0: never.
static int emptied_at, decoded;

static inline int decode(const unsigned char *text, size_t length, uint32_t *codepoint) {
    if (++decoded == emptied_at && truncate(suite_path("text.txt"), 0)) {
        _exit(99);
    }
    return utf8_decode(text, length, codepoint);
}

int prepare_main(int argc, char **argv);
#define main prepare_main
#define utf8_decode decode
#include "runtime/programs/prepare/text.c"
#include "runtime/programs/prepare.c"
#undef utf8_decode
#undef main

#define SHA "--sha256=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// Runs prepare with these arguments, NULL at the end.
static inline void prepare(void *context) {
    char **argv = context;
    int argc = 0;
    while (argv[argc]) {
        argc++;
    }
    exit(prepare_main(argc, argv));
}

// The arguments for text.txt and the folder out.
static inline char **arguments(void) {
    static char text[800], folder[800];
    static char *argv[] = {"prepare", text, folder, "--name=abc", SHA, NULL};
    snprintf(text, sizeof text, "--text=%s", suite_path("text.txt"));
    snprintf(folder, sizeof folder, "--out=%s", suite_path("out"));
    return argv;
}

static inline void succeeds(void) {
    struct ending ending = suite_run(prepare, arguments());
    ck_assert_msg(ending.code == 0, "%s", ending.text);
    ck_assert_str_eq(ending.text, "");
}

static inline void tokens_are(const char *name, const uint16_t *wanted, size_t count) {
    size_t length;
    char *bytes = suite_read(name, &length);
    ck_assert_uint_eq(length, 2 * count);
    ck_assert_mem_eq(bytes, wanted, length);
    free(bytes);
}

static inline bool leftovers(void) {
    return suite_exists("out/train.bin.tmp") || suite_exists("out/val.bin.tmp") ||
           suite_exists("out/meta.json.tmp");
}

// ---- GPT-2's files, with a made-up list --------------------------------------------------------

// The published vocab.bpe and encoder.json write a byte as a character.
static inline size_t shown(int byte, char text[4]) {
    uint32_t c = (uint32_t)byte, hidden = 0x100;
    bool seen = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte != 0xad);
    for (int b = 0; b < byte && !seen; b++) {
        hidden += b < 0x21 || (b > 0x7e && b < 0xa1) || b == 0xad;
    }
    return (size_t)utf8_encode(seen ? c : hidden, text);
}

// Tokens: 256 bytes, "th" 256, " th" 257, "the" 258 and <|endoftext|> 259.
static const char merges[] = "#version: 0.2\nt h\n\xc4\xa0 th\nth e\n";

static inline void write_gpt2(const char *vocab, const char *tail) {
    mkdir(suite_path("gpt2"), 0777);
    suite_write_text("gpt2/vocab.bpe", vocab);
    char json[8192];
    size_t used = (size_t)sprintf(json, "{");
    int id = 0;
    for (int hidden = 0; hidden < 2; hidden++) {
        for (int byte = 0; byte < 256; byte++) {
            char text[5] = {0};
            size_t length = shown(byte, text);
            uint32_t c;
            utf8_decode((unsigned char *)text, length, &c);
            if ((c >= 0x100) != hidden) {
                continue;
            }
            // Escapes of each kind, as Python's json.dumps writes them, and plain UTF-8.
            if (c == '"' || c == '\\') {
                used += (size_t)sprintf(json + used, "\"\\%c\": %d, ", (int)c, id++);
            } else if (c >= 0x80 && c % 3) {
                used += (size_t)sprintf(json + used, "\"\\u%04x\": %d, ", (unsigned)c, id++);
            } else {
                used += (size_t)sprintf(json + used, "\"%s\": %d, ", text, id++);
            }
        }
    }
    sprintf(json + used, "%s}", tail);
    suite_write_text("gpt2/encoder.json", json);
}

static const char numbered[] =
    "\"th\": 256, \"\\u0120th\": 257, \"the\": 258, \"<|endoftext|>\": 259";

#endif
