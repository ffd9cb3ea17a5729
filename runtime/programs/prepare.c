// prepare.c: a program that makes a data set from a UTF-8 text:
//
//     prepare --text=FILE --out=DIR --name=DATASET --sha256=HEX [--tokenizer=char|gpt2]
//             [--gpt2=FOLDER] [--newlines=keep|lf]
//
// writes DIR/train.bin and DIR/val.bin (raw little-endian uint16, the text's characters split
// 90/10, as nanoGPT does) and DIR/meta.json. With --tokenizer=char a token is a character (a code
// point) and its id is its rank among those in the text. With gpt2 it is one of GPT-2's, from
// FOLDER/vocab.bpe and encoder.json (default data/gpt2); each split is encoded separately, and
// <|endoftext|> in the text is ordinary text. The text is memory-mapped and read twice, so it may
// be larger than memory. With newlines=lf each CR LF and each other CR is read as LF, as Python
// does. Either all files appear, whole and meta.json last, or none.
//
//     prepare --adopt=DIR --name=DATASET [--gpt2=FOLDER]
//
// writes only meta.json, beside a train.bin and val.bin that another program made: nanoGPT, whose
// meta.pkl has the vocabulary; without that file the tokens are taken to be GPT-2's, as in nanoGPT.
//
// Tokens that were made elsewhere are never overwritten.
#include "runtime/files/files.h"
#include "runtime/programs/prepare/text.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "token files are little-endian");

enum {
    PREPARE_VOCAB_MAX = 65536, // ids are uint16
    PREPARE_BUFFER = 1 << 16,  // tokens
};

struct prepare_options {
    const char *text, *out, *name, *sha256, *tokenizer, *gpt2, *newlines, *adopt;
};

// ---- output files: written under temporary names, all renamed at the end ------------------------

struct prepare_file {
    char *path, *temporary;
    FILE *stream;
};
// train.bin, val.bin, meta.json, and a copy of the text with LF line ends, which is never renamed.
static struct prepare_file prepare_files[4];

static void prepare_remove(void) {
    for (int i = 0; i < 4; i++) {
        if (prepare_files[i].temporary) {
            unlink(prepare_files[i].temporary);
        }
    }
}

_Noreturn static void prepare_cannot_write(const struct prepare_file *file) {
    die(exit_code_of(errno), "%s: cannot write: %s", file->path, strerror(errno));
}

static void prepare_remove_one(struct prepare_file *file) {
    if (unlink(file->temporary) != 0) {
        prepare_cannot_write(file);
    }
    fclose(file->stream);
    free(file->temporary);
    file->temporary = NULL;
}

static struct prepare_file *prepare_create(int i, const char *dir, const char *name) {
    struct prepare_file *file = &prepare_files[i];
    file->path = allocate_print("a path", "%s/%s", dir, name);
    file->temporary = allocate_print("a path", "%s.tmp", file->path);
    file->stream = fopen(file->temporary, "wb");
    if (!file->stream) {
        prepare_cannot_write(file);
    }
    return file;
}

static void prepare_finish(struct prepare_file *file) {
    if (!sync_stream(file->stream) || fclose(file->stream) != 0) {
        prepare_cannot_write(file);
    }
}

static void prepare_sync_names(const struct prepare_file *file) {
    if (!sync_names(file->path)) {
        prepare_cannot_write(file);
    }
}

// Token files first, then meta.json. Also after a power cut none of them has its name before
// meta.json.tmp has, which says that they were made here. If one cannot be renamed, those before it
// have their names already: then meta.json.tmp stays (prepare_stated).
static void prepare_rename(void) {
    struct prepare_file *meta = &prepare_files[2];
    bool some = false;
    prepare_sync_names(meta);
    for (int i = 0; i < 3; i++) {
        const struct prepare_file *file = &prepare_files[i];
        if (file->temporary && rename(file->temporary, file->path) != 0) {
            if (some) {
                meta->temporary = NULL; // prepare_remove then keeps it
            }
            prepare_cannot_write(file);
        }
        some = some || file->temporary;
    }
    prepare_sync_names(meta);
}

// ---- the vocabulary -----------------------------------------------------------------------------

