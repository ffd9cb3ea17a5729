// output.c: the files of a data set while they are made, and the tokens that are there already.
#include "runtime/programs/prepare/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// ---- temporary names ----------------------------------------------------------------------------

struct prepare_file prepare_files[PREPARE_FILES];

void prepare_remove(void) {
    for (int i = 0; i < PREPARE_FILES; i++) {
        if (prepare_files[i].temporary) {
            unlink(prepare_files[i].temporary);
        }
    }
}

_Noreturn void prepare_cannot_write(const struct prepare_file *file) {
    die(exit_code_of(errno), "%s: cannot write: %s", file->path, strerror(errno));
}

void prepare_remove_one(struct prepare_file *file) {
    int failed;
    UNINTERRUPTED(failed, unlink(file->temporary));
    if (failed) {
        prepare_cannot_write(file);
    }
    fclose(file->stream);
    free(file->temporary);
    file->temporary = NULL;
}

struct prepare_file *prepare_create(int i, const char *dir, const char *name) {
    struct prepare_file *file = &prepare_files[i];
    file->path = allocate_print("a path", "%s/%s", dir, name);
    file->temporary = allocate_print("a path", "%s.tmp", file->path);
    file->stream = stream_open(file->temporary, "w");
    if (!file->stream) {
        prepare_cannot_write(file);
    }
    return file;
}

void prepare_finish(struct prepare_file *file) {
    if (!sync_stream(file->stream) || fclose(file->stream) != 0) {
        prepare_cannot_write(file);
    }
}

static void prepare_sync_names(const struct prepare_file *file) {
    if (!sync_names(file->path)) {
        prepare_cannot_write(file);
    }
}

// Token files first, then meta.json. Also after a power cut none of them has its name before
// meta.json.tmp has, which says that they were made here. If one cannot be renamed, those before it
// have their names already: then meta.json.tmp stays (prepare_stated).
void prepare_rename(void) {
    struct prepare_file *meta = &prepare_files[PREPARE_META];
    bool some = false;
    prepare_sync_names(meta);
    for (int i = 0; i <= PREPARE_META; i++) {
        const struct prepare_file *file = &prepare_files[i];
        int failed = 0;
        if (file->temporary) {
            UNINTERRUPTED(failed, rename(file->temporary, file->path));
        }
        if (failed) {
            if (some) {
                meta->temporary = NULL; // prepare_remove then keeps it
            }
            prepare_cannot_write(file);
        }
        some = some || file->temporary;
    }
    prepare_sync_names(meta);
}

// ---- meta.json ----------------------------------------------------------------------------------

// Writes the hashes of both token files and of the data set (hash_data) to meta.json.
static void prepare_hashes(const struct prepare_meta *meta, FILE *out) {
    static const char *const names[] = {"train", "val"};
    const uint64_t *counts = meta->tokens;
    const size_t width = tokens_width(tokens_are_wide(meta->tokenizer->vocab_size));
    char hash[2][17], all[17];
    for (int i = 0; i < 2; i++) {
        const char *path = meta->tokens_at[i];
        int file = file_open(path, O_RDONLY, NULL);
        if (file < 0 || !hash_file(file, width * counts[i], true, all) ||
            !hash_file(file, width * counts[i], false, hash[i])) {
            die(exit_code_of(errno), "%s: cannot read: %s", path,
                errno ? strerror(errno) : "it became shorter meanwhile");
        }
        close(file);
        fprintf(out, "  \"%s_xxh3\": \"%s\",\n", names[i], all);
        if (width * counts[i] > HASH_WHOLE) {
            fprintf(out, "  \"%s_blocks_xxh3\": \"%s\",\n", names[i], hash[i]);
        }
    }
    hash_data(meta->tokenizer->text, counts[0], counts[1], hash[0], hash[1], all);
    fprintf(out, "  \"xxh3\": \"%s\",\n", all);
}

void prepare_meta(const struct prepare_meta *meta, struct prepare_file *file) {
    FILE *out = file->stream;
    fprintf(out, "{\n  \"dataset\": \"%s\",\n", meta->name);
    fprintf(out, "  \"tokenizer\": \"%s\",\n", meta->tokenizer->text);
    fprintf(out, "  \"vocab_size\": %d,\n", meta->tokenizer->vocab_size);
    tokens_write_type(tokens_are_wide(meta->tokenizer->vocab_size), out);
    fprintf(out, "  \"train_tokens\": %llu,\n", (unsigned long long)meta->tokens[0]);
    fprintf(out, "  \"val_tokens\": %llu,\n", (unsigned long long)meta->tokens[1]);
    prepare_hashes(meta, out);
    fprintf(out, "%s}\n", meta->last);
    if (ferror(out)) {
        prepare_cannot_write(file);
    }
    prepare_finish(file);
}

