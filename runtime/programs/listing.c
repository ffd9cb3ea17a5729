// listing.c: a program that makes a data set of llm.c's token shards:
//
//     listing --out=DIR --name=DATASET --shards=PATTERNS [--val=PATTERNS]
//             --tokenizer=gpt2|PLACE|ids:COUNT [--gpt2=FOLDER]
//
// writes DIR/meta.json, which lists the shards by their paths, and copies nothing: the tokens stay
// where they are. PATTERNS are paths with *, ? and [...], with spaces between them. Without --val=
// a shard's name says what it is for, "NAME_train_000001.bin" or "NAME_val_000000.bin"; with it
// those that it matches are for validation and all others to train on. Within a pattern shards are
// in the order of their names. All of them are read once, to check that each token is in the
// vocabulary and to hash them. Tokens are GPT-2's, from FOLDER (default data/gpt2), those of the
// tokenizer at PLACE (tokenizer_files.c), or COUNT ids without text.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE // for GLOB_TILDE
#endif
#include "runtime/files/files.h"

#include <errno.h>
#include <glob.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LISTING_PIECE = 1 << 16 }; // tokens that are read at a time

struct listing_options {
    const char *out, *name, *shards, *val, *tokenizer, *gpt2;
};

// ---- which files --------------------------------------------------------------------------------

struct paths {
    char **path; // absolute, without links
    int count;
};

static bool paths_have(const struct paths *paths, const char *path) {
    for (int i = 0; i < paths->count; i++) {
        if (!strcmp(paths->path[i], path)) {
            return true;
        }
    }
    return false;
}

// Adds a path, unless it is in the list. Takes it.
static void paths_add(struct paths *paths, char *path) {
    if (paths_have(paths, path)) {
        free(path);
        return;
    }
    const size_t n = (size_t)paths->count;
    if ((n & (n - 1)) == 0) { // at each power of two the array is full
        paths->path =
            allocate_again(paths->path, (n ? 2 * n : 1) * sizeof *paths->path, "a list of shards");
    }
    paths->path[paths->count++] = path;
}

static void paths_free(struct paths *paths) {
    for (int i = 0; i < paths->count; i++) {
        free(paths->path[i]);
    }
    free(paths->path);
}

// Adds all files that one pattern matches.
static void paths_match(struct paths *paths, const char *word, const char *pattern) {
    glob_t found;
    const int problem = glob(pattern, GLOB_TILDE | GLOB_ERR, NULL, &found);
    if (problem == GLOB_NOMATCH ||
        (problem == GLOB_ABORTED && (errno == ENOENT || errno == ENOTDIR))) {
        die(EXIT_MISSING, "%s: no file is '%s'", word, pattern);
    }
    if (problem) {
        die(problem == GLOB_NOSPACE ? EXIT_MEMORY : EXIT_IO, "%s: '%s' cannot be looked for: %s",
            word, pattern, strerror(errno));
    }
    for (size_t i = 0; i < found.gl_pathc; i++) {
        char *path = realpath(found.gl_pathv[i], NULL);
        if (!path) {
            die(errno == ENOENT ? EXIT_MISSING : exit_code_of(errno), "%s: %s", found.gl_pathv[i],
                strerror(errno));
        }
        const size_t length = strlen(path);
        for (size_t at = 0; at < length;) {
            uint32_t c;
            const int bytes = utf8_decode((const unsigned char *)path + at, length - at, &c);
            if (bytes == 0) {
                die(EXIT_USAGE, "%s: its path is not UTF-8, as meta.json has to be; rename it",
                    path);
            }
            at += (size_t)bytes;
        }
        paths_add(paths, path);
    }
    globfree(&found);
}

// Adds all files that the patterns match, which have white space between them.
static void paths_match_all(struct paths *paths, const char *word, const char *patterns) {
    char *copy = allocate_copy(patterns, strlen(patterns), "patterns"), *rest = copy;
    for (char *pattern; (pattern = strsep(&rest, " \t\n")) != NULL;) {
        if (*pattern) {
            paths_match(paths, word, pattern);
        }
    }
    free(copy);
    if (paths->count == 0) {
        die(EXIT_USAGE, "%s: is empty; the paths of token shards are wanted, as in %s=\"%s\"", word,
            word, "path/to/fineweb_*.bin");
    }
}

