// options.c: a trainer's command line, a flag a line. What is accepted prints as flags that set the
// same, and as JSON that is JSON.
// links: tests/runtime/fake_model.c
#include "runtime/train/train.h"
#include "tests/torture/fuzz/support/fuzz.h"

enum { FLAGS = 64 };
struct line {
    int argc;
    char *argv[FLAGS + 2];
    struct run run;
};

static void parse(void *context) {
    struct line *line = context;
    line->run = run_defaults;
    options_parse(&line->run, line->argc, line->argv);
}

static void parse_quietly(struct line *line) {
    FUZZ_MUST(fuzz_survives(parse, line));
}

// The keys that change results, given as flags, give the same text.
static void check_text(const struct run *run) {
    struct line again = {.argc = 1, .argv = {"train"}};
    char *text = options_text(run), *flags = malloc(3 * strlen(text) + 3), *to = flags;
    FUZZ_MUST(flags != NULL);
    struct pair pair;
    for (const char *rest = text; pairs_next(&rest, &pair);) {
        FUZZ_MUST(again.argc <= FLAGS);
        again.argv[again.argc++] = to;
        to += sprintf(to, "--%.*s=%.*s", pair.key_length, pair.key, pair.value_length, pair.value);
        to++;
    }
    parse_quietly(&again);
    char *same = options_text(&again.run);
    FUZZ_MUST(!strcmp(same, text));
    free(same);
    free(flags);
    free(text);
}

static void check_json(const struct run *run) {
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    FUZZ_MUST(out != NULL);
    options_write_json(run, out);
    FUZZ_MUST(fclose(out) == 0);
    const char *error;
    struct json *json = json_parse(text, length, &error);
    FUZZ_MUST(json != NULL);
    int64_t iters;
    FUZZ_MUST(json_integer(json, json_get(json, 0, "max_iters"), &iters));
    FUZZ_MUST(iters == run->max_iters);
    json_free(json);
    free(text);
}

// What goes into a checkpoint's metadata needs no escapes.
static void check_strings(const struct run *run) {
    const char *const strings[] = {run->out_dir, run->data_dir, run->dataset, run->init_from};
    for (int i = 0; i < 4; i++) {
        for (const char *c = strings[i]; *c; c++) {
            FUZZ_MUST((unsigned char)*c >= 0x20 && *c != 0x7f && *c != '"' && *c != '\\');
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    struct line line = {.argc = 1, .argv = {"train"}};
    struct fuzz_input input = {bytes, bytes + length};
    size_t piece;
    while (line.argc <= FLAGS && (line.argv[line.argc] = fuzz_take(&input, '\n', &piece))) {
        line.argc++;
    }
    line.argv[line.argc <= FLAGS ? line.argc : FLAGS + 1] = NULL;
    if (fuzz_survives(parse, &line)) {
        check_text(&line.run);
        check_strings(&line.run);
        check_json(&line.run);
    } else {
        FUZZ_MUST(fuzz_code == EXIT_USAGE || (fuzz_code == EXIT_DONE && !*fuzz_line));
    }
    for (int i = 1; i < line.argc; i++) {
        free(line.argv[i]);
    }
    return 0;
}
