// model_file.c: opens a model's file of any format that is read here, by its first bytes: GGUF,
// llm.c's, else safetensors or the index of several.
#include "runtime/files/files.h"

bool model_open(struct safetensors *file, const char *path, char error[512], enum exit_code *code) {
    if (gguf_is(path)) {
        return gguf_open(file, path, error, code);
    }
    if (llmc_magic(path) == LLMC_MODEL) {
        return llmc_open(file, path, error, code);
    }
    return shards_open(file, path, error, code);
}
