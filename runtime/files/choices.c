// choices.c: questions of several endings, one of which is right, as HellaSwag's, in llm.c's file
// of an evaluation: a header of 256 int32, then the items, which are uint16s:
//
//     20240522, 1, number of items, bytes of the longest item, 0 ...
//     65535, bytes of this item, its index, the right ending, 4, number of the context's tokens,
//     those tokens, and for each ending the number of its tokens and those tokens
//
// Beside a NAME.bin that was made here lies NAME.json, with its hash and its tokenizer. One that
// llm.c wrote has none: its tokens are GPT-2's. All of the file is held in memory, so that a run
// which evaluates need not care what becomes of it.
#include "runtime/files/files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "files of evaluations are little-endian");

enum {
    CHOICES_BEFORE = 6,          // uint16s of an item before its context's tokens
    CHOICES_META_MAX = 16 << 20, // bytes
};
#define CHOICES_MAKE "'make data EVAL=hellaswag TEXT=hellaswag_val.jsonl' makes it"

struct choices_reading {
    struct choices *choices;
    char *error;
    enum exit_code *code;
};

static bool choices_fail(struct choices_reading *r, enum exit_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static bool choices_fail(struct choices_reading *r, enum exit_code code, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(r->error, CHOICES_ERROR, format, arguments);
    va_end(arguments);
    *r->code = code;
    return false;
}

// ---- files --------------------------------------------------------------------------------------

// Opens a regular file and gets its size. Its descriptor, or -1.
static int choices_file(struct choices_reading *r, const char *path, int64_t *bytes) {
    struct stat status;
    const int file = file_open(path, O_RDONLY, &status);
    if (file < 0) {
        const bool missing = errno == ENOENT || errno == ENOTDIR;
        choices_fail(r, missing ? EXIT_MISSING : exit_code_of(errno),
                     "%s: cannot open: %s; " CHOICES_MAKE, path, strerror(errno));
    } else if (!S_ISREG(status.st_mode)) {
        choices_fail(r, EXIT_DATA, "%s: is not a regular file; " CHOICES_MAKE, path);
    } else {
        *bytes = status.st_size;
        return file;
    }
    if (file >= 0) {
        close(file);
    }
    return -1;
}

static bool choices_take(struct choices_reading *r, const char *path, int file, void *to,
                         size_t bytes) {
    for (size_t at = 0; at < bytes;) {
        const ssize_t got = read(file, (char *)to + at, bytes - at);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return choices_fail(r, got ? exit_code_of(errno) : EXIT_IO, "%s: cannot read: %s", path,
                                got ? strerror(errno) : "it became shorter meanwhile");
        }
        at += (size_t)got;
    }
    return true;
}

// ---- items --------------------------------------------------------------------------------------

// Notes the largest of an item's tokens. False if one of them is the mark that begins an item.
static bool choices_tokens(struct choices *c, const uint16_t *tokens, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (tokens[i] == CHOICES_MARK) {
            return false;
        }
        c->largest = tokens[i] > c->largest ? tokens[i] : c->largest;
    }
    return true;
}

// Checks item `i`, which begins where `left` uint16s are left. *length of them are the item's.
static bool choices_check(struct choices_reading *r, int i, const uint16_t *item, size_t left,
                          size_t *length) {
    const char *path = r->choices->path;
    if (left < CHOICES_BEFORE) {
        return choices_fail(r, EXIT_DATA, "%s: ends before item %d of %d; " CHOICES_MAKE " again",
                            path, i, r->choices->count);
    }
    if (item[0] != CHOICES_MARK || item[2] != i) {
        return choices_fail(
            r, EXIT_DATA,
            "%s: item %d begins with %d and has index %d; %d and %d are wanted; " CHOICES_MAKE
            " again",
            path, i, item[0], item[2], CHOICES_MARK, i);
    }
    *length = item[1] / 2;
    if (item[1] % 2 || *length < CHOICES_BEFORE || *length > left) {
        return choices_fail(
            r, EXIT_DATA,
            "%s: item %d states that it has %d bytes, where %zu are left; " CHOICES_MAKE " again",
            path, i, item[1], 2 * left);
    }
    if (item[4] != CHOICES || item[3] >= CHOICES) {
        return choices_fail(r, EXIT_DATA,
                            "%s: item %d states that ending %d of %d is right, counted from 0; "
                            "one of %d is wanted; " CHOICES_MAKE " again",
                            path, i, item[3], item[4], CHOICES);
    }
    size_t at = CHOICES_BEFORE - 1; // of the number of the context's tokens, then of the endings'
    for (int part = 0; part <= CHOICES; part++) {
        const size_t after = at < *length ? *length - at - 1 : 0, count = after ? item[at] : 0;
        if (count == 0 || count > after) {
            return choices_fail(
                r, EXIT_DATA,
                "%s: item %d states %zu tokens for its %s, where %zu are left; " CHOICES_MAKE
                " again",
                path, i, count, part ? "ending" : "context", after);
        }
        if (!choices_tokens(r->choices, item + at + 1, count)) {
            return choices_fail(
                r, EXIT_DATA,
                "%s: item %d has the token %d, which only begins items; " CHOICES_MAKE " again",
                path, i, CHOICES_MARK);
        }
        at += 1 + count;
    }
    if (at != *length) {
        return choices_fail(r, EXIT_DATA,
                            "%s: item %d states that it has %d bytes, and has %zu; " CHOICES_MAKE
                            " again",
                            path, i, item[1], 2 * at);
    }
    return true;
}

