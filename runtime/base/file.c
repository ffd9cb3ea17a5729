// file.c: files, and streams on them, whose calls are repeated where a signal interrupts them, as
// on network file systems and on ones in user space. A stream of libc's own loses what it was to
// write then. Needs only libc, since the sampler links it.
#define _GNU_SOURCE // for fopencookie
#include "runtime/base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int file_open(const char *path, int flags, struct stat *status) {
    int file, failed = 0;
    UNINTERRUPTED(file, open(path, flags | O_CLOEXEC, 0666));
    if (file >= 0 && status) {
        UNINTERRUPTED(failed, fstat(file, status));
    }
    if (failed) {
        int reason = errno;
        close(file);
        errno = reason;
    }
    return failed ? -1 : file;
}

size_t file_write(int file, const char *bytes, size_t count) {
    size_t done = 0;
    while (done < count) {
        ssize_t put;
        UNINTERRUPTED(put, write(file, bytes + done, count - done));
        if (put <= 0) {
            break;
        }
        done += (size_t)put;
    }
    return done;
}

// ---- streams ------------------------------------------------------------------------------------

struct stream {
    int file;
    FILE *stream;
    struct stream *next;
};
static struct stream *stream_all; // those that are open

static ssize_t stream_read(void *cookie, char *bytes, size_t count) {
    const struct stream *s = cookie;
    ssize_t got;
    UNINTERRUPTED(got, read(s->file, bytes, count));
    return got;
}

static ssize_t stream_write(void *cookie, const char *bytes, size_t count) {
    const struct stream *s = cookie;
    return (ssize_t)file_write(s->file, bytes, count);
}

static int stream_seek(void *cookie, int64_t *offset, int from) {
    const struct stream *s = cookie;
    off_t at;
    UNINTERRUPTED(at, lseek(s->file, (off_t)*offset, from));
    *offset = at;
    return at < 0 ? -1 : 0;
}

static int stream_close(void *cookie) {
    struct stream *s = cookie, **link = &stream_all;
    while (*link != s) {
        link = &(*link)->next;
    }
    *link = s->next;
    int failed = close(s->file) && errno != EINTR; // it is closed all the same
    free(s);
    return failed ? -1 : 0;
}

FILE *stream_on(int file, const char *mode) {
    struct stream *s = allocate(1, sizeof *s, "a stream");
    FILE *stream = fopencookie(s, mode,
                               (cookie_io_functions_t){.read = stream_read,
                                                       .write = stream_write,
                                                       .seek = stream_seek,
                                                       .close = stream_close});
    if (!stream) {
        free(s);
        errno = ENOMEM;
        return NULL;
    }
    *s = (struct stream){file, stream, stream_all};
    stream_all = s;
    return stream;
}

FILE *stream_open(const char *path, const char *mode) {
    const bool more = strchr(mode, '+') != NULL;
    const int flags = *mode == 'r'   ? 0
                      : *mode == 'a' ? O_CREAT | O_APPEND
                                     : O_CREAT | (strchr(mode, 'x') ? O_EXCL : O_TRUNC);
    const int way = more ? O_RDWR : *mode == 'r' ? O_RDONLY : O_WRONLY;
    int file = file_open(path, way | flags, NULL);
    FILE *stream = file >= 0 ? stream_on(file, mode) : NULL;
    if (file >= 0 && !stream) {
        close(file);
        errno = ENOMEM;
    }
    return stream;
}

int stream_file(FILE *stream) {
    for (const struct stream *s = stream_all; s; s = s->next) {
        if (s->stream == stream) {
            return s->file;
        }
    }
    return fileno(stream);
}

void stream_stdout(void) {
#ifdef __GLIBC__ // elsewhere stdout cannot be another stream
    FILE *stream = stream_on(STDOUT_FILENO, "w");
    if (stream) {
        setvbuf(stream, NULL, isatty(STDOUT_FILENO) ? _IOLBF : _IOFBF, BUFSIZ);
        stdout = stream;
    }
#endif
}
