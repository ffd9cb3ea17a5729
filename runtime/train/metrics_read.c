// metrics_read.c: the metrics.jsonl that a run finds when it resumes. The lines that the run will
// write again are cut off: those from its next iteration on, and an incomplete last line of a
// killed process. If anything else is in the file, all of it is kept under another name, and the
// log continues with the good lines.
#include "runtime/train/train.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NO_LINE = -1, TORN_LINE = -2 };

struct metrics_file {
    FILE *file;
    const char *path;
    int64_t *iter;            // (count): the iteration of each line, or one of the above
    int64_t count;            // of lines
    int reading;              // errno if reading failed, else 0
    struct metrics_kept kept; // of iterations before the run's next one,
    int64_t bytes;            // and the length of those lines
    char wrong[128];          // the first thing that does not belong there, or ""
};

// The iteration of a line, NO_LINE if it is not a JSON object that begins with "iter", or TORN_LINE
// if it is incomplete.
static int64_t metrics_iter(const char *line, size_t length) {
    static const char start[] = "{\"iter\":";
    const size_t begun = length < sizeof start - 1 ? length : sizeof start - 1;
    if (memcmp(line, start, begun)) {
        return NO_LINE;
    }
    if (line[length - 1] != '\n') {
        return TORN_LINE;
    }
    const char *error;
    struct json *json = json_parse(line, length, &error);
    int64_t iter = NO_LINE;
    if (json && !json_integer(json, json_get(json, 0, "iter"), &iter)) {
        iter = NO_LINE;
    }
    json_free(json);
    return iter;
}

// The iteration of an incomplete line; `from` if it ends before that.
static int64_t metrics_torn_iter(const char *line, int64_t from) {
    int64_t iter;
    char comma;
    return sscanf(line, "{\"iter\":%" SCNd64 "%c", &iter, &comma) == 2 && comma == ',' ? iter
                                                                                       : from;
}

static const struct metrics_kept metrics_kept_none = {.val_bpb = NAN, .best_val_loss = INFINITY};

// The number behind a key, as in "\"ms\":"; NaN if there is none.
static double metrics_value(const char *line, const char *key) {
    const char *at = strstr(line, key);
    return at ? strtod(at + strlen(key), NULL) : NAN;
}

// Counts a line that is kept, and its time; one without, or with a senseless one, took none.
static void metrics_keep(struct metrics_kept *kept, const char *line) {
    const double seconds = metrics_value(line, "\"ms\":") / 1e3;
    const bool step = strstr(line, "\"loss\":") != NULL;
    double *sum = step ? &kept->step_seconds : &kept->evaluation_seconds;
    *sum += seconds > 0 && seconds < 1e9 ? seconds : 0;
    if (strstr(line, "\"val_loss\":")) {
        kept->val_bpb = metrics_value(line, "\"val_bpb\":");
        // "null" reads as 0
        const bool finite = !strstr(line, "\"val_loss\":null");
        const double val = finite ? metrics_value(line, "\"val_loss\":") : INFINITY;
        kept->best_val_loss = fmin(kept->best_val_loss, val);
    }
    kept->lines++;
}