// Makes the tokenizer's string from the text's characters.
static char *prepare_characters(const struct prepare_text *text) {
    int vocab_size = 0;
    for (int c = 0; c < PREPARE_CODEPOINTS; c++) {
        vocab_size += text->seen[c];
    }
    if (vocab_size > PREPARE_VOCAB_MAX) {
        die(EXIT_DATA, "%s: has %d distinct characters; %d at most fit into two bytes each",
            text->path, vocab_size, PREPARE_VOCAB_MAX);
    }
    char *string = allocate((size_t)vocab_size + 1, 8, "the tokenizer"), *at = string; // " 10ffff"
    at += sprintf(at, "char");
    for (int c = 0; c < PREPARE_CODEPOINTS; c++) {
        if (text->seen[c]) {
            at += sprintf(at, " %02x", (unsigned)c);
        }
    }
    return string;
}

// ---- tokens -------------------------------------------------------------------------------------

struct prepare_output {
    struct prepare_file *file;
    uint64_t count;
    size_t held;
    uint16_t buffer[PREPARE_BUFFER];
};

static void prepare_flush(struct prepare_output *output) {
    if (fwrite(output->buffer, sizeof *output->buffer, output->held, output->file->stream) !=
        output->held) {
        prepare_cannot_write(output->file);
    }
    output->held = 0;
}

static void prepare_put(struct prepare_output *output, uint16_t id) {
    output->buffer[output->held++] = id;
    output->count++;
    if (output->held == PREPARE_BUFFER) {
        prepare_flush(output);
    }
}

static void prepare_put_characters(const struct prepare_text *text, size_t from, size_t to,
                                   const struct tokenizer *tokenizer,
                                   struct prepare_output *output) {
    uint16_t *id = allocate(PREPARE_CODEPOINTS, sizeof *id, "the text's characters");
    for (int i = 0; i < tokenizer->vocab_size; i++) {
        id[tokenizer->codepoint[i]] = (uint16_t)i;
    }
    while (from < to) {
        uint32_t c;
        int bytes = utf8_decode(text->bytes + from, to - from, &c);
        if (bytes == 0 || !text->seen[c]) {
            prepare_changed(text);
        }
        from += (size_t)bytes;
        prepare_put(output, id[c]);
    }
    free(id);
}

static void prepare_put_bpe(const struct prepare_text *text, size_t from, size_t to,
                            const struct tokenizer *tokenizer, struct prepare_output *output) {
    int32_t *ids = NULL; // of one piece of text
    size_t room = 0;
    while (from < to) {
        const char *piece = (const char *)text->bytes + from;
        size_t length = pretokenize(piece, to - from);
        if (length > BPE_PIECE_MAX) {
            die(EXIT_DATA,
                "%s: %zu bytes from offset %zu on have no place to break, as a space between words "
                "is; %d at most are taken; is this text?",
                text->path, length, from, BPE_PIECE_MAX);
        }
        if (length > room) {
            room = 2 * length;
            free(ids);
            ids = allocate(room, sizeof *ids, "a piece of the text");
        }
        int64_t count = bpe_encode(tokenizer->bpe, piece, length, ids);
        for (int64_t i = 0; i < count; i++) {
            prepare_put(output, (uint16_t)ids[i]);
        }
        from += length;
    }
    free(ids);
}

// Second reading: writes the tokens of text[from..to). Returns how many.
static uint64_t prepare_tokens(const struct prepare_text *text, size_t from, size_t to,
                               const struct tokenizer *tokenizer, struct prepare_file *file) {
    static struct prepare_output output;
    output.file = file;
    output.count = 0;
    if (tokenizer->bpe) {
        prepare_put_bpe(text, from, to, tokenizer, &output);
    } else {
        prepare_put_characters(text, from, to, tokenizer, &output);
    }
    prepare_flush(&output);
    prepare_finish(file);
    return output.count;
}

// Writes the hashes of both token files and of the data set (hash_data) to meta.json.
static void prepare_hashes(const struct tokenizer *tokenizer, uint64_t train, uint64_t val,
                           const char *adopted, FILE *out) {
    static const char *const names[] = {"train", "val"};
    const uint64_t counts[] = {train, val};
    char hash[2][17], all[17];
    for (int i = 0; i < 2; i++) {
        char *path = adopted ? allocate_print("a path", "%s/%s.bin", adopted, names[i])
                             : allocate_print("a path", "%s", prepare_files[i].temporary);
        int file = open(path, O_RDONLY | O_CLOEXEC);
        if (file < 0 || !hash_file(file, 2 * counts[i], true, all) ||
            !hash_file(file, 2 * counts[i], false, hash[i])) {
            die(exit_code_of(errno), "%s: cannot read: %s", path,
                errno ? strerror(errno) : "it became shorter meanwhile");
        }
        close(file);
        free(path);
        fprintf(out, "  \"%s_xxh3\": \"%s\",\n", names[i], all);
        if (2 * counts[i] > HASH_WHOLE) {
            fprintf(out, "  \"%s_blocks_xxh3\": \"%s\",\n", names[i], hash[i]);
        }
    }
    hash_data(tokenizer->text, train, val, hash[0], hash[1], all);
    fprintf(out, "  \"xxh3\": \"%s\",\n", all);
}

