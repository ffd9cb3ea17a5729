// text.h: text to tokens and back: tokenizers. It stands on base.
#ifndef DIECAST_TEXT_H
#define DIECAST_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// ---- tokenizer.c: text to token ids and back ----------------------------------------------------
// A tokenizer is one string, kept in meta.json and in checkpoints, that needs no escaping:
//     "char 0a 20 21 ..."         token i is the i-th code point, in hexadecimal, rising
//     "bpe gpt2 BYTES MERGES"     GPT-2's byte-pair encoding, all in hexadecimal: tokens 0 to 255
//                                 are the bytes in BYTES, two digits each; the next ones are made
//                                 of two earlier tokens each, four digits and four, in MERGES
//     "bpe gpt2 BYTES MERGES <|endoftext|>"   and the last token stands between texts

#define TOKENIZER_END_OF_TEXT "<|endoftext|>"
enum { TOKENIZER_TOKEN_MAX = 256 }; // bytes in one token at most

struct bpe;
struct tokenizer {
    char *text; // the string
    int vocab_size;
    char *bytes;         // of all tokens, one behind the other
    uint32_t *offset;    // (vocab_size + 1): where each one starts in bytes, and the end
    uint32_t *codepoint; // (vocab_size), rising; NULL unless tokens are characters
    struct bpe *bpe;     // NULL unless tokens are GPT-2's
};
// False with *error set (static message) where text is malformed.
bool tokenizer_parse(struct tokenizer *tokenizer, const char *text, const char **error);
void tokenizer_free(struct tokenizer *tokenizer);
// UTF-8 to ids; at most `length` of them into ids. <|endoftext|> in a text is that token, where
// there is one. Returns the count, or -1 with *where at the offset of the first byte that is no
// UTF-8 or the first character outside the vocabulary. Dies 65, 71 on a run that bpe_encode does
// not take.
int64_t tokenizer_encode(const struct tokenizer *tokenizer, const char *text, size_t length,
                         int32_t *ids, size_t *where);
// The token that a text begins with where nobody says another: a line's end, else the first one.
int32_t tokenizer_start(const struct tokenizer *tokenizer);
// The token's bytes, which may be part of a character or of two, in the tokenizer's memory.
const char *tokenizer_decode(const struct tokenizer *tokenizer, int32_t id, size_t *length);
// One line for people: "char, 65 characters, 6f2a…" or "gpt2, 50257 tokens, …" (the XXH3 of text).
void tokenizer_describe(const struct tokenizer *tokenizer, char line[96]);

// ---- pretokenize.c: GPT-2's pieces of text ------------------------------------------------------

// The length in bytes of the piece that UTF-8 text starts with; length > 0.
size_t pretokenize(const char *text, size_t length);

// ---- bpe.c: byte-pair encoding ------------------------------------------------------------------

enum { BPE_PIECE_MAX = 64 << 20 }; // takes 2 GiB of memory to encode
// BYTES and what follows of a tokenizer's string: fills vocab_size, bytes, offset and bpe, which
// tokenizer_free frees, here too. False with *error set.
bool bpe_parse(struct tokenizer *tokenizer, const char *text, const char **error);
void bpe_free(struct bpe *bpe);
// The ids of one piece of text, at most `length` of them; returns how many. Any bytes will do. In
// n log n. Dies 65 where it is longer than BPE_PIECE_MAX, 71 where memory is short.
int64_t bpe_encode(const struct bpe *bpe, const char *piece, size_t length, int32_t *ids);
// The id of <|endoftext|>, or -1.
int32_t bpe_end_of_text(const struct bpe *bpe);

#endif
