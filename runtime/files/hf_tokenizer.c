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

// A token as the files write it, in quotes.
static void hf_token(FILE *out, const struct tokenizer *tokenizer, int32_t id) {
    size_t length;
    const char *bytes = tokenizer_decode(tokenizer, id, &length);
    char shown[2 * TOKENIZER_TOKEN_MAX];
    if (!tokenizer->bpe || id == bpe_end_of_text(tokenizer->bpe)) {
        json_write_string(out, bytes, length);
    } else {
        json_write_string(out, shown, gpt2_show(bytes, length, shown));
    }
}

void hf_write_vocabulary(FILE *out, const struct tokenizer *tokenizer) {
    fputs("{", out);
    for (int32_t id = 0; id < tokenizer->vocab_size; id++) {
        fputs(id ? "," : "", out);
        hf_token(out, tokenizer, id);
        fprintf(out, ":%d", id);
    }
    fputs("}", out);
}

// Two tokens with a space between, of GPT-2's merge number `id`. False if the token is no merge.
static bool hf_merge(FILE *out, const struct tokenizer *tokenizer, int32_t id) {
    int32_t part[2];
    if (!bpe_joins(tokenizer, id, &part[0], &part[1])) {
        return false;
    }
    for (int i = 0; i < 2; i++) {
        size_t length;
        const char *bytes = tokenizer_decode(tokenizer, part[i], &length);
        char shown[2 * TOKENIZER_TOKEN_MAX];
        fputs(i ? " " : "", out);
        fwrite(shown, 1, gpt2_show(bytes, length, shown), out);
    }
    return true;
}

void hf_write_merges(FILE *out, const struct tokenizer *tokenizer) {
    fputs("#version: 0.2\n", out);
    for (int32_t id = 0; id < tokenizer->vocab_size; id++) {
        if (hf_merge(out, tokenizer, id)) {
            fputs("\n", out);
        }
    }
}

static void hf_write_gpt2(FILE *out, const struct tokenizer *tokenizer) {
    const int32_t end = bpe_end_of_text(tokenizer->bpe);
    fputs("{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\n\"added_tokens\":[", out);
    if (end >= 0) {
        fprintf(out,
                "{\"id\":%d,\"content\":\"" TOKENIZER_END_OF_TEXT "\",\"single_word\":false,"
                "\"lstrip\":false,\"rstrip\":false,\"normalized\":false,\"special\":true}",
                end);
    }
    fputs("],\n\"normalizer\":null,\n"
          "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,"
          "\"trim_offsets\":true,\"use_regex\":true},\n\"post_processor\":null,\n"
          "\"decoder\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,"
          "\"use_regex\":true},\n"
          "\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,"
          "\"continuing_subword_prefix\":\"\",\"end_of_word_suffix\":\"\",\"fuse_unk\":false,"
          "\"byte_fallback\":false,\"ignore_merges\":false,\n\"vocab\":",
          out);
    hf_write_vocabulary(out, tokenizer);
    fputs(",\n\"merges\":[", out);
    for (int32_t id = 0, merges = 0; id < tokenizer->vocab_size; id++) {
        struct growing merge; // its quotes and backslashes are escaped
        growing_begin(&merge, "a merge");
        const bool is = hf_merge(merge.file, tokenizer, id);
        char *text = growing_end(&merge);
        if (is) {
            fputs(merges++ ? "," : "", out);
            json_write_string(out, text, merge.length);
        }
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
        hf_write_gpt2(out, tokenizer);
    } else {
        hf_write_characters(out, tokenizer);
    }
}

void hf_write_tokenizer_config(FILE *out, const struct tokenizer *tokenizer, int64_t context) {
    const bool ends = tokenizer->bpe && bpe_end_of_text(tokenizer->bpe) >= 0;
    const char *end = ends ? "\"" TOKENIZER_END_OF_TEXT "\"" : "null";
    fprintf(out,
            "{\n  \"tokenizer_class\": \"PreTrainedTokenizerFast\",\n"
            "  \"model_max_length\": %lld,\n  \"bos_token\": %s,\n  \"eos_token\": %s,\n"
            "  \"add_bos_token\": false,\n  \"add_eos_token\": false,\n"
            "  \"add_prefix_space\": false,\n  \"clean_up_tokenization_spaces\": false\n}\n",
            (long long)context, end, end);
}
