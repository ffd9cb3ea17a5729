// collection.h: a data set that is made of documents.
#ifndef DIECAST_PREPARE_COLLECTION_H
#define DIECAST_PREPARE_COLLECTION_H

#include "runtime/base/base.h"

struct prepare_collection {
    const char *path; // of a folder, or a file of JSON lines
    const char *out, *name;
    const char *place;    // of its tokenizer, a byte-pair encoding
    const char *fraction; // of documents to validate with, as text
    bool fold;            // CR LF and CR are read as LF
    int threads;
    uint64_t unit_bytes;
};

// Makes train.bin, val.bin and meta.json in the folder out, or goes on with what an earlier run of
// the same has done. Returns 0, or 75 if a signal asked for a stop. Dies 64, 65, 66, 71, 74. What
// is done is kept, however it ends.
enum exit_code prepare_collection(const struct prepare_collection *collection);

#endif
