// few_tokens.c: in the place of text/normalize.c in a static sampler of a model with few tokens
// (compile.mk): the tables of Unicode's form C are a tenth of such a file. The tokenizers that want
// it have more than 150,000 tokens; a checkpoint that brings another one is refused by name.
#include "runtime/base/base.h"
#include "runtime/text/text.h"

size_t normalize_room(size_t length) {
    return length;
}

size_t normalize(const char *text, size_t length, char *out) {
    (void)text, (void)length, (void)out;
    die(EXIT_DATA, "the checkpoint's tokenizer brings texts into Unicode's form C, whose tables a "
                   "static sampler of less than 65,536 tokens leaves out; 'make sample' has them");
}
