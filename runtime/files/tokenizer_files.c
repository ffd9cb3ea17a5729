// tokenizer_files.c: a tokenizer from wherever one is: a folder or a file.
//
//     FOLDER           vocab.bpe and encoder.json, or tokenizer.json, or merges.txt and vocab.json
//     NAME.json        a tokenizer.json
//     NAME.gguf        a model of llama.cpp's
//     NAME.safetensors a checkpoint
#include "runtime/files/files.h"

#include <string.h>
#include <sys/stat.h>

static char *tokenizer_files_model(const char *place, bool gguf) {
    struct safetensors file;
    char error[SAFETENSORS_ERROR];
    enum exit_code code = EXIT_DATA;
    if (!(gguf ? gguf_open : safetensors_open)(&file, place, error, &code)) {
        die(code, "%s", error);
    }
    const char *own = gguf ? NULL : safetensors_metadata(&file, "tokenizer");
    char *text = gguf  ? gguf_tokenizer(&file)
                 : own ? allocate_copy(own, strlen(own), "the tokenizer")
                       : NULL;
    if (!text) {
        die(EXIT_DATA, "%s: has no tokenizer", place);
    }
    safetensors_close(&file);
    return text;
}

char *tokenizer_files_read(const char *place) {
    struct stat status;
    if (stat(place, &status) || S_ISDIR(status.st_mode)) {
        return gpt2_files_read(place); // which says what is missing
    }
    const char *dot = strrchr(place, '.');
    if (dot && !strcmp(dot, ".json")) {
        return hf_bpe_read(place);
    }
    return tokenizer_files_model(place, gguf_is(place));
}
