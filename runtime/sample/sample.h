// sample.h: from a checkpoint and a prompt to text. It needs libc, libm and pthreads alone, and has
// threads of its own: a sampler that is shipped has nothing of the wing model. It stands on base,
// kernel, text and files.
#ifndef DIECAST_SAMPLE_H
#define DIECAST_SAMPLE_H

#include "runtime/files/files.h"
#include "runtime/kernel/emitted.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// ---- sampler.c: from tokens to tokens; libc, libm and pthreads alone ----------------------------

// Allocates all of s for sampler_info and starts threads - 1 threads (fewer where the system gives
// no more: s->threads says), which live until sampler_destroy: s must not move before. The caller
// then fills s->weight, and lowers s->vocab_size where its tokenizer has fewer entries than V. Dies
// with EXIT_MEMORY.
void sampler_create(struct sampler *s, int threads);
void sampler_destroy(struct sampler *s);

struct sampling {
    double temperature; // 0 is greedy
    int top_k;          // 0 is off
    double top_p;       // 1 is off
    uint64_t seed;
    bool (*stop)(void); // asked after each token; NULL: nothing stops it
};
// Generates max_new_tokens after ids (count >= 1) as nanoGPT's generate does: the context is
// cropped to the last block_size tokens, and recomputed as it slides. Calls emit(context, id).
// Token i is drawn with number i of the sample's own stream, so that samples are independent. False
// where a logit is not finite: there is no next token then.
bool sampler_generate(struct sampler *s, const int32_t *ids, int64_t count, int64_t max_new_tokens,
                      const struct sampling *sampling, uint32_t sample,
                      void (*emit)(void *context, int32_t id), void *context);

// Runs ids (1..block_size of them) through the model; weights (L, H, count, count) gets attention's:
// what the query of the first index gives to the key of the second. Above the diagonal nothing is
// written.
void sampler_attention(struct sampler *s, const int32_t *ids, int count, float *weights);

// ---- choose.c: from logits to a token -----------------------------------------------------------

// Chooses a token from logits (V), which it overwrites, with random bits `draw`. Equal logits are
// told apart by the lower id; a NaN is never chosen.
int sampler_choose(float *logits, int vocab_size, const struct sampling *sampling, uint64_t draw);

// ---- open.c: a checkpoint, open for sampling ----------------------------------------------------

struct sampler_file {
    struct safetensors tensors; // the weights are read in place
    struct tokenizer tokenizer;
};
// Maps the checkpoint, checks names and shapes against sampler_info (a longer wpe is cropped;
// moments are passed over), reads its tokenizer and creates s. Warns in one line of a config that
// differs, unless its weights compute something else here: these are refused, and those that are
// not finite. The weights stay in the file, but for those that are converted (foreign.c). False
// with one line in error and *code set to 65, 66 or 74.
bool sampler_open(struct sampler_file *file, struct sampler *s, const char *path, int threads,
                  char error[512], enum exit_code *code);
void sampler_close(struct sampler_file *file, struct sampler *s);

// ---- attention.c: a prompt's attention weights as JSON ------------------------------------------

// Writes {"prompt", "ids", "tokens", "n_layer", "n_head", "n_tokens", "attention":[L][H][T][T]} for
// a prompt of `count` ids (1..block_size); nine digits, which give the floats back; 0 above the
// diagonal. A token's bytes that are no UTF-8 on their own are shown as <0xE2>. Dies with
// EXIT_MEMORY, EXIT_IO; a file that was there is then still whole.
void attention_write(const char *path, struct sampler *s, const struct tokenizer *tokenizer,
                     const char *prompt, size_t length, const int32_t *ids, int count);

#endif
