// tokenizer.c: measures how fast GPT-2's tokenizer encodes a text on one core:
//
//     tokenizer FOLDER TEXT
//
// with vocab.bpe and encoder.json in FOLDER. A pass is the whole text, which is in memory; the
// check that it is UTF-8 counts.
#include "runtime/files/files.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PASSES_MIN = 5, PASSES_MAX = 99 };
static const double ENOUGH = 2; // seconds; passes of a large text are few

static char *text_read(const char *path, size_t *length) {
    FILE *file = fopen(path, "rb");
    struct stat stat;
    if (!file || fstat(fileno(file), &stat)) {
        die(errno == ENOENT ? EXIT_MISSING : EXIT_IO, "%s: cannot open: %s", path, strerror(errno));
    }
    *length = S_ISREG(stat.st_mode) ? (size_t)stat.st_size : 0;
    char *text = malloc(*length + 1);
    if (!text) {
        die(EXIT_MEMORY, "%s: not enough memory to read it", path);
    }
    if (*length == 0 || fread(text, 1, *length, file) != *length) {
        die(EXIT_IO, "%s: cannot be read, or is empty; a text in UTF-8 is wanted", path);
    }
    fclose(file);
    return text;
}

static int compare(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    if (argc != 3) {
        die(EXIT_USAGE, "tokenizer: a folder with GPT-2's files and a text are wanted");
    }
    char *string = gpt2_files_read(argv[1]);
    struct tokenizer t;
    const char *error;
    if (!tokenizer_parse(&t, string, &error)) {
        die(EXIT_DATA, "%s: %s", argv[1], error);
    }
    size_t length, where;
    char *text = text_read(argv[2], &length);
    int32_t *ids = malloc(length * sizeof *ids);
    if (!ids) {
        die(EXIT_MEMORY, "%s: not enough memory for its tokens", argv[2]);
    }
    const int64_t tokens = tokenizer_encode(&t, text, length, ids, &where); // not timed: the first
    if (tokens < 0) {
        die(EXIT_DATA, "%s: no UTF-8 at byte %zu", argv[2], where);
    }
    double rates[PASSES_MAX], begin = time_now(); // MB/s
    int passes = 0;
    while (passes < PASSES_MIN || (passes < PASSES_MAX && time_now() - begin < ENOUGH)) {
        const double start = time_now();
        tokenizer_encode(&t, text, length, ids, &where);
        rates[passes++] = (double)length / (time_now() - start) * 1e-6;
    }
    qsort(rates, (size_t)passes, sizeof rates[0], compare);
    printf("%s: %zu bytes, %lld tokens: %.1f MB/s on one core (%.1f to %.1f in %d passes)\n",
           argv[2], length, (long long)tokens, rates[passes / 2], rates[0], rates[passes - 1],
           passes);
    free(ids), free(text), free(string);
    tokenizer_free(&t);
    return EXIT_DONE;
}