// Whether a file's name has "_val" or "_train", followed by '_' or '.'.
static bool listing_name_says(const char *path, const char *what) {
    const char *name = strrchr(path, '/');
    for (const char *at = name ? name : path; (at = strstr(at, what)) != NULL; at++) {
        const char after = at[strlen(what)];
        if (after == '_' || after == '.') {
            return true;
        }
    }
    return false;
}

// Divides the shards between the splits.
static void listing_divide(const struct listing_options *options, struct paths splits[2]) {
    struct paths all = {0};
    paths_match_all(&all, "SHARDS", options->shards);
    if (*options->val) {
        paths_match_all(&splits[1], "VAL", options->val);
    }
    for (int i = 0; i < all.count; i++) {
        const char *path = all.path[i];
        const bool val = listing_name_says(path, "_val");
        if (*options->val ? paths_have(&splits[1], path) : false) {
            continue;
        }
        if (!*options->val && val == listing_name_says(path, "_train")) {
            die(EXIT_USAGE,
                "%s: its name says neither _train_ nor _val_; VAL=\"patterns\" says which shards "
                "are for validation",
                path);
        }
        paths_add(&splits[!*options->val && val], allocate_copy(path, strlen(path), "a path"));
    }
    paths_free(&all);
    for (int i = 0; i < 2; i++) {
        if (splits[i].count == 0) {
            die(EXIT_USAGE,
                i ? "SHARDS: none is for validation (_val_ in its name); VAL=\"patterns\" says "
                    "which ones are"
                  : "SHARDS: none is to train on (_train_ in its name, or not of VAL)");
        }
    }
}

// ---- what they have -----------------------------------------------------------------------------

static void listing_open(struct split *split, const struct paths *paths,
                         const struct split *other) {
    split->file = -1;
    for (int i = 0; i < paths->count; i++) {
        enum exit_code code;
        const char *problem = split_add_shard(split, paths->path[i], &code);
        if (problem) {
            die(code, "%s: %s", paths->path[i], problem);
        }
    }
    if (other && other->wide != split->wide) {
        die(EXIT_DATA, "%s: has %s tokens, but %s has %s; one type is wanted", paths->path[0],
            split->wide ? "uint32" : "uint16", other->shards->path,
            split->wide ? "uint16" : "uint32");
    }
}

// Reads all of a split: checks each token, and hashes each shard's, and all.
static void listing_read(struct split *split, const struct tokenizer *tokenizer) {
    static uint32_t tokens[LISTING_PIECE];
    static int32_t bytes[LISTING_PIECE];
    struct hashing *all = hashing_begin();
    const bool shown = isatty(STDERR_FILENO);
    for (int i = 0; i < split->shard_count; i++) {
        struct token_file *shard = &split->shards[i];
        struct hashing *own = hashing_begin();
        if (shown) {
            fprintf(stderr, "\r\033[Kreading shard %d of %d: %s", i + 1, split->shard_count,
                    shard->path);
        }
        for (uint64_t at = 0; at < shard->count; at += LISTING_PIECE) {
            const uint64_t left = shard->count - at;
            const size_t some = left < LISTING_PIECE ? (size_t)left : LISTING_PIECE;
            const enum exit_code code = split_tokens(split, shard->first + at, some, tokens);
            if (code) {
                exit(code); // after split_tokens' line
            }
            for (size_t k = 0; k < some; k++) {
                if (tokens[k] >= (uint32_t)tokenizer->vocab_size) {
                    char vocabulary[96];
                    tokenizer_describe(tokenizer, vocabulary);
                    die(EXIT_DATA,
                        "%s: token %" PRIu64 " is %" PRIu32
                        ", but the vocabulary is %s; TOKENIZER= "
                        "says what it is: gpt2, a tokenizer's path, or ids:COUNT",
                        shard->path, at + k, tokens[k], vocabulary);
                }
            }
            tokens_pack((const int32_t *)tokens, some, split->wide, bytes);
            hashing_add(own, bytes, some * tokens_width(split->wide));
            hashing_add(all, bytes, some * tokens_width(split->wide));
        }
        hashing_text(own, shard->stated);
        hashing_end(own);
    }
    if (shown) {
        fprintf(stderr, "\r\033[K");
    }
    hashing_text(all, split->stated);
    hashing_end(all);
    split_hash(split, false, split->hash);
}

