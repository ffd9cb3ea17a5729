// sample.c: the sampler's program: reads a checkpoint and a prompt, writes text. The folder sample/
// has what it does with them.
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/programs/sample/modes.h"

// The number of threads: as asked for, else as many as the model keeps busy; at most as many as may
// run at once.
static int choose_threads(int64_t asked) {
    const int threads = processors_threads("--threads", (int)asked);
    return asked > 0 ? threads : sampler_threads(threads);
}

static void verify(const struct safetensors *file) {
    char error[512];
    if (!safetensors_verify(file, error)) {
        die(EXIT_DATA, "%s", error);
    }
    int hashes = 0;
    for (int i = 0; i < file->count; i++) {
        hashes += file->tensors[i].hash[0] != '\0';
    }
    warn("%s: %d of %d tensors have a hash; all of these agree", file->path, hashes, file->count);
}

static void write_attention(const char *path, struct sampler *s, const struct tokenizer *tokenizer,
                            const struct prompt *prompt) {
    if (prompt->count > sampler_info.block_size) {
        die(EXIT_USAGE,
            "%s: the prompt has %lld tokens, and this model's context has %d; give %d at most",
            prompt->place, (long long)prompt->count, sampler_info.block_size,
            sampler_info.block_size);
    }
    attention_write(path, s, tokenizer, prompt->text, prompt->length, prompt->ids,
                    (int)prompt->count);
    warn("%s: the attention weights of %lld tokens in %d layers of %d heads", path,
         (long long)prompt->count, sampler_info.n_layer, sampler_info.n_head);
}

void not_finite(const char *checkpoint) {
    die(EXIT_DATA, "%s: its weights give logits that are not finite; take another checkpoint",
        checkpoint);
}

void say_slide(const char *goes) {
    const int T = sampler_info.block_size;
    if (sampler_info.n_head == 0) {
        return;
    }
    char half[64] = "none does";
    if (!sampler_is_relative()) {
        snprintf(half, sizeof half, "one in %d takes %d in", T - T / 2, T / 2);
    }
    warn("%s beyond the context of %d tokens, where each token takes %d in anew; with "
         "--slide=half %s",
         goes, T, T, half);
}

void say_lookup(const struct sampler *s, const struct sample_flags *flags, int64_t tokens) {
    if (flags->timing && s->lookup > 0) {
        const double left = (double)(tokens - s->right);
        warn("lookup: %lld tokens of drafts, %lld of them right: %.2f tokens a pass",
             (long long)s->drafted, (long long)s->right, left > 0 ? (double)tokens / left : 1);
    }
}

void sample_job_begin(struct sample_job *job) {
    struct sample_flags *flags = &job->flags;
    uint32_t seed = (uint32_t)flags->seed;
    if (flags->seed < 0) {
        if (getentropy(&seed, sizeof seed) != 0) {
            die(EXIT_IO, "--seed=-1: the system has no random numbers; give a seed");
        }
        warn("seed: %u; --seed=%u gives the same again", seed, seed);
    }
    job->sampling = (struct sampling){
        .repetition_penalty = flags->repetition_penalty,
        .temperature = flags->temperature,
        .top_k = (int)flags->top_k,
        .top_p = flags->top_p,
        .min_p = flags->min_p,
        .seed = seed,
        .look = flags->json || flags->timing ? answer_look : NULL,
    };
}

static void write_texts(struct sampler *s, const struct tokenizer *tokenizer,
                        const struct sample_flags *flags, const struct prompt *prompt) {
    s->slide_half = flags->slide_half;
    struct sample_job one = {.prompt = *prompt, .flags = *flags};
    if (flags->prompts[0] != '\0') {
        int64_t count;
        struct sample_job *jobs = prompts_read(flags, tokenizer, &count);
        samples_write(s, tokenizer, jobs, count);
        prompts_free(jobs, count);
        return;
    }
    sample_job_begin(&one);
    if (flags->interactive) {
        interactive_run(s, tokenizer, flags, &one.sampling, flags->start ? prompt : NULL);
    } else {
        samples_write(s, tokenizer, &one, 1);
    }
}

int main(int argc, char **argv) {
    streams_open();
    signal(SIGPIPE, SIG_IGN); // writing to a closed pipe then fails instead,
    signal(SIGXFSZ, SIG_IGN); // and so does writing beyond a file size limit
    struct sample_flags flags;
    sample_flags_parse(&flags, argc, argv);
    if (flags.attention[0] != '\0' && sampler_info.n_head == 0) {
        die(EXIT_USAGE, "--attention: this sampler's model is a bigram, which has no attention; "
                        "take one of a gpt");
    }
    struct prompt prompt = {.place = "--start"};
    if (flags.start) {
        prompt_read(&prompt, flags.start);
    }

    struct sampler_file file;
    struct sampler sampler;
    char error[512];
    enum exit_code code;
    if (!sampler_open(&file, &sampler, flags.inside ? NULL : flags.checkpoint,
                      choose_threads(flags.threads), error, &code)) {
        die(code, "%s", error);
    }
    if (flags.verify) {
        verify(&file.tensors);
    }
    size_t where;
    if (!flags.start) {
        prompt_default(&prompt, &file.tokenizer);
    } else if (!prompt_encode(&prompt, &file.tokenizer, error, &where)) {
        die(prompt.code, "%s", error);
    }

    if (flags.tokens) {
        ids_write(&prompt, &file.tokenizer, flags.json);
    } else if (flags.score[0] != '\0') {
        score_write(&sampler, &file.tokenizer, &flags);
    } else {
        if (flags.attention[0] != '\0') {
            write_attention(flags.attention, &sampler, &file.tokenizer, &prompt);
        }
        write_texts(&sampler, &file.tokenizer, &flags, &prompt);
    }
    if (!mapped_same(file.tensors.map)) {
        die(EXIT_IO,
            "%s: was written to while it was read, so the text may be of neither; start again",
            flags.checkpoint);
    }
    sampler_close(&file, &sampler);
    prompt_free(&prompt);
    return EXIT_DONE;
}
