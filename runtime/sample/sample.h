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
// Makes room for `texts` (1..max_rows) texts at a time; at first there is room for one. Forgets
// what was taken in. Dies with EXIT_MEMORY.
void sampler_make_room(struct sampler *s, int texts);

// Bounds of its numbers, where they are not off.
#define SAMPLING_PENALTY_LEAST 1e-6
#define SAMPLING_PENALTY_MOST 1e6
#define SAMPLING_TEMPERATURE_MOST 1e6
struct sampling {
    double repetition_penalty; // 0 and 1 are off
    double temperature;        // 0 is greedy
    int top_k;                 // 0 is off
    double top_p;              // 1 is off
    double min_p;              // 0 is off
    uint64_t seed;
    // Sees the logits (V) of each token before it is chosen, as the model gave them; may be NULL.
    void (*look)(void *context, const float *logits);
};
// Generates max_new_tokens after ids (count >= 1) as nanoGPT's generate does: the context is
// cropped to the last block_size tokens, and recomputed whenever it slides (slide.c). Calls
// emit(context, id) for each, which returns whether to go on. Token i is drawn with number i of the
// sample's own random stream, so that samples are independent. False if a logit is not finite, so
// that there is no next token.
bool sampler_generate(struct sampler *s, const int32_t *ids, int64_t count, int64_t max_new_tokens,
                      const struct sampling *sampling, uint32_t sample,
                      bool (*emit)(void *context, int32_t id), void *context);

// The parts of it, of the first text. A new text: s has no context.
void sampler_begin(struct sampler *s);
// Takes ids (count >= 1) in behind what s has, and leaves the last one's logits in s->logits.
void sampler_take(struct sampler *s, const int32_t *ids, int64_t count);

// The same of any text; logits (V).
void sampler_begin_text(struct sampler_text *text);
void sampler_take_text(struct sampler *s, struct sampler_text *text, const int32_t *ids,
                       int64_t count, float *logits);
// Takes the rest of a text's window into its KV cache; writes the last token's logits.
void sampler_fill(struct sampler *s, struct sampler_text *text, float *logits);
// The same of one token of each of several texts, side by side, whose windows are not full; logits
// (texts, V). texts: at most s->texts of them.
void sampler_take_each(struct sampler *s, int texts, struct sampler_text *const *text,
                       const int32_t *ids, float *logits);

// Chooses token i of a sample by its text's logits (V), which must be finite and are overwritten.
int32_t sampler_next(const struct sampler *s, const struct sampler_text *text, float *logits,
                     const struct sampling *sampling, uint32_t sample, uint32_t i);

// Runs a batch through the model, in all threads.
void sampler_run_batch(struct sampler *s, struct sampler_batch *batch);

// Runs ids (1..block_size of them) through the model and writes the attention weights (L, H, count,
// count), whose last two axes are queries and keys. Entries above the diagonal are not written.
void sampler_attention(struct sampler *s, const int32_t *ids, int count, float *weights);
// Writes where the last token of a text looks, which is taken in once more: weights (L, H,
// text->used). Dies with EXIT_MEMORY.
void sampler_look(struct sampler *s, struct sampler_text *text, float *logits, float *weights);

// ---- team.c: threads ----------------------------------------------------------------------------

enum { SAMPLER_ALIGNMENT = 64 }; // of memory, in bytes: a cache line

// As many threads as the model keeps busy, at most so many.
int sampler_threads(int most);
// Starts threads - 1 threads (threads > 1), or fewer if the system allows no more, and sets
// s->threads. Dies with EXIT_MEMORY.
void sampler_team_start(struct sampler *s, int threads);
// Ends them, if there are any.
void sampler_team_end(struct sampler *s);
// Calls a function in all threads at once, with their numbers, and waits for all.
typedef void sampler_job(struct sampler *s, void *context, int thread);
void sampler_run(struct sampler *s, sampler_job *job, void *context);

// ---- slide.c: what stays of a text at the end of the context -----------------------------------

// Appends ids (count >= 1) to a text's window, whose end is not taken in yet, and returns how many
// it took: not all of them if those must be taken in before. What the window loses, and what the
// cache keeps, is as s->slide_half says.
int64_t sampler_append(struct sampler *s, struct sampler_text *text, const int32_t *ids,
                       int64_t count);
// Whether only distances of tokens matter: the model has no table of positions.
bool sampler_is_relative(void);

// ---- together.c: several texts side by side ----------------------------------------------------

// A text that is wanted.
struct sampler_request {
    const int32_t *ids; // its prompt (count >= 1); kept until it ends
    int64_t count, max_new_tokens;
    const struct sampling *sampling; // but not its `look`
    uint32_t sample;                 // as of sampler_generate
    int text;                        // a number for the reader
    bool same;                       // the prompt is that of the request before
};
// What becomes of them.
struct sampler_reader {
    void *context;
    // The next text; false if none may begin before another one has ended, or at all.
    bool (*next)(void *context, struct sampler_request *request);
    // Sees the logits (V) of each token before it is chosen, as the model gave them; may be NULL.
    void (*look)(void *context, int text, const float *logits);
    bool (*emit)(void *context, int text, int32_t id); // returns whether to go on
    // The text ends; not `finite`: since a logit is not finite.
    void (*end)(void *context, int text, bool finite);
};
// Generates all texts, s->texts of them at a time, each of which is what sampler_generate makes,
// byte for byte: their tokens and prompts go through the model side by side, so that weights are
// read once for all of them, and a prompt that is the same is taken in once.
void sampler_serve(struct sampler *s, const struct sampler_reader *reader);
// The same of `texts` texts after one prompt; text i has the sample's number first + i. The reader
// needs no `next`.
void sampler_together(struct sampler *s, const int32_t *ids, int64_t count, int64_t max_new_tokens,
                      const struct sampling *sampling, uint32_t first, int texts,
                      const struct sampler_reader *reader);
