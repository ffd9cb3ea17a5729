// files.h: reading and writing files: tensors, named as in a model's table of parameters, token
// files, and files that other tools wrote. It stands on base, kernel (for the table) and text.
#ifndef DIECAST_FILES_H
#define DIECAST_FILES_H

#include "runtime/base/base.h"
#include "runtime/kernel/emitted.h"
#include "runtime/text/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct param;
enum { PARAM_NAME = 128 }; // bytes for a tensor's name

// ---- mapped.c: memory-mapped files --------------------------------------------------------------

// Maps an open file, which mapped_close then closes. If the file becomes shorter, reading the
// missing part ends the program as die(EXIT_IO) would. Dies with EXIT_MEMORY, EXIT_IO.
const void *mapped_open(int file, size_t length, const char *path);
// Whether the file is unchanged since it was mapped, by its size and time of modification.
bool mapped_same(const void *bytes);
// Frees the memory of pages that were read; reading them again reloads them.
void mapped_forget(const void *bytes);
void mapped_close(const void *bytes);

// ---- safetensors.c: a strict reader -------------------------------------------------------------

enum {
    SAFETENSORS_ERROR = 512, // bytes in an error line
    SAFETENSORS_PREFIX = 8,  // bytes before the header
};
struct tensor_view {
    char *name;
    int ndim;
    int64_t dims[4];
    char dtype[8];        // of the stored numbers
    size_t begin, stored; // offset in the file's data, and bytes there
    const char *place;    // the stored bytes, in the mapping
    const float *data;    // the numbers as F32, in the mapping or in own; NULL until converted
    size_t bytes;         // of data
    float *own;           // converted numbers, to be freed; NULL if data is in the mapping
    int64_t heads;        // whose rows lie pairwise, until converted (gguf_names.c); else 0
    char hash[17];        // XXH3-64 of the stored bytes, from the metadata "xxh3.NAME", or ""
};
struct safetensors {
    char *path;
    const void *map;
    size_t map_bytes;
    int count;
    struct tensor_view *tensors; // in file order
    int metadata_count;          // pairs
    char **metadata;             // key, value, key, value ..., sorted by key
    bool hashed;                 // the header has a hash, and matches it
    struct safetensors *shard;   // shards.c: the files that the tensors lie in; NULL if in this one
    int shards;
    struct gguf_pair *pairs; // gguf.c: a GGUF file's metadata, in file order; else NULL
    int pairs_count;
};
// Maps a file and reads its header. Returns false with one line in error (the path first) and *code
// set to 65, 66 or 74 if the file is missing or truncated, or has an absurd header length, broken
// JSON, overlapping, unordered, out-of-range or duplicate tensors, holes, an unknown dtype, or a
// header that does not match its hash. Dies with EXIT_MEMORY.
bool safetensors_open(struct safetensors *file, const char *path, char error[512],
                      enum exit_code *code);
// The same with a file that lies in memory, at a multiple of 4; the name is for messages. The bytes
// stay the caller's, and must not change before safetensors_close.
bool safetensors_open_bytes(struct safetensors *file, const char *name, const void *bytes,
                            size_t length, char error[512]);
void safetensors_close(struct safetensors *file);
// Frees the memory of the file's pages that were read, shards included; reading them again reloads
// them. Converting a file of the memory's size needs it.
void safetensors_forget(const struct safetensors *file);
const struct tensor_view *safetensors_find(const struct safetensors *file, const char *name);
const char *safetensors_metadata(const struct safetensors *file, const char *key); // or NULL
// Whether a trainer of ours wrote the file: it has a run's progress, or the format "diecast", as of
// older trainers.
bool safetensors_is_run(const struct safetensors *file);
// Checks a tensor's bytes against its XXH3, if it has one. False with one line in error.
bool safetensors_verify_tensor(const struct safetensors *file, const struct tensor_view *tensor,
                               char error[512]);
bool safetensors_verify(const struct safetensors *file, char error[512]); // every tensor
// For readers of other formats: maps file->path, of at least so many bytes; the kind is for
// messages. Fails as safetensors_open does.
bool safetensors_map(struct safetensors *file, const char *kind, size_t least, char error[512],
                     enum exit_code *code);
