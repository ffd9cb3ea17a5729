// base.h: what any program is made of: how it speaks and ends, memory, random numbers, texts, JSON,
// processors. It knows nothing of models and includes no other wing: C's library, and jsmn and xxHash
// as headers.
#ifndef DIECAST_BASE_H
#define DIECAST_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

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

// ---- utf8.c -------------------------------------------------------------------------------------

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

// ---- pairs.c: "key=value key=value ...", a text of settings -------------------------------------

struct pair {
    const char *key, *value; // slices of the text
    int key_length, value_length;
};
// Takes the next pair off *text. False at the end.
bool pairs_next(const char **text, struct pair *pair);
bool pairs_find(const char *text, const char *key, int key_length, struct pair *pair);
extern const char pairs_nothing[]; // the value of a key that a text does not have

// ---- figures.c: numbers for people, and words for the shell -------------------------------------

struct figure {
    char s[32];
};
struct figure figure_count(int64_t n);    // 16,384
struct figure figure_bytes(double bytes); // 45.3 MB
struct figure figure_seconds(double s);   // 3m20s
// A path as it is typed into a shell: in quotes where it has to be. The caller frees.
char *shell_word(const char *path);

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

// ---- groups.c: what control groups (cgroups) leave to this process ------------------------------

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

// ---- memory_available.c -------------------------------------------------------------------------

// Bytes that this process could allocate now: the kernel's estimate, or what its control groups
// leave where that is less. root: as above.
size_t memory_available(const char *root);

// ---- processors.c: how many threads may run at once ---------------------------------------------

// Processors that this process may use at a time: those of its affinity, or what its control groups
// grant where that is less. The environment's DIECAST_PROCESSORS says it instead.
int processors_allowed(void);
// What control groups grant, of both versions and at every level, rounded up; INT_MAX without a
// limit. root: as above.
int processors_granted(const char *root);
// As many threads as `source`, a flag or a variable, asks for, but at most those, saying so; 0: all
// of those.
int processors_threads(const char *source, int asked);

#endif