// Finds the items among all of the file's `count` uint16s. `longest` is what the header states.
static bool choices_find(struct choices_reading *r, size_t count, int32_t longest) {
    struct choices *c = r->choices;
    size_t at = CHOICES_HEADER / 2, length = 0, most = 0;
    for (int i = 0; i < c->count; i++, at += length) {
        if (!choices_check(r, i, c->words + at, count - at, &length)) {
            return false;
        }
        c->at[i] = at;
        most = length > most ? length : most;
    }
    if (at != count) {
        return choices_fail(r, EXIT_DATA,
                            "%s: has %zu bytes after its %d items; " CHOICES_MAKE " again", c->path,
                            2 * (count - at), c->count);
    }
    if (2 * most != (size_t)longest) {
        return choices_fail(r, EXIT_DATA,
                            "%s: states that its longest item has %" PRId32 " bytes, and that one "
                            "has %zu; " CHOICES_MAKE " again",
                            c->path, longest, 2 * most);
    }
    return true;
}

static bool choices_read(struct choices_reading *r, int file, int64_t bytes) {
    struct choices *c = r->choices;
    int32_t header[CHOICES_HEADER / sizeof(int32_t)];
    if (bytes < CHOICES_HEADER) {
        return choices_fail(r, EXIT_DATA,
                            "%s: has %" PRId64 " bytes, where a header takes %d; " CHOICES_MAKE
                            " again",
                            c->path, bytes, CHOICES_HEADER);
    }
    if (!choices_take(r, c->path, file, header, sizeof header)) {
        return false;
    }
    if (header[0] != CHOICES_MAGIC || header[1] != CHOICES_VERSION) {
        return choices_fail(r, EXIT_DATA,
                            "%s: begins with %" PRId32 ", %" PRId32 "; an evaluation's file, which "
                            "begins with %d, %d, is wanted; " CHOICES_MAKE,
                            c->path, header[0], header[1], CHOICES_MAGIC, CHOICES_VERSION);
    }
    const int64_t items = bytes - CHOICES_HEADER;
    if (header[2] < 1 || header[2] > CHOICES_MOST || items % 2 ||
        items > (int64_t)header[2] * CHOICES_ITEM_MAX) {
        return choices_fail(r, EXIT_DATA,
                            "%s: states %" PRId32 " items, where %" PRId64
                            " bytes are left; " CHOICES_MAKE " again",
                            c->path, header[2], items);
    }
    c->count = header[2];
    c->words = allocate((size_t)bytes, 1, "an evaluation's items");
    c->at = allocate((size_t)c->count, sizeof *c->at, "an evaluation's items");
    memcpy(c->words, header, sizeof header);
    if (!choices_take(r, c->path, file, (char *)c->words + sizeof header, (size_t)items)) {
        return false;
    }
    hash_bytes(c->words, (size_t)bytes, c->hash);
    return choices_find(r, (size_t)bytes / 2, header[3]);
}

// ---- NAME.json ----------------------------------------------------------------------------------

char *choices_meta_path(const char *path) {
    const size_t length = strlen(path), stem = length > 4 ? length - 4 : length;
    const bool bin = !strcmp(path + stem, ".bin");
    return allocate_print("a path", "%.*s.json", (int)(bin ? stem : length), path);
}

