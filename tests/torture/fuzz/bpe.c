// bpe.c: byte-pair encoding against a plain one that looks for the first merge again and again. The
// input: a count of merges, which need no more than to be named; two bytes for each; the text,
// encoded as one piece, and, if it is UTF-8, as GPT-2's pieces.
#include "runtime/text/text.h"
#include "tests/torture/fuzz/support/fuzz.h"

enum { MERGES_MAX = 64 };

struct merges {
    int count;
    int32_t left[MERGES_MAX], right[MERGES_MAX];
};

// Writes "bpe gpt2 BYTES MERGES" with bytes in their order; drops merges that the format refuses:
// those made twice, and tokens that become too long.
static char *tokenizer_string(struct merges *merges, const uint8_t *pairs, int count) {
    char *string = malloc(9 + 512 + 1 + 8 * MERGES_MAX + 1), *at = string;
    int bytes[256 + MERGES_MAX];
    FUZZ_MUST(string != NULL);
    at += sprintf(at, "bpe gpt2 ");
    for (int i = 0; i < 256; i++) {
        at += sprintf(at, "%02x", (unsigned)i);
        bytes[i] = 1;
    }
    *at++ = ' ';
    merges->count = 0;
    for (int i = 0; i < count; i++) {
        int made = merges->count;
        // Small numbers are the latest merges, so that they build on one another.
        int32_t left = pairs[2 * i] < made ? 255 + made - pairs[2 * i] : pairs[2 * i];
        int32_t right = pairs[2 * i + 1] < made ? 255 + made - pairs[2 * i + 1] : pairs[2 * i + 1];
        bool twice = bytes[left] + bytes[right] > TOKENIZER_TOKEN_MAX;
        for (int k = 0; k < made; k++) {
            twice = twice || (merges->left[k] == left && merges->right[k] == right);
        }
        if (!twice) {
            bytes[256 + made] = bytes[left] + bytes[right];
            merges->left[made] = left;
            merges->right[made] = right;
            merges->count++;
            at += sprintf(at, "%04x%04x", (unsigned)left, (unsigned)right);
        }
    }
    return string;
}

static int64_t reference(const struct merges *merges, const uint8_t *text, size_t length,
                         int32_t *ids) {
    int64_t count = (int64_t)length;
    for (size_t i = 0; i < length; i++) {
        ids[i] = text[i];
    }
    // In the order of the list: a merge never makes room for an earlier one, as it holds only
    // earlier tokens.
    for (int k = 0; k < merges->count; k++) {
        int64_t to = 0;
        for (int64_t i = 0; i < count; i++) {
            bool both =
                i + 1 < count && ids[i] == merges->left[k] && ids[i + 1] == merges->right[k];
            ids[to++] = both ? 256 + k : ids[i];
            i += both;
        }
        count = to;
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    if (length < 1) {
        return 0;
    }
    int count = bytes[0] % MERGES_MAX;
    if (count == 0 || length < 1 + 2 * (size_t)count) {
        return 0;
    }
    struct merges merges;
    char *string = tokenizer_string(&merges, bytes + 1, count);
    const char *text = (const char *)bytes + 1 + 2 * count, *error;
    size_t text_length = length - 1 - 2 * (size_t)count;
    struct tokenizer tokenizer;
    FUZZ_MUST(tokenizer_parse(&tokenizer, string, &error));
    FUZZ_MUST(tokenizer.vocab_size == 256 + merges.count);
    int32_t *ours = malloc(text_length * sizeof *ours + 1);
    int32_t *theirs = malloc(text_length * sizeof *theirs + 1);
    FUZZ_MUST(ours && theirs);
    if (text_length) {
        int64_t n = bpe_encode(&tokenizer, text, text_length, ours);
        FUZZ_MUST(n == reference(&merges, (const uint8_t *)text, text_length, theirs));
        FUZZ_MUST(!memcmp(ours, theirs, (size_t)n * sizeof *ours));
    }
    size_t where;
    int64_t all = tokenizer_encode(&tokenizer, text, text_length, ours, &where), made = 0;
    for (size_t at = 0; all >= 0 && at < text_length;) {
        size_t piece = pretokenize(PRETOKENIZER_GPT2, text + at, text_length - at);
        FUZZ_MUST(piece > 0 && piece <= text_length - at);
        int64_t n = reference(&merges, (const uint8_t *)text + at, piece, theirs);
        FUZZ_MUST(n <= all - made && !memcmp(ours + made, theirs, (size_t)n * sizeof *ours));
        made += n;
        at += piece;
    }
    FUZZ_MUST(all < 0 || made == all);
    free(ours);
    free(theirs);
    tokenizer_free(&tokenizer);
    free(string);
    return 0;
}
