// sample.c: a whole text behind a prompt.
#include <stdlib.h>

#include "runtime/programs/library/model.h"

// Bytes of text that one token may complete: its own, what mending makes of them, and what was held
// back as the beginning of a stop text.
enum { SAMPLE_PIECE = 3 * (TOKENIZER_TOKEN_MAX + 1) };

static int sample_check_stops(struct NAME_model *model, const struct NAME_options *options) {
    if (options->stops < 0 || options->stops > STOPS_MOST) {
        return model_fail(model, NAME_WRONG, "stops: found %d texts, wanted 0 to %d",
                          options->stops, STOPS_MOST);
    }
    for (int i = 0; i < options->stops; i++) {
        if (!options->stop[i] || !stops_takes(options->stop[i])) {
            return model_fail(model, NAME_WRONG,
                              "stop text %d: wanted UTF-8 of 1 to %d bytes with a zero behind it",
                              i, STOPS_LENGTH);
        }
    }
    return NAME_OK;
}

// Begins the sequence with the prompt.
static int sample_begin(struct NAME_model *model, int number, const char *text, size_t length) {
    struct prompt prompt;
    if (text && length == 0) {
        return model_fail(model, NAME_WRONG, "the text: an empty prompt; give one character");
    }
    int status = NAME_begin(model, number);
    if (status == NAME_OK) {
        status = text_encode(model, text, length, true, &prompt);
    }
    if (status == NAME_OK) {
        status = NAME_feed(model, number, prompt.ids, prompt.count);
        free(prompt.ids);
        if (!text) {
            free(prompt.text);
        }
    }
    return status;
}

int NAME_sample(struct NAME_model *model, int number, const char *prompt, size_t length,
                int64_t most, const struct NAME_options *options, NAME_text *text, void *context) {
    static const struct NAME_options greedy;
    options = options ? options : &greedy;
    int status = sample_check_stops(model, options);
    if (status == NAME_OK) {
        status = sample_begin(model, number, prompt, length);
    }
    if (status != NAME_OK) {
        return status;
    }
    struct stops stops = {.text = options->stop, .count = options->stops};
    struct utf8_mend mend = {0};
    char mended[SAMPLE_PIECE], outside[SAMPLE_PIECE + STOPS_LENGTH];
    bool goes_on = true;
    for (int64_t i = 0; i < most && status == NAME_OK && goes_on && !stops.met; i++) {
        int32_t token;
        status = NAME_step(model, number, options, &token);
        if (status == NAME_OK) {
            size_t bytes;
            const char *of = tokenizer_decode(&model->file.tokenizer, token, &bytes);
            bytes = stops_pass(&stops, mended, utf8_mend(&mend, of, bytes, mended), outside);
            goes_on = bytes == 0 || text(context, outside, bytes);
        }
    }
    if (goes_on && (status == NAME_OK || status == NAME_FULL)) {
        size_t rest = 0;
        if (!stops.met) {
            rest = stops_pass(&stops, mended, utf8_mend_end(&mend, mended), outside);
        }
        rest += stops_rest(&stops, outside + rest);
        if (rest > 0) {
            text(context, outside, rest);
        }
    }
    return status;
}
