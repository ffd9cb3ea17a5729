// closing.c: the figures of a finished run, by which short runs are compared: as a block of
// "key: value" lines that scripts take from the output, and as an object in run.json.
#include "runtime/train/train.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

struct closing_line {
    const char *key;
    double value;
    int digits; // after the point
};
enum { CLOSING_LINES = 9, CLOSING_COLUMN = 18 };

static void closing_lines(const struct closing *c, struct closing_line line[CLOSING_LINES]) {
    const struct closing_line lines[CLOSING_LINES] = {
        {"val_loss", c->val_loss, 6},
        {"val_bpb", c->val_bpb, 6},
        {"training_seconds", c->training_seconds, 1},
        {"total_seconds", c->total_seconds, 1},
        {"peak_mb", c->peak_mb, 1},
        {"mfu_percent", c->mfu_percent, 2},
        {"tokens_M", c->tokens / 1e6, 3},
        {"num_steps", (double)c->num_steps, 0},
        {"num_params_M", c->num_params / 1e6, 3},
    };
    memcpy(line, lines, sizeof lines);
}

void closing_print(const struct closing *closing) {
    struct closing_line line[CLOSING_LINES];
    closing_lines(closing, line);
    printf("---\n");
    for (int i = 0; i < CLOSING_LINES; i++) {
        if (isfinite(line[i].value)) {
            const int gap = CLOSING_COLUMN - (int)strlen(line[i].key) - 1;
            printf("%s:%*s%.*f\n", line[i].key, gap, "", line[i].digits, line[i].value);
        }
    }
}

void closing_write(const struct closing *closing, FILE *out) {
    struct closing_line line[CLOSING_LINES];
    closing_lines(closing, line);
    for (int i = 0; i < CLOSING_LINES; i++) {
        fprintf(out, "%s\"%s\": ", i ? ", " : "{", line[i].key);
        if (line[i].digits) {
            json_write_number(out, line[i].value);
        } else {
            fprintf(out, "%.0f", line[i].value);
        }
    }
    putc('}', out);
}
