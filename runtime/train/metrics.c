// metrics.c: metrics.jsonl: every step and every evaluation of a run, one JSON object a line, in
// the order of iterations, with keys in a fixed order. Only ms, tokens_per_s and mfu depend on the
// machine; all else is the same however often a run was stopped and resumed.
#include "runtime/train/train.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static _Noreturn void metrics_fail(const char *path, const char *what) {
    die(exit_code_of(errno), "%s: %s: %s; free space or name another folder with --out_dir", path,
        what, strerror(errno));
}

void metrics_open(struct metrics *metrics, const struct folder *folder,
                  const struct progress *progress, const struct run *run) {
    const char *path = folder->metrics;
    FILE *found = stream_open(path, "a+");
    if (!found) {
        metrics_fail(path, "cannot open it");
    }
    *metrics = (struct metrics){.path = path, .last = -1};
    bool whole = metrics_cut(path, found, progress, &metrics->kept);
    metrics->lines = metrics->kept.lines;
    fclose(found); // metrics_cut may have renamed it
    metrics->file = stream_open(path, "a");
    if (!metrics->file || (metrics->lines == 0 && !sync_names(path))) {
        metrics_fail(path, "cannot open it");
    }
    if (run->csv) {
        csv_open(&metrics->csv, folder, run->hellaswag_interval > 0, !whole);
    }
}

int64_t metrics_lines(const struct metrics *metrics, int64_t iter) {
    return metrics->lines - (metrics->last >= iter ? metrics->at_last : 0); // of evaluations
}

static void metrics_number(FILE *out, const char *key, double x) {
    fprintf(out, ",\"%s\":", key);
    json_write_number(out, x);
}

static FILE *metrics_begin_line(struct metrics *metrics, struct growing *line, int64_t iter) {
    metrics->at_last = iter == metrics->last ? metrics->at_last + 1 : 1;
    metrics->last = iter;
    metrics->lines++;
    growing_begin(line, "a line of the log");
    fprintf(line->file, "{\"iter\":%" PRId64, iter);
    return line->file;
}

static void metrics_end_line(struct metrics *metrics, struct growing *line) {
    fputs("}\n", line->file);
    char *text = growing_end(line);
    fwrite(text, 1, line->length, metrics->file);
    if (fflush(metrics->file)) {
        metrics_fail(metrics->path, "cannot write");
    }
    csv_add(&metrics->csv, text);
    free(text);
}

void metrics_step(struct metrics *metrics, const struct step_record *step) {
    struct growing line;
    FILE *out = metrics_begin_line(metrics, &line, step->iter);
    metrics_number(out, "loss", step->loss);
    metrics_number(out, "lr", step->learning_rate);
    metrics_number(out, "grad_norm", step->grad_norm);
    fprintf(out, ",\"skipped\":%s", step->skipped ? "true" : "false");
    fprintf(out, ",\"ms\":%.3f,\"tokens_per_s\":%.0f,\"mfu\":", step->seconds * 1e3,
            step->tokens_per_s);
    if (isfinite(step->mfu)) {
        fprintf(out, "%.4g", step->mfu);
    } else {
        fputs("null", out);
    }
    metrics_end_line(metrics, &line);
}

void metrics_evaluation(struct metrics *metrics, const struct evaluation_record *evaluation) {
    struct growing line;
    FILE *out = metrics_begin_line(metrics, &line, evaluation->iter);
    metrics_number(out, "train_loss", evaluation->train_loss);
    metrics_number(out, "val_loss", evaluation->val_loss);
    if (!isnan(evaluation->val_bpb)) {
        metrics_number(out, "val_bpb", evaluation->val_bpb);
    }
    fprintf(out, ",\"ms\":%.3f", evaluation->seconds * 1e3);
    metrics_end_line(metrics, &line);
}

void metrics_hellaswag(struct metrics *metrics, const struct hellaswag_record *hellaswag) {
    struct growing line;
    FILE *out = metrics_begin_line(metrics, &line, hellaswag->iter);
    metrics_number(out, "hellaswag", hellaswag->by_mean);
    metrics_number(out, "hellaswag_sum", hellaswag->by_sum);
    fprintf(out, ",\"ms\":%.3f", hellaswag->seconds * 1e3);
    metrics_end_line(metrics, &line);
}

void metrics_sync(const struct metrics *metrics) {
    if (!sync_stream(metrics->file)) {
        metrics_fail(metrics->path, "cannot write");
    }
    csv_sync(&metrics->csv);
}

void metrics_close(struct metrics *metrics) {
    if (fclose(metrics->file)) {
        metrics_fail(metrics->path, "cannot write");
    }
    csv_close(&metrics->csv);
}
