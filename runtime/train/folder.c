// folder.c: the paths of a run's files, and the lock that gives the folder to one process.
#include "runtime/train/train.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

// Concatenates a, b and c. The caller frees.
static char *folder_join(const char *a, const char *b, const char *c) {
    return allocate_print("a path", "%s%s%s", a, b, c);
}

void folder_name(struct folder *folder, const struct run *run) {
    bool own_out = *run->out_dir;
    folder->out = folder_join(own_out ? "" : "out/", own_out ? run->out_dir : run_config_name, "");
    folder->data = folder_join(*run->data_dir ? run->data_dir : "data", "/", run->dataset);
    folder->ckpt = folder_join(folder->out, "/ckpt", ".safetensors");
    folder->state = folder_join(folder->out, "/state", ".safetensors");
    folder->metrics = folder_join(folder->out, "/metrics", ".jsonl");
    folder->run_json = folder_join(folder->out, "/run", ".json");
    folder->steps_csv = folder_join(folder->out, "/metrics", ".csv");
    folder->evaluations_csv = folder_join(folder->out, "/evaluations", ".csv");
    folder->report = folder_join(folder->out, "/report", ".html");
}

void folder_free(struct folder *folder) {
    free(folder->out);
    free(folder->data);
    free(folder->ckpt);
    free(folder->state);
    free(folder->metrics);
    free(folder->run_json);
    free(folder->steps_csv);
    free(folder->evaluations_csv);
    free(folder->report);
}

static _Noreturn void folder_fail(const char *path, const char *what) {
    die(exit_code_of(errno), "%s: %s: %s; name another folder with --out_dir", path, what,
        strerror(errno));
}

// Makes a folder and its parents, whose names then survive a power cut; also of those that another
// program has just made, as far as this one may.
static void folder_make(const char *path) {
    char *part = folder_join(path, "", "");
    for (char *c = part + 1;; c++) {
        if (*c == '/' || *c == 0) {
            char end = *c;
            *c = 0;
            int failed;
            UNINTERRUPTED(failed, mkdir(part, 0777));
            bool made = !failed;
            if (!made && errno != EEXIST) {
                folder_fail(part, "cannot make this folder");
            }
            if (!sync_names(part) && made && errno != EACCES) {
                folder_fail(part, "cannot sync the folder above");
            }
            *c = end;
            if (!end) {
                break;
            }
        }
    }
    free(part);
}

void folder_lock(const struct folder *folder) {
    folder_make(folder->out);
    char *path = folder_join(folder->out, "/lock", "");
    int lock = file_open(path, O_RDWR | O_CREAT, NULL), failed;
    if (lock < 0) {
        folder_fail(path, "cannot open the lock");
    }
    char pid[16] = "";
    UNINTERRUPTED(failed, flock(lock, LOCK_EX | LOCK_NB));
    if (failed) {
        if (errno != EWOULDBLOCK) {
            folder_fail(path, "cannot lock");
        }
        ssize_t length = read(lock, pid, sizeof pid - 1);
        pid[length > 0 ? strspn(pid, "0123456789") : 0] = 0;
        die(EXIT_IO,
            "%s: process %s trains in this folder; wait for its end or take another folder with "
            "NAME=... or --out_dir",
            folder->out, *pid ? pid : "(unknown)");
    }
    // the descriptor stays open, so that the lock is held until the process ends, however it does
    const size_t length = (size_t)snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    UNINTERRUPTED(failed, ftruncate(lock, 0));
    if (failed || file_write(lock, pid, length) < length) {
        folder_fail(path, "cannot write");
    }
    free(path);

    const char *const written[] = {folder->ckpt,    folder->state,     folder->run_json,
                                   folder->metrics, folder->steps_csv, folder->evaluations_csv};
    for (size_t i = 0; i < sizeof written / sizeof written[0]; i++) {
        char *half = folder_join(written[i], ".tmp", "");
        unlink(half);
        free(half);
    }
}

// The new name of a file that is set aside: NAME.WHY.EXT, or NAME.WHY.SET.EXT if set > 1.
static char *folder_aside(const char *path, const char *why, int set) {
    const char *dot = strrchr(path, '.');
    const int stem = (int)(dot - path);
    return set > 1 ? allocate_print("a path", "%.*s.%s.%d%s", stem, path, why, set, dot)
                   : allocate_print("a path", "%.*s.%s%s", stem, path, why, dot);
}

static void folder_sync(const char *path) {
    if (!sync_names(path)) {
        folder_fail(path, "cannot sync its folder");
    }
}

char *folder_keep_aside(const char *path) {
    struct stat own, taken;
    int failed;
    UNINTERRUPTED(failed, lstat(path, &own));
    if (failed) {
        if (errno != ENOENT) {
            folder_fail(path, "cannot look at it");
        }
        return NULL;
    }
    char *aside = folder_aside(path, "damaged", 1);
    for (int set = 2; path_is_taken(aside); set++) {
        if (!lstat(aside, &taken) && taken.st_dev == own.st_dev && taken.st_ino == own.st_ino) {
            return aside; // a process that was killed behind link()
        }
        free(aside);
        aside = folder_aside(path, "damaged", set);
    }
    // Some file systems have no second names, and a link cannot be replaced as a file can.
    failed = -1;
    if (S_ISREG(own.st_mode)) {
        UNINTERRUPTED(failed, link(path, aside));
    }
    if (failed) {
        UNINTERRUPTED(failed, rename(path, aside));
    }
    if (failed) {
        folder_fail(path, "cannot rename it");
    }
    folder_sync(aside);
    return aside;
}

enum { FOLDER_FILES = 7 };
static void folder_files(const struct folder *folder, const char *path[FOLDER_FILES]) {
    const char *const files[FOLDER_FILES] = {folder->state,     folder->ckpt,
                                             folder->metrics,   folder->run_json,
                                             folder->steps_csv, folder->evaluations_csv,
                                             folder->report};
    memcpy(path, files, sizeof files);
}

static bool folder_has_set(const struct folder *folder, int set) {
    const char *path[FOLDER_FILES];
    folder_files(folder, path);
    bool has = tensorboard_has_set(folder->out, set);
    for (int i = 0; i < FOLDER_FILES && !has; i++) {
        char *previous = folder_aside(path[i], "previous", set);
        has = path_is_taken(previous);
        free(previous);
    }
    return has;
}

void folder_set_aside(const struct folder *folder) {
    const char *path[FOLDER_FILES];
    int set = 1;
    while (folder_has_set(folder, set)) {
        set++;
    }
    folder_files(folder, path);
    for (int i = 0; i < FOLDER_FILES; i++) {
        char *previous = folder_aside(path[i], "previous", set);
        int failed;
        UNINTERRUPTED(failed, rename(path[i], previous));
        if (!failed) {
            printf("%s: of the run before; now %s\n", path[i], previous);
        } else if (errno != ENOENT) {
            folder_fail(path[i], "cannot rename this file of the run before");
        }
        free(previous);
    }
    tensorboard_set_aside(folder->out, set);
    if (folder_has_set(folder, set)) {
        folder_sync(folder->state); // before the new run's files take these names
    }
}
