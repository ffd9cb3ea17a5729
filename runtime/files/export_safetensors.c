// export_safetensors.c: a model as one safetensors file with nanoGPT's names and shapes, which its
// load_state_dict, the sampler, and make import of this project take.
#include "runtime/files/files.h"

bool export_safetensors(const struct export_model *model, const char *path, char error[512]) {
    const char *const metadata[] = {"format",   "pt",  "config",    model->config,
                                    "exported", "yes", "tokenizer", model->tokenizer_text};
    const int pairs = (int)(sizeof metadata / sizeof *metadata / 2) - !model->tokenizer_text;
    return safetensors_write(path, model->tensors, model->count, metadata, pairs, error);
}
