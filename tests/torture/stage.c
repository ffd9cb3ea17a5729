// stage.c: see stage.h.
#define _GNU_SOURCE
#include "tests/torture/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { STAGE_SECONDS = 120 }; // for one run, on a machine that others keep busy

void stage_die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(70);
}

static char *stage_slurp(int fd, size_t *length) {
    struct stat status;
    if (fd < 0 || fstat(fd, &status)) {
        stage_die("cannot read a file: %s", strerror(errno));
    }
    char *bytes = malloc((size_t)status.st_size + 1);
    ssize_t got = pread(fd, bytes, (size_t)status.st_size, 0);
    *length = got < 0 ? 0 : (size_t)got;
    bytes[*length] = 0;
    return bytes;
}

// ---- folders ------------------------------------------------------------------------------------

static struct files *walk_into; // of the walk that runs
static size_t walk_skip;        // bytes of the folder's path and its slash

static int walk_file(const char *path, const struct stat *status, int kind, struct FTW *place) {
    (void)status, (void)place;
    if (kind == FTW_F) {
        struct file file = {0};
        snprintf(file.path, sizeof file.path, "%s", path + walk_skip);
        int fd = open(path, O_RDONLY);
        file.bytes = stage_slurp(fd, &file.length);
        close(fd);
        walk_into->file =
            realloc(walk_into->file, (size_t)(walk_into->count + 1) * sizeof *walk_into->file);
        walk_into->file[walk_into->count++] = file;
    }
    return 0;
}

struct files stage_read(const char *folder) {
    struct files files = {0};
    walk_into = &files;
    walk_skip = strlen(folder) + 1;
    if (nftw(folder, walk_file, 16, FTW_PHYS)) {
        stage_die("%s: cannot read this folder: %s", folder, strerror(errno));
    }
    return files;
}

void stage_free(struct files *files) {
    for (int i = 0; i < files->count; i++) {
        free(files->file[i].bytes);
    }
    free(files->file);
    *files = (struct files){0};
}

struct file *stage_find(const struct files *files, const char *path) {
    for (int i = 0; i < files->count; i++) {
        if (!strcmp(files->file[i].path, path)) {
            return &files->file[i];
        }
    }
    return NULL;
}

static char stage_folder[512];

static int walk_remove(const char *path, const struct stat *status, int kind, struct FTW *place) {
    (void)status, (void)kind;
    return place->level > 0 && remove(path);
}

static void stage_close(void) {
    nftw(stage_folder, walk_remove, 16, FTW_PHYS | FTW_DEPTH);
    rmdir(stage_folder);
}

void stage_open(void) {
    const char *base = getenv("TMPDIR");
    snprintf(stage_folder, sizeof stage_folder, "%s/torture-XXXXXX",
             base && *base              ? base
             : access("/dev/shm", W_OK) ? "/tmp"
                                        : "/dev/shm");
    if (!mkdtemp(stage_folder) || chdir(stage_folder)) {
        stage_die("%s: cannot make this folder: %s", stage_folder, strerror(errno));
    }
    atexit(stage_close);
}

void stage_set(const struct files *files) {
    nftw(".", walk_remove, 16, FTW_PHYS | FTW_DEPTH);
    for (int i = 0; i < files->count; i++) {
        const struct file *file = &files->file[i];
        char above[256];
        for (const char *slash = file->path; (slash = strchr(slash, '/')); slash++) {
            snprintf(above, sizeof above, "%.*s", (int)(slash - file->path), file->path);
            mkdir(above, 0777);
        }
        int fd = open(file->path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
        if (fd < 0 || write(fd, file->bytes, file->length) != (ssize_t)file->length || close(fd)) {
            stage_die("%s: cannot write: %s", file->path, strerror(errno));
        }
    }
}

// ---- running ------------------------------------------------------------------------------------

static void stage_too_long(int number) {
    (void)number; // interrupts waitpid()
}

struct ending stage_run(char *const argv[]) {
    struct ending ending = {.code = -1};
    struct sigaction action = {.sa_handler = stage_too_long};
    sigaction(SIGALRM, &action, NULL);
    int out = memfd_create("out", MFD_CLOEXEC), err = memfd_create("err", MFD_CLOEXEC);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out, 1);
    posix_spawn_file_actions_adddup2(&actions, err, 2);
    pid_t child;
    int reason = posix_spawnp(&child, argv[0], &actions, NULL, argv, environ), status;
    posix_spawn_file_actions_destroy(&actions);
    if (reason) {
        stage_die("%s: cannot run it: %s", argv[0], strerror(reason));
    }
    alarm(STAGE_SECONDS);
    bool ended = waitpid(child, &status, 0) == child;
    alarm(0);
    if (!ended) {
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
        snprintf(ending.how, sizeof ending.how, "no end after %d s", STAGE_SECONDS);
    } else if (WIFSIGNALED(status)) {
        snprintf(ending.how, sizeof ending.how, "signal %d", WTERMSIG(status));
    } else {
        ending.code = WEXITSTATUS(status);
        snprintf(ending.how, sizeof ending.how, "exit code %d", ending.code);
    }
    ending.out = stage_slurp(out, &ending.out_length);
    ending.err = stage_slurp(err, &ending.err_length);
    close(out);
    close(err);
    return ending;
}

