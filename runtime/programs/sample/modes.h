// modes.h: what the sampler does.
#ifndef DIECAST_SAMPLE_MODES_H
#define DIECAST_SAMPLE_MODES_H

#include "runtime/programs/sample/answer.h"

// Ends the program, since the checkpoint's weights give logits that are not finite.
_Noreturn void not_finite(const char *checkpoint);

// Says what it costs that "a text may go", or "the text goes", beyond the context.
void say_slide(const char *goes);

// ---- samples.c ----------------------------------------------------------------------------------

// Writes flags->num_samples texts after a prompt.
void samples_write(struct sampler *s, const struct tokenizer *tokenizer,
                   const struct sample_flags *flags, const struct sampling *sampling,
                   const struct prompt *prompt);

// ---- ids.c --------------------------------------------------------------------------------------

// Writes the ids of a prompt, in a line, or with their texts as JSON.
void ids_write(const struct prompt *prompt, const struct tokenizer *tokenizer, bool json);

// ---- score.c ------------------------------------------------------------------------------------

// Writes how well the model predicts the text of the file flags->score.
void score_write(struct sampler *s, const struct tokenizer *tokenizer,
                 const struct sample_flags *flags);

// ---- interactive.c ------------------------------------------------------------------------------

// Answers each line of stdin until it ends. The context is the whole conversation, which begins
// with the prompt `start`, unless that is NULL.
void interactive_run(struct sampler *s, const struct tokenizer *tokenizer,
                     const struct sample_flags *flags, struct sampling *sampling,
                     const struct prompt *start);

#endif
