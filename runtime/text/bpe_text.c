// bpe_text.c: a byte-pair encoding's string, in its two forms (text.h says which), parsed into
// tables, and what can be asked of it. Needs only libc, since the sampler links it.
#include "runtime/base/base.h"
#include "runtime/text/bpe.h"

#include <stdlib.h>
#include <string.h>

enum {
    BPE_GPT2_MAX = 65536,    // tokens that four digits can name
    BPE_SPECIALS_MAX = 4096, // as each place in a text that may be one is held against all
};

static const char *const bpe_cuts[] = {"gpt2", "smollm", "llama3", "qwen2"};

const char *pretokenizer_name(enum pretokenizer cut) {
    return bpe_cuts[cut];
}

bool pretokenizer_find(const char *name, size_t length, enum pretokenizer *cut) {
    for (size_t i = 0; i < sizeof bpe_cuts / sizeof *bpe_cuts; i++) {
        if (strlen(bpe_cuts[i]) == length && !memcmp(name, bpe_cuts[i], length)) {
            *cut = (enum pretokenizer)i;
            return true;
        }
    }
    return false;
}

// The value of `digits` lower-case hexadecimal digits, or -1 if there are fewer.
static int32_t bpe_hex(const char *text, int digits) {
    int32_t value = 0;
    for (int i = 0; i < digits; i++) {
        char d = text[i];
        if (d >= '0' && d <= '9') {
            value = value << 4 | (d - '0');
        } else if (d >= 'a' && d <= 'f') {
            value = value << 4 | (d - 'a' + 10);
        } else {
            return -1;
        }
    }
    return value;
}

// ---- tables -------------------------------------------------------------------------------------

// Allocates the tables for this many tokens of so many bytes in all, and merges.
static void bpe_allocate(struct tokenizer *tokenizer, size_t tokens, size_t bytes, size_t merges) {
    struct bpe *bpe = tokenizer->bpe = allocate(1, sizeof *bpe, "the tokenizer");
    size_t slots = 512;
    while (slots < 2 * merges) {
        slots *= 2;
    }
    tokenizer->bytes = allocate(bytes, 1, "the tokenizer's tokens");
    tokenizer->offset = allocate(tokens + 1, sizeof *tokenizer->offset, "the tokenizer");
    bpe->begin = bpe->end = -1;
    bpe->mask = (uint32_t)slots - 1;
    bpe->pair = allocate(slots, sizeof *bpe->pair, "the tokenizer's merges");
    bpe->rank = allocate(slots, sizeof *bpe->rank, "the tokenizer's merges");
    bpe->made = allocate(merges, sizeof *bpe->made, "the tokenizer's merges");
    bpe->kind = allocate(tokens, 1, "the tokenizer's tokens");
    bpe->special = allocate(tokens, sizeof *bpe->special, "the tokenizer's tokens");
    memset(bpe->byte_id, 0xff, sizeof bpe->byte_id);
}

// Appends a token whose bytes are those of `first` (a of them) and then of `second` (b). False if
// it is too long.
static bool bpe_append(struct tokenizer *tokenizer, const char *first, size_t a, const char *second,
                       size_t b) {
    if (a + b > TOKENIZER_TOKEN_MAX) {
        return false;
    }
    struct bpe *bpe = tokenizer->bpe;
    uint32_t at = tokenizer->offset[tokenizer->vocab_size];
    memcpy(tokenizer->bytes + at, first, a);
    memcpy(tokenizer->bytes + at + a, second, b);
    bpe->kind[tokenizer->vocab_size] = a + b > 0 ? BPE_PLAIN : BPE_UNUSED;
    tokenizer->offset[++tokenizer->vocab_size] = at + (uint32_t)(a + b);
    return true;
}

// The last token that was appended is one that texts may name.
static void bpe_make_special(struct tokenizer *tokenizer, enum bpe_kind kind) {
    struct bpe *bpe = tokenizer->bpe;
    const int32_t id = tokenizer->vocab_size - 1;
    bpe->kind[id] = (uint8_t)kind;
    bpe->special[bpe->specials++] = id;
    bpe->special_starts[(unsigned char)tokenizer->bytes[tokenizer->offset[id]]] = true;
}

