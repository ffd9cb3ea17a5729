// tokens_json.c: tokens with their log probabilities as JSON.
#include "runtime/programs/sample/answer.h"

enum { MOST_TOP = 100 }; // as the flag's range

static void tokens_json_begin(FILE *out, const struct tokenizer *tokenizer, int32_t id) {
    fprintf(out, "{\"id\":%d,\"token\":", id);
    token_write_json(out, tokenizer, id);
    fputs(",\"logprob\":", out);
}

void tokens_json_write(FILE *out, const struct tokenizer *tokenizer, const float *logits,
                       int vocab_size, int32_t id, int top) {
    tokens_json_begin(out, tokenizer, id);
    if (logits == NULL) {
        fputs("null}", out);
        return;
    }
    const double total = logprobs_total(logits, sampler_info.vocab_size);
    json_write_number(out, logits[id] - total);
    if (top > 0) {
        int32_t ids[MOST_TOP];
        const int count = logprobs_top(logits, vocab_size, top, ids);
        fputs(",\"top_logprobs\":[", out);
        for (int i = 0; i < count; i++) {
            fputs(i ? "," : "", out);
            tokens_json_begin(out, tokenizer, ids[i]);
            json_write_number(out, logits[ids[i]] - total);
            fputs("}", out);
        }
        fputs("]", out);
    }
    fputs("}", out);
}
