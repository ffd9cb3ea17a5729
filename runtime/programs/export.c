// export.c: a program that writes a checkpoint as files of other tools:
//
//     export --checkpoint=FILE --out=PATH --format=NAME --type=float32 --config=TEXT <TABLE
//     export --checkpoint=FILE
//
// The second form prints "config TEXT" and, if there is a tokenizer, "tokenizer KIND", where other
// tools have that, and "vocabulary COUNT", of its tokens.
// gen/export.lua, which knows the model, refuses what a format cannot express, and writes TEXT, the
// config's keys as "key=value key=value ...", and TABLE, the model's parameters (param_table.c).
// PATH, a file or a folder, appears whole or not at all, and is not written over.
//
// A format is one function in a file of runtime/files (files.h has its type, export_writer, and
// what it gets), a line in `formats` below, and an entry in gen/export/formats.lua, which says what
// it takes and where its file is put. The tensors that a writer gets are all of the checkpoint's,
// with nanoGPT's names and shapes, in float32 and finite; the `type` of each is the one that was
// asked for.
#include "runtime/files/files.h"
#include "runtime/kernel/emitted.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    export_writer *write;
} formats[] = {
    {"hf", export_hf},           {"llmc", export_llmc},
    {"gguf", export_gguf},       {"safetensors", export_safetensors},
    {"sampler", export_sampler},
};
enum { EXPORT_FORMATS = sizeof formats / sizeof *formats };

struct export_options {
    const char *checkpoint, *out, *format, *type, *config;
};

static void export_options_read(struct export_options *options, int argc, char **argv) {
    *options = (struct export_options){0};
    const struct text_flag flags[] = {{"--checkpoint=", &options->checkpoint},
                                      {"--out=", &options->out},
                                      {"--format=", &options->format},
                                      {"--type=", &options->type},
                                      {"--config=", &options->config}};
    enum { FLAGS = sizeof flags / sizeof *flags };
    flags_read("export", "--checkpoint=, --out=, --format=, --type= and --config= are known", flags,
               FLAGS, argc, argv);
    const int wanted = options->out ? FLAGS : 1;
    for (int f = 0; f < wanted; f++) {
        if (!*flags[f].value || !**flags[f].value) {
            die(EXIT_USAGE, "export: %s is missing", flags[f].flag);
        }
    }
}

// Reads the tokenizer in the metadata, if there is one.
static bool export_tokenizer(const struct safetensors *file, struct tokenizer *tokenizer) {
    const char *text = safetensors_metadata(file, "tokenizer"), *problem;
    if (text && !tokenizer_parse(tokenizer, text, &problem)) {
        die(EXIT_DATA, "%s: %s; take a checkpoint that a trainer wrote", file->path, problem);
    }
    return text;
}

static void export_describe(const struct safetensors *file) {
    struct tokenizer tokenizer;
    const char *config = safetensors_metadata(file, "config");
    if (!config || strpbrk(config, "\r\n")) {
        die(EXIT_DATA,
            "%s: has no config in its metadata, which says what its weights compute; take a "
            "checkpoint that a trainer or make import wrote",
            file->path);
    }
    printf("config %s\n", config);
    if (export_tokenizer(file, &tokenizer)) {
        if (!tokenizer.ids) { // which other programs have no file for
            printf("tokenizer %s\n", tokenizer.bpe ? "gpt2" : "char");
        }
        printf("vocabulary %d\n", tokenizer.vocab_size);
        tokenizer_free(&tokenizer);
    }
}

static int export_format(const char *name) {
    for (int f = 0; f < EXPORT_FORMATS; f++) {
        if (!strcmp(name, formats[f].name)) {
            return f;
        }
    }
    die(EXIT_USAGE, "--format: '%s' is not known", name);
}

