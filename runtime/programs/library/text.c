// text.c: text to tokens, and back.
#include <stdlib.h>
#include <string.h>

#include "runtime/programs/library/model.h"

struct encoding {
    struct NAME_model *model;
    struct prompt *prompt; // its text and goes_on are set
};

static void text_run(void *context) {
    struct encoding *e = context;
    const struct tokenizer *tokenizer = &e->model->file.tokenizer;
    char error[512];
    size_t where;
    if (!e->prompt->text) {
        prompt_default(e->prompt, tokenizer);
    } else if (!prompt_encode(e->prompt, tokenizer, error, &where)) {
        die(EXIT_USAGE, "%s", error);
    }
}

int text_encode(struct NAME_model *model, const char *text, size_t length, bool begins,
                struct prompt *prompt) {
    *prompt = (struct prompt){
        .place = "the text", .text = (char *)text, .length = length, .goes_on = !begins};
    struct encoding e = {model, prompt};
    return (int)trap_run(text_run, NULL, &e, model->error, NULL);
}

int64_t NAME_tokenize(struct NAME_model *model, const char *text, size_t length, bool begins,
                      int32_t *tokens, int64_t room) {
    struct prompt prompt;
    if (!text && length > 0) {
        model_fail(model, NAME_WRONG, "the text: found NULL, wanted %zu bytes", length);
        return -1;
    }
    if (text_encode(model, text ? text : "", length, begins, &prompt) != NAME_OK) {
        return -1;
    }
    const int64_t count = prompt.count < room ? prompt.count : room;
    if (count > 0) {
        memcpy(tokens, prompt.ids, (size_t)count * sizeof *tokens);
    }
    free(prompt.ids); // the text is the caller's
    return prompt.count;
}

const char *NAME_token_text(struct NAME_model *model, int32_t token, size_t *length) {
    return model_has_token(model, token, 0)
               ? tokenizer_decode(&model->file.tokenizer, token, length)
               : NULL;
}

int64_t NAME_detokenize(struct NAME_model *model, const int32_t *tokens, int64_t count, char *text,
                        size_t room) {
    size_t total = 0;
    for (int64_t i = 0; i < count; i++) {
        if (!model_has_token(model, tokens[i], i)) {
            return -1;
        }
        size_t length;
        const char *bytes = tokenizer_decode(&model->file.tokenizer, tokens[i], &length);
        for (size_t at = 0; at < length; at++, total++) {
            if (total < room) {
                text[total] = bytes[at];
            }
        }
    }
    return (int64_t)total;
}
