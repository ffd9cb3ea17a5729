// csv.c: metrics.csv (the steps of a run) and evaluations.csv, for spreadsheets: RFC 4180 with a
// header line; unknown values are empty fields. Columns of HellaSwag are there where the run
// evaluates it, or did before.
//
// Both are derived from metrics.jsonl: when a run starts or resumes they are rewritten from its
// lines, and each new line is then appended. So they hold every step from the first one on, also if
// --csv=1 is given late or the run was killed before.
#include "runtime/train/train.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const csv_steps[] = {"iter", "loss",         "lr",  "grad_norm", "skipped",
                                        "ms",   "tokens_per_s", "mfu", NULL};
static const char *const csv_evaluations[] = {"iter", "train_loss", "val_loss",
                                              "ms",   "val_bpb",    NULL};
static const char *const csv_with_hellaswag[] = {"iter",    "train_loss", "val_loss",      "ms",
                                                 "val_bpb", "hellaswag",  "hellaswag_sum", NULL};

static _Noreturn void csv_fail(const char *path, const char *what) {
    die(exit_code_of(errno), "%s: %s: %s; free space or name another folder with --out_dir", path,
        what, strerror(errno));
}

// Finds a key's value in a line; returns its length, or 0 if it is not a number, true or false.
static int csv_value(const char *line, const char *key, const char **value) {
    char quoted[32];
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    const char *at = strstr(line, quoted);
    if (!at) {
        return 0;
    }
    *value = at + strlen(quoted);
    int length = (int)strcspn(*value, ",}\n");
    bool truth = !strncmp(*value, "true", 4) || !strncmp(*value, "false", 5);
    bool number = (int)strspn(*value, "+-.0123456789eE") == length;
    return truth || number ? length : 0;
}

static FILE *csv_create(const char *path, const char *const *columns) {
    char *temporary = allocate_print("a path", "%s.tmp", path);
    FILE *file = stream_open(temporary, "w");
    if (!file) {
        csv_fail(path, "cannot open it");
    }
    for (int i = 0; columns[i]; i++) {
        // other tools call iter step
        fprintf(file, "%s%s", i ? "," : "", strcmp(columns[i], "iter") ? columns[i] : "step");
    }
    fputs("\r\n", file);
    free(temporary);
    return file;
}

static void csv_flush(FILE *file, const char *path) {
    if (fflush(file)) {
        csv_fail(path, "cannot write");
    }
}

static void csv_sync_file(FILE *file, const char *path) {
    if (!sync_stream(file)) {
        csv_fail(path, "cannot write");
    }
}

static const char *const *csv_evaluation_columns(const struct csv *csv) {
    return csv->hellaswag ? csv_with_hellaswag : csv_evaluations;
}

static bool csv_is_hellaswag(const char *line) {
    return strstr(line, "\"hellaswag\":") != NULL;
}

static void csv_put(struct csv *csv, const char *line) {
    bool step = strstr(line, "\"loss\":") != NULL;
    const char *const *columns = step ? csv_steps : csv_evaluation_columns(csv);
    FILE *file = step ? csv->steps : csv->evaluations;
    for (int i = 0; columns[i]; i++) {
        const char *value;
        int length = csv_value(line, columns[i], &value);
        fputs(i ? "," : "", file);
        fwrite(length ? value : "", 1, (size_t)length, file);
    }
    fputs("\r\n", file);
}

// Renames the new file, now complete, over the old one, which `keep` first gives another name.
static void csv_replace(FILE *file, const char *path, bool keep) {
    char *temporary = allocate_print("a path", "%s.tmp", path);
    csv_sync_file(file, path);
    char *aside = keep ? folder_keep_aside(path) : NULL;
    int failed;
    UNINTERRUPTED(failed, rename(temporary, path));
    if (failed) {
        csv_fail(path, "cannot write");
    }
    if (aside) {
        warn("%s: made again from those lines; the old file is now %s", path, aside);
    }
    free(temporary);
    free(aside);
}

// Calls put(csv, line) for each line of metrics.jsonl.
static void csv_read(struct csv *csv, const struct folder *folder,
                     void (*put)(struct csv *csv, const char *line)) {
    FILE *metrics = stream_open(folder->metrics, "r");
    if (!metrics) {
        csv_fail(folder->metrics, "cannot open it");
    }
    char *line = NULL;
    size_t size = 0;
    while (allocate_line(&line, &size, metrics, "a line of the log") > 0) {
        put(csv, line);
    }
    if (ferror(metrics)) {
        csv_fail(folder->metrics, "cannot read it");
    }
    free(line);
    fclose(metrics);
}

static void csv_look(struct csv *csv, const char *line) {
    csv->hellaswag = csv->hellaswag || csv_is_hellaswag(line);
}

void csv_open(struct csv *csv, const struct folder *folder, bool hellaswag, bool keep) {
    csv->steps_path = folder->steps_csv;
    csv->evaluations_path = folder->evaluations_csv;
    csv->hellaswag = hellaswag;
    csv_read(csv, folder, csv_look);
    csv->steps = csv_create(csv->steps_path, csv_steps);
    csv->evaluations = csv_create(csv->evaluations_path, csv_evaluation_columns(csv));
    csv_read(csv, folder, csv_put);
    csv_replace(csv->steps, csv->steps_path, keep);
    csv_replace(csv->evaluations, csv->evaluations_path, keep);
    if (!sync_names(csv->steps_path)) {
        csv_fail(csv->steps_path, "cannot sync its folder");
    }
}

void csv_add(struct csv *csv, const char *line) {
    if (csv->steps) {
        csv_put(csv, line);
        csv_flush(csv->steps, csv->steps_path);
        csv_flush(csv->evaluations, csv->evaluations_path);
    }
}

void csv_sync(const struct csv *csv) {
    if (csv->steps) {
        csv_sync_file(csv->steps, csv->steps_path);
        csv_sync_file(csv->evaluations, csv->evaluations_path);
    }
}

void csv_close(struct csv *csv) {
    if (csv->steps && fclose(csv->steps)) {
        csv_fail(csv->steps_path, "cannot write");
    }
    if (csv->evaluations && fclose(csv->evaluations)) {
        csv_fail(csv->evaluations_path, "cannot write");
    }
    *csv = (struct csv){0};
}