// ---- meta.json ----------------------------------------------------------------------------------

// Writes a list of shards. Those within the folder are named by their place in it, so that it may
// be moved.
static void listing_list(const struct split *split, const char *key, const char *folder,
                         const char *end, FILE *out) {
    const size_t inside = strlen(folder);
    fprintf(out, "    \"%s\": [\n", key);
    for (int i = 0; i < split->shard_count; i++) {
        const struct token_file *shard = &split->shards[i];
        const char *path = shard->path;
        if (!strncmp(path, folder, inside) && path[inside] == '/') {
            path += inside + 1;
        }
        fputs("      { \"path\": ", out);
        json_write_string(out, path, strlen(path));
        fprintf(out, ", \"tokens\": %" PRIu64 ", \"xxh3\": \"%s\" }%s\n", shard->count,
                shard->stated, i + 1 < split->shard_count ? "," : "");
    }
    fprintf(out, "    ]%s\n", end);
}

static void listing_write(const struct listing_options *options, const struct tokenizer *tokenizer,
                          const struct split splits[2], const char *path) {
    static const char *const keys[] = {"train", "val"};
    char hash[17], *folder = realpath(options->out, NULL);
    if (!folder) {
        die(exit_code_of(errno), "%s: %s", options->out, strerror(errno));
    }
    struct replacement r;
    replace_begin(&r, path);
    FILE *out = r.file;
    fprintf(out, "{\n  \"dataset\": \"%s\",\n", options->name);
    fprintf(out, "  \"tokenizer\": \"%s\",\n", tokenizer->text);
    fprintf(out, "  \"vocab_size\": %d,\n", tokenizer->vocab_size);
    tokens_write_type(splits[0].wide, out);
    for (int i = 0; i < 2; i++) {
        fprintf(out, "  \"%s_tokens\": %" PRIu64 ",\n", keys[i], splits[i].count);
    }
    for (int i = 0; i < 2; i++) {
        fprintf(out, "  \"%s_xxh3\": \"%s\",\n", keys[i], splits[i].stated);
        if (split_bytes(&splits[i]) > HASH_WHOLE) {
            fprintf(out, "  \"%s_blocks_xxh3\": \"%s\",\n", keys[i], splits[i].hash);
        }
    }
    hash_data(tokenizer->text, splits[0].count, splits[1].count, splits[0].hash, splits[1].hash,
              hash);
    fprintf(out, "  \"xxh3\": \"%s\",\n", hash);
    fputs("  \"shards\": {\n", out); // data/prepare.sh greps for this line
    listing_list(&splits[0], "train", folder, ",", out);
    listing_list(&splits[1], "val", folder, "", out);
    fputs("  }\n}\n", out);
    replace_end(&r);
    free(folder);
}

// Makes the folder; dies if it has tokens of another kind.
static void listing_guard(const char *out) {
    static const char *const names[] = {"train.bin", "val.bin"};
    int failed;
    UNINTERRUPTED(failed, mkdir(out, 0777));
    const bool made = !failed;
    if ((!made && errno != EEXIST) || (!sync_names(out) && made && errno != EACCES)) {
        die(exit_code_of(errno), "%s: cannot make the folder: %s", out, strerror(errno));
    }
    for (int i = 0; i < 2; i++) {
        char *path = allocate_print("a path", "%s/%s", out, names[i]);
        if (path_is_there(path)) {
            die(EXIT_USAGE, "%s: is there already; move it away, or take another DATASET", path);
        }
        free(path);
    }
}

