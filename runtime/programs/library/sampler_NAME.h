// sampler_NAME.h: a model that writes text, for other programs: libsampler_NAME.a and .so.
//
// TITLE
//
// What is needed beside it is a checkpoint of this model (ckpt.safetensors, WEIGHTS), a C library
// and threads. This page is all of its documentation; example.c beside it is a whole program:
//
//     export PKG_CONFIG_PATH=FOLDER              # where these files stand
//     cc example.c $(pkg-config --cflags --libs sampler_NAME) -o example             # the .so
//     cc example.c -IFOLDER FOLDER/libsampler_NAME.a -lm -pthread -o example         # the .a
//
// The folder may be moved or copied as a whole: sampler_NAME.pc finds the others beside itself. A
// .pc file apart from them needs its first line changed.
//
// - Tokens are numbers from 0 to NAME_vocab_size(model) - 1. Text is UTF-8, with a length in bytes;
//   no zero need follow it.
// - A model has sequences, numbered from 0, each a text of its own with up to NAME_CONTEXT tokens.
// - Errors are values: a function that returns int returns NAME_OK or another of enum NAME_status,
//   and one that returns a count or a place -1 or NULL. NAME_error then has one line that says what
//   was found and what was wanted. A call that fails because of its arguments changes nothing. No
//   function prints, exits, or sets a signal's handler. (Where the code below comes to an end that
//   it does not return from, as when memory is short, it goes back to the library's own function by
//   longjmp, which frees all that this call allocated.)
// - Any threads may use different models at a time; one model is used by one thread at a time. The
//   library has no variables that are written, but one of each thread, where to go back to while a
//   call lasts (and one, atomic, that remembers what the processor has).
// - A call takes up to 256 KB of stack. Threads that a model starts take no signals.
// - It defines no names but those below, so that several such libraries go into one program.
// - The same checkpoint, prompt, options and seed give the same text, byte for byte, for any number
//   of threads and sequences, and that of the program that `make sampler` builds.
#ifndef SAMPLER_NAME_H
#define SAMPLER_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    NAME_CONTEXT = 1,          // tokens that the model sees at a time
    NAME_VOCAB = 1,            // logits of a token
    NAME_LAYERS = 1,           // of attention
    NAME_HEADS = 1,            // in each of them; 0: the model has no attention
    NAME_MOST_SEQUENCES = 256, // at most; of a context below that, so many
    NAME_MOST_THREADS = 256,
    NAME_MOST_STOPS = 16,  // texts that end another one, each of
    NAME_STOP_BYTES = 256, // so many bytes at most
    NAME_LINE = 512        // bytes of an error's line, with its zero
};

enum NAME_status {
    NAME_OK = 0,
    NAME_FULL = 1,     // the context has no room for more tokens (NAME_SLIDE_NOT)
    NAME_WRONG = 64,   // an argument or option is wrong
    NAME_DATA = 65,    // the checkpoint is damaged, or of another model
    NAME_MISSING = 66, // the file is not there
    NAME_MEMORY = 71,  // not enough memory
    NAME_IO = 74       // the file cannot be read
};

struct NAME_model;

// ---- a model ------------------------------------------------------------------------------------

// What happens to a sequence whose context is full.
enum NAME_slide {
    NAME_SLIDE_NOT, // nothing: a call that would need more room returns NAME_FULL
    NAME_SLIDE_ONE, // it loses its first token, as nanoGPT; each token then costs a whole context
    NAME_SLIDE_HALF // it loses its older half: cheaper, and another text than with one
};

// A member that is 0 has its default.
struct NAME_settings {
    int threads;   // of each call, the caller's included; 0: as many as help, and may run here
    int sequences; // 1 by default
    enum NAME_slide slide; // NAME_SLIDE_NOT by default
};

// Opens a checkpoint and checks it: its shapes, that its numbers are finite, its hashes. It is read
// into memory, so that what becomes of the file does not matter any more. settings: NULL for the
// defaults. NULL, with one line in error (NAME_LINE bytes, or NULL), if that cannot be.
struct NAME_model *NAME_open(const char *path, const struct NAME_settings *settings, char *error);
// The same of a checkpoint in memory, as a mapped file or an array of the program's: at a multiple
// of 4, better of 64. The bytes stay the caller's, are read where they lie, and must be there and
// not change until NAME_close. So several models may share them.
struct NAME_model *NAME_open_memory(const void *bytes, size_t length,
                                    const struct NAME_settings *settings, char *error);
