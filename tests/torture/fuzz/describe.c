// describe.c: what import says of a safetensors file that has no config.json beside it: the header,
// a zero, and data. It is JSON with the sizes of the file's tensors, or one line that refuses it.
// links: runtime/programs/import/describe.c
#include "runtime/programs/import/describe.h"
#include "tests/torture/fuzz/support/fuzz.h"

struct reading {
    const char *path;
    FILE *out;
    bool own; // the file has a config of ours
    int tensors;
};

static void describe(void *context) {
    struct reading *reading = context;
    struct safetensors file;
    char error[SAFETENSORS_ERROR];
    enum exit_code code;
    if (!safetensors_open(&file, reading->path, error, &code)) {
        die(code, "%s", error);
    }
    reading->own = describe_config(&file);
    reading->tensors = file.count;
    describe_tensors(&file, reading->out);
    safetensors_close(&file);
}

// That `text` is an object whose sizes are those of tensors, or that has a config of ours.
static void check(const struct reading *reading, const char *text, size_t length) {
    const char *problem;
    struct json *json = json_parse(text, length, &problem);
    FUZZ_MUST(json && json_is_object(json, 0) && json_get(json, 0, "model_type") >= 0);
    if (reading->own) {
        FUZZ_MUST(json_get(json, 0, "diecast") >= 0);
    } else {
        int64_t layers, width;
        FUZZ_MUST(json_integer(json, json_get(json, 0, "n_layer"), &layers));
        FUZZ_MUST(json_integer(json, json_get(json, 0, "n_embd"), &width));
        FUZZ_MUST(layers <= reading->tensors && width >= 0);
    }
    json_free(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    const uint8_t *stop = memchr(bytes, 0, length);
    const uint64_t header = stop ? (uint64_t)(stop - bytes) : length;
    const uint64_t padded = (header + 7) / 8 * 8, data = stop ? length - header - 1 : 0;
    char *made = malloc(8 + padded + data);
    FUZZ_MUST(made != NULL);
    memcpy(made, &padded, 8);
    memcpy(made + 8, bytes, header);
    memset(made + 8 + header, ' ', padded - header);
    memcpy(made + 8 + padded, bytes + length - data, data);
    struct reading reading = {.path = fuzz_file("d.safetensors", made, 8 + padded + data)};
    char *text = NULL;
    size_t written;
    reading.out = open_memstream(&text, &written);
    FUZZ_MUST(reading.out != NULL);
    const bool good = fuzz_survives(describe, &reading);
    FUZZ_MUST(fclose(reading.out) == 0 && (good || fuzz_code == EXIT_DATA));
    if (good) {
        check(&reading, text, written);
    }
    free(text);
    free(made);
    return 0;
}
