// llmc.c: llm.c's weights: the header's first 32 bytes, and the data; the rest of the header is
// zeros. Tensors of an accepted file lie in it one behind the other, with room for the rows of
// padding behind the first, and end with it; all other files are refused with one line.
#include "runtime/files/files.h"
#include "tests/torture/fuzz/support/fuzz.h"

enum { STATED = 32 };

struct reading {
    const char *path;
    struct safetensors file;
    bool open;
    char error[SAFETENSORS_ERROR];
};

static void read_model(void *context) {
    struct reading *reading = context;
    enum exit_code code = EXIT_DONE;
    reading->open = llmc_open(&reading->file, reading->path, reading->error, &code);
    FUZZ_MUST(reading->open || (*reading->error && code == EXIT_DATA));
}

static void check(const struct safetensors *file, const int32_t *header, size_t length) {
    const uint64_t number = header[1] == LLMC_BFLOAT16 ? 2 : 4;
    uint64_t at = 0;
    for (int i = 0; i < file->count; i++) {
        const struct tensor_view *t = &file->tensors[i];
        uint64_t bytes = number;
        for (int d = 0; d < t->ndim; d++) {
            FUZZ_MUST(t->dims[d] > 0);
            bytes *= (uint64_t)t->dims[d];
        }
        FUZZ_MUST(t->begin == at && t->stored == bytes);
        FUZZ_MUST(t->place == (const char *)file->map + LLMC_HEADER + at);
        FUZZ_MUST(number == 2 ? !t->data : t->data && t->bytes == bytes);
        FUZZ_MUST(safetensors_find(file, t->name) == t);
        at += bytes;
        if (i == 0) { // wte
            FUZZ_MUST(t->dims[0] == header[3] && t->dims[1] == header[6]);
            at += (uint64_t)(header[7] - header[3]) * (uint64_t)header[6] * number;
        }
    }
    FUZZ_MUST(at + LLMC_HEADER == length && file->count == 4 + LLMC_LAYER * header[4]);
    FUZZ_MUST(atoi(safetensors_metadata(file, "n_head")) == header[5]);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    const size_t stated = length < STATED ? length : STATED, data = length - stated;
    uint8_t *made = calloc(LLMC_HEADER + data, 1);
    FUZZ_MUST(made != NULL);
    memcpy(made, bytes, stated);
    memcpy(made + LLMC_HEADER, bytes + stated, data);
    struct reading reading = {.path = fuzz_file("model.bin", made, LLMC_HEADER + data)};
    FUZZ_MUST(fuzz_survives(read_model, &reading));
    if (reading.open) {
        check(&reading.file, (const int32_t *)(const void *)made, LLMC_HEADER + data);
        safetensors_close(&reading.file);
    }
    free(made);
    return 0;
}