// Checks every line; `from` is the run's next iteration.
static void metrics_look(struct metrics_file *m, int64_t from) {
    char *line = NULL;
    size_t size = 0;
    ssize_t length;
    int64_t before = 0; // iteration of the line before
    bool cutting = false;
    errno = 0;
    while ((length = allocate_line(&line, &size, m->file, "a line of the log")) > 0) {
        if ((m->count & (m->count + 1)) == 0) { // room for twice as many
            size_t room = (size_t)(2 * m->count + 2) * sizeof *m->iter;
            m->iter = allocate_again(m->iter, room, "the log's lines");
        }
        int64_t iter = metrics_iter(line, (size_t)length);
        m->iter[m->count++] = iter;
        if (iter == TORN_LINE) {
            iter = metrics_torn_iter(line, from > before ? from : before);
            cutting = true; // no line to keep may be incomplete
        }
        // Iterations never decrease, and the lines to cut have no gaps.
        cutting = cutting || iter >= from;
        const int64_t least = cutting && before < from ? from : before;
        const int64_t most = !cutting ? INT64_MAX : before < from ? from : before + 1;
        if (!*m->wrong && iter == NO_LINE) {
            snprintf(m->wrong, sizeof m->wrong, "line %" PRId64 " is not of a run's log", m->count);
        } else if (!*m->wrong && (iter < least || iter > most)) {
            snprintf(m->wrong, sizeof m->wrong,
                     "line %" PRId64 " is of iteration %" PRId64 ", after one of %" PRId64,
                     m->count, iter, before);
        }
        if (!cutting) {
            metrics_keep(&m->kept, line);
            m->bytes += length;
        }
        before = iter < 0 ? before : iter;
        errno = 0;
    }
    m->reading = ferror(m->file) ? errno : 0;
    if (m->reading) {
        snprintf(m->wrong, sizeof m->wrong, "cannot be read after line %" PRId64 ": %s", m->count,
                 strerror(m->reading));
    }
    free(line);
}

// Renames the file, and writes the good lines of iterations before `from` to a new one.
static void metrics_keep_good(struct metrics_file *m, int64_t from) {
    char *line = NULL, *aside = folder_keep_aside(m->path);
    size_t size = 0;
    ssize_t length;
    int64_t last = 0;
    struct replacement r;
    replace_begin(&r, m->path);
    m->kept = metrics_kept_none;
    clearerr(m->file);
    rewind(m->file);
    for (int64_t i = 0; i < m->count; i++) {
        length = allocate_line(&line, &size, m->file, "a line of the log");
        if (length <= 0) {
            break;
        }
        int64_t iter = m->iter[i], next = i + 1;
        while (next < m->count && m->iter[next] < 0) {
            next++;
        }
        // Of two lines out of order, the first one is taken to be wrong.
        bool good = iter >= last && iter < from && (next == m->count || iter <= m->iter[next]);
        if (good) {
            fwrite(line, 1, (size_t)length, r.file);
            last = iter;
            metrics_keep(&m->kept, line);
        }
    }
    replace_end(&r);
    warn("%s: %s; all of it is now %s, and the log continues with the %" PRId64
         " lines that are good",
         m->path, m->wrong, aside, m->kept.lines);
    free(line);
    free(aside);
}

static bool metrics_truncate(FILE *file, int64_t bytes) {
    int failed;
    UNINTERRUPTED(failed, ftruncate(stream_file(file), bytes));
    return !failed;
}

bool metrics_cut(const char *path, FILE *file, const struct progress *progress,
                 struct metrics_kept *kept) {
    struct metrics_file m = {.file = file, .path = path, .kept = metrics_kept_none};
    bool whole = true;
    metrics_look(&m, progress->iter);
    if (!*m.wrong && m.kept.lines < progress->log_lines && m.kept.lines < m.count) {
        // A line that would be cut may be one of those that the state knows of, damaged.
        snprintf(m.wrong, sizeof m.wrong,
                 "line %" PRId64 " would be cut off, and lines that the state knows of are missing",
                 m.kept.lines + 1);
    }
    if (*m.wrong) {
        metrics_keep_good(&m, progress->iter);
        whole = false;
    } else if (!metrics_truncate(file, m.bytes)) {
        die(exit_code_of(errno),
            "%s: cannot cut it back: %s; free space or name another folder with --out_dir", path,
            strerror(errno));
    }
    if (progress->log_lines >= 0 && m.kept.lines != progress->log_lines) {
        warn("%s: has %" PRId64 " lines of iterations before %" PRId64
             ", where the state knows of %" PRId64 ": the log continues %s",
             path, m.kept.lines, progress->iter, progress->log_lines,
             m.kept.lines < progress->log_lines ? "with a gap" : "with all of them");
        whole = false;
    }
    *kept = m.kept;
    free(m.iter);
    return whole;
}
