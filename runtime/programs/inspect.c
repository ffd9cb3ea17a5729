// inspect.c: a program that says what a file is:
//
//     inspect [--verify=1] --file=PATH
//
// PATH is a safetensors file (a checkpoint or state of ours, or any other), the index of several
// (NAME.safetensors.index.json), a GGUF file, llm.c's weights, tokenizer, or evaluation as
// HellaSwag's, the folder of Hugging Face's model.safetensors, or a data set's. With --verify=1 all
// of it is checked: each hash that the file states, that all numbers are finite, and a GGUF file's
// tokenizer. Exit codes: 65 damaged, 66 missing, 74 unreadable.
#include "runtime/files/files.h"
#include "runtime/kernel/emitted.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { INSPECT_VALUE_MAX = 400, INSPECT_NAME_MAX = 120 };

// ---- safetensors --------------------------------------------------------------------------------

// What wrote the file, by its metadata.
static const char *inspect_kind(const struct safetensors *file) {
    const char *format = safetensors_metadata(file, "format");
    for (int i = 0; i < file->count; i++) {
        if (!strncmp(file->tensors[i].name, "adam.", 5)) {
            return "a run's state: weights, moments and progress";
        }
    }
    if (safetensors_metadata(file, "imported")) {
        return "a checkpoint that make import made";
    }
    if (safetensors_metadata(file, "exported") || safetensors_metadata(file, "diecast")) {
        return "a model that make export made";
    }
    if (safetensors_is_run(file)) {
        return "a checkpoint";
    }
    if (format && !strcmp(format, "llm.c")) {
        return "llm.c's weights";
    }
    return "another program's";
}

static void inspect_tokenizer(const char *text) {
    struct tokenizer tokenizer;
    const char *problem;
    char line[96];
    if (!tokenizer_parse(&tokenizer, text, &problem)) {
        printf("  %-16s %s\n", "tokenizer", problem);
        return;
    }
    tokenizer_describe(&tokenizer, line);
    printf("  %-16s %s\n", "tokenizer", line);
    tokenizer_free(&tokenizer);
}

// Prints the metadata, without the hashes; control characters become '?'.
static void inspect_metadata(const struct safetensors *file) {
    for (int i = 0; i < file->metadata_count; i++) {
        const char *key = file->metadata[2 * i], *value = file->metadata[2 * i + 1];
        if (!strncmp(key, "xxh3", 4)) {
            continue;
        }
        if (!strcmp(key, "tokenizer")) {
            inspect_tokenizer(value);
            continue;
        }
        char name[INSPECT_NAME_MAX + 4], shown[INSPECT_VALUE_MAX + 4];
        slice_show((struct slice){key, strlen(key)}, INSPECT_NAME_MAX, name);
        slice_show((struct slice){value, strlen(value)}, INSPECT_VALUE_MAX, shown);
        printf("  %-16s %s\n", name, shown);
    }
}

// Prints the tensors; control characters in their names become '?'.
static void inspect_tensors(const struct safetensors *file) {
    size_t widest = 0;
    for (int i = 0; i < file->count; i++) {
        const size_t length = strlen(file->tensors[i].name);
        widest = length > widest ? length : widest;
        widest = widest < INSPECT_NAME_MAX ? widest : INSPECT_NAME_MAX;
    }
    for (int i = 0; i < file->count; i++) {
        const struct tensor_view *view = &file->tensors[i];
        char name[INSPECT_NAME_MAX + 4], shape[SHAPE_TEXT];
        slice_show((struct slice){view->name, strlen(view->name)}, INSPECT_NAME_MAX, name);
        shape_print(view->ndim, view->dims, shape);
        printf("  %-*s  %-4s  %s\n", (int)widest, name, view->dtype, shape);
    }
}

// Whether the numbers of a tensor are finite.
static bool inspect_is_finite(const struct tensor_view *view) {
    enum { PIECE = 1 << 13 }; // numbers at a time, whole blocks of each type
    float x[PIECE];
    const size_t count = numbers_count(view->dtype, view->stored);
    bool finite = true;
    for (size_t at = 0; finite && at < count; at += PIECE) {
        const size_t some = count - at < PIECE ? count - at : PIECE;
        numbers_load(view->dtype, view->place, at, some, x);
        finite = floats_are_finite(x, (int64_t)some);
    }
    return finite;
}

