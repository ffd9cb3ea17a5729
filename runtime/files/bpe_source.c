// bpe_source.c: a vocabulary and its merges, from whatever file, as a tokenizer's string. Tokens of
// the vocabulary are written as GPT-2's files write bytes (gpt2_show); those that texts may name,
// as they are. Where GPT-2's own form of the string says all of it, that one is made.
#include "runtime/files/files.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

struct bpe_source_made {
    const struct bpe_source *source;
    int32_t *slot; // (slots): a hash table from a plain token's text to its id + 1; 0 is free
    size_t slots;
    int32_t (*part)[2], *whole; // (merges): what each joins, and makes
    int byte_of[0x144];         // the byte that a character stands for, or -1
};

static int32_t *bpe_source_slot(const struct bpe_source_made *made, struct slice text) {
    size_t at = XXH3_64bits(text.text, text.length) % made->slots;
    for (;; at = (at + 1) % made->slots) {
        const int32_t id = made->slot[at] - 1;
        if (id < 0 || (made->source->token[id].length == text.length &&
                       memcmp(made->source->token[id].text, text.text, text.length) == 0)) {
            return &made->slot[at];
        }
    }
}

// A token's bytes. Returns how many, or -1 if its characters are none that stand for bytes.
static int bpe_source_bytes(const struct bpe_source_made *made, struct slice text,
                            unsigned char bytes[TOKENIZER_TOKEN_MAX]) {
    int count = 0;
    for (size_t at = 0; at < text.length; count++) {
        uint32_t c;
        const int used = utf8_decode((const unsigned char *)text.text + at, text.length - at, &c);
        if (!used || count == TOKENIZER_TOKEN_MAX || c >= sizeof made->byte_of / sizeof(int) ||
            made->byte_of[c] < 0) {
            return -1;
        }
        bytes[count] = (unsigned char)made->byte_of[c];
        at += (size_t)used;
    }
    return count;
}

// Enters the plain tokens, or those that texts may name. Dies if one is there already.
static void bpe_source_enter(const struct bpe_source_made *made, bool plain) {
    const struct bpe_source *source = made->source;
    for (size_t id = 0; id < source->count; id++) {
        if (source->kind[id] == BPE_UNUSED || (source->kind[id] == BPE_PLAIN) != plain) {
            continue;
        }
        int32_t *slot = bpe_source_slot(made, source->token[id]);
        if (*slot) {
            die(EXIT_DATA, "%s: tokens %d and %zu are both '%.*s'", source->path, *slot - 1, id,
                SLICE_SHOWN(source->token[id]));
        }
        *slot = (int32_t)id + 1;
    }
}

static void bpe_source_index(struct bpe_source_made *made) {
    const struct bpe_source *source = made->source;
    for (uint32_t c = 0; c < sizeof made->byte_of / sizeof(int); c++) {
        uint32_t byte;
        made->byte_of[c] = gpt2_byte_of(c, &byte) ? (int)byte : -1;
    }
    made->slots = 2 * source->count + 1;
    made->slot = allocate(made->slots, sizeof *made->slot, "the tokenizer's tokens");
    bpe_source_enter(made, true);
    bpe_source_enter(made, false); // only to see that they are no others; merges are of plain ones
    memset(made->slot, 0, made->slots * sizeof *made->slot);
    bpe_source_enter(made, true);
}

static void bpe_source_merges(struct bpe_source_made *made) {
    const struct bpe_source *source = made->source;
    made->part = allocate(source->merges, sizeof *made->part, "the tokenizer's merges");
    made->whole = allocate(source->merges, sizeof *made->whole, "the tokenizer's merges");
    for (size_t i = 0; i < source->merges; i++) {
        const struct slice left = source->merge[i][0], right = source->merge[i][1];
        char both[8 * TOKENIZER_TOKEN_MAX];
        if (left.length + right.length > sizeof both) {
            die(EXIT_DATA, "%s: merge %zu makes a token of more than 256 bytes", source->path,
                i + 1);
        }
        memcpy(both, left.text, left.length);
        memcpy(both + left.length, right.text, right.length);
        made->part[i][0] = *bpe_source_slot(made, left) - 1;
        made->part[i][1] = *bpe_source_slot(made, right) - 1;
        made->whole[i] =
            *bpe_source_slot(made, (struct slice){both, left.length + right.length}) - 1;
        if (made->part[i][0] < 0 || made->part[i][1] < 0 || made->whole[i] < 0) {
            die(EXIT_DATA, "%s: merge %zu, '%.*s %.*s', is not of two tokens that make a third",
                source->path, i + 1, SLICE_SHOWN(left), SLICE_SHOWN(right));
        }
    }
}

// Whether "bpe gpt2 BYTES MERGES <|endoftext|>" says it all: the bytes come first, then what each
// merge makes of tokens before it.
static bool bpe_source_is_gpt2(const struct bpe_source_made *made) {
    const struct bpe_source *source = made->source;
    const size_t plain = 256 + source->merges;
    bool is = source->cut == PRETOKENIZER_GPT2 && !source->adds_begin && !source->whole &&
              !source->nfc && source->merges > 0 && plain <= source->count &&
              source->count <= plain + 1 && source->count <= 65536;
    for (size_t id = 0; is && id < source->count; id++) {
        unsigned char bytes[TOKENIZER_TOKEN_MAX];
        is = id < plain ? source->kind[id] == BPE_PLAIN : source->kind[id] == BPE_CONTROL;
        is = is && (id >= 256 || bpe_source_bytes(made, source->token[id], bytes) == 1);
    }
    for (size_t i = 0; is && i < source->merges; i++) {
        const int32_t id = 256 + (int32_t)i;
        is = made->whole[i] == id && made->part[i][0] < id && made->part[i][1] < id;
    }
    const int32_t last = source->count > plain ? (int32_t)plain : -1;
    return is && (last < 0 || slice_is(source->token[last], TOKENIZER_END_OF_TEXT)) &&
           (source->begin < 0 || source->begin == last) && (source->end < 0 || source->end == last);
}

