// documents.h: from a unit's documents to tokens: each document's, with <|endoftext|> after them,
// for train.bin or for val.bin.
#ifndef DIECAST_PREPARE_DOCUMENTS_H
#define DIECAST_PREPARE_DOCUMENTS_H

#include "runtime/files/files.h"
#include "runtime/programs/prepare/inputs.h"

struct prepare_documents {
    const struct prepare_inputs *inputs;
    const struct tokenizer *tokenizer;
    bool fold; // CR LF and CR are read as LF
    // A document is one to validate with where the XXH3 of its first MiB is below this: a document
    // that is there twice is never in both files, and neither files' names nor their order, nor
    // threads, nor the size of units matter.
    uint64_t val_below;
};

// What became of a unit. Starts as {0} and can be used again.
struct prepare_result {
    unsigned char *tokens[2]; // of train.bin and val.bin, as in the files
    size_t count[2], room[2]; // of tokens
    uint64_t documents[2];
    uint64_t least; // the least hash of a document
    uint64_t hash;  // of the bytes that were read
    enum exit_code code;
    char *error; // one line, or NULL
    // Memory that is kept from one unit to the next.
    char *bytes;
    size_t bytes_room;
    int32_t *piece;
    size_t piece_room;
};

// Encodes a unit. A document that is wrong, or cannot be read, ends it with an error and its code:
// 65, or 74 if the file has changed since it was listed. Dies 71. In several threads at a time,
// each with a result of its own.
void prepare_encode(const struct prepare_documents *documents, size_t unit,
                    struct prepare_result *result);
// Only its hash, as far as it can be read; for a unit that was encoded before.
void prepare_hash(const struct prepare_documents *documents, size_t unit,
                  struct prepare_result *result);
void prepare_result_free(struct prepare_result *result);

#endif
