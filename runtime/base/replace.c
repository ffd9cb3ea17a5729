// replace.c: replaces a small file atomically: a reader finds either the old one or the new one,
// whole. Needs only libc, since the sampler links it.
#include "runtime/base/base.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static _Noreturn void replace_fail(const struct replacement *r, int reason) {
    if (r->file) {
        unlink(r->temporary);
    }
    die(exit_code_of(reason), "%s: cannot write: %s; free space or name another path", r->path,
        strerror(reason));
}

void replace_begin(struct replacement *r, const char *path) {
    struct stat status;
    if (path_is_taken(path) && !lstat(path, &status) && !S_ISREG(status.st_mode)) {
        die(EXIT_IO, "%s: is not a regular file, so it is not replaced; name another path", path);
    }
    *r = (struct replacement){.path = allocate_copy(path, strlen(path), "a path"),
                              .temporary = allocate_print("a path", "%s.tmp", path)};
    r->file = stream_open(r->temporary, "w");
    if (!r->file) {
        replace_fail(r, errno);
    }
}

void replace_end(struct replacement *r) {
    bool good = !ferror(r->file) && sync_stream(r->file);
    int reason = errno ? errno : EIO; // of the first call that failed
    if (fclose(r->file) && good) {
        good = false;
        reason = errno;
    }
    if (good) {
        int done;
        UNINTERRUPTED(done, rename(r->temporary, r->path));
        good = done == 0;
        reason = errno;
    }
    if (!good) {
        replace_fail(r, reason);
    }
    if (!sync_names(r->path)) {
        die(exit_code_of(errno), "%s: is written, but its folder cannot be synced: %s", r->path,
            strerror(errno));
    }
    free(r->path);
    free(r->temporary);
    *r = (struct replacement){0};
}