// What a file is that was downloaded in place of a model, as the end of a message; or NULL.
const char *safetensors_mistaken(const char *map, size_t bytes);
// For the writer: parses a header without a file. file->path is set by the caller; the tensors have
// no data.
bool safetensors_parse(struct safetensors *file, const char *header, size_t bytes,
                       size_t data_bytes, char error[512]);
// Hashes the header's content: the metadata of the keys in `covered`, "key key ...", and the table
// of tensors.
void safetensors_hash_header(const struct safetensors *file, const char *covered, char hash[17]);

// Whether all numbers are finite.
bool floats_are_finite(const float *x, int64_t count);

// ---- blocks.c: numbers of ggml's quantized types ------------------------------------------------

enum { BLOCKS_OF = 32 }; // numbers in a block
// Whether numbers of the type, as "Q8_0", are read here.
bool blocks_are_read(const char *type);
size_t blocks_count(const char *type, size_t bytes); // numbers in so many bytes
// Reads `count` of them, from number `first` on: both are multiples of a block.
void blocks_read(const char *type, const char *at, size_t first, size_t count, float *x);
// Stores numbers that fill blocks.
void blocks_store_q8_0(const float *x, size_t count, void *stored);
void blocks_store_q4_0(const float *x, size_t count, void *stored);

// ---- gguf.c: a strict reader of GGUF files ------------------------------------------------------

enum gguf_value { // types of a pair's value, as the file has them
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_TEXT,
    GGUF_LIST,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
    GGUF_TYPES_OF_VALUES
};
struct gguf_pair {
    struct slice key;
    uint32_t type, item; // a list's items are of type `item`; otherwise the two are the same
    uint64_t count;      // of items; 1 unless it is a list
    const char *at;      // the value, or a list's first item, in the mapping
};
// Opens a file of version 2 or 3 as safetensors_open does: the tensors have the file's names, the
// shapes as numpy has them, (rows, row's length), and dtypes as ggml calls them. Returns false with
// one line in error also for each count, length, offset or type that cannot be.
bool gguf_open(struct safetensors *file, const char *path, char error[512], enum exit_code *code);
// Whether a file begins as one does, or is called NAME.gguf.
bool gguf_is(const char *path);
const struct gguf_pair *gguf_find(const struct safetensors *file, const char *key); // or NULL
// Reads an item of a pair of integers. False if it is none, or above INT64_MAX.
bool gguf_integer(const struct gguf_pair *pair, uint64_t index, int64_t *number);
uint32_t gguf_type_of(const char *dtype); // ggml's number of a type, which is known by name
// The items of a list of texts, or the one text. The caller frees the list.
struct slice *gguf_texts(const struct gguf_pair *pair);

// ---- gguf_model.c: what a GGUF file's pairs mean ------------------------------------------------

// Writes the sizes as a Hugging Face config.json has them, which gen/import/ reads. Dies 65 if one
// is missing or of another type than llama.cpp writes.
void gguf_describe(const struct safetensors *file, FILE *out);
struct slice gguf_architecture(const struct safetensors *file); // "missing" if it has none
// These die 65 where the file has no such pair, or one of another type.
const struct gguf_pair *gguf_need(const struct safetensors *file, const char *key);
int64_t gguf_need_integer(const struct safetensors *file, const char *key);
float gguf_need_float(const struct safetensors *file, const char *key);
// A pair that must be a text if it is there, or NULL; its text.
const struct gguf_pair *gguf_text_of(const struct safetensors *file, const char *key);
struct slice gguf_slice(const struct gguf_pair *pair);
// Prints a float with as few digits as identify it: 1e-05, where more would say 9.99999975e-06. One
// that is not finite is no number of JSON's, and is put in quotes.
void gguf_write_float(float x, FILE *out);
// Prints the pairs, a line for each.
void gguf_print(const struct safetensors *file);

// ---- gguf_llama.c: llama.cpp's models of the Llama family ---------------------------------------

