// prepare.c: a program that makes a data set of characters from a UTF-8 text:
//
//     prepare --text=FILE --out=DIR --name=DATASET --sha256=HEX
//
// writes DIR/train.bin and DIR/val.bin (raw little-endian uint16, the text split 90/10, as nanoGPT
// writes them) and DIR/meta.json. A character is a code point, its id its rank among those in the
// text. The text is memory-mapped and read twice, so it may be larger than memory. Files appear
// whole, meta.json last, or not at all.
#include "runtime/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "token files are little-endian");

enum {
    PREPARE_CODEPOINTS = 0x110000,
    PREPARE_VOCAB_MAX = 65536, // ids are uint16
    PREPARE_BUFFER = 1 << 16,  // tokens
};

struct prepare_options {
    const char *text, *out, *name, *sha256;
};

// ---- output files: written under a temporary name, all renamed at the end -----------------------

struct prepare_file {
    char *path, *temporary;
    FILE *stream;
};
static struct prepare_file prepare_files[3]; // train.bin, val.bin, meta.json

static void prepare_remove(void) {
    for (int i = 0; i < 3; i++) {
        if (prepare_files[i].temporary) {
            unlink(prepare_files[i].temporary);
        }
    }
}

_Noreturn static void prepare_cannot_write(const struct prepare_file *file) {
    die(EXIT_IO, "%s: cannot write: %s", file->path, strerror(errno));
}

static char *prepare_join(const char *a, const char *b, const char *c) {
    size_t size = strlen(a) + strlen(b) + strlen(c) + 1;
    char *joined = malloc(size);
    if (!joined) {
        die(EXIT_MEMORY, "%s%s%s: not enough memory for the path", a, b, c);
    }
    snprintf(joined, size, "%s%s%s", a, b, c);
    return joined;
}

static struct prepare_file *prepare_create(int i, const char *dir, const char *name) {
    struct prepare_file *file = &prepare_files[i];
    file->path = prepare_join(dir, "/", name);
    file->temporary = prepare_join(file->path, ".tmp", "");
    file->stream = fopen(file->temporary, "wb");
    if (!file->stream) {
        prepare_cannot_write(file);
    }
    return file;
}

static void prepare_finish(struct prepare_file *file) {
    if (fflush(file->stream) != 0 || fsync(fileno(file->stream)) != 0 ||
        fclose(file->stream) != 0) {
        prepare_cannot_write(file);
    }
}

static void prepare_rename(void) {
    for (int i = 0; i < 3; i++) {
        if (rename(prepare_files[i].temporary, prepare_files[i].path) != 0) {
            prepare_cannot_write(&prepare_files[i]);
        }
    }
}

// ---- the text -----------------------------------------------------------------------------------

struct prepare_text {
    const char *path;
    const unsigned char *bytes;
    size_t length;
    uint64_t characters;
    int vocab_size;
    bool *seen;   // (PREPARE_CODEPOINTS)
    uint16_t *id; // (PREPARE_CODEPOINTS), of those seen
};

static void prepare_map(struct prepare_text *text, const char *path) {
    text->path = path;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR)) {
        die(EXIT_MISSING, "%s: is not there; put a UTF-8 text in its place", path);
    }
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0) {
        die(EXIT_IO, "%s: cannot read: %s", path, strerror(errno));
    }
    if (!S_ISREG(status.st_mode)) {
        die(EXIT_DATA, "%s: is no regular file; a UTF-8 text is wanted", path);
    }
    if (status.st_size == 0) {
        die(EXIT_DATA, "%s: is empty; a UTF-8 text is wanted", path);
    }
    text->length = (size_t)status.st_size;
    void *map = mmap(NULL, text->length, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED) {
        die(EXIT_IO, "%s: cannot map %zu bytes: %s", path, text->length, strerror(errno));
    }
    close(fd);
    text->bytes = map;
}

// First reading: checks the text, counts its characters and ranks them.
static void prepare_rank(struct prepare_text *text) {
    text->seen = calloc(PREPARE_CODEPOINTS, sizeof *text->seen);
    text->id = calloc(PREPARE_CODEPOINTS, sizeof *text->id);
    if (!text->seen || !text->id) {
        die(EXIT_MEMORY, "%s: not enough memory for the characters' ids", text->path);
    }
    uint64_t line = 1;
    for (size_t at = 0; at < text->length; text->characters++) {
        uint32_t c;
        int bytes = utf8_decode(text->bytes + at, text->length - at, &c);
        if (bytes == 0) {
            die(EXIT_DATA,
                "%s:%llu: the byte at offset %zu (0x%02x) is no UTF-8; convert the text first, "
                "with "
                "iconv for one",
                text->path, (unsigned long long)line, at, text->bytes[at]);
        }
        line += c == '\n';
        text->seen[c] = true;
        at += (size_t)bytes;
    }
    if (text->characters < 2) {
        die(EXIT_DATA, "%s: has a single character; two at least are wanted, one for each split",
            text->path);
    }
    for (int c = 0; c < PREPARE_CODEPOINTS; c++) {
        if (text->seen[c]) {
            text->id[c] = (uint16_t)text->vocab_size++; // a wrap is refused right below
        }
    }
    if (text->vocab_size > PREPARE_VOCAB_MAX) {
        die(EXIT_DATA, "%s: has %d distinct characters; %d at most fit into two bytes each",
            text->path, text->vocab_size, PREPARE_VOCAB_MAX);
    }
}

