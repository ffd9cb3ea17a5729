// prepare.c: a program that makes a data set from a UTF-8 text:
//
//     prepare --text=FILE --out=DIR --name=DATASET --sha256=HEX [--tokenizer=char|gpt2|PLACE]
//             [--gpt2=FOLDER] [--newlines=keep|lf]
//
// writes DIR/train.bin and DIR/val.bin (raw little-endian uint16, or uint32 for a vocabulary above
// 65,536, the text's characters split 90/10, as nanoGPT does) and DIR/meta.json. With
// --tokenizer=char a token is a character (a code point) and its id is its rank among those in the
// text. With gpt2 it is one of GPT-2's, from
// FOLDER/vocab.bpe and encoder.json (default data/gpt2), and otherwise of the byte-pair encoding at
// PLACE (tokenizer_files.c); each split is encoded separately, and <|endoftext|>, or what else a
// text may name, is ordinary text. The text is memory-mapped and read twice, so it may
// be larger than memory. With newlines=lf each CR LF and each other CR is read as LF, as Python
// does. Either all files appear, whole and meta.json last, or none.
//
//     prepare --documents=PATH --out=DIR --name=DATASET [--tokenizer=gpt2|PLACE]
//             [--val=FRACTION] [--gpt2=FOLDER] [--newlines=keep|lf] [--threads=N] [--unit=BYTES]
//
// makes the same of documents, in such tokens: each file in a folder, or each line of files of
// JSON lines, .jsonl (collection.h). It can be stopped or killed; the same command goes on.
//
//     prepare --adopt=DIR --name=DATASET [--gpt2=FOLDER]
//
// writes only meta.json, beside a train.bin and val.bin that another program made: nanoGPT, whose
// meta.pkl has the vocabulary; without that file the tokens are taken to be GPT-2's, as in nanoGPT.
//
// Tokens that were made elsewhere are never overwritten.
#include "runtime/files/files.h"
#include "runtime/programs/prepare/collection.h"
#include "runtime/programs/prepare/output.h"
#include "runtime/programs/prepare/text.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PREPARE_BUFFER = 1 << 16 }; // tokens

struct prepare_options {
    const char *text, *documents, *out, *name, *sha256, *tokenizer, *gpt2, *newlines, *adopt;
    const char *val, *threads, *unit;
};

// ---- the vocabulary -----------------------------------------------------------------------------