bool gguf_is_llama(struct slice architecture);
// Whether such a model has the rows of q and k pairwise, (0, D/2, 1, D/2 + 1, ...) of a head.
bool gguf_is_pairwise(struct slice architecture);
// Writes what config.json says of such a model, each key with a comma before it.
void gguf_describe_llama(const struct safetensors *file, FILE *out);

// ---- gguf_rope.c: the numbers that angles are divided by, rope_freqs.weight ---------------------

// Writes the rope_scaling of config.json that makes them, with a comma before it; nothing where
// they are all 1 or not there. What is no llama3's has the tensor's name as its type, and is
// refused.
void gguf_describe_divisors(const struct safetensors *file, double theta, FILE *out);
// Takes them out of a Llama's tensors. Dies 65 if they are not what the config makes.
void gguf_take_divisors(struct safetensors *file, const char *config);

// ---- gguf_names.c: the tensors' names -----------------------------------------------------------

// Gives the tensors of a GPT-2 nanoGPT's names, those of the Llama family Hugging Face's; others
// keep theirs. Notes the heads of those whose rows lie pairwise.
void gguf_rename(struct safetensors *file);
// The name in a GGUF file of a tensor with one of these.
void gguf_name(const char *own, char name[PARAM_NAME]);

// ---- gguf_tokenizer.c: the tokenizer in a GGUF file ---------------------------------------------

bool gguf_has_tokenizer(const struct safetensors *file);
// The tokenizer's string, or NULL if the file has no tokenizer. Dies 65 if it has one that is
// neither a byte-pair encoding that is known nor a list of characters. The caller frees.
char *gguf_tokenizer(const struct safetensors *file);

// ---- shards.c: a model in several safetensors files ---------------------------------------------

// Whether a path is that of an index, "NAME.index.json".
bool shards_is_index(const char *path);
// Opens all files of an index as one, whose tensors are those of all; any other path as
// safetensors_open does. Errors and codes as there; 65 also if a file has other tensors than the
// index says, or the index names a file of another folder.
bool shards_open(struct safetensors *whole, const char *path, char error[512],
                 enum exit_code *code);

// ---- model_file.c: a model's file of any format -------------------------------------------------

// Opens GGUF, llm.c's weights, safetensors or the index of several, as their own functions do. The
// tensors have nanoGPT's or Hugging Face's names (after gguf_rename).
bool model_open(struct safetensors *file, const char *path, char error[512], enum exit_code *code);

// ---- numbers.c: the types of numbers in files ---------------------------------------------------

enum number_type {
    NUMBER_F32,
    NUMBER_F16,
    NUMBER_BF16,
    NUMBER_Q8_0,
    NUMBER_Q4_0,
    NUMBER_U8, // bytes, whose meaning the reader knows: the data is what is stored
    NUMBER_TYPES
};
bool number_type_find(const char *name, enum number_type *type); // "float32" ...
const char *number_type_name(enum number_type type);
const char *number_type_dtype(enum number_type type); // "F32" ..., in safetensors files
size_t number_bytes(enum number_type type, size_t count);
size_t number_block(enum number_type type); // neighbours that are stored together: 1, or 32
float number_limit(enum number_type type);  // numbers of this size or more cannot be stored
float number_of_half(uint16_t half);        // float16
float number_of_brain(uint16_t brain);      // bfloat16
#define NUMBER_HALF_LIMIT 65520.0f          // from here on a float16 is infinite
// Round to the nearest, ties to even.
uint16_t number_to_half(float x);
uint16_t number_to_brain(float x);
void numbers_store(enum number_type type, const float *x, size_t count, void *stored);
// Whether numbers of a file's type, as "BF16" or "Q4_0", can be read; how many lie in some bytes.
bool numbers_are_read(const char *dtype);
size_t numbers_count(const char *dtype, size_t bytes);
// Reads `count` of them, from number `first` on; both are multiples of a block.
void numbers_load(const char *dtype, const char *at, size_t first, size_t count, float *x);

// ---- small.c: a sampler's small weights ---------------------------------------------------------

