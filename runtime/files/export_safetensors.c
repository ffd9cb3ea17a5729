// export_safetensors.c: a model as one safetensors file with the checkpoint's names and shapes,
// which nanoGPT's load_state_dict, the sampler, and make import of this project take; and the same
// without the second name of a tied head, for a sampler to have inside.
#include "runtime/files/files.h"
#include "runtime/kernel/emitted.h"

#include <stdlib.h>

static bool export_tensors(const struct export_model *model, const struct tensor_out *tensors,
                           int count, const char *path, char error[512]) {
    const char *const metadata[] = {"format",   "pt",  "config",    model->config,
                                    "exported", "yes", "tokenizer", model->tokenizer_text};
    const int pairs = (int)(sizeof metadata / sizeof *metadata / 2) - !model->tokenizer_text;
    return safetensors_write(path, tensors, count, metadata, pairs, error);
}

bool export_safetensors(const struct export_model *model, const char *path, char error[512]) {
    return export_tensors(model, model->tensors, model->count, path, error);
}

bool export_sampler(const struct export_model *model, const char *path, char error[512]) {
    struct tensor_out *tensors =
        allocate((size_t)model->count, sizeof *tensors, "a list of tensors");
    int count = 0;
    for (int i = 0; i < model->count; i++) {
        if (!model->at[i].param->copy) {
            tensors[count++] = model->tensors[i];
        }
    }
    const bool good = export_tensors(model, tensors, count, path, error);
    free(tensors);
    return good;
}
