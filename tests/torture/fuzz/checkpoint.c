// checkpoint.c: what a resume reads of a checkpoint: the metadata, given a key, a '=' and a value a
// line. What is accepted is in range, and a state with it, written and read, has the same.
// links: tests/runtime/fake_model.c
#include "runtime/train/train.h"
#include "tests/torture/fuzz/support/fuzz.h"

#include <unistd.h>

struct reading {
    const char *path;
    struct checkpoint_header header;
};

static void read_header(void *context) {
    struct reading *reading = context;
    checkpoint_read_header(reading->path, &reading->header);
}

// A file of no tensors with the metadata.
static const char *make_file(const uint8_t *bytes, size_t length) {
    static const char begin[] = "{\"__metadata__\":{";
    struct fuzz_input input = {bytes, bytes + length};
    char *text = NULL, *line;
    size_t size, piece;
    FILE *out = open_memstream(&text, &size);
    FUZZ_MUST(out != NULL);
    fprintf(out, "%8s%s", "", begin);
    for (int i = 0; (line = fuzz_take(&input, '\n', &piece)); i++) {
        const char *equals = memchr(line, '=', piece);
        size_t key = equals ? (size_t)(equals - line) : piece;
        fputs(i ? "," : "", out);
        json_write_string(out, line, key);
        fputc(':', out);
        json_write_string(out, line + key + (equals != NULL), piece - key - (equals != NULL));
        free(line);
    }
    fputs("}}", out);
    fflush(out);
    fprintf(out, "%*s", (int)(-size % 8), "");
    FUZZ_MUST(fclose(out) == 0);
    uint64_t header = size - 8;
    memcpy(text, &header, sizeof header);
    const char *path = fuzz_file("file.safetensors", text, size);
    free(text);
    return path;
}

static void check_progress(const struct progress *p) {
    FUZZ_MUST(p->iter >= 0 && p->updates >= 0 && p->updates <= p->iter);
    FUZZ_MUST(p->skipped >= 0 && p->skipped <= p->iter && p->bad_in_a_row <= p->skipped);
    FUZZ_MUST(p->loss_scale >= 0 && p->loss_scale_steps >= 0 && p->log_lines >= -1);
    FUZZ_MUST(p->best_val_loss >= 0 && !(p->train_loss < 0) && !(p->val_loss < 0));
    FUZZ_MUST(strlen(p->from) < sizeof p->from && strlen(p->data) < sizeof p->data);
}

static bool same_text(const char *a, const char *b) {
    return !strcmp(a, b);
}

static bool same_loss(double a, double b) {
    return a == b || (a != a && b != b);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    struct reading first = {.path = make_file(bytes, length)};
    if (!fuzz_survives(read_header, &first)) {
        FUZZ_MUST(fuzz_code == EXIT_DATA);
        return 0;
    }
    const struct checkpoint_header *a = &first.header;
    const struct progress *p = &a->progress;
    check_progress(p);
    // In one of 32, since writing takes longer than reading.
    if (a->has_progress && length % 32 == 0) {
        static const struct param none[1];
        struct model_info info = model_info;
        info.params = none;
        info.params_count = 0;
        info.config = a->config;
        struct model m = {0};
        struct reading second = {.path = fuzz_path("again.safetensors")};
        bool plain = true;
        const char *const texts[] = {a->config, a->run, a->tokenizer, p->from_path};
        for (int i = 0; i < 4; i++) {
            for (const char *c = texts[i]; *c; c++) {
                plain = plain && (unsigned char)*c >= 0x20 && *c != '"' && *c != '\\';
            }
        }
        // from_path may have been cut within a character.
        plain = plain && strlen(p->from_path) < sizeof p->from_path - 4;
        // A trainer counts the lines of its log before it saves.
        plain = plain && p->log_lines >= 0;
        if (plain) {
            checkpoint_save_weights(second.path, &m, &info, p, a->run, a->tokenizer);
            FUZZ_MUST(fuzz_survives(read_header, &second));
            const struct progress *q = &second.header.progress;
            FUZZ_MUST(same_text(a->config, second.header.config));
            FUZZ_MUST(same_text(a->run, second.header.run));
            FUZZ_MUST(same_text(a->tokenizer, second.header.tokenizer));
            FUZZ_MUST(p->iter == q->iter && p->updates == q->updates && p->skipped == q->skipped);
            FUZZ_MUST(p->bad_in_a_row == q->bad_in_a_row && p->finished == q->finished);
            FUZZ_MUST(p->loss_scale == q->loss_scale && p->loss_scale_steps == q->loss_scale_steps);
            FUZZ_MUST(same_loss(p->best_val_loss, q->best_val_loss));
            FUZZ_MUST(same_loss(p->train_loss, q->train_loss));
            FUZZ_MUST(same_loss(p->val_loss, q->val_loss));
            FUZZ_MUST(p->log_lines == q->log_lines);
            FUZZ_MUST(same_text(p->from, q->from) && same_text(p->from_path, q->from_path));
            FUZZ_MUST(same_text(p->data, q->data));
            checkpoint_free_header(&second.header);
        }
    }
    checkpoint_free_header(&first.header);
    return 0;
}
