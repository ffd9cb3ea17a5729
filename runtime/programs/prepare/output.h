// output.h: the files of a data set while they are made: written under temporary names, all renamed
// at the end, and the tokens that are in the folder already.
#ifndef DIECAST_PREPARE_OUTPUT_H
#define DIECAST_PREPARE_OUTPUT_H

#include "runtime/files/files.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct prepare_file {
    char *path, *temporary;
    FILE *stream;
};
enum { PREPARE_TRAIN, PREPARE_VAL, PREPARE_META, PREPARE_FOLDED, PREPARE_FILES };
// train.bin, val.bin, meta.json, and a copy of the text with LF line ends, which is never renamed.
extern struct prepare_file prepare_files[PREPARE_FILES];

// Removes the temporary files. For die_hook.
void prepare_remove(void);
_Noreturn void prepare_cannot_write(const struct prepare_file *file);
void prepare_remove_one(struct prepare_file *file);
struct prepare_file *prepare_create(int i, const char *dir, const char *name);
// Syncs and closes a file.
void prepare_finish(struct prepare_file *file);
// Gives the files their names, meta.json last.
void prepare_rename(void);

// Writes meta.json: one key a line and nothing that changes from run to run, since for some data
// sets git tracks this file. last: the text of its last lines.
struct prepare_meta {
    const char *name; // of the data set
    const struct tokenizer *tokenizer;
    uint64_t tokens[2];       // in train.bin and val.bin
    const char *tokens_at[2]; // their paths now
    const char *last;
};
void prepare_meta(const struct prepare_meta *meta, struct prepare_file *file);

// Maps a whole file; NULL if it does not exist. If it is empty, no byte of the result may be read.
const void *prepare_bytes(const char *path, size_t *length);
// What a folder's meta.json states of its files: the tokens in train.bin and val.bin, -1 if it does
// not, whether they are uint32, and whether another program made them.
struct prepare_stated {
    int64_t tokens[2];
    bool wide, elsewhere;
};
// Before anything is written: makes the folder; dies if tokens in it are not ours.
struct prepare_stated prepare_guard(const char *out);
// Sets aside a token file that does not match meta.json, as it was cut or another program wrote it.
void prepare_keep(const char *out, const struct prepare_stated *stated);

#endif