#define SMALL_KEY "weights" // in the metadata of a file for such a sampler: the type's name
bool weight_type_find(const char *name, enum weight_type *type); // "float32" ...
const char *weight_type_name(enum weight_type type);
// The type of a table's tensor in a sampler with weights of a type: vectors and positions stay
// float32, and the table of tokens, with a head that is tied to it, is no smaller than q8_0.
enum weight_type weight_type_of(enum weight_type type, const struct param *params, int count,
                                const struct param *param);
// Bytes of a matrix (rows, columns) in the layout of kernel/small.h are those of a matrix
// (small_rows, small_row_bytes) of bytes.
int64_t small_rows(int64_t rows);
int64_t small_row_bytes(enum weight_type type, int64_t columns);
// Stores a matrix so.
void small_store(enum weight_type type, const float *w, int64_t rows, int64_t columns,
                 void *stored);

// ---- tensor_out.c: a tensor that a writer stores ------------------------------------------------

struct tensor_out {
    char name[128];
    int ndim;
    int64_t dims[4];       // as stored
    const float *data;     // NULL: zeros
    enum number_type type; // to store it in
    bool transposed;       // the data is (dims[1], dims[0]) of what is stored
    int64_t heads; // whose rows are stored pairwise, (0, D/2, 1, D/2 + 1, ...) of each; or 0
};
size_t tensor_out_bytes(const struct tensor_out *tensor);
// Whether the data is what is stored.
bool tensor_out_is_ready(const struct tensor_out *tensor);
// Bytes in which any one of the tensors can be made ready.
size_t tensor_out_room(const struct tensor_out *tensors, int count);
// The bytes to store: the data, or what is made of it in `room`.
const void *tensor_out_stored(const struct tensor_out *tensor, void *room);

// ---- safetensors_write.c: the writer ------------------------------------------------------------

// Writes all tensors, the metadata (metadata_count pairs: key, value, key, value ...; values with
// no quote, backslash or control character) and hashes of the tensors and of the header to
// path.tmp, fsyncs, renames, fsyncs the folder. The header is padded with spaces so that data
// starts at a multiple of 64. All tensors are of one type. False with one line in error, and errno
// set; the old file is then untouched and no temporary file is left.
bool safetensors_write(const char *path, const struct tensor_out *tensors, int count,
                       const char *const *metadata, int metadata_count, char error[512]);

// ---- params.c -----------------------------------------------------------------------------------

// Writes prefix and the tensor's name, with the layer's number in place of the table's "%d".
void param_name(const struct param *param, int layer, const char *prefix, char name[PARAM_NAME]);
// Whether each layer has one, whose number stands at the "%d" of its name.
bool param_is_layered(const struct param *param);

struct tensor_at {
    const struct param *param;
    int layer;
};
// Lists the tensors of a table in the order of nanoGPT's state dict: where the table has entries
// with layers next to each other, all of layer 0, then all of layer 1, and so on. The caller frees.
struct tensor_at *param_tensors(const struct param *params, int params_count, int *count);
// Whether a tensor of the table has this name.
bool param_known(const struct param *params, int params_count, const char *name);
// Whether the table's entry is the position table, of which a file may have more rows than the
// model: the first ones are used, as in nanoGPT.
bool param_is_positions(const struct param *param);
// The name of the table of tokens, which a tied head shares, in a GPT with these params.
const char *param_tokens(const struct param *params, int params_count);
// Whether a file's tensor has the shape of the table's entry.
bool param_fits(const struct param *param, const struct tensor_view *view);
enum { SHAPE_TEXT = 96 };
// A shape as "(12, 6)".
void shape_print(int ndim, const int64_t *dims, char text[SHAPE_TEXT]);

// ---- param_table.c: a model's table of parameters as text ---------------------------------------

enum { PARAM_TABLE_MAX = 256 };
// Reads the table, all of the stream, into params (PARAM_TABLE_MAX) and returns the number of
// entries. Dies with EXIT_INTERNAL:
// the generator wrote it.
int param_table_read(FILE *in, struct param *params);
void param_table_free(struct param *params, int count);

// ---- foreign.c: checkpoints that other tools wrote ----------------------------------------------

// Converts an open file's names, shapes and numbers to those of a model with these params. False
// with one line in error if there is not exactly one way to do so.
bool foreign_adapt(struct safetensors *file, const struct param *params, int count,
                   char error[512]);

