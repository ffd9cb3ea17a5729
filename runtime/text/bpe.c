// bpe.c: byte-level byte-pair encoding, as in GPT-2: a piece of text starts as its bytes; then,
// repeatedly, the neighbours whose merge comes first in the list become one token. Needs only libc,
// since the sampler links it.
#include "runtime/text/text.h"
#include "runtime/base/base.h"

#include <stdlib.h>
#include <string.h>

enum {
    BPE_VOCAB_MAX = 65536, // ids are uint16 in token files
    BPE_SHORT = 48,        // bytes up to which a linear search for the next merge is fastest
};
static const uint32_t bpe_none = UINT32_MAX;

struct bpe {
    uint16_t byte_id[256];
    // A hash table with linear probing, from two neighbouring ids to the id that they merge into.
    // Later merges have higher ids, so an id is also its merge's rank.
    uint32_t *pair;   // (mask + 1): left << 16 | right
    uint16_t *merged; // (mask + 1): the merged id; 0, which no merge makes, where the slot is free
    uint32_t mask;
    int32_t end_of_text; // its id, or -1
};

// ---- the pairs ----------------------------------------------------------------------------------

static uint32_t bpe_slot(const struct bpe *bpe, uint32_t pair) {
    uint32_t at = (uint32_t)(pair * UINT64_C(0x9e3779b97f4a7c15) >> 32) & bpe->mask;
    while (bpe->merged[at] != 0 && bpe->pair[at] != pair) {
        at = (at + 1) & bpe->mask;
    }
    return at;
}

// The id that two tokens merge into, which is the merge's rank, or bpe_none if they do not merge.
static uint32_t bpe_rank(const struct bpe *bpe, uint32_t left, uint32_t right) {
    uint32_t merged = bpe->merged[bpe_slot(bpe, left << 16 | right)];
    return merged ? merged : bpe_none;
}

// ---- the string ---------------------------------------------------------------------------------

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

// Appends a token whose bytes are those of `first` (a of them) and then of `second` (b). False if
// it is too long.
static bool bpe_append(struct tokenizer *tokenizer, const char *first, size_t a, const char *second,
                       size_t b) {
    if (a + b > TOKENIZER_TOKEN_MAX) {
        return false;
    }
    uint32_t at = tokenizer->offset[tokenizer->vocab_size];
    memcpy(tokenizer->bytes + at, first, a);
    memcpy(tokenizer->bytes + at + a, second, b);
    tokenizer->offset[++tokenizer->vocab_size] = at + (uint32_t)(a + b);
    return true;
}

static bool bpe_parse_bytes(struct tokenizer *tokenizer, const char *word, const char **error) {
    bool seen[256] = {false};
    for (int id = 0; id < 256; id++) {
        int32_t value = bpe_hex(word + 2 * id, 2);
        if (value < 0 || seen[value]) {
            *error = "the tokenizer does not start with each of the 256 bytes once";
            return false;
        }
        char byte = (char)value;
        seen[value] = true;
        tokenizer->bpe->byte_id[value] = (uint16_t)id;
        bpe_append(tokenizer, &byte, 1, "", 0);
    }
    return true;
}