// Finds a tensor of the model, checks it, and describes it for a writer.
static void export_take(const struct safetensors *file, const struct tensor_at *t,
                        enum number_type type, struct tensor_out *out) {
    param_name(t->param, t->layer, "", out->name);
    const struct tensor_view *view = safetensors_find(file, out->name);
    char wanted[SHAPE_TEXT], found[SHAPE_TEXT] = "not there", error[SAFETENSORS_ERROR];
    shape_print(t->param->ndim, t->param->dims, wanted);
    if (view) {
        shape_print(view->ndim, view->dims, found);
    }
    if (!view || strcmp(found, wanted) != 0) {
        die(EXIT_DATA, "%s: %s is %s, but its config makes it %s; take another checkpoint",
            file->path, out->name, found, wanted);
    }
    if (!safetensors_verify_tensor(file, view, error)) {
        die(EXIT_DATA, "%s", error);
    }
    const size_t count = view->bytes / sizeof(float);
    if (!floats_are_finite(view->data, (int64_t)count)) {
        die(EXIT_DATA, "%s: %s has a value that is not finite; take another checkpoint", file->path,
            out->name);
    }
    for (size_t i = 0; i < count && isfinite(number_limit(type)); i++) {
        if (fabsf(view->data[i]) >= number_limit(type)) {
            const int64_t last = (int64_t)(number_limit(type) / NUMBER_HALF_LIMIT) * 65504;
            die(EXIT_DATA, "%s: %s has the value %g, and %s ends at %s; TYPE=bfloat16 holds it",
                file->path, out->name, (double)view->data[i], number_type_name(type),
                figure_count(last).s);
        }
    }
    out->ndim = view->ndim;
    memcpy(out->dims, view->dims, sizeof out->dims);
    out->data = view->data;
    out->type = type;
}

// A checkpoint has no tensors but the model's and, a state, Adam's moments.
static void export_check_others(const struct safetensors *file, const struct param *params,
                                int entries) {
    for (int i = 0; i < file->count; i++) {
        const char *name = file->tensors[i].name;
        if (strncmp(name, "adam.", 5) != 0 && !param_known(params, entries, name)) {
            die(EXIT_DATA,
                "%s: has %.120s, which its config does not have; take another checkpoint",
                file->path, name);
        }
    }
}

static void export_write(const struct export_options *options, struct safetensors *file,
                         const struct param *params, int entries) {
    const int format = export_format(options->format);
    enum number_type type = NUMBER_F32;
    enum weight_type weights = WEIGHT_F32;
    const bool sampler = formats[format].write == export_sampler;
    if (sampler ? !weight_type_find(options->type, &weights)
                : !number_type_find(options->type, &type)) {
        die(EXIT_USAGE, "--type: '%s' is not known", options->type);
    }
    if (path_is_taken(options->out)) {
        die(EXIT_USAGE, "%s: is there already; remove it, or name another place with TO=path",
            options->out);
    }
    char error[SAFETENSORS_ERROR];
    export_check_others(file, params, entries);
    if (!foreign_adapt(file, params, entries, error)) {
        die(EXIT_DATA, "%s", error);
    }
    struct export_model model = {.config = options->config,
                                 .type = type,
                                 .weights = weights,
                                 .params = params,
                                 .params_count = entries};
    model.at = param_tensors(params, entries, &model.count);
    model.tensors = allocate((size_t)model.count, sizeof *model.tensors, "a list of tensors");
    for (int i = 0; i < model.count; i++) {
        export_take(file, &model.at[i], type, &model.tensors[i]);
        safetensors_forget(file);
    }
    struct tokenizer tokenizer;
    const bool has_tokenizer = export_tokenizer(file, &tokenizer);
    if (has_tokenizer) {
        model.tokenizer = tokenizer.ids ? NULL : &tokenizer;
        model.tokenizer_text = tokenizer.text;
    }
    errno = 0;
    if (!formats[format].write(&model, options->out, error)) {
        die(exit_code_of(errno), "%s", error);
    }
    if (!mapped_same(file->map)) {
        die(EXIT_IO, "%s: changed while it was read; remove %s and export again", file->path,
            options->out);
    }
    if (has_tokenizer) {
        tokenizer_free(&tokenizer);
    }
    free(model.at);
    free(model.tensors);
}

int main(int argc, char **argv) {
    streams_open();
    signal(SIGXFSZ, SIG_IGN); // writing beyond a file size limit then fails as on a full disk
    struct export_options options;
    export_options_read(&options, argc, argv);
    // The table first, so that whoever writes it need not write to a program that has ended.
    static struct param params[PARAM_TABLE_MAX];
    const int entries = options.out ? param_table_read(stdin, params) : 0;
    struct safetensors file;
    char error[SAFETENSORS_ERROR];
    enum exit_code code;
    if (!safetensors_open(&file, options.checkpoint, error, &code)) {
        die(code, "%s", error);
    }
    if (options.out) {
        export_write(&options, &file, params, entries);
    } else {
        export_describe(&file);
    }
    safetensors_close(&file);
    param_table_free(params, entries);
    return streams_close(EXIT_DONE);
}
