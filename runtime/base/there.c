// there.c: whether something is at a path. Where that cannot be seen, as on a disk that fails or in
// a folder without the right to look, the answer is not "no". Needs only libc.
#include "runtime/base/base.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool there(int failed, const char *path) {
    if (failed && errno != ENOENT && errno != ENOTDIR) {
        die(exit_code_of(errno),
            "%s: cannot be looked at: %s; free its folder's rights, or take "
            "another folder",
            path, strerror(errno));
    }
    return !failed;
}

bool path_is_there(const char *path) {
    int failed;
    UNINTERRUPTED(failed, access(path, F_OK));
    return there(failed, path);
}

bool path_is_taken(const char *path) {
    struct stat status;
    int failed;
    UNINTERRUPTED(failed, lstat(path, &status));
    return there(failed, path);
}
