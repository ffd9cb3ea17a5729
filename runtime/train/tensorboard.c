// tensorboard.c: writes a run's metrics as TensorBoard event files into the run's folder, so that
// `tensorboard --logdir out` shows each run under its folder's name.
//
// A file is a sequence of TFRecords, each an Event message. Field numbers are those of
// TensorBoard's event.proto, summary.proto, tensor.proto and of its plugins' plugin_data.proto. A
// resumed run starts another file, whose SessionLog START says from which step on it replaces the
// earlier files. wall_time is when an event was written; apart from ms, it is all that differs
// between two trainings of a run.
#include "runtime/train/train.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char tensorboard_prefix[] = "events.out.tfevents.";

static _Noreturn void tensorboard_fail(const char *path, const char *what) {
    die(exit_code_of(errno), "%s: %s: %s; free space or name another folder with --out_dir", path,
        what, strerror(errno));
}

// ---- events -------------------------------------------------------------------------------------

enum { EVENT_WALL_TIME = 1, EVENT_STEP, EVENT_FILE_VERSION, EVENT_SUMMARY = 5, EVENT_SESSION = 7 };
enum { SUMMARY_VALUE = 1 };
enum { VALUE_TAG = 1, VALUE_SIMPLE, VALUE_TENSOR = 8, VALUE_METADATA };
enum { METADATA_PLUGIN = 1, METADATA_CLASS = 4, CLASS_TENSOR = 2 };
enum { PLUGIN_NAME = 1, PLUGIN_CONTENT };
enum { TENSOR_TYPE = 1, TENSOR_SHAPE, TENSOR_STRING = 8, TYPE_FLOAT = 1, TYPE_STRING = 7 };
enum { SHAPE_DIM = 2, DIM_SIZE = 1 };
enum { SESSION_STATUS = 1, SESSION_START = 1 };

