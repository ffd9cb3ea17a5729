// example.c: writes with the library sampler_NAME:
//
//     example CHECKPOINT [PROMPT]
#include "sampler_NAME.h"

#include <stdio.h>
#include <string.h>

static bool show(void *context, const char *text, size_t length) {
    (void)context;
    return fwrite(text, 1, length, stdout) == length; // false ends the text
}

int main(int argc, char **argv) {
    const char *prompt = argc > 2 ? argv[2] : NULL; // NULL: the default, a newline
    char error[NAME_LINE];
    const struct NAME_settings settings = {.sequences = 2, .slide = NAME_SLIDE_HALF};
    struct NAME_model *model = NAME_open(argc > 1 ? argv[1] : "", &settings, error);
    if (!model) {
        fprintf(stderr, "%s\n", error);
        return 1;
    }

    // A whole text, with the options that the program has by default.
    const struct NAME_options options = {.temperature = 0.8, .top_k = 200, .seed = 1337};
    if (NAME_sample(model, 0, prompt, prompt ? strlen(prompt) : 0, 100, &options, show, NULL)) {
        fprintf(stderr, "%s\n", NAME_error(model));
    }

    // Two texts side by side, token by token: the likeliest one, and one that is drawn.
    int32_t tokens[NAME_CONTEXT], next[2];
    const char *start = prompt ? prompt : "\n";
    int64_t count = NAME_tokenize(model, start, strlen(start), true, tokens, NAME_CONTEXT);
    const int both[] = {0, 1};
    const struct NAME_options ways[] = {{0}, options};
    char text[2][4096];
    size_t length[2] = {0};
    int failed = count < 0 || count > NAME_CONTEXT;
    for (int i = 0; i < 2 && !failed; i++) {
        failed = NAME_begin(model, i) || NAME_feed(model, i, tokens, count);
    }
    for (int n = 0; n < 20 && !failed; n++) {
        failed = NAME_step_each(model, 2, both, ways, next);
        for (int i = 0; i < 2 && !failed; i++) {
            size_t bytes;
            const char *piece = NAME_token_text(model, next[i], &bytes);
            if (length[i] + bytes <= sizeof text[i]) {
                memcpy(text[i] + length[i], piece, bytes);
                length[i] += bytes;
            }
        }
    }
    if (failed) {
        fprintf(stderr, "%s\n", NAME_error(model));
    }
    for (int i = 0; i < 2; i++) {
        printf("\n--- %d\n%.*s", i, (int)length[i], text[i]);
    }
    printf("\n");
    NAME_close(model);
    return failed ? 1 : 0;
}