// Checks that all numbers are finite; returns how many tensors are of a type that is read.
static int inspect_numbers(const struct safetensors *file) {
    int read = 0;
    for (int i = 0; i < file->count; i++) {
        const struct tensor_view *view = &file->tensors[i];
        if (!numbers_are_read(view->dtype)) {
            continue;
        }
        if (!inspect_is_finite(view)) {
            die(EXIT_DATA, "%s: %s has a value that is not finite", file->path, view->name);
        }
        read++;
        safetensors_forget(file);
    }
    return read;
}

// Checks a GGUF file as a whole, which has no hashes.
static void inspect_verify_gguf(const struct safetensors *file) {
    const int read = inspect_numbers(file);
    char *tokenizer = gguf_tokenizer(file);
    printf("verified: all numbers of %d of %d tensors are finite; %s\n", read, file->count,
           tokenizer ? "the tokenizer is whole" : "there is no tokenizer");
    if (tokenizer) {
        inspect_tokenizer(tokenizer);
    }
    free(tokenizer);
}

// Checks hashes and numbers. Tensors of other types than float are not numbers of a model.
static void inspect_verify(const struct safetensors *file) {
    char error[SAFETENSORS_ERROR];
    if (!safetensors_verify(file, error)) {
        die(EXIT_DATA, "%s", error);
    }
    int hashed = 0;
    for (int i = 0; i < file->count; i++) {
        hashed += *file->tensors[i].hash != 0;
    }
    const int finite = inspect_numbers(file);
    printf("verified: %d of %d tensors have a hash, which matches; all numbers of %d tensors of "
           "floats are finite\n",
           hashed, file->count, finite);
}

static void inspect_model(const char *path, bool verify) {
    struct safetensors file;
    char error[SAFETENSORS_ERROR];
    enum exit_code code;
    if (!model_open(&file, path, error, &code)) {
        die(code, "%s", error);
    }
    const bool gguf = file.pairs;
    double bytes = 0;
    int64_t numbers = 0;
    for (int i = 0; i < file.count; i++) {
        int64_t count = 1;
        for (int d = 0; d < file.tensors[i].ndim; d++) {
            count *= file.tensors[i].dims[d];
        }
        numbers += count;
        bytes += (double)file.tensors[i].stored;
    }
    printf("%s: %s; %d tensors", path, gguf ? "a GGUF file" : inspect_kind(&file), file.count);
    if (file.shards) {
        printf(" in %d files", file.shards);
    }
    printf(", %s numbers, %s\n", figure_count(numbers).s, figure_bytes(bytes).s);
    (gguf ? gguf_print : inspect_metadata)(&file);
    inspect_tensors(&file);
    if (verify) {
        (gguf ? inspect_verify_gguf : inspect_verify)(&file);
    }
    safetensors_close(&file);
}

// ---- llm.c's tokens -----------------------------------------------------------------------------

// All of it is checked as it is opened.
static void inspect_tokens(const char *path, bool verify) {
    struct llmc_tokens tokens;
    char error[SAFETENSORS_ERROR];
    enum exit_code code;
    if (!llmc_tokens_open(&tokens, path, error, &code)) {
        die(code, "%s", error);
    }
    printf("%s: llm.c's tokenizer, of version %d: %d tokens; <|endoftext|> is %d\n", path,
           tokens.version, tokens.count, tokens.end_of_text);
    if (verify) {
        printf("verified: each token has bytes, and the last one ends with the file\n");
    }
    llmc_tokens_close(&tokens);
}

// ---- HellaSwag ----------------------------------------------------------------------------------

// All of it is checked in any case, and its hash where one is beside it.
static void inspect_choices(const char *path, bool verify) {
    struct choices choices;
    char error[CHOICES_ERROR];
    enum exit_code code;
    if (!choices_open(&choices, path, error, &code)) {
        die(code, "%s", error);
    }
    int64_t tokens = 0;
    for (int i = 0; i < choices.count; i++) {
        const struct choice item = choices_item(&choices, i);
        for (int part = 0; part <= CHOICES; part++) {
            tokens += item.part[part].count;
        }
    }
    printf("%s: llm.c's file of an evaluation, as HellaSwag's\n", path);
    printf("  %-16s %s, of %d endings each\n", "items", figure_count(choices.count).s, CHOICES);
    printf("  %-16s %s, the largest is %d\n", "tokens", figure_count(tokens).s, choices.largest);
    if (choices.tokenizer) {
        inspect_tokenizer(choices.tokenizer);
    } else {
        printf("  %-16s %s\n", "tokenizer", "none is stated beside it; taken to be GPT-2's");
    }
    printf("  %-16s %s\n", "hash", choices.hash);
    if (verify) {
        printf("verified: every item%s\n",
               choices.tokenizer ? ", and the hash that is stated beside it" : "");
    }
    choices_close(&choices);
}

