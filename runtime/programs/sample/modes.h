// modes.h: what the sampler does.
#ifndef DIECAST_SAMPLE_MODES_H
#define DIECAST_SAMPLE_MODES_H

#include "runtime/programs/sample/answer.h"

// Ends the program, since the checkpoint's weights give logits that are not finite.
_Noreturn void not_finite(const char *checkpoint);

// Says what it costs that "a text may go", or "the text goes", beyond the context.
void say_slide(const char *goes);

// Says what drafts did for `tokens` tokens, if times are asked for.
void say_lookup(const struct sampler *s, const struct sample_flags *flags, int64_t tokens);

// ---- samples.c ----------------------------------------------------------------------------------

// What is wanted of a prompt: flags.num_samples texts.
struct sample_job {
    struct prompt prompt;
    struct sample_flags flags;
    struct sampling sampling;
    int stops; // the first so many of flags.stop are its own
};
// Makes a job's sampling of its flags. A seed of -1 is any, which is said.
void sample_job_begin(struct sample_job *job);
// Writes the texts of all jobs, in order.
void samples_write(struct sampler *s, const struct tokenizer *tokenizer,
                   const struct sample_job *jobs, int64_t count);

// ---- prompts.c ----------------------------------------------------------------------------------

// Reads the prompts of the file flags->prompts, each with flags of its own or these. Dies with
// EXIT_DATA, EXIT_MISSING or EXIT_IO.
struct sample_job *prompts_read(const struct sample_flags *flags, const struct tokenizer *tokenizer,
                                int64_t *count);
// The same of the file's text, which has a zero behind it.
struct sample_job *prompts_parse(const struct sample_flags *flags, struct slice text,
                                 const struct tokenizer *tokenizer, int64_t *count);
void prompts_free(struct sample_job *jobs, int64_t count);

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