void stage_ended(struct ending *ending) {
    free(ending->out);
    free(ending->err);
}

// ---- what a run left ----------------------------------------------------------------------------

// Removes the value that follows each `key`, up to a comma, a brace or, if it begins with a quote,
// the next one.
static size_t stage_cut(char *text, size_t length, const char *key) {
    const size_t size = strlen(key);
    for (size_t at = 0; at + size < length; at++) {
        if (!memcmp(text + at, key, size)) {
            size_t from = at + size, to = from;
            if (text[to] == '"') {
                for (to++; to < length && text[to] != '"'; to++) {
                }
            } else {
                while (to < length && text[to] != ',' && text[to] != '}') {
                    to++;
                }
            }
            memmove(text + from, text + to, length - to);
            length -= to - from;
        }
    }
    return length;
}

char *stage_result(const struct wanted *wanted, const struct ending *ending, size_t *length) {
    static const char *const timed[] = {"\"ms\":", "\"tokens_per_s\":", "\"mfu\":"};
    static const char *const logged[] = {"\"log_lines\":", "\"xxh3\":"};
    struct files files = stage_read(".");
    char *text = NULL;
    FILE *all = open_memstream(&text, length);
    for (int i = 0; i < wanted->count; i++) {
        struct file *file = stage_find(&files, wanted->path[i]);
        fprintf(all, "%s: ", wanted->path[i]);
        if (!file) {
            fputs("none\n", all);
            continue;
        }
        const bool log = strstr(file->path, ".jsonl") != NULL;
        for (int k = 0; log && k < 3; k++) {
            file->length = stage_cut(file->bytes, file->length, timed[k]);
        }
        for (int k = 0; !log && wanted->loose && k < 2; k++) {
            file->length = stage_cut(file->bytes, file->length, logged[k]);
        }
        fwrite(file->bytes, 1, file->length, all);
    }
    if (wanted->out) {
        fwrite(ending->out, 1, ending->out_length, all);
    }
    fclose(all);
    stage_free(&files);
    return text;
}

static bool stage_is_lock(const char *path) {
    const char *slash = strrchr(path, '/');
    return !strcmp(slash ? slash + 1 : path, "lock");
}

bool stage_is(const struct files *files, char why[512]) {
    struct files now = stage_read(".");
    *why = 0;
    for (int i = 0; i < now.count && !*why; i++) {
        const struct file *is = &now.file[i], *was = stage_find(files, is->path);
        if (!stage_is_lock(is->path) &&
            (!was || was->length != is->length || memcmp(was->bytes, is->bytes, is->length))) {
            snprintf(why, 512, "%s is %s", is->path, was ? "changed" : "new");
        }
    }
    for (int i = 0; i < files->count && !*why; i++) {
        if (!stage_find(&now, files->file[i].path)) {
            snprintf(why, 512, "%s is gone", files->file[i].path);
        }
    }
    stage_free(&now);
    return !*why;
}

bool stage_one_line(const struct ending *ending, const char *word, char why[512]) {
    const char *end = memchr(ending->err, '\n', ending->err_length);
    if (!end || end + 1 != ending->err + ending->err_length) {
        snprintf(why, 512, "not one line on stderr: %.400s", ending->err);
        return false;
    }
    if (!strstr(ending->err, word)) {
        snprintf(why, 512, "stderr does not name %s: %.400s", word, ending->err);
        return false;
    }
    return true;
}

uint64_t stage_random(uint64_t seed, uint64_t counter, uint64_t bound) {
    uint64_t x = seed * 0x9e3779b97f4a7c15u + (counter + 1) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return (x ^ x >> 31) % bound;
}

const char *stage_flag(const char *argument, const char *name) {
    size_t length = strlen(name);
    bool is = !strncmp(argument, "--", 2) && !strncmp(argument + 2, name, length) &&
              argument[2 + length] == '=';
    return is ? argument + 2 + length + 1 : NULL;
}
