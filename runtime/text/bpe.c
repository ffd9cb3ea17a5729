// bpe.c: byte-level byte-pair encoding, as in GPT-2: a piece of text starts as its bytes; then,
// repeatedly, the neighbours whose merge comes first in the list become one token. Needs only libc,
// since the sampler links it.
#include "runtime/text/bpe.h"
#include "runtime/base/base.h"

#include <stdlib.h>
#include <string.h>

enum { BPE_SHORT = 48 }; // bytes up to which a linear search for the next merge is fastest
static const uint32_t bpe_none = UINT32_MAX;

// ---- tables -------------------------------------------------------------------------------------

uint32_t bpe_pair_slot(const struct bpe *bpe, uint32_t left, uint32_t right) {
    const uint64_t pair = (uint64_t)left << 32 | right;
    // Both ids count in the high half of the product.
    uint32_t at =
        (uint32_t)((left * UINT64_C(0x9e3779b97f4a7c15) + right) * UINT64_C(0xd6e8feb86659fd93) >>
                   32) &
        bpe->mask;
    while (bpe->rank[at] != 0 && bpe->pair[at] != pair) {
        at = (at + 1) & bpe->mask;
    }
    return at;
}

// The place in the list of the merge of two tokens, or bpe_none if they do not merge.
static uint32_t bpe_rank(const struct bpe *bpe, uint32_t left, uint32_t right) {
    return bpe->rank[bpe_pair_slot(bpe, left, right)] - 1; // 0, a free slot, becomes bpe_none
}

uint32_t bpe_token_slot(const struct tokenizer *tokenizer, const char *bytes, size_t length) {
    const struct bpe *bpe = tokenizer->bpe;
    uint64_t hash = length;
    for (size_t i = 0; i < length; i++) {
        hash = (hash ^ (unsigned char)bytes[i]) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
    }
    uint32_t at = (uint32_t)hash & bpe->token_mask;
    for (;; at = (at + 1) & bpe->token_mask) {
        size_t own;
        const uint32_t id = bpe->token[at];
        const char *token = id ? tokenizer_decode(tokenizer, (int32_t)id - 1, &own) : NULL;
        if (!token || (own == length && !memcmp(token, bytes, length))) {
            return at;
        }
    }
}

void bpe_free(struct bpe *bpe) {
    if (bpe) {
        free(bpe->pair);
        free(bpe->rank);
        free(bpe->made);
        free(bpe->token);
        free(bpe->kind);
        free(bpe->special);
        free(bpe);
    }
}

// ---- short pieces -------------------------------------------------------------------------------

static int64_t bpe_encode_short(const struct bpe *bpe, const unsigned char *piece, int count,
                                int32_t *ids) {
    uint32_t id[BPE_SHORT], rank[BPE_SHORT]; // rank[i]: of the merge of id[i] and id[i + 1]
    const int bytes = count;
    count = 0;
    for (int i = 0; i < bytes; i++) {
        id[count] = bpe->byte_id[piece[i]];
        if (id[count] != BPE_NO_BYTE) {
            count++;
        }
    }
    for (int i = 1; i < count; i++) {
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
        id[best] = bpe->made[least];
        count--;
        for (int i = best + 1; i < count; i++) {
            id[i] = id[i + 1];
            rank[i - 1] = rank[i];
        }
        if (best > 0) {
            rank[best - 1] = bpe_rank(bpe, id[best - 1], id[best]);
        }
        if (best < count - 1) {
            rank[best] = bpe_rank(bpe, id[best], id[best + 1]);
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
    l->id[at] = l->bpe->made[l->rank[at]];
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
        .id = tables,
        .before = tables + count,
        .after = tables + 2 * (size_t)count,
        .rank = tables + 3 * (size_t)count,
        .heap = memory,
    };
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t at = l.count;
        l.id[at] = bpe->byte_id[piece[i]];
        l.before[at] = at - 1; // the first token's is never used
        l.after[at] = at + 1;
        l.count += l.id[at] != BPE_NO_BYTE;
    }
    for (uint32_t i = 0; i < l.count; i++) {
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
    for (uint32_t at = 0; at < l.count; at = l.after[at]) {
        ids[made++] = (int32_t)l.id[at];
    }
    free(memory);
    return made;
}

int64_t bpe_encode(const struct tokenizer *tokenizer, const char *piece, size_t length,
                   int32_t *ids) {
    const struct bpe *bpe = tokenizer->bpe;
    const unsigned char *bytes = (const unsigned char *)piece;
    if (bpe->whole && length > 0) {
        const uint32_t token = bpe->token[bpe_token_slot(tokenizer, piece, length)];
        if (token) {
            *ids = (int32_t)token - 1;
            return 1;
        }
    }
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