// Writes meta.json: one key a line and nothing that changes from run to run, since for some data
// sets git tracks this file.
static void prepare_meta(const struct tokenizer *tokenizer, uint64_t train, uint64_t val,
                         const struct prepare_options *options, struct prepare_file *file) {
    FILE *out = file->stream;
    fprintf(out, "{\n  \"dataset\": \"%s\",\n", options->name);
    fprintf(out, "  \"tokenizer\": \"%s\",\n", tokenizer->text);
    fprintf(out, "  \"vocab_size\": %d,\n", tokenizer->vocab_size);
    fprintf(out, "  \"train_tokens\": %llu,\n", (unsigned long long)train);
    fprintf(out, "  \"val_tokens\": %llu,\n", (unsigned long long)val);
    prepare_hashes(tokenizer, train, val, options->adopt, out);
    if (options->adopt) {
        fprintf(out, "  \"adopted\": true\n}\n"); // data/prepare.sh greps for this line
    } else {
        if (strcmp(options->newlines, "lf") == 0) {
            fprintf(out, "  \"newlines\": \"lf\",\n"); // and for this line
        }
        fprintf(out, "  \"text_sha256\": \"%s\"\n}\n", options->sha256);
    }
    if (ferror(out)) {
        prepare_cannot_write(file);
    }
    prepare_finish(file);
}

// ---- existing tokens ----------------------------------------------------------------------------

// Maps a whole file; NULL if it does not exist. If it is empty, no byte of the result may be read.
static const void *prepare_bytes(const char *path, size_t *length) {
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR)) {
        return NULL;
    }
    if (fd < 0 || fstat(fd, &status) != 0) {
        die(exit_code_of(errno), "%s: cannot read: %s", path, strerror(errno));
    }
    if (!S_ISREG(status.st_mode)) {
        die(EXIT_DATA, "%s: is not a regular file", path);
    }
    *length = (size_t)status.st_size;
    return *length ? mapped_open(fd, *length, path) : "";
}

// What a folder's meta.json states of its files: the tokens in train.bin and val.bin, -1 if it does
// not, and whether another program made them.
struct prepare_stated {
    int64_t tokens[2];
    bool elsewhere;
};

static const char *const prepare_stems[2] = {"train", "val"};

static struct prepare_stated prepare_stated(const char *out) {
    static const char *const keys[2] = {"train_tokens", "val_tokens"};
    struct prepare_stated stated = {{-1, -1}, false};
    char *path = allocate_print("a path", "%s/meta.json", out);
    char *half = allocate_print("a path", "%s.tmp", path);
    size_t length;
    const char *error, *text = prepare_bytes(path, &length);
    struct json *meta = text ? json_parse(text, length, &error) : NULL;
    if (!text) {
        stated.elsewhere = !path_is_there(half); // else ours, stopped before its last rename
    } else if (meta && json_is_object(meta, 0)) {
        for (int i = 0; i < 2; i++) {
            if (!json_integer(meta, json_get(meta, 0, keys[i]), &stated.tokens[i])) {
                stated.tokens[i] = -1;
            }
        }
        stated.elsewhere = json_get(meta, 0, "text_sha256") < 0;
    }
    json_free(meta);
    free(half);
    free(path);
    return stated;
}

// Renames a token file to the first free name of train.previous.bin, train.previous2.bin ...
static void prepare_set_aside(const char *path, const char *out, const char *stem) {
    char number[16] = "", *aside = NULL;
    for (int n = 2; !aside || path_is_taken(aside); n++) {
        free(aside);
        aside = allocate_print("a path", "%s/%s.previous%s.bin", out, stem, number);
        snprintf(number, sizeof number, "%d", n);
    }
    if (rename(path, aside) != 0) {
        die(exit_code_of(errno), "%s: cannot be renamed to %s: %s", path, aside, strerror(errno));
    }
    printf("%s: is not what %s/meta.json says; now %s\n", path, out, aside);
    free(aside);
}

