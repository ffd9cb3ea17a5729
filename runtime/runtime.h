// runtime.h: all that emitted code and the programs around it may call, a section a file.
//
//     emitted train.c   provides  model_info, model_forward, model_loss, model_backward
//     emitted sample.c  provides  sampler_info, sampler_forward
//     emitted defaults.c provides run_defaults
//     the rest of this header is the runtime, which calls those and is called by main.c (train),
//     sample_main.c (sample), bench.c and gradcheck.c
//
// Letters, here and in emitted code: B batch, T context, C width, L layers, H heads, D head size,
// F feed-forward width, V vocabulary, N = B * T rows.
#ifndef DIECAST_RUNTIME_H
#define DIECAST_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
#define _Noreturn [[noreturn]]
extern "C" {
#endif

// ---- log.c: how a program speaks and how it ends ------------------------------------------------

enum exit_code {
    EXIT_DONE = 0,
    EXIT_USAGE = 64,    // a flag or a config is wrong
    EXIT_DATA = 65,     // a file's contents are wrong
    EXIT_MISSING = 66,  // a file is not there
    EXIT_INTERNAL = 70, // our own fault
    EXIT_MEMORY = 71,   // not enough memory (or no usable GPU)
    EXIT_IO = 74,       // reading or writing failed
    EXIT_STOPPED = 75,  // stopped by a signal, with a checkpoint: start again to go on
    EXIT_NUMERICS = 76, // the loss or the gradients stayed non-finite
};

// The first call of every program: whichever of stdin, stdout and stderr it was started without becomes
// /dev/null. Else the next file that is opened would get that number, and all that is printed.
void streams_open(void);
// Prints one line to stderr (place, what was found, what was wanted, what to do) and exits.
_Noreturn void die(enum exit_code code, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
// Prints one line to stderr and goes on.
void warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
// Called once by die() before the exit, if set: takes away temporary files.
extern void (*die_hook)(void);
// The code for an errno of reading or writing: EXIT_MEMORY or EXIT_IO.
enum exit_code exit_code_of(int reason);

// ---- allocate.c: memory, or the end of the program ----------------------------------------------
// Each dies with EXIT_MEMORY and "no memory for WHAT" where there is none. free() gives it back.

void *allocate(size_t count, size_t size, const char *what);            // all zeros
void *allocate_again(void *memory, size_t bytes, const char *what);     // of another size
char *allocate_copy(const char *text, size_t length, const char *what); // and a zero behind it
char *allocate_print(const char *what, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// ---- time.c -------------------------------------------------------------------------------------

// Seconds on a clock that never goes back.
double time_now(void);

// ---- utf8.c ------------------------------------------------------------------------------------

// One code point from UTF-8 (no overlong forms, surrogates, or beyond U+10FFFF). Returns its length
// in bytes, or 0 where text starts with none.
int utf8_decode(const unsigned char *text, size_t length, uint32_t *codepoint);
// Writes a code point as UTF-8 and returns how many bytes it took.
int utf8_encode(uint32_t codepoint, char bytes[4]);

// Tokens of bytes, as they come, to text that is UTF-8 throughout: a character that is not complete
// waits for the next token's bytes, and what cannot become one is U+FFFD, once for each longest
// start of a character, as in Python's decode(errors="replace"). Starts as {0}.
struct utf8_mend {
    unsigned char held[4];
    int count;
};
// Writes at most 3 * (length + 1) bytes to text and returns how many.
size_t utf8_mend(struct utf8_mend *mend, const char *bytes, size_t length, char *text);
// At the end: what still waits.
size_t utf8_mend_end(struct utf8_mend *mend, char text[3]);

// ---- rng.c: Threefry-2x32-20 (Salmon et al., 2011), a counter-based generator -------------------
// Every random number is a function of (seed, stream, counter): nothing is carried along, so a
// resumed run, another number of threads or another backend draws the same ones.

enum rng_stream {
    RNG_TRAIN = 0,      // offsets of training batches
    RNG_EVAL_TRAIN = 1, // offsets of evaluation batches, training split
    RNG_EVAL_VAL = 2,   // offsets of evaluation batches, validation split
    RNG_INIT = 3,       // initial weights
    RNG_SAMPLE = 4,     // the sampler's choices
    RNG_DROPOUT = 5,    // keys of dropout masks
    RNG_BENCH = 6,      // made-up tokens
};

// 64 random bits: the block cipher's output for key (k0, k1) and counter (c0, c1), as
// word 0 | word 1 << 32.
uint64_t rng_bits(uint32_t k0, uint32_t k1, uint32_t c0, uint32_t c1);
// An integer in [0, bound), bound > 0: the high half of bits * bound.
uint64_t rng_below(uint64_t bits, uint64_t bound);
// A double in [0, 1), from the high 53 bits.
double rng_uniform(uint64_t bits);
// A standard normal (Box-Muller, in double) from one 64-bit draw.
double rng_normal(uint64_t bits);

// ---- model: what emitted train.c provides -------------------------------------------------------

enum init_kind { INIT_ZEROS, INIT_ONES, INIT_NORMAL, INIT_UNIFORM };

// One parameter, or one per layer of the same shape at equal distances. The table lists every
// tensor once, in nanoGPT's state dict order with the layers folded together.
struct param {
    const char *name; // nanoGPT's; "%d" stands for the layer where layers > 1 or the name has one
    int layers;       // instances: n_layer where the name has "%d", else 1
    int64_t offset;   // of instance 0 in params, in floats (grads, m and v have the same layout)
    int64_t stride;   // from one instance to the next, in floats
    int64_t device_offset, device_stride; // the same on a CUDA device
    int64_t device_pitch;                 // there: floats from one row to the next
    int ndim;                             // 1 or 2
    int64_t dims[2]; // (out, in) for a weight, (count) for a vector (dims[1] is 1)
    bool decay;      // weight decay applies
    bool copy;       // a second name for memory that an earlier entry owns (a tied lm_head.weight):
                     // saved and shape-checked, never counted, initialised or updated
    enum init_kind init;
    float init_value; // the standard deviation, or the bound of ±bound
};

// One emitted kernel, for bench's table. calls is counted at run time.
struct kernel_info {
    const char *name; // as in train.c: matmul_768x128x512_bias_gelu_erf
    double flops;     // per call
    double bytes;     // per call: each operand read once, each result written once
};

enum optimizer_kind { OPTIMIZER_ADAMW, OPTIMIZER_ADAM, OPTIMIZER_SGD };

struct model_info {
    const char *hash;   // of all baked keys: the name of the build folder
    const char *config; // the baked keys, "key=value key=value ...", no quotes, no escapes
    const char *title;  // one line for people: "gpt 4 layers, 4 heads, 128 wide, ..."
    int batch_size, block_size, vocab_size, n_layer, n_head, n_embd;
    enum optimizer_kind optimizer;
    bool dropout; // dropout is built in
    const struct param *params;
    int params_count;      // entries of the table
    int64_t state_floats;  // length of params, and of grads, m and v: sum of all, with padding
    int64_t packed_floats; // on a device: length of packed, the weights in the type of activations
    int64_t acts_floats;   // length of acts: activations and their gradients
    size_t scratch_bytes;  // memory of its own that a kernel wants for each thread
    int64_t device_floats; // on a CUDA device: length of params there, with its padding
    const char *dtype;     // what is computed in: "float32", ...
    int64_t num_params;    // all
    int64_t num_params_nanogpt; // without position embeddings, as nanoGPT counts
    double flops_per_token;     // 6 N + 12 L H Q T with nanoGPT's N
    const struct kernel_info *kernels;
    int kernels_count;
};

// What an update is told.
struct step_settings {
    double learning_rate, beta1, beta2, eps, weight_decay;
    double grad_clip; // 0 is off
    int32_t only_try; // on a device: the result alone, nothing is updated, nor counted
};

// How one optimizer step went.
struct step_result {
    double total;    // the sum of its micro-batches' losses
    double last;     // the loss of the last one
    double norm;     // of the gradients, before the clip; NaN where the loss is not finite
    double scale;    // float16: the loss scaler's factor for the next step; else 1
    int64_t t;       // updates so far, this one too
    int64_t good;    // float16: updates since the factor last changed
    int32_t skipped; // no finite loss or gradients: parameters and moments are as they were
};

// A model in memory. All arrays are in one allocation (memory.c).
struct model {
    float *params, *grads, *m,
        *v;                    // state_floats each; m and v are NULL where the optimizer has none
    float *acts;               // acts_floats
    int32_t *tokens;           // (B, T), each in [0, V)
    int32_t *targets;          // (B, T), each in [0, V), or -1: not counted
    float loss_scale;          // 1 / (targets that count * accumulation): d loss / d row's loss
    bool first;                // of a step's micro-steps: gradients have nothing yet
    float dropout;             // probability; 0 in evaluations
    uint32_t dropout_key[2];   // for this micro-step
    double loss;               // out: mean over the targets that count
    double total;              // of the micro-batches or evaluation batches so far
    struct step_result result; // of the last step,
    int pending;               // where 1: not read yet
    double *norms;             // optimizer_chunks: of gradients, squared
    char *scratch;             // info->scratch_bytes (rounded up to pages) for each thread
    const char *products;      // on a device: how the algorithms of its products were chosen
    void *memory;              // the one allocation
    size_t memory_bytes;
};

extern const struct model_info model_info;
// Each of these is called by every thread of one parallel region, with its number and their count;
// results do not depend on the count. They end with a barrier.
// tokens, params -> acts, all but the loss.
void model_forward(struct model *m, int thread, int threads);
// After model_forward: targets -> loss. For evaluations.
void model_loss(struct model *m, int thread, int threads);
// After model_forward: targets -> loss, and grads = or, where not the first micro-step, += d loss / d
// params (scaled by loss_scale).
void model_backward(struct model *m, int thread, int threads);

// ---- params.c -----------------------------------------------------------------------------------

enum { PARAM_NAME = 128 };
// prefix and the tensor's name, with the layer's number where the table says "%d".
void param_name(const struct param *param, int layer, const char *prefix, char name[PARAM_NAME]);

// ---- memory.c -----------------------------------------------------------------------------------

// Bytes of the one allocation for this model with the threads that parallel_threads set: the
// printed plan. with_optimizer leaves out m and v where false.
size_t model_plan_bytes(const struct model_info *info, bool with_optimizer);
// What a trainer has in memory before it touches the plan: its code, libraries, the vocabulary.
// 0 on a GPU, whose memory is the plan's alone.
size_t model_program_bytes(void);
// Allocates and zeroes. Dies with EXIT_MEMORY, naming the size wanted and the size there is.
void model_create(struct model *m, const struct model_info *info, bool with_optimizer);
void model_destroy(struct model *m);
// This thread's scratch memory; for emitted code.
void *model_scratch(const struct model *m, int thread);

// ---- init.c -------------------------------------------------------------------------------------

// Fills params from RNG_INIT: element e of tensor t is a function of (seed, t, e) alone.
void model_init(struct model *m, const struct model_info *info, uint64_t seed);

// ---- groups.c: what control groups (cgroups) leave to this process -------------------------------

// What one group leaves, in units of the caller's; LLONG_MAX where it sets no limit. root: "", or a
// folder that stands for the machine's / (tests); group: the group's folder under it.
typedef long long groups_leave(const char *root, const char *group, bool v2);
// The least that is left by this process' group and those above it, in each mounted hierarchy that
// has the controller ("cpu", "memory").
long long groups_least(const char *root, const char *controller, groups_leave *leave);
// The first `count` numbers of a group's file; 0 for what is missing, no number, or not above 0, as
// "max" and -1 are.
void groups_numbers(const char *root, const char *group, const char *name, int count,
                    long long *number);
// The number that follows the word at a line's beginning, in a file of such lines; 0 as above.
long long groups_number_of(const char *root, const char *group, const char *name, const char *word);

// ---- memory_available.c ---------------------------------------------------------------------------

// Bytes that this process could allocate now: the kernel's estimate, or what its control groups
// leave where that is less. root: as above.
size_t memory_available(const char *root);

// ---- processors.c: how many threads may run at once --------------------------------------------

// Processors that this process may use at a time: those of its affinity, or what its control groups
// grant where that is less. The environment's DIECAST_PROCESSORS says it instead.
int processors_allowed(void);
// What control groups grant, of both versions and at every level, rounded up; INT_MAX without a
// limit. root: as above.
int processors_granted(const char *root);
// As many threads as `source`, a flag or a variable, asks for, but at most those, saying so; 0: all
// of those.
int processors_threads(const char *source, int asked);

// ---- parallel.c: one parallel region at a time --------------------------------------------------

typedef void parallel_fn(void *context, int thread, int threads);
// Sets the number of threads as --threads asks: at most as many as may run at once, where 0 all of
// them, or OMP_NUM_THREADS. Says so where it takes fewer than were asked for. Returns the number.
int parallel_choose(int asked);
// Sets this very number, up to OMP_THREAD_LIMIT.
int parallel_threads(int threads);
// The number that is set.
int parallel_count(void);
// Runs fn once in each thread and waits for all.
void parallel_run(parallel_fn *fn, void *context);
// Within a region: waits until all of its threads are here.
void parallel_barrier(void);

// ---- profile.c: where the time goes -------------------------------------------------------------

extern bool profile_on; // set by bench
// Called by emitted code after each kernel, by all threads: a barrier, and where profile_on the
// time since the last call is charged to kernel.
void kernel_done(int kernel, int thread);
void profile_start(int thread);
void profile_read(double *seconds, int64_t *calls, int kernels_count); // totals so far, per kernel
void profile_reset(void);

// ---- optimizer.c: AdamW, Adam and SGD, as torch.optim computes them -----------------------------

struct optimizer_step {
    double learning_rate, beta1, beta2, eps, weight_decay;
    int64_t t;    // 1 for the first update
    double scale; // gradients are multiplied by this first: the clip factor
};
// Tensors are cut in chunks, which threads share. The chunks of a model:
int64_t optimizer_chunks(const struct model_info *info);
// The global L2 norm of grads: m->norms = the sum of squares of each of this thread's chunks; and,
// when all threads have done theirs, the root of their sum, added in order. In double.
void optimizer_norm_part(struct model *m, const struct model_info *info, int thread, int threads);
double optimizer_norm_total(const struct model *m, const struct model_info *info);
// One update of params, m and v: this thread's chunks.
void optimizer_update_part(struct model *m, const struct model_info *info,
                           const struct optimizer_step *step, int thread, int threads);

// ---- options.c: run keys, the settings that are not baked ---------------------------------------
// run_keys.h is generated from the schema (gen/config/keys.lua):
//     RUN_KEY(type, name, min, max, changes_results, "help")
// type is one of int, float, bool, string; min and max are the smallest and largest value allowed
// (0, 0 for bool and string); changes_results says whether the key enters options_text. defaults.c
// holds this config's values. An empty out_dir means out/NAME; data_dir holds a folder per data
// set.

#define RUN_TYPE_int int64_t
#define RUN_TYPE_float double
#define RUN_TYPE_bool bool
#define RUN_TYPE_string const char *
struct run {
#define RUN_KEY(type, name, min, max, changes_results, help) RUN_TYPE_##type name;
#include "run_keys.h"
#undef RUN_KEY
};
extern const struct run run_defaults;
extern const char *const run_config_name;  // the config's name, and its folder in out/
extern const char *const run_baked_keys[]; // "n_layer=4", ..., NULL: what the flags cannot change

// Reads --key=value, --key value, True/False/1/0 into run, which holds the defaults. --help prints
// the table and exits 0. Unknown or baked keys, bad values: dies with EXIT_USAGE, with a
// suggestion. Strings in run point into argv. nanoGPT's keys without a meaning here are passed
// over, with a line.
void options_parse(struct run *run, int argc, char **argv);
// The keys that change results, as "key=value key=value ...", for checkpoints; less those at the
// value that their absence means. Caller frees.
char *options_text(const struct run *run);
// The words of make for another build: this one's, which make left beside the program, and one more
// setting, "key=value"; "" for none. The caller frees.
char *options_words(const char *setting);
// All keys as one JSON object with typed values.
void options_write_json(const struct run *run, FILE *out);

// ---- pairs.c: "key=value key=value ...", the text of model_info.config and of options_text ------

struct pair {
    const char *key, *value; // slices of the text
    int key_length, value_length;
};
// Takes the next pair off *text. False at the end.
bool pairs_next(const char **text, struct pair *pair);
bool pairs_find(const char *text, const char *key, int key_length, struct pair *pair);
extern const char pairs_nothing[]; // the value of a key that a text does not have

// ---- keys.c: what the schema says of a key (gen/config/keys.lua) --------------------------------
// From run_keys.h, which is generated from the schema:
//     KEY(name, changes, shape, absent)

enum key_changes { KEY_nothing, KEY_rounding, KEY_results, KEY_function };
struct key {
    const char *name;
    enum key_changes changes; // by another value: how sums round; results; what a sampler computes
    bool shape;               // tensors of a checkpoint show it
    const char *absent;       // the value that a text without the key means, or NULL
};
// The schema's entry for a name; one that it has not, as of another version, changes results.
const struct key *key_find(const char *name, int length);
// Whether the value is the one that a text means by not having the key.
bool key_is_absent(const char *name, const char *value);
// Calls differ for each key whose value is not the same in both, in the order of `now`, then those
// that only `then` has; a missing value is what its absence means, or else pairs_nothing. Returns
// how many.
int keys_compare(const char *then, const char *now,
                 void (*differ)(void *context, const struct pair *then, const struct pair *now),
                 void *context);

// ---- text.c: numbers for people, and words for the shell ----------------------------------------

struct text {
    char s[32];
};
struct text text_count(int64_t n);    // 16,384
struct text text_bytes(double bytes); // 45.3 MB
struct text text_seconds(double s);   // 3m20s
// A path as it is typed into a shell: in quotes where it has to be. The caller frees.
char *text_word(const char *path);

// ---- hash.c: XXH3-64, as 16 hexadecimal digits --------------------------------------------------

uint64_t hash_of(const void *bytes, size_t length); // not yet as digits
void hash_bytes(const void *bytes, size_t length, char text[17]);
// Of an open file of `bytes` bytes: of all of it, or, where it is larger than HASH_WHOLE and
// `whole` is false, of its size and of 256 blocks at equal distances, the first and the last ones
// among them. False with errno set, or 0 where it became shorter.
enum { HASH_WHOLE = 256 << 20 };
bool hash_file(int file, size_t bytes, bool whole, char text[17]);
// Of a data set: its tokenizer, and how long train.bin and val.bin are and hash_file of both, not
// whole.
void hash_data(const char *tokenizer, uint64_t train_tokens, uint64_t val_tokens, const char *train,
               const char *val, char text[17]);

// ---- mapped.c: files that are mapped and read in place ------------------------------------------

// Maps an open file, which mapped_close then closes. Where it becomes shorter, a read of what is
// gone ends the program with one line, EXIT_IO and die_hook. Dies with EXIT_MEMORY, EXIT_IO.
const void *mapped_open(int file, size_t length, const char *path);
// Whether nobody wrote to it since.
bool mapped_same(const void *bytes);
// Gives back the memory of what was read; another read brings it again.
void mapped_forget(const void *bytes);
void mapped_close(const void *bytes);

// ---- json.c: strict JSON on top of jsmn's tokens ------------------------------------------------

struct json; // a parsed document; strings are slices of the text, or of a copy without escapes
// Parses text[0..length). Returns NULL and sets *error to a static message where JSON is violated
// (anything RFC 8259 refuses, duplicate keys, or nesting deeper than 32).
struct json *json_parse(const char *text, size_t length, const char **error);
void json_free(struct json *json);
// Values are token indices; 0 is the root, -1 is none.
int json_get(const struct json *json, int object, const char *key);      // a member's value, or -1
int json_count(const struct json *json, int value);                      // members or elements
int json_member(const struct json *json, int object, int i, int *value); // i-th key and its value
int json_element(const struct json *json, int array, int i);
bool json_is_object(const struct json *json, int value);
bool json_is_array(const struct json *json, int value);
// Copies a string, its escapes undone; NULL where the value is no string or holds a zero. Caller
// frees.
char *json_string(const struct json *json, int value);
// Undoes the escapes of text[0..length), which is valid inside quotes, into out, which may be text.
// Returns the length, or -1 where half a surrogate pair stands alone.
int json_unescape(const char *text, int length, char *out);
// A non-negative integer below 2^63; false where it is anything else.
bool json_integer(const struct json *json, int value, int64_t *out);

// ---- json_write.c: values as JSON text ----------------------------------------------------------

// A string in quotes, escaped where it must be; a byte that is no UTF-8 becomes U+FFFD.
void json_write_string(FILE *out, const char *text, size_t length);
// Nine digits, which give a float back; null where it is not finite.
void json_write_number(FILE *out, double x);

// ---- replace.c: a small file written anew as a whole --------------------------------------------

struct replacement {
    FILE *file; // write to this
    char *path, *temporary;
};
// Opens path.tmp for what is to become path. Dies with EXIT_IO, also where path is there and is no
// regular file.
void replace_begin(struct replacement *r, const char *path);
// Renames it. Dies with EXIT_IO where anything written since replace_begin failed: the old file is
// then untouched and no temporary file is left.
void replace_end(struct replacement *r);

// ---- machine.c ----------------------------------------------------------------------------------

// The processor's name: printable ASCII without quotes and backslashes.
void machine_name(char name[128]);
enum { MACHINE_PATH = 4096 };
// The path of a file in this program's folder, as short as the working folder lets it be; false where
// access() with that mode says no.
bool machine_beside(const char *name, int mode, char path[MACHINE_PATH]);

// ---- tokenizer.c: text to token ids and back ----------------------------------------------------
// A tokenizer is one string, kept in meta.json and in checkpoints, that needs no escaping:
//     "char 0a 20 21 ..."         token i is the i-th code point, in hexadecimal, rising
//     "bpe gpt2 BYTES MERGES"     GPT-2's byte-pair encoding, all in hexadecimal: tokens 0 to 255
//                                 are the bytes in BYTES, two digits each; the next ones are made
//                                 of two earlier tokens each, four digits and four, in MERGES
//     "bpe gpt2 BYTES MERGES <|endoftext|>"   and the last token stands between texts

#define TOKENIZER_END_OF_TEXT "<|endoftext|>"
enum { TOKENIZER_TOKEN_MAX = 256 }; // bytes in one token at most

struct bpe;
struct tokenizer {
    char *text; // the string
    int vocab_size;
    char *bytes;         // of all tokens, one behind the other
    uint32_t *offset;    // (vocab_size + 1): where each one starts in bytes, and the end
    uint32_t *codepoint; // (vocab_size), rising; NULL unless tokens are characters
    struct bpe *bpe;     // NULL unless tokens are GPT-2's
};
// False with *error set (static message) where text is malformed.
bool tokenizer_parse(struct tokenizer *tokenizer, const char *text, const char **error);
void tokenizer_free(struct tokenizer *tokenizer);
// UTF-8 to ids; at most `length` of them into ids. <|endoftext|> in a text is that token, where
// there is one. Returns the count, or -1 with *where at the offset of the first byte that is no
// UTF-8 or the first character outside the vocabulary. Dies 65, 71 on a run that bpe_encode does
// not take.
int64_t tokenizer_encode(const struct tokenizer *tokenizer, const char *text, size_t length,
                         int32_t *ids, size_t *where);
// The token that a text begins with where nobody says another: a line's end, else the first one.
int32_t tokenizer_start(const struct tokenizer *tokenizer);
// The token's bytes, which may be part of a character or of two, in the tokenizer's memory.
const char *tokenizer_decode(const struct tokenizer *tokenizer, int32_t id, size_t *length);
// One line for people: "char, 65 characters, 6f2a…" or "gpt2, 50257 tokens, …" (the XXH3 of text).
void tokenizer_describe(const struct tokenizer *tokenizer, char line[96]);

// ---- pretokenize.c: GPT-2's pieces of text ------------------------------------------------------

// The length in bytes of the piece that UTF-8 text starts with; length > 0.
size_t pretokenize(const char *text, size_t length);

// ---- bpe.c: byte-pair encoding ------------------------------------------------------------------

enum { BPE_PIECE_MAX = 64 << 20 }; // takes 2 GiB of memory to encode
// BYTES and what follows of a tokenizer's string: fills vocab_size, bytes, offset and bpe, which
// tokenizer_free frees, here too. False with *error set.
bool bpe_parse(struct tokenizer *tokenizer, const char *text, const char **error);
void bpe_free(struct bpe *bpe);
// The ids of one piece of text, at most `length` of them; returns how many. Any bytes will do. In
// n log n. Dies 65 where it is longer than BPE_PIECE_MAX, 71 where memory is short.
int64_t bpe_encode(const struct bpe *bpe, const char *piece, size_t length, int32_t *ids);
// The id of <|endoftext|>, or -1.
int32_t bpe_end_of_text(const struct bpe *bpe);

// ---- gpt2_files.c: GPT-2's tokenizer as it was published, for prepare ---------------------------

// The tokenizer's string of folder/vocab.bpe, whose tokens folder/encoder.json must number in the
// same way. Dies 65, 66, 71, 74. The caller frees.
char *gpt2_files_read(const char *folder);

// ---- pickle.c: the vocabulary in nanoGPT's meta.pkl, for prepare --------------------------------

// The tokenizer's string of a pickled { vocab_size, itos, stoi }, whose opcodes are read and never
// executed; NULL with *problem set where it is more than that. The caller frees.
char *pickle_tokenizer(const char *bytes, size_t length, const char **problem);

// ---- data.c: token files, as nanoGPT writes them: raw little-endian uint16 ----------------------

struct split {
    char *path;
    int file;
    const uint16_t *tokens; // made up ones, in memory; NULL where they are in the file
    size_t count;
    char hash[17];   // hash_file, not whole
    char stated[17]; // hash_file, whole, as meta.json says it, or ""
};
struct data {
    char *dir;
    struct split train, val;
    struct tokenizer tokenizer;
    char hash[17]; // hash_data: the same tokens, the same hash
};
// Opens dir/train.bin and dir/val.bin, reads dir/meta.json and holds the files against the hashes
// that it has (files of more than HASH_WHOLE in blocks). Dies: 66 a file is missing, 65 it is
// empty, of odd size, shorter than block_size + 1, not what meta.json says, or its vocabulary is
// larger than vocab_size.
void data_open(struct data *data, const char *dir, int vocab_size, int block_size);
void data_close(struct data *data);
// The same for all of both files. Dies 65, 74.
void data_verify(const struct data *data);
// `count` tokens from `at` on. EXIT_DONE; or another code, and why in one line, where they cannot
// be read: what is to be saved can be.
enum exit_code data_tokens(const struct split *split, size_t at, size_t count, uint16_t *tokens);
// Batch `index` of a stream: B offsets drawn uniformly, tokens (B, T) and targets (B, T) = the next
// ones. A function of (seed, stream, index) alone. EXIT_DONE; or another code, and why in one line:
// data_tokens's, or 65 for an id >= vocab_size.
enum exit_code data_batch(const struct split *split, uint64_t seed, enum rng_stream stream,
                          uint64_t index, int B, int T, int vocab_size, int32_t *tokens,
                          int32_t *targets);

// ---- safetensors.c: one strict reader and a writer ----------------------------------------------

enum {
    SAFETENSORS_ERROR = 512, // bytes in an error line
    SAFETENSORS_PREFIX = 8,  // bytes before the header
};
struct tensor_view {
    char *name;
    int ndim;
    int64_t dims[4];
    char dtype[8];        // as it is stored
    size_t begin, stored; // where it begins in the file's data, and its bytes there,
    const char *place;    // in the mapping
    const float *data;    // the numbers: F32 in the mapping; NULL for another type
    size_t bytes;         // of these
    float *own;           // where data is not in the mapping: the memory that it is in
    char hash[17];        // XXH3-64 of the bytes in hex from the metadata "xxh3.NAME", or ""
};
struct safetensors {
    char *path;
    const void *map;
    size_t map_bytes;
    int count;
    struct tensor_view *tensors; // in file order
    int metadata_count;          // pairs
    char **metadata;             // key, value, key, value ..., sorted by key
    bool hashed;                 // has a hash of its header, and agrees with it
};
// Maps a file. Returns false with one line in error (place first) and *code set to 65, 66 or 74
// where the file is missing, truncated, has an absurd header length, broken JSON, overlapping,
// unordered, out-of-range or duplicate tensors, holes, a dtype that is none, or a header that does
// not agree with its hash. Dies with EXIT_MEMORY.
bool safetensors_open(struct safetensors *file, const char *path, char error[512],
                      enum exit_code *code);
void safetensors_close(struct safetensors *file);
const struct tensor_view *safetensors_find(const struct safetensors *file, const char *name);
const char *safetensors_metadata(const struct safetensors *file, const char *key); // or NULL
// Checks every stored XXH3 against the bytes. False with one line in error.
bool safetensors_verify(const struct safetensors *file, char error[512]);
// For who writes: reads a header's text alone into file, which has its path; its tensors are
// nowhere.
bool safetensors_parse(struct safetensors *file, const char *header, size_t bytes,
                       size_t data_bytes, char error[512]);
// The hash of what the header says: the metadata of the keys in `covered`, "key key ...", and the
// table.
void safetensors_hash_header(const struct safetensors *file, const char *covered, char hash[17]);

// Whether no number is NaN or infinite.
bool floats_are_finite(const float *x, int64_t count);

// ---- foreign.c: checkpoints as other tools write them -------------------------------------------

// Gives an open file our names, shapes and numbers, for a model of these params, where there is one
// way to read it. False with one line in error.
bool foreign_adapt(struct safetensors *file, const struct param *params, int count,
                   char error[512]);

// ---- safetensors_write.c ------------------------------------------------------------------------

struct tensor_out {
    char name[128];
    int ndim;
    int64_t dims[4];
    const float *data;
};
// Writes all tensors, the metadata (metadata_count pairs: key, value, key, value ...; values with
// no quote, backslash or control character) and hashes of the tensors and of the header to
// path.tmp, fsyncs, renames, fsyncs the folder. The header is padded with spaces so that data
// starts at a multiple of 64. False with one line in error; the old file is then untouched and no
// temporary file is left.
bool safetensors_write(const char *path, const struct tensor_out *tensors, int count,
                       const char *const *metadata, int metadata_count, char error[512]);

// ---- checkpoint.c -------------------------------------------------------------------------------

struct progress {    // where a run stands, kept in both checkpoints' metadata
    int64_t iter;    // the next iteration to run
    int64_t updates; // optimizer updates so far (Adam's t)
    int64_t skipped; // updates skipped for non-finite numbers, in all
    int64_t bad_in_a_row;
    double loss_scale;        // float16: the loss scaler's factor; 0 before it was set
    int64_t loss_scale_steps; // updates since it last changed
    double best_val_loss, train_loss, val_loss; // of the last evaluation; 1e9 and NaN before one
    bool finished;
    int64_t log_lines; // that metrics.jsonl has of iterations before iter; -1: not said
    char from[17]; // what the run began from: the XXH3 of a checkpoint, or "scratch"; "": not said
    char from_path[256]; // and where that checkpoint lay, for people
    char data[17];       // the hash of the data that it trains on; "" where a file does not say
};
// ckpt.safetensors: the weights, nanoGPT's names and shapes. state.safetensors: those, and
// "adam.m.NAME", "adam.v.NAME". Metadata: format "diecast", model_info.config as "config",
// options_text as "run", model_info.hash as "build", the tokenizer, progress.
// Die with EXIT_IO where writing fails; the file that was there is then still whole.
void checkpoint_save_weights(const char *path, const struct model *m, const struct model_info *info,
                             const struct progress *progress, const char *run_text,
                             const char *tokenizer);
void checkpoint_save_state(const char *path, const struct model *m, const struct model_info *info,
                           const struct progress *progress, const char *run_text,
                           const char *tokenizer);
// Reads weights (and moments where the file has them and m->m is there) with shape checks; a longer
// wpe is cropped. Returns whether there were moments. Dies 65, 66; 65 too where a value is not finite.
bool checkpoint_load(const char *path, struct model *m, const struct model_info *info,
                     struct progress *progress, const char *tokenizer);

// Whether all weights and moments that m has are finite numbers; else the name of a tensor that has one
// which is not.
bool checkpoint_is_finite(const struct model *m, const struct model_info *info,
                          char name[PARAM_NAME]);

// What a checkpoint says of itself, without its tensors. Files of another make have none of it:
// texts are then "", and progress is that of a fresh run.
struct checkpoint_header {
    char *config, *run, *tokenizer;
    char *products; // on a device: how the algorithms of its products were chosen
    struct progress progress;
    bool has_progress; // a trainer of ours wrote it
};
// Dies 65, 66, 74.
void checkpoint_read_header(const char *path, struct checkpoint_header *header);
void checkpoint_free_header(struct checkpoint_header *header);
struct progress progress_fresh(void);

// ---- step.c, on a CUDA device gpu_step.c: training steps and evaluation batches -----------------
// On the CPU each call has done its work when it returns. On a device it is queued: results are
// read late, with step_wait and step_total, so that the device never waits for the host.

// What the run computes on, and its peak in floating-point operations a second, or 0 where that is
// not known; `line` says it for people.
double step_peak(const struct model *m, char line[256]);
// m's weights (and moments) were filled by the host: what computes gets them, and goes on behind
// `updates` updates. float16: with the loss scaler's factor, 0 before it was set, which has not
// changed for loss_scale_steps updates.
void step_begin(struct model *m, const struct model_info *info, int64_t updates, double loss_scale,
                int64_t loss_scale_steps);
// A micro-step on m's tokens and targets: grads += their gradients, over `micro_steps` in all; the
// first one of a step begins anew. m->tokens and m->targets may point elsewhere afterwards.
void step_gradients(struct model *m, const struct model_info *info, int micro_steps, bool first);
// The last micro-step, as step_gradients, and step_update: on the CPU in one parallel region.
void step_finish(struct model *m, const struct model_info *info, int micro_steps, bool first,
                 const struct step_settings *settings, int64_t t);
// Gradients of a norm from here on are skipped as those are that are not finite: the square of one is
// no float any more, and would leave infinity in Adam's moments for good.
#define STEP_NORM_LIMIT 0x1p64
// Clips (where grad_clip > 0) and updates, or skips where the loss is not finite or the norm not below
// its limit. t is the number of this update, from 1, on the CPU; a device counts for itself.
void step_update(struct model *m, const struct model_info *info,
                 const struct step_settings *settings, int64_t t);
// Judges the micro-steps since the first one as step_update would, whose result is then there to read,
// and changes nothing.
void step_try(struct model *m, const struct model_info *info);
// Results that were not read yet, and how many of them there may be before step_wait is due.
int step_pending(const struct model *m);
int step_ahead(const struct model *m);
// The result of the oldest step that was not read yet.
struct step_result step_wait(struct model *m);
// One evaluation batch, with m->dropout as it is: adds to the total, which the first one begins.
void step_loss(struct model *m, const struct model_info *info, bool first);
// The total of the losses since the first one; m->loss is the last.
double step_total(struct model *m);
// Makes m's params (and moments) on the host those of now, for a checkpoint or a sample.
void step_fetch(struct model *m, const struct model_info *info);
// Makes m's grads on the host those of the micro-steps since the first one, before step_update; for
// tests.
void step_fetch_grads(struct model *m, const struct model_info *info);

// ---- schedule.c ---------------------------------------------------------------------------------

// nanoGPT's get_lr: a linear warm-up, a cosine down to min_lr, or learning_rate throughout.
double schedule_learning_rate(const struct run *run, int64_t iter);
// What an update is told, at that learning rate.
struct step_settings schedule_settings(const struct run *run, double learning_rate);
// One line for each setting that people rarely mean.
void schedule_warn(const struct run *run, const struct model_info *info, size_t train_tokens);

// ---- folder.c: where a run's files lie ----------------------------------------------------------

struct folder {
    char *out, *data;                        // out/NAME and data/DATASET
    char *ckpt, *state, *metrics, *run_json; // in out
    char *steps_csv, *evaluations_csv, *report;
};
void folder_name(struct folder *folder, const struct run *run);
// Makes out, takes its lock (one process at a time; dies with EXIT_IO where another has it) and
// removes what a killed process left half-written.
void folder_lock(const struct folder *folder);
// Before a run starts anew: files of the run before become ckpt.previous.safetensors and so on, or, where
// one of these is there, all of them ckpt.previous.2.safetensors and so on. Says so.
void folder_set_aside(const struct folder *folder);
// Renames one that is damaged to NAME.damaged.EXT, or NAME.damaged.2.EXT and so on where that is taken.
// Returns the new name, which the caller frees; NULL where there is no such file.
char *folder_keep_aside(const char *path);
void folder_free(struct folder *folder);

// ---- start.c: where a run begins ----------------------------------------------------------------

// Follows init_from: fills m's weights (and moments) and progress, or says why not and exits.
// Returns whether it goes on from the folder's state.
bool start_run(struct model *m, const struct model_info *info, const struct run *run,
               const struct folder *folder, const struct data *data, struct progress *progress);

// ---- stop.c: signals ----------------------------------------------------------------------------

// SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGXCPU and a reader of the output that went away (SIGPIPE) ask for
// a stop, unless they were ignored when the program started; SIGINT or SIGTERM two seconds later ends
// the process at once. A write beyond the file size limit fails instead of killing.
void stop_listen(void);
bool stop_asked(void);

// ---- csv.c: metrics.csv and evaluations.csv, from the lines of metrics.jsonl --------------------

struct csv {
    FILE *steps, *evaluations; // NULL: nothing is written
    const char *steps_path, *evaluations_path;
};
// Writes both for the lines that metrics.jsonl has; those that were there are kept under another name
// where `keep`. Dies with EXIT_IO, as the next ones do.
void csv_open(struct csv *csv, const struct folder *folder, bool keep);
void csv_add(struct csv *csv, const char *line);
void csv_close(struct csv *csv);

// ---- metrics.c: metrics.jsonl, one JSON object a line -------------------------------------------

struct metrics {
    FILE *file;
    const char *path;
    int64_t lines, last; // how many it has, and the iteration of the last one
    struct csv csv;
};
// What there is to say of a step, and of an evaluation.
struct step_record {
    int64_t iter;
    double loss; // the mean over the step's micro-steps
    double learning_rate, grad_norm;
    bool skipped;
    double seconds, tokens_per_s;
    double mfu; // a fraction; NaN where the peak is not known
};
struct evaluation_record {
    int64_t iter;
    double train_loss, val_loss, seconds;
};
// Opens for appending, cut back to the lines of iterations before progress->iter; and csv where asked
// for. Dies with EXIT_IO.
void metrics_open(struct metrics *metrics, const struct folder *folder,
                  const struct progress *progress, bool csv);
// Lines of iterations before iter, for a state.
int64_t metrics_lines(const struct metrics *metrics, int64_t iter);
// Figures that are not finite become null.
void metrics_step(struct metrics *metrics, const struct step_record *step);
void metrics_evaluation(struct metrics *metrics, const struct evaluation_record *evaluation);
void metrics_close(struct metrics *metrics);

// ---- metrics_read.c: the metrics.jsonl that a run finds where it goes on ------------------------

// Cuts an open metrics.jsonl back to what it has of iterations before progress->iter: *lines. False, and
// said, where that is not all that the state knows of, or where other things are in the file: then all of
// it lies under another name, and `path` has the lines that are good. Dies with EXIT_IO.
bool metrics_cut(const char *path, FILE *file, const struct progress *progress, int64_t *lines);

// ---- run_json.c: run.json, what a run is --------------------------------------------------------

struct run_json {
    const struct folder *folder;
    const struct run *run;
    const struct model_info *info;
    const struct data *data;
    double tokens_per_iter, peak_flops; // step_peak's, 0 where it is not known,
    const char *hardware;               // and its line
    int threads;
};
// Dies with EXIT_IO.
void run_json_write(const struct run_json *run_json);

// ---- meter.c: the line on a terminal that says how far a run is ---------------------------------

// Shows `line` on stderr, over the last one, where that is a terminal; a few times a second at
// most.
void meter_show(const char *format, ...) __attribute__((format(printf, 1, 2)));
// Call before anything else is printed.
void meter_clear(void);

// ---- preview.c: a short sample in the middle of training ----------------------------------------

// The text, UTF-8 but for what the tokenizer has that is none. The caller frees. It is cut short where
// a stop is asked.
char *preview_text(const struct model *m, const struct model_info *info,
                   const struct tokenizer *tokenizer, uint64_t seed, int64_t iter, size_t *length);

// ---- report.c: the run's page, made anew as it goes on ------------------------------------------

struct report {
    char *root, *folder; // the project's and the run's, from /; NULL where no page is made
    bool warned;         // of a page that was not made, since the last one that was
};
// Warns where the program does not lie in a project's build folder.
void report_open(struct report *report, const struct folder *folder);
// Runs gen/report.lua and waits for it; warns in one line where that fails. Returns the seconds that
// it took; 0 where report is all zeros.
double report_refresh(struct report *report);
void report_close(struct report *report);

// ---- crc32c.c -----------------------------------------------------------------------------------

uint32_t crc32c(const void *bytes, size_t length);

// ---- proto.c: writes protocol buffers, by field numbers -----------------------------------------

struct proto {
    unsigned char *bytes;
    size_t length, capacity;
};
void proto_integer(struct proto *p, int field, int64_t n); // int64, int32, bool or an enum
void proto_double(struct proto *p, int field, double x);
void proto_float(struct proto *p, int field, float x);
void proto_bytes(struct proto *p, int field, const void *bytes, size_t length); // or a string
// A message within: the fields between begin and end are its own.
size_t proto_begin(struct proto *p, int field);
void proto_end(struct proto *p, size_t begun);
void proto_free(struct proto *p);

// ---- tensorboard.c: event files for TensorBoard and for what imports them -----------------------

struct tensorboard {
    FILE *file; // NULL: nothing is written
    char *path;
    struct proto event;
};
// Begins an event file in the folder for what follows from iteration iter on; the settings are
// model_info.config, options_text and max_iters. Dies with EXIT_IO, as the next ones do.
void tensorboard_open(struct tensorboard *tb, const char *folder, const char *config,
                      const char *run_text, int64_t max_iters, int64_t iter);
// train/loss, lr, grad_norm, skipped, ms, tokens_per_s and, where it is known, mfu.
void tensorboard_step(struct tensorboard *tb, const struct step_record *step);
// train/eval_loss, val/loss, eval_ms.
void tensorboard_evaluation(struct tensorboard *tb, const struct evaluation_record *evaluation);
void tensorboard_text(struct tensorboard *tb, int64_t iter, const char *text, size_t length);
void tensorboard_close(struct tensorboard *tb, bool finished);
// Before a run starts anew: event files of the run before are renamed, so that nobody takes them for its
// own; the set's number is one that none has.
void tensorboard_set_aside(const char *folder, int set);
bool tensorboard_has_set(const char *folder, int set);
// CRC-32C as TFRecords have it.
uint32_t tensorboard_crc(const void *bytes, size_t length);

// ---- sampler: what emitted sample.c provides ----------------------------------------------------

struct sampler_info {
    const char *config; // the baked keys
    int block_size, vocab_size, n_layer, n_head, n_embd;
    const struct param *params; // names and shapes as in model_info; offset and stride unused
    int params_count;
    int max_rows;          // tokens that one sampler_forward call takes at most
    int64_t memory_floats; // KV cache and activations
};
struct sampler {
    const float **weight; // one per tensor instance: params[0] layer 0, layer 1, ..., params[1] ...
    float *memory;   // memory_floats: KV cache first, then activations; 64-byte aligned, zeroed
    void *block;     // the allocation around memory
    float *logits;   // (V)
    int32_t *window; // (T), the tokens whose keys and values are in the cache
    int vocab_size;  // the tokenizer's: ids from here to V are padding and never chosen
    int threads;
    struct sampler_team *team; // NULL with one thread
    float *weights;            // where attention's weights are wanted; NULL where they are not
    int weights_tokens;        // of how many tokens
};
extern const struct sampler_info sampler_info;
// Runs `count` (1..max_rows) tokens at positions pos.. through the model, adding them to the KV
// cache; logits (V) of the last one. Called by each of s->threads threads. pos + count <= T.
void sampler_forward(struct sampler *s, const int32_t *tokens, int count, int pos, float *logits,
                     int thread);

// ---- sampler.c: from tokens to tokens; libc, libm and pthreads alone ----------------------------

// Allocates all of s for sampler_info and starts threads - 1 threads (fewer where the system gives
// no more: s->threads says), which live until sampler_destroy: s must not move before. The caller
// then fills s->weight, and lowers s->vocab_size where its tokenizer has fewer entries than V. Dies
// with EXIT_MEMORY.
void sampler_create(struct sampler *s, int threads);
void sampler_destroy(struct sampler *s);
// Waits until all threads of s are here. Returns at once with one thread.
void sampler_wait(struct sampler *s);
// The same, and meanwhile asks for the memory that this thread reads next: some of what begins where
// its last sampler_ahead said.
void sampler_wait_ahead(struct sampler *s, int thread);
void sampler_ahead(struct sampler *s, int thread, const float *from);

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
// For emitted code: where one layer's go, or NULL.
float *sampler_layer_weights(const struct sampler *s, int layer);

// ---- sampler_choose.c: from logits to a token ---------------------------------------------------

// Chooses a token from logits (V), which it overwrites, with random bits `draw`. Equal logits are
// told apart by the lower id; a NaN is never chosen.
int sampler_choose(float *logits, int vocab_size, const struct sampling *sampling, uint64_t draw);

// ---- sampler_open.c: a checkpoint, open for sampling --------------------------------------------

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

// ---- peak.c: what this machine can do, measured -------------------------------------------------

// Floating-point operations a second, in billions, a multiply-add counted as two, all threads at
// once: the best of 144 short rounds, which take some tens of milliseconds. *held, where it is not
// NULL: the rate over all of them, which a core holds for longer.
double peak_gflops(int threads, double *held);
// Bytes a second, in billions, read by all threads together from `bytes` of memory that they share
// out.
double peak_read_gbs(int threads, size_t bytes);

#ifdef __cplusplus
}
#undef _Noreturn
#endif

#endif
