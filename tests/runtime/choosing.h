// choosing.h: what tests of HellaSwag share: a file of items in memory, which a test may spoil
// before it is written.
#ifndef DIECAST_CHOOSING_H
#define DIECAST_CHOOSING_H

#include "tests/runtime/suite.h"

enum { CHOOSING_ROOM = 4096 };
struct choosing {
    uint16_t words[CHOOSING_ROOM];
    int count, item; // words so far, and where the last item begins
};

static inline void choosing_header(struct choosing *c, int at, int32_t value) {
    memcpy(c->words + 2 * at, &value, sizeof value);
}

static inline int32_t choosing_stated(const struct choosing *c, int at) {
    int32_t value;
    memcpy(&value, c->words + 2 * at, sizeof value);
    return value;
}

static inline void choosing_begin(struct choosing *c) {
    *c = (struct choosing){.count = CHOICES_HEADER / 2};
    choosing_header(c, 0, CHOICES_MAGIC);
    choosing_header(c, 1, CHOICES_VERSION);
}

static inline void choosing_put(struct choosing *c, int word) {
    ck_assert_int_lt(c->count, CHOOSING_ROOM);
    c->words[c->count++] = (uint16_t)word;
}

// Begins an item; choosing_part, five times, puts its tokens.
static inline void choosing_item(struct choosing *c, int right) {
    const int index = choosing_stated(c, 2);
    c->item = c->count;
    choosing_put(c, CHOICES_MARK);
    choosing_put(c, 0);
    choosing_put(c, index);
    choosing_put(c, right);
    choosing_put(c, CHOICES);
    choosing_header(c, 2, index + 1);
}

static inline void choosing_part(struct choosing *c, const uint16_t *tokens, int count) {
    choosing_put(c, count);
    for (int i = 0; i < count; i++) {
        choosing_put(c, tokens[i]);
    }
    const int bytes = 2 * (c->count - c->item);
    c->words[c->item + 1] = (uint16_t)bytes;
    choosing_header(c, 3, bytes > choosing_stated(c, 3) ? bytes : choosing_stated(c, 3));
}

static inline void choosing_write(const struct choosing *c, const char *name) {
    suite_write(name, c->words, 2 * (size_t)c->count);
}

// Writes the NAME.json of an items' file.
static inline void choosing_write_meta(const struct choosing *c, const char *name,
                                       const char *tokenizer) {
    char hash[17], text[1024];
    hash_bytes(c->words, 2 * (size_t)c->count, hash);
    snprintf(text, sizeof text, "{\"xxh3\": \"%s\", \"tokenizer\": \"%s\"}", hash, tokenizer);
    suite_write_text(name, text);
}

// Items of tokens below `vocab_size`, at random: contexts of up to `context` tokens, endings of up
// to `ending`.
static inline void choosing_random(struct choosing *c, int items, int vocab_size, int context,
                                   int ending) {
    uint32_t draw = 0;
    choosing_begin(c);
    for (int i = 0; i < items; i++) {
        choosing_item(c, (int)rng_below(rng_bits(5, RNG_BENCH, draw++, 0), CHOICES));
        for (int part = 0; part <= CHOICES; part++) {
            uint16_t tokens[64];
            const uint64_t most = (uint64_t)(part ? ending : context);
            const int count = 1 + (int)rng_below(rng_bits(5, RNG_BENCH, draw++, 0), most);
            for (int t = 0; t < count; t++) {
                tokens[t] =
                    (uint16_t)rng_below(rng_bits(5, RNG_BENCH, draw++, 0), (uint64_t)vocab_size);
            }
            choosing_part(c, tokens, count);
        }
    }
}

#endif
