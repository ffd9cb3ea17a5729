// sample.c: the sampler's program: reads a checkpoint and a prompt, writes text.
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/sample/sample.h"
#include "runtime/programs/sample/flags.h"

enum {
    MOST_PROMPT_BYTES = 64 << 20,
    MOST_THREADS = 8,            // unless --threads asks for more
    WEIGHTS_PER_THREAD = 1 << 18 // with fewer, another thread costs more than it saves
};

struct prompt {
    const char *place; // for messages: the flag or the file
    enum exit_code code;
    char *text;
    size_t length;
    int32_t *ids;
    int64_t count;
};

struct output {
    const struct tokenizer *tokenizer;
    struct utf8_mend mend;
    bool live; // stdout is a terminal: flush after each token
};

// Ends the program, without a message if the reader has closed the pipe.
static _Noreturn void output_failed(void) {
    int problem = errno;
    if (problem != EPIPE) {
        warn("stdout: cannot write: %s; make room and start again", strerror(problem));
    }
    _exit(EXIT_IO);
}

static void output_write(const char *text, size_t length) {
    if (fwrite(text, 1, length, stdout) != length) {
        output_failed();
    }
}

static void output_flush(void) {
    if (fflush(stdout) != 0) {
        output_failed();
    }
}

static void output_token(void *context, int32_t id) {
    struct output *output = context;
    size_t length;
    const char *bytes = tokenizer_decode(output->tokenizer, id, &length);
    char text[3 * (TOKENIZER_TOKEN_MAX + 1)];
    output_write(text, utf8_mend(&output->mend, bytes, length, text));
    if (output->live) {
        output_flush();
    }
}

static void read_file(struct prompt *prompt, const char *path) {
    FILE *file = stream_open(path, "r");
    if (file == NULL) {
        die(errno == ENOENT ? EXIT_MISSING : exit_code_of(errno), "%s: cannot read the prompt: %s",
            path, strerror(errno));
    }
    for (;;) {
        prompt->text = allocate_again(prompt->text, prompt->length + 65536, "the prompt");
        size_t got = fread(prompt->text + prompt->length, 1, 65536, file);
        prompt->length += got;
        if (prompt->length > MOST_PROMPT_BYTES) {
            die(EXIT_DATA, "%s: more than %d bytes of prompt; give less", path, MOST_PROMPT_BYTES);
        }
        if (got == 0) {
            break;
        }
    }
    if (ferror(file)) {
        die(exit_code_of(errno), "%s: cannot read the prompt: %s", path, strerror(errno));
    }
    fclose(file);
}

static void prompt_read(struct prompt *prompt, const char *start) {
    *prompt = (struct prompt){.place = "--start", .code = EXIT_USAGE};
    if (strncmp(start, "FILE:", 5) == 0) {
        prompt->place = start + 5;
        prompt->code = EXIT_DATA;
        read_file(prompt, start + 5);
    } else {
        prompt->length = strlen(start);
        prompt->text = allocate_copy(start, prompt->length, "the prompt");
    }
    if (prompt->length == 0) {
        die(prompt->code, "%s: an empty prompt; give one character at least", prompt->place);
    }
    prompt->ids = allocate(prompt->length, sizeof *prompt->ids, "the prompt");
}

// The default prompt, one token of the checkpoint's vocabulary.
static void prompt_default(struct prompt *prompt, const struct tokenizer *tokenizer) {
    int32_t id = tokenizer_start(tokenizer);
    const char *text = tokenizer_decode(tokenizer, id, &prompt->length);
    prompt->text = allocate_copy(text, prompt->length, "the prompt");
    prompt->ids = allocate(1, sizeof *prompt->ids, "the prompt");
    prompt->ids[0] = id;
    prompt->count = 1;
}

static void prompt_encode(struct prompt *prompt, const struct tokenizer *tokenizer) {
    size_t where;
    prompt->count = tokenizer_encode(tokenizer, prompt->text, prompt->length, prompt->ids, &where);
    if (prompt->count >= 0) {
        return;
    }
    size_t line = 1, column = 1;
    for (size_t i = 0; i < where; i++) {
        if (prompt->text[i] == '\n') {
            line++;
            column = 1;
        } else if ((prompt->text[i] & 0xc0) != 0x80) {
            column++;
        }
    }
    const unsigned char *found = (const unsigned char *)prompt->text + where;
    uint32_t codepoint;
    int bytes = utf8_decode(found, prompt->length - where, &codepoint);
    if (bytes == 0) {
        die(prompt->code, "%s: line %zu, character %zu: byte 0x%02x is not UTF-8; give UTF-8 text",
            prompt->place, line, column, *found);
    }
    char vocabulary[96];
    tokenizer_describe(tokenizer, vocabulary);
    die(prompt->code,
        "%s: line %zu, character %zu: '%.*s' (U+%04X) is not in the vocabulary (%s); leave it out",
        prompt->place, line, column, bytes, found, (unsigned)codepoint, vocabulary);
}

// The number of threads: as asked for, else as many as the model keeps busy; at most as many as may
// run at once.
static int choose_threads(int64_t asked) {
    int64_t threads = processors_threads("--threads", (int)asked), weights = 0;
    if (asked > 0) {
        return (int)threads;
    }
    for (int i = 0; i < sampler_info.params_count; i++) {
        const struct param *param = &sampler_info.params[i];
        weights += param->layers * param->dims[0] * (param->ndim > 1 ? param->dims[1] : 1);
    }
    if (threads > MOST_THREADS) {
        threads = MOST_THREADS;
    }
    if (threads > weights / WEIGHTS_PER_THREAD) {
        threads = weights / WEIGHTS_PER_THREAD;
    }
    return threads < 1 ? 1 : (int)threads;
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
    if (!sampler_open(&file, &sampler, flags.checkpoint, choose_threads(flags.threads), error,
                      &code)) {
        die(code, "%s", error);
    }
    if (flags.verify) {
        verify(&file.tensors);
    }
    if (flags.start) {
        prompt_encode(&prompt, &file.tokenizer);
    } else {
        prompt_default(&prompt, &file.tokenizer);
    }

    if (flags.attention[0] != '\0') {
        write_attention(flags.attention, &sampler, &file.tokenizer, &prompt);
    }

    struct sampling sampling = {
        .temperature = flags.temperature,
        .top_k = (int)flags.top_k,
        .top_p = flags.top_p,
        .seed = (uint64_t)flags.seed,
    };
    struct output output = {.tokenizer = &file.tokenizer, .live = isatty(STDOUT_FILENO) != 0};
    for (int64_t i = 0; i < flags.num_samples; i++) {
        output_write(prompt.text, prompt.length);
        if (output.live) {
            output_flush();
        }
        if (!sampler_generate(&sampler, prompt.ids, prompt.count, flags.max_new_tokens, &sampling,
                              (uint32_t)i, output_token, &output)) {
            die(EXIT_DATA,
                "%s: its weights give logits that are not finite; take another checkpoint",
                flags.checkpoint);
        }
        char rest[3];
        output_write(rest, utf8_mend_end(&output.mend, rest));
        output_write("\n---------------\n", 17);
        output_flush();
    }
    output_flush();
    if (!mapped_same(file.tensors.map)) {
        die(EXIT_IO,
            "%s: was written to while it was read, so the text may be of neither; start again",
            flags.checkpoint);
    }
    sampler_close(&file, &sampler);
    free(prompt.text);
    free(prompt.ids);
    return EXIT_DONE;
}
