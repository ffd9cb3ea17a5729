// tokenizer.c: text to token ids and back. A token is either a code point, whose id is its rank in
// the vocabulary, or a run of bytes of a byte-pair encoding (bpe.c), or an id of which no more is
// known. Needs only libc, since the sampler links it.
#include "runtime/base/base.h"
#include "runtime/text/bpe.h"

#include <stdlib.h>
#include <string.h>

// ---- vocabularies -------------------------------------------------------------------------------

// Reads one code point in lower-case hexadecimal. Only the canonical form, with no leading zeros
// beyond two digits, is valid, so that equal vocabularies are equal strings. Returns its end, or
// NULL.
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

// Parses what follows "char" in the string, such as " 00 61 20ac".
static bool tokenizer_parse_characters(struct tokenizer *tokenizer, const char *at,
                                       const char **error) {
    // A code point takes at least 3 bytes here, with its space, and at most 4 in UTF-8.
    size_t most = strlen(at) / 3;
    tokenizer->codepoint = allocate(most + 1, sizeof *tokenizer->codepoint, "the tokenizer");
    tokenizer->offset = allocate(most + 1, sizeof *tokenizer->offset, "the tokenizer");
    tokenizer->bytes = allocate(most, 4, "the tokenizer");
    uint32_t previous = 0;
    int count = 0;
    tokenizer->offset[0] = 0;
    while (*at) {
        uint32_t c;
        const char *end = *at == ' ' ? tokenizer_hex(at + 1, &c) : NULL;
        if (!end || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) {
            *error = "the tokenizer holds something that is not a code point";
            return false;
        }
        if (count > 0 && c <= previous) {
            *error = "the tokenizer's code points do not rise";
            return false;
        }
        uint32_t used = tokenizer->offset[count];
        tokenizer->codepoint[count++] = previous = c;
        tokenizer->offset[count] = used + (uint32_t)utf8_encode(c, tokenizer->bytes + used);
        at = end;
    }
    tokenizer->vocab_size = count;
    return true;
}

// Reads a number without leading zeros, up to `most`. Returns its end, or NULL.
static const char *tokenizer_number(const char *text, const char *end, int64_t most,
                                    int64_t *number) {
    *number = 0;
    const char *at = text;
    for (; at < end && *at >= '0' && *at <= '9' && *number <= most; at++) {
        *number = 10 * *number + (*at - '0');
    }
    return at == text || *number > most || (*text == '0' && at > text + 1) ? NULL : at;
}

// Parses what follows "ids " in the string, and writes each token: a space, and its id.
static bool tokenizer_parse_ids(struct tokenizer *tokenizer, const char *at, const char **error) {
    int64_t count;
    const char *all = at + strlen(at), *end = tokenizer_number(at, all, TOKENIZER_IDS_MAX, &count);
    if (end != all || count == 0) {
        *error = "the tokenizer's ids are not a number from 1 to 1048576";
        return false;
    }
    enum { DIGITS = 7 };
    tokenizer->offset = allocate((size_t)count + 1, sizeof *tokenizer->offset, "the tokenizer");
    tokenizer->bytes = allocate((size_t)count, DIGITS + 2, "the tokenizer");
    tokenizer->offset[0] = 0;
    for (int id = 0; id < count; id++) {
        const uint32_t used = tokenizer->offset[id];
        tokenizer->offset[id + 1] =
            used + (uint32_t)snprintf(tokenizer->bytes + used, DIGITS + 2, " %d", id);
    }
    tokenizer->vocab_size = (int)count;
    tokenizer->ids = true;
    return true;
}

bool tokenizer_parse(struct tokenizer *tokenizer, const char *text, const char **error) {
    memset(tokenizer, 0, sizeof *tokenizer);
    bool good;
    if (strncmp(text, "char ", 5) == 0) {
        good = tokenizer_parse_characters(tokenizer, text + 4, error);
    } else if (strncmp(text, "bpe gpt2 ", 9) == 0) {
        good = bpe_parse_gpt2(tokenizer, text + 9, error);
    } else if (strncmp(text, "bpe-", 4) == 0) {
        good = bpe_parse(tokenizer, text + 4, error);
    } else if (strncmp(text, "ids ", 4) == 0) {
        good = tokenizer_parse_ids(tokenizer, text + 4, error);
    } else {
        *error = "the tokenizer starts with none of 'char ', 'bpe gpt2 ', 'bpe-', 'ids '";
        return false;
    }
    if (good) {
        tokenizer->text = allocate_copy(text, strlen(text), "the tokenizer");
    } else {
        tokenizer_free(tokenizer);
    }
    return good;
}

void tokenizer_free(struct tokenizer *tokenizer) {
    free(tokenizer->text);
    free(tokenizer->bytes);
    free(tokenizer->offset);
    free(tokenizer->codepoint);
    bpe_free(tokenizer->bpe);
    memset(tokenizer, 0, sizeof *tokenizer);
}

// The id of a code point, or -1.
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

