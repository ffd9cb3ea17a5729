// inputs.h: the files that a data set of documents is made of, and their parts, the units in which
// they are read.
#ifndef DIECAST_PREPARE_INPUTS_H
#define DIECAST_PREPARE_INPUTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct prepare_input {
    char *path;
    uint64_t bytes;
    struct timespec changed;
    bool lines; // JSON lines, each with a document; else the file is one
};
// A unit is whole files, or a part of one: the lines that begin in [from, to), or the text between
// two places to cut (documents.h). Which units there are depends on the files' sizes alone.
struct prepare_unit {
    size_t file, files;
    uint64_t from, to; // of the file, if it is one
};
struct prepare_inputs {
    struct prepare_input *file; // sorted by their paths
    size_t files;
    struct prepare_unit *unit;
    size_t units;
    uint64_t bytes;      // of all files
    uint64_t unit_bytes; // of a unit, about
};

// Lists a file of JSON lines, or all files in a folder and the folders in it, but for those whose
// name begins with a dot; one whose name ends with .jsonl has JSON lines. unit_bytes: a unit ends
// with the file that fills it. Dies 65 for what is not a file, and for files that are compressed by
// their names; 66, 71, 74.
void prepare_list(struct prepare_inputs *inputs, const char *path, uint64_t unit_bytes);
void prepare_unlist(struct prepare_inputs *inputs);

#endif
