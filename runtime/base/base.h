// base.h: what any program needs: messages and exit codes, memory, random numbers, UTF-8, JSON,
// hashes, processors. It knows nothing of models and includes no other wing: only C's library, and
// jsmn and xxHash as headers.
#ifndef DIECAST_BASE_H
#define DIECAST_BASE_H

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/types.h>

_Static_assert(sizeof(off_t) == 8, "for files of more than 2 GB: -D_FILE_OFFSET_BITS=64");

// ---- log.c: messages and exit codes -------------------------------------------------------------

enum exit_code {
    EXIT_DONE = 0,
    EXIT_USAGE = 64,    // a flag or a config is wrong
    EXIT_DATA = 65,     // a file's contents are wrong
    EXIT_MISSING = 66,  // a file is not there
    EXIT_INTERNAL = 70, // a bug in this program
    EXIT_MEMORY = 71,   // not enough memory (or no usable GPU)
    EXIT_IO = 74,       // reading or writing failed
    EXIT_STOPPED = 75,  // stopped by a signal, with its state saved: the same command resumes
    EXIT_NUMERICS = 76, // the loss or the gradients stayed non-finite
};

// Every program calls this first. Opens /dev/null in place of stdin, stdout or stderr where the
// program was started without; otherwise the next file opened would get that number and receive
// what is printed. What is printed goes on where a signal interrupts a write.
void streams_open(void);
// Every program ends with this: returns the code to exit with, which is EXIT_IO, after a line that
// says why, if all went well but what was printed could not be written.
int streams_close(int code);
// Prints one line to stderr (place, what was found, what was wanted, what to do) and exits.
_Noreturn void die(enum exit_code code, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
// Prints one line to stderr and continues.
void warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
// If set, die() calls it once before it exits, to remove temporary files.
extern void (*die_hook)(void);
// If set, warn() and die() call it with their line and print nothing.
extern void (*log_hook)(const char *line, bool dies);

// ---- message.c: a message's text ----------------------------------------------------------------

// As vsnprintf(), but control characters become question marks.
void message_print(char *line, size_t size, const char *format, va_list arguments);
// The exit code for an errno set by reading or writing: EXIT_MEMORY for ENOMEM, else EXIT_IO.
enum exit_code exit_code_of(int reason);

// Repeats a call that a signal interrupts, as those on network file systems and on ones in user
// space may be: the signal that asks for a stop comes just before the state is saved.
#define UNINTERRUPTED(result, call)                                                                \
    do {                                                                                           \
        result = call;                                                                             \
    } while (result < 0 && errno == EINTR)

// ---- file.c: files, and streams on them, whose calls are repeated in that way -------------------

// As open(), closed in children, new files with rights 0666; *status, unless NULL, as of fstat().
int file_open(const char *path, int flags, struct stat *status);
// Writes all bytes; returns how many it could, with errno if that is fewer.
size_t file_write(int file, const char *bytes, size_t count);
// As fopen(): r, w, a, with + and x. Streams are opened and closed by one thread at a time.
FILE *stream_open(const char *path, const char *mode);
// The same on an open file.
FILE *stream_on(int file, const char *mode);
// The descriptor of a stream, one of these or of libc's.
int stream_file(FILE *stream);
// Makes stdout such a stream.
void stream_stdout(void);

// ---- allocate.c: memory -------------------------------------------------------------------------
// Each dies with EXIT_MEMORY and "no memory for WHAT" if there is none, but for allocate_or_null.
// free() frees the result.

void *allocate(size_t count, size_t size, const char *what);            // all zeros
void *allocate_or_null(size_t count, size_t size);                      // the same, or NULL
void *allocate_again(void *memory, size_t bytes, const char *what);     // realloc
char *allocate_copy(const char *text, size_t length, const char *what); // with a zero after it
char *allocate_print(const char *what, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// A text that grows as it is written to a stream. open_memstream's forgets it where no memory was
// left to grow, and the text is then cut, or NULL.
struct growing {
    FILE *file; // write to this
    char *text;
    size_t length, room;
    const char *what;
};
void growing_begin(struct growing *g, const char *what);
size_t growing_length(struct growing *g); // bytes so far
char *growing_end(struct growing *g);     // closes the stream; the caller frees the text

// Reads a file's next line, with its newline, as getline() does: its length, or -1 at the end of
// the file or if reading fails, which ferror() tells.
ssize_t allocate_line(char **line, size_t *size, FILE *file, const char *what);

// ---- time.c -------------------------------------------------------------------------------------

// Seconds on a clock that never goes back.
double time_now(void);

// ---- rng.c: Threefry-2x32-20 (Salmon et al., 2011), a counter-based generator -------------------
// Every random number is a function of (seed, stream, counter). As there is no generator state, a
// resumed run, another number of threads or another backend draws the same numbers.

enum rng_stream {
    RNG_TRAIN = 0,      // offsets of training batches
    RNG_EVAL_TRAIN = 1, // offsets of evaluation batches, training split
    RNG_EVAL_VAL = 2,   // offsets of evaluation batches, validation split
    RNG_INIT = 3,       // initial weights
    RNG_SAMPLE = 4,     // the sampler's choices
    RNG_DROPOUT = 5,    // keys of dropout masks
    RNG_BENCH = 6,      // made-up tokens for benchmarks
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

// Decodes the code point at the start of text. Returns its length in bytes, or 0 if there is no
// valid one: overlong forms, surrogates and values above U+10FFFF are invalid.
int utf8_decode(const unsigned char *text, size_t length, uint32_t *codepoint);
// Writes a code point as UTF-8 and returns how many bytes it took.
int utf8_encode(uint32_t codepoint, char bytes[4]);

// Turns a stream of tokens, whose bytes may end within a character, into valid UTF-8: an incomplete
// character is held until the next token's bytes come, and each maximal invalid sequence becomes
// one U+FFFD, as in Python's decode(errors="replace"). Starts as {0}.
struct utf8_mend {
    unsigned char held[4];
    int count;
};
// Writes at most 3 * (length + 1) bytes to text and returns how many.
size_t utf8_mend(struct utf8_mend *mend, const char *bytes, size_t length, char *text);
// Call at the end: writes U+FFFD if an incomplete character is still held, and returns 3 or 0.
size_t utf8_mend_end(struct utf8_mend *mend, char text[3]);

// ---- pairs.c: settings as text, "key=value key=value ..." ---------------------------------------

struct pair {
    const char *key, *value; // slices of the text
    int key_length, value_length;
};
// Reads the next pair and moves *text past it. False at the end.
bool pairs_next(const char **text, struct pair *pair);
bool pairs_find(const char *text, const char *key, int key_length, struct pair *pair);
extern const char pairs_nothing[]; // the value that stands for a key the text does not have

// ---- nearest.c: which name was probably meant ---------------------------------------------------

// Of the names tried, the first of those nearest to a word: at most one edit away for each three
// characters of the word (rounded up), and three in all. Capitals count as small letters.
struct nearest {
    const char *word;
    int word_length;
    const char *name; // NULL: none is near; else what nearest_try was given
    int name_length;
    int edits; // to `name`; while there is none, one more than are allowed
};
struct nearest nearest_to(const char *word, int length);
void nearest_try(struct nearest *nearest, const char *name, int length);

// ---- slice.c: parts of a text that have no zero behind them -------------------------------------

struct slice {
    const char *text;
    size_t length;
};
bool slice_is(struct slice slice, const char *text);
int slice_compare(const void *a, const void *b); // of two slices, for qsort
// Writes at most so many bytes of it as a terminal may get them, and a zero: control characters
// become '?', and "..." stands for what is left out. shown has room for 4 more.
void slice_show(struct slice slice, size_t most, char *shown);
// The arguments for "%.*s" in a message, which shows the beginning of a long one.
#define SLICE_SHOWN(slice) (int)((slice).length < 120 ? (slice).length : 120), (slice).text

// ---- figures.c: numbers for people to read, and quoting for the shell ---------------------------

struct figure {
    char s[32];
};
struct figure figure_count(int64_t n);    // 16,384
struct figure figure_bytes(double bytes); // 45.3 MB
struct figure figure_seconds(double s);   // 3m20s
// A path as typed into a shell, quoted if necessary. The caller frees.
char *shell_word(const char *path);

// ---- flags.c: the command lines of small programs -----------------------------------------------

struct text_flag {
    const char *flag; // "--name="
    const char **value;
};
// Sets the value of each flag that is given; the last one counts. Dies with EXIT_USAGE and `wanted`
// for any other argument.
void flags_read(const char *program, const char *wanted, const struct text_flag *flags, int count,
                int argc, char **argv);
// The whole number of a flag's text. Dies with EXIT_USAGE if it is none, or not from least to most.
int64_t flags_number(const char *flag, const char *text, int64_t least, int64_t most);

// ---- hash.c: XXH3-64, as 16 hexadecimal digits --------------------------------------------------

uint64_t hash_of(const void *bytes, size_t length); // as a number
void hash_bytes(const void *bytes, size_t length, char text[17]);
// Hashes an open file of `bytes` bytes: all of it, or, if it is larger than HASH_WHOLE and `whole`
// is false, its size and 256 equally spaced blocks, the first and the last included. Returns false
// with errno set; errno is 0 if the file became shorter.
enum { HASH_WHOLE = 256 << 20 };
bool hash_file(int file, uint64_t bytes, bool whole, char text[17]);
// The same of any stream of bytes. `read` copies those from `at` on, or returns false with errno.
typedef bool hash_read(void *context, uint64_t at, size_t bytes, void *to);
bool hash_stream(hash_read *read, void *context, uint64_t bytes, bool whole, char text[17]);

// The same of bytes that come in parts: a hash of all that was added so far, at any time.
struct hashing;
struct hashing *hashing_begin(void);
void hashing_add(struct hashing *hashing, const void *bytes, size_t length);
// Adds the first bytes of an open file. False with errno, as hash_file.
bool hashing_add_file(struct hashing *hashing, int file, size_t bytes);
void hashing_text(const struct hashing *hashing, char text[17]);
void hashing_end(struct hashing *hashing);

// ---- json.c: strict JSON on top of jsmn's tokens ------------------------------------------------

struct json; // a parsed document; strings are slices of the text, or of an unescaped copy of it
// Parses text[0..length). Returns NULL and sets *error to a static message for anything that RFC
// 8259 does not allow, for duplicate keys, and for nesting deeper than 32.
struct json *json_parse(const char *text, size_t length, const char **error);
void json_free(struct json *json);
// A value is a token index: 0 is the root, -1 means there is none.
int json_get(const struct json *json, int object, const char *key);      // a member's value, or -1
int json_count(const struct json *json, int value);                      // members or elements
int json_member(const struct json *json, int object, int i, int *value); // i-th key and its value
int json_element(const struct json *json, int array, int i);
bool json_is_object(const struct json *json, int value);
bool json_is_array(const struct json *json, int value);
bool json_is_null(const struct json *json, int value);
bool json_is_true(const struct json *json, int value);
int json_size(const struct json *json); // values in all, keys included
// Copies a string, unescaped; NULL if the value is no string or contains a zero. The caller frees.
char *json_string(const struct json *json, int value);
// The same of any string, and its length.
char *json_bytes(const struct json *json, int value, size_t *length);
// Unescapes text[0..length), the valid inside of a JSON string, into out, which may be text itself.
// Returns the length, or -1 for half a surrogate pair.
int json_unescape(const char *text, int length, char *out);
// For JSON lines: finds the string under `key`, of at most 32 bytes, in text[0..length), which must
// be one JSON object, and unescapes it in its place in text. Returns NULL, or a static message for
// what json_parse refuses; of keys that are there twice only for this one. It takes a few
// nanoseconds a byte and no memory.
const char *json_line(char *text, size_t length, const char *key, char **string,
                      size_t *string_length);
// Copies a number, true, false or null as it is written; NULL if the value is none of them. The
// caller frees.
char *json_word(const struct json *json, int value);
// Reads a non-negative integer below 2^63; false for anything else.
bool json_integer(const struct json *json, int value, int64_t *out);

// ---- json_write.c: values as JSON text ----------------------------------------------------------

// Writes a string in quotes, escaped as JSON requires; an invalid UTF-8 byte becomes U+FFFD.
void json_write_string(FILE *out, const char *text, size_t length);
// Writes nine significant digits, which identify a float exactly, or null if x is not finite.
void json_write_number(FILE *out, double x);

// ---- there.c: whether something is at a path ----------------------------------------------------
// Each dies with EXIT_IO where that cannot be seen, since a file that is taken to be missing would
// be made anew.

bool path_is_there(const char *path); // a link counts as what it leads to
bool path_is_taken(const char *path); // a link counts itself

// ---- replace.c: replacing a small file atomically -----------------------------------------------

struct replacement {
    FILE *file; // write to this
    char *path, *temporary;
};
// Opens path.tmp, which will replace path. Dies with EXIT_IO, also if path exists and is not a
// regular file.
void replace_begin(struct replacement *r, const char *path);
// Renames path.tmp to path, and returns when its bytes and its name would survive a power cut. Dies
// with EXIT_IO if any write since replace_begin failed: the old file is then untouched and no
// temporary file is left.
void replace_end(struct replacement *r);

// ---- new_folder.c: a folder that appears whole or not at all ------------------------------------

struct new_folder {
    char *path, *temporary;
    const char *const *names; // (count) of all files that may be put into it
    int count;
};
// Makes path.tmp, an empty folder. False, with errno, if that cannot be.
bool new_folder_begin(struct new_folder *folder, const char *path, const char *const *names,
                      int count);
// The path of a file in path.tmp, to write it there, synced. The caller frees.
char *new_folder_path(const struct new_folder *folder, const char *name);
// Writes and syncs one file. False, with errno.
bool new_folder_put(const struct new_folder *folder, const char *name, const char *text,
                    size_t length);
// Renames path.tmp to path, which must not be there, so that it would survive a power cut. False,
// with errno: nothing is left then, unless it is there and its name could not be synced.
bool new_folder_end(struct new_folder *folder);
// Removes path.tmp instead; errno stays as it was.
void new_folder_drop(struct new_folder *folder);

// ---- sync.c: what would survive a power cut -----------------------------------------------------

// The bytes of a file, as far as they were written. False, with errno, if they might not.
bool sync_stream(FILE *stream);
// The names in the folder of path: files that were made, renamed or removed there, which a file's
// own sync does not do. False, with errno, if they might not.
bool sync_names(const char *path);

// ---- machine.c ----------------------------------------------------------------------------------

// The processor's name: printable ASCII without quotes and backslashes.
void machine_name(char name[128]);
// Seconds that all processors together have worked since the machine's start, for any process; NAN
// where Linux does not say.
double machine_busy_seconds(void);
enum { MACHINE_PATH = 4096 };
// The path of a file in this program's own folder, relative to the working folder if it lies
// within. False if access() with that mode fails.
bool machine_beside(const char *name, int mode, char path[MACHINE_PATH]);

// ---- groups.c: the limits that control groups (cgroups) set for this process --------------------

// Returns what one group still allows, in the caller's unit; LLONG_MAX if it sets no limit. root:
// "", or, in tests, a folder that stands for the machine's /; group: the group's folder under it.
typedef long long groups_leave(const char *root, const char *group, bool v2);
// The minimum of `leave` over this process's group and its ancestors, in each mounted hierarchy
// that has the controller ("cpu", "memory").
long long groups_least(const char *root, const char *controller, groups_leave *leave);
// Reads the first `count` numbers of a group's file; 0 for one that is missing, not a number, or
// not above 0 ("max" and -1 mean no limit).
void groups_numbers(const char *root, const char *group, const char *name, int count,
                    long long *number);
// The number in the line "WORD NUMBER" of a group's file; 0 as above.
long long groups_number_of(const char *root, const char *group, const char *name, const char *word);

// ---- memory_available.c -------------------------------------------------------------------------

// Bytes that this process could allocate now: the lesser of the kernel's estimate and what its
// control groups leave. root: as above.
size_t memory_available(const char *root);
// Processes of one job on this machine, which share what is available; 1.
extern int memory_sharers;

// ---- processors.c: how many threads may run at once ---------------------------------------------

// Processors that this process may use at a time: the lesser of its affinity mask and its control
// groups' quota. The environment variable DIECAST_PROCESSORS overrides both.
int processors_allowed(void);
// The least quota of the control groups of both versions at every level, rounded up to whole
// processors; INT_MAX without one. root: as above.
int processors_granted(const char *root);
// How many threads to use when `source`, a flag or a variable, asks for `asked`: at most
// processors_allowed(), with a warning when that is fewer; 0 asks for all of them.
int processors_threads(const char *source, int asked);

#endif
