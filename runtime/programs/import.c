// import.c: a program that turns a published model into a checkpoint of ours:
//
//     import --describe=FILE      prints the sizes of a model whose file has them in it, as the
//                                 config.json that Hugging Face writes beside its files
//     import --diecast=FILE       prints the config in the metadata of weights that make export
//                                 wrote, if there is one
//     import --weights=FILE --out=PATH --config=TEXT [--sizes=NOUN] [--tokenizer=PLACE]
//            [--tokens=FILE] [--zeros=drop] <TABLE
//
// FILE is a safetensors file or the index of several (NAME.safetensors.index.json), with GPT-2's
// tensors as nanoGPT or Hugging Face names and transposes them, in F32, F16 or BF16; a GGUF file,
// whose tokenizer is taken from it if there is no PLACE; or llm.c's weights. TABLE is the model's
// table of parameters as param_table.c reads it. gen/import.lua, which knows the model, writes
// TABLE and TEXT, the config's keys as "key=value key=value ...". NOUN says in messages what the
// sizes are from. PLACE is a folder with GPT-2's tokenizer, or nanoGPT's meta.pkl; its tokens must
// be those of --tokens, a tokenizer of llm.c's. With --zeros=drop biases that the model lacks are
// left out if they are zeros. PATH appears whole or not at all.
#include "runtime/files/files.h"
#include "runtime/kernel/emitted.h"
#include "runtime/programs/import/describe.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct import_options {
    const char *weights, *out, *config, *sizes, *tokenizer, *tokens, *describe, *diecast, *zeros;
};

static void import_options_read(struct import_options *options, int argc, char **argv) {
    *options = (struct import_options){.sizes = "config.json",
                                       .tokenizer = "",
                                       .tokens = "",
                                       .describe = "",
                                       .diecast = "",
                                       .zeros = ""};
    const struct text_flag flags[] = {
        {"--weights=", &options->weights},  {"--out=", &options->out},
        {"--config=", &options->config},    {"--sizes=", &options->sizes},
        {"--tokens=", &options->tokens},    {"--tokenizer=", &options->tokenizer},
        {"--zeros=", &options->zeros},      {"--diecast=", &options->diecast},
        {"--describe=", &options->describe}};
    enum { FLAGS = sizeof flags / sizeof *flags };
    flags_read("import",
               "--weights=, --out=, --config=, --sizes=, --tokenizer=, --tokens=, --zeros=, "
               "--diecast= and --describe= are known",
               flags, FLAGS, argc, argv);
    for (int f = 0; f < FLAGS && !*options->describe && !*options->diecast; f++) {
        if (!*flags[f].value) {
            die(EXIT_USAGE, "import: %s is missing", flags[f].flag);
        }
    }
}

// Opens a model's file of any kind. Tensors have the names of nanoGPT or of Hugging Face.
static void import_open(struct safetensors *file, const char *path) {
    char error[SAFETENSORS_ERROR];
    enum exit_code code;
    if (!model_open(file, path, error, &code)) {
        die(code, "%s", error);
    }
}

static void import_describe(const char *path) {
    struct safetensors file;
    import_open(&file, path);
    if (file.pairs) {
        gguf_describe(&file, stdout);
    } else {
        describe_tensors(&file, stdout);
    }
    safetensors_close(&file);
}

static void import_print_config(const char *path) {
    struct safetensors file;
    import_open(&file, path);
    const char *config = describe_config(&file);
    if (config) {
        puts(config);
    }
    safetensors_close(&file);
}

