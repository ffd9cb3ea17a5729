// sample_flags.c: a sampler's command line, a flag a line. What is accepted is in the ranges that
// the messages state.
// links: tests/runtime/fake_model.c runtime/programs/sample/flags.c
#include "runtime/programs/sample/flags.h"
#include "tests/torture/fuzz/support/fuzz.h"

enum { FLAGS = 64 };
struct line {
    int argc;
    char *argv[FLAGS + 2];
    struct sample_flags flags;
};

static void parse(void *context) {
    struct line *line = context;
    sample_flags_parse(&line->flags, line->argc, line->argv);
}

static bool within(double value, double least, double most) {
    return value >= least && value <= most;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    struct line line = {.argc = 1, .argv = {"sample"}};
    struct fuzz_input input = {bytes, bytes + length};
    size_t piece;
    while (line.argc <= FLAGS && (line.argv[line.argc] = fuzz_take(&input, '\n', &piece))) {
        line.argc++;
    }
    line.argv[line.argc <= FLAGS ? line.argc : FLAGS + 1] = NULL;
    if (fuzz_survives(parse, &line)) {
        const struct sample_flags *f = &line.flags;
        FUZZ_MUST(f->checkpoint && *f->checkpoint && f->attention);
        FUZZ_MUST(within(f->num_samples, 0, 1e9) && within(f->max_new_tokens, 0, 1e9) &&
                  within(f->together, 0, 1e9));
        FUZZ_MUST(within(f->temperature, 0, 1e6) && f->top_p > 0 && f->top_p <= 1);
        FUZZ_MUST(within(f->top_k, 0, 1e9) && within(f->seed, -1, 4294967295.0));
        FUZZ_MUST(within(f->threads, 0, 256) && within(f->min_p, 0, 1));
        FUZZ_MUST(within(f->repetition_penalty, 1e-6, 1e6) && within(f->logprobs, 0, 100));
        FUZZ_MUST(f->score && (f->json || !f->logprobs));
        FUZZ_MUST(f->interactive + f->tokens + !!*f->score + !!*f->attention + !!*f->prompts <= 1);
        FUZZ_MUST(f->json || !*f->prompts);
        FUZZ_MUST(within(f->stop.count, 0, SAMPLE_STOPS));
        for (int i = 0; i < f->stop.count; i++) {
            const size_t bytes = strlen(f->stop.text[i]);
            FUZZ_MUST(bytes >= 1 && bytes <= 256);
        }
    } else {
        FUZZ_MUST(fuzz_code == EXIT_USAGE || (fuzz_code == EXIT_DONE && !*fuzz_line));
    }
    for (int i = 1; i < line.argc; i++) {
        free(line.argv[i]);
    }
    return 0;
}
