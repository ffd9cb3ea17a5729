// model.h: what the files of the library share: a model, and how a call ends that cannot go on.
#ifndef DIECAST_LIBRARY_MODEL_H
#define DIECAST_LIBRARY_MODEL_H

#include "runtime/programs/sample/prompt.h"

// All else is hidden (compile.mk).
#pragma GCC visibility push(default)
#include "runtime/programs/library/sampler_NAME.h"
#pragma GCC visibility pop

struct sequence {
    int64_t chosen;  // tokens since it began
    int32_t last;    // the youngest of them, which is
    bool waits;      // not taken in yet
    bool named;      // in a list of sequences
    float *logits;   // (V) of the next token, where
    bool has_logits; // the last token is taken in
};

struct NAME_model {
    struct sampler_file file;
    struct sampler s; // text i is the sequence's
    int sequences;
    struct sequence *sequence; // (sequences)
    bool may_slide;
    const void *bytes; // of the file, if it was read from one
    // For tokens of several sequences side by side: (sequences) of each, and (sequences, V).
    struct sampler_text **texts;
    int32_t *tokens;
    float *logits;
    float *choice; // (V), which choosing overwrites
    char error[NAME_LINE], warning[NAME_LINE];
};

// ---- trap.c: below a call nothing exits or prints -----------------------------------------------

// Runs a function that allocates, opens files, or may die. Where it dies, calls undo(context),
// which may be NULL, frees all that was allocated since, writes the line to error and returns the
// code; else EXIT_DONE. What it warns of goes to `warning`, if that is not NULL. Code of the
// caller's, which might not return, must not be called in it.
enum exit_code trap_run(void (*run)(void *context), void (*undo)(void *context), void *context,
                        char error[NAME_LINE], char *warning);
// Whether this call has allocated it, and it is not freed.
bool trap_holds(const void *memory);

// ---- open.c -------------------------------------------------------------------------------------

// Writes the line of a call that fails, and returns the status.
int model_fail(struct NAME_model *model, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// The sequence of this number, or NULL, with the line.
struct sequence *model_sequence(struct NAME_model *model, int number);
// Whether a token exists; if not, with the line. `place`: its number in a list.
bool model_has_token(struct NAME_model *model, int32_t token, int64_t place);

// ---- sequence.c ---------------------------------------------------------------------------------

// Takes in the token that waits.
int sequence_take(struct NAME_model *model, int number);

// ---- text.c -------------------------------------------------------------------------------------

// Makes a prompt's tokens, of the default if text is NULL; prompt_free frees them.
int text_encode(struct NAME_model *model, const char *text, size_t length, bool begins,
                struct prompt *prompt);

#endif
