// safetensors_write.c: writes safetensors files as safetensors.c reads them, whole or not at all,
// with hashes of the tensors and of the header.
#include "runtime/files/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    SAFETENSORS_ALIGN = 64,          // bytes; data starts at a multiple
    SAFETENSORS_WRITE_MAX = 1 << 30, // bytes in one writev()
    SAFETENSORS_PARTS_MAX = 1024,    // parts in one writev(): Linux's IOV_MAX
};

static bool safetensors_plain(const char *text) {
    for (; *text; text++) {
        if ((unsigned char)*text < 0x20 || *text == '"' || *text == '\\') {
            return false;
        }
    }
    return true;
}

// What precedes the header's hash: the tensors' type, if it is not F32, and 16 digits, which are
// filled in last.
#define SAFETENSORS_HASH_COMES "{\"__metadata__\":{\"xxh3\":\""

static void safetensors_print(FILE *out, const struct tensor_out *tensors, int count,
                              const char *const *metadata, int metadata_count, void *room) {
    const enum number_type type = count > 0 ? tensors[0].type : NUMBER_F32;
    fputs(SAFETENSORS_HASH_COMES, out);
    if (type != NUMBER_F32) {
        fprintf(out, "%s:", number_type_dtype(type));
    }
    fputs("................\",\"xxh3_of\":\"", out);
    for (int i = 0; i < metadata_count; i++) {
        fprintf(out, "%s%s", i ? " " : "", metadata[2 * i]);
    }
    fputs("\"", out);
    for (int i = 0; i < metadata_count; i++) {
        fprintf(out, ",\"%s\":\"%s\"", metadata[2 * i], metadata[2 * i + 1]);
    }
    for (int i = 0; i < count; i++) {
        char hash[17];
        hash_bytes(tensor_out_stored(&tensors[i], room), tensor_out_bytes(&tensors[i]), hash);
        fprintf(out, ",\"xxh3.%s\":\"%s\"", tensors[i].name, hash);
    }
    fputs("}", out);
    size_t at = 0;
    for (int i = 0; i < count; i++) {
        fprintf(out, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[", tensors[i].name,
                number_type_dtype(tensors[i].type));
        for (int d = 0; d < tensors[i].ndim; d++) {
            fprintf(out, "%s%lld", d ? "," : "", (long long)tensors[i].dims[d]);
        }
        size_t end = at + tensor_out_bytes(&tensors[i]);
        fprintf(out, "],\"data_offsets\":[%zu,%zu]}", at, end);
        at = end;
    }
    fputs("}", out);
}

// Puts the hash into a header. It parses the header for that, so that nothing is written that the
// reader would refuse, such as a duplicate name.
static bool safetensors_seal(const char *path, char *header, size_t bytes, size_t data_bytes,
                             char *error) {
    struct safetensors file = {.path = allocate_copy(path, strlen(path), "a path")};
    char hash[17];
    bool good = safetensors_parse(&file, header, bytes, data_bytes, error);
    if (good) {
        safetensors_hash_header(&file, safetensors_metadata(&file, "xxh3_of"), hash);
        char *digits = strchr(header + strlen(SAFETENSORS_HASH_COMES), '.');
        memcpy(digits, hash, 16);
    }
    safetensors_close(&file);
    return good;
}

// Makes the prefix and the header, padded. The caller frees; NULL with a line in error.
static char *safetensors_header(const char *path, const struct tensor_out *tensors, int count,
                                const char *const *metadata, int metadata_count, void *room,
                                size_t *bytes, char *error) {
    for (int i = 0; i < 2 * metadata_count; i++) {
        if (!safetensors_plain(metadata[i]) || (i % 2 == 0 && strchr(metadata[i], ' '))) {
            snprintf(error, SAFETENSORS_ERROR,
                     "%s: metadata '%s' has a character that would need an escape", path,
                     metadata[i - i % 2]);
            return NULL;
        }
    }
    size_t data_bytes = 0;
    for (int i = 0; i < count; i++) {
        data_bytes += tensor_out_bytes(&tensors[i]);
        if (!safetensors_plain(tensors[i].name)) {
            snprintf(error, SAFETENSORS_ERROR,
                     "%s: the name '%s' has a character that would need an escape", path,
                     tensors[i].name);
            return NULL;
        }
    }
    struct growing out;
    growing_begin(&out, "a file's header");
    fprintf(out.file, "%*s", SAFETENSORS_PREFIX, ""); // room for the length
    safetensors_print(out.file, tensors, count, metadata, metadata_count, room);
    const size_t end = growing_length(&out);
    int padding = (int)((SAFETENSORS_ALIGN - end % SAFETENSORS_ALIGN) % SAFETENSORS_ALIGN);
    fprintf(out.file, "%*s", padding, "");
    char *header = growing_end(&out);
    *bytes = out.length;
    uint64_t length = *bytes - SAFETENSORS_PREFIX;
    memcpy(header, &length, sizeof length);
    if (!safetensors_seal(path, header + SAFETENSORS_PREFIX, length, data_bytes, error)) {
        free(header);
        return NULL;
    }
    return header;
}

// Writes all parts in calls as large as possible: the page cache then keeps the file in large
// pages, and a reader that maps it has fewer TLB misses.
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

// Writes the header and the tensors; those that have to be made, one at a time.
static bool safetensors_put_all(int fd, char *header, size_t header_bytes,
                                const struct tensor_out *tensors, int count, void *room) {
    struct iovec *parts = allocate((size_t)count + 1, sizeof *parts, "a list of tensors");
    int some = 0;
    parts[some++] = (struct iovec){header, header_bytes};
    bool good = true;
    for (int i = 0; i < count && good; i++) {
        const bool ready = tensor_out_is_ready(&tensors[i]);
        if (!ready) {
            good = safetensors_put(fd, parts, some);
            some = 0;
        }
        parts[some++] = (struct iovec){(void *)tensor_out_stored(&tensors[i], room),
                                       tensor_out_bytes(&tensors[i])};
        if (!ready && good) {
            good = safetensors_put(fd, parts, some);
            some = 0;
        }
    }
    good = good && safetensors_put(fd, parts, some);
    const int reason = errno;
    free(parts);
    errno = reason;
    return good;
}

bool safetensors_write(const char *path, const struct tensor_out *tensors, int count,
                       const char *const *metadata, int metadata_count, char error[512]) {
    size_t header_bytes;
    void *room = allocate(tensor_out_room(tensors, count), 1, "a tensor");
    char *header = safetensors_header(path, tensors, count, metadata, metadata_count, room,
                                      &header_bytes, error);
    if (!header) {
        free(room);
        errno = EINVAL;
        return false;
    }
    size_t total = header_bytes;
    for (int i = 0; i < count; i++) {
        total += tensor_out_bytes(&tensors[i]);
    }
    char *temporary = allocate_print("a path", "%s.tmp", path);

    int fd = file_open(temporary, O_WRONLY | O_CREAT | O_TRUNC, NULL), done = 0;
    bool good = fd >= 0 && safetensors_put_all(fd, header, header_bytes, tensors, count, room);
    if (good) {
        UNINTERRUPTED(done, fsync(fd));
        good = done == 0;
    }
    int reason = errno; // of the first call that failed; cleaning up may change errno
    if (fd >= 0 && close(fd) != 0 && good && errno != EINTR) { // it is closed all the same
        good = false;
        reason = errno;
    }
    if (good) {
        UNINTERRUPTED(done, rename(temporary, path));
        good = done == 0;
        reason = errno;
    }
    if (!good) {
        if (fd >= 0) {
            unlink(temporary);
        }
        snprintf(error, SAFETENSORS_ERROR, "%s: cannot write its %zu bytes: %s", path, total,
                 strerror(reason));
    } else if (!sync_names(path)) {
        good = false;
        reason = errno;
        snprintf(error, SAFETENSORS_ERROR, "%s: is written, but its folder cannot be synced: %s",
                 path, strerror(reason));
    }
    free(room);
    free(temporary);
    free(header);
    errno = reason;
    return good;
}