// Makes the tokenizer's string from the text's characters.
static char *prepare_characters(const struct prepare_text *text) {
    int vocab_size = 0;
    for (int c = 0; c < PREPARE_CODEPOINTS; c++) {
        vocab_size += text->seen[c];
    }
    if (vocab_size > TOKENS_VOCAB_MAX) {
        die(EXIT_DATA, "%s: has %d distinct characters; a vocabulary has %d at most", text->path,
            vocab_size, TOKENS_VOCAB_MAX);
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
    bool wide; // the tokens are uint32, not uint16
    size_t held;
    int32_t buffer[PREPARE_BUFFER], packed[PREPARE_BUFFER];
};

static void prepare_flush(struct prepare_output *output) {
    tokens_pack(output->buffer, output->held, output->wide, output->packed);
    if (fwrite(output->packed, tokens_width(output->wide), output->held, output->file->stream) !=
        output->held) {
        prepare_cannot_write(output->file);
    }
    output->held = 0;
}

static void prepare_put(struct prepare_output *output, int32_t id) {
    output->buffer[output->held++] = id;
    output->count++;
    if (output->held == PREPARE_BUFFER) {
        prepare_flush(output);
    }
}

static void prepare_put_characters(const struct prepare_text *text, size_t from, size_t to,
                                   const struct tokenizer *tokenizer,
                                   struct prepare_output *output) {
    int32_t *id = allocate(PREPARE_CODEPOINTS, sizeof *id, "the text's characters");
    for (int i = 0; i < tokenizer->vocab_size; i++) {
        id[tokenizer->codepoint[i]] = i;
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

static void prepare_put_pieces(const struct prepare_text *text, size_t from, size_t to,
                               const struct tokenizer *tokenizer, struct prepare_output *output) {
    int32_t *ids = NULL; // of one piece of text
    size_t room = 0;
    while (from < to) {
        const char *piece = (const char *)text->bytes + from;
        size_t length = pretokenize(tokenizer->cut, piece, to - from);
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
        int64_t count = bpe_encode(tokenizer, piece, length, ids);
        for (int64_t i = 0; i < count; i++) {
            prepare_put(output, ids[i]);
        }
        from += length;
    }
    free(ids);
}

// A text that is to be in form C is brought into it part by part.
static void prepare_put_bpe(const struct prepare_text *text, size_t from, size_t to,
                            const struct tokenizer *tokenizer, struct prepare_output *output) {
    enum { PART = 1 << 20 };
    if (!bpe_has(tokenizer->bpe, BPE_NFC)) {
        prepare_put_pieces(text, from, to, tokenizer, output);
        return;
    }
    while (from < to) {
        const char *part = (const char *)text->bytes + from;
        const size_t rest = to - from;
        const size_t length =
            rest > PART ? pretokenize_cut(tokenizer->cut, part, rest, PART) : rest;
        char *normal = allocate(normalize_room(length), 1, "a part of the text");
        const size_t made = normalize(part, length, normal);
        const struct prepare_text changed = {.path = text->path, .bytes = (void *)normal};
        prepare_put_pieces(&changed, 0, made, tokenizer, output);
        free(normal);
        from += length;
    }
}

// Second reading: writes the tokens of text[from..to). Returns how many.
static uint64_t prepare_tokens(const struct prepare_text *text, size_t from, size_t to,
                               const struct tokenizer *tokenizer, struct prepare_file *file) {
    static struct prepare_output output;
    output.file = file;
    output.count = 0;
    output.wide = tokens_are_wide(tokenizer->vocab_size);
    if (tokenizer->bpe) {
        prepare_put_bpe(text, from, to, tokenizer, &output);
    } else {
        prepare_put_characters(text, from, to, tokenizer, &output);
    }
    prepare_flush(&output);
    prepare_finish(file);
    return output.count;
}

// ---- tokens of another program ------------------------------------------------------------------

// Counts a file's tokens. Dies if one is not in the vocabulary.
static uint64_t prepare_count(const char *path, const struct tokenizer *tokenizer) {
    char vocabulary[96];
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
    char *train = allocate_print("a path", "%s/train.bin", options->adopt);
    char *val = allocate_print("a path", "%s/val.bin", options->adopt);
    const struct prepare_meta meta = {
        .name = options->name,
        .tokenizer = &tokenizer,
        .tokens = {prepare_count(train, &tokenizer), prepare_count(val, &tokenizer)},
        .tokens_at = {train, val},
        .last = "  \"adopted\": true\n", // data/prepare.sh greps for this line
    };
    prepare_meta(&meta, prepare_create(PREPARE_META, options->adopt, "meta.json"));
    prepare_rename();
    tokenizer_describe(&tokenizer, vocabulary);
    printf("%s: the vocabulary: %s; %s is made of it, all else is as it was\n", from, vocabulary,
           prepare_files[PREPARE_META].path);
    free(val);
    free(train);
    free(from);
    tokenizer_free(&tokenizer);
}

// ---- the command line ---------------------------------------------------------------------------

// Reads a flag that is a number from least to most.
static uint64_t prepare_number(const char *flag, const char *text, uint64_t least, uint64_t most) {
    const uint64_t value = strtoull(text, NULL, 10);
    if (!*text || strlen(text) > 18 || strspn(text, "0123456789") != strlen(text) ||
        value < least || value > most) {
        die(EXIT_USAGE, "prepare: %s: found '%s', wanted a number from %llu to %llu", flag, text,
            (unsigned long long)least, (unsigned long long)most);
    }
    return value;
}

static void prepare_options_read(struct prepare_options *options, int argc, char **argv) {
    static const char wanted[] =
        "--text=, --out=, --name= and --sha256= are wanted, --tokenizer=, --gpt2= and "
        "--newlines= may be given; or --documents=, --out= and --name=; or --adopt= and --name=";
    *options = (struct prepare_options){.gpt2 = "data/gpt2",
                                        .newlines = "keep",
                                        .val = "0.0005",
                                        .threads = "0",
                                        .unit = "4194304"};
    const struct text_flag flags[] = {
        {"--text=", &options->text},       {"--documents=", &options->documents},
        {"--out=", &options->out},         {"--name=", &options->name},
        {"--sha256=", &options->sha256},   {"--tokenizer=", &options->tokenizer},
        {"--gpt2=", &options->gpt2},       {"--newlines=", &options->newlines},
        {"--adopt=", &options->adopt},     {"--val=", &options->val},
        {"--threads=", &options->threads}, {"--unit=", &options->unit},
    };
    flags_read("prepare", wanted, flags, sizeof flags / sizeof *flags, argc, argv);
    const bool documents = options->documents != NULL, text = !documents && !options->adopt;
    const struct {
        const char *flag, *value;
        bool needed;
    } needed[] = {
        {"--text=", options->text, text},
        {"--out=", options->out, text || documents},
        {"--name=", options->name, true},
        {"--sha256=", options->sha256, text},
        {"--documents=", options->documents, documents},
    };
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        if (needed[i].needed && (!needed[i].value || !*needed[i].value)) {
            die(EXIT_USAGE, "prepare: %s is missing; %s", needed[i].flag, wanted);
        }
    }
    if (!options->tokenizer) {
        options->tokenizer = documents ? "gpt2" : "char";
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
    if (text &&
        (strlen(options->sha256) != 64 || strspn(options->sha256, "0123456789abcdef") != 64)) {
        die(EXIT_USAGE, "prepare: '%s' is not a SHA-256; 64 hexadecimal digits are wanted",
            options->sha256);
    }
    if (strcmp(options->tokenizer, "char") != 0 && strcmp(options->tokenizer, "gpt2") != 0 &&
        !path_is_there(options->tokenizer)) {
        die(EXIT_USAGE, "prepare: tokenizer '%s' is neither char, gpt2 nor a path",
            options->tokenizer);
    }
    if (documents && strcmp(options->tokenizer, "char") == 0) {
        die(EXIT_USAGE, "prepare: tokenizer 'char' has no token to end a document with; documents "
                        "are encoded with gpt2, or as a tokenizer's file says");
    }
    if (strcmp(options->newlines, "keep") != 0 && strcmp(options->newlines, "lf") != 0) {
        die(EXIT_USAGE, "prepare: newlines '%s' are not known; there are: keep, lf",
            options->newlines);
    }
}

// Says how much of the text the vocabulary has no tokens for, as many lack some control characters.
static void prepare_note_lacking(const struct prepare_text *text,
                                 const struct tokenizer *tokenizer) {
    bool lacks[256] = {false}, any = false;
    for (int byte = 0; tokenizer->bpe && byte < 256; byte++) {
        const char piece = (char)byte;
        int32_t id;
        lacks[byte] = bpe_encode(tokenizer, &piece, 1, &id) == 0;
        any = any || lacks[byte];
    }
    uint64_t count = 0;
    for (size_t i = 0; any && i < text->length; i++) {
        count += lacks[text->bytes[i]];
    }
    if (count > 0) {
        printf("%s: note: %llu bytes have no token in this vocabulary and are left out\n",
               text->path, (unsigned long long)count);
    }
}

// Where the byte-pair encoding lies.
static const char *prepare_place(const struct prepare_options *options) {
    return strcmp(options->tokenizer, "gpt2") ? options->tokenizer : options->gpt2;
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
    bool fold = strcmp(options.newlines, "lf") == 0;
    if (options.documents) {
        die_hook = NULL; // what is done is kept
        const struct prepare_collection collection = {
            .path = options.documents,
            .out = options.out,
            .name = options.name,
            .place = prepare_place(&options),
            .fraction = options.val,
            .fold = fold,
            .threads = processors_threads(
                "--threads", (int)prepare_number("--threads", options.threads, 0, 1024)),
            .unit_bytes = prepare_number("--unit", options.unit, 1, 1 << 30),
        };
        return streams_close(prepare_collection(&collection));
    }

    struct prepare_text text = {0};
    struct tokenizer tokenizer;
    const char *error;
    const char *place = strcmp(options.tokenizer, "char") ? prepare_place(&options) : NULL;
    prepare_map(&text, options.text);
    char *string = place ? tokenizer_files_read(place) : NULL;
    prepare_check(&text);
    const struct prepare_stated stated = prepare_guard(options.out);
    prepare_note(&text, fold);
    if (fold && text.look.crlf + text.look.cr > 0) {
        struct prepare_file *folded = prepare_create(PREPARE_FOLDED, options.out, "text");
        prepare_fold(&text, folded->stream, folded->temporary);
        prepare_remove_one(folded);
    }
    string = place ? string : prepare_characters(&text);
    if (!tokenizer_parse(&tokenizer, string, &error)) {
        die(EXIT_DATA, "%s: %s", place ? place : options.text, error);
    }
    free(string);
    if (place && !tokenizer.bpe) {
        die(EXIT_DATA, "%s: has no byte-pair encoding, which TOKENIZER=path is for", place);
    }
    prepare_note_lacking(&text, &tokenizer);
    // int(n * 0.9) in double arithmetic, as in nanoGPT's Python.
    size_t split = prepare_offset(&text, (uint64_t)((double)text.characters * 0.9));
    struct prepare_file *train = prepare_create(PREPARE_TRAIN, options.out, "train.bin");
    const uint64_t train_tokens = prepare_tokens(&text, 0, split, &tokenizer, train);
    struct prepare_file *val = prepare_create(PREPARE_VAL, options.out, "val.bin");
    const uint64_t val_tokens = prepare_tokens(&text, split, text.length, &tokenizer, val);
    // data/prepare.sh greps for the line of newlines.
    char *last = allocate_print("meta.json", "%s  \"text_sha256\": \"%s\"\n",
                                fold ? "  \"newlines\": \"lf\",\n" : "", options.sha256);
    const struct prepare_meta meta = {
        .name = options.name,
        .tokenizer = &tokenizer,
        .tokens = {train_tokens, val_tokens},
        .tokens_at = {train->temporary, val->temporary},
        .last = last,
    };
    prepare_meta(&meta, prepare_create(PREPARE_META, options.out, "meta.json"));
    free(last);
    uint64_t characters = text.characters;
    prepare_unmap(&text);
    prepare_keep(options.out, &stated);
    prepare_rename();

    char vocabulary[96];
    tokenizer_describe(&tokenizer, vocabulary);
    printf("%s: %llu characters\n", options.text, (unsigned long long)characters);
    printf("%s: %llu tokens\n", train->path, (unsigned long long)train_tokens);
    printf("%s: %llu tokens\n", val->path, (unsigned long long)val_tokens);
    printf("%s: the vocabulary: %s\n", prepare_files[PREPARE_META].path, vocabulary);
    tokenizer_free(&tokenizer);
    return streams_close(EXIT_DONE);
}
