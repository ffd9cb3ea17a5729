// progress.c: what is saved of a data set of documents that is being made. The token files are
// synced before documents.json says that they hold something; what they hold beyond that is cut off
// by the next run. So whatever was lost, with the power too, is encoded again.
#include "runtime/programs/prepare/progress.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const progress_stems[2] = {"train", "val"};

// ---- the documents ------------------------------------------------------------------------------

// Hashes names, sizes and times of the files that the first units are of.
static uint64_t progress_stamp(const struct prepare_inputs *inputs, size_t units) {
    const struct prepare_unit *last = units > 0 ? &inputs->unit[units - 1] : NULL;
    const size_t files = last ? last->file + last->files : 0;
    uint64_t hash = 0;
    for (size_t i = 0; i < files; i++) {
        const struct prepare_input *input = &inputs->file[i];
        const uint64_t all[5] = {hash, hash_of(input->path, strlen(input->path)), input->bytes,
                                 (uint64_t)input->changed.tv_sec, (uint64_t)input->changed.tv_nsec};
        hash = hash_of(all, sizeof all);
    }
    return hash;
}

static uint64_t progress_join(uint64_t hash, uint64_t of_unit) {
    const uint64_t both[2] = {hash, of_unit};
    return hash_of(both, sizeof both);
}

// Whether the documents of the first units have the bytes that they had.
static bool progress_same_bytes(const struct prepare_progress *p, size_t units, uint64_t wanted) {
    struct prepare_result result = {0};
    uint64_t hash = 0;
    bool good = true;
    for (size_t i = 0; i < units && good; i++) {
        prepare_hash(p->documents, i, &result);
        good = !result.error;
        hash = progress_join(hash, result.hash);
    }
    prepare_result_free(&result);
    return good && hash == wanted;
}

// ---- documents.json -----------------------------------------------------------------------------

// Its last line, "xxh3", is the hash of all before it.
void prepare_progress_save(struct prepare_progress *p) {
    for (int i = 0; i < 2; i++) {
        if (!sync_stream(prepare_files[i].stream)) {
            prepare_cannot_write(&prepare_files[i]);
        }
    }
    struct growing text;
    char hash[17];
    growing_begin(&text, "documents.json");
    fprintf(text.file, "{\n  \"val_fraction\": \"%s\",\n", p->fraction); // prepare.sh reads these
    fprintf(text.file, "  \"newlines\": \"%s\",\n", p->documents->fold ? "lf" : "keep");
    fprintf(text.file, "  \"settings\": \"%s\",\n", p->settings);
    fprintf(text.file, "  \"units\": %zu,\n", p->units);
    for (int i = 0; i < 2; i++) {
        hashing_text(p->hashing[i], hash);
        fprintf(text.file, "  \"%s_documents\": %" PRIu64 ",\n", progress_stems[i],
                p->documents_count[i]);
        fprintf(text.file, "  \"%s_tokens\": %" PRIu64 ",\n", progress_stems[i], p->count[i]);
        fprintf(text.file, "  \"%s_xxh3\": \"%s\",\n", progress_stems[i], hash);
    }
    fprintf(text.file, "  \"least\": \"%016" PRIx64 "\",\n", p->least);
    fprintf(text.file, "  \"val_below\": \"%016" PRIx64 "\",\n", p->val_below);
    fprintf(text.file, "  \"documents_xxh3\": \"%016" PRIx64 "\",\n", p->hash);
    fprintf(text.file, "  \"stamp\": \"%016" PRIx64 "\",\n",
            progress_stamp(p->documents->inputs, p->units));
    const size_t length = growing_length(&text);
    char *all = growing_end(&text);
    hash_bytes(all, length, hash);
    struct replacement replacement;
    replace_begin(&replacement, p->path);
    fprintf(replacement.file, "%s  \"xxh3\": \"%s\"\n}\n", all, hash);
    replace_end(&replacement);
    free(all);
    p->saved = p->units;
}

static bool progress_hex(const struct json *json, const char *key, uint64_t *value) {
    char *text = json_string(json, json_get(json, 0, key));
    const bool good = text && strlen(text) == 16 && strspn(text, "0123456789abcdef") == 16;
    *value = good ? strtoull(text, NULL, 16) : 0;
    free(text);
    return good;
}

static bool progress_count(const struct json *json, const char *key, uint64_t *value) {
    int64_t number;
    const bool good = json_integer(json, json_get(json, 0, key), &number);
    *value = good ? (uint64_t)number : 0;
    return good;
}

