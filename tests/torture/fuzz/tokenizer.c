// tokenizer.c: a tokenizer's string, up to a newline, and a text that it encodes. An accepted
// string is kept as it is; decode(encode(text)) is the text, without the bytes that a byte-pair
// encoding lacks and, where it says so, in form C, of which only the ids are looked at; a text is
// refused only at something that is not UTF-8 or, for characters, not in the vocabulary. Of ids,
// decode is what encode reads.
#include "runtime/text/text.h"
#include "tests/torture/fuzz/support/fuzz.h"

struct encoding {
    const struct tokenizer *tokenizer;
    const char *text;
    size_t length, where;
    int32_t *ids;
    int64_t count;
};

static bool has_token(const struct tokenizer *tokenizer, const char *text, size_t length) {
    for (int32_t id = 0; id < tokenizer->vocab_size; id++) {
        size_t bytes;
        const char *token = tokenizer_decode(tokenizer, id, &bytes);
        if (bytes == length && !memcmp(token, text, length)) {
            return true;
        }
    }
    return false;
}

// The first place from `at` on with a byte that the vocabulary has, or with this one.
static size_t past_lacking(const struct encoding *e, size_t at, int wanted) {
    int32_t id;
    while (at < e->length && e->tokenizer->bpe && (unsigned char)e->text[at] != wanted &&
           bpe_encode(e->tokenizer, e->text + at, 1, &id) == 0) {
        at++;
    }
    return at;
}

static void check_ids(const struct encoding *e) {
    FUZZ_MUST(e->count >= 0 ? (size_t)e->count <= e->length : e->where < e->length);
    for (int64_t i = 0; i < e->count; i++) {
        FUZZ_MUST(e->ids[i] >= 0 && e->ids[i] < e->tokenizer->vocab_size);
        size_t bytes, where;
        const char *token = tokenizer_decode(e->tokenizer, e->ids[i], &bytes);
        int32_t again[8];
        FUZZ_MUST(bytes >= 2 && bytes <= 8);
        FUZZ_MUST(tokenizer_encode(e->tokenizer, token, bytes, again, &where) == 1);
        FUZZ_MUST(*again == e->ids[i]);
    }
}

static void check(const struct encoding *e) {
    const struct tokenizer *t = e->tokenizer;
    if (t->ids) {
        check_ids(e);
        return;
    }
    if (e->count < 0) {
        uint32_t c;
        FUZZ_MUST(e->where < e->length);
        int bytes =
            utf8_decode((const unsigned char *)e->text + e->where, e->length - e->where, &c);
        FUZZ_MUST(bytes == 0 || (!t->bpe && !has_token(t, e->text + e->where, (size_t)bytes)));
        return;
    }
    size_t at = 0;
    FUZZ_MUST((size_t)e->count <= tokenizer_room(t, e->length));
    for (int64_t i = 0; i < e->count; i++) {
        FUZZ_MUST(e->ids[i] >= 0 && e->ids[i] < t->vocab_size);
        if (t->bpe && bpe_has(t->bpe, BPE_NFC)) {
            continue;
        }
        size_t bytes;
        const char *token = tokenizer_decode(t, e->ids[i], &bytes);
        FUZZ_MUST(bytes > 0 && bytes <= TOKENIZER_TOKEN_MAX);
        for (size_t k = 0; k < bytes; k++) {
            at = past_lacking(e, at, (unsigned char)token[k]) + 1;
            FUZZ_MUST(at <= e->length && e->text[at - 1] == token[k]);
        }
    }
    FUZZ_MUST((t->bpe && bpe_has(t->bpe, BPE_NFC)) || past_lacking(e, at, -1) == e->length);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    struct fuzz_input input = {bytes, bytes + length};
    size_t string_length, text_length = 0;
    char *string = fuzz_take(&input, '\n', &string_length);
    if (!string) {
        return 0;
    }
    struct tokenizer tokenizer;
    const char *error = NULL;
    if (tokenizer_parse(&tokenizer, string, &error)) {
        FUZZ_MUST(!strcmp(tokenizer.text, string) && tokenizer.vocab_size > 0);
        FUZZ_MUST(tokenizer.vocab_size <= 1 << 21);
        int32_t start = tokenizer_start(&tokenizer);
        FUZZ_MUST(start >= 0 && start < tokenizer.vocab_size);
        char line[96];
        tokenizer_describe(&tokenizer, line);
        text_length = (size_t)(input.end - input.at);
        struct encoding e = {&tokenizer, (const char *)input.at, text_length, SIZE_MAX, NULL, 0};
        e.ids = malloc(tokenizer_room(&tokenizer, text_length) * sizeof *e.ids + 1);
        e.count = tokenizer_encode(&tokenizer, e.text, e.length, e.ids, &e.where);
        check(&e);
        free(e.ids);
        tokenizer_free(&tokenizer);
    } else {
        FUZZ_MUST(error != NULL);
    }
    free(string);
    return 0;
}