// Frees it. model may be NULL.
void NAME_close(struct NAME_model *model);
// The line of the last call that failed; "" if none did. It is there until the next one.
const char *NAME_error(const struct NAME_model *model);
// What was noticed of the checkpoint and does not matter to its text, in one line, or "".
const char *NAME_warning(const struct NAME_model *model);
int NAME_vocab_size(const struct NAME_model *model); // tokens that have a text: NAME_VOCAB or fewer
int32_t NAME_end_token(const struct NAME_model *model); // that ends a text; -1: there is none

// ---- text and tokens ----------------------------------------------------------------------------

// Makes tokens of a text. `begins`: a text begins here, so that the token that models expect there
// comes first, where the tokenizer has one. Returns how many there are, of which the first `room`
// are in tokens; -1 if the text is not UTF-8, or has a character that the vocabulary has not.
int64_t NAME_tokenize(struct NAME_model *model, const char *text, size_t length, bool begins,
                      int32_t *tokens, int64_t room);
// The bytes of one token, which belong to the model, and may end within a character. NULL if there
// is no such token.
const char *NAME_token_text(struct NAME_model *model, int32_t token, size_t *length);
// Makes text of tokens: their bytes. Returns how many there are, of which the first `room` are in
// text; -1 if a token does not exist.
int64_t NAME_detokenize(struct NAME_model *model, const int32_t *tokens, int64_t count, char *text,
                        size_t room);

// ---- sequences ----------------------------------------------------------------------------------

// Forgets a sequence's text, also the number of tokens that were chosen.
int NAME_begin(struct NAME_model *model, int sequence);
// Takes `count` tokens in behind those that the sequence has.
int NAME_feed(struct NAME_model *model, int sequence, const int32_t *tokens, int64_t count);
// How many tokens of the sequence are in the context; -1 if there is no such sequence.
int NAME_length(struct NAME_model *model, int sequence);
// The logits (NAME_VOCAB) of the next token, as the model gives them, of which those from
// NAME_vocab_size on mean nothing. They are there until the next call that has to do with the
// sequence. NULL if it has no token yet, or a logit is not finite.
const float *NAME_logits(struct NAME_model *model, int sequence);
// Writes where the last token looks: weights (NAME_LAYERS, NAME_HEADS, NAME_length), the softmax
// weights of each head for the tokens in the context, oldest first, which sum to 1.
int NAME_attention(struct NAME_model *model, int sequence, float *weights);

// How a token is chosen, in this order. A member that is 0 is off: {0}, or NULL in the place of
// options, always takes the likeliest token. The program has by default
// {.temperature = 0.8, .top_k = 200, .seed = 1337}.
struct NAME_options {
    double repetition_penalty; // divides positive logits of tokens that came, multiplies others
    double temperature;        // below 1: safer text; above: wilder; 0: the likeliest token
    int top_k;                 // among the k likeliest
    double top_p;              // among the likeliest that together reach this, at most 1
    double min_p;              // not those less than this times as likely as the likeliest
    uint32_t seed;
    uint32_t sample; // another number, another text of the same seed: the program's --num_samples
    // For NAME_sample: texts before any of which it ends, strings of UTF-8.
    const char *const *stop;
    int stops;
};
// Chooses the next token and appends it to the sequence: the same as NAME_feed of it, but it goes
// through the model when that is needed, so that the last token of a text costs nothing.
int NAME_step(struct NAME_model *model, int sequence, const struct NAME_options *options,
              int32_t *token);
// The same for `count` different sequences, each with options of its own, side by side, which takes
// little longer than for one as the weights are read once for all. If it fails it says why, and no
// token was chosen.
int NAME_step_each(struct NAME_model *model, int count, const int *sequences,
                   const struct NAME_options *options, int32_t *tokens);

// Gets text as it comes, whole characters: what is no UTF-8 is U+FFFD. Returns whether to go on. It
// may call functions of this library, but none that changes the sequence.
typedef bool NAME_text(void *context, const char *text, size_t length);
// Begins the sequence with a prompt and writes up to `most` tokens behind it; text gets what they
// say, not the prompt. prompt: NULL for the program's default, a newline. NAME_OK whether the text
// ended by itself, at a stop text, or because text returned false; NAME_FULL if it ended where the
// context did.
int NAME_sample(struct NAME_model *model, int sequence, const char *prompt, size_t length,
                int64_t most, const struct NAME_options *options, NAME_text *text, void *context);

#ifdef __cplusplus
}
#endif

#endif