static double tensorboard_wall_time(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void event_begin(struct tensorboard *tb, int64_t step) {
    tb->event.length = 0;
    proto_double(&tb->event, EVENT_WALL_TIME, tensorboard_wall_time());
    if (step != 0) {
        proto_integer(&tb->event, EVENT_STEP, step);
    }
}

uint32_t tensorboard_crc(const void *bytes, size_t length) {
    uint32_t crc = crc32c(bytes, length);
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

static void event_end(struct tensorboard *tb) {
    const uint64_t length = tb->event.length;
    const uint32_t length_crc = tensorboard_crc(&length, sizeof length);
    const uint32_t event_crc = tensorboard_crc(tb->event.bytes, tb->event.length);
    fwrite(&length, sizeof length, 1, tb->file);
    fwrite(&length_crc, sizeof length_crc, 1, tb->file);
    fwrite(tb->event.bytes, 1, tb->event.length, tb->file);
    fwrite(&event_crc, sizeof event_crc, 1, tb->file);
    if (fflush(tb->file)) {
        tensorboard_fail(tb->path, "cannot write");
    }
}

static void event_put_text(struct proto *p, int field, const char *text) {
    proto_bytes(p, field, text, strlen(text));
}

static void event_put_scalar(struct proto *p, const char *tag, double x) {
    size_t value = proto_begin(p, SUMMARY_VALUE);
    event_put_text(p, VALUE_TAG, tag);
    proto_float(p, VALUE_SIMPLE, (float)x);
    proto_end(p, value);
}

// A value's metadata: which plugin shows it, and that plugin's own data.
static void event_put_metadata(struct proto *p, const char *plugin, const struct proto *content) {
    size_t metadata = proto_begin(p, VALUE_METADATA), data = proto_begin(p, METADATA_PLUGIN);
    event_put_text(p, PLUGIN_NAME, plugin);
    if (content) {
        proto_bytes(p, PLUGIN_CONTENT, content->bytes, content->length);
    }
    proto_end(p, data);
    if (!content) {
        proto_integer(p, METADATA_CLASS, CLASS_TENSOR);
    }
    proto_end(p, metadata);
}

// ---- the settings, for the HParams tab ----------------------------------------------------------

enum { HPARAMS_START = 3, HPARAMS_END = 4 };
enum { START_HPARAMS = 1, START_TIME = 5, END_STATUS = 1, END_TIME, STATUS_SUCCESS = 1 };
enum { ENTRY_KEY = 1, ENTRY_VALUE, JSON_NUMBER = 2, JSON_STRING, JSON_BOOL };

static void event_put_hparam(struct proto *p, const struct pair *pair) {
    char text[64], *end;
    size_t length = (size_t)pair->value_length;
    snprintf(text, sizeof text, "%.*s", pair->value_length, pair->value);
    bool yes = !strcmp(text, "true") || !strcmp(text, "True");
    bool no = !strcmp(text, "false") || !strcmp(text, "False");
    double number = strtod(text, &end);
    bool numeric = length > 0 && length < sizeof text && !*end &&
                   strspn(text, "+-.0123456789eE") == length && isfinite(number);
    size_t entry = proto_begin(p, START_HPARAMS);
    proto_bytes(p, ENTRY_KEY, pair->key, (size_t)pair->key_length);
    size_t value = proto_begin(p, ENTRY_VALUE);
    if (yes || no) {
        proto_integer(p, JSON_BOOL, yes);
    } else if (numeric) {
        proto_double(p, JSON_NUMBER, number);
    } else {
        proto_bytes(p, JSON_STRING, pair->value, length);
    }
    proto_end(p, value);
    proto_end(p, entry);
}

static void event_put_hparams(struct proto *p, const char *text) {
    struct pair pair;
    while (pairs_next(&text, &pair)) {
        event_put_hparam(p, &pair);
    }
}

// The plugin reads the settings from the metadata; the value itself is an empty tensor.
static void tensorboard_hparams_event(struct tensorboard *tb, const char *tag,
                                      const struct proto *content) {
    event_begin(tb, 0);
    size_t summary = proto_begin(&tb->event, EVENT_SUMMARY);
    size_t value = proto_begin(&tb->event, SUMMARY_VALUE);
    event_put_text(&tb->event, VALUE_TAG, tag);
    size_t tensor = proto_begin(&tb->event, VALUE_TENSOR);
    proto_integer(&tb->event, TENSOR_TYPE, TYPE_FLOAT);
    size_t shape = proto_begin(&tb->event, TENSOR_SHAPE), dim = proto_begin(&tb->event, SHAPE_DIM);
    proto_integer(&tb->event, DIM_SIZE, 0);
    proto_end(&tb->event, dim);
    proto_end(&tb->event, shape);
    proto_end(&tb->event, tensor);
    event_put_metadata(&tb->event, "hparams", content);
    proto_end(&tb->event, value);
    proto_end(&tb->event, summary);
    event_end(tb);
}

static void tensorboard_hparams_start(struct tensorboard *tb, const char *config,
                                      const char *run_text, int64_t max_iters) {
    struct proto content = {0};
    char last[40];
    snprintf(last, sizeof last, "max_iters=%" PRId64, max_iters);
    size_t start = proto_begin(&content, HPARAMS_START);
    event_put_hparams(&content, config);
    event_put_hparams(&content, run_text);
    event_put_hparams(&content, last);
    proto_double(&content, START_TIME, tensorboard_wall_time());
    proto_end(&content, start);
    tensorboard_hparams_event(tb, "_hparams_/session_start_info", &content);
    proto_free(&content);
}

static void tensorboard_hparams_end(struct tensorboard *tb) {
    struct proto content = {0};
    size_t end = proto_begin(&content, HPARAMS_END);
    proto_integer(&content, END_STATUS, STATUS_SUCCESS);
    proto_double(&content, END_TIME, tensorboard_wall_time());
    proto_end(&content, end);
    tensorboard_hparams_event(tb, "_hparams_/session_end_info", &content);
    proto_free(&content);
}

// ---- files --------------------------------------------------------------------------------------

// Creates a file named after its first iteration, so that files are read in order, with a number
// appended if a killed run starts there again.
static void tensorboard_create(struct tensorboard *tb, const char *folder, int64_t iter) {
    size_t size = strlen(folder) + 80;
    tb->path = allocate(size, 1, "a path");
    for (int again = 0; !tb->file; again++) {
        char number[16] = "";
        if (again > 0) {
            snprintf(number, sizeof number, ".%03d", again);
        }
        snprintf(tb->path, size, "%s/%s%010" PRId64 "%s", folder, tensorboard_prefix, iter, number);
        tb->file = stream_open(tb->path, "wx");
        if (!tb->file && (errno != EEXIST || again == 999)) {
            tensorboard_fail(tb->path, "cannot make it");
        }
    }
    if (!sync_names(tb->path)) {
        tensorboard_fail(tb->path, "cannot make it");
    }
}

void tensorboard_open(struct tensorboard *tb, const char *folder, const char *config,
                      const char *run_text, int64_t max_iters, int64_t iter, double best_val_loss) {
    *tb = (struct tensorboard){.best_val_loss = best_val_loss};
    tensorboard_create(tb, folder, iter);
    event_begin(tb, 0);
    event_put_text(&tb->event, EVENT_FILE_VERSION, "brain.Event:2");
    event_end(tb);
    if (iter > 0) {
        event_begin(tb, iter);
        size_t session = proto_begin(&tb->event, EVENT_SESSION);
        proto_integer(&tb->event, SESSION_STATUS, SESSION_START);
        proto_end(&tb->event, session);
        event_end(tb);
    }
    tensorboard_hparams_start(tb, config, run_text, max_iters);
}

void tensorboard_step(struct tensorboard *tb, const struct step_record *step) {
    if (!tb->file) {
        return;
    }
    event_begin(tb, step->iter);
    size_t summary = proto_begin(&tb->event, EVENT_SUMMARY);
    event_put_scalar(&tb->event, "train/loss", step->loss);
    event_put_scalar(&tb->event, "lr", step->learning_rate);
    event_put_scalar(&tb->event, "grad_norm", step->grad_norm);
    event_put_scalar(&tb->event, "skipped", step->skipped);
    event_put_scalar(&tb->event, "ms", step->seconds * 1e3);
    event_put_scalar(&tb->event, "tokens_per_s", step->tokens_per_s);
    if (isfinite(step->mfu)) {
        event_put_scalar(&tb->event, "mfu", step->mfu);
    }
    proto_end(&tb->event, summary);
    event_end(tb);
}

void tensorboard_evaluation(struct tensorboard *tb, const struct evaluation_record *evaluation) {
    if (!tb->file) {
        return;
    }
    event_begin(tb, evaluation->iter);
    size_t summary = proto_begin(&tb->event, EVENT_SUMMARY);
    event_put_scalar(&tb->event, "train/eval_loss", evaluation->train_loss);
    event_put_scalar(&tb->event, "val/loss", evaluation->val_loss);
    tb->best_val_loss = fmin(tb->best_val_loss, evaluation->val_loss); // of a NaN the other one
    if (isfinite(tb->best_val_loss)) {
        event_put_scalar(&tb->event, "val/best_loss", tb->best_val_loss);
    }
    event_put_scalar(&tb->event, "eval_ms", evaluation->seconds * 1e3);
    proto_end(&tb->event, summary);
    event_end(tb);
}

void tensorboard_hellaswag(struct tensorboard *tb, const struct hellaswag_record *hellaswag) {
    if (!tb->file) {
        return;
    }
    event_begin(tb, hellaswag->iter);
    size_t summary = proto_begin(&tb->event, EVENT_SUMMARY);
    event_put_scalar(&tb->event, "val/hellaswag", hellaswag->by_mean);
    event_put_scalar(&tb->event, "val/hellaswag_sum", hellaswag->by_sum);
    event_put_scalar(&tb->event, "hellaswag_ms", hellaswag->seconds * 1e3);
    proto_end(&tb->event, summary);
    event_end(tb);
}

// The text plugin shows Markdown; an indent of four spaces makes it show the text verbatim.
void tensorboard_text(struct tensorboard *tb, int64_t iter, const char *text, size_t length) {
    if (!tb->file) {
        return;
    }
    size_t lines = 1;
    for (const char *c = text; c < text + length; c++) {
        lines += *c == '\n';
    }
    char *indented = allocate(length + 4 * lines, 1, "a text"), *to = indented;
    for (const char *c = text; c < text + length; c++) {
        if (c == text || c[-1] == '\n') {
            memcpy(to, "    ", 4);
            to += 4;
        }
        *to++ = *c;
    }
    event_begin(tb, iter);
    size_t summary = proto_begin(&tb->event, EVENT_SUMMARY);
    size_t value = proto_begin(&tb->event, SUMMARY_VALUE);
    event_put_text(&tb->event, VALUE_TAG, "sample");
    size_t tensor = proto_begin(&tb->event, VALUE_TENSOR);
    proto_integer(&tb->event, TENSOR_TYPE, TYPE_STRING);
    proto_end(&tb->event, proto_begin(&tb->event, TENSOR_SHAPE)); // no dimension: one string
    proto_bytes(&tb->event, TENSOR_STRING, indented, (size_t)(to - indented));
    proto_end(&tb->event, tensor);
    event_put_metadata(&tb->event, "text", NULL);
    proto_end(&tb->event, value);
    proto_end(&tb->event, summary);
    event_end(tb);
    free(indented);
}

void tensorboard_sync(const struct tensorboard *tb) {
    if (tb->file && !sync_stream(tb->file)) {
        tensorboard_fail(tb->path, "cannot write");
    }
}

void tensorboard_close(struct tensorboard *tb, bool finished) {
    if (!tb->file) {
        return;
    }
    if (finished) {
        tensorboard_hparams_end(tb);
        tensorboard_sync(tb);
    }
    if (fclose(tb->file)) {
        tensorboard_fail(tb->path, "cannot write");
    }
    free(tb->path);
    proto_free(&tb->event);
    *tb = (struct tensorboard){0};
}

// The part of a name before the iteration, in a set of files that was set aside.
static void tensorboard_set_prefix(int set, char prefix[64]) {
    if (set > 1) {
        snprintf(prefix, 64, "events.previous.%d.", set);
    } else {
        snprintf(prefix, 64, "events.previous.");
    }
}

// Lists the folder's event files whose names begin with prefix. Returns how many; the caller frees.
static int tensorboard_list(const char *folder, const char *prefix, struct dirent ***names) {
    int all, count = 0;
    UNINTERRUPTED(all, scandir(folder, names, NULL, alphasort));
    if (all < 0) {
        tensorboard_fail(folder, "cannot list it");
    }
    for (int i = 0; i < all; i++) {
        struct dirent *entry = (*names)[i];
        size_t length = strlen(prefix);
        bool ours = !strncmp(entry->d_name, prefix, length) &&
                    strspn(entry->d_name + length, "0123456789") >= 10;
        if (ours) {
            (*names)[count++] = entry;
        } else {
            free(entry);
        }
    }
    return count;
}

bool tensorboard_has_set(const char *folder, int set) {
    char prefix[64];
    struct dirent **names;
    tensorboard_set_prefix(set, prefix);
    int count = tensorboard_list(folder, prefix, &names);
    for (int i = 0; i < count; i++) {
        free(names[i]);
    }
    free(names);
    return count > 0;
}

void tensorboard_set_aside(const char *folder, int set) {
    char prefix[64];
    struct dirent **names;
    tensorboard_set_prefix(set, prefix);
    int count = tensorboard_list(folder, tensorboard_prefix, &names);
    for (int i = 0; i < count; i++) {
        const char *name = names[i]->d_name;
        char *from = allocate_print("a path", "%s/%s", folder, name);
        char *to =
            allocate_print("a path", "%s/%s%s", folder, prefix, name + strlen(tensorboard_prefix));
        int failed;
        UNINTERRUPTED(failed, rename(from, to));
        if (failed) {
            tensorboard_fail(from, "cannot rename this file of the run before");
        }
        printf("%s: of the run before; now %s\n", from, to);
        free(from);
        free(to);
        free(names[i]);
    }
    free(names);
}
