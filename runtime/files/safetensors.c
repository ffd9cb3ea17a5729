// safetensors.c: a strict reader of safetensors files, which are eight bytes with the length of a
// JSON header, little-endian; the header; the tensors, back to back. safetensors_write.c writes
// them. Needs only libc, since the sampler links it.
//
// Our files have hashes in the metadata: "xxh3.NAME" of a tensor's bytes; "xxh3" of the header, and
// "xxh3_of", which lists the metadata that it covers. The header's hash is of its content in a
// fixed order, not of its text, so that a tool may reformat the JSON or add to it; where tensors
// are F16, BF16 or U8 it begins with their type, "BF16:". Files of older trainers have hashes of
// tensors only.
#include "runtime/files/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "safetensors files are little-endian");

enum {
    SAFETENSORS_HEADER_MAX = 100000000, // the format's own limit
};

// Puts one line into error and returns false.
static bool safetensors_fail(char *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static bool safetensors_fail(char *error, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error, SAFETENSORS_ERROR, format, arguments);
    va_end(arguments);
    return false;
}

// ---- the header's parts -------------------------------------------------------------------------

static int safetensors_compare_pair(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int safetensors_compare_data(const void *a, const void *b) {
    const struct tensor_view *x = a, *y = b;
    if (x->begin != y->begin) {
        return x->begin < y->begin ? -1 : 1;
    }
    if (x->stored != y->stored) { // an empty tensor comes before the one at the same offset
        return x->stored < y->stored ? -1 : 1;
    }
    return strcmp(x->name, y->name);
}

static bool safetensors_read_metadata(struct safetensors *file, const struct json *json, int object,
                                      char *error) {
    if (!json_is_object(json, object)) {
        return safetensors_fail(error, "%s: __metadata__ is not an object", file->path);
    }
    int count = json_count(json, object);
    file->metadata = allocate((size_t)count, 2 * sizeof *file->metadata, "metadata");
    file->metadata_count = count;
    for (int i = 0; i < count; i++) {
        int value;
        int key = json_member(json, object, i, &value);
        file->metadata[2 * i] = json_string(json, key);
        file->metadata[2 * i + 1] = json_string(json, value);
        if (!file->metadata[2 * i] || !file->metadata[2 * i + 1]) {
            return safetensors_fail(error,
                                    "%s: metadata '%s' is no string without zeros, as the format "
                                    "wants it; save the file without",
                                    file->path,
                                    file->metadata[2 * i] ? file->metadata[2 * i] : "?");
        }
    }
    qsort(file->metadata, (size_t)count, 2 * sizeof *file->metadata, safetensors_compare_pair);
    return true;
}

// Bytes per number of a type, or 0 if the type is unknown.
static size_t safetensors_size(const char *dtype) {
    static const struct {
        const char *name;
        size_t bytes;
    } types[] = {{"F32", 4}, {"F16", 2}, {"BF16", 2}, {"F64", 8}, {"BOOL", 1}, {"U8", 1}, {"I8", 1},
                 {"I16", 2}, {"U16", 2}, {"I32", 4},  {"U32", 4}, {"I64", 8},  {"U64", 8}};
    for (size_t i = 0; dtype && i < sizeof types / sizeof *types; i++) {
        if (strcmp(dtype, types[i].name) == 0) {
            return types[i].bytes;
        }
    }
    return 0;
}

// Reads {"dtype":"F32","shape":[...],"data_offsets":[begin,end]}; the file has data_bytes of data.
static bool safetensors_read_tensor(const char *path, struct tensor_view *tensor,
                                    const struct json *json, int object, size_t data_bytes,
                                    char *error) {
    const char *name = tensor->name;
    int shape = json_get(json, object, "shape"), offsets = json_get(json, object, "data_offsets");
    char *dtype = json_string(json, json_get(json, object, "dtype"));
    size_t bytes = safetensors_size(dtype);
    bool good = true;
    if (!dtype || json_count(json, object) != 3 || !json_is_array(json, shape) ||
        !json_is_array(json, offsets) || json_count(json, offsets) != 2) {
        good = safetensors_fail(
            error, "%s: tensor '%s' is not described by dtype, shape and data_offsets", path, name);
    } else if (bytes == 0) {
        good = safetensors_fail(
            error,
            "%s: tensor '%s' is of type %.32s; F32, F16 or BF16 is wanted, so convert it first",
            path, name, dtype);
    } else {
        snprintf(tensor->dtype, sizeof tensor->dtype, "%s", dtype);
    }
    free(dtype);
    if (!good) {
        return false;
    }

    tensor->ndim = json_count(json, shape);
    if (tensor->ndim > 4) {
        return safetensors_fail(error, "%s: tensor '%s' has %d dimensions; 4 at most are wanted",
                                path, name, tensor->ndim);
    }
    for (int i = 0; i < tensor->ndim; i++) {
        if (!json_integer(json, json_element(json, shape, i), &tensor->dims[i]) ||
            __builtin_mul_overflow(bytes, (uint64_t)tensor->dims[i], &bytes)) {
            return safetensors_fail(
                error, "%s: tensor '%s' has a shape that is no size of anything", path, name);
        }
    }
    int64_t begin, end;
    if (!json_integer(json, json_element(json, offsets, 0), &begin) ||
        !json_integer(json, json_element(json, offsets, 1), &end) || begin > end) {
        return safetensors_fail(error, "%s: tensor '%s' has bad data_offsets", path, name);
    }
    if ((uint64_t)end > data_bytes) { // with 64 bits each: size_t may have 32
        return safetensors_fail(error,
                                "%s: tensor '%s' ends at byte %lld of the data, which has %zu; the "
                                "file is truncated",
                                path, name, (long long)end, data_bytes);
    }
    if ((size_t)(end - begin) != bytes) {
        return safetensors_fail(error, "%s: tensor '%s' has %lld bytes, but its shape takes %zu",
                                path, name, (long long)(end - begin), bytes);
    }
    tensor->begin = (size_t)begin;
    tensor->stored = bytes;
    return true;
}

// Sorts the tensors by offset, and checks that every byte of the data belongs to exactly one.
static bool safetensors_check_layout(struct safetensors *file, size_t data_bytes, char *error) {
    qsort(file->tensors, (size_t)file->count, sizeof *file->tensors, safetensors_compare_data);
    size_t at = 0;
    for (int i = 0; i < file->count; i++) {
        const struct tensor_view *tensor = &file->tensors[i];
        if (tensor->begin != at) {
            return safetensors_fail(
                error, "%s: tensor '%s' %s at byte %zu of the data", file->path, tensor->name,
                tensor->begin < at ? "overlaps the one before it" : "leaves a hole before it",
                tensor->begin);
        }
        at += tensor->stored;
    }
    if (at != data_bytes) {
        return safetensors_fail(error, "%s: its tensors take %zu bytes, but %zu are there",
                                file->path, at, data_bytes);
    }
    return true;
}

// ---- hashes -------------------------------------------------------------------------------------

// The end of messages about a file that does not match its hashes.
#define SAFETENSORS_DAMAGED                                                                        \
    "the file is damaged, so take another (or a tool that changed it kept its old hashes: have "   \
    "it "                                                                                          \
    "leave the metadata xxh3* out)"

static uint64_t safetensors_hash_text(const char *text) {
    return hash_of(text, strlen(text));
}

void safetensors_hash_header(const struct safetensors *file, const char *covered, char hash[17]) {
    enum { OF_A_TENSOR = 6 + 4 };
    const char *rest = covered;
    size_t most = 1 + (size_t)file->count * OF_A_TENSOR, count = 0;
    for (struct pair word; pairs_next(&rest, &word);) {
        most++;
    }
    uint64_t *parts = allocate(most, sizeof *parts, "a header's hash"); // hashed again at the end
    parts[count++] = safetensors_hash_text(covered);
    for (struct pair word; pairs_next(&covered, &word);) {
        char *key = allocate_copy(word.key, (size_t)word.key_length, "a key");
        const char *value = safetensors_metadata(file, key);
        parts[count++] = safetensors_hash_text(value ? value : "");
        free(key);
    }
    for (int i = 0; i < file->count; i++) {
        const struct tensor_view *tensor = &file->tensors[i];
        parts[count++] = safetensors_hash_text(tensor->name);
        parts[count++] = safetensors_hash_text(tensor->dtype);
        parts[count++] = safetensors_hash_text(tensor->hash);
        parts[count++] = (uint64_t)tensor->ndim;
        for (int d = 0; d < tensor->ndim; d++) {
            parts[count++] = (uint64_t)tensor->dims[d];
        }
        parts[count++] = tensor->begin;
        parts[count++] = tensor->stored;
    }
    hash_bytes(parts, count * sizeof *parts, hash);
    free(parts);
}

// Moves the tensors' hashes from the metadata to the tensors. Either every tensor has one or none
// has, and each hash belongs to a tensor, so that a damaged name is noticed in older files too.
static bool safetensors_read_hashes(struct safetensors *file, char *error) {
    int hashes = 0;
    for (int i = 0; i < file->metadata_count; i++) {
        hashes += strncmp(file->metadata[2 * i], "xxh3.", 5) == 0;
    }
    for (int i = 0; i < file->count && hashes > 0; i++) {
        struct tensor_view *tensor = &file->tensors[i];
        char *key = allocate_print("a tensor's name", "xxh3.%s", tensor->name);
        const char *hash = safetensors_metadata(file, key);
        free(key);
        if (!hash) {
            return safetensors_fail(error, "%s: tensor '%s' has no hash, but others have; %s",
                                    file->path, tensor->name, SAFETENSORS_DAMAGED);
        }
        if (strlen(hash) != 16 || strspn(hash, "0123456789abcdef") != 16) {
            return safetensors_fail(error,
                                    "%s: the hash of tensor '%s' is not 16 hexadecimal digits",
                                    file->path, tensor->name);
        }
        memcpy(tensor->hash, hash, 17);
        hashes--;
        if (i + 1 == file->count && hashes > 0) {
            return safetensors_fail(error, "%s: has a hash of a tensor that is not there; %s",
                                    file->path, SAFETENSORS_DAMAGED);
        }
    }
    return true;
}

// The 16 digits of the header's hash, behind the type of the tensors that it is of; NULL if it has
// another form.
static const char *safetensors_digits(const char *stated, const char **type, size_t *length) {
    const char *colon = strchr(stated, ':'), *digits = colon ? colon + 1 : stated;
    *type = colon ? stated : "F32";
    *length = colon ? (size_t)(colon - stated) : strlen(*type);
    const bool known = !colon || (*length == 3 && !memcmp(stated, "F16", 3)) ||
                       (*length == 4 && !memcmp(stated, "BF16", 4)) ||
                       (*length == 2 && !memcmp(stated, "U8", 2));
    return known && strlen(digits) == 16 ? digits : NULL;
}

// Whether the file was converted by another tool: then its tensors are of another type than its
// hashes, which are of the file that it was made from.
static bool safetensors_is_converted(const struct safetensors *file) {
    const char *stated = safetensors_metadata(file, "xxh3"), *type = "F32";
    size_t length = strlen(type);
    if (stated) {
        safetensors_digits(stated, &type, &length);
    }
    for (int i = 0; i < file->count; i++) {
        const char *dtype = file->tensors[i].dtype;
        if (strlen(dtype) != length || memcmp(dtype, type, length) != 0) {
            return true;
        }
    }
    return false;
}

static bool safetensors_check_header(struct safetensors *file, char *error) {
    const char *stated = safetensors_metadata(file, "xxh3");
    const char *covered = safetensors_metadata(file, "xxh3_of"), *rest = covered;
    if (!stated && !covered) {
        return true; // of an older trainer, or of another tool
    }
    if (!stated || !covered) {
        return safetensors_fail(error, "%s: has no metadata %s; %s", file->path,
                                stated ? "xxh3_of" : "xxh3", SAFETENSORS_DAMAGED);
    }
    const char *type, *digits;
    size_t length;
    digits = safetensors_digits(stated, &type, &length);
    if (!digits) {
        return safetensors_fail(error, "%s: its header's hash '%.24s' has not 16 digits; %s",
                                file->path, stated, SAFETENSORS_DAMAGED);
    }
    if (safetensors_is_converted(file)) {
        return true;
    }
    for (struct pair word; pairs_next(&rest, &word);) {
        char *key = allocate_copy(word.key, (size_t)word.key_length, "a key");
        bool there = safetensors_metadata(file, key) != NULL;
        free(key);
        if (!there) {
            return safetensors_fail(error, "%s: has no metadata %.*s; %s", file->path,
                                    word.key_length, word.key, SAFETENSORS_DAMAGED);
        }
    }
    char hash[17];
    safetensors_hash_header(file, covered, hash);
    if (strcmp(digits, hash) != 0) {
        return safetensors_fail(error, "%s: its header has hash %s, but what it says gives %s; %s",
                                file->path, digits, hash, SAFETENSORS_DAMAGED);
    }
    file->hashed = true;
    return true;
}

bool safetensors_parse(struct safetensors *file, const char *header, size_t bytes,
                       size_t data_bytes, char error[512]) {
    const char *reason;
    struct json *json = json_parse(header, bytes, &reason);
    if (!json) {
        return safetensors_fail(error, "%s: its header is %s", file->path, reason);
    }
    bool good = json_is_object(json, 0) ||
                safetensors_fail(error, "%s: its header is not an object", file->path);
    int members = json_count(json, 0);
    file->tensors = allocate((size_t)members, sizeof *file->tensors, "a list of tensors");
    for (int i = 0; good && i < members; i++) {
        int value;
        int key = json_member(json, 0, i, &value);
        char *name = json_string(json, key);
        if (!name) {
            good = safetensors_fail(error, "%s: a tensor's name holds a zero", file->path);
        } else if (strcmp(name, "__metadata__") == 0) {
            free(name);
            good = safetensors_read_metadata(file, json, value, error);
        } else {
            struct tensor_view *tensor = &file->tensors[file->count++];
            tensor->name = name; // freed by safetensors_close from here on
            good = safetensors_read_tensor(file->path, tensor, json, value, data_bytes, error);
        }
    }
    json_free(json);
    return good && safetensors_check_layout(file, data_bytes, error) &&
           (safetensors_is_converted(file) || safetensors_read_hashes(file, error));
}

// ---- the file -----------------------------------------------------------------------------------

bool safetensors_map(struct safetensors *file, const char *kind, size_t least, char error[512],
                     enum exit_code *code) {
    const char *path = file->path;
    struct stat status;
    int fd = file_open(path, O_RDONLY, &status);
    if (fd < 0) {
        *code = errno == ENOENT || errno == ENOTDIR ? EXIT_MISSING : exit_code_of(errno);
        return safetensors_fail(error, "%s: cannot open: %s", path, strerror(errno));
    }
    if (!S_ISREG(status.st_mode)) {
        safetensors_fail(error, "%s: is not a regular file; a %s file is wanted", path, kind);
    } else if (status.st_size < (off_t)least) {
        safetensors_fail(error, "%s: has %lld bytes, too few for a %s file; it is truncated", path,
                         (long long)status.st_size, kind);
    } else {
        file->map_bytes = (size_t)status.st_size;
        file->map = mapped_open(fd, file->map_bytes, path);
        return true;
    }
    close(fd);
    return false;
}

const char *safetensors_mistaken(const char *map, size_t bytes) {
    static const char pointer[] = "version https://git-lfs";
    if (bytes >= sizeof pointer && !memcmp(map, pointer, sizeof pointer - 1)) {
        return "is Git LFS's pointer to a file, not the file; `git lfs pull` brings it";
    }
    if (bytes > SAFETENSORS_PREFIX && *map == '<' && map[SAFETENSORS_PREFIX] != '{') {
        return "begins with '<', as a page of the web does; download the file that the page is of";
    }
    return NULL;
}

// Reads the header and points the tensors at their bytes in the mapping.
static bool safetensors_read(struct safetensors *file, char *error) {
    const char *map = file->map, *mistaken = safetensors_mistaken(map, file->map_bytes);
    uint64_t header_bytes;
    memcpy(&header_bytes, map, sizeof header_bytes);
    if (mistaken) {
        return safetensors_fail(error, "%s: %s", file->path, mistaken);
    }
    if (header_bytes > SAFETENSORS_HEADER_MAX ||
        header_bytes > file->map_bytes - SAFETENSORS_PREFIX) {
        return safetensors_fail(
            error,
            "%s: its header would take %llu bytes, but the file has %zu; it is truncated "
            "or not a safetensors file",
            file->path, (unsigned long long)header_bytes, file->map_bytes);
    }
    if (map[SAFETENSORS_PREFIX] != '{') {
        return safetensors_fail(
            error, "%s: its header does not start with '{'; it is not a safetensors file",
            file->path);
    }
    if (header_bytes % sizeof(float)) {
        return safetensors_fail(error,
                                "%s: its data starts at byte %llu, no multiple of 4; save it again "
                                "with a newer safetensors",
                                file->path, (unsigned long long)header_bytes + SAFETENSORS_PREFIX);
    }
    const char *data = map + SAFETENSORS_PREFIX + header_bytes;
    if (!safetensors_parse(file, map + SAFETENSORS_PREFIX, header_bytes,
                           file->map_bytes - SAFETENSORS_PREFIX - header_bytes, error)) {
        return false;
    }
    for (int i = 0; i < file->count; i++) {
        struct tensor_view *tensor = &file->tensors[i];
        tensor->place = data + tensor->begin;
        if (strcmp(tensor->dtype, "F32") == 0 && tensor->begin % sizeof(float) == 0) {
            tensor->data = (const float *)tensor->place;
            tensor->bytes = tensor->stored;
        }
    }
    return safetensors_check_header(file, error);
}

bool safetensors_open(struct safetensors *file, const char *path, char error[512],
                      enum exit_code *code) {
    memset(file, 0, sizeof *file);
    *code = EXIT_DATA;
    file->path = allocate_copy(path, strlen(path), "a path");
    if (safetensors_map(file, "safetensors", SAFETENSORS_PREFIX + 2, error, code) && // 2: "{}"
        safetensors_read(file, error)) {
        return true;
    }
    safetensors_close(file);
    return false;
}

bool safetensors_open_bytes(struct safetensors *file, const char *name, const void *bytes,
                            size_t length, char error[512]) {
    memset(file, 0, sizeof *file);
    file->path = allocate_copy(name, strlen(name), "a name");
    file->map = bytes;
    file->map_bytes = length;
    if (length < SAFETENSORS_PREFIX + 2) {
        safetensors_fail(error, "%s: has %zu bytes, too few for a safetensors file", name, length);
    } else if (safetensors_read(file, error)) {
        return true;
    }
    safetensors_close(file);
    return false;
}

bool safetensors_is_run(const struct safetensors *file) {
    const char *format = safetensors_metadata(file, "format");
    return safetensors_metadata(file, "iter") || (format && !strcmp(format, "diecast"));
}

void safetensors_close(struct safetensors *file) {
    for (int i = 0; i < file->count; i++) {
        free(file->tensors[i].name);
        free(file->tensors[i].own);
    }
    for (int i = 0; i < 2 * file->metadata_count; i++) {
        free(file->metadata[i]);
    }
    for (int i = 0; i < file->shards; i++) {
        safetensors_close(&file->shard[i]);
    }
    free(file->shard);
    free(file->pairs);
    free(file->tensors);
    free(file->metadata);
    free(file->path);
    if (file->map) {
        mapped_close(file->map);
    }
    memset(file, 0, sizeof *file);
}

void safetensors_forget(const struct safetensors *file) {
    for (int i = 0; i < file->shards; i++) {
        safetensors_forget(&file->shard[i]);
    }
    if (file->map) {
        mapped_forget(file->map);
    }
}

const struct tensor_view *safetensors_find(const struct safetensors *file, const char *name) {
    for (int i = 0; i < file->count; i++) {
        if (strcmp(file->tensors[i].name, name) == 0) {
            return &file->tensors[i];
        }
    }
    return NULL;
}

const char *safetensors_metadata(const struct safetensors *file, const char *key) {
    char **pair = file->metadata_count
                      ? bsearch(&key, file->metadata, (size_t)file->metadata_count,
                                2 * sizeof *file->metadata, safetensors_compare_pair)
                      : NULL;
    return pair ? pair[1] : NULL;
}

bool safetensors_verify_tensor(const struct safetensors *file, const struct tensor_view *tensor,
                               char error[512]) {
    char hash[17] = "";
    if (tensor->hash[0]) {
        hash_bytes(tensor->place, tensor->stored, hash);
    }
    return !strcmp(tensor->hash, hash) ||
           safetensors_fail(error, "%s: tensor '%s' has hash %s, but its bytes give %s; %s",
                            file->path, tensor->name, tensor->hash, hash, SAFETENSORS_DAMAGED);
}

bool safetensors_verify(const struct safetensors *file, char error[512]) {
    for (int i = 0; i < file->count; i++) {
        if (!safetensors_verify_tensor(file, &file->tensors[i], error)) {
            return false;
        }
    }
    return true;
}

bool floats_are_finite(const float *x, int64_t count) {
    uint32_t infinite = 0; // whether any exponent is all ones: NaN or infinite
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        infinite |= (bits & 0x7f800000) == 0x7f800000;
    }
    return !infinite;
}