// Second reading: writes `characters` ids of what stands at *at, and moves *at behind them.
static void prepare_tokens(const struct prepare_text *text, size_t *at, uint64_t characters,
                           struct prepare_file *file) {
    static uint16_t buffer[PREPARE_BUFFER];
    size_t held = 0;
    for (uint64_t i = 0; i < characters; i++) {
        uint32_t c;
        int bytes = utf8_decode(text->bytes + *at, text->length - *at, &c);
        if (bytes == 0 || !text->seen[c]) {
            die(EXIT_IO, "%s: changed while it was read; start again", text->path);
        }
        *at += (size_t)bytes;
        buffer[held++] = text->id[c];
        if (held == PREPARE_BUFFER || i == characters - 1) {
            if (fwrite(buffer, sizeof *buffer, held, file->stream) != held) {
                prepare_cannot_write(file);
            }
            held = 0;
        }
    }
    prepare_finish(file);
}

// One key a line and nothing that changes from run to run: for some data sets git tracks this file.
static void prepare_meta(const struct prepare_text *text, uint64_t train, uint64_t val,
                         const struct prepare_options *options, struct prepare_file *file) {
    FILE *out = file->stream;
    fprintf(out, "{\n  \"dataset\": \"%s\",\n  \"tokenizer\": \"char", options->name);
    for (int c = 0; c < PREPARE_CODEPOINTS; c++) {
        if (text->seen[c]) {
            fprintf(out, " %02x", (unsigned)c);
        }
    }
    fprintf(out, "\",\n  \"vocab_size\": %d,\n", text->vocab_size);
    fprintf(out, "  \"train_tokens\": %llu,\n", (unsigned long long)train);
    fprintf(out, "  \"val_tokens\": %llu,\n", (unsigned long long)val);
    fprintf(out, "  \"text_sha256\": \"%s\"\n}\n", options->sha256);
    if (ferror(out)) {
        prepare_cannot_write(file);
    }
    prepare_finish(file);
}

// ---- the command line ---------------------------------------------------------------------------

static void prepare_options_read(struct prepare_options *options, int argc, char **argv) {
    const struct {
        const char *flag;
        const char **value;
    } flags[4] = {{"--text=", &options->text},
                  {"--out=", &options->out},
                  {"--name=", &options->name},
                  {"--sha256=", &options->sha256}};
    for (int i = 1; i < argc; i++) {
        int f = 0;
        while (f < 4 && strncmp(argv[i], flags[f].flag, strlen(flags[f].flag)) != 0) {
            f++;
        }
        if (f == 4) {
            die(EXIT_USAGE,
                "prepare: unknown argument '%s'; --text=, --out=, --name= and --sha256= "
                "are wanted",
                argv[i]);
        }
        *flags[f].value = argv[i] + strlen(flags[f].flag);
    }
    for (int f = 0; f < 4; f++) {
        if (!*flags[f].value || !**flags[f].value) {
            die(EXIT_USAGE,
                "prepare: %s is missing; --text=, --out=, --name= and --sha256= are wanted",
                flags[f].flag);
        }
    }
    // Both go into meta.json as they are.
    if (strspn(options->name,
               "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") !=
        strlen(options->name)) {
        die(EXIT_USAGE,
            "prepare: '%s' is no name for a data set; use letters, digits, '_', '.', '-'",
            options->name);
    }
    if (strlen(options->sha256) != 64 || strspn(options->sha256, "0123456789abcdef") != 64) {
        die(EXIT_USAGE, "prepare: '%s' is no SHA-256; 64 hexadecimal digits are wanted",
            options->sha256);
    }
}

int main(int argc, char **argv) {
    struct prepare_options options = {0};
    prepare_options_read(&options, argc, argv);
    die_hook = prepare_remove;
    signal(SIGXFSZ, SIG_IGN); // a file size limit is an error as a full disk is one

    struct prepare_text text = {0};
    prepare_map(&text, options.text);
    prepare_rank(&text);
    // int(n * 0.9), in the double arithmetic that nanoGPT's Python does it in.
    uint64_t train = (uint64_t)((double)text.characters * 0.9), val = text.characters - train;

    if (mkdir(options.out, 0777) != 0 && errno != EEXIST) {
        die(EXIT_IO, "%s: cannot make the folder: %s", options.out, strerror(errno));
    }
    size_t at = 0;
    prepare_tokens(&text, &at, train, prepare_create(0, options.out, "train.bin"));
    prepare_tokens(&text, &at, val, prepare_create(1, options.out, "val.bin"));
    prepare_meta(&text, train, val, &options, prepare_create(2, options.out, "meta.json"));
    prepare_rename();

    printf("%s: %llu characters, %d distinct\n", options.text, (unsigned long long)text.characters,
           text.vocab_size);
    printf("%s: %llu tokens\n", prepare_files[0].path, (unsigned long long)train);
    printf("%s: %llu tokens\n", prepare_files[1].path, (unsigned long long)val);
    printf("%s: the vocabulary\n", prepare_files[2].path);
    free(text.seen);
    free(text.id);
    munmap((void *)text.bytes, text.length);
    return EXIT_DONE;
}
