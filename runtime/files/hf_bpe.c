// hf_bpe.c: a byte-pair encoding as Hugging Face's tokenizers library stores it, tokenizer.json,
// and the tokenizer_config.json beside it, which may say what begins and ends a text:
//
//     normalizer       none, or NFC
//     pre_tokenizer    one of those that pretokenize.c has
//     model            BPE: vocab, merges, ignore_merges
//     added_tokens     those that texts may name
//     post_processor   what is put before a text
//
// All else that may change a text's tokens is refused by name. A tokenizer.json of characters is
// hf_tokenizer.c's.
#include "runtime/files/files.h"

#include <stdlib.h>
#include <string.h>

struct hf_bpe {
    const char *path;
    const struct json *json;
    struct bpe_source source;
    struct slice *token;
    uint8_t *kind;
    char **texts; // to free
    size_t texts_count;
};

static const char hf_llama3[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+"
    "[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
static const char hf_qwen2[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+"
    "[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
static const char hf_gpt2[] =
    "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

const char *hf_bpe_pattern(enum pretokenizer cut) {
    return cut == PRETOKENIZER_LLAMA3 ? hf_llama3 : cut == PRETOKENIZER_QWEN2 ? hf_qwen2 : hf_gpt2;
}

// ---- values -------------------------------------------------------------------------------------

// A member that is a string, kept until the end, or NULL.
static const char *hf_text(struct hf_bpe *hf, int object, const char *key) {
    char *text = json_is_object(hf->json, object)
                     ? json_string(hf->json, json_get(hf->json, object, key))
                     : NULL;
    hf->texts[hf->texts_count] = text;
    hf->texts_count += text != NULL;
    return text;
}

static bool hf_is(struct hf_bpe *hf, int object, const char *key, const char *text) {
    const char *found = hf_text(hf, object, key);
    return found && !strcmp(found, text);
}

// A member that is true or false; `absent` where it is missing or null.
static bool hf_flag(const struct hf_bpe *hf, int object, const char *key, bool absent) {
    const int value = json_get(hf->json, object, key);
    return value < 0 || json_is_null(hf->json, value) ? absent : json_is_true(hf->json, value);
}

static bool hf_is_null(const struct hf_bpe *hf, int object, const char *key) {
    const int value = json_get(hf->json, object, key);
    return value < 0 || json_is_null(hf->json, value);
}

static void hf_refuse(const struct hf_bpe *hf, const char *what, const char *found,
                      const char *wanted) {
    die(EXIT_DATA, "%s: its %s is %.64s, which is not known here; %s", hf->path, what,
        found ? found : "of no type", wanted);
}

// ---- normalizer, pre_tokenizer, post_processor --------------------------------------------------

static void hf_read_normalizer(struct hf_bpe *hf, int value) {
    if (value < 0 || json_is_null(hf->json, value)) {
        return;
    }
    if (hf_is(hf, value, "type", "NFC")) {
        hf->source.nfc = true;
        return;
    }
    const int parts = json_get(hf->json, value, "normalizers");
    if (!hf_is(hf, value, "type", "Sequence") || json_count(hf->json, parts) > 1) {
        hf_refuse(hf, "normalizer", hf_text(hf, value, "type"), "none, or NFC, is wanted");
    }
    if (json_count(hf->json, parts)) {
        hf_read_normalizer(hf, json_element(hf->json, parts, 0));
    }
}

// Whether it is a ByteLevel that cuts as GPT-2 does, or not at all. One that says nothing of a
// space before a text puts none there.
static bool hf_is_bytes(struct hf_bpe *hf, int value, bool cuts) {
    return hf_is(hf, value, "type", "ByteLevel") &&
           !hf_flag(hf, value, "add_prefix_space", false) &&
           hf_flag(hf, value, "use_regex", true) == cuts;
}

// A Split by one of the patterns that are known.
static bool hf_read_split(struct hf_bpe *hf, int value) {
    if (!hf_is(hf, value, "type", "Split") || !hf_is(hf, value, "behavior", "Isolated") ||
        hf_flag(hf, value, "invert", false)) {
        return false;
    }
    static const enum pretokenizer cuts[] = {PRETOKENIZER_GPT2, PRETOKENIZER_LLAMA3,
                                             PRETOKENIZER_QWEN2};
    const char *pattern = hf_text(hf, json_get(hf->json, value, "pattern"), "Regex");
    for (size_t i = 0; pattern && i < sizeof cuts / sizeof *cuts; i++) {
        if (!strcmp(pattern, hf_bpe_pattern(cuts[i]))) {
            hf->source.cut = cuts[i];
            return true;
        }
    }
    return false;
}

static void hf_read_cut(struct hf_bpe *hf, int value) {
    hf->source.cut = PRETOKENIZER_GPT2;
    if (hf_is_bytes(hf, value, true)) {
        return;
    }
    const int parts = json_get(hf->json, value, "pretokenizers");
    const int first = json_element(hf->json, parts, 0), second = json_element(hf->json, parts, 1);
    if (hf_is(hf, value, "type", "Sequence") && json_count(hf->json, parts) == 2) {
        if (hf_is(hf, first, "type", "Digits") && hf_flag(hf, first, "individual_digits", false) &&
            hf_is_bytes(hf, second, true)) {
            hf->source.cut = PRETOKENIZER_SMOLLM;
            return;
        }
        if (hf_read_split(hf, first) && hf_is_bytes(hf, second, false)) {
            return;
        }
    }
    hf_refuse(hf, "pre_tokenizer", hf_text(hf, value, "type"),
              "ByteLevel, single Digits and ByteLevel, or a Split by the pattern of Llama 3 or of "
              "Qwen 2 and ByteLevel, without a space put before a text, is wanted");
}

static int32_t hf_id_of(const struct hf_bpe *hf, const char *text) {
    for (size_t id = 0; text && id < hf->source.count; id++) {
        if ((hf->kind[id] == BPE_CONTROL || hf->kind[id] == BPE_NAMED) &&
            slice_is(hf->token[id], text)) {
            return (int32_t)id;
        }
    }
    return -1;
}

// A template of a token and the text, or of the text alone.
static bool hf_read_template(struct hf_bpe *hf, int value) {
    const struct json *json = hf->json;
    const int parts = json_get(json, value, "single"), count = json_count(json, parts);
    const int last = json_element(json, parts, count - 1);
    if (!json_is_array(json, parts) || count < 1 || count > 2 || !json_is_object(json, last) ||
        json_get(json, last, "Sequence") < 0) {
        return false;
    }
    if (count == 2) {
        const int first = json_element(json, parts, 0);
        const int token = json_is_object(json, first) ? json_get(json, first, "SpecialToken") : -1;
        hf->source.begin = hf_id_of(hf, hf_text(hf, token, "id"));
        hf->source.adds_begin = true;
        return hf->source.begin >= 0;
    }
    return true;
}

static void hf_read_processor(struct hf_bpe *hf, int value) {
    if (value < 0 || json_is_null(hf->json, value) || hf_is(hf, value, "type", "ByteLevel")) {
        return;
    }
    if (hf_is(hf, value, "type", "TemplateProcessing") && hf_read_template(hf, value)) {
        return;
    }
    const int parts = json_get(hf->json, value, "processors");
    if (!hf_is(hf, value, "type", "Sequence") || json_count(hf->json, parts) > 4) {
        hf_refuse(hf, "post_processor", hf_text(hf, value, "type"),
                  "ByteLevel, or a template of at most one token before the text, is wanted");
    }
    for (int i = 0; i < json_count(hf->json, parts); i++) {
        hf_read_processor(hf, json_element(hf->json, parts, i));
    }
}

// ---- the vocabulary -----------------------------------------------------------------------------

// Enters a token. Dies if its number is none, or another's.
static void hf_put(struct hf_bpe *hf, int number, char *text, size_t length, enum bpe_kind kind) {
    int64_t id;
    if (!json_integer(hf->json, number, &id) || id >= (int64_t)hf->source.count || !text) {
        die(EXIT_DATA, "%s: '%.64s' has no number below %zu", hf->path, text ? text : "",
            hf->source.count);
    }
    const struct slice before = hf->token[id];
    const bool same = before.text && before.length == length && !memcmp(before.text, text, length);
    if (hf->kind[id] != BPE_UNUSED && !(kind != BPE_PLAIN && same)) {
        die(EXIT_DATA, "%s: '%.64s' and '%.*s' are both token %lld", hf->path, text,
            SLICE_SHOWN(before), (long long)id);
    }
    hf->token[id] = (struct slice){text, length};
    hf->kind[id] = (uint8_t)kind;
    hf->texts[hf->texts_count++] = text;
}

// One more than the largest number of a token.
static size_t hf_count(const struct hf_bpe *hf, int vocabulary, int added) {
    int64_t most = -1, id;
    for (int i = 0; i < json_count(hf->json, vocabulary); i++) {
        int value;
        json_member(hf->json, vocabulary, i, &value);
        most = json_integer(hf->json, value, &id) && id > most ? id : most;
    }
    for (int i = 0; i < json_count(hf->json, added); i++) {
        const int token = json_element(hf->json, added, i);
        const int value = json_is_object(hf->json, token) ? json_get(hf->json, token, "id") : -1;
        most = json_integer(hf->json, value, &id) && id > most ? id : most;
    }
    if (most >= TOKENIZER_IDS_MAX) {
        die(EXIT_DATA, "%s: has a token %lld; tokens below %d are taken", hf->path, (long long)most,
            TOKENIZER_IDS_MAX);
    }
    return (size_t)(most + 1);
}

static void hf_read_tokens(struct hf_bpe *hf, int vocabulary, int added) {
    const struct json *json = hf->json;
    hf->source.count = hf_count(hf, vocabulary, added);
    hf->token = allocate(hf->source.count, sizeof *hf->token, "the tokenizer's tokens");
    hf->kind = allocate(hf->source.count, 1, "the tokenizer's tokens");
    memset(hf->kind, BPE_UNUSED, hf->source.count);
    for (int i = 0; i < json_count(json, vocabulary); i++) {
        int value;
        size_t length;
        char *text = json_bytes(json, json_member(json, vocabulary, i, &value), &length);
        // GPT-2's own files may name the separator of texts in the vocabulary alone.
        const bool end = text && !strcmp(text, TOKENIZER_END_OF_TEXT);
        hf_put(hf, value, text, length, end ? BPE_CONTROL : BPE_PLAIN);
    }
    static const char *const flags[] = {"single_word", "lstrip", "rstrip"};
    for (int i = 0; i < json_count(json, added); i++) {
        const int token = json_element(json, added, i);
        size_t length = 0;
        char *text = json_is_object(json, token)
                         ? json_bytes(json, json_get(json, token, "content"), &length)
                         : NULL;
        for (size_t f = 0; text && f < sizeof flags / sizeof *flags; f++) {
            if (hf_flag(hf, token, flags[f], false)) {
                die(EXIT_DATA,
                    "%s: its token '%.64s' is to be found by %s, which is not known here", hf->path,
                    text, flags[f]);
            }
        }
        if (!text) {
            die(EXIT_DATA, "%s: added token %d has no content", hf->path, i);
        }
        hf_put(hf, json_get(json, token, "id"), text, length,
               hf_flag(hf, token, "special", false) ? BPE_CONTROL : BPE_NAMED);
    }
}

// Merges are "left right", or ["left", "right"].
static struct slice (*hf_read_merges(struct hf_bpe *hf, int list))[2] {
    const struct json *json = hf->json;
    const int count = json_count(json, list);
    struct slice(*merge)[2] = allocate((size_t)count, sizeof *merge, "the tokenizer's merges");
    for (int i = 0; i < count; i++) {
        const int value = json_element(json, list, i);
        const bool pair = json_is_array(json, value) && json_count(json, value) == 2;
        for (int part = 0; part < 1 + pair; part++) {
            size_t length;
            char *text = json_bytes(json, pair ? json_element(json, value, part) : value, &length);
            if (!text) {
                die(EXIT_DATA, "%s: merge %d is not two tokens", hf->path, i + 1);
            }
            hf->texts[hf->texts_count++] = text;
            merge[i][part] = (struct slice){text, length};
        }
        if (!pair) {
            bpe_source_cut(merge[i][0], merge[i]);
        }
    }
    return merge;
}

// ---- what begins and ends a text ----------------------------------------------------------------

// "token", or {"content": "token"}.
static int32_t hf_config_id(struct hf_bpe *hf, const struct json *config, const char *key) {
    const int value = json_get(config, 0, key);
    char *text = json_string(
        config, json_is_object(config, value) ? json_get(config, value, "content") : value);
    const int32_t id = hf_id_of(hf, text);
    free(text);
    return id;
}

static void hf_read_ends(struct hf_bpe *hf) {
    static const char *const names[] = {TOKENIZER_END_OF_TEXT, "<|end_of_text|>"};
    const char *slash = strrchr(hf->path, '/');
    char *path = allocate_print("a path", "%.*stokenizer_config.json",
                                slash ? (int)(slash + 1 - hf->path) : 0, hf->path);
    if (path_is_there(path)) {
        char *text;
        struct json *config = hf_json_read(path, &text);
        if (!json_is_object(config, 0)) {
            die(EXIT_DATA, "%s: is no JSON object", path);
        }
        hf->source.end = hf_config_id(hf, config, "eos_token");
        if (!hf->source.adds_begin) {
            hf->source.begin = hf_config_id(hf, config, "bos_token");
        }
        json_free(config);
        free(text);
    }
    free(path);
    for (size_t i = 0; hf->source.end < 0 && i < sizeof names / sizeof *names; i++) {
        hf->source.end = hf_id_of(hf, names[i]);
    }
}

// ---- all of it ----------------------------------------------------------------------------------

static int hf_model(struct hf_bpe *hf) {
    const int model = json_is_object(hf->json, 0) ? json_get(hf->json, 0, "model") : -1;
    const char *type = hf_text(hf, model, "type");
    if (!json_is_object(hf->json, model) || (type && strcmp(type, "BPE"))) {
        hf_refuse(hf, "model", type, "BPE, byte-pair encoding, is wanted");
    }
    static const char *const empty[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        const char *text = hf_text(hf, model, empty[i]);
        if (text && *text) {
            hf_refuse(hf, empty[i], text, "none is wanted");
        }
    }
    if (!hf_is_null(hf, model, "dropout")) {
        hf_refuse(hf, "dropout", "a number", "none is wanted");
    }
    if (hf_flag(hf, model, "byte_fallback", false)) {
        hf_refuse(hf, "byte_fallback", "true", "bytes that are all in the vocabulary are wanted");
    }
    return model;
}

char *hf_bpe_string(const char *path, const struct json *json) {
    struct hf_bpe hf = {.path = path, .json = json, .source = {.path = path}};
    hf.source.begin = hf.source.end = -1;
    hf.texts = allocate((size_t)json_size(json) + 64, sizeof *hf.texts, "the tokenizer");
    const int model = hf_model(&hf);
    const int vocabulary = json_get(json, model, "vocab"), merges = json_get(json, model, "merges");
    const int added = json_get(json, 0, "added_tokens");
    if (!json_is_object(json, vocabulary) || !json_is_array(json, merges)) {
        die(EXIT_DATA, "%s: its model has no object of tokens, vocab, and list of merges", path);
    }
    hf.source.whole = hf_flag(&hf, model, "ignore_merges", false);
    hf_read_normalizer(&hf, json_get(json, 0, "normalizer"));
    hf_read_cut(&hf, json_get(json, 0, "pre_tokenizer"));
    if (hf.source.nfc && hf.source.cut != PRETOKENIZER_QWEN2) {
        hf_refuse(&hf, "normalizer", "NFC", "it is wanted of texts that are cut as Qwen 2's alone");
    }
    hf_read_tokens(&hf, vocabulary, added);
    hf_read_processor(&hf, json_get(json, 0, "post_processor"));
    hf_read_ends(&hf);
    struct slice(*merge)[2] = hf_read_merges(&hf, merges);
    hf.source.token = hf.token;
    hf.source.kind = hf.kind;
    hf.source.merge = merge;
    hf.source.merges = (size_t)json_count(json, merges);
    char *string = bpe_source_string(&hf.source);
    for (size_t i = 0; i < hf.texts_count; i++) {
        free(hf.texts[i]);
    }
    free(hf.texts);
    free(merge);
    free(hf.token);
    free(hf.kind);
    return string;
}

// What a tokenizer would do to a row of a batch is no part of a text's tokens.
static void hf_warn_of_rows(const char *path, const struct json *json) {
    static const char *const keys[] = {"truncation", "padding"};
    for (size_t i = 0; json_is_object(json, 0) && i < sizeof keys / sizeof *keys; i++) {
        const int value = json_get(json, 0, keys[i]);
        if (value >= 0 && !json_is_null(json, value)) {
            warn("%s: its %s is left out: texts are taken whole, and as long as they are", path,
                 keys[i]);
        }
    }
}

char *hf_bpe_read(const char *path) {
    char *text;
    struct json *json = hf_json_read(path, &text);
    hf_warn_of_rows(path, json);
    char *string = hf_characters(path, json);
    string = string ? string : hf_bpe_string(path, json);
    json_free(json);
    free(text);
    return string;
}