static bool choices_meta_check(struct choices_reading *r, const char *path,
                               const struct json *json) {
    struct choices *c = r->choices;
    char *hash = json_string(json, json_get(json, 0, "xxh3"));
    c->tokenizer = json_string(json, json_get(json, 0, "tokenizer"));
    const bool stated = hash && c->tokenizer, same = stated && !strcmp(hash, c->hash);
    free(hash);
    if (!stated) {
        return choices_fail(r, EXIT_DATA,
                            "%s: has no tokenizer and xxh3, which such a file states; " CHOICES_MAKE
                            " again",
                            path);
    }
    if (!same) {
        return choices_fail(r, EXIT_DATA,
                            "%s: has the hash %s, but %s states another: it is damaged or another "
                            "file; " CHOICES_MAKE " again",
                            c->path, c->hash, path);
    }
    struct tokenizer tokenizer;
    const char *problem;
    if (!tokenizer_parse(&tokenizer, c->tokenizer, &problem)) {
        return choices_fail(r, EXIT_DATA, "%s: %s; " CHOICES_MAKE " again", path, problem);
    }
    const int vocab_size = tokenizer.vocab_size;
    tokenizer_free(&tokenizer);
    if (c->largest >= vocab_size) {
        return choices_fail(r, EXIT_DATA,
                            "%s: has the token %d, where the tokenizer in %s has %d; " CHOICES_MAKE
                            " again",
                            c->path, c->largest, path, vocab_size);
    }
    return true;
}

// Reads NAME.json, if there is one.
static bool choices_meta(struct choices_reading *r) {
    char *path = choices_meta_path(r->choices->path);
    int64_t bytes;
    bool good = !path_is_there(path);
    const int file = good ? -1 : choices_file(r, path, &bytes);
    if (file >= 0 && bytes > CHOICES_META_MAX) {
        choices_fail(r, EXIT_DATA, "%s: has %" PRId64 " bytes, more than any such file", path,
                     bytes);
    } else if (file >= 0) {
        char *text = allocate((size_t)bytes + 1, 1, path);
        const char *problem;
        struct json *json = NULL;
        good = choices_take(r, path, file, text, (size_t)bytes);
        if (good) {
            json = json_parse(text, (size_t)bytes, &problem);
            good = json ? json_is_object(json, 0) : false;
            good = good ? choices_meta_check(r, path, json)
                        : choices_fail(r, EXIT_DATA, "%s: %s; " CHOICES_MAKE " again", path,
                                       json ? "is not a JSON object" : problem);
        }
        json_free(json);
        free(text);
    }
    if (file >= 0) {
        close(file);
    }
    free(path);
    return good;
}

// ---- what others call ---------------------------------------------------------------------------

bool choices_open(struct choices *choices, const char *path, char error[CHOICES_ERROR],
                  enum exit_code *code) {
    struct choices_reading r = {choices, error, code};
    int64_t bytes;
    *choices = (struct choices){.path = allocate_copy(path, strlen(path), "a path")};
    const int file = choices_file(&r, path, &bytes);
    const bool good = file >= 0 && choices_read(&r, file, bytes) && choices_meta(&r);
    if (file >= 0) {
        close(file);
    }
    if (!good) {
        choices_close(choices);
    }
    return good;
}

void choices_close(struct choices *choices) {
    free(choices->path);
    free(choices->words);
    free(choices->at);
    free(choices->tokenizer);
    *choices = (struct choices){0};
}

struct choice choices_item(const struct choices *choices, int i) {
    const uint16_t *item = choices->words + choices->at[i], *next = item + CHOICES_BEFORE - 1;
    struct choice choice = {.right = item[3]};
    for (int part = 0; part <= CHOICES; part++) {
        choice.part[part] = (struct choice_tokens){next + 1, *next};
        next += 1 + *next;
    }
    return choice;
}

bool choices_fit(const struct choices *choices, const char *whose, const char *tokenizer,
                 int vocab_size, char error[CHOICES_ERROR]) {
    static const char gpt2[] = "30bf1a2974c14196"; // the hash of GPT-2's tokenizer
    char hash[17], theirs[17];
    snprintf(theirs, sizeof theirs, "%s", gpt2);
    hash_bytes(tokenizer, strlen(tokenizer), hash);
    if (choices->tokenizer) {
        hash_bytes(choices->tokenizer, strlen(choices->tokenizer), theirs);
    }
    if (*tokenizer && strcmp(hash, theirs)) {
        snprintf(error, CHOICES_ERROR,
                 "%s: is made of the tokens of tokenizer %s%s, those of %s are of %s; a model of "
                 "the same tokenizer is wanted",
                 choices->path, theirs, strcmp(theirs, gpt2) ? "" : " (GPT-2's)", whose, hash);
        return false;
    }
    if (choices->largest >= vocab_size) {
        snprintf(error, CHOICES_ERROR,
                 "%s: has the token %d, where the vocabulary of %s has %d; a model of the same "
                 "tokenizer is wanted",
                 choices->path, choices->largest, whose, vocab_size);
        return false;
    }
    return true;
}
