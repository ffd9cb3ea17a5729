// safetensors.c: one strict reader and one writer of safetensors files: eight bytes with the length
// of a JSON header, little-endian; the header; the tensors, back to back. Needs libc alone, since
// the sampler carries it.
#include "runtime/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "safetensors files are little-endian");

enum {
    SAFETENSORS_ERROR = 512,            // bytes in an error line
    SAFETENSORS_PREFIX = 8,             // bytes before the header
    SAFETENSORS_HEADER_MAX = 100000000, // the format's own limit
    SAFETENSORS_ALIGN = 64,             // where data starts in files of our own
    SAFETENSORS_WRITE_MAX = 1 << 30,    // bytes in one writev()
    SAFETENSORS_PARTS_MAX = 1024,       // and parts: IOV_MAX of Linux
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

// ---- reading ------------------------------------------------------------------------------------

static int safetensors_compare_pair(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int safetensors_compare_data(const void *a, const void *b) {
    const struct tensor_view *x = a, *y = b;
    if (x->data != y->data) {
        return x->data < y->data ? -1 : 1;
    }
    if (x->bytes != y->bytes) { // an empty tensor lies before the one that starts where it does
        return x->bytes < y->bytes ? -1 : 1;
    }
    return strcmp(x->name, y->name);
}

static bool safetensors_map(struct safetensors *file, char *error, enum exit_code *code) {
    const char *path = file->path;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        *code = errno == ENOENT || errno == ENOTDIR ? EXIT_MISSING : EXIT_IO;
        return safetensors_fail(error, "%s: cannot open: %s", path, strerror(errno));
    }
    struct stat status;
    bool good = false;
    if (fstat(fd, &status) != 0) {
        *code = EXIT_IO;
        safetensors_fail(error, "%s: cannot read: %s", path, strerror(errno));
    } else if (!S_ISREG(status.st_mode)) {
        safetensors_fail(error, "%s: is no regular file; a safetensors file is wanted", path);
    } else if (status.st_size < SAFETENSORS_PREFIX + 2) { // 2: "{}"
        safetensors_fail(error,
                         "%s: has %lld bytes, too few for a safetensors file; it is truncated",
                         path, (long long)status.st_size);
    } else {
        file->map_bytes = (size_t)status.st_size;
        void *map = mmap(NULL, file->map_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
        good = map != MAP_FAILED;
        if (good) {
            file->map = map;
            // What the page cache has not is read in large pages, where the file system can.
            madvise(map, file->map_bytes, MADV_HUGEPAGE);
        } else {
            *code = EXIT_IO;
            safetensors_fail(error, "%s: cannot map %zu bytes: %s", path, file->map_bytes,
                             strerror(errno));
        }
    }
    close(fd);
    return good;
}

static bool safetensors_read_metadata(struct safetensors *file, const struct json *json, int object,
                                      char *error) {
    if (!json_is_object(json, object)) {
        return safetensors_fail(error, "%s: __metadata__ is no object", file->path);
    }
    int count = json_count(json, object);
    file->metadata = calloc((size_t)count * 2 + 1, sizeof *file->metadata);
    if (!file->metadata) {
        return safetensors_fail(error, "%s: not enough memory for its metadata", file->path);
    }
    file->metadata_count = count;
    for (int i = 0; i < count; i++) {
        int value;
        int key = json_member(json, object, i, &value);
        file->metadata[2 * i] = json_string(json, key);
        file->metadata[2 * i + 1] = json_string(json, value);
        if (!file->metadata[2 * i] || !file->metadata[2 * i + 1]) {
            return safetensors_fail(error, "%s: metadata '%s' is no string without escapes",
                                    file->path,
                                    file->metadata[2 * i] ? file->metadata[2 * i] : "?");
        }
    }
    qsort(file->metadata, (size_t)count, 2 * sizeof *file->metadata, safetensors_compare_pair);
    return true;
}

// Reads {"dtype":"F32","shape":[...],"data_offsets":[begin,end]}; data is what the offsets count
// from, data_bytes long.
static bool safetensors_read_tensor(const char *path, struct tensor_view *tensor,
                                    const struct json *json, int object, const char *data,
                                    size_t data_bytes, char *error) {
    const char *name = tensor->name;
    int shape = json_get(json, object, "shape"), offsets = json_get(json, object, "data_offsets");
    char *dtype = json_string(json, json_get(json, object, "dtype"));
    bool good = true;
    if (!dtype || json_count(json, object) != 3 || !json_is_array(json, shape) ||
        !json_is_array(json, offsets) || json_count(json, offsets) != 2) {
        good = safetensors_fail(
            error, "%s: tensor '%s' is not described by dtype, shape and data_offsets", path, name);
    } else if (strcmp(dtype, "F32") != 0) {
        good = safetensors_fail(
            error, "%s: tensor '%s' is of type %.32s; F32 is wanted, so convert it first", path,
            name, dtype);
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
    size_t bytes = sizeof(float);
    for (int i = 0; i < tensor->ndim; i++) {
        if (!json_integer(json, json_element(json, shape, i), &tensor->dims[i]) ||
            __builtin_mul_overflow(bytes, (size_t)tensor->dims[i], &bytes)) {
            return safetensors_fail(
                error, "%s: tensor '%s' has a shape that is no size of anything", path, name);
        }
    }
    int64_t begin, end;
    if (!json_integer(json, json_element(json, offsets, 0), &begin) ||
        !json_integer(json, json_element(json, offsets, 1), &end) || begin > end) {
        return safetensors_fail(error, "%s: tensor '%s' has bad data_offsets", path, name);
    }
    if ((size_t)end > data_bytes) {
        return safetensors_fail(error,
                                "%s: tensor '%s' ends at byte %lld of the data, which has %zu; the "
                                "file is truncated",
                                path, name, (long long)end, data_bytes);
    }
    if ((size_t)(end - begin) != bytes) {
        return safetensors_fail(error, "%s: tensor '%s' has %lld bytes, but its shape takes %zu",
                                path, name, (long long)(end - begin), bytes);
    }
    tensor->data = (const float *)(data + begin);
    tensor->bytes = bytes;
    return true;
}

// Every byte of the data belongs to exactly one tensor. Sorts them.
static bool safetensors_check_layout(struct safetensors *file, const char *data, size_t data_bytes,
                                     char *error) {
    qsort(file->tensors, (size_t)file->count, sizeof *file->tensors, safetensors_compare_data);
    const char *at = data;
    for (int i = 0; i < file->count; i++) {
        const struct tensor_view *tensor = &file->tensors[i];
        const char *begin = (const char *)tensor->data;
        if (begin != at) {
            return safetensors_fail(
                error, "%s: tensor '%s' %s at byte %zu of the data", file->path, tensor->name,
                begin < at ? "overlaps the one before it" : "leaves a hole before it",
                (size_t)(begin - data));
        }
        at += tensor->bytes;
    }
    size_t used = (size_t)(at - data);
    if (used != data_bytes) {
        return safetensors_fail(error, "%s: its tensors take %zu bytes, but %zu are there",
                                file->path, used, data_bytes);
    }
    return true;
}

// Takes the tensors' hashes out of the metadata.
static bool safetensors_read_hashes(struct safetensors *file, char *error) {
    for (int i = 0; i < file->count; i++) {
        struct tensor_view *tensor = &file->tensors[i];
        size_t size = strlen(tensor->name) + 6;
        char *key = malloc(size);
        if (!key) {
            return safetensors_fail(error, "%s: not enough memory for its names", file->path);
        }
        snprintf(key, size, "xxh3.%s", tensor->name);
        const char *hash = safetensors_metadata(file, key);
        free(key);
        if (!hash) {
            continue;
        }
        if (strlen(hash) != 16 || strspn(hash, "0123456789abcdef") != 16) {
            return safetensors_fail(error,
                                    "%s: the hash of tensor '%s' is not 16 hexadecimal digits",
                                    file->path, tensor->name);
        }
        memcpy(tensor->hash, hash, 17);
    }
    return true;
}

static bool safetensors_read(struct safetensors *file, const struct json *json, const char *data,
                             size_t data_bytes, char *error) {
    if (!json_is_object(json, 0)) {
        return safetensors_fail(error, "%s: its header is no object", file->path);
    }
    int members = json_count(json, 0);
    file->tensors = calloc((size_t)members + 1, sizeof *file->tensors);
    if (!file->tensors) {
        return safetensors_fail(error, "%s: not enough memory for %d tensors", file->path, members);
    }
    for (int i = 0; i < members; i++) {
        int value;
        int key = json_member(json, 0, i, &value);
        char *name = json_string(json, key);
        if (!name) {
            return safetensors_fail(error, "%s: not enough memory for its names", file->path);
        }
        if (strcmp(name, "__metadata__") == 0) {
            free(name);
            if (!safetensors_read_metadata(file, json, value, error)) {
                return false;
            }
            continue;
        }
        struct tensor_view *tensor = &file->tensors[file->count++];
        tensor->name = name; // freed by safetensors_close from here on
        if (!safetensors_read_tensor(file->path, tensor, json, value, data, data_bytes, error)) {
            return false;
        }
    }
    return safetensors_check_layout(file, data, data_bytes, error) &&
           safetensors_read_hashes(file, error);
}

bool safetensors_open(struct safetensors *file, const char *path, char error[512],
                      enum exit_code *code) {
    memset(file, 0, sizeof *file);
    *code = EXIT_DATA;
    file->path = strdup(path);
    if (!file->path || !safetensors_map(file, error, code)) {
        if (!file->path) {
            *code = EXIT_MEMORY;
            safetensors_fail(error, "%s: not enough memory for the path", path);
        }
        safetensors_close(file);
        return false;
    }
    const char *map = file->map;
    uint64_t header_bytes;
    memcpy(&header_bytes, map, sizeof header_bytes);
    bool good = false;
    if (header_bytes > SAFETENSORS_HEADER_MAX ||
        header_bytes > file->map_bytes - SAFETENSORS_PREFIX) {
        safetensors_fail(
            error,
            "%s: its header would take %llu bytes, but the file has %zu; it is truncated "
            "or no safetensors file",
            path, (unsigned long long)header_bytes, file->map_bytes);
    } else if (map[SAFETENSORS_PREFIX] != '{') {
        safetensors_fail(error, "%s: its header does not start with '{'; it is no safetensors file",
                         path);
    } else if (header_bytes % sizeof(float)) {
        safetensors_fail(error,
                         "%s: its data starts at byte %llu, no multiple of 4; save it again with a "
                         "newer safetensors",
                         path, (unsigned long long)header_bytes + SAFETENSORS_PREFIX);
    } else {
        const char *reason;
        struct json *json = json_parse(map + SAFETENSORS_PREFIX, header_bytes, &reason);
        size_t data_start = SAFETENSORS_PREFIX + header_bytes;
        if (json) {
            good =
                safetensors_read(file, json, map + data_start, file->map_bytes - data_start, error);
        } else {
            safetensors_fail(error, "%s: its header is %s", path, reason);
        }
        json_free(json);
    }
    if (!good) {
        safetensors_close(file);
    }
    return good;
}

void safetensors_close(struct safetensors *file) {
    for (int i = 0; i < file->count; i++) {
        free(file->tensors[i].name);
    }
    for (int i = 0; i < 2 * file->metadata_count; i++) {
        free(file->metadata[i]);
    }
    free(file->tensors);
    free(file->metadata);
    free(file->path);
    if (file->map) {
        munmap(file->map, file->map_bytes);
    }
    memset(file, 0, sizeof *file);
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

bool safetensors_verify(const struct safetensors *file, char error[512]) {
    for (int i = 0; i < file->count; i++) {
        const struct tensor_view *tensor = &file->tensors[i];
        char hash[17];
        snprintf(hash, sizeof hash, "%016llx",
                 (unsigned long long)XXH3_64bits(tensor->data, tensor->bytes));
        if (tensor->hash[0] && strcmp(tensor->hash, hash) != 0) {
            return safetensors_fail(
                error,
                "%s: tensor '%s' has hash %s, but its bytes give %s; the file is "
                "damaged, so take another",
                file->path, tensor->name, tensor->hash, hash);
        }
    }
    return true;
}

// ---- writing ------------------------------------------------------------------------------------

static size_t safetensors_bytes(const struct tensor_out *tensor) {
    size_t bytes = sizeof(float);
    for (int i = 0; i < tensor->ndim; i++) {
        bytes *= (size_t)tensor->dims[i];
    }
    return bytes;
}

static bool safetensors_plain(const char *text) {
    for (; *text; text++) {
        if ((unsigned char)*text < 0x20 || *text == '"' || *text == '\\') {
            return false;
        }
    }
    return true;
}

static void safetensors_print(FILE *out, const struct tensor_out *tensors, int count,
                              const char *const *metadata, int metadata_count) {
    fputs("{\"__metadata__\":{", out);
    for (int i = 0; i < metadata_count; i++) {
        fprintf(out, "%s\"%s\":\"%s\"", i ? "," : "", metadata[2 * i], metadata[2 * i + 1]);
    }
    for (int i = 0; i < count; i++) {
        unsigned long long hash = XXH3_64bits(tensors[i].data, safetensors_bytes(&tensors[i]));
        fprintf(out, "%s\"xxh3.%s\":\"%016llx\"", i || metadata_count ? "," : "", tensors[i].name,
                hash);
    }
    fputs("}", out);
    size_t at = 0;
    for (int i = 0; i < count; i++) {
        fprintf(out, ",\"%s\":{\"dtype\":\"F32\",\"shape\":[", tensors[i].name);
        for (int d = 0; d < tensors[i].ndim; d++) {
            fprintf(out, "%s%lld", d ? "," : "", (long long)tensors[i].dims[d]);
        }
        size_t end = at + safetensors_bytes(&tensors[i]);
        fprintf(out, "],\"data_offsets\":[%zu,%zu]}", at, end);
        at = end;
    }
    fputs("}", out);
}

// Makes the prefix and the header, padded. The caller frees; NULL with a line in error.
static char *safetensors_header(const char *path, const struct tensor_out *tensors, int count,
                                const char *const *metadata, int metadata_count, size_t *bytes,
                                char *error) {
    for (int i = 0; i < 2 * metadata_count; i++) {
        if (!safetensors_plain(metadata[i])) {
            safetensors_fail(error, "%s: metadata '%s' has a character that would need an escape",
                             path, metadata[i - i % 2]);
            return NULL;
        }
    }
    for (int i = 0; i < count; i++) {
        if (!safetensors_plain(tensors[i].name)) {
            safetensors_fail(error, "%s: the name '%s' has a character that would need an escape",
                             path, tensors[i].name);
            return NULL;
        }
    }
    char *header = NULL;
    FILE *out = open_memstream(&header, bytes);
    if (out) {
        fprintf(out, "%*s", SAFETENSORS_PREFIX, ""); // the length comes here
        safetensors_print(out, tensors, count, metadata, metadata_count);
        long end = ftell(out);
        int padding = (int)((SAFETENSORS_ALIGN - end % SAFETENSORS_ALIGN) % SAFETENSORS_ALIGN);
        fprintf(out, "%*s", padding, "");
    }
    bool good = out && !ferror(out);
    if (out && fclose(out) != 0) {
        good = false;
    }
    if (!good) {
        safetensors_fail(error, "%s: not enough memory for its header", path);
        free(header);
        return NULL;
    }
    uint64_t length = *bytes - SAFETENSORS_PREFIX;
    memcpy(header, &length, sizeof length);
    // What the reader would refuse, a name that is there twice for one, is not written.
    const char *reason;
    struct json *json = json_parse(header + SAFETENSORS_PREFIX, length, &reason);
    if (!json) {
        safetensors_fail(error, "%s: its header would be %s", path, reason);
        free(header);
        return NULL;
    }
    json_free(json);
    return header;
}

// Writes all parts in calls as large as they may be: the page cache then keeps the file in large
// pages, by which a reader that maps it is spared many misses of its address cache.
static bool safetensors_put(int fd, struct iovec *parts, int count) {
    while (count > 0) {
        size_t bytes = 0;
        int some = 0;
        while (some < count && some < SAFETENSORS_PARTS_MAX && bytes < SAFETENSORS_WRITE_MAX) {
            bytes += parts[some++].iov_len;
        }
        const size_t beyond = bytes > SAFETENSORS_WRITE_MAX ? bytes - SAFETENSORS_WRITE_MAX : 0;
        parts[some - 1].iov_len -= beyond;
        const ssize_t put = writev(fd, parts, some);
        parts[some - 1].iov_len += beyond;
        if (put < 0 && errno != EINTR) {
            return false;
        }
        size_t done = put < 0 ? 0 : (size_t)put;
        for (; count > 0 && done >= parts->iov_len; parts++, count--) {
            done -= parts->iov_len;
        }
        if (count > 0) {
            parts->iov_base = (char *)parts->iov_base + done;
            parts->iov_len -= done;
        }
    }
    return true;
}

// Makes a rename in path's folder outlast a power cut. Some file systems cannot, and say EINVAL.
static bool safetensors_sync_folder(const char *path) {
    const char *slash = strrchr(path, '/');
    char *dir = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    int fd = dir ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    free(dir);
    if (fd < 0) {
        return false;
    }
    bool good = fsync(fd) == 0 || errno == EINVAL;
    int reason = errno;
    close(fd);
    errno = reason;
    return good;
}

bool safetensors_write(const char *path, const struct tensor_out *tensors, int count,
                       const char *const *metadata, int metadata_count, char error[512]) {
    size_t header_bytes;
    char *header =
        safetensors_header(path, tensors, count, metadata, metadata_count, &header_bytes, error);
    if (!header) {
        return false;
    }
    size_t total = header_bytes;
    for (int i = 0; i < count; i++) {
        total += safetensors_bytes(&tensors[i]);
    }
    size_t temporary_size = strlen(path) + 5;
    char *temporary = malloc(temporary_size);
    struct iovec *parts = malloc((size_t)(count + 1) * sizeof *parts);
    if (!temporary || !parts) {
        free(temporary);
        free(parts);
        free(header);
        return safetensors_fail(error, "%s: not enough memory for the path", path);
    }
    snprintf(temporary, temporary_size, "%s.tmp", path);
    parts[0] = (struct iovec){header, header_bytes};
    for (int i = 0; i < count; i++) {
        parts[i + 1] = (struct iovec){(void *)tensors[i].data, safetensors_bytes(&tensors[i])};
    }

    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    bool good = fd >= 0 && safetensors_put(fd, parts, count + 1) && fsync(fd) == 0;
    int reason = errno; // of the first thing that failed; what tidies up may change errno
    if (fd >= 0 && close(fd) != 0 && good) {
        good = false;
        reason = errno;
    }
    if (good && rename(temporary, path) != 0) {
        good = false;
        reason = errno;
    }
    if (!good) {
        if (fd >= 0) {
            unlink(temporary);
        }
        safetensors_fail(error, "%s: cannot write its %zu bytes: %s", path, total,
                         strerror(reason));
    } else if (!safetensors_sync_folder(path)) {
        good = safetensors_fail(error, "%s: is written, but its folder cannot be synced: %s", path,
                                strerror(errno));
    }
    free(parts);
    free(temporary);
    free(header);
    return good;
}
