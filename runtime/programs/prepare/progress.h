// progress.h: how far a data set of documents is made, so that a run that was stopped or killed
// goes on: train.bin.tmp and val.bin.tmp, which grow, and documents.json, which says how much of
// them is saved and of which documents it is.
#ifndef DIECAST_PREPARE_PROGRESS_H
#define DIECAST_PREPARE_PROGRESS_H

#include "runtime/programs/prepare/documents.h"
#include "runtime/programs/prepare/output.h"

struct prepare_progress {
    char *path; // of documents.json
    const struct prepare_documents *documents;
    const char *fraction; // of documents to validate with, as it was given
    char settings[17];    // a hash of what the tokens depend on besides the documents
    size_t width;         // bytes of a token
    size_t units;         // that are in the token files
    size_t saved;         // of these, those that documents.json says
    uint64_t count[2], documents_count[2]; // tokens and documents in train.bin and val.bin
    uint64_t least;                        // the least hash of a document
    uint64_t val_below;                    // as in prepare_documents
    uint64_t hash;                         // of the units' bytes
    struct hashing *hashing[2];            // of the token files
    // Whether train.bin and val.bin have their names already, from a run that was done or was
    // stopped while it gave them.
    bool named[2];
};

// Opens the token files in the folder, or dies 64 if another program has them open. Goes on with
// what documents.json says, where that is what the documents, the settings and the files are, or
// begins anew. Says which.
void prepare_progress_open(struct prepare_progress *progress,
                           const struct prepare_documents *documents, const char *out,
                           const char *fraction);
// Begins anew, with another bound.
void prepare_progress_restart(struct prepare_progress *progress, uint64_t val_below);
void prepare_progress_add(struct prepare_progress *progress, const struct prepare_result *result);
// Returns when what was added would survive a power cut.
void prepare_progress_save(struct prepare_progress *progress);
void prepare_progress_close(struct prepare_progress *progress);

#endif