// Adds a merge to the list. False if it is there.
static bool bpe_add_merge(struct bpe *bpe, int32_t left, int32_t right, int32_t made) {
    const uint32_t at = bpe_pair_slot(bpe, (uint32_t)left, (uint32_t)right);
    if (bpe->rank[at] != 0) {
        return false;
    }
    bpe->pair[at] = (uint64_t)left << 32 | (uint32_t)right;
    bpe->made[bpe->merges] = (uint32_t)made;
    bpe->rank[at] = (uint32_t)++bpe->merges;
    return true;
}

// ---- "bpe gpt2 BYTES MERGES <|endoftext|>" ------------------------------------------------------

static bool bpe_parse_bytes(struct tokenizer *tokenizer, const char *word, const char **error) {
    for (int id = 0; id < 256; id++) {
        int32_t value = bpe_hex(word + 2 * id, 2);
        if (value < 0 || tokenizer->bpe->byte_id[value] != BPE_NO_BYTE) {
            *error = "the tokenizer does not start with each of the 256 bytes once";
            return false;
        }
        char byte = (char)value;
        tokenizer->bpe->byte_id[value] = (uint32_t)id;
        bpe_append(tokenizer, &byte, 1, "", 0);
    }
    return true;
}

static bool bpe_parse_merges(struct tokenizer *tokenizer, const char *word, size_t merges,
                             const char **error) {
    for (size_t i = 0; i < merges; i++) {
        int32_t left = bpe_hex(word + 8 * i, 4), right = bpe_hex(word + 8 * i + 4, 4);
        int32_t id = tokenizer->vocab_size;
        if (left < 0 || right < 0 || left >= id || right >= id) {
            *error = "the tokenizer holds a merge of something that is not an earlier token";
            return false;
        }
        if (!bpe_add_merge(tokenizer->bpe, left, right, id)) {
            *error = "the tokenizer holds a merge twice";
            return false;
        }
        size_t a, b;
        const char *first = tokenizer_decode(tokenizer, left, &a);
        const char *second = tokenizer_decode(tokenizer, right, &b);
        if (!bpe_append(tokenizer, first, a, second, b)) {
            *error = "the tokenizer holds a token of more than 256 bytes";
            return false;
        }
    }
    return true;
}

bool bpe_parse_gpt2(struct tokenizer *tokenizer, const char *text, const char **error) {
    static const char special[] = TOKENIZER_END_OF_TEXT;
    size_t bytes = strcspn(text, " ");
    const char *merges = text + bytes + (text[bytes] == ' ');
    size_t digits = strcspn(merges, " ");
    const char *rest = merges + digits;
    bool ends = rest[0] == ' ' && strcmp(rest + 1, special) == 0;
    if (bytes != 512 || digits == 0 || digits % 8 != 0 || (*rest != 0 && !ends)) {
        *error = "the tokenizer is not 'bpe gpt2', bytes, merges and, if need be, " //
            TOKENIZER_END_OF_TEXT;
        return false;
    }
    const size_t tokens = 256 + digits / 8 + ends;
    if (tokens > BPE_GPT2_MAX) {
        *error = "the tokenizer has more than 65536 tokens";
        return false;
    }
    // The most that the tokens could take; it shrinks to what they do.
    bpe_allocate(tokenizer, tokens, tokens * TOKENIZER_TOKEN_MAX, digits / 8);
    tokenizer->bpe->merges_at = strlen("bpe gpt2 ") + 512 + 1;
    tokenizer->bpe->digits = 4;
    if (!bpe_parse_bytes(tokenizer, text, error) ||
        !bpe_parse_merges(tokenizer, merges, digits / 8, error)) {
        return false;
    }
    if (ends) {
        tokenizer->bpe->begin = tokenizer->bpe->end = tokenizer->vocab_size;
        bpe_append(tokenizer, special, sizeof special - 1, "", 0);
        bpe_make_special(tokenizer, BPE_CONTROL);
    }
    tokenizer->bytes = allocate_again(tokenizer->bytes, tokenizer->offset[tokenizer->vocab_size],
                                      "the tokenizer's tokens");
    return true;
}

