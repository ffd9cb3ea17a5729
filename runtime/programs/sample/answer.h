// answer.h: what becomes of the tokens of one text: text as they come, or in the end a JSON line.
#ifndef DIECAST_SAMPLE_ANSWER_H
#define DIECAST_SAMPLE_ANSWER_H

#include "runtime/programs/sample/flags.h"
#include "runtime/programs/sample/prompt.h"

#include <signal.h>

// ---- output.c -----------------------------------------------------------------------------------

// Each ends the program if stdout cannot be written, without a message if its reader has closed it.
void output_write(const char *text, size_t length);
void output_flush(void);
// Writes an open text, which it closes, and a newline.
void output_line(struct growing *line);

// ---- tokens_json.c: tokens and their log probabilities ------------------------------------------

// Writes {"id", "token", "logprob"} and, where `top` is not 0, "top_logprobs", as many tokens of
// the same kind. logits: the V ones that the model gave, or NULL for a token that it was given.
void tokens_json_write(FILE *out, const struct tokenizer *tokenizer, const float *logits,
                       int vocab_size, int32_t id, int top);

// ---- answer.c -----------------------------------------------------------------------------------

// Starts as {.tokenizer, .flags, .vocab_size}, with `interrupted` where a signal may end it.
struct answer {
    const struct tokenizer *tokenizer;
    const struct sample_flags *flags;
    const volatile sig_atomic_t *interrupted;
    int vocab_size; // tokens that have a text
    float *logits;  // (V) of the next token, for JSON
    bool live;      // stdout is a terminal: flush after each token
    bool held;      // the texts before this one are not all written: it is kept
    struct utf8_mend mend;
    struct stops stops;
    struct growing text, tokens;   // the text for JSON, or held; for JSON, the list of tokens
    const char *finish;            // why it ended
    int64_t count, prompt_count;   // tokens
    int32_t last;                  // token, if count > 0
    double began, prompted, ended; // times: the prompt is given, and taken in; the last token
};
// Prepares for the text after a prompt, which is written first unless it is JSON, or `silent`.
// Where `held` is set, text is kept until answer_release.
void answer_begin(struct answer *answer, const struct prompt *prompt, bool silent);
// Writes what is held, and from now on text as it comes.
void answer_release(struct answer *answer);
// sampling.look and emit of sampler_generate.
void answer_look(void *context, const float *logits);
bool answer_token(void *context, int32_t id);
// The last token has come.
void answer_last(struct answer *answer);
// Writes what is left, and `end` behind a text; or the line of JSON. Says times if asked to.
void answer_end(struct answer *answer, const struct prompt *prompt, int64_t number, uint64_t seed,
                const char *end);

#endif