static int64_t tokenizer_encode_characters(const struct tokenizer *tokenizer, const char *text,
                                           size_t length, int32_t *ids, size_t *where) {
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

// The longest token that a text may name at its start, or -1.
static int32_t tokenizer_named(const struct tokenizer *tokenizer, const char *text, size_t length) {
    const struct bpe *bpe = tokenizer->bpe;
    int32_t found = -1;
    size_t most = 0;
    for (int i = 0; i < bpe->specials && bpe->special_starts[(unsigned char)*text]; i++) {
        size_t bytes;
        const char *token = tokenizer_decode(tokenizer, bpe->special[i], &bytes);
        if (bytes > most && bytes <= length && memcmp(text, token, bytes) == 0) {
            most = bytes;
            found = bpe->special[i];
        }
    }
    return found;
}

// The length of the text before the first token that it names, *named, or of all of it.
static size_t tokenizer_ordinary(const struct tokenizer *tokenizer, const char *text, size_t length,
                                 int32_t *named) {
    *named = -1;
    size_t at = 0;
    for (; at < length && *named < 0; at += *named < 0) {
        *named = tokenizer_named(tokenizer, text + at, length - at);
    }
    return at;
}

// Encodes text that names no tokens.
static int64_t tokenizer_encode_ordinary(const struct tokenizer *tokenizer, const char *text,
                                         size_t length, int32_t *ids) {
    char *normal = NULL;
    if (tokenizer->bpe->nfc && length > 0) {
        normal = allocate(normalize_room(length), 1, "the text");
        length = normalize(text, length, normal);
        text = normal;
    }
    int64_t count = 0;
    for (size_t at = 0; at < length;) {
        const size_t piece = pretokenize(tokenizer->cut, text + at, length - at);
        count += bpe_encode(tokenizer, text + at, piece, ids + count);
        at += piece;
    }
    free(normal);
    return count;
}

static int64_t tokenizer_encode_bpe(const struct tokenizer *tokenizer, const char *text,
                                    size_t length, int32_t *ids, size_t *where) {
    for (size_t at = 0; at < length;) { // check it all first: invalid UTF-8 gives no ids
        uint32_t c;
        int bytes = utf8_decode((const unsigned char *)text + at, length - at, &c);
        if (bytes == 0) {
            *where = at;
            return -1;
        }
        at += (size_t)bytes;
    }
    int64_t count = 0;
    for (size_t at = 0; at < length;) {
        int32_t named;
        const size_t ordinary = tokenizer_ordinary(tokenizer, text + at, length - at, &named);
        count += tokenizer_encode_ordinary(tokenizer, text + at, ordinary, ids + count);
        at += ordinary;
        if (named >= 0) {
            size_t bytes;
            tokenizer_decode(tokenizer, named, &bytes);
            ids[count++] = named;
            at += bytes;
        }
    }
    return count;
}

// Reads ids with white space between them.
static int64_t tokenizer_encode_ids(const struct tokenizer *tokenizer, const char *text,
                                    size_t length, int32_t *ids, size_t *where) {
    int64_t count = 0;
    const char *all = text + length;
    for (const char *at = text; at < all;) {
        if (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t') {
            at++;
            continue;
        }
        int64_t id;
        const char *end = tokenizer_number(at, all, tokenizer->vocab_size - 1, &id);
        if (!end || (end < all && !strchr(" \n\r\t", *end))) {
            *where = (size_t)(at - text);
            return -1;
        }
        ids[count++] = (int32_t)id;
        at = end;
    }
    return count;
}

int64_t tokenizer_encode(const struct tokenizer *tokenizer, const char *text, size_t length,
                         int32_t *ids, size_t *where) {
    if (tokenizer->ids) {
        return tokenizer_encode_ids(tokenizer, text, length, ids, where);
    }
    return tokenizer->bpe ? tokenizer_encode_bpe(tokenizer, text, length, ids, where)
                          : tokenizer_encode_characters(tokenizer, text, length, ids, where);
}

size_t tokenizer_room(const struct tokenizer *tokenizer, size_t length) {
    return tokenizer->bpe && tokenizer->bpe->nfc ? normalize_room(length) : length;
}

int32_t tokenizer_begin(const struct tokenizer *tokenizer) {
    const struct bpe *bpe = tokenizer->bpe;
    return bpe && bpe->adds_begin ? bpe->begin : -1;
}

int32_t tokenizer_start(const struct tokenizer *tokenizer) {
    int32_t id;
    size_t where;
    return tokenizer_encode(tokenizer, "\n", 1, &id, &where) == 1 ? id : 0;
}

const char *tokenizer_decode(const struct tokenizer *tokenizer, int32_t id, size_t *length) {
    *length = tokenizer->offset[id + 1] - tokenizer->offset[id];
    return tokenizer->bytes + tokenizer->offset[id];
}

size_t tokenizer_bytes(const struct tokenizer *tokenizer, int32_t id) {
    if (id < 0 || id >= tokenizer->vocab_size || tokenizer->ids ||
        (tokenizer->bpe && bpe_kind(tokenizer->bpe, id) == BPE_CONTROL)) {
        return 0;
    }
    return tokenizer->offset[id + 1] - tokenizer->offset[id];
}

void tokenizer_describe(const struct tokenizer *tokenizer, char line[96]) {
    char hash[17];
    hash_bytes(tokenizer->text, strlen(tokenizer->text), hash);
    const char *kind = tokenizer->ids   ? "ids"
                       : tokenizer->bpe ? pretokenizer_name(tokenizer->cut)
                                        : "char";
    snprintf(line, 96, "%s, %d %s, %s", kind, tokenizer->vocab_size,
             tokenizer->ids   ? "without text"
             : tokenizer->bpe ? "tokens"
                              : "characters",
             hash);
}
