// attention.c: writes a prompt's attention weights and its tokens to a JSON file. Needs only libc,
// since the sampler links it.
#include "runtime/sample/sample.h"

#include <stdlib.h>

static void attention_write_weights(FILE *out, const float *weights, int count) {
    for (int l = 0; l < sampler_info.n_layer; l++) {
        fputs(l ? ",\n[" : "[", out);
        for (int h = 0; h < sampler_info.n_head; h++) {
            fputs(h ? ",\n[" : "[", out);
            for (int query = 0; query < count; query++) {
                fputs(query ? ",\n[" : "[", out);
                for (int key = 0; key < count; key++) {
                    fputs(key ? "," : "", out);
                    json_write_number(out, *weights++);
                }
                putc(']', out);
            }
            putc(']', out);
        }
        putc(']', out);
    }
}

void attention_write(const char *path, struct sampler *s, const struct tokenizer *tokenizer,
                     const char *prompt, size_t length, const int32_t *ids, int count) {
    const size_t squares = (size_t)sampler_info.n_layer * (size_t)sampler_info.n_head;
    const size_t square = (size_t)count * (size_t)count;
    float *weights = allocate(squares, square * sizeof *weights, "the prompt's attention weights");
    sampler_attention(s, ids, count, weights);
    if (!floats_are_finite(weights, (int64_t)(squares * square))) {
        die(EXIT_DATA, "%s: an attention weight is not finite; take another checkpoint", path);
    }
    struct replacement r;
    replace_begin(&r, path);

    FILE *out = r.file;
    fputs("{\"prompt\":", out);
    json_write_string(out, prompt, length);
    fputs(",\n\"ids\":", out);
    for (int i = 0; i < count; i++) {
        fprintf(out, "%s%d", i ? "," : "[", ids[i]);
    }
    fputs("],\n\"tokens\":", out);
    for (int i = 0; i < count; i++) {
        fputs(i ? "," : "[", out);
        token_write_json(out, tokenizer, ids[i]);
    }
    fprintf(out, "],\n\"n_layer\":%d,\"n_head\":%d,\"n_tokens\":%d,\n\"attention\":[",
            sampler_info.n_layer, sampler_info.n_head, count);
    attention_write_weights(out, weights, count);
    fputs("]}\n", out);
    replace_end(&r);
    free(weights);
}
