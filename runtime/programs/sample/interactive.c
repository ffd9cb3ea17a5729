// interactive.c: a line in, text out, and the context stays. Ctrl-C ends an answer, and the end of
// the input (Ctrl-D on a terminal) ends the program.
#include "runtime/programs/sample/modes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t interactive_interrupted;

static void interactive_on_signal(int number) {
    (void)number;
    interactive_interrupted = 1;
}

// Without SA_RESTART: a signal ends the wait for a line.
static void interactive_listen(void) {
    struct sigaction action = {.sa_handler = interactive_on_signal};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
}

struct interactive {
    bool terminal; // a person sits there
    char *line;
    size_t size;
};

// Reads the next line, with its newline. False at the end of the input.
static bool interactive_read(struct interactive *in, size_t *length) {
    for (;;) {
        if (in->terminal) {
            output_write("> ", 2);
            output_flush();
        }
        interactive_interrupted = 0;
        errno = 0;
        const ssize_t got = allocate_line(&in->line, &in->size, stdin, "a line");
        if (got >= 0) {
            *length = (size_t)got;
            return true;
        }
        if (!interactive_interrupted || feof(stdin)) {
            if (ferror(stdin)) {
                die(exit_code_of(errno), "stdin: cannot read: %s", strerror(errno));
            }
            return false;
        }
        clearerr(stdin);
        if (in->terminal) {
            output_write("\n", 1);
        }
    }
}

// Makes tokens of the line. A newline that is not in the vocabulary is left out. False, after a
// line that says why, if it has no tokens.
static bool interactive_encode(struct prompt *prompt, const struct tokenizer *tokenizer) {
    char error[512];
    size_t where;
    bool good = prompt_encode(prompt, tokenizer, error, &where);
    if (!good && where + 1 == prompt->length && prompt->text[where] == '\n') {
        prompt->length = where;
        good = where == 0 || prompt_encode(prompt, tokenizer, error, &where);
    }
    if (!good) {
        warn("%s", error);
    }
    return good && prompt->count > 0;
}

static void interactive_look(void *context, int text, const float *logits) {
    (void)text;
    answer_look(context, logits);
}

static bool interactive_token(void *context, int text, int32_t id) {
    (void)text;
    return answer_token(context, id);
}

static void interactive_end(void *context, int text, bool finite) {
    (void)text;
    if (!finite) {
        not_finite(((const struct answer *)context)->flags->checkpoint);
    }
}

void interactive_run(struct sampler *s, const struct tokenizer *tokenizer,
                     const struct sample_flags *flags, struct sampling *sampling,
                     const struct prompt *start) {
    struct interactive in = {.terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)};
    struct answer answer = {.tokenizer = tokenizer,
                            .flags = flags,
                            .vocab_size = s->vocab_size,
                            .interrupted = &interactive_interrupted};
    struct prompt line = {.place = "the line", .goes_on = start != NULL};
    const struct sampler_reader reader = {.context = &answer,
                                          .look = sampling->look ? interactive_look : NULL,
                                          .emit = interactive_token,
                                          .end = interactive_end};
    interactive_listen();
    s->lookup = (int)flags->lookup;
    sampler_make_room(s, 1);
    if (start != NULL) {
        sampler_take(s, start->ids, start->count);
        if (!flags->json) {
            output_write(start->text, start->length);
            output_flush();
        }
    }

    int32_t *ids = NULL;
    bool said = false;
    int64_t tokens = 0; // of all answers
    for (uint32_t turn = 0; interactive_read(&in, &line.length);) {
        line.text = in.line;
        line.count = 0;
        if (!interactive_encode(&line, tokenizer)) {
            continue;
        }
        line.goes_on = true;
        // The last token of the answer before is not in the context yet.
        const int64_t before = answer.count > 0;
        ids = allocate_again(ids, (size_t)(before + line.count) * sizeof *ids, "the line");
        ids[0] = answer.last;
        memcpy(ids + before, line.ids, (size_t)line.count * sizeof *ids);
        answer_begin(&answer, &line, true);
        if (flags->max_new_tokens == 0) {
            sampler_take(s, ids, before + line.count);
        } else {
            const struct sampler_request request = {.ids = ids,
                                                    .count = before + line.count,
                                                    .max_new_tokens = flags->max_new_tokens,
                                                    .sampling = sampling,
                                                    .sample = turn};
            sampler_answer(s, &request, &reader);
            tokens += answer.count;
        }
        answer_last(&answer);
        answer_end(&answer, &line, turn++, sampling->seed, "\n");
        if (s->text->slid && !s->slide_half && !said) {
            say_slide("the text goes");
            said = true;
        }
    }
    if (in.terminal) {
        output_write("\n", 1);
        output_flush();
    }
    say_lookup(s, flags, tokens);
    free(ids);
    free(line.ids);
    free(in.line);
}
