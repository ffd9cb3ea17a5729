// hf_tokenizer.c: a tokenizer as the files from which Hugging Face's transformers makes the same.
//
//     tokenizer.json           all of it
//     vocab.json               {"token": id, ...}
//     merges.txt               of GPT-2's alone: its merges, a line each
//     tokenizer_config.json    the class that reads tokenizer.json as it is
//
// GPT-2's tokens are written as gpt2_show does, characters as they are. Texts are cut into
// characters by a pattern that every character fits, a newline too, and decoded without spaces
// between ("Fuse").
#include "runtime/files/files.h"

#include <stdlib.h>
#include <string.h>

// ---- writing ------------------------------------------------------------------------------------

// A token as the files write it, in quotes.
static void hf_token(FILE *out, const struct tokenizer *tokenizer, int32_t id) {
    size_t length;
    const char *bytes = tokenizer_decode(tokenizer, id, &length);
    char shown[2 * TOKENIZER_TOKEN_MAX];
    if (!tokenizer->bpe || bpe_kind(tokenizer->bpe, id) != BPE_PLAIN) {
        json_write_string(out, bytes, length);
    } else {
        json_write_string(out, shown, gpt2_show(bytes, length, shown));
    }
}

void hf_write_vocabulary(FILE *out, const struct tokenizer *tokenizer) {
    fputs("{", out);
    for (int32_t id = 0, written = 0; id < tokenizer->vocab_size; id++) {
        if (tokenizer->bpe && bpe_kind(tokenizer->bpe, id) == BPE_UNUSED) {
            continue;
        }
        fputs(written++ ? "," : "", out);
        hf_token(out, tokenizer, id);
        fprintf(out, ":%d", id);
    }
    fputs("}", out);
}

// Merge i: two tokens with a space between.
static void hf_merge(FILE *out, const struct tokenizer *tokenizer, int32_t number) {
    int32_t part[2];
    bpe_merge_parts(tokenizer, number, &part[0], &part[1]);
    for (int i = 0; i < 2; i++) {
        size_t length;
        const char *bytes = tokenizer_decode(tokenizer, part[i], &length);
        char shown[2 * TOKENIZER_TOKEN_MAX];
        fputs(i ? " " : "", out);
        fwrite(shown, 1, gpt2_show(bytes, length, shown), out);
    }
}

void hf_write_merges(FILE *out, const struct tokenizer *tokenizer) {
    fputs("#version: 0.2\n", out);
    for (int32_t i = 0; i < bpe_merge_count(tokenizer->bpe); i++) {
        hf_merge(out, tokenizer, i);
        fputs("\n", out);
    }
}

// Those that texts may name.
static void hf_write_added(FILE *out, const struct tokenizer *tokenizer) {
    for (int32_t id = 0, written = 0; id < tokenizer->vocab_size; id++) {
        const enum bpe_kind kind = bpe_kind(tokenizer->bpe, id);
        if (kind == BPE_CONTROL || kind == BPE_NAMED) {
            fprintf(out, "%s{\"id\":%d,\"content\":", written++ ? ",\n" : "", id);
            hf_token(out, tokenizer, id);
            fprintf(out,
                    ",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,"
                    "\"normalized\":false,\"special\":%s}",
                    kind == BPE_CONTROL ? "true" : "false");
        }
    }
}

// How text is cut.
static void hf_write_cut(FILE *out, const struct tokenizer *tokenizer) {
    const bool pattern =
        tokenizer->cut == PRETOKENIZER_LLAMA3 || tokenizer->cut == PRETOKENIZER_QWEN2;
    const bool digits = tokenizer->cut == PRETOKENIZER_SMOLLM;
    fputs(digits || pattern ? "{\"type\":\"Sequence\",\"pretokenizers\":[" : "", out);
    fputs(digits ? "{\"type\":\"Digits\",\"individual_digits\":true}," : "", out);
    if (pattern) {
        const char *text = hf_bpe_pattern(tokenizer->cut);
        fputs("{\"type\":\"Split\",\"pattern\":{\"Regex\":", out);
        json_write_string(out, text, strlen(text));
        fputs("},\"behavior\":\"Isolated\",\"invert\":false},", out);
    }
    fprintf(out,
            "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,"
            "\"trim_offsets\":true,\"use_regex\":%s}%s",
            pattern ? "false" : "true", digits || pattern ? "]}" : "");
}

