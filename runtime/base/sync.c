// sync.c: makes what was written survive a power cut: a file's bytes, and apart from them the names
// in a folder. Needs only libc, since the sampler links it.
#include "runtime/base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// What cannot be synced, as a pipe or a folder of some file systems, gives EINVAL.
static bool sync_file(int file) {
    int done;
    UNINTERRUPTED(done, fsync(file));
    return done == 0 || errno == EINVAL;
}

bool sync_stream(FILE *stream) {
    return fflush(stream) == 0 && sync_file(stream_file(stream));
}

bool sync_names(const char *path) {
    const char *slash = strrchr(path, '/');
    char *folder = slash ? allocate_copy(path, (size_t)(slash - path) + 1, "a path")
                         : allocate_copy(".", 1, "a path");
    int file = file_open(folder, O_RDONLY | O_DIRECTORY, NULL);
    free(folder);
    if (file < 0) {
        return false;
    }
    bool good = sync_file(file);
    int reason = errno;
    close(file);
    errno = reason;
    return good;
}