static bool progress_is_whole(const char *text, size_t length) {
    static const char begin[] = "  \"xxh3\": \"", end[] = "\"\n}\n";
    const size_t tail = sizeof begin - 1 + 16 + sizeof end - 1;
    char hash[17];
    if (length < tail) {
        return false;
    }
    const char *line = text + length - tail;
    hash_bytes(text, length - tail, hash);
    return !memcmp(line, begin, sizeof begin - 1) && !memcmp(line + sizeof begin - 1, hash, 16) &&
           !memcmp(line + sizeof begin - 1 + 16, end, sizeof end - 1);
}

// What documents.json says, and what it says of the token files' hashes.
struct progress_said {
    uint64_t settings, units, xxh3[2], stamp;
};

static bool progress_parse(struct prepare_progress *p, const struct json *json,
                           struct progress_said *said) {
    bool good =
        progress_hex(json, "settings", &said->settings) &&
        progress_count(json, "units", &said->units) && progress_hex(json, "least", &p->least) &&
        progress_hex(json, "val_below", &p->val_below) &&
        progress_hex(json, "documents_xxh3", &p->hash) && progress_hex(json, "stamp", &said->stamp);
    for (int i = 0; i < 2; i++) {
        char key[32];
        snprintf(key, sizeof key, "%s_documents", progress_stems[i]);
        good = good && progress_count(json, key, &p->documents_count[i]);
        snprintf(key, sizeof key, "%s_tokens", progress_stems[i]);
        good = good && progress_count(json, key, &p->count[i]);
        snprintf(key, sizeof key, "%s_xxh3", progress_stems[i]);
        good = good && progress_hex(json, key, &said->xxh3[i]);
    }
    return good;
}

// Reads documents.json. Returns NULL, or why nothing can go on; "" if it is not there.
static const char *progress_read(struct prepare_progress *p, struct progress_said *said) {
    size_t length;
    const char *error, *text = prepare_bytes(p->path, &length);
    if (!text) {
        return "";
    }
    struct json *json = progress_is_whole(text, length) ? json_parse(text, length, &error) : NULL;
    const bool good = json && json_is_object(json, 0) && progress_parse(p, json, said);
    json_free(json);
    if (length > 0) {
        mapped_close(text);
    }
    return good ? NULL : "is damaged";
}

// ---- the token files ----------------------------------------------------------------------------

// Opens a token file that is being made, and keeps others from it.
static void progress_open_tokens(int i, const char *out) {
    struct prepare_file *file = &prepare_files[i];
    file->path = allocate_print("a path", "%s/%s.bin", out, progress_stems[i]);
    file->temporary = allocate_print("a path", "%s.tmp", file->path);
    const int fd = file_open(file->temporary, O_RDWR | O_CREAT, NULL);
    if (fd < 0) {
        prepare_cannot_write(file);
    }
    int failed;
    UNINTERRUPTED(failed, flock(fd, LOCK_EX | LOCK_NB));
    if (failed && errno == EWOULDBLOCK) {
        die(EXIT_IO, "%s: another program is making it; wait until that is done", file->temporary);
    }
    file->stream = stream_on(fd, "r+");
    if (!file->stream) {
        prepare_cannot_write(file);
    }
}

// Whether an open file begins with the tokens that documents.json says. They are hashed again.
static bool progress_has_tokens(struct prepare_progress *p, int i, int fd, uint64_t xxh3) {
    struct stat status;
    char wanted[17], found[17];
    int failed;
    UNINTERRUPTED(failed, fstat(fd, &status));
    if (failed || (uint64_t)status.st_size / p->width < p->count[i]) {
        return false;
    }
    hashing_end(p->hashing[i]);
    p->hashing[i] = hashing_begin();
    if (!hashing_add_file(p->hashing[i], fd, p->width * p->count[i])) {
        return false;
    }
    hashing_text(p->hashing[i], found);
    snprintf(wanted, sizeof wanted, "%016" PRIx64, xxh3);
    return !strcmp(found, wanted);
}

// Whether a token file that has its name already holds just what documents.json says.
static bool progress_is_named(struct prepare_progress *p, int i, uint64_t xxh3) {
    struct stat status;
    const int fd = file_open(prepare_files[i].path, O_RDONLY, &status);
    const bool good = fd >= 0 && S_ISREG(status.st_mode) &&
                      (uint64_t)status.st_size == p->width * p->count[i] &&
                      progress_has_tokens(p, i, fd, xxh3);
    if (fd >= 0) {
        close(fd);
    }
    return good;
}

