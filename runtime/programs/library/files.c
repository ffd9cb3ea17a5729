// files.c: in the place of files/mapped.c: a checkpoint is read into memory, not mapped. A mapped
// file that another program makes shorter ends the process, or needs a signal's handler, which is
// not for a library to set.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE // for MADV_HUGEPAGE
#endif
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/programs/library/model.h"

enum { FILES_PAGE = 4096, FILES_LARGE_PAGE = 2 << 20 };

const void *mapped_open(int file, size_t length, const char *path) {
    void *bytes;
    const size_t page = length < FILES_LARGE_PAGE ? FILES_PAGE : FILES_LARGE_PAGE;
    if (posix_memalign(&bytes, page, length) != 0) {
        close(file);
        die(EXIT_MEMORY, "%s: no memory for its %zu bytes; end other programs", path, length);
    }
    madvise(bytes, length, MADV_HUGEPAGE);
    size_t done = 0;
    ssize_t got = 1;
    while (done < length && got > 0) {
        UNINTERRUPTED(got, read(file, (char *)bytes + done, length - done));
        done += got > 0 ? (size_t)got : 0;
    }
    const int reason = errno;
    close(file);
    if (done < length) {
        die(EXIT_IO, "%s: cannot read: %s", path,
            got < 0 ? strerror(reason) : "it became shorter meanwhile");
    }
    return bytes;
}

void mapped_forget(const void *bytes) {
    (void)bytes;
}

// Frees the bytes where a file is not opened after all, and were read by this call: those of a
// caller's stay. NAME_close frees them otherwise.
void mapped_close(const void *bytes) {
    if (trap_holds(bytes)) {
        free((void *)bytes);
    }
}
