// fuzz.h: what fuzz targets share. A target is a file tests/torture/fuzz/NAME.c with
//
//     int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
//
// which gives the bytes to one reader of the runtime and checks with FUZZ_MUST what must hold of
// what the reader accepted. libFuzzer calls it with inputs that it makes up; replay.c, which needs
// no libFuzzer, with files.
#ifndef DIECAST_FUZZ_H
#define DIECAST_FUZZ_H

#include "runtime/base/base.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

#define FUZZ_MUST(condition) ((condition) ? (void)0 : fuzz_fail(__FILE__, __LINE__, #condition))
_Noreturn void fuzz_fail(const char *file, int line, const char *condition);

// Calls read(context). True if it returned; false if it ended the program with die() or exit():
// fuzz_code is then the exit code, and fuzz_line the message ("" after exit). All memory that it
// allocated and did not free is freed then.
bool fuzz_survives(void (*read)(void *context), void *context);
extern int fuzz_code;
extern char fuzz_line[4096];
extern int fuzz_warnings; // calls of warn() since the last fuzz_survives began

// Writes a file of this name in the scratch folder, anew where one is there, and returns its path,
// which stays valid. The folder is FUZZ_TMP of the environment, best in memory, else the working
// folder.
const char *fuzz_file(const char *name, const void *bytes, size_t length);
const char *fuzz_path(const char *name);

// The input as pieces: takes what stands before the next byte `end`, or all that is left, and moves
// past it. A copy with a zero behind it, which the caller frees; NULL if nothing is left.
struct fuzz_input {
    const uint8_t *at, *end;
};
char *fuzz_take(struct fuzz_input *input, int end, size_t *length);

#endif
