// poison.c: writes a number into a tensor of a checkpoint or state, with hashes that agree, for
// test_nan.sh.
//
//     poison FILE PLACE VALUE OUT
//
// PLACE is any number from 0 on; it chooses a tensor and an element of it. Prints the tensor's
// name. It stands on files.
#include "runtime/files/files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
    if (argc != 5) {
        die(EXIT_USAGE, "poison FILE PLACE VALUE OUT");
    }
    struct safetensors file;
    char error[SAFETENSORS_ERROR];
    enum exit_code code;
    if (!safetensors_open(&file, argv[1], error, &code)) {
        die(code, "%s", error);
    }
    const int64_t place = atoll(argv[2]);
    const float value = strtof(argv[3], NULL);
    const int chosen = (int)(place % file.count);
    struct tensor_out *out = allocate((size_t)file.count, sizeof *out, "a list of tensors");
    for (int i = 0; i < file.count; i++) {
        const struct tensor_view *view = &file.tensors[i];
        float *data = allocate(view->stored, 1, "a tensor");
        memcpy(data, view->place, view->stored);
        if (i == chosen) {
            data[place / file.count % (int64_t)(view->stored / sizeof *data)] = value;
            printf("%s\n", view->name);
        }
        out[i] = (struct tensor_out){.ndim = view->ndim, .data = data};
        memcpy(out[i].dims, view->dims, sizeof out[i].dims);
        snprintf(out[i].name, sizeof out[i].name, "%s", view->name);
    }
    // All metadata but the hashes, which the writer makes anew.
    const char **metadata = allocate((size_t)file.metadata_count * 2, sizeof *metadata, "metadata");
    int pairs = 0;
    for (int i = 0; i < file.metadata_count; i++) {
        if (strncmp(file.metadata[2 * i], "xxh3", 4) != 0) {
            metadata[2 * pairs] = file.metadata[2 * i];
            metadata[2 * pairs + 1] = file.metadata[2 * i + 1];
            pairs++;
        }
    }
    if (!safetensors_write(argv[4], out, file.count, metadata, pairs, error)) {
        die(EXIT_IO, "%s", error);
    }
    return EXIT_DONE;
}
