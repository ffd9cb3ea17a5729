// preview.c: a short sample from the model in training, by the sampler's forward pass.
#include "runtime/train/train.h"
#include "runtime/sample/sample.h"

#include <stdlib.h>
#include <string.h>

enum { PREVIEW_TOKENS = 200, PREVIEW_TOP_K = 200 };

struct preview {
    const struct tokenizer *tokenizer;
    struct utf8_mend mend;
    FILE *out;
};

static bool preview_emit(void *context, int32_t id) {
    struct preview *preview = context;
    size_t length;
    const char *bytes = tokenizer_decode(preview->tokenizer, id, &length);
    char text[3 * (TOKENIZER_TOKEN_MAX + 1)];
    fwrite(text, 1, utf8_mend(&preview->mend, bytes, length, text), preview->out);
    return !stop_asked();
}

// Points the sampler's weights at the trainer's tensors.
static void preview_weights(struct sampler *s, const struct model *m,
                            const struct model_info *info) {
    int count = 0;
    for (int i = 0; i < sampler_info.params_count; i++) {
        const struct param *wanted = &sampler_info.params[i], *found = NULL;
        for (int k = 0; k < info->params_count; k++) {
            found = strcmp(info->params[k].name, wanted->name) ? found : &info->params[k];
        }
        if (!found) {
            die(EXIT_INTERNAL, "preview: the trainer has no %s", wanted->name);
        }
        for (int layer = 0; layer < wanted->layers && !wanted->joined; layer++) {
            s->weight[count++] = m->params + found->offset + layer * found->stride;
        }
    }
}

char *preview_text(const struct model *m, const struct model_info *info,
                   const struct tokenizer *tokenizer, uint64_t seed, int64_t iter, size_t *length) {
    struct growing text;
    growing_begin(&text, "a sample");
    struct preview preview = {.tokenizer = tokenizer, .out = text.file};
    struct sampler s;
    sampler_create(&s, 1);
    preview_weights(&s, m, info);
    if (tokenizer->vocab_size < s.vocab_size) {
        s.vocab_size = tokenizer->vocab_size;
    }
    int32_t start = tokenizer_start(tokenizer);
    struct sampling sampling = {
        .temperature = 0.8, .top_k = PREVIEW_TOP_K, .top_p = 1, .seed = seed};
    char rest[3];
    if (!sampler_generate(&s, &start, 1, PREVIEW_TOKENS, &sampling, (uint32_t)iter, preview_emit,
                          &preview)) {
        fputs("(no text: a logit is not finite)", preview.out);
    }
    fwrite(rest, 1, utf8_mend_end(&preview.mend, rest), preview.out);
    sampler_destroy(&s);
    char *sample = growing_end(&text);
    *length = text.length;
    return sample;
}