// ---- export_*.c: a model in the files of other tools, a format each -----------------------------

struct export_model {
    const char *config;                // "key=value key=value ...": what the weights compute
    enum number_type type;             // to store them in
    enum weight_type weights;          // the same, for a sampler
    const struct param *params;        // the model's table, of
    int params_count;                  // entries
    int count;                         // tensors
    struct tensor_at *at;              // (count) where they are in the model's table
    struct tensor_out *tensors;        // (count) with nanoGPT's names, finite
    const struct tokenizer *tokenizer; // NULL: the checkpoint has none, or ids alone
    const char *tokenizer_text;
};
// Writes path, a file or a folder that is not there, whole or not at all, so that it would survive
// a power cut. False with one line in error, and errno set: nothing is left then.
typedef bool export_writer(const struct export_model *model, const char *path, char error[512]);
export_writer export_llmc;        // llm.c's weights, and gpt2_tokenizer.bin beside them
export_writer export_safetensors; // the checkpoint's names and shapes
export_writer export_sampler;     // the same, with a tied head once, or small (small.c)
export_writer export_hf;          // a folder, as transformers saves a GPT-2, or a Llama
export_writer export_gguf;        // a GGUF file, for llama.cpp

// ---- export_gpt2.c: what the writers share ------------------------------------------------------

// A value of the config, which has it; and as a number.
struct pair export_key(const struct export_model *model, const char *key);
int64_t export_number(const struct export_model *model, const char *key);
// The value of a key that the config leaves out where it is `other`.
int64_t export_number_or(const struct export_model *model, const char *key, int64_t other);
double export_real_or(const struct export_model *model, const char *key, double other);
// The width of feed-forward layers and of a head, the model's own context, and what norms add,
// which a config may leave out.
int64_t export_inner(const struct export_model *model);
int64_t export_head_size(const struct export_model *model);
int64_t export_context(const struct export_model *model);
double export_epsilon(const struct export_model *model);
// The tensors without a tied head, and with zeros (data NULL) for the biases that a GPT-2 always
// has and the model lacks, each behind its weight. The caller frees.
struct tensor_out *export_gpt2_tensors(const struct export_model *model, int *count);
// "gpt2", or, of the Llama family, "llama", "qwen2", "qwen3", "arcee" or "nanochat": the names that
// config.json and GGUF have for what the layers are made of.
const char *export_family(const struct export_model *model);

// ---- gguf_rope.c --------------------------------------------------------------------------------

// The numbers that angles are divided by, as a tensor, whose data the caller frees. False if there
// are none.
bool export_gguf_divisors(const struct export_model *model, struct tensor_out *tensor);

// ---- export_hf_llama.c --------------------------------------------------------------------------

// Writes the members of a config.json that say what a model of the Llama family is, each followed
// by a comma.
void export_hf_llama(FILE *out, const struct export_model *model);

// ---- keys.c: the config's keys, as gen/config/keys.lua (the schema) describes them --------------
// They come from run_keys.h, which is generated from the schema:
//     KEY(name, changes, shape, absent)

enum key_changes { KEY_nothing, KEY_rounding, KEY_results, KEY_function };
struct key {
    const char *name;
    enum key_changes changes; // what another value changes: KEY_function is what a sampler computes
    bool shape;               // it shows in the shapes of a checkpoint's tensors
    const char *absent;       // the value to assume where a text lacks the key, or NULL
};
// The schema's entry for a name. A name that it lacks, as one of another version, changes results.
const struct key *key_find(const char *name, int length);
// Whether the value is the one to assume where a text lacks the key.
bool key_is_absent(const char *name, const char *value);
// Calls differ for each key whose values differ, first in the order of `now`, then for those that
// only `then` has; a missing value is the key's `absent`, or else pairs_nothing. Returns how many
// differ.
int keys_compare(const char *then, const char *now,
                 void (*differ)(void *context, const struct pair *then, const struct pair *now),
                 void *context);

// ---- tokens.c: tokens in files: uint16, or, if they are wide, uint32 ----------------------------