// The same of s's first text, which goes on: takes request->ids in behind what it has, and then
// generates. The last token emitted is not taken in. The reader needs no `next`.
void sampler_answer(struct sampler *s, const struct sampler_request *request,
                    const struct sampler_reader *reader);

// ---- choose.c: from logits to a token -----------------------------------------------------------

// Chooses a token from logits (V), which it may change, with the random bits `draw`. Of equal
// logits the lower id comes first; a NaN is never chosen.
int sampler_choose(float *logits, int vocab_size, const struct sampling *sampling, uint64_t draw);

// ---- repeat.c: what was said is less likely -----------------------------------------------------

// Divides the positive logits (V) of the tokens that were seen by the penalty, and multiplies the
// others by it.
void sampler_penalise(float *logits, const bool *seen, int vocab_size, double penalty);

// ---- logprobs.c: how likely tokens are ----------------------------------------------------------

// The logarithm of the sum of exp(logit): a token's log probability is its logit less this.
double logprobs_total(const float *logits, int vocab_size);
// Writes the ids of the `wanted` largest logits, the largest first, the lower id first of equal
// ones. Returns how many there are.
int logprobs_top(const float *logits, int vocab_size, int wanted, int32_t *ids);

// ---- stops.c: the texts that end an answer ------------------------------------------------------

enum { STOPS_MOST = 16, STOPS_LENGTH = 256 }; // how many; bytes of each
// Whether a text can be one: UTF-8 of 1 to STOPS_LENGTH bytes.
bool stops_takes(const char *text);
// Finds them in text that comes in pieces of any size. Starts as {.text, .count}; the texts are
// valid UTF-8 of 1 to STOPS_LENGTH bytes.
struct stops {
    const char *const *text;
    int count;
    bool met;                // one has come: the answer ends before it
    char held[STOPS_LENGTH]; // the end of what came, while it may be the beginning of one
    size_t length;
};
// Copies what is known to be outside of a stop text to out, which has room for length +
// STOPS_LENGTH bytes, and returns how much that is. The stop text that is complete first counts,
// the longest if several end at once. After that nothing more is copied.
size_t stops_pass(struct stops *stops, const char *bytes, size_t length, char *out);
// What is still held at the end of a text in which no stop text came. It is held no longer.
size_t stops_rest(struct stops *stops, char *out);

// ---- token_json.c: a token as JSON --------------------------------------------------------------

// Writes its bytes as a JSON string: characters as they are, other bytes as <0xE2>.
void token_write_json(FILE *out, const struct tokenizer *tokenizer, int32_t id);

// ---- open.c: opening a checkpoint for sampling --------------------------------------------------

// weights.S: the bytes of the safetensors file that a sampler built with EMBED=1 has inside. Both
// are NULL in any other.
extern const char sampler_weights[] __attribute__((weak));
extern const char sampler_weights_end[] __attribute__((weak));
#define SAMPLER_INSIDE "the weights inside" // in messages

struct sampler_file {
    struct safetensors tensors; // the weights are used in place
    struct tokenizer tokenizer;
};
// Maps the checkpoint, or takes the weights inside if path is NULL, checks names and shapes against
// sampler_info (a longer wpe is cropped; moments are ignored), reads its tokenizer and creates s.
// Warns in one line if the config differs; refuses weights that would compute something else here,
// do not match their hashes or are not finite. The weights stay where they are, except those that
// are converted (foreign.c). False with one line in error and *code set to 65, 66 or 74.
bool sampler_open(struct sampler_file *file, struct sampler *s, const char *path, int threads,
                  char error[512], enum exit_code *code);
// The same of a checkpoint in memory, which stays there; the name is for messages.
bool sampler_open_bytes(struct sampler_file *file, struct sampler *s, const char *name,
                        const void *bytes, size_t length, int threads, char error[512]);
void sampler_close(struct sampler_file *file, struct sampler *s);

// ---- kind.c -------------------------------------------------------------------------------------

// The type of this sampler's weights, with "-kv_bfloat16" behind it if its cache has that type.
const char *sampler_kind(void);

// ---- attention.c: a prompt's attention weights as JSON ------------------------------------------

// Writes {"prompt", "ids", "tokens", "n_layer", "n_head", "n_tokens", "attention":[L][H][T][T]} for
// a prompt of `count` ids (1..block_size). Weights have nine digits, which identify a float
// exactly, and are 0 above the diagonal. Bytes of a token that are not UTF-8 by themselves appear
// as <0xE2>. Dies with EXIT_MEMORY, EXIT_IO; an old file is then untouched.
void attention_write(const char *path, struct sampler *s, const struct tokenizer *tokenizer,
                     const char *prompt, size_t length, const int32_t *ids, int count);

#endif
