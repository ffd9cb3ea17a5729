// files.h: files that are read and written: tensors, under the names that a model's table gives them,
// token files, and what other tools wrote. It stands on base, kernel (the table) and text.
#ifndef DIECAST_FILES_H
#define DIECAST_FILES_H

#include "runtime/base/base.h"
#include "runtime/text/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct param;

// ---- mapped.c: files that are mapped and read in place ------------------------------------------

// Maps an open file, which mapped_close then closes. Where it becomes shorter, a read of what is
// gone ends the program with one line, EXIT_IO and die_hook. Dies with EXIT_MEMORY, EXIT_IO.
const void *mapped_open(int file, size_t length, const char *path);
// Whether nobody wrote to it since.
bool mapped_same(const void *bytes);
// Gives back the memory of what was read; another read brings it again.
void mapped_forget(const void *bytes);
void mapped_close(const void *bytes);

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

// ---- params.c -----------------------------------------------------------------------------------

enum { PARAM_NAME = 128 };
// prefix and the tensor's name, with the layer's number where the table says "%d".
void param_name(const struct param *param, int layer, const char *prefix, char name[PARAM_NAME]);

// ---- foreign.c: checkpoints as other tools write them -------------------------------------------

// Gives an open file our names, shapes and numbers, for a model of these params, where there is one
// way to read it. False with one line in error.
bool foreign_adapt(struct safetensors *file, const struct param *params, int count,
                   char error[512]);

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

// ---- gpt2_files.c: GPT-2's tokenizer as it was published, for prepare ---------------------------

// The tokenizer's string of folder/vocab.bpe, whose tokens folder/encoder.json must number in the
// same way. Dies 65, 66, 71, 74. The caller frees.
char *gpt2_files_read(const char *folder);

// ---- pickle.c: the vocabulary in nanoGPT's meta.pkl, for prepare --------------------------------

// The tokenizer's string of a pickled { vocab_size, itos, stoi }, whose opcodes are read and never
// executed; NULL with *problem set where it is more than that. The caller frees.
char *pickle_tokenizer(const char *bytes, size_t length, const char **problem);

#endif