enum { TOKENS_VOCAB_MAX = 1 << 20 }; // the largest vocabulary, that of a config's key too
// Whether a vocabulary needs wide tokens.
bool tokens_are_wide(int64_t vocab_size);
size_t tokens_width(bool wide); // bytes of a token: 2 or 4
// Turns ids into a file's bytes, for writers, and back. count * tokens_width(wide) bytes.
void tokens_pack(const int32_t *ids, size_t count, bool wide, void *bytes);
void tokens_unpack(const void *bytes, size_t count, bool wide, uint32_t *ids);
// Writes the line of meta.json that says the type: "token_type": "uint32". Tokens of uint16 have
// none.
void tokens_write_type(bool wide, FILE *meta);

// ---- token_shards.c: the header of llm.c's token files ------------------------------------------

enum {
    TOKEN_SHARD_HEADER = 1024, // bytes
    TOKEN_SHARD_PROBLEM = 192,
};
struct token_shard {
    bool wide;
    uint64_t count; // of tokens
};
// Whether a file that begins with this number is a shard.
bool token_shard_is(int32_t magic);
// Checks the first `length` bytes of a file of `size` bytes, which are read as far as they are
// there. False with a problem for a sentence that begins with the file's path.
bool token_shard_parse(const void *bytes, size_t length, uint64_t size, struct token_shard *shard,
                       char problem[TOKEN_SHARD_PROBLEM]);

// ---- split.c: one stream of tokens, in one file or in several -----------------------------------

struct token_file { // a shard that is open
    char *path;
    int file;
    uint64_t first, count; // its tokens' place in the stream
    char stated[17];       // the XXH3 of its tokens, as meta.json states it
};
struct split {
    char *path;             // the file's; of shards, the folder's meta.json, which lists them
    int file;               // -1 if it is not open
    const uint16_t *tokens; // made-up tokens in memory (bench); NULL if they are in files
    bool wide;              // the files' are uint32, not uint16
    uint64_t count;
    struct token_file *shards; // (shard_count) in the stream's order, in place of the one file
    int shard_count;
    char hash[17];   // of the stream's bytes, as hash_file, not whole
    char stated[17]; // the same, whole, as meta.json states it, or ""
};
// Where a token of the stream lies: in which file, and as which of its tokens.
struct token_place {
    const char *path;
    uint64_t at;
};
struct token_place split_place(const struct split *split, uint64_t at);
uint64_t split_bytes(const struct split *split); // of all its tokens
// Adds a shard behind the others. Returns NULL, or, with *code, a problem as token_shard_parse's;
// the text is overwritten by the next call. All shards have one type. Lets the process have as many
// open files as it needs, as far as the system allows.
const char *split_add_shard(struct split *split, const char *path, enum exit_code *code);
// Hashes the stream's bytes. Dies if it cannot be read.
void split_hash(const struct split *split, bool whole, char hash[17]);
// Reads `count` tokens from index `at` on. Returns EXIT_DONE, or, after a line that says why,
// another code: it does not exit, so that the caller can save its state first.
enum exit_code split_tokens(const struct split *split, uint64_t at, size_t count, uint32_t *tokens);
void split_close(struct split *split);

// ---- data.c: a data set -------------------------------------------------------------------------

struct data {
    char *dir;
    struct split train, val;
    struct tokenizer tokenizer;
    char hash[17]; // hash_data: the same tokens, the same hash
};
// Opens a data set: dir/meta.json, and dir/train.bin and dir/val.bin, as nanoGPT writes them, raw
// and little-endian, or the shards that meta.json lists. Checks them against meta.json's hashes
// (more than HASH_WHOLE bytes in blocks only). Dies 66 if a file is missing; 65 if it is empty, has
// part of a token, is shorter than block_size + 1 tokens or differs from meta.json, or if its
// vocabulary is larger than vocab_size.
void data_open(struct data *data, const char *dir, int vocab_size, int block_size);
void data_close(struct data *data);
// Hashes a data set: its tokenizer, and the lengths and hashes (hash_file, not whole) of train.bin
// and val.bin.
void hash_data(const char *tokenizer, uint64_t train_tokens, uint64_t val_tokens, const char *train,
               const char *val, char text[17]);
