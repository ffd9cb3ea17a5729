// metrics.c: the metrics.jsonl that a resuming run finds. The first two bytes are the run's next
// iteration and how many lines its state knows of. What stays are whole lines, in order, of earlier
// iterations, each of which was there; a file that is cut again stays as it is; and nothing is
// lost: what was there is in the file that was kept aside, or begins with what stays.
// links: tests/runtime/fake_model.c
#include "runtime/train/train.h"
#include "tests/torture/fuzz/support/fuzz.h"

#include <unistd.h>

struct cut {
    const char *path;
    FILE *file;
    struct progress progress;
    struct metrics_kept kept;
    bool whole;
};

static void cut(void *context) {
    struct cut *c = context;
    c->whole = metrics_cut(c->path, c->file, &c->progress, &c->kept);
}

static char *contents(const char *path, size_t *length) {
    FILE *file = fopen(path, "rbe");
    FUZZ_MUST(file != NULL);
    FUZZ_MUST(fseek(file, 0, SEEK_END) == 0);
    *length = (size_t)ftell(file);
    rewind(file);
    char *text = malloc(*length + 1);
    FUZZ_MUST(text && fread(text, 1, *length, file) == *length);
    text[*length] = 0;
    fclose(file);
    return text;
}

// The lines that stay.
static int64_t check_lines(const char *text, size_t length, int64_t from) {
    int64_t last = 0, count = 0;
    const char *error;
    for (size_t at = 0; at < length; count++) {
        const char *newline = memchr(text + at, '\n', length - at);
        FUZZ_MUST(newline != NULL);
        size_t line = (size_t)(newline - text) + 1 - at;
        struct json *json = json_parse(text + at, line, &error);
        int64_t iter;
        FUZZ_MUST(json && json_integer(json, json_get(json, 0, "iter"), &iter));
        FUZZ_MUST(iter >= last && iter < from);
        last = iter;
        json_free(json);
        at += line;
    }
    return count;
}

static struct cut cut_file(const char *path, int64_t iter, int64_t lines) {
    struct cut c = {.path = path, .file = fopen(path, "a+e")};
    c.progress.iter = iter;
    c.progress.log_lines = lines;
    FUZZ_MUST(c.file != NULL && fuzz_survives(cut, &c));
    fclose(c.file);
    return c;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    if (length < 2) {
        return 0;
    }
    const char *aside = fuzz_path("metrics.damaged.jsonl");
    const char *before = (const char *)bytes + 2;
    size_t before_length = length - 2, after_length, aside_length;
    const char *path = fuzz_file("metrics.jsonl", before, before_length);
    int64_t known = (int8_t)bytes[1];
    struct cut c = cut_file(path, bytes[0], known < 0 ? -1 : known);
    char *after = contents(path, &after_length);
    FUZZ_MUST(check_lines(after, after_length, bytes[0]) == c.kept.lines);
    FUZZ_MUST(!c.whole == (fuzz_warnings > 0));
    FUZZ_MUST(!c.whole || known < 0 || c.kept.lines == known);
    if (access(aside, F_OK) == 0) {
        char *kept = contents(aside, &aside_length);
        FUZZ_MUST(aside_length == before_length && !memcmp(kept, before, before_length));
        free(kept);
        unlink(aside);
    } else {
        FUZZ_MUST(after_length <= before_length && !memcmp(after, before, after_length));
    }
    struct cut again = cut_file(path, bytes[0], -1);
    size_t again_length;
    char *same = contents(path, &again_length);
    FUZZ_MUST(again.whole && again.kept.lines == c.kept.lines);
    FUZZ_MUST(again_length == after_length && !memcmp(same, after, after_length));
    free(same);
    free(after);
    return 0;
}
