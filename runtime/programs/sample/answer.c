// answer.c: the tokens of one text become text on stdout, or a line of JSON.
#include "runtime/programs/sample/answer.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Bytes of text that one token may complete: its own, what mending makes of them, and what was held
// back as the beginning of a stop text.
enum { ANSWER_PIECE = 3 * (TOKENIZER_TOKEN_MAX + 1) };

static void answer_write(struct answer *answer, const char *text, size_t length) {
    if (answer->held) {
        fwrite(text, 1, length, answer->text.file); // growing_end sees a failure
    } else {
        output_write(text, length);
    }
}

void answer_begin(struct answer *answer, const struct prompt *prompt, bool silent) {
    const struct sample_texts *stop = &answer->flags->stop;
    answer->live = isatty(STDOUT_FILENO) != 0;
    answer->mend = (struct utf8_mend){0};
    answer->stops = (struct stops){.text = stop->text, .count = stop->count};
    answer->finish = "length";
    answer->count = 0;
    answer->prompt_count = prompt->count;
    if (answer->flags->json) {
        growing_begin(&answer->text, "the text");
        answer->held = true;
        growing_begin(&answer->tokens, "the tokens");
        if (answer->logits == NULL) {
            answer->logits =
                allocate((size_t)sampler_info.vocab_size, sizeof *answer->logits, "the logits");
        }
    } else {
        if (answer->held) {
            growing_begin(&answer->text, "the text");
        }
        if (!silent) {
            answer_write(answer, prompt->text, prompt->length);
        }
        if (answer->live && !answer->held) {
            output_flush();
        }
    }
    answer->began = answer->prompted = time_now();
}

void answer_release(struct answer *answer) {
    if (answer->held && !answer->flags->json) {
        char *text = growing_end(&answer->text);
        output_write(text, answer->text.length);
        free(text);
        answer->held = false;
        if (answer->live) {
            output_flush();
        }
    }
}

void answer_look(void *context, const float *logits) {
    struct answer *answer = context;
    if (answer->count == 0) {
        answer->prompted = time_now();
    }
    if (answer->logits != NULL) {
        memcpy(answer->logits, logits, (size_t)sampler_info.vocab_size * sizeof *logits);
    }
}

// Writes text as far as it is outside of stop texts.
static void answer_pass(struct answer *answer, const char *text, size_t length) {
    char outside[ANSWER_PIECE + STOPS_LENGTH];
    answer_write(answer, outside, stops_pass(&answer->stops, text, length, outside));
}

bool answer_token(void *context, int32_t id) {
    struct answer *answer = context;
    if (answer->interrupted && *answer->interrupted) {
        answer->finish = "interrupt";
        return false;
    }
    if (answer->flags->json) {
        fputs(answer->count ? "," : "", answer->tokens.file);
        tokens_json_write(answer->tokens.file, answer->tokenizer, answer->logits,
                          answer->vocab_size, id, (int)answer->flags->logprobs);
    }
    answer->count++;
    answer->last = id;
    size_t length;
    const char *bytes = tokenizer_decode(answer->tokenizer, id, &length);
    char text[ANSWER_PIECE];
    answer_pass(answer, text, utf8_mend(&answer->mend, bytes, length, text));
    if (answer->live && !answer->held) {
        output_flush();
    }
    return !answer->stops.met;
}

// The rest of the text: half a character, and what might have become a stop text.
static void answer_finish(struct answer *answer) {
    char rest[STOPS_LENGTH];
    if (!answer->stops.met) {
        answer_pass(answer, rest, utf8_mend_end(&answer->mend, rest));
    }
    answer_write(answer, rest, stops_rest(&answer->stops, rest));
    if (answer->stops.met) {
        answer->finish = "stop";
    }
}

void answer_last(struct answer *answer) {
    answer->ended = time_now();
    free(answer->logits);
    answer->logits = NULL;
}

static double answer_speed(int64_t count, double seconds) {
    return seconds > 0 ? (double)count / seconds : 0;
}

void answer_end(struct answer *answer, const struct prompt *prompt, int64_t number, uint64_t seed,
                const char *end) {
    const double prompted = answer->prompted - answer->began;
    const double seconds = answer->ended - answer->prompted;
    const int64_t after = answer->count > 0 ? answer->count - 1 : 0;
    answer_finish(answer);
    if (answer->flags->json) {
        char *text = growing_end(&answer->text), *tokens = growing_end(&answer->tokens);
        struct growing line;
        growing_begin(&line, "a line of JSON");
        fprintf(line.file, "{\"sample\":%lld,\"seed\":%llu,\"prompt\":", (long long)number,
                (unsigned long long)seed);
        json_write_string(line.file, prompt->text, prompt->length);
        fputs(",\"text\":", line.file);
        json_write_string(line.file, text, answer->text.length);
        fprintf(line.file,
                ",\"finish_reason\":\"%s\",\"prompt_tokens\":%lld,\"prompt_seconds\":%.6f,"
                "\"seconds\":%.6f,\"tokens\":[",
                answer->finish, (long long)answer->prompt_count, prompted, seconds);
        fwrite(tokens, 1, answer->tokens.length, line.file);
        fputs("]}", line.file);
        output_line(&line);
        free(text);
        free(tokens);
    } else {
        output_write(end, strlen(end));
        output_flush();
    }
    if (answer->flags->timing) {
        warn("sample %lld: %lld tokens of prompt in %.2f ms, %.0f a second; then one, and %lld in "
             "%.2f ms, %.0f a second",
             (long long)number, (long long)answer->prompt_count, prompted * 1e3,
             answer_speed(answer->prompt_count, prompted), (long long)after, seconds * 1e3,
             answer_speed(after, seconds));
    }
}
