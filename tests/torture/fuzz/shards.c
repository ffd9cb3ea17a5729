// shards.c: the index of a model in several files, beside two of them, a.safetensors and
// b.safetensors. Where it is accepted, it has named each tensor of each file that it names, and the
// whole has these and no others.
#include "runtime/files/files.h"
#include "tests/torture/fuzz/support/fuzz.h"

#include <unistd.h>

struct reading {
    const char *path;
    struct safetensors whole;
    bool open;
    char error[SAFETENSORS_ERROR];
};

static void read_index(void *context) {
    struct reading *reading = context;
    enum exit_code code = EXIT_DONE;
    reading->open = shards_open(&reading->whole, reading->path, reading->error, &code);
    FUZZ_MUST(reading->open || (*reading->error && code != EXIT_DONE));
}

// Writes a file of two tensors, NAME0 and NAME1.
static void make_shard(const char *file, char name) {
    static const float numbers[] = {1, 2, 3, 4, 5, 6};
    struct tensor_out out[2] = {{.ndim = 1, .dims = {4}, .data = numbers},
                                {.ndim = 2, .dims = {2, 1}, .data = numbers + 4}};
    char error[SAFETENSORS_ERROR];
    for (int i = 0; i < 2; i++) {
        snprintf(out[i].name, sizeof out[i].name, "%c%d", name, i);
    }
    FUZZ_MUST(safetensors_write(fuzz_path(file), out, 2, NULL, 0, error));
}

// The number that the next file would get.
static int next_descriptor(void) {
    const int next = dup(STDIN_FILENO);
    close(next);
    return next;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    static bool made;
    if (!made) {
        make_shard("a.safetensors", 'a');
        make_shard("b.safetensors", 'b');
        made = true;
    }
    struct reading reading = {.path = fuzz_file("m.index.json", bytes, length)};
    const int descriptor = next_descriptor();
    FUZZ_MUST(fuzz_survives(read_index, &reading));
    FUZZ_MUST(reading.open || next_descriptor() == descriptor); // what is refused is closed
    if (reading.open) {
        const char *error;
        struct json *json = json_parse((const char *)bytes, length, &error);
        const int map = json_get(json, 0, "weight_map");
        FUZZ_MUST(reading.whole.count == json_count(json, map) && reading.whole.count % 2 == 0);
        for (int i = 0; i < reading.whole.count; i++) {
            int value;
            char *tensor = json_string(json, json_member(json, map, i, &value));
            char *file = json_string(json, value);
            const struct tensor_view *view = safetensors_find(&reading.whole, tensor);
            FUZZ_MUST(file && view && *file == *tensor &&
                      view->data[0] == (tensor[1] == '0' ? 1 : 5));
            free(tensor);
            free(file);
        }
        json_free(json);
        safetensors_close(&reading.whole);
    }
    return 0;
}
