// tokenizer.c: text to token ids and back. A token is one code point; its id is its rank. Needs
// libc alone, since the sampler carries it.
#include "runtime/runtime.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

int utf8_decode(const unsigned char *text, size_t length, uint32_t *codepoint) {
    if (length == 0) {
        return 0;
    }
    unsigned char first = text[0];
    int bytes = first < 0x80   ? 1
                : first < 0xc2 ? 0 // a continuation byte, or an overlong form
                : first < 0xe0 ? 2
                : first < 0xf0 ? 3
                : first < 0xf5 ? 4
                               : 0; // beyond U+10FFFF
    if (bytes == 0 || (size_t)bytes > length) {
        return 0;
    }
    uint32_t c = bytes == 1 ? first : first & (0x7fu >> bytes);
    for (int i = 1; i < bytes; i++) {
        if ((text[i] & 0xc0) != 0x80) {
            return 0;
        }
        c = c << 6 | (text[i] & 0x3f);
    }
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    if (c < least[bytes] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) {
        return 0;
    }
    *codepoint = c;
    return bytes;
}

// Reads one code point as tokenizers write them: lower case, two digits or as few as it takes, so
// that equal vocabularies are equal strings. Returns where it ends, or NULL.
static const char *tokenizer_hex(const char *text, uint32_t *codepoint) {
    uint32_t c = 0;
    int digits = 0;
    for (;; digits++) {
        char d = text[digits];
        if (d >= '0' && d <= '9') {
            c = c << 4 | (uint32_t)(d - '0');
        } else if (d >= 'a' && d <= 'f') {
            c = c << 4 | (uint32_t)(d - 'a' + 10);
        } else {
            break;
        }
        if (digits == 6) {
            return NULL;
        }
    }
    if (digits < 2 || (digits > 2 && text[0] == '0')) {
        return NULL;
    }
    *codepoint = c;
    return text + digits;
}

bool tokenizer_parse(struct tokenizer *tokenizer, const char *text, const char **error) {
    memset(tokenizer, 0, sizeof *tokenizer);
    size_t length = strlen(text);
    if (strncmp(text, "char ", 5) != 0) {
        *error = "the tokenizer does not start with 'char '";
        return false;
    }
    // A code point takes three bytes at least, with the space before it.
    tokenizer->codepoint = malloc(length / 3 * sizeof *tokenizer->codepoint);
    tokenizer->text = strdup(text);
    if (!tokenizer->codepoint || !tokenizer->text) {
        *error = "not enough memory for the tokenizer";
        goto fail;
    }
    const char *at = text + 4;
    uint32_t previous = 0;
    int count = 0;
    while (*at) {
        uint32_t c;
        const char *end = *at == ' ' ? tokenizer_hex(at + 1, &c) : NULL;
        if (!end || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) {
            *error = "the tokenizer holds something that is no code point";
            goto fail;
        }
        if (count > 0 && c <= previous) {
            *error = "the tokenizer's code points do not rise";
            goto fail;
        }
        tokenizer->codepoint[count++] = previous = c;
        at = end;
    }
    tokenizer->vocab_size = count;
    return true;
fail:
    tokenizer_free(tokenizer);
    return false;
}

void tokenizer_free(struct tokenizer *tokenizer) {
    free(tokenizer->text);
    free(tokenizer->codepoint);
    memset(tokenizer, 0, sizeof *tokenizer);
}

// The rank of a code point, or -1.
static int32_t tokenizer_id(const struct tokenizer *tokenizer, uint32_t codepoint) {
    int32_t low = 0, high = tokenizer->vocab_size;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (tokenizer->codepoint[middle] < codepoint) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < tokenizer->vocab_size && tokenizer->codepoint[low] == codepoint ? low : -1;
}

int64_t tokenizer_encode(const struct tokenizer *tokenizer, const char *text, size_t length,
                         int32_t *ids, size_t *where) {
    int64_t count = 0;
    for (size_t at = 0; at < length;) {
        uint32_t c;
        int bytes = utf8_decode((const unsigned char *)text + at, length - at, &c);
        int32_t id = bytes ? tokenizer_id(tokenizer, c) : -1;
        if (id < 0) {
            *where = at;
            return -1;
        }
        ids[count++] = id;
        at += (size_t)bytes;
    }
    return count;
}

int tokenizer_decode(const struct tokenizer *tokenizer, int32_t id, char bytes[4]) {
    uint32_t c = tokenizer->codepoint[id];
    if (c < 0x80) {
        bytes[0] = (char)c;
        return 1;
    }
    int count = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (int i = count - 1; i > 0; i--) {
        bytes[i] = (char)(0x80 | (c & 0x3f));
        c >>= 6;
    }
    bytes[0] = (char)((0xf00u >> count) | c); // 110xxxxx, 1110xxxx, 11110xxx
    return count;
}

void tokenizer_describe(const struct tokenizer *tokenizer, char line[96]) {
    unsigned long long hash = XXH3_64bits(tokenizer->text, strlen(tokenizer->text));
    snprintf(line, 96, "char, %d characters, %016llx", tokenizer->vocab_size, hash);
}