// Before anything is written: dies if existing tokens are not ours.
static struct prepare_stated prepare_guard(const char *out) {
    const struct prepare_stated stated = prepare_stated(out);
    for (int i = 0; i < 2; i++) {
        char *path = allocate_print("a path", "%s/%s.bin", out, prepare_stems[i]);
        if (stated.elsewhere && path_is_there(path)) {
            die(EXIT_USAGE,
                "%s: was not made here, and is not written over; move it away, or take another "
                "DATASET",
                path);
        }
        free(path);
    }
    return stated;
}

// Sets aside a token file that does not match meta.json, as it was cut or another program wrote it.
static void prepare_keep(const char *out, const struct prepare_stated *stated) {
    for (int i = 0; i < 2; i++) {
        char *path = allocate_print("a path", "%s/%s.bin", out, prepare_stems[i]);
        struct stat status;
        if (path_is_taken(path) && !lstat(path, &status) &&
            status.st_size != 2 * stated->tokens[i]) {
            prepare_set_aside(path, out, prepare_stems[i]);
        }
        free(path);
    }
}

// Counts a file's tokens. Dies if one is not in the vocabulary.
static uint64_t prepare_count(const struct prepare_options *options, const char *name,
                              const struct tokenizer *tokenizer) {
    char *path = allocate_print("a path", "%s/%s", options->adopt, name), vocabulary[96];
    size_t length;
    const uint16_t *tokens = prepare_bytes(path, &length);
    if (!tokens) {
        die(EXIT_MISSING, "%s: is not there", path);
    }
    if (length == 0 || length % 2) {
        die(EXIT_DATA, "%s: has %zu bytes; wanted tokens of two bytes each", path, length);
    }
    for (size_t i = 0; i < length / 2; i++) {
        if (tokens[i] >= tokenizer->vocab_size) {
            tokenizer_describe(tokenizer, vocabulary);
            die(EXIT_DATA,
                "%s: token %zu is %d, but the vocabulary is %s; put the meta.pkl of these tokens "
                "beside them, or make a meta.json (data/README.md)",
                path, i, tokens[i], vocabulary);
        }
    }
    mapped_close(tokens);
    free(path);
    return length / 2;
}

// Finds the tokenizer's string for a folder that another program made; *from says where it is from.
static char *prepare_elsewhere(const struct prepare_options *options, char **from) {
    *from = allocate_print("a path", "%s/meta.pkl", options->adopt);
    size_t length;
    const char *problem, *bytes = prepare_bytes(*from, &length);
    if (!bytes) {
        free(*from);
        *from = allocate_print("a path", "%s: has no meta.pkl, so GPT-2's tokens are taken",
                               options->adopt);
        return gpt2_files_read(options->gpt2);
    }
    char *string = pickle_tokenizer(bytes, length, &problem);
    if (!string) {
        die(EXIT_DATA,
            "%s: %s; put a meta.json beside it that says what its tokens are (data/README.md), or "
            "make them here: make data DATASET=another TEXT=path/to/file.txt",
            *from, problem);
    }
    return string;
}

static void prepare_adopt(const struct prepare_options *options) {
    struct tokenizer tokenizer;
    const char *error;
    char *from, *string = prepare_elsewhere(options, &from), vocabulary[96];
    if (!tokenizer_parse(&tokenizer, string, &error)) {
        die(EXIT_DATA, "%s: %s", from, error);
    }
    free(string);
    uint64_t train = prepare_count(options, "train.bin", &tokenizer);
    uint64_t val = prepare_count(options, "val.bin", &tokenizer);
    prepare_meta(&tokenizer, train, val, options, prepare_create(2, options->adopt, "meta.json"));
    prepare_rename();
    tokenizer_describe(&tokenizer, vocabulary);
    printf("%s: the vocabulary: %s; %s is made of it, all else is as it was\n", from, vocabulary,
           prepare_files[2].path);
    free(from);
    tokenizer_free(&tokenizer);
}

// ---- the command line ---------------------------------------------------------------------------

