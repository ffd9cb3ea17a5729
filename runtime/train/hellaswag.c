// hellaswag.c: which of an item's endings a model takes to be the likeliest, as llm.c and
// build-nanogpt ask it: a row of a batch is the context and one of its endings; the losses of the
// ending's tokens are added, in their order, in double; the ending of the lowest mean, or of the
// lowest sum, is the model's choice, the first one of equals.
//
// Of a context and an ending that are longer than a row, the first tokens are left out, and the
// item is counted as cut: llm.c refuses such a file. A row's loss does not depend on its batch, so
// the result depends neither on batch_size nor on threads.
#include "runtime/train/train.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

char *hellaswag_path(const char *data_dir) {
    return allocate_print("a path", "%s/hellaswag/hellaswag_val.bin",
                          *data_dir ? data_dir : "data");
}

void hellaswag_open(struct hellaswag *h, const char *path, const struct model_info *info,
                    const char *whose, const char *tokenizer) {
    char error[CHOICES_ERROR];
    enum exit_code code = EXIT_DATA;
    *h = (struct hellaswag){0};
    if (!choices_open(&h->items, path, error, &code) ||
        !choices_fit(&h->items, whose, tokenizer, info->vocab_size, error)) {
        die(code, "%s", error);
    }
    h->losses = allocate((size_t)info->batch_size * (size_t)info->block_size, sizeof *h->losses,
                         "the rows' losses");
    h->chosen_by_mean = allocate((size_t)h->items.count + 1, 1, "the endings that are chosen");
    h->chosen_by_sum = allocate((size_t)h->items.count + 1, 1, "the endings that are chosen");
}

void hellaswag_close(struct hellaswag *h) {
    if (h->losses) {
        choices_close(&h->items);
        free(h->losses);
        free(h->chosen_by_mean);
        free(h->chosen_by_sum);
    }
    *h = (struct hellaswag){0};
}

// Where an ending's targets are in a row of T: [first, last). The row begins with token `skipped`
// of the context and the ending.
struct targets_span {
    int first, last, skipped;
};
static struct targets_span hellaswag_span(const struct choice *item, int ending, int T) {
    const int context = item->part[0].count, count = item->part[1 + ending].count;
    const int over = context + count - 1 - T; // the ending's last token is no input
    struct targets_span span = {.skipped = over > 0 ? over : 0};
    span.last = context + count - 1 - span.skipped;
    span.first = context - 1 > span.skipped ? context - 1 - span.skipped : 0;
    return span;
}

// Fills a row of the batch. A row of no item has no target.
static void hellaswag_fill(const struct hellaswag *h, int64_t row, int T, int32_t *tokens,
                           int32_t *targets) {
    memset(tokens, 0, (size_t)T * sizeof *tokens);
    for (int t = 0; t < T; t++) {
        targets[t] = -1;
    }
    if (row >= (int64_t)h->items.count * CHOICES) {
        return;
    }
    const struct choice item = choices_item(&h->items, (int)(row / CHOICES));
    const struct choice_tokens context = item.part[0], ending = item.part[1 + row % CHOICES];
    const struct targets_span span = hellaswag_span(&item, (int)(row % CHOICES), T);
    for (int t = 0; t < span.last; t++) {
        const int at = t + span.skipped, next = at + 1 - context.count;
        tokens[t] = at < context.count ? context.tokens[at] : ending.tokens[at - context.count];
        targets[t] = t < span.first ? -1 : ending.tokens[next];
    }
}

// Compares an ending, by its losses (T), with those of its item before it; the last one ends the
// item.
static void hellaswag_add(struct hellaswag *h, int64_t row, int T, const float *losses) {
    const struct choice item = choices_item(&h->items, (int)(row / CHOICES));
    const int ending = (int)(row % CHOICES);
    const struct targets_span span = hellaswag_span(&item, ending, T);
    double sum = 0;
    for (int t = span.first; t < span.last; t++) {
        sum += losses[t];
    }
    const double mean = sum / (span.last - span.first);
    if (ending == 0) {
        h->by_mean = h->by_sum = 0;
        h->is_cut = false;
    }
    if (ending == 0 || mean < h->least_mean) {
        h->least_mean = mean;
        h->by_mean = ending;
    }
    if (ending == 0 || sum < h->least_sum) {
        h->least_sum = sum;
        h->by_sum = ending;
    }
    h->is_cut = h->is_cut || span.skipped > 0;
    h->finite = h->finite && isfinite(sum);
    if (ending == CHOICES - 1) {
        h->chosen_by_mean[row / CHOICES] = (char)('0' + h->by_mean);
        h->chosen_by_sum[row / CHOICES] = (char)('0' + h->by_sum);
        h->right_by_mean += h->by_mean == item.right;
        h->right_by_sum += h->by_sum == item.right;
        h->cut += h->is_cut;
    }
}

bool hellaswag_run(struct hellaswag *h, struct model *m, const struct model_info *info) {
    const int B = info->batch_size, T = info->block_size;
    const int64_t rows = (int64_t)h->items.count * CHOICES;
    h->right_by_mean = h->right_by_sum = h->cut = 0;
    h->finite = true;
    m->dropout = 0;
    for (int64_t row = 0; row < rows; row += B) {
        if (stop_asked()) {
            return false;
        }
        for (int b = 0; b < B; b++) {
            hellaswag_fill(h, row + b, T, m->tokens + (int64_t)b * T, m->targets + (int64_t)b * T);
        }
        step_loss(m, info, true);
        step_losses(m, info, h->losses);
        for (int b = 0; b < B && row + b < rows; b++) {
            hellaswag_add(h, row + b, T, h->losses + (int64_t)b * T);
        }
        meter_show("HellaSwag: item %" PRId64 " of %d, %.4f so far", row / CHOICES + 1,
                   h->items.count, (double)h->right_by_mean * CHOICES / (double)(row + B));
    }
    meter_clear();
    return true;
}

struct hellaswag_record hellaswag_result(const struct hellaswag *h) {
    const double count = h->finite ? h->items.count : NAN;
    return (struct hellaswag_record){.by_mean = (double)h->right_by_mean / count,
                                     .by_sum = (double)h->right_by_sum / count};
}

void hellaswag_print(const struct hellaswag *h) {
    const struct hellaswag_record result = hellaswag_result(h);
    printf("HellaSwag accuracy: %d/%d=%.4f, by the sum of losses %d/%d=%.4f", h->right_by_mean,
           h->items.count, result.by_mean, h->right_by_sum, h->items.count, result.by_sum);
    if (h->cut) {
        printf("; %d items are longer than the model's context and were cut at the front", h->cut);
    }
    printf("\n");
}
