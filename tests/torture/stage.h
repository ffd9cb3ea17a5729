// stage.h: what the drivers of this folder share: a folder of small files that each case begins
// with, a program that is run in it, how that ended, and what it left behind.
// Needs only libc.
#ifndef DIECAST_STAGE_H
#define DIECAST_STAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct file {
    char path[256]; // relative to the stage
    char *bytes;
    size_t length;
};

struct files {
    struct file *file;
    int count;
};

// How a program ended.
struct ending {
    int code;     // its exit code; -1 if a signal ended it or it took too long
    char how[64]; // "exit code 65", "signal 11", "no end after 60 s"
    char *out, *err;
    size_t out_length, err_length;
};

// Prints a line and exits with 70: the driver itself cannot go on.
_Noreturn void stage_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

// Reads all regular files of a folder, and of those in it.
struct files stage_read(const char *folder);
void stage_free(struct files *files);
struct file *stage_find(const struct files *files, const char *path); // NULL if there is none

// Makes a temporary folder, which is removed at exit, and enters it.
void stage_open(void);
// Makes the files in it these and no others.
void stage_set(const struct files *files);
// Runs a program in it.
struct ending stage_run(char *const argv[]);
void stage_ended(struct ending *ending);

// ---- what a run left ----------------------------------------------------------------------------

// What counts of a run: these files, and what it printed if `out`. Numbers that depend on the
// machine's speed are left out of metrics.jsonl; of a safetensors file, if `loose`, also how many
// lines the log has and the header's hash, which covers that.
struct wanted {
    const char *path[8];
    int count;
    bool out, loose;
};
// As one text; the caller frees.
char *stage_result(const struct wanted *wanted, const struct ending *ending, size_t *length);
// Whether the files are these and no others, but for a lock; else says what is not.
bool stage_is(const struct files *files, char why[512]);
// Whether what went to stderr is one line that holds the word; else says why.
bool stage_one_line(const struct ending *ending, const char *word, char why[512]);

// A number in [0, bound) from a seed and a counter (splitmix64).
uint64_t stage_random(uint64_t seed, uint64_t counter, uint64_t bound);
// If argument is --NAME=VALUE: the value; else NULL.
const char *stage_flag(const char *argument, const char *name);

#endif
