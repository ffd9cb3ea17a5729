// new_folder.c: makes a folder of files that appears whole or not at all: it is filled under
// another name first.
#include "runtime/base/base.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *new_folder_path(const struct new_folder *folder, const char *name) {
    return allocate_print("a path", "%s/%s", folder->temporary, name);
}

// Removes the files and the folder, if they are there. What else is in it stays, and it too.
static bool new_folder_remove(const struct new_folder *folder) {
    for (int i = 0; i < folder->count; i++) {
        char *path = new_folder_path(folder, folder->names[i]);
        char *half = allocate_print("a path", "%s.tmp", path);
        unlink(path);
        unlink(half);
        free(half);
        free(path);
    }
    int failed;
    UNINTERRUPTED(failed, rmdir(folder->temporary));
    return !failed || errno == ENOENT;
}

static void new_folder_free(struct new_folder *folder) {
    const int reason = errno;
    free(folder->path);
    free(folder->temporary);
    *folder = (struct new_folder){0};
    errno = reason;
}

bool new_folder_begin(struct new_folder *folder, const char *path, const char *const *names,
                      int count) {
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') {
        length--;
    }
    *folder = (struct new_folder){
        .path = allocate_copy(path, length, "a path"), .names = names, .count = count};
    folder->temporary = allocate_print("a path", "%s.tmp", folder->path);
    // One that a killed program left is removed.
    int failed = -1;
    if (new_folder_remove(folder)) {
        UNINTERRUPTED(failed, mkdir(folder->temporary, 0777));
    }
    if (!failed) {
        return true;
    }
    new_folder_free(folder);
    return false;
}

bool new_folder_put(const struct new_folder *folder, const char *name, const char *text,
                    size_t length) {
    char *path = new_folder_path(folder, name);
    FILE *file = stream_open(path, "w");
    free(path);
    if (!file) {
        return false;
    }
    bool good = fwrite(text, 1, length, file) == length && sync_stream(file);
    const int reason = errno; // of the first call that failed
    if (fclose(file) && good) {
        return false;
    }
    errno = reason;
    return good;
}

bool new_folder_end(struct new_folder *folder) {
    char *inside = new_folder_path(folder, "x");
    int done = -1;
    const bool synced = sync_names(inside);
    free(inside);
    if (synced) {
        UNINTERRUPTED(done, rename(folder->temporary, folder->path));
    }
    if (done != 0) {
        new_folder_drop(folder);
        return false;
    }
    const bool good = sync_names(folder->path);
    new_folder_free(folder);
    return good;
}

void new_folder_drop(struct new_folder *folder) {
    const int reason = errno;
    new_folder_remove(folder);
    errno = reason;
    new_folder_free(folder);
}