// ---- existing tokens ----------------------------------------------------------------------------

const void *prepare_bytes(const char *path, size_t *length) {
    struct stat status;
    int fd = file_open(path, O_RDONLY, &status);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR)) {
        return NULL;
    }
    if (fd < 0) {
        die(exit_code_of(errno), "%s: cannot read: %s", path, strerror(errno));
    }
    if (!S_ISREG(status.st_mode)) {
        die(EXIT_DATA, "%s: is not a regular file", path);
    }
    *length = (size_t)status.st_size;
    return *length ? mapped_open(fd, *length, path) : "";
}

static const char *const prepare_stems[2] = {"train", "val"};

static struct prepare_stated prepare_stated(const char *out) {
    static const char *const keys[2] = {"train_tokens", "val_tokens"};
    struct prepare_stated stated = {{-1, -1}, false, false};
    char *path = allocate_print("a path", "%s/meta.json", out);
    char *half = allocate_print("a path", "%s.tmp", path);
    size_t length;
    const char *error, *text = prepare_bytes(path, &length);
    struct json *meta = text ? json_parse(text, length, &error) : NULL;
    if (!text) {
        stated.elsewhere = !path_is_there(half); // else ours, stopped before its last rename
    } else if (meta && json_is_object(meta, 0)) {
        for (int i = 0; i < 2; i++) {
            if (!json_integer(meta, json_get(meta, 0, keys[i]), &stated.tokens[i])) {
                stated.tokens[i] = -1;
            }
        }
        char *type = json_string(meta, json_get(meta, 0, "token_type"));
        stated.wide = type && !strcmp(type, "uint32");
        free(type);
        stated.elsewhere =
            json_get(meta, 0, "text_sha256") < 0 && json_get(meta, 0, "val_fraction") < 0;
    }
    json_free(meta);
    free(half);
    free(path);
    return stated;
}

// Renames a token file to the first free name of train.previous.bin, train.previous2.bin ...
static void prepare_set_aside(const char *path, const char *out, const char *stem) {
    char number[16] = "", *aside = NULL;
    for (int n = 2; !aside || path_is_taken(aside); n++) {
        free(aside);
        aside = allocate_print("a path", "%s/%s.previous%s.bin", out, stem, number);
        snprintf(number, sizeof number, "%d", n);
    }
    int failed;
    UNINTERRUPTED(failed, rename(path, aside));
    if (failed) {
        die(exit_code_of(errno), "%s: cannot be renamed to %s: %s", path, aside, strerror(errno));
    }
    printf("%s: is not what %s/meta.json says; now %s\n", path, out, aside);
    free(aside);
}

struct prepare_stated prepare_guard(const char *out) {
    // Its name is synced too, whoever made it, as far as the folder above may be read.
    int failed;
    UNINTERRUPTED(failed, mkdir(out, 0777));
    const bool made = !failed;
    if ((!made && errno != EEXIST) || (!sync_names(out) && made && errno != EACCES)) {
        die(exit_code_of(errno), "%s: cannot make the folder: %s", out, strerror(errno));
    }
    const struct prepare_stated stated = prepare_stated(out);
    for (int i = 0; i < 2; i++) {
        char *path = allocate_print("a path", "%s/%s.bin", out, prepare_stems[i]);
        if (stated.elsewhere && path_is_there(path)) {
            die(EXIT_USAGE,
                "%s: was not made here, and is not written over; move it away, or take another "
                "DATASET",
                path);
        }
        free(path);
    }
    return stated;
}

void prepare_keep(const char *out, const struct prepare_stated *stated) {
    for (int i = 0; i < 2; i++) {
        char *path = allocate_print("a path", "%s/%s.bin", out, prepare_stems[i]);
        struct stat status;
        if (path_is_taken(path) && !lstat(path, &status) &&
            status.st_size != (int64_t)tokens_width(stated->wide) * stated->tokens[i]) {
            prepare_set_aside(path, out, prepare_stems[i]);
        }
        free(path);
    }
}
