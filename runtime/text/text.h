// text.h: tokenizers, which turn text into token ids and back. It stands on base.
#ifndef DIECAST_TEXT_H
#define DIECAST_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// ---- tokenizer.c: text to token ids and back ----------------------------------------------------
// A tokenizer is stored, in meta.json and in checkpoints, as one string that needs no escapes:
//     "char 0a 20 21 ..."         token i is the i-th code point; hexadecimal, ascending
//     "bpe gpt2 BYTES MERGES"     GPT-2's byte-pair encoding in hexadecimal: tokens 0 to 255 are
//                                 single bytes, two digits each in BYTES; every later token joins
//                                 two earlier ones, whose ids are four digits each in MERGES
//     "bpe gpt2 BYTES MERGES <|endoftext|>"   the same, and a last token that separates texts
//     "bpe-NAME TOKENS MERGES OPTIONS"   any other byte-pair encoding, of text cut as NAME says
//                                 (enum pretokenizer). TOKENS are the bytes of each, two digits a
//                                 byte, with commas between: '!' before one that is not text and
//                                 '+' before one that is, which texts may name both; a number
//                                 without a token has no bytes. MERGES are the ids of each one's
//                                 two parts, five digits an id, the first to be done first, or "-";
//                                 what a merge makes is the token with the bytes of both parts.
//                                 OPTIONS, in this order, where they are: begin=ID, end=ID (those
//                                 of a text, decimal), add_begin (a text is to begin with it),
//                                 whole (a piece that is a token is that token, whatever the
//                                 merges say), nfc (a text is brought into Unicode's form C first)
//     "ids COUNT"                 so many tokens, of which no more is known; a text has their ids

#define TOKENIZER_END_OF_TEXT "<|endoftext|>"
enum {
    TOKENIZER_TOKEN_MAX = 256,   // bytes in one token at most
    TOKENIZER_IDS_MAX = 1 << 20, // tokens that are ids alone, at most
};

// How text is cut into the pieces within which bytes are merged (pretokenize.c).
enum pretokenizer {
    PRETOKENIZER_GPT2,
    PRETOKENIZER_SMOLLM,
    PRETOKENIZER_LLAMA3,
    PRETOKENIZER_QWEN2
};

struct bpe;
struct tokenizer {
    char *text; // the string
    int vocab_size;
    char *bytes;         // of all tokens, concatenated
    uint32_t *offset;    // (vocab_size + 1): where each token starts in bytes, and the end
    uint32_t *codepoint; // (vocab_size), ascending; NULL unless tokens are characters
    struct bpe *bpe;     // NULL unless tokens are of a byte-pair encoding
    enum pretokenizer cut;
    bool ids; // tokens are ids alone, written " 17"; they stand for no known bytes
};
// Parses the string. False with *error set to a static message if it is malformed.
bool tokenizer_parse(struct tokenizer *tokenizer, const char *text, const char **error);
void tokenizer_free(struct tokenizer *tokenizer);
// Encodes UTF-8; ids has room for tokenizer_room of them. <|endoftext|>, or what else a text may
// name, becomes that token if there is one. Returns the count, or -1 with *where set to the offset
// of the first byte that is not UTF-8, the first character outside the vocabulary, or the first
// word that is no id of it. Dies 65 or 71 as bpe_encode does.
int64_t tokenizer_encode(const struct tokenizer *tokenizer, const char *text, size_t length,
                         int32_t *ids, size_t *where);
// The most ids that a text of so many bytes can become.
size_t tokenizer_room(const struct tokenizer *tokenizer, size_t length);
// The token that a text is to begin with, which its encoding leaves out, or -1 if there is none.
int32_t tokenizer_begin(const struct tokenizer *tokenizer);
// The token that sampling starts from by default: the newline, or token 0 if there is none.
int32_t tokenizer_start(const struct tokenizer *tokenizer);
// The token's bytes, which may start or end within a character; they belong to the tokenizer.
const char *tokenizer_decode(const struct tokenizer *tokenizer, int32_t id, size_t *length);
// How many bytes of text a token stands for: 0 for <|endoftext|> and its like, and for ids beyond
// the vocabulary. Bits per byte leave out targets of 0 bytes.
size_t tokenizer_bytes(const struct tokenizer *tokenizer, int32_t id);
// One line for people: "char, 65 characters, 6f2a…" or "gpt2, 50257 tokens, …" (the XXH3 of text).
void tokenizer_describe(const struct tokenizer *tokenizer, char line[96]);

// ---- pretokenize.c: cutting text into pieces ----------------------------------------------------

// The length in bytes of the first piece of UTF-8 text; length > 0.
size_t pretokenize(enum pretokenizer cut, const char *text, size_t length);
// The first place at or after `at`, 0 < at, where the text may be cut into two whose pieces are
// those of the whole, for Qwen 2 also in form C; `length` if there is none. The text before `at`
// has to have four bytes, or to begin where the whole does.
size_t pretokenize_cut(enum pretokenizer cut, const char *text, size_t length, size_t at);

// ---- normalize.c: Unicode's form C --------------------------------------------------------------

// Writes UTF-8 text in form C, and returns its length; out has normalize_room bytes. Two texts that
// are cut before a character below U+0300 are, in form C, what both are together.
size_t normalize(const char *text, size_t length, char *out);
size_t normalize_room(size_t length);

// ---- bpe.c, bpe_text.c: byte-pair encoding ------------------------------------------------------

enum { BPE_PIECE_MAX = 64 << 20 }; // bytes; to encode so many takes 2 GiB of memory
enum bpe_kind {
    BPE_PLAIN,   // found by merging
    BPE_CONTROL, // named in a text; stands for no text
    BPE_NAMED,   // named in a text; stands for itself
    BPE_UNUSED,  // a number without a token
};
enum bpe_option { BPE_ADDS_BEGIN, BPE_WHOLE, BPE_NFC };

const char *pretokenizer_name(enum pretokenizer cut); // as the tokenizer's string has it
bool pretokenizer_find(const char *name, size_t length, enum pretokenizer *cut);
// Parse what follows "bpe gpt2 " or "bpe-" in a tokenizer's string and fill vocab_size, bytes,
// offset, cut and bpe, which tokenizer_free frees, also after a failure. False with *error set.
bool bpe_parse_gpt2(struct tokenizer *tokenizer, const char *text, const char **error);
bool bpe_parse(struct tokenizer *tokenizer, const char *text, const char **error);
void bpe_free(struct bpe *bpe);
// Encodes one piece of text, which may be any bytes, in n log n time; ids has room for `length`.
// Returns the count. Dies 65 if the piece is longer than BPE_PIECE_MAX, 71 if memory is short.
int64_t bpe_encode(const struct tokenizer *tokenizer, const char *piece, size_t length,
                   int32_t *ids);
int32_t bpe_merge_count(const struct bpe *bpe);
// The tokens that merge i joins.
void bpe_merge_parts(const struct tokenizer *tokenizer, int32_t i, int32_t *left, int32_t *right);
enum bpe_kind bpe_kind(const struct bpe *bpe, int32_t id);
// The tokens that end and begin a text, <|endoftext|> for one, or -1.
int32_t bpe_end_of_text(const struct bpe *bpe);
int32_t bpe_begin_of_text(const struct bpe *bpe);
bool bpe_has(const struct bpe *bpe, enum bpe_option option);

#endif
