// export_llmc.c: a GPT as llm.c's weights, and, where its tokens are GPT-2's, gpt2_tokenizer.bin
// beside them; llmc.c has the layout. llm.c wants each bias, so those that the model lacks are
// zeros, and a vocabulary of a multiple of 128, so the table gets rows of zeros.
#include "runtime/files/files.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXPORT_LLMC_ROWS = 128, EXPORT_LLMC_TOKEN_MAX = 255 };

// ---- weights ------------------------------------------------------------------------------------

static struct llmc_sizes export_llmc_sizes(const struct export_model *model) {
    struct llmc_sizes sizes = {
        .T = (int)export_number(model, "block_size"),
        .V = (int)export_number(model, "vocab_size"),
        .L = (int)export_number(model, "n_layer"),
        .H = (int)export_number(model, "n_head"),
        .C = (int)export_number(model, "n_embd"),
        .brain = model->type == NUMBER_BF16,
    };
    sizes.padded = (sizes.V + EXPORT_LLMC_ROWS - 1) / EXPORT_LLMC_ROWS * EXPORT_LLMC_ROWS;
    return sizes;
}

struct export_llmc {
    struct tensor_out *tensors, *out; // the model's, and those of the file
    int tensors_count, count;
};

// Adds a tensor of the model to those of the file.
static void export_llmc_add(struct export_llmc *file, const char *name) {
    for (int i = 0; i < file->tensors_count; i++) {
        if (!strcmp(file->tensors[i].name, name)) {
            file->out[file->count++] = file->tensors[i];
            return;
        }
    }
    die(EXIT_INTERNAL, "export: the model has no %s", name);
}

// Lists all tensors in the file's order, the padding of the table as one of its own.
static void export_llmc_list(struct export_llmc *file, const struct llmc_sizes *sizes,
                             enum number_type type) {
    file->out = allocate(5 + LLMC_LAYER * (size_t)sizes->L, sizeof *file->out, "a list of tensors");
    file->count = 0;
    export_llmc_add(file, "transformer.wte.weight");
    if (sizes->padded > sizes->V) {
        file->out[file->count++] = (struct tensor_out){
            .ndim = 2, .dims = {sizes->padded - sizes->V, sizes->C}, .type = type};
    }
    export_llmc_add(file, "transformer.wpe.weight");
    for (int i = 0; i < LLMC_LAYER; i++) {
        for (int layer = 0; layer < sizes->L; layer++) {
            char name[PARAM_NAME];
            snprintf(name, sizeof name, "transformer.h.%d.%s", layer, llmc_layer[i].name);
            export_llmc_add(file, name);
        }
    }
    export_llmc_add(file, "transformer.ln_f.weight");
    export_llmc_add(file, "transformer.ln_f.bias");
}

static void export_llmc_weights(const struct export_model *model, const char *path) {
    const struct llmc_sizes sizes = export_llmc_sizes(model);
    const int32_t header[LLMC_HEADER / 4] = {LLMC_MODEL, sizes.brain ? LLMC_BFLOAT16 : LLMC_FLOAT32,
                                             sizes.T,    sizes.V,
                                             sizes.L,    sizes.H,
                                             sizes.C,    sizes.padded};
    struct export_llmc list;
    list.tensors = export_gpt2_tensors(model, &list.tensors_count);
    export_llmc_list(&list, &sizes, model->type);
    uint64_t numbers = 0;
    for (int i = 0; i < list.count; i++) {
        numbers += tensor_out_bytes(&list.out[i]) / number_bytes(model->type, 1);
    }
    if (numbers != llmc_numbers(&sizes)) {
        die(EXIT_INTERNAL, "export: %llu numbers, where llm.c has %llu",
            (unsigned long long)numbers, (unsigned long long)llmc_numbers(&sizes));
    }
    struct replacement file;
    replace_begin(&file, path);
    fwrite(header, 1, sizeof header, file.file);
    void *room = allocate(tensor_out_room(list.out, list.count), 1, "a tensor");
    for (int i = 0; i < list.count; i++) {
        const struct tensor_out *tensor = &list.out[i];
        fwrite(tensor_out_stored(tensor, room), 1, tensor_out_bytes(tensor), file.file);
    }
    replace_end(&file);
    free(room);
    free(list.out);
    free(list.tensors);
}

// ---- tokens -------------------------------------------------------------------------------------

// The tokens' file, while the weights beside it are not whole: it goes with them.
static const char *export_llmc_half;

static void export_llmc_drop(void) {
    unlink(export_llmc_half);
}

// Writes the tokens, unless they are there.
static void export_llmc_tokens(const struct tokenizer *tokenizer, const char *path) {
    if (path_is_taken(path)) {
        struct llmc_tokens tokens;
        char error[SAFETENSORS_ERROR];
        enum exit_code code;
        if (!llmc_tokens_open(&tokens, path, error, &code) ||
            !llmc_tokens_are(&tokens, path, tokenizer, error)) {
            die(EXIT_USAGE,
                "%s: is there already, and is not of this model's tokens; remove it, or "
                "name another place with TO=path",
                path);
        }
        llmc_tokens_close(&tokens);
        return;
    }
    const int32_t header[LLMC_HEADER / 4] = {LLMC_TOKENS, 2, tokenizer->vocab_size,
                                             bpe_end_of_text(tokenizer->bpe)};
    size_t length;
    for (int32_t id = 0; id < tokenizer->vocab_size; id++) {
        tokenizer_decode(tokenizer, id, &length);
        if (length > EXPORT_LLMC_TOKEN_MAX) {
            die(EXIT_DATA, "%s: token %d has %zu bytes, and llm.c takes %d", path, id, length,
                EXPORT_LLMC_TOKEN_MAX);
        }
    }
    struct replacement file;
    replace_begin(&file, path);
    fwrite(header, 1, sizeof header, file.file);
    for (int32_t id = 0; id < tokenizer->vocab_size; id++) {
        const char *token = tokenizer_decode(tokenizer, id, &length);
        fputc((int)length, file.file);
        fwrite(token, 1, length, file.file);
    }
    replace_end(&file);
    export_llmc_half = path;
    die_hook = export_llmc_drop;
}

bool export_llmc(const struct export_model *model, const char *path, char error[512]) {
    (void)error; // what fails ends the program with a line
    const struct tokenizer *tokenizer = model->tokenizer;
    const char *slash = strrchr(path, '/');
    char *tokens = allocate_print("a path", "%.*sgpt2_tokenizer.bin",
                                  slash ? (int)(slash + 1 - path) : 0, path);
    const bool gpt2 = tokenizer && tokenizer->bpe && bpe_end_of_text(tokenizer->bpe) >= 0;
    if (!strcmp(tokens, path)) {
        die(EXIT_USAGE, "%s: is the name of the tokens beside it; name another path with TO=path",
            path);
    }
    if (gpt2) {
        export_llmc_tokens(tokenizer, tokens);
    }
    export_llmc_weights(model, path);
    printf("%s: %s\n", tokens,
           gpt2 ? "its tokens, by which llm.c writes text"
                : "is not written: llm.c's tokens are GPT-2's alone");
    die_hook = NULL;
    free(tokens);
    return true;
}