// ---- "bpe-NAME TOKENS MERGES OPTIONS" -----------------------------------------------------------

// Parses one token, from `at` to a comma or a space, and enters it. Returns its end, or NULL.
static const char *bpe_parse_token(struct tokenizer *tokenizer, const char *at) {
    struct bpe *bpe = tokenizer->bpe;
    const char mark = *at;
    at += mark == '!' || mark == '+';
    const size_t digits = strcspn(at, ", ");
    char bytes[TOKENIZER_TOKEN_MAX];
    bytes[0] = '\0'; // a token may have none
    if (digits % 2 || digits / 2 > sizeof bytes || (digits == 0 && (mark == '!' || mark == '+'))) {
        return NULL;
    }
    for (size_t i = 0; i < digits / 2; i++) {
        const int32_t value = bpe_hex(at + 2 * i, 2);
        if (value < 0) {
            return NULL;
        }
        bytes[i] = (char)value;
    }
    bpe_append(tokenizer, bytes, digits / 2, "", 0);
    const uint32_t id = (uint32_t)tokenizer->vocab_size - 1;
    if (mark == '!' || mark == '+') {
        if (bpe->specials == BPE_SPECIALS_MAX) {
            return NULL;
        }
        for (int i = 0; i < bpe->specials; i++) {
            size_t length;
            const char *other = tokenizer_decode(tokenizer, bpe->special[i], &length);
            if (length == digits / 2 && !memcmp(other, bytes, length)) {
                return NULL; // twice
            }
        }
        bpe_make_special(tokenizer, mark == '!' ? BPE_CONTROL : BPE_NAMED);
    } else if (digits) {
        const uint32_t slot = bpe_token_slot(tokenizer, bytes, digits / 2);
        if (bpe->token[slot]) {
            return NULL; // twice
        }
        bpe->token[slot] = id + 1;
        if (digits == 2) {
            bpe->byte_id[(unsigned char)*bytes] = id;
        }
    }
    return at + digits;
}

// The id of the plain token that joins two plain ones, or -1.
static int32_t bpe_joined(const struct tokenizer *tokenizer, int32_t left, int32_t right) {
    const int32_t count = tokenizer->vocab_size;
    const uint8_t *kind = tokenizer->bpe->kind;
    if (left < 0 || right < 0 || left >= count || right >= count || kind[left] != BPE_PLAIN ||
        kind[right] != BPE_PLAIN) {
        return -1;
    }
    char both[2 * TOKENIZER_TOKEN_MAX];
    size_t a, b;
    const char *first = tokenizer_decode(tokenizer, left, &a);
    const char *second = tokenizer_decode(tokenizer, right, &b);
    memcpy(both, first, a);
    memcpy(both + a, second, b);
    return (int32_t)tokenizer->bpe->token[bpe_token_slot(tokenizer, both, a + b)] - 1;
}

static bool bpe_parse_list(struct tokenizer *tokenizer, const char *word, size_t merges,
                           const char **error) {
    for (size_t i = 0; i < merges; i++) {
        const int32_t left = bpe_hex(word + 10 * i, 5), right = bpe_hex(word + 10 * i + 5, 5);
        const int32_t made = bpe_joined(tokenizer, left, right);
        if (made < 0) {
            *error = "the tokenizer holds a merge whose parts or whole are no tokens";
            return false;
        }
        if (!bpe_add_merge(tokenizer->bpe, left, right, made)) {
            *error = "the tokenizer holds a merge twice";
            return false;
        }
    }
    return true;
}

// Takes " key=ID" from *at, if it is there. False if the id is none, or no token's.
static bool bpe_take_id(const struct tokenizer *tokenizer, const char **at, const char *key,
                        int32_t *id) {
    const size_t length = strlen(key);
    if (strncmp(*at, key, length)) {
        return true;
    }
    const char *digits = *at + length;
    const size_t count = strspn(digits, "0123456789");
    if (count == 0 || count > 7 || (*digits == '0' && count > 1)) {
        return false;
    }
    const long value = strtol(digits, NULL, 10);
    if (value >= tokenizer->vocab_size || tokenizer->bpe->kind[value] == BPE_UNUSED) {
        return false;
    }
    *id = (int32_t)value;
    *at = digits + count;
    return true;
}