// What is put before a text.
static void hf_write_processor(FILE *out, const struct tokenizer *tokenizer) {
    const int32_t begin = tokenizer_begin(tokenizer);
    if (begin < 0) {
        fputs("null", out);
        return;
    }
    fputs("{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":", out);
    hf_token(out, tokenizer, begin);
    fputs(",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],\"pair\":[{\"Sequence\":"
          "{\"id\":\"A\",\"type_id\":0}},{\"Sequence\":{\"id\":\"B\",\"type_id\":1}}],"
          "\"special_tokens\":{",
          out);
    hf_token(out, tokenizer, begin);
    fputs(":{\"id\":", out);
    hf_token(out, tokenizer, begin);
    fprintf(out, ",\"ids\":[%d],\"tokens\":[", begin);
    hf_token(out, tokenizer, begin);
    fputs("]}}}", out);
}

static void hf_write_bpe(FILE *out, const struct tokenizer *tokenizer) {
    fputs("{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\n\"added_tokens\":[", out);
    hf_write_added(out, tokenizer);
    fprintf(out, "],\n\"normalizer\":%s,\n\"pre_tokenizer\":",
            bpe_has(tokenizer->bpe, BPE_NFC) ? "{\"type\":\"NFC\"}" : "null");
    hf_write_cut(out, tokenizer);
    fputs(",\n\"post_processor\":", out);
    hf_write_processor(out, tokenizer);
    fputs(",\n\"decoder\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,"
          "\"use_regex\":true},\n"
          "\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,"
          "\"continuing_subword_prefix\":\"\",\"end_of_word_suffix\":\"\",\"fuse_unk\":false,"
          "\"byte_fallback\":false,\"ignore_merges\":",
          out);
    fputs(bpe_has(tokenizer->bpe, BPE_WHOLE) ? "true" : "false", out);
    fputs(",\n\"vocab\":", out);
    hf_write_vocabulary(out, tokenizer);
    fputs(",\n\"merges\":[", out);
    for (int32_t i = 0; i < bpe_merge_count(tokenizer->bpe); i++) {
        struct growing merge; // its quotes and backslashes are escaped
        growing_begin(&merge, "a merge");
        hf_merge(merge.file, tokenizer, i);
        char *text = growing_end(&merge);
        fputs(i ? "," : "", out);
        json_write_string(out, text, merge.length);
        free(text);
    }
    fputs("]}}\n", out);
}

static void hf_write_characters(FILE *out, const struct tokenizer *tokenizer) {
    fputs("{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":[],\n"
          "\"normalizer\":null,\n"
          "\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"[\\\\s\\\\S]\"},"
          "\"behavior\":\"Isolated\",\"invert\":false},\n\"post_processor\":null,\n"
          "\"decoder\":{\"type\":\"Fuse\"},\n"
          "\"model\":{\"type\":\"WordLevel\",\"unk_token\":\"\",\n\"vocab\":",
          out);
    hf_write_vocabulary(out, tokenizer);
    fputs("}}\n", out);
}

void hf_write_tokenizer(FILE *out, const struct tokenizer *tokenizer) {
    if (tokenizer->bpe) {
        hf_write_bpe(out, tokenizer);
    } else {
        hf_write_characters(out, tokenizer);
    }
}

static void hf_write_end(FILE *out, const struct tokenizer *tokenizer, int32_t id) {
    if (id >= 0) {
        hf_token(out, tokenizer, id);
    } else {
        fputs("null", out);
    }
}

void hf_write_tokenizer_config(FILE *out, const struct tokenizer *tokenizer, int64_t context) {
    fprintf(out,
            "{\n  \"tokenizer_class\": \"PreTrainedTokenizerFast\",\n"
            "  \"model_max_length\": %lld,\n  \"bos_token\": ",
            (long long)context);
    hf_write_end(out, tokenizer, tokenizer->bpe ? bpe_begin_of_text(tokenizer->bpe) : -1);
    fputs(",\n  \"eos_token\": ", out);
    hf_write_end(out, tokenizer, tokenizer->bpe ? bpe_end_of_text(tokenizer->bpe) : -1);
    fprintf(out,
            ",\n  \"add_bos_token\": %s,\n  \"add_eos_token\": false,\n"
            "  \"add_prefix_space\": false,\n  \"clean_up_tokenization_spaces\": false\n}\n",
            tokenizer_begin(tokenizer) >= 0 ? "true" : "false");
}

// ---- reading ------------------------------------------------------------------------------------

// Whether a member of an object is a string with this text.
static bool hf_says(const struct json *json, int object, const char *key, const char *text) {
    char *found =
        json_is_object(json, object) ? json_string(json, json_get(json, object, key)) : NULL;
    const bool same = found && !strcmp(found, text);
    free(found);
    return same;
}

// The code point that a string is, or -1.
static int64_t hf_character(const struct json *json, int value) {
    size_t length;
    char *text = json_bytes(json, value, &length);
    uint32_t c;
    const bool one =
        text && length && (size_t)utf8_decode((unsigned char *)text, length, &c) == length;
    free(text);
    return one ? (int64_t)c : -1;
}

char *hf_characters(const char *path, const struct json *json) {
    const int model = json_is_object(json, 0) ? json_get(json, 0, "model") : -1;
    if (!hf_says(json, model, "type", "WordLevel")) {
        return NULL;
    }
    const int vocabulary = json_get(json, model, "vocab");
    const int count = json_is_object(json, vocabulary) ? json_count(json, vocabulary) : 0;
    int64_t *character = allocate((size_t)count, sizeof *character, "the tokenizer");
    for (int i = 0; i < count; i++) {
        character[i] = -1;
    }
    for (int i = 0; i < count; i++) {
        int value;
        int64_t id;
        const int key = json_member(json, vocabulary, i, &value);
        if (!json_integer(json, value, &id) || id >= count || character[id] >= 0) {
            die(EXIT_DATA, "%s: its %d tokens do not have the ids 0, 1, 2 ..., each once", path,
                count);
        }
        character[id] = hf_character(json, key);
    }
    for (int i = 0; i < count; i++) {
        if (character[i] < 0 || (i > 0 && character[i] <= character[i - 1])) {
            die(EXIT_DATA,
                "%s: token %d is no character, or before the one of token %d; characters in the "
                "order of their code points are wanted",
                path, i, i - 1);
        }
    }
    struct growing text;
    growing_begin(&text, "the tokenizer");
    fputs("char", text.file);
    for (int i = 0; i < count; i++) {
        fprintf(text.file, " %02llx", (unsigned long long)character[i]);
    }
    free(character);
    return growing_end(&text);
}
