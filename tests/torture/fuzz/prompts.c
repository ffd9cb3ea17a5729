// prompts.c: a sampler's file of prompts. What is accepted is what the file says: a text of its
// line, or of a string in it, with flags in the ranges that the messages state; what is refused is
// refused by the number of a line that there is.
// links: tests/runtime/fake_model.c runtime/programs/sample/flags.c
// links: runtime/programs/sample/prompt.c runtime/programs/sample/prompts.c
#include "runtime/programs/sample/modes.h"
#include "tests/torture/fuzz/support/fuzz.h"

struct file {
    struct slice text;
    const struct tokenizer *tokenizer;
    struct sample_flags flags;
    struct sample_job *jobs;
    int64_t count;
};

static void parse(void *context) {
    struct file *file = context;
    file->jobs = prompts_parse(&file->flags, file->text, file->tokenizer, &file->count);
}

void sample_job_begin(struct sample_job *job) {
    (void)job;
}

static bool within(double value, double least, double most) {
    return value >= least && value <= most;
}

static void check(const struct sample_job *job) {
    const struct sample_flags *f = &job->flags;
    FUZZ_MUST(job->prompt.length > 0 && job->prompt.count > 0);
    FUZZ_MUST((size_t)job->prompt.count <= job->prompt.length);
    FUZZ_MUST(within(f->num_samples, 0, 1e9) && within(f->max_new_tokens, 0, 1e9));
    FUZZ_MUST(within(f->temperature, 0, 1e6) && f->top_p > 0 && f->top_p <= 1);
    FUZZ_MUST(within(f->top_k, 0, 1e9) && within(f->seed, -1, 4294967295.0));
    FUZZ_MUST(within(f->min_p, 0, 1) && within(f->logprobs, 0, 100));
    FUZZ_MUST(within(f->repetition_penalty, 1e-6, 1e6) && f->threads == 0 && f->together == 0);
    FUZZ_MUST(within(f->stop.count, 0, SAMPLE_STOPS) && job->stops <= f->stop.count);
    for (int i = 0; i < f->stop.count; i++) {
        FUZZ_MUST(within((double)strlen(f->stop.text[i]), 1, 256));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    char *text = malloc(length + 1);
    memcpy(text, bytes, length);
    text[length] = '\0';
    struct tokenizer tokenizer;
    const char *error;
    FUZZ_MUST(tokenizer_parse(&tokenizer, "char 0a 20 22 61 62 63 7b 7d e9 4e2d", &error));
    struct file file = {.text = {text, length}, .tokenizer = &tokenizer};
    char *argv[] = {"sample", "none", "--prompts=prompts", NULL};
    sample_flags_parse(&file.flags, 3, argv);
    if (fuzz_survives(parse, &file)) {
        for (int64_t i = 0; i < file.count; i++) {
            check(&file.jobs[i]);
        }
        prompts_free(file.jobs, file.count);
    } else {
        int line = 0, lines = 1;
        for (size_t i = 0; i < length; i++) {
            lines += text[i] == '\n';
        }
        FUZZ_MUST(fuzz_code == EXIT_DATA);
        FUZZ_MUST(sscanf(fuzz_line, "prompts:%d: ", &line) == 1 && line >= 1 && line <= lines);
    }
    tokenizer_free(&tokenizer);
    free(text);
    return 0;
}
