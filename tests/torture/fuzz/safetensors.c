// safetensors.c: safetensors files, and their conversion to a model's names and shapes. The first
// byte says whether the rest is a whole file, or a header, a zero, and data, for which the prefix
// is made. Tensors of an accepted file lie within it, back to back, as large as their shapes say;
// and one of float tensors, written again, is read as the same.
// links: tests/runtime/fake_model.c
#include "runtime/files/files.h"
#include "runtime/kernel/emitted.h"
#include "tests/torture/fuzz/support/fuzz.h"

struct file {
    const char *path;
    struct safetensors tensors;
    bool open;
    char error[SAFETENSORS_ERROR];
};

static void read_file(void *context) {
    struct file *file = context;
    enum exit_code code = EXIT_DONE;
    file->open = safetensors_open(&file->tensors, file->path, file->error, &code);
    FUZZ_MUST(file->open || (*file->error && code == EXIT_DATA));
}

static size_t type_bytes(const char *type) {
    return !strcmp(type, "BOOL") ? 1 : !strcmp(type, "BF16") ? 2 : (size_t)atoi(type + 1) / 8;
}

static void check(const struct safetensors *file, size_t length) {
    uint64_t header, sum = 0;
    memcpy(&header, file->map, sizeof header);
    FUZZ_MUST(file->map_bytes == length && header <= length - SAFETENSORS_PREFIX);
    for (int i = 0; i < file->count; i++) {
        const struct tensor_view *t = &file->tensors[i];
        uint64_t bytes = type_bytes(t->dtype);
        bool fits = true;
        for (int d = 0; d < t->ndim; d++) {
            fits = fits && !__builtin_mul_overflow(bytes, (uint64_t)t->dims[d], &bytes);
            FUZZ_MUST(t->dims[d] >= 0);
        }
        FUZZ_MUST(fits && t->ndim <= 4 && bytes == t->stored && t->begin == sum);
        FUZZ_MUST(t->place == (const char *)file->map + SAFETENSORS_PREFIX + header + t->begin);
        FUZZ_MUST(!t->data || ((uintptr_t)t->data % sizeof(float) == 0 && t->bytes == t->stored));
        FUZZ_MUST(safetensors_find(file, t->name) == t);
        sum += t->stored;
    }
    FUZZ_MUST(SAFETENSORS_PREFIX + header + sum == length);
    for (int i = 0; i < file->metadata_count; i++) {
        FUZZ_MUST(safetensors_metadata(file, file->metadata[2 * i]) == file->metadata[2 * i + 1]);
    }
    char error[SAFETENSORS_ERROR] = "";
    FUZZ_MUST(safetensors_verify(file, error) || *error);
}

// Writes a file's tensors anew and reads them back. `count` is that of tensors.
static void write_again(const struct safetensors *file) {
    enum { MOST = 32 };
    struct tensor_out out[MOST] = {0}; // of float32
    if (file->count > MOST) {
        return;
    }
    for (int i = 0; i < file->count; i++) {
        const struct tensor_view *t = &file->tensors[i];
        if (!t->data || strlen(t->name) >= sizeof out[i].name) {
            return;
        }
        out[i].ndim = t->ndim;
        memcpy(out[i].dims, t->dims, sizeof out[i].dims);
        out[i].data = t->data;
        strcpy(out[i].name, t->name);
    }
    const char *path = fuzz_path("again.safetensors");
    static const char *const metadata[] = {"format", "fuzz"};
    struct file again = {.path = path};
    if (safetensors_write(path, out, file->count, metadata, 1, again.error)) {
        FUZZ_MUST(fuzz_survives(read_file, &again) && again.open && again.tensors.hashed);
        FUZZ_MUST(again.tensors.count == file->count);
        for (int i = 0; i < file->count; i++) {
            const struct tensor_view *a = &file->tensors[i];
            const struct tensor_view *b = safetensors_find(&again.tensors, a->name);
            FUZZ_MUST(b && b->stored == a->stored && !memcmp(a->place, b->place, a->stored));
            FUZZ_MUST(b->ndim == a->ndim && !memcmp(a->dims, b->dims, sizeof a->dims));
        }
        FUZZ_MUST(safetensors_verify(&again.tensors, again.error));
        safetensors_close(&again.tensors);
    } else {
        FUZZ_MUST(strstr(again.error, "would need an escape"));
    }
}

static void adapt(void *context) {
    struct file *file = context;
    if (!foreign_adapt(&file->tensors, model_info.params, model_info.params_count, file->error)) {
        FUZZ_MUST(*file->error);
        return;
    }
    // What is adapted has numbers for each of the names, in a shape of as many.
    for (int i = 0; i < file->tensors.count; i++) {
        const struct tensor_view *t = &file->tensors.tensors[i];
        size_t floats = 1;
        for (int d = 0; d < t->ndim; d++) {
            floats *= (size_t)t->dims[d];
        }
        float sum = 0;
        for (size_t k = 0; t->data && k < floats; k++) {
            sum += t->data[k];
        }
        FUZZ_MUST(sum == sum || sum != sum); // every number was read
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    if (length < 1) {
        return 0;
    }
    bool whole = bytes[0] & 1;
    uint8_t *made = malloc(length + 16);
    FUZZ_MUST(made != NULL);
    memcpy(made, bytes + 1, length - 1);
    size_t made_length = length - 1;
    if (!whole) {
        const uint8_t *stop = memchr(bytes + 1, 0, length - 1);
        uint64_t header = stop ? (uint64_t)(stop - bytes - 1) : length - 1;
        uint64_t padded = (header + 7) / 8 * 8;
        memcpy(made, &padded, sizeof padded);
        memcpy(made + 8, bytes + 1, header);
        memset(made + 8 + header, ' ', padded - header);
        size_t data = stop ? length - 2 - header : 0;
        memcpy(made + 8 + padded, bytes + length - data, data);
        made_length = 8 + padded + data;
    }
    struct file file = {.path = fuzz_file("file.safetensors", made, made_length)};
    FUZZ_MUST(fuzz_survives(read_file, &file));
    if (file.open) {
        check(&file.tensors, made_length);
        write_again(&file.tensors);
        FUZZ_MUST(fuzz_survives(adapt, &file));
        safetensors_close(&file.tensors);
    }
    free(made);
    return 0;
}
