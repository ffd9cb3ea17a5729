// no_pairs.c: in the place of text/bpe.c, bpe_text.c and pretokenize.c in a static sampler and a
// page of a model with less than 256 tokens (compile.mk): byte pairs, with the tables that cut
// texts for them, are a tenth of such a file. A vocabulary of them has a token for each byte; a
// checkpoint that brings one with fewer is refused by name.
#include "runtime/text/text.h"

static bool no_pairs(const char **error) {
    *error = "the tokenizer has byte pairs, which a static sampler or a page of less than 256 "
             "tokens leaves out; 'make sample' has them";
    return false;
}

bool bpe_parse(struct tokenizer *tokenizer, const char *text, const char **error) {
    (void)tokenizer, (void)text;
    return no_pairs(error);
}

bool bpe_parse_gpt2(struct tokenizer *tokenizer, const char *text, const char **error) {
    (void)tokenizer, (void)text;
    return no_pairs(error);
}

// What remains is not called: there is no struct bpe, except that freeing none does nothing.
void bpe_free(struct bpe *bpe) {
    (void)bpe;
}

int64_t bpe_encode(const struct tokenizer *tokenizer, const char *piece, size_t length,
                   int32_t *ids) {
    (void)tokenizer, (void)piece, (void)length, (void)ids;
    return 0;
}

size_t pretokenize(enum pretokenizer cut, const char *text, size_t length) {
    (void)cut, (void)text;
    return length;
}

const char *pretokenizer_name(enum pretokenizer cut) {
    (void)cut;
    return "";
}

enum bpe_kind bpe_kind(const struct bpe *bpe, int32_t id) {
    (void)bpe, (void)id;
    return BPE_PLAIN;
}