static bool bpe_parse_merges(struct tokenizer *tokenizer, const char *word, size_t merges,
                             const char **error) {
    struct bpe *bpe = tokenizer->bpe;
    for (size_t i = 0; i < merges; i++) {
        int32_t left = bpe_hex(word + 8 * i, 4), right = bpe_hex(word + 8 * i + 4, 4);
        int32_t id = tokenizer->vocab_size;
        if (left < 0 || right < 0 || left >= id || right >= id) {
            *error = "the tokenizer holds a merge of something that is not an earlier token";
            return false;
        }
        uint32_t pair = (uint32_t)left << 16 | (uint32_t)right, at = bpe_slot(bpe, pair);
        if (bpe->merged[at] != 0) {
            *error = "the tokenizer holds a merge twice";
            return false;
        }
        bpe->pair[at] = pair;
        bpe->merged[at] = (uint16_t)id;
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

// Allocates the tables for this many merges and a special token.
static void bpe_allocate(struct tokenizer *tokenizer, size_t merges) {
    struct bpe *bpe = tokenizer->bpe = allocate(1, sizeof *bpe, "the tokenizer");
    size_t vocab_size = 256 + merges + 1, slots = 512;
    while (slots < 2 * merges) {
        slots *= 2;
    }
    // The most that the tokens could take; bpe_parse shrinks it to what they do.
    tokenizer->bytes = allocate(vocab_size, TOKENIZER_TOKEN_MAX, "the tokenizer's tokens");
    tokenizer->offset = allocate(vocab_size + 1, sizeof *tokenizer->offset, "the tokenizer");
    bpe->end_of_text = -1;
    bpe->mask = (uint32_t)slots - 1;
    bpe->pair = allocate(slots, sizeof *bpe->pair, "the tokenizer's merges");
    bpe->merged = allocate(slots, sizeof *bpe->merged, "the tokenizer's merges");
}

bool bpe_parse(struct tokenizer *tokenizer, const char *text, const char **error) {
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
    if (256 + digits / 8 + ends > BPE_VOCAB_MAX) {
        *error = "the tokenizer has more than 65536 tokens";
        return false;
    }
    bpe_allocate(tokenizer, digits / 8);
    if (!bpe_parse_bytes(tokenizer, text, error) ||
        !bpe_parse_merges(tokenizer, merges, digits / 8, error)) {
        return false;
    }
    if (ends) {
        tokenizer->bpe->end_of_text = tokenizer->vocab_size;
        bpe_append(tokenizer, special, sizeof special - 1, "", 0);
    }
    tokenizer->bytes = allocate_again(tokenizer->bytes, tokenizer->offset[tokenizer->vocab_size],
                                      "the tokenizer's tokens");
    return true;
}

void bpe_free(struct bpe *bpe) {
    if (bpe) {
        free(bpe->pair);
        free(bpe->merged);
        free(bpe);
    }
}

bool bpe_joins(const struct tokenizer *tokenizer, int32_t id, int32_t *left, int32_t *right) {
    if (id < 256 || id == bpe_end_of_text(tokenizer->bpe)) {
        return false;
    }
    const char *merge =
        tokenizer->text + strlen("bpe gpt2 ") + 2 * 256 + 1 + 8 * (size_t)(id - 256);
    *left = bpe_hex(merge, 4);
    *right = bpe_hex(merge + 4, 4);
    return true;
}

int32_t bpe_end_of_text(const struct bpe *bpe) {
    return bpe->end_of_text;
}

// ---- short pieces -------------------------------------------------------------------------------

static int64_t bpe_encode_short(const struct bpe *bpe, const unsigned char *piece, int count,
                                int32_t *ids) {
    uint32_t id[BPE_SHORT], rank[BPE_SHORT]; // rank[i]: of the merge of id[i] and id[i + 1]
    id[0] = bpe->byte_id[piece[0]];
    for (int i = 1; i < count; i++) {
        id[i] = bpe->byte_id[piece[i]];
        rank[i - 1] = bpe_rank(bpe, id[i - 1], id[i]);
    }
    for (;;) {
        int best = -1;
        uint32_t least = bpe_none;
        for (int i = 0; i < count - 1; i++) {
            if (rank[i] < least) {
                least = rank[best = i];
            }
        }
        if (best < 0) {
            break;
        }
        id[best] = least;
        count--;
        for (int i = best + 1; i < count; i++) {
            id[i] = id[i + 1];
            rank[i - 1] = rank[i];
        }
        if (best > 0) {
            rank[best - 1] = bpe_rank(bpe, id[best - 1], least);
        }
        if (best < count - 1) {
            rank[best] = bpe_rank(bpe, least, id[best + 1]);
        }
    }
    for (int i = 0; i < count; i++) {
        ids[i] = (int32_t)id[i];
    }
    return count;
}

// ---- long pieces: a heap of merges over a linked list, which takes n log n time -----------------

struct bpe_long {
    const struct bpe *bpe;
    uint32_t count;
    uint32_t *id, *before, *after; // (count): a linked list of tokens; after == count ends it
    uint32_t *rank;                // (count): of each token's merge with the next one
    uint64_t *heap;                // rank << 32 | token; entries that are out of date are skipped
    size_t held;
};

static void bpe_sink(struct bpe_long *l, size_t at) {
    uint64_t moving = l->heap[at];
    for (size_t child; (child = 2 * at + 1) < l->held; at = child) {
        child += child + 1 < l->held && l->heap[child + 1] < l->heap[child];
        if (moving <= l->heap[child]) {
            break;
        }
        l->heap[at] = l->heap[child];
    }
    l->heap[at] = moving;
}

static void bpe_push(struct bpe_long *l, uint64_t entry) {
    size_t at = l->held++;
    for (; at > 0 && entry < l->heap[(at - 1) / 2]; at = (at - 1) / 2) {
        l->heap[at] = l->heap[(at - 1) / 2];
    }
    l->heap[at] = entry;
}

// The token at `at`, or the one after it, is new: looks up their merge and pushes it.
static void bpe_look(struct bpe_long *l, uint32_t at) {
    uint32_t next = l->after[at];
    l->rank[at] = next < l->count ? bpe_rank(l->bpe, l->id[at], l->id[next]) : bpe_none;
    if (l->rank[at] != bpe_none) {
        bpe_push(l, (uint64_t)l->rank[at] << 32 | at);
    }
}

// Merges the token at `at` with the next one.
static void bpe_merge(struct bpe_long *l, uint32_t at) {
    uint32_t gone = l->after[at], next = l->after[gone];
    l->id[at] = l->rank[at];
    l->rank[gone] = bpe_none;
    l->after[at] = next;
    if (next < l->count) {
        l->before[next] = at;
    }
    if (at > 0) {
        bpe_look(l, l->before[at]);
    }
    bpe_look(l, at);
}

static int64_t bpe_encode_long(const struct bpe *bpe, const unsigned char *piece, uint32_t count,
                               int32_t *ids) {
    // A merge pops one entry and pushes at most two, so the heap never exceeds 2 * count entries.
    uint64_t *memory = allocate(count, 2 * sizeof(uint64_t) + 4 * sizeof(uint32_t),
                                "a run of text with no place to break");
    uint32_t *tables = (uint32_t *)(memory + 2 * (size_t)count);
    struct bpe_long l = {
        .bpe = bpe,
        .count = count,
        .id = tables,
        .before = tables + count,
        .after = tables + 2 * (size_t)count,
        .rank = tables + 3 * (size_t)count,
        .heap = memory,
    };
    for (uint32_t i = 0; i < count; i++) {
        l.id[i] = bpe->byte_id[piece[i]];
        l.before[i] = i - 1; // the first token's is never used
        l.after[i] = i + 1;
    }
    for (uint32_t i = 0; i < count; i++) {
        bpe_look(&l, i);
    }
    while (l.held > 0) {
        uint64_t least = l.heap[0];
        l.heap[0] = l.heap[--l.held];
        bpe_sink(&l, 0);
        uint32_t at = (uint32_t)least;
        if (l.rank[at] == least >> 32) {
            bpe_merge(&l, at);
        }
    }
    int64_t made = 0;
    for (uint32_t at = 0; at < count; at = l.after[at]) {
        ids[made++] = (int32_t)l.id[at];
    }
    free(memory);
    return made;
}

int64_t bpe_encode(const struct bpe *bpe, const char *piece, size_t length, int32_t *ids) {
    const unsigned char *bytes = (const unsigned char *)piece;
    if (length <= BPE_SHORT) {
        return length > 0 ? bpe_encode_short(bpe, bytes, (int)length, ids) : 0;
    }
    if (length > BPE_PIECE_MAX) {
        die(EXIT_DATA,
            "tokenizer: a run of %zu bytes with no place to break; %d at most are taken; break it "
            "up",
            length, BPE_PIECE_MAX);
    }
    return bpe_encode_long(bpe, bytes, (uint32_t)length, ids);
}
