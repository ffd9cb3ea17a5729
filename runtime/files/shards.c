// shards.c: a model that is stored in several safetensors files, as Hugging Face cuts large ones:
// NAME.safetensors.index.json says which file of the same folder has which tensor.
//
//     {"metadata": {...},
//      "weight_map": {"h.0.ln_1.weight": "model-00001-of-00002.safetensors", ...}}
//
// The files must hold exactly the tensors that the index says.
#include "runtime/files/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    SHARDS_INDEX_MAX = 64 << 20, // bytes
    SHARDS_MOST = 1024,          // files
};

struct shards {
    struct safetensors *whole;
    char **name; // of each file that is open, as the index writes it
    struct json *json;
    int map; // the value of weight_map
    char *error;
    enum exit_code *code;
};

static bool shards_fail(struct shards *s, enum exit_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static bool shards_fail(struct shards *s, enum exit_code code, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(s->error, SAFETENSORS_ERROR, format, arguments);
    va_end(arguments);
    *s->code = code;
    return false;
}

bool shards_is_index(const char *path) {
    static const char end[] = ".index.json";
    const size_t length = strlen(path), tail = sizeof end - 1;
    return length > tail && !strcmp(path + length - tail, end);
}

// Maps the index and parses it. *text is to be closed with mapped_close.
static bool shards_read_index(struct shards *s, const void **text) {
    const char *path = s->whole->path, *problem;
    struct stat status;
    int file = file_open(path, O_RDONLY, &status);
    if (file < 0) {
        const bool missing = errno == ENOENT || errno == ENOTDIR;
        shards_fail(s, missing ? EXIT_MISSING : exit_code_of(errno), "%s: cannot open: %s", path,
                    strerror(errno));
        return false;
    }
    if (!S_ISREG(status.st_mode) || status.st_size < 2 || status.st_size > SHARDS_INDEX_MAX) {
        close(file);
        return shards_fail(
            s, EXIT_DATA,
            "%s: is not a file of 2 bytes to 64 MiB; the index of a model's files is "
            "wanted",
            path);
    }
    *text = mapped_open(file, (size_t)status.st_size, path);
    s->json = json_parse(*text, (size_t)status.st_size, &problem);
    if (!s->json) {
        return shards_fail(s, EXIT_DATA, "%s: is %s", path, problem);
    }
    s->map = json_is_object(s->json, 0) ? json_get(s->json, 0, "weight_map") : -1;
    if (s->map < 0 || !json_is_object(s->json, s->map) || json_count(s->json, s->map) == 0) {
        return shards_fail(s, EXIT_DATA,
                           "%s: has no weight_map of tensors to files; the index of a model's "
                           "files is wanted",
                           path);
    }
    return true;
}

// Moves an open file's tensors to the whole; its mapping stays where they point.
static void shards_move(struct safetensors *whole, struct safetensors *shard) {
    const size_t count = (size_t)whole->count + (size_t)shard->count;
    whole->tensors =
        allocate_again(whole->tensors, count * sizeof *whole->tensors, "a list of tensors");
    memcpy(whole->tensors + whole->count, shard->tensors,
           (size_t)shard->count * sizeof *shard->tensors);
    whole->count += shard->count;
    shard->count = 0; // safetensors_close frees the names once, with the whole
}

// Opens a file of the index, unless it is open. Its number, or -1.
static int shards_open_one(struct shards *s, const char *name) {
    struct safetensors *whole = s->whole;
    for (int i = 0; i < whole->shards; i++) {
        if (!strcmp(s->name[i], name)) {
            return i;
        }
    }
    if (strchr(name, '/') || !*name || *name == '.') {
        shards_fail(s, EXIT_DATA, "%s: names the file '%.100s'; one in the same folder is wanted",
                    whole->path, name);
        return -1;
    }
    if (whole->shards == SHARDS_MOST) {
        shards_fail(s, EXIT_DATA, "%s: names more than %d files", whole->path, SHARDS_MOST);
        return -1;
    }
    const char *slash = strrchr(whole->path, '/');
    char *path = allocate_print("a path", "%.*s%s", slash ? (int)(slash + 1 - whole->path) : 0,
                                whole->path, name);
    struct safetensors *shard = &whole->shard[whole->shards];
    const bool good = safetensors_open(shard, path, s->error, s->code);
    free(path);
    if (!good) {
        return -1;
    }
    s->name[whole->shards] = allocate_copy(name, strlen(name), "a file's name");
    return whole->shards++;
}

// Opens the files and checks that each has the tensors that the index says, and no others.
static bool shards_open_all(struct shards *s) {
    int counts[SHARDS_MOST] = {0};
    const int tensors = json_count(s->json, s->map);
    for (int i = 0; i < tensors; i++) {
        int value;
        char *tensor = json_string(s->json, json_member(s->json, s->map, i, &value));
        char *name = json_string(s->json, value);
        int at = -1;
        if (!tensor || !name) {
            shards_fail(s, EXIT_DATA,
                        "%s: weight_map's entry %d is not a tensor's and a file's name",
                        s->whole->path, i + 1);
        } else {
            at = shards_open_one(s, name);
        }
        if (at >= 0 && !safetensors_find(&s->whole->shard[at], tensor)) {
            shards_fail(s, EXIT_DATA,
                        "%s: says that %.100s has %.100s, which it has not; take "
                        "both from one place",
                        s->whole->path, name, tensor);
            at = -1;
        }
        free(tensor);
        free(name);
        if (at < 0) {
            return false;
        }
        counts[at]++;
    }
    for (int i = 0; i < s->whole->shards; i++) {
        if (counts[i] != s->whole->shard[i].count) {
            return shards_fail(s, EXIT_DATA,
                               "%s: has %d tensors, of which %s names %d; take both "
                               "from one place",
                               s->whole->shard[i].path, s->whole->shard[i].count, s->whole->path,
                               counts[i]);
        }
    }
    return true;
}

bool shards_open(struct safetensors *whole, const char *path, char error[512],
                 enum exit_code *code) {
    if (!shards_is_index(path)) {
        return safetensors_open(whole, path, error, code);
    }
    *whole = (struct safetensors){
        .path = allocate_copy(path, strlen(path), "a path"),
        .shard = allocate(SHARDS_MOST, sizeof *whole->shard, "a list of files"),
    };
    struct shards s = {.whole = whole, .error = error, .code = code};
    s.name = allocate(SHARDS_MOST, sizeof *s.name, "a list of files");
    const void *text = NULL;
    const bool good = shards_read_index(&s, &text) && shards_open_all(&s);
    for (int i = 0; i < whole->shards; i++) {
        free(s.name[i]);
        if (good) {
            shards_move(whole, &whole->shard[i]);
        }
    }
    free(s.name);
    json_free(s.json);
    if (text) {
        mapped_close(text);
    }
    if (!good) {
        safetensors_close(whole);
    }
    return good;
}