// Checks all bytes of all files against meta.json's hashes. Dies 65, 74.
void data_verify(const struct data *data);
// Makes batch `index` of a stream: B offsets drawn uniformly, tokens (B, T) and targets (B, T),
// each the token after. A function of (seed, stream, index) alone. Returns as split_tokens, or 65
// for an id >= vocab_size.
enum exit_code data_batch(const struct split *split, uint64_t seed, enum rng_stream stream,
                          uint64_t index, int B, int T, int vocab_size, int32_t *tokens,
                          int32_t *targets);

// ---- choices.c: questions with endings to choose from, as HellaSwag's, in llm.c's file ----------

enum {
    CHOICES = 4, // endings of an item
    CHOICES_MAGIC = 20240522,
    CHOICES_VERSION = 1,
    CHOICES_HEADER = 1024,    // bytes
    CHOICES_MARK = 65535,     // begins an item, and is no token
    CHOICES_MOST = 65535,     // items, as an index is a uint16,
    CHOICES_ITEM_MAX = 65534, // and bytes of one, as its length is
    CHOICES_ERROR = 1024,     // bytes in an error line
};
struct choices {
    char *path;
    uint16_t *words; // the whole file
    int count;       // items
    size_t *at;      // (count): where each begins in words
    int largest;     // the largest token
    char hash[17];   // XXH3-64 of the file
    char *tokenizer; // the string in NAME.json beside NAME.bin; NULL if there is none: GPT-2's
};
struct choice {
    int right; // of the endings
    struct choice_tokens {
        const uint16_t *tokens;
        int count;
    } part[1 + CHOICES]; // the context, then each ending
};
// Reads and checks all of a file. False with one line in error and *code set to 65, 66, 71 or 74.
bool choices_open(struct choices *choices, const char *path, char error[CHOICES_ERROR],
                  enum exit_code *code);
void choices_close(struct choices *choices);
struct choice choices_item(const struct choices *choices, int i);
// Whether a model of this tokenizer ("" if that is unknown) and vocabulary can be asked; `whose` is
// the model for a message. False with one line in error.
bool choices_fit(const struct choices *choices, const char *whose, const char *tokenizer,
                 int vocab_size, char error[CHOICES_ERROR]);
// The path of the NAME.json beside NAME.bin. The caller frees.
char *choices_meta_path(const char *path);

// ---- gpt2_files.c: GPT-2's tokenizer as published, or as Hugging Face stores it -----------------

// Whether the folder has vocab.bpe, tokenizer.json or merges.txt.
bool gpt2_files_are_in(const char *folder);
// Makes the tokenizer's string from folder/vocab.bpe, with which the ids in encoder.json must
// agree, else from tokenizer.json, else from merges.txt and vocab.json. Dies 65, 66, 71, 74. The
// caller frees.
char *gpt2_files_read(const char *folder);
// Parses a file of such a folder; values are slices of *text. Dies as above. The caller frees both.
struct json *hf_json_read(const char *path, char **text);
// The byte that a printable character stands for in those files. False if it stands for none.
bool gpt2_byte_of(uint32_t shown, uint32_t *byte);
// Writes bytes as those characters, in UTF-8: at most two bytes each. Returns how many.
size_t gpt2_show(const char *bytes, size_t length, char *shown);

// ---- bpe_source.c: a vocabulary and its merges as a tokenizer's string --------------------------

struct bpe_source {
    const char *path; // for messages
    enum pretokenizer cut;
    const struct slice *token; // (count): as gpt2_show writes bytes, or, of other kinds, as it is
    const uint8_t *kind;       // (count): enum bpe_kind
    size_t count;
    const struct slice (*merge)[2]; // (merges): the two tokens that each joins
    size_t merges;
    int32_t begin, end; // of a text, or -1
    bool adds_begin, nfc, whole;
};
// The string. Dies 65 for what is no tokenizer. The caller frees.
char *bpe_source_string(const struct bpe_source *source);
// "left right", one space between, as the two tokens; empty ones where there is no space.
void bpe_source_cut(struct slice text, struct slice merge[2]);

// ---- tokenizer_files.c: a tokenizer from wherever one is ----------------------------------------

