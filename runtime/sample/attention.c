// attention.c: writes a prompt's attention weights and its tokens to a JSON file. Needs only libc,
// since the sampler links it.
#include "runtime/sample/sample.h"

#include <stdlib.h>
#include <string.h>

// Writes a token as a JSON string: characters as they are, other bytes as <0xE2>.
static void attention_write_token(FILE *out, const char *bytes, size_t length) {
    enum { SHOWN = 6 }; // characters of <0xE2>
    char *text = allocate(SHOWN * length + 1, 1, "a token");
    size_t used = 0;
    for (size_t at = 0; at < length;) {
        uint32_t codepoint;
        int taken = utf8_decode((const unsigned char *)bytes + at, length - at, &codepoint);
        if (taken > 0) {
            memcpy(text + used, bytes + at, (size_t)taken);
            used += (size_t)taken;
            at += (size_t)taken;
        } else {
            used += (size_t)snprintf(text + used, SHOWN + 1, "<0x%02X>", (unsigned char)bytes[at]);
            at++;
        }
    }
    json_write_string(out, text, used);
    free(text);
}

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
        size_t bytes_length;
        const char *bytes = tokenizer_decode(tokenizer, ids[i], &bytes_length);
        fputs(i ? "," : "[", out);
        attention_write_token(out, bytes, bytes_length);
    }
    fprintf(out, "],\n\"n_layer\":%d,\"n_head\":%d,\"n_tokens\":%d,\n\"attention\":[",
            sampler_info.n_layer, sampler_info.n_head, count);
    attention_write_weights(out, weights, count);
    fputs("]}\n", out);
    replace_end(&r);
    free(weights);
}