// Finds a tensor of the model, checks its shape and numbers, and describes it for the writer.
static void import_take(const struct safetensors *file, const struct tensor_at *t,
                        const char *sizes, struct tensor_out *out) {
    param_name(t->param, t->layer, "", out->name);
    const struct tensor_view *view = safetensors_find(file, out->name);
    char wanted[SHAPE_TEXT], found[SHAPE_TEXT];
    shape_print(t->param->ndim, t->param->dims, wanted);
    if (!view) {
        die(EXIT_DATA, "%s: has no %s, which its %s makes %s; take both from one place", file->path,
            out->name, sizes, wanted);
    }
    shape_print(view->ndim, view->dims, found);
    if (strcmp(found, wanted) != 0) {
        die(EXIT_DATA, "%s: %s is %s, but its %s makes it %s; take both from one place", file->path,
            out->name, found, sizes, wanted);
    }
    if (!floats_are_finite(view->data, (int64_t)(view->bytes / sizeof(float)))) {
        die(EXIT_DATA, "%s: %s has a value that is not finite; take another file", file->path,
            out->name);
    }
    out->ndim = view->ndim;
    memcpy(out->dims, view->dims, sizeof out->dims);
    out->data = view->data;
}

// A tied head must be what it is tied to.
static void import_check_copy(const struct safetensors *file, const struct tensor_out *copy,
                              const char *tokens) {
    const struct tensor_view *table = safetensors_find(file, tokens);
    const size_t bytes = (size_t)copy->dims[0] * (size_t)copy->dims[1] * sizeof(float);
    if (!table || table->bytes != bytes || memcmp(table->data, copy->data, bytes) != 0) {
        die(EXIT_DATA,
            "%s: %s has values of its own, but config.json ties it to the token table; set "
            "tie_word_embeddings to false there",
            file->path, copy->name);
    }
}

// Whether a tensor is a bias, of zeros, as make export adds it where a format has no way without.
static bool import_is_added(const struct safetensors *file, const struct tensor_view *view) {
    static const char end[] = ".bias";
    const size_t length = strlen(view->name), tail = sizeof end - 1;
    if (view->ndim != 1 || length < tail || strcmp(view->name + length - tail, end) != 0) {
        return false;
    }
    for (size_t i = 0; i < view->bytes / sizeof(float); i++) {
        if (view->data[i] != 0) {
            die(EXIT_DATA,
                "%s: %.120s is not zero, but the model that make export wrote has no such bias; "
                "leave diecast out of the metadata, and all biases are kept",
                file->path, view->name);
        }
    }
    return true;
}

static void import_check_others(const struct safetensors *file, const struct tensor_out *out,
                                int count, const char *sizes, bool zeros) {
    for (int i = 0; i < file->count; i++) {
        int k = 0;
        while (k < count && strcmp(out[k].name, file->tensors[i].name) != 0) {
            k++;
        }
        if (k == count && !(zeros && import_is_added(file, &file->tensors[i]))) {
            die(EXIT_DATA, "%s: has %.120s, which is not in the model as its %s says it",
                file->path, file->tensors[i].name, sizes);
        }
    }
}

// The tokenizer's string of nanoGPT's meta.pkl.
static char *import_pickle(const char *path) {
    const char *problem;
    struct stat status;
    const int file = file_open(path, O_RDONLY, &status);
    if (file < 0) {
        die(exit_code_of(errno), "%s: cannot read: %s", path, strerror(errno));
    }
    if (!S_ISREG(status.st_mode) || status.st_size == 0) {
        die(EXIT_DATA, "%s: is no file with a vocabulary of nanoGPT's", path);
    }
    const size_t length = (size_t)status.st_size;
    const char *bytes = mapped_open(file, length, path);
    char *text = pickle_tokenizer(bytes, length, &problem);
    if (!text) {
        die(EXIT_DATA, "%s: %s", path, problem);
    }
    mapped_close(bytes);
    return text;
}

// The tokenizer's string, of a place or of the file itself, or NULL where there is none.
static char *import_tokenizer_text(const char *place, const struct safetensors *file) {
    static const char pickle[] = "/meta.pkl";
    const size_t length = strlen(place), tail = sizeof pickle - 1;
    if (length > tail && !strcmp(place + length - tail, pickle)) {
        return import_pickle(place);
    }
    const char *own = safetensors_metadata(file, "tokenizer");
    if (own) {
        return allocate_copy(own, strlen(own), "the tokenizer");
    }
    return length ? tokenizer_files_read(place) : file->pairs ? gguf_tokenizer(file) : NULL;
}

