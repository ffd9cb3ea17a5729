// sample.h: sampling: from a checkpoint and a prompt to text. It needs only libc, libm and pthreads
// and has threads of its own, so that a shipped sampler links nothing of the wing model. It stands
// on base, kernel, text and files.
#ifndef DIECAST_SAMPLE_H
#define DIECAST_SAMPLE_H

#include "runtime/files/files.h"
#include "runtime/kernel/emitted.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// ---- sampler.c: from tokens to tokens -----------------------------------------------------------

// Allocates all of s for sampler_info and starts threads - 1 threads, or fewer if the system allows
// no more (s->threads is the number). They live until sampler_destroy, and s must not move before.
// The caller then fills s->weight, and lowers s->vocab_size if its tokenizer has fewer entries than
// V. Dies with EXIT_MEMORY.
void sampler_create(struct sampler *s, int threads);
void sampler_destroy(struct sampler *s);

struct sampling {
    double temperature; // 0 is greedy
    int top_k;          // 0 is off
    double top_p;       // 1 is off
    uint64_t seed;
    bool (*stop)(void); // called after each token: true stops; may be NULL
};
// Generates max_new_tokens after ids (count >= 1) as nanoGPT's generate does: the context is
// cropped to the last block_size tokens, and recomputed whenever it slides. Calls emit(context, id)
// for each. Token i is drawn with number i of the sample's own random stream, so that samples are
// independent. False if a logit is not finite, so that there is no next token.
bool sampler_generate(struct sampler *s, const int32_t *ids, int64_t count, int64_t max_new_tokens,
                      const struct sampling *sampling, uint32_t sample,
                      void (*emit)(void *context, int32_t id), void *context);

// Runs ids (1..block_size of them) through the model and writes the attention weights (L, H, count,
// count), whose last two axes are queries and keys. Entries above the diagonal are not written.
void sampler_attention(struct sampler *s, const int32_t *ids, int count, float *weights);

// ---- choose.c: from logits to a token -----------------------------------------------------------

// Chooses a token from logits (V), which it overwrites, with the random bits `draw`. Of equal
// logits the lower id comes first; a NaN is never chosen.
int sampler_choose(float *logits, int vocab_size, const struct sampling *sampling, uint64_t draw);

// ---- open.c: opening a checkpoint for sampling --------------------------------------------------

struct sampler_file {
    struct safetensors tensors; // the weights are used in place
    struct tokenizer tokenizer;
};
// Maps the checkpoint, checks names and shapes against sampler_info (a longer wpe is cropped;
// moments are ignored), reads its tokenizer and creates s. Warns in one line if the config differs;
// refuses weights that would compute something else here, do not match their hashes or are not
// finite. The weights stay in the mapping, except those that are converted (foreign.c). False with
// one line in error and *code set to 65, 66 or 74.
bool sampler_open(struct sampler_file *file, struct sampler *s, const char *path, int threads,
                  char error[512], enum exit_code *code);
void sampler_close(struct sampler_file *file, struct sampler *s);

// ---- attention.c: a prompt's attention weights as JSON ------------------------------------------

// Writes {"prompt", "ids", "tokens", "n_layer", "n_head", "n_tokens", "attention":[L][H][T][T]} for
// a prompt of `count` ids (1..block_size). Weights have nine digits, which identify a float
// exactly, and are 0 above the diagonal. Bytes of a token that are not UTF-8 by themselves appear
// as <0xE2>. Dies with EXIT_MEMORY, EXIT_IO; an old file is then untouched.
void attention_write(const char *path, struct sampler *s, const struct tokenizer *tokenizer,
                     const char *prompt, size_t length, const int32_t *ids, int count);

#endif
