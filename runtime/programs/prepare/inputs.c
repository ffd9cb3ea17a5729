// inputs.c: the files that a data set of documents is made of, and their units.
#include "runtime/programs/prepare/inputs.h"
#include "runtime/base/base.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    INPUTS_DEPTH_MAX = 64,   // folders within folders
    INPUTS_IN_A_UNIT = 4096, // files at most
};

// ---- files --------------------------------------------------------------------------------------

static bool inputs_ends(const char *path, const char *ending) {
    const size_t length = strlen(path), wanted = strlen(ending);
    return length > wanted && !strcmp(path + length - wanted, ending);
}

// Files that are published so and hold no text before they are converted.
static void inputs_check_name(const char *path) {
    static const char *const packed[] = {".gz", ".zst", ".xz", ".bz2", ".zip", ".parquet"};
    for (size_t i = 0; i < sizeof packed / sizeof *packed; i++) {
        if (inputs_ends(path, packed[i])) {
            die(EXIT_DATA, "%s: is %s; JSON lines or texts are wanted (data/README.md says how)",
                path, i == 5 ? "a table in Parquet's format" : "compressed");
        }
    }
}

static void inputs_add(struct prepare_inputs *inputs, const char *path, const struct stat *status) {
    const size_t n = inputs->files;
    if ((n & (n - 1)) == 0) { // at each power of two the array is full
        inputs->file = allocate_again(inputs->file, (n ? 2 * n : 1) * sizeof *inputs->file,
                                      "the list of documents");
    }
    inputs->file[inputs->files++] = (struct prepare_input){
        .path = allocate_copy(path, strlen(path), "a path"),
        .bytes = (uint64_t)status->st_size,
        .changed = status->st_mtim,
        .lines = inputs_ends(path, ".jsonl"),
    };
    inputs->bytes += (uint64_t)status->st_size;
}

static _Noreturn void inputs_unreadable(const char *path) {
    die(errno == ENOENT || errno == ENOTDIR ? EXIT_MISSING : exit_code_of(errno),
        "%s: cannot read: %s", path, strerror(errno));
}

static void inputs_walk(struct prepare_inputs *inputs, const char *folder, int depth) {
    if (depth > INPUTS_DEPTH_MAX) {
        die(EXIT_DATA, "%s: has more than %d folders above it; put the documents elsewhere", folder,
            INPUTS_DEPTH_MAX);
    }
    DIR *dir;
    do {
        dir = opendir(folder);
    } while (!dir && errno == EINTR);
    if (!dir) {
        inputs_unreadable(folder);
    }
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (!entry && errno == EINTR) {
            continue;
        }
        if (!entry && errno) {
            inputs_unreadable(folder);
        }
        if (!entry) {
            break;
        }
        if (entry->d_name[0] == '.') {
            continue;
        }
        char *path = allocate_print("a path", "%s/%s", folder, entry->d_name);
        struct stat status, link;
        int failed;
        UNINTERRUPTED(failed, stat(path, &status));
        if (!failed) {
            UNINTERRUPTED(failed, lstat(path, &link));
        }
        if (failed) {
            inputs_unreadable(path);
        }
        if (S_ISDIR(status.st_mode) && S_ISLNK(link.st_mode)) {
            die(EXIT_DATA,
                "%s: is a link to a folder, which is not followed; move the folder there, or "
                "remove the link",
                path);
        }
        if (S_ISDIR(status.st_mode)) {
            inputs_walk(inputs, path, depth + 1);
        } else if (S_ISREG(status.st_mode)) {
            inputs_check_name(path);
            inputs_add(inputs, path, &status);
        } else {
            die(EXIT_DATA, "%s: is not a regular file; move it elsewhere", path);
        }
        free(path);
    }
    closedir(dir);
}

static int inputs_compare(const void *a, const void *b) {
    const struct prepare_input *x = a, *y = b;
    return strcmp(x->path, y->path);
}

// ---- units --------------------------------------------------------------------------------------

static void inputs_add_unit(struct prepare_inputs *inputs, struct prepare_unit unit) {
    const size_t n = inputs->units;
    if ((n & (n - 1)) == 0) {
        inputs->unit = allocate_again(inputs->unit, (n ? 2 * n : 1) * sizeof *inputs->unit,
                                      "the list of documents' parts");
    }
    inputs->unit[inputs->units++] = unit;
}

static void inputs_divide(struct prepare_inputs *inputs, uint64_t unit_bytes) {
    for (size_t at = 0; at < inputs->files;) {
        const uint64_t bytes = inputs->file[at].bytes;
        if (bytes > unit_bytes) {
            for (uint64_t from = 0; from < bytes; from += unit_bytes) {
                const uint64_t left = bytes - from,
                               to = from + (left < unit_bytes ? left : unit_bytes);
                inputs_add_unit(inputs, (struct prepare_unit){at, 1, from, to});
            }
            at++;
            continue;
        }
        struct prepare_unit unit = {.file = at, .to = bytes};
        uint64_t sum = 0;
        while (at < inputs->files && sum < unit_bytes && at - unit.file < INPUTS_IN_A_UNIT &&
               inputs->file[at].bytes <= unit_bytes) {
            sum += inputs->file[at++].bytes;
        }
        unit.files = at - unit.file;
        inputs_add_unit(inputs, unit);
    }
}

// ---- both ---------------------------------------------------------------------------------------

void prepare_list(struct prepare_inputs *inputs, const char *path, uint64_t unit_bytes) {
    *inputs = (struct prepare_inputs){.unit_bytes = unit_bytes};
    struct stat status;
    int failed;
    UNINTERRUPTED(failed, stat(path, &status));
    if (failed) {
        inputs_unreadable(path);
    }
    if (S_ISDIR(status.st_mode)) {
        char *folder = allocate_copy(path, strlen(path), "a path");
        for (size_t end = strlen(folder); end > 1 && folder[end - 1] == '/';) {
            folder[--end] = 0;
        }
        inputs_walk(inputs, folder, 0);
        free(folder);
    } else if (S_ISREG(status.st_mode) && inputs_ends(path, ".jsonl")) {
        inputs_add(inputs, path, &status);
    } else {
        die(EXIT_DATA, "%s: is neither a folder of documents nor a file of JSON lines, .jsonl",
            path);
    }
    if (inputs->bytes == 0) {
        die(EXIT_DATA, "%s: holds no documents; texts, or files of JSON lines, .jsonl, are wanted",
            path);
    }
    qsort(inputs->file, inputs->files, sizeof *inputs->file, inputs_compare);
    inputs_divide(inputs, unit_bytes);
}

void prepare_unlist(struct prepare_inputs *inputs) {
    for (size_t i = 0; i < inputs->files; i++) {
        free(inputs->file[i].path);
    }
    free(inputs->file);
    free(inputs->unit);
}
