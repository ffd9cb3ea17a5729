// score.c: how well the model predicts a text, token by token. The text is cut into windows as
// `eval` cuts it: of T tokens that do not overlap; each token but the first is predicted once.
#include "runtime/programs/sample/modes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void score_write(struct sampler *s, const struct tokenizer *tokenizer,
                 const struct sample_flags *flags) {
    struct prompt text;
    prompt_read_file(&text, flags->score);
    char error[512];
    size_t where;
    if (!prompt_encode(&text, tokenizer, error, &where)) {
        die(text.code, "%s", error);
    }
    if (text.count < 2) {
        die(text.code, "%s: one token, before which there is none; give two at least", text.place);
    }

    const int V = sampler_info.vocab_size, T = sampler_info.block_size;
    const int64_t targets = text.count - 1;
    double loss = 0, byte_loss = 0, began = time_now();
    int64_t bytes = 0;
    struct growing tokens;
    growing_begin(&tokens, "the tokens");
    if (flags->json) {
        tokens_json_write(tokens.file, tokenizer, NULL, s->vocab_size, text.ids[0], 0);
    }
    for (int64_t i = 0; i < targets; i++) {
        if (i % T == 0) {
            sampler_begin(s);
        }
        sampler_take(s, text.ids + i, 1);
        if (!floats_are_finite(s->logits, V)) {
            not_finite(flags->checkpoint);
        }
        const int32_t id = text.ids[i + 1];
        const double one = logprobs_total(s->logits, V) - s->logits[id];
        const size_t length = tokenizer_bytes(tokenizer, id);
        loss += one;
        byte_loss += length ? one : 0;
        bytes += (int64_t)length;
        if (flags->json) {
            fputs(",", tokens.file);
            tokens_json_write(tokens.file, tokenizer, s->logits, s->vocab_size, id,
                              (int)flags->logprobs);
        }
    }
    const double seconds = time_now() - began, mean = loss / (double)targets;
    const double per_byte = bytes ? byte_loss / log(2) / (double)bytes : NAN;

    struct growing line;
    growing_begin(&line, "the score");
    char *list = growing_end(&tokens);
    if (flags->json) {
        fputs("{\"file\":", line.file);
        json_write_string(line.file, text.place, strlen(text.place));
        fputs(",\"loss\":", line.file);
        json_write_number(line.file, mean);
        fputs(",\"perplexity\":", line.file);
        json_write_number(line.file, exp(mean));
        fputs(",\"bits_per_byte\":", line.file);
        json_write_number(line.file, per_byte);
        fprintf(line.file, ",\"targets\":%lld,\"seconds\":%.6f,\"tokens\":[", (long long)targets,
                seconds);
        fwrite(list, 1, tokens.length, line.file);
        fputs("]}", line.file);
    } else {
        fprintf(line.file, "%s: loss %.6f, perplexity %.4f", text.place, mean, exp(mean));
        if (bytes) {
            fprintf(line.file, ", %.6f bits per byte", per_byte);
        }
        fprintf(line.file, "; %lld tokens predicted in windows of %d", (long long)targets, T);
    }
    output_line(&line);
    if (flags->timing) {
        warn("%s: %lld tokens in %.2f ms, %.0f a second", text.place, (long long)targets,
             seconds * 1e3, seconds > 0 ? (double)targets / seconds : 0);
    }
    free(list);
    prompt_free(&text);
}