static bool bpe_take(const char **at, const char *word) {
    const size_t length = strlen(word);
    const bool there = !strncmp(*at, word, length) && (!(*at)[length] || (*at)[length] == ' ');
    *at += there ? length : 0;
    return there;
}

bool bpe_parse(struct tokenizer *tokenizer, const char *text, const char **error) {
    const char *tokens = text + strcspn(text, " ");
    if (!*tokens || !pretokenizer_find(text, (size_t)(tokens - text), &tokenizer->cut)) {
        *error = "the tokenizer cuts text by none of gpt2, smollm, llama3, qwen2";
        return false;
    }
    tokens++;
    const size_t length = strcspn(tokens, " ");
    const char *merges = tokens + length + (tokens[length] == ' ');
    const size_t digits = strcspn(merges, " ");
    const bool none = digits == 1 && *merges == '-';
    if (tokens[length] != ' ' || (!none && (digits == 0 || digits % 10 != 0))) {
        *error = "the tokenizer is not 'bpe-', a name, tokens, merges and options";
        return false;
    }
    size_t count = 1;
    for (size_t i = 0; i < length; i++) {
        count += tokens[i] == ',';
    }
    if (count > TOKENIZER_IDS_MAX || digits / 10 > 4 * (size_t)TOKENIZER_IDS_MAX) {
        *error = "the tokenizer has more than 1048576 tokens, or four times as many merges";
        return false;
    }
    bpe_allocate(tokenizer, count, length / 2 + 1, digits / 10);
    struct bpe *bpe = tokenizer->bpe;
    size_t slots = 512;
    while (slots < 2 * count) {
        slots *= 2;
    }
    bpe->token_mask = (uint32_t)slots - 1;
    bpe->token = allocate(slots, sizeof *bpe->token, "the tokenizer's tokens");
    bpe->merges_at = (size_t)(merges - text) + strlen("bpe-");
    bpe->digits = 5;
    for (const char *at = tokens; at < merges; at++) { // past a comma, or the last space
        at = bpe_parse_token(tokenizer, at);
        if (!at) {
            *error = "the tokenizer holds a token that is no bytes, too long or there twice, or "
                     "more than 4096 that texts may name";
            return false;
        }
    }
    if (!bpe_parse_list(tokenizer, merges, digits / 10, error)) {
        return false;
    }
    const char *at = merges + digits;
    const bool ids = bpe_take_id(tokenizer, &at, " begin=", &bpe->begin) &&
                     bpe_take_id(tokenizer, &at, " end=", &bpe->end);
    bpe->adds_begin = ids && bpe_take(&at, " add_begin");
    bpe->whole = ids && bpe_take(&at, " whole");
    bpe->nfc = ids && bpe_take(&at, " nfc");
    if (!ids || *at || (bpe->adds_begin && bpe->begin < 0)) {
        *error = "the tokenizer's options are not begin=ID, end=ID, add_begin, whole, nfc";
        return false;
    }
    return true;
}

// ---- questions ----------------------------------------------------------------------------------

int32_t bpe_merge_count(const struct bpe *bpe) {
    return bpe->merges;
}

void bpe_merge_parts(const struct tokenizer *tokenizer, int32_t i, int32_t *left, int32_t *right) {
    const struct bpe *bpe = tokenizer->bpe;
    const char *merge = tokenizer->text + bpe->merges_at + 2 * (size_t)bpe->digits * (size_t)i;
    *left = bpe_hex(merge, bpe->digits);
    *right = bpe_hex(merge + bpe->digits, bpe->digits);
}

enum bpe_kind bpe_kind(const struct bpe *bpe, int32_t id) {
    return (enum bpe_kind)bpe->kind[id];
}

int32_t bpe_end_of_text(const struct bpe *bpe) {
    return bpe->end;
}

int32_t bpe_begin_of_text(const struct bpe *bpe) {
    return bpe->begin;
}

bool bpe_has(const struct bpe *bpe, enum bpe_option option) {
    return option == BPE_ADDS_BEGIN ? bpe->adds_begin : option == BPE_NFC ? bpe->nfc : bpe->whole;
}
