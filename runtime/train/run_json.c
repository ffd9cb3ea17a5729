// run_json.c: run.json describes a run for people and tools. It is written when the run starts,
// again when it resumes, and with its result when it is finished; keys are in a fixed order.
// threads, hardware, peak_flops and the result depend on the machine; all else is the same for the
// same run.
#include "runtime/train/train.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void run_json_key(FILE *out, const char *key) {
    fprintf(out, ",\n  \"%s\": ", key);
}

static void run_json_string(FILE *out, const char *key, const char *text) {
    run_json_key(out, key);
    json_write_string(out, text, strlen(text));
}

static void run_json_integer(FILE *out, const char *key, int64_t n) {
    run_json_key(out, key);
    fprintf(out, "%" PRId64, n);
}

static void run_json_number(FILE *out, const char *key, double x) {
    run_json_key(out, key);
    fprintf(out, "%.17g", x);
}

// Writes a baked key's value: integers, true and false as such, anything else as a string.
static void run_json_value(FILE *out, const char *value, size_t length) {
    size_t digits = 0;
    while (digits < length && value[digits] >= '0' && value[digits] <= '9') {
        digits++;
    }
    bool number = digits == length && length > 0 && length < 16 && (*value != '0' || length == 1);
    bool truth =
        (length == 4 && !memcmp(value, "true", 4)) || (length == 5 && !memcmp(value, "false", 5));
    if (number || truth) {
        fwrite(value, 1, length, out);
    } else {
        json_write_string(out, value, length);
    }
}

static void run_json_config(FILE *out, const char *config) {
    struct pair pair;
    run_json_key(out, "config");
    for (int i = 0; pairs_next(&config, &pair); i++) {
        fputs(i ? ", " : "{", out);
        json_write_string(out, pair.key, (size_t)pair.key_length);
        fputs(": ", out);
        run_json_value(out, pair.value, (size_t)pair.value_length);
    }
    putc('}', out);
}

// Writes the last component of a folder's path.
static void run_json_name(FILE *out, const char *path) {
    size_t end = strlen(path), start;
    while (end > 1 && path[end - 1] == '/') {
        end--;
    }
    for (start = end; start > 0 && path[start - 1] != '/';) {
        start--;
    }
    run_json_key(out, "name");
    json_write_string(out, path + start, end - start);
}

void run_json_write(const struct run_json *j) {
    const struct model_info *info = j->info;
    struct pair backend;
    pairs_find(info->config, "backend", 7, &backend);
    char tokenizer[96], processor[128], hardware[400];
    tokenizer_describe(&j->data->tokenizer, tokenizer);
    machine_name(processor);
    bool cpu = backend.value_length == 3 && !memcmp(backend.value, "cpu", 3);
    snprintf(hardware, sizeof hardware, "%s%s%s", cpu ? processor : "", cpu ? ", " : "",
             j->hardware);

    struct replacement r;
    replace_begin(&r, j->folder->run_json);
    FILE *out = r.file;
    fputs("{\n  \"format\": 1", out);
    run_json_name(out, j->folder->out);
    run_json_string(out, "config_name", run_config_name);
    char *words = options_words("");
    run_json_string(out, "words", words);
    free(words);
    run_json_key(out, "backend");
    json_write_string(out, backend.value, (size_t)backend.value_length);
    run_json_string(out, "hash", info->hash);
    run_json_config(out, info->config);
    run_json_key(out, "run");
    options_write_json(j->run, out);
    run_json_string(out, "title", info->title);
    run_json_integer(out, "num_params", info->num_params);
    run_json_integer(out, "num_params_nanogpt", info->num_params_nanogpt);
    run_json_number(out, "flops_per_token", info->flops_per_token);
    run_json_number(out, "tokens_per_iter", j->tokens_per_iter);
    run_json_integer(out, "plan_bytes", (int64_t)model_plan_bytes(info, true));
    run_json_integer(out, "threads", j->threads);
    run_json_string(out, "hardware", hardware);
    run_json_number(out, "peak_flops", j->peak_flops);
    run_json_string(out, "dataset", j->run->dataset);
    run_json_integer(out, "train_tokens", (int64_t)j->data->train.count);
    run_json_integer(out, "val_tokens", (int64_t)j->data->val.count);
    run_json_string(out, "tokenizer", tokenizer);
    run_json_string(out, "data_xxh3", j->data->hash);
    if (j->closing) {
        run_json_key(out, "result");
        closing_write(j->closing, out);
    }
    fputs("\n}\n", out);
    replace_end(&r);
}