static void prepare_options_read(struct prepare_options *options, int argc, char **argv) {
    static const char wanted[] =
        "--text=, --out=, --name= and --sha256= are wanted, --tokenizer=, --gpt2= and "
        "--newlines= may be given; or --adopt= and --name=";
    *options =
        (struct prepare_options){.tokenizer = "char", .gpt2 = "data/gpt2", .newlines = "keep"};
    const struct text_flag flags[] = {
        {"--text=", &options->text},           {"--out=", &options->out},
        {"--name=", &options->name},           {"--sha256=", &options->sha256},
        {"--tokenizer=", &options->tokenizer}, {"--gpt2=", &options->gpt2},
        {"--newlines=", &options->newlines},   {"--adopt=", &options->adopt}};
    enum { FLAGS = sizeof flags / sizeof *flags, OF_A_TEXT = FLAGS - 1 };
    flags_read("prepare", wanted, flags, FLAGS, argc, argv);
    for (int f = 0; f < OF_A_TEXT; f++) {
        bool wants = !options->adopt || flags[f].value == &options->name;
        if (wants && (!*flags[f].value || !**flags[f].value)) {
            die(EXIT_USAGE, "prepare: %s is missing; %s", flags[f].flag, wanted);
        }
    }
    // Both go into meta.json unescaped.
    if (strspn(options->name,
               "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") !=
        strlen(options->name)) {
        die(EXIT_USAGE,
            "prepare: '%s' is not a name for a data set; use letters, digits, '_', '.', '-'",
            options->name);
    }
    if (options->adopt) {
        return;
    }
    if (strlen(options->sha256) != 64 || strspn(options->sha256, "0123456789abcdef") != 64) {
        die(EXIT_USAGE, "prepare: '%s' is not a SHA-256; 64 hexadecimal digits are wanted",
            options->sha256);
    }
    if (strcmp(options->tokenizer, "char") != 0 && strcmp(options->tokenizer, "gpt2") != 0) {
        die(EXIT_USAGE, "prepare: tokenizer '%s' is not known; there are: char, gpt2",
            options->tokenizer);
    }
    if (strcmp(options->newlines, "keep") != 0 && strcmp(options->newlines, "lf") != 0) {
        die(EXIT_USAGE, "prepare: newlines '%s' are not known; there are: keep, lf",
            options->newlines);
    }
}

int main(int argc, char **argv) {
    streams_open();
    struct prepare_options options;
    prepare_options_read(&options, argc, argv);
    die_hook = prepare_remove;
    signal(SIGXFSZ, SIG_IGN); // writing beyond a file size limit then fails as on a full disk
    if (options.adopt) {
        prepare_adopt(&options);
        return streams_close(EXIT_DONE);
    }

    struct prepare_text text = {0};
    struct tokenizer tokenizer;
    const char *error;
    bool gpt2 = strcmp(options.tokenizer, "gpt2") == 0;
    prepare_map(&text, options.text);
    char *string = gpt2 ? gpt2_files_read(options.gpt2) : NULL;
    prepare_check(&text);
    // Its name is synced too, whoever made it, as far as the folder above may be read.
    bool made = mkdir(options.out, 0777) == 0;
    if ((!made && errno != EEXIST) || (!sync_names(options.out) && made && errno != EACCES)) {
        die(exit_code_of(errno), "%s: cannot make the folder: %s", options.out, strerror(errno));
    }
    const struct prepare_stated stated = prepare_guard(options.out);
    bool fold = strcmp(options.newlines, "lf") == 0;
    prepare_note(&text, fold);
    if (fold && text.look.crlf + text.look.cr > 0) {
        struct prepare_file *folded = prepare_create(3, options.out, "text");
        prepare_fold(&text, folded->stream, folded->temporary);
        prepare_remove_one(folded);
    }
    string = gpt2 ? string : prepare_characters(&text);
    if (!tokenizer_parse(&tokenizer, string, &error)) {
        die(EXIT_DATA, "%s: %s", gpt2 ? options.gpt2 : options.text, error);
    }
    free(string);
    // int(n * 0.9) in double arithmetic, as in nanoGPT's Python.
    size_t split = prepare_offset(&text, (uint64_t)((double)text.characters * 0.9));
    uint64_t train =
        prepare_tokens(&text, 0, split, &tokenizer, prepare_create(0, options.out, "train.bin"));
    uint64_t val = prepare_tokens(&text, split, text.length, &tokenizer,
                                  prepare_create(1, options.out, "val.bin"));
    prepare_meta(&tokenizer, train, val, &options, prepare_create(2, options.out, "meta.json"));
    uint64_t characters = text.characters;
    prepare_unmap(&text);
    prepare_keep(options.out, &stated);
    prepare_rename();

    char vocabulary[96];
    tokenizer_describe(&tokenizer, vocabulary);
    printf("%s: %llu characters\n", options.text, (unsigned long long)characters);
    printf("%s: %llu tokens\n", prepare_files[0].path, (unsigned long long)train);
    printf("%s: %llu tokens\n", prepare_files[1].path, (unsigned long long)val);
    printf("%s: the vocabulary: %s\n", prepare_files[2].path, vocabulary);
    tokenizer_free(&tokenizer);
    return streams_close(EXIT_DONE);
}
