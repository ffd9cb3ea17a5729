// prompt.h: texts that the sampler is given, and their tokens.
#ifndef DIECAST_SAMPLE_PROMPT_H
#define DIECAST_SAMPLE_PROMPT_H

#include "runtime/sample/sample.h"

struct prompt {
    const char *place; // for messages: the flag or the file
    enum exit_code code;
    char *text;
    size_t length;
    int32_t *ids;
    int64_t count;
    bool goes_on; // follows another text: gets no token that begins one
};
// Takes the text of --start, which may be FILE:path. Dies with EXIT_USAGE, EXIT_DATA, EXIT_MISSING
// or EXIT_IO.
void prompt_read(struct prompt *prompt, const char *start);
// Reads a file's text.
void prompt_read_file(struct prompt *prompt, const char *path);
// The default prompt, one token of the checkpoint's vocabulary.
void prompt_default(struct prompt *prompt, const struct tokenizer *tokenizer);
// Fills ids and count. False, with one line in error and *where set to the byte that is no part of
// any token, if the text is not of the vocabulary.
bool prompt_encode(struct prompt *prompt, const struct tokenizer *tokenizer, char error[512],
                   size_t *where);
void prompt_free(struct prompt *prompt);

#endif