// The string of the tokenizer in a folder, a tokenizer.json, a GGUF file or a checkpoint. Dies 65,
// 66, 71, 74. The caller frees.
char *tokenizer_files_read(const char *place);

// ---- hf_bpe.c: byte-pair encoding as Hugging Face's tokenizer.json ------------------------------

// The pattern by which such a file cuts text, where it says it as a pattern.
const char *hf_bpe_pattern(enum pretokenizer cut);
// The string of a parsed file's byte-pair encoding, and that of a file, whose tokens may be
// characters too. Die 65 for what is another tokenizer; the second 66, 71 and 74 too. The caller
// frees.
char *hf_bpe_string(const char *path, const struct json *json);
char *hf_bpe_read(const char *path);

// ---- hf_tokenizer.c: a tokenizer as Hugging Face's files ----------------------------------------

void hf_write_vocabulary(FILE *out, const struct tokenizer *tokenizer); // vocab.json
void hf_write_merges(FILE *out, const struct tokenizer *tokenizer);     // merges.txt, of GPT-2's
void hf_write_tokenizer(FILE *out, const struct tokenizer *tokenizer);  // tokenizer.json
// Makes the tokenizer's string of the characters that are the vocabulary of a parsed
// tokenizer.json, or NULL if it is of another kind. Dies 65 if they are not in the order of their
// code points, or do not have the ids 0, 1, 2 ... The caller frees.
char *hf_characters(const char *path, const struct json *json);
// tokenizer_config.json, for a model of so many tokens of context.
void hf_write_tokenizer_config(FILE *out, const struct tokenizer *tokenizer, int64_t context);

// ---- pickle.c: the vocabulary in nanoGPT's meta.pkl, for prepare --------------------------------

// Makes the tokenizer's string from a pickled { vocab_size, itos, stoi }. Opcodes are parsed, never
// executed; NULL with *problem set if the file holds anything else. The caller frees.
char *pickle_tokenizer(const char *bytes, size_t length, const char **problem);

// ---- llmc.c: the files of llm.c -----------------------------------------------------------------

enum {
    LLMC_HEADER = 1024, // bytes before the data
    LLMC_MODEL = 20240326,
    LLMC_TOKENS = 20240328,
    LLMC_FLOAT32 = 3, // versions of a model's file
    LLMC_BFLOAT16 = 5,
    LLMC_VERSION_1_TOKENS = 50257, // of a tokenizer of version 1
    LLMC_LAYER = 12,
};

// A tensor that each layer has, without "transformer.h.N."; its shape is in units of C.
struct llmc_part {
    const char *name;
    int rows, columns;
};
extern const struct llmc_part llmc_layer[LLMC_LAYER]; // in the file's order

struct llmc_sizes {
    int T, V, L, H, C, padded; // padded: rows of wte
    bool brain;                // numbers are bfloat16
};
uint64_t llmc_numbers(const struct llmc_sizes *sizes); // in all tensors, padding included

// The number that a file begins with, or 0 where it has no four bytes or cannot be read.
int32_t llmc_magic(const char *path);
// Opens llm.c's weights under nanoGPT's names, without the padding of wte; what the shapes do not
// say is metadata (n_head, activation_function). As safetensors_open; 65 if the file's size is not
// what its header takes.
bool llmc_open(struct safetensors *file, const char *path, char error[512], enum exit_code *code);

struct llmc_tokens {
    const void *map;
    size_t bytes;
    int version, count, end_of_text;
};
// Opens llm.c's tokenizer and checks that all tokens lie in it. As safetensors_open.
bool llmc_tokens_open(struct llmc_tokens *tokens, const char *path, char error[512],
                      enum exit_code *code);
void llmc_tokens_close(struct llmc_tokens *tokens);
// The token at *at, at first LLMC_HEADER, which moves behind it.
const char *llmc_token(const struct llmc_tokens *tokens, size_t *at, size_t *length);
// Whether the tokens of the file at `path` are a tokenizer's. False with one line in error.
bool llmc_tokens_are(const struct llmc_tokens *tokens, const char *path,
                     const struct tokenizer *tokenizer, char error[512]);

#endif