// ---- data ---------------------------------------------------------------------------------------

static void inspect_split(const char *name, const struct split *split, const char *type) {
    printf("  %-16s %s tokens%s", name, figure_count((int64_t)split->count).s, type);
    if (split->shard_count) {
        printf(", in %d shard%s", split->shard_count, split->shard_count > 1 ? "s" : "");
    }
    printf("\n");
}

// A token shard alone. With `verify` all of it is read.
static void inspect_shard(const char *path, bool verify) {
    struct split split = {.file = -1};
    enum exit_code code;
    const char *problem = split_add_shard(&split, path, &code);
    if (problem) {
        die(code, "%s: %s", path, problem);
    }
    printf("%s: a token shard of llm.c; %s tokens of type %s\n", path,
           figure_count((int64_t)split.count).s, split.wide ? "uint32" : "uint16");
    if (verify) {
        uint32_t tokens[4096], largest = 0;
        char hash[17];
        for (uint64_t at = 0; at < split.count; at += 4096) {
            const uint64_t left = split.count - at;
            const size_t some = left < 4096 ? (size_t)left : 4096;
            code = split_tokens(&split, at, some, tokens);
            if (code) {
                exit(code); // after split_tokens' line
            }
            for (size_t i = 0; i < some; i++) {
                largest = tokens[i] > largest ? tokens[i] : largest;
            }
        }
        split_hash(&split, true, hash);
        printf("verified: it is as long as its header says; its largest id is %" PRIu32
               ", the hash of its tokens %s\n",
               largest, hash);
    }
    split_close(&split);
}

static void inspect_data(const char *path, bool verify) {
    struct data data;
    data_open(&data, path, INT_MAX, 0);
    char line[96];
    tokenizer_describe(&data.tokenizer, line);
    const char *type = data.train.wide ? ", of type uint32" : "";
    printf("%s: a data set%s\n", path, data.train.shard_count ? " in llm.c's token shards" : "");
    inspect_split("train", &data.train, type);
    inspect_split("val", &data.val, type);
    printf("  %-16s %s\n  %-16s %s\n", "tokenizer", line, "hash", data.hash);
    if (verify) {
        data_verify(&data);
        printf("verified: %s\n", data.train.shard_count ? "all shards match meta.json's hashes"
                                 : *data.train.stated
                                     ? "both files match meta.json's hashes"
                                     : "meta.json, of an earlier version, states no hashes");
    }
    data_close(&data);
}

// The weights in a folder as Hugging Face's, or NULL. The caller frees.
static char *inspect_weights_in(const char *folder) {
    static const char *const names[] = {"model.safetensors", "model.safetensors.index.json"};
    for (int i = 0; i < 2; i++) {
        char *path = allocate_print("a path", "%s/%s", folder, names[i]);
        if (path_is_there(path)) {
            return path;
        }
        free(path);
    }
    return NULL;
}

int main(int argc, char **argv) {
    streams_open();
    const char *path = NULL, *verify = "";
    const struct text_flag flags[] = {{"--file=", &path}, {"--verify=", &verify}};
    flags_read("inspect", "--file=PATH and --verify=1 are known", flags, 2, argc, argv);
    if (!path || !*path) {
        die(EXIT_USAGE, "inspect: --file= is missing; the path of a model's file, or of a data "
                        "set's folder, is wanted");
    }
    if (*verify && strcmp(verify, "1") != 0) {
        die(EXIT_USAGE, "--verify: found '%s', wanted 1 or nothing", verify);
    }
    struct stat status;
    int failed;
    UNINTERRUPTED(failed, stat(path, &status));
    const bool folder = !failed && S_ISDIR(status.st_mode);
    char *weights = folder ? inspect_weights_in(path) : NULL;
    if (weights) {
        inspect_model(weights, *verify);
    } else if (folder) {
        inspect_data(path, *verify);
    } else if (token_shard_is(llmc_magic(path))) {
        inspect_shard(path, *verify);
    } else if (llmc_magic(path) == LLMC_TOKENS) {
        inspect_tokens(path, *verify);
    } else if (llmc_magic(path) == CHOICES_MAGIC) {
        inspect_choices(path, *verify);
    } else {
        inspect_model(path, *verify);
    }
    free(weights);
    return streams_close(EXIT_DONE);
}
