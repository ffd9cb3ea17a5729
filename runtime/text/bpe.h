// bpe.h: what bpe_text.c parses and bpe.c and tokenizer.c use: the tables of a byte-pair encoding.
#ifndef DIECAST_BPE_H
#define DIECAST_BPE_H

#include "runtime/text/text.h"

#define BPE_NO_BYTE UINT32_MAX // the vocabulary lacks this byte, which then stands for nothing

struct bpe {
    uint32_t byte_id[256];
    // A hash table with linear probing, from two neighbouring ids to their merge's place in the
    // list, and 1. 0 is a free slot.
    uint64_t *pair; // (mask + 1): left << 32 | right
    uint32_t *rank; // (mask + 1)
    uint32_t mask;
    uint32_t *made; // (merges): the id that each merge makes
    int32_t merges;
    size_t merges_at;   // where they begin in the tokenizer's string,
    int digits;         // and the digits of an id there
    int32_t begin, end; // the tokens that begin and end a text, or -1
    bool adds_begin;    // a text is to begin with its token
    bool whole;         // a piece that is a token is that token, whatever the merges say
    bool nfc;           // a text is brought into Unicode's form C first
    uint8_t *kind;      // (vocab_size): enum bpe_kind
    int32_t *special;   // (specials): the ids that texts may name
    int specials;
    bool special_starts[256]; // whether one of them starts with this byte
    // A hash table from a token's bytes to its id, and 1; 0 is a free slot. NULL for "bpe gpt2".
    uint32_t *token; // (token_mask + 1)
    uint32_t token_mask;
};

// The slot of a pair of ids, or the free one where it would go.
uint32_t bpe_pair_slot(const struct bpe *bpe, uint32_t left, uint32_t right);
// The slot of the plain token with these bytes, or the free one where it would go.
uint32_t bpe_token_slot(const struct tokenizer *tokenizer, const char *bytes, size_t length);

#endif