// That llm.c's tokenizer at `path` is this one.
static void import_check_tokens(const char *path, const struct tokenizer *tokenizer) {
    struct llmc_tokens tokens;
    char error[SAFETENSORS_ERROR];
    enum exit_code code = EXIT_DATA;
    if (!llmc_tokens_open(&tokens, path, error, &code) ||
        !llmc_tokens_are(&tokens, path, tokenizer, error)) {
        die(code, "%s", error);
    }
    llmc_tokens_close(&tokens);
}

// The tokenizer's string, checked, or "" where there is none.
static char *import_tokenizer(const struct import_options *options, const struct safetensors *file,
                              const struct param *table) {
    char *text = import_tokenizer_text(options->tokenizer, file);
    if (!text) {
        return allocate_copy("", 0, "the tokenizer");
    }
    const char *place = *options->tokenizer ? options->tokenizer : file->path;
    struct tokenizer tokenizer;
    const char *problem;
    if (!tokenizer_parse(&tokenizer, text, &problem)) {
        die(EXIT_DATA, "%s: %s", place, problem);
    }
    if (tokenizer.vocab_size > table->dims[0]) {
        die(EXIT_DATA, "%s: its tokenizer has %d tokens, the model %lld; take both from one place",
            place, tokenizer.vocab_size, (long long)table->dims[0]);
    }
    if (*options->tokens) {
        import_check_tokens(options->tokens, &tokenizer);
    }
    tokenizer_free(&tokenizer);
    return text;
}

int main(int argc, char **argv) {
    streams_open();
    signal(SIGXFSZ, SIG_IGN); // writing beyond a file size limit then fails as on a full disk
    struct import_options options;
    import_options_read(&options, argc, argv);
    if (*options.describe) {
        import_describe(options.describe);
        return streams_close(EXIT_DONE);
    }
    if (*options.diecast) {
        import_print_config(options.diecast);
        return streams_close(EXIT_DONE);
    }
    static struct param params[PARAM_TABLE_MAX];
    const int entries = param_table_read(stdin, params);
    struct safetensors file;
    char error[SAFETENSORS_ERROR];
    import_open(&file, options.weights);
    char *tokenizer = import_tokenizer(&options, &file, &params[0]);
    gguf_rename(&file);
    gguf_take_divisors(&file, options.config);
    if (!safetensors_verify(&file, error) || !foreign_adapt(&file, params, entries, error)) {
        die(EXIT_DATA, "%s", error);
    }
    int count;
    struct tensor_at *tensors = param_tensors(params, entries, &count);
    struct tensor_out *out = allocate((size_t)count, sizeof *out, "a list of tensors");
    int64_t numbers = 0;
    for (int i = 0; i < count; i++) {
        import_take(&file, &tensors[i], options.sizes, &out[i]);
        if (tensors[i].param->copy) {
            import_check_copy(&file, &out[i], param_tokens(params, entries));
        } else {
            numbers += tensors[i].param->dims[0] * tensors[i].param->dims[1];
        }
        safetensors_forget(&file);
    }
    import_check_others(&file, out, count, options.sizes, *options.zeros);
    const char *const metadata[] = {"format",   "pt",  "config",    options.config,
                                    "imported", "yes", "tokenizer", tokenizer};
    const int pairs = (int)(sizeof metadata / sizeof *metadata / 2) - !*tokenizer;
    if (!safetensors_write(options.out, out, count, metadata, pairs, error)) {
        die(EXIT_IO, "%s", error);
    }
    printf("%s: %s parameters\n", options.out, figure_count(numbers).s);
    safetensors_close(&file);
    param_table_free(params, entries);
    free(tensors);
    free(out);
    free(tokenizer);
    return streams_close(EXIT_DONE);
}
