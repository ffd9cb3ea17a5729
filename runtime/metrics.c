// metrics.c: metrics.jsonl: every step and every evaluation of a run, one JSON object a line, in
// the order of iterations and with the keys in one order. ms and tokens_per_s are the only figures
// that depend on the machine; all else is the same however often a run was stopped.
#include "runtime/runtime.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static _Noreturn void metrics_fail(const char *path, const char *what) {
    die(EXIT_IO, "%s: %s: %s; free space or name another folder with --out_dir", path, what,
        strerror(errno));
}

// Bytes of the whole lines before the first one of iteration `iter` or later.
static off_t metrics_keep(FILE *file, int64_t iter) {
    off_t keep = 0;
    char *line = NULL;
    size_t size = 0;
    ssize_t length;
    while ((length = getline(&line, &size, file)) > 0) {
        int64_t at;
        if (line[length - 1] != '\n' || sscanf(line, "{\"iter\":%" SCNd64 ",", &at) != 1 ||
            at >= iter) {
            break;
        }
        keep += length;
    }
    free(line);
    return keep;
}

void metrics_open(struct metrics *metrics, const char *path, int64_t iter) {
    metrics->path = strdup(path);
    metrics->file = fopen(path, "a+");
    if (!metrics->path || !metrics->file) {
        metrics_fail(path, "cannot open it");
    }
    off_t keep = metrics_keep(metrics->file, iter);
    if (ftruncate(fileno(metrics->file), keep)) {
        metrics_fail(path, "cannot cut it back");
    }
    fseeko(metrics->file, 0, SEEK_END);
}

static void metrics_number(FILE *out, const char *key, double x) {
    if (isfinite(x)) {
        fprintf(out, ",\"%s\":%.9g", key, x);
    } else {
        fprintf(out, ",\"%s\":null", key);
    }
}

static void metrics_end_line(struct metrics *metrics) {
    fputs("}\n", metrics->file);
    if (fflush(metrics->file)) {
        metrics_fail(metrics->path, "cannot write");
    }
}

void metrics_step(struct metrics *metrics, int64_t iter, double loss, double learning_rate,
                  double grad_norm, bool skipped, double seconds, double tokens) {
    FILE *out = metrics->file;
    fprintf(out, "{\"iter\":%" PRId64, iter);
    metrics_number(out, "loss", loss);
    metrics_number(out, "lr", learning_rate);
    metrics_number(out, "grad_norm", grad_norm);
    fprintf(out, ",\"skipped\":%s", skipped ? "true" : "false");
    fprintf(out, ",\"ms\":%.3f,\"tokens_per_s\":%.0f", seconds * 1e3,
            seconds > 0 ? tokens / seconds : 0);
    metrics_end_line(metrics);
}

void metrics_evaluation(struct metrics *metrics, int64_t iter, double train_loss, double val_loss,
                        double seconds) {
    FILE *out = metrics->file;
    fprintf(out, "{\"iter\":%" PRId64, iter);
    metrics_number(out, "train_loss", train_loss);
    metrics_number(out, "val_loss", val_loss);
    fprintf(out, ",\"ms\":%.3f", seconds * 1e3);
    metrics_end_line(metrics);
}

void metrics_close(struct metrics *metrics) {
    if (fclose(metrics->file)) {
        metrics_fail(metrics->path, "cannot write");
    }
    free(metrics->path);
}