static void progress_cut(const struct prepare_progress *p, int i) {
    FILE *stream = prepare_files[i].stream;
    const off_t bytes = (off_t)(p->width * p->count[i]);
    int failed;
    UNINTERRUPTED(failed, ftruncate(stream_file(stream), bytes));
    if (failed || fseeko(stream, bytes, SEEK_SET)) {
        prepare_cannot_write(&prepare_files[i]);
    }
}

// ---- begin, go on, add --------------------------------------------------------------------------

void prepare_progress_restart(struct prepare_progress *p, uint64_t val_below) {
    p->units = 0;
    p->saved = 0;
    p->least = UINT64_MAX;
    p->hash = 0;
    p->val_below = val_below;
    for (int i = 0; i < 2; i++) {
        p->named[i] = false;
        p->count[i] = 0;
        p->documents_count[i] = 0;
        hashing_end(p->hashing[i]);
        p->hashing[i] = hashing_begin();
        progress_cut(p, i);
    }
}

// Takes up what is saved. Returns NULL, or why it cannot.
static const char *progress_resume(struct prepare_progress *p) {
    const struct prepare_inputs *inputs = p->documents->inputs;
    struct progress_said said;
    const char *problem = progress_read(p, &said);
    if (problem) {
        return problem;
    }
    char settings[17];
    snprintf(settings, sizeof settings, "%016" PRIx64, said.settings);
    if (strcmp(settings, p->settings)) {
        return "is of other settings";
    }
    if (said.units > inputs->units || (said.stamp != progress_stamp(inputs, said.units) &&
                                       !progress_same_bytes(p, said.units, p->hash))) {
        return "is of other documents";
    }
    p->units = p->saved = said.units;
    for (int i = 0; i < 2; i++) {
        if (progress_has_tokens(p, i, stream_file(prepare_files[i].stream), said.xxh3[i])) {
            progress_cut(p, i);
        } else if (said.units == inputs->units && progress_is_named(p, i, said.xxh3[i])) {
            p->named[i] = true;
        } else {
            return "is of other tokens";
        }
    }
    return NULL;
}

void prepare_progress_open(struct prepare_progress *p, const struct prepare_documents *documents,
                           const char *out, const char *fraction) {
    *p = (struct prepare_progress){
        .path = allocate_print("a path", "%s/documents.json", out),
        .documents = documents,
        .fraction = fraction,
        .width = tokens_width(tokens_are_wide(documents->tokenizer->vocab_size)),
        .hashing = {hashing_begin(), hashing_begin()},
    };
    const struct prepare_inputs *inputs = documents->inputs;
    char *settings = allocate_print("settings", "1 %s %d %" PRIu64 " %s", fraction, documents->fold,
                                    inputs->unit_bytes, documents->tokenizer->text);
    hash_bytes(settings, strlen(settings), p->settings);
    free(settings);
    progress_open_tokens(PREPARE_TRAIN, out);
    progress_open_tokens(PREPARE_VAL, out);
    if (!sync_names(p->path)) { // documents.json is never there without them
        prepare_cannot_write(&prepare_files[PREPARE_VAL]);
    }
    const char *problem = progress_resume(p);
    if (problem) {
        if (*problem) {
            printf("%s: %s; all documents are encoded anew\n", p->path, problem);
        }
        prepare_progress_restart(p, documents->val_below);
    }
}

void prepare_progress_add(struct prepare_progress *p, const struct prepare_result *result) {
    for (int i = 0; i < 2; i++) {
        const size_t count = result->count[i];
        if (count > 0 &&
            fwrite(result->tokens[i], p->width, count, prepare_files[i].stream) != count) {
            prepare_cannot_write(&prepare_files[i]);
        }
        hashing_add(p->hashing[i], result->tokens[i], count * p->width);
        p->count[i] += count;
        p->documents_count[i] += result->documents[i];
    }
    p->least = result->least < p->least ? result->least : p->least;
    p->hash = progress_join(p->hash, result->hash);
    p->units++;
}

void prepare_progress_close(struct prepare_progress *p) {
    hashing_end(p->hashing[0]);
    hashing_end(p->hashing[1]);
    free(p->path);
}