static void bpe_source_write_gpt2(const struct bpe_source_made *made, FILE *out) {
    const struct bpe_source *source = made->source;
    fputs("bpe gpt2 ", out);
    for (size_t id = 0; id < 256; id++) {
        unsigned char bytes[TOKENIZER_TOKEN_MAX];
        bpe_source_bytes(made, source->token[id], bytes);
        fprintf(out, "%02x", bytes[0]);
    }
    fputs(" ", out);
    for (size_t i = 0; i < source->merges; i++) {
        fprintf(out, "%04x%04x", (unsigned)made->part[i][0], (unsigned)made->part[i][1]);
    }
    fputs(source->count > 256 + source->merges ? " " TOKENIZER_END_OF_TEXT : "", out);
}

// The bytes that are written for a token; none of a number without one. Returns how many, or -1.
static int bpe_source_written(const struct bpe_source_made *made, size_t id,
                              unsigned char bytes[TOKENIZER_TOKEN_MAX]) {
    const struct slice token = made->source->token[id];
    const enum bpe_kind kind = (enum bpe_kind)made->source->kind[id];
    if (kind == BPE_PLAIN || kind == BPE_UNUSED) {
        return kind == BPE_PLAIN ? bpe_source_bytes(made, token, bytes) : 0;
    }
    if (token.length > TOKENIZER_TOKEN_MAX) {
        return -1;
    }
    memcpy(bytes, token.text, token.length);
    return (int)token.length;
}

static void bpe_source_check_tokens(const struct bpe_source_made *made) {
    const struct bpe_source *source = made->source;
    unsigned char bytes[TOKENIZER_TOKEN_MAX];
    for (size_t id = 0; id < source->count; id++) {
        if (source->kind[id] != BPE_UNUSED && bpe_source_written(made, id, bytes) < 1) {
            die(EXIT_DATA,
                "%s: token %zu, '%.*s', is not 1 to 256 bytes in GPT-2's way of writing them",
                source->path, id, SLICE_SHOWN(source->token[id]));
        }
    }
}

static void bpe_source_write_token(const struct bpe_source_made *made, size_t id, FILE *out) {
    const enum bpe_kind kind = (enum bpe_kind)made->source->kind[id];
    unsigned char bytes[TOKENIZER_TOKEN_MAX];
    const int count = bpe_source_written(made, id, bytes);
    fputs(kind == BPE_CONTROL ? "!" : kind == BPE_NAMED ? "+" : "", out);
    for (int i = 0; i < count; i++) {
        fprintf(out, "%02x", bytes[i]);
    }
}

static void bpe_source_write(const struct bpe_source_made *made, FILE *out) {
    const struct bpe_source *source = made->source;
    fprintf(out, "bpe-%s ", pretokenizer_name(source->cut));
    for (size_t id = 0; id < source->count; id++) {
        fputs(id ? "," : "", out);
        bpe_source_write_token(made, id, out);
    }
    fputs(source->merges ? " " : " -", out);
    for (size_t i = 0; i < source->merges; i++) {
        fprintf(out, "%05x%05x", (unsigned)made->part[i][0], (unsigned)made->part[i][1]);
    }
    if (source->begin >= 0) {
        fprintf(out, " begin=%d", source->begin);
    }
    if (source->end >= 0) {
        fprintf(out, " end=%d", source->end);
    }
    fputs(source->adds_begin ? " add_begin" : "", out);
    fputs(source->whole ? " whole" : "", out);
    fputs(source->nfc ? " nfc" : "", out);
}

void bpe_source_cut(struct slice text, struct slice merge[2]) {
    const char *space = memchr(text.text, ' ', text.length);
    const size_t left = space ? (size_t)(space - text.text) : 0;
    merge[0] = (struct slice){text.text, left};
    merge[1] =
        (struct slice){text.text + left + (space != NULL), space ? text.length - left - 1 : 0};
}

char *bpe_source_string(const struct bpe_source *source) {
    if (source->count == 0 || source->count > TOKENIZER_IDS_MAX ||
        source->merges > 4 * (size_t)TOKENIZER_IDS_MAX) {
        die(EXIT_DATA,
            "%s: its tokenizer has %zu tokens and %zu merges; 1 to %d are taken, and 4 "
            "times as many merges",
            source->path, source->count, source->merges, TOKENIZER_IDS_MAX);
    }
    const int32_t ends[2] = {source->begin, source->end};
    for (int i = 0; i < 2; i++) {
        if (ends[i] >= 0 &&
            ((size_t)ends[i] >= source->count || source->kind[ends[i]] == BPE_UNUSED)) {
            die(EXIT_DATA,
                "%s: its tokenizer begins or ends a text with token %d, which it has not",
                source->path, ends[i]);
        }
    }
    if (source->adds_begin && source->begin < 0) {
        die(EXIT_DATA, "%s: its tokenizer begins each text with a token that it does not name",
            source->path);
    }
    struct bpe_source_made made = {.source = source};
    bpe_source_index(&made);
    bpe_source_merges(&made);
    bpe_source_check_tokens(&made);
    struct growing text;
    growing_begin(&text, "the tokenizer");
    if (bpe_source_is_gpt2(&made)) {
        bpe_source_write_gpt2(&made, text.file);
    } else {
        bpe_source_write(&made, text.file);
    }
    free(made.slot);
    free(made.part);
    free(made.whole);
    return growing_end(&text);
}