// ---- the command line ---------------------------------------------------------------------------

static void listing_options_read(struct listing_options *options, int argc, char **argv) {
    static const char wanted[] = "--out=, --name=, --shards= and --tokenizer= are wanted, --val= "
                                 "and --gpt2= may be given";
    *options = (struct listing_options){.val = "", .gpt2 = "data/gpt2"};
    const struct text_flag flags[] = {
        {"--out=", &options->out},       {"--name=", &options->name},
        {"--shards=", &options->shards}, {"--tokenizer=", &options->tokenizer},
        {"--val=", &options->val},       {"--gpt2=", &options->gpt2}};
    enum { FLAGS = sizeof flags / sizeof *flags, NEEDED = 4 };
    flags_read("listing", wanted, flags, FLAGS, argc, argv);
    for (int f = 0; f < NEEDED; f++) {
        if (!*flags[f].value || !**flags[f].value) {
            die(EXIT_USAGE, "listing: %s is missing; %s", flags[f].flag, wanted);
        }
    }
    // It goes into meta.json unescaped.
    if (strspn(options->name,
               "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") !=
        strlen(options->name)) {
        die(EXIT_USAGE,
            "listing: '%s' is not a name for a data set; use letters, digits, '_', '.', '-'",
            options->name);
    }
}

// Reads the tokenizer that the user says the shards have.
static void listing_tokenizer(const struct listing_options *options, struct tokenizer *tokenizer) {
    char *string;
    if (!strcmp(options->tokenizer, "gpt2")) {
        string = tokenizer_files_read(options->gpt2);
    } else if (!strncmp(options->tokenizer, "ids:", 4)) {
        string = allocate_print("the tokenizer", "ids %s", options->tokenizer + 4);
    } else if (strcmp(options->tokenizer, "char")) {
        string = tokenizer_files_read(options->tokenizer);
    } else {
        die(EXIT_USAGE,
            "TOKENIZER: shards have no characters; there are: gpt2, a tokenizer's path, "
            "ids:COUNT");
    }
    const char *problem;
    if (!tokenizer_parse(tokenizer, string, &problem)) {
        die(strncmp(string, "ids ", 4) ? EXIT_DATA : EXIT_USAGE, "TOKENIZER=%s: %s",
            options->tokenizer, problem);
    }
    free(string);
}

int main(int argc, char **argv) {
    streams_open();
    struct listing_options options;
    listing_options_read(&options, argc, argv);
    struct tokenizer tokenizer;
    listing_tokenizer(&options, &tokenizer);
    struct paths paths[2] = {{0}, {0}};
    listing_divide(&options, paths);
    struct split splits[2] = {{0}, {0}};
    listing_open(&splits[0], &paths[0], NULL);
    listing_open(&splits[1], &paths[1], &splits[0]);
    listing_read(&splits[0], &tokenizer);
    listing_read(&splits[1], &tokenizer);
    listing_guard(options.out);
    char *meta = allocate_print("a path", "%s/meta.json", options.out), vocabulary[96];
    listing_write(&options, &tokenizer, splits, meta);
    for (int i = 0; i < 2; i++) {
        printf("%s: %" PRIu64 " tokens %s, of type %s, in %d shard%s\n", options.out,
               splits[i].count, i ? "to validate with" : "to train on",
               splits[i].wide ? "uint32" : "uint16", splits[i].shard_count,
               splits[i].shard_count > 1 ? "s" : "");
    }
    tokenizer_describe(&tokenizer, vocabulary);
    printf("%s: the vocabulary: %s; the shards are listed there and stay where they are\n", meta,
           vocabulary);
    for (int i = 0; i < 2; i++) {
        split_close(&splits[i]);
        paths_free(&paths[i]);
    }
    free(meta);
    tokenizer_free(&tokenizer);
    return streams_close(EXIT_DONE);
}
