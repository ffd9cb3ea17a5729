// eval.c: how well a checkpoint predicts a text: mean loss, perplexity, bits per token and byte.
//
//     eval --checkpoint=PATH [--split=val|train | --text=FILE | --hellaswag=FILE] [--stride=N]
//          [--dataset=NAME] [--data_dir=DIR] [--threads=N] [--json=PATH]
//
// The text is a whole split of the data set, or any UTF-8 file in the checkpoint's tokens. It is
// cut into windows of T tokens, each `stride` after the one before, and every token but the first
// is predicted once: of a window, the targets that the one before did not have. With stride = T,
// the default, windows do not overlap; a smaller one gives each token at least T - stride tokens of
// context. Losses are added in the text's order, in double, so the result does not depend on the
// batch or on threads. Bits per byte leave out targets that stand for no bytes, <|endoftext|>.
//
// Of HellaSwag, or questions in the same file format, the result is the share of items whose right
// ending is the likeliest (train/hellaswag.c).
#include "runtime/train/train.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct eval_options {
    const char *checkpoint, *split, *text, *hellaswag, *stride, *dataset, *data_dir, *threads,
        *json;
};

struct eval {
    const struct model_info *info;
    struct model m;
    struct tokenizer tokenizer;
    const char *name; // "val", "train", or the text's path
    int64_t count;    // tokens of the text
    int64_t stride;
    struct data data;
    const struct split *split; // the text, or
    int32_t *ids;              // (count)
    int64_t windows, targets, bytes;
    double loss, byte_loss; // sums over the targets, and over those with bytes
};

static void eval_read_options(struct eval_options *options, int argc, char **argv) {
    static const char wanted[] =
        "--checkpoint=, --split=val|train, --text=, --hellaswag=, "
        "--stride=, --dataset=, --data_dir=, --threads= and --json= are known";
    *options = (struct eval_options){.split = "val",
                                     .dataset = run_defaults.dataset,
                                     .data_dir = run_defaults.data_dir,
                                     .threads = "0"};
    const struct text_flag flags[] = {{"--checkpoint=", &options->checkpoint},
                                      {"--split=", &options->split},
                                      {"--text=", &options->text},
                                      {"--hellaswag=", &options->hellaswag},
                                      {"--stride=", &options->stride},
                                      {"--dataset=", &options->dataset},
                                      {"--data_dir=", &options->data_dir},
                                      {"--threads=", &options->threads},
                                      {"--json=", &options->json}};
    flags_read("eval", wanted, flags, sizeof flags / sizeof *flags, argc, argv);
    if (!options->checkpoint || !*options->checkpoint) {
        die(EXIT_USAGE, "eval: --checkpoint= is missing; %s", wanted);
    }
    if (strcmp(options->split, "val") != 0 && strcmp(options->split, "train") != 0) {
        die(EXIT_USAGE, "--split: '%s' is not known; there are: val, train", options->split);
    }
}

// ---- the text -----------------------------------------------------------------------------------

// Opens the data set's split; T is no least length, since the last window may be a part.
static void eval_open_split(struct eval *e, const struct eval_options *options) {
    char *dir = allocate_print("a path", "%s/%s", *options->data_dir ? options->data_dir : "data",
                               options->dataset);
    data_open(&e->data, dir, e->info->vocab_size, 1);
    free(dir);
    e->split = strcmp(options->split, "val") ? &e->data.train : &e->data.val;
    e->name = options->split;
    e->count = (int64_t)e->split->count;
}

// Reads a text and encodes it.
static void eval_open_text(struct eval *e, const char *path) {
    struct stat status;
    const int file = file_open(path, O_RDONLY, &status);
    if (file < 0) {
        die(errno == ENOENT || errno == ENOTDIR ? EXIT_MISSING : exit_code_of(errno),
            "%s: cannot open: %s", path, strerror(errno));
    }
    if (!S_ISREG(status.st_mode) || status.st_size == 0) {
        die(EXIT_DATA, "%s: is empty or no regular file; a UTF-8 text is wanted", path);
    }
    const size_t length = (size_t)status.st_size;
    const char *text = mapped_open(file, length, path);
    const int32_t begin = tokenizer_begin(&e->tokenizer);
    const int begins = begin >= 0;
    e->ids =
        allocate(tokenizer_room(&e->tokenizer, length) + 1, sizeof *e->ids, "the text's tokens");
    e->ids[0] = begin;
    size_t where;
    e->count = tokenizer_encode(&e->tokenizer, text, length, e->ids + begins, &where);
    if (e->count < 0) {
        die(EXIT_DATA,
            "%s: byte %zu is not UTF-8, or begins a character that the checkpoint's vocabulary "
            "lacks",
            path, where);
    }
    e->count += begins;
    mapped_close(text);
    e->name = path;
}

// Copies the tokens from `at` on, `count` of them.
static void eval_tokens(const struct eval *e, int64_t at, int64_t count, int32_t *tokens) {
    if (e->ids) {
        memcpy(tokens, e->ids + at, (size_t)count * sizeof *tokens);
        return;
    }
    uint32_t piece[4096];
    for (int64_t i = 0; i < count;) {
        const int64_t some = count - i < 4096 ? count - i : 4096;
        const enum exit_code code = split_tokens(e->split, (uint64_t)(at + i), (size_t)some, piece);
        if (code) {
            exit(code); // after split_tokens' line
        }
        for (int64_t k = 0; k < some; k++, i++) {
            if (piece[k] >= (uint32_t)e->info->vocab_size) {
                const struct token_place place = split_place(e->split, (uint64_t)(at + i));
                die(EXIT_DATA, "%s: token %" PRIu64 " is %" PRIu32 ", but the vocabulary has %d",
                    place.path, place.at, piece[k], e->info->vocab_size);
            }
            tokens[i] = (int32_t)piece[k];
        }
    }
}

// ---- windows ------------------------------------------------------------------------------------

// The part of window `w` that the one before did not predict: its targets [first, last) of the
// window, which begins at token w * stride; none after the last window.
struct window {
    int64_t begin, first, last;
};
static struct window eval_window(const struct eval *e, int64_t w) {
    const int64_t T = e->info->block_size;
    struct window window = {.begin = w * e->stride, .first = w ? T - e->stride : 0};
    const int64_t there = e->count - 1 - window.begin; // targets from here to the text's end
    window.last = w >= e->windows ? 0 : there < T ? there : T;
    return window;
}

// Fills row `r` of the batch with a window; tokens after the text's end are 0 and have no target.
static void eval_fill(struct eval *e, int r, int64_t w, int32_t *ids) {
    const int64_t T = e->info->block_size;
    const struct window window = eval_window(e, w);
    int32_t *tokens = e->m.tokens + r * T, *targets = e->m.targets + r * T;
    if (window.last) {
        eval_tokens(e, window.begin, window.last + 1, ids);
    }
    for (int64_t i = 0; i < T; i++) {
        tokens[i] = i < window.last ? ids[i] : 0;
        targets[i] = i >= window.first && i < window.last ? ids[i + 1] : -1;
    }
}

// Adds the losses (B, T) of a batch.
static void eval_add(struct eval *e, const float *losses, int rows, int32_t *const *ids,
                     int64_t first_window) {
    for (int r = 0; r < rows; r++) {
        const struct window window = eval_window(e, first_window + r);
        for (int64_t i = window.first; i < window.last; i++) {
            const double loss = losses[(int64_t)r * e->info->block_size + i];
            const size_t bytes = tokenizer_bytes(&e->tokenizer, ids[r][i + 1]);
            e->loss += loss;
            e->targets++;
            e->bytes += (int64_t)bytes;
            e->byte_loss += bytes ? loss : 0;
        }
    }
}

static void eval_run(struct eval *e) {
    const int B = e->info->batch_size, T = e->info->block_size;
    const int64_t over = e->count - 1 - T;
    e->windows = 1 + (over > 0 ? (over + e->stride - 1) / e->stride : 0);
    float *losses = allocate((size_t)B * (size_t)T, sizeof *losses, "the rows' losses");
    int32_t **ids = allocate((size_t)B, sizeof *ids, "the batch's tokens");
    for (int r = 0; r < B; r++) {
        ids[r] = allocate((size_t)T + 1, sizeof **ids, "the batch's tokens");
    }
    for (int64_t w = 0; w < e->windows; w += B) {
        for (int r = 0; r < B; r++) {
            eval_fill(e, r, w + r, ids[r]);
        }
        step_loss(&e->m, e->info, true);
        step_losses(&e->m, e->info, losses);
        eval_add(e, losses, B, ids, w);
        meter_show("evaluating %s: window %" PRId64 " of %" PRId64 ", loss %.4f", e->name, w + 1,
                   e->windows, e->loss / (double)e->targets);
    }
    meter_clear();
    for (int r = 0; r < B; r++) {
        free(ids[r]);
    }
    free(ids);
    free(losses);
}

// ---- the result ---------------------------------------------------------------------------------

static void eval_print(const struct eval *e) {
    const double mean = e->loss / (double)e->targets;
    printf("%s: loss %.6f, perplexity %.4f, %.6f bits per token", e->name, mean, exp(mean),
           mean / log(2));
    if (e->bytes) {
        printf(", %.6f bits per byte", e->byte_loss / log(2) / (double)e->bytes);
    }
    printf("; %s tokens predicted in %s windows of %d, stride %" PRId64 "\n",
           figure_count(e->targets).s, figure_count(e->windows).s, e->info->block_size, e->stride);
}

// Begins an object with what was evaluated: by the hash a reader sees whether the checkpoint is
// still that one.
static void eval_write_checkpoint(FILE *out, const char *path,
                                  const struct checkpoint_header *header) {
    fputs("{\"checkpoint\": ", out);
    json_write_string(out, path, strlen(path));
    if (*header->hash) {
        fprintf(out, ", \"checkpoint_xxh3\": \"%s\"", header->hash);
    }
    if (header->has_progress) {
        fprintf(out, ", \"iter\": %" PRId64, header->progress.iter);
    }
}

static void eval_write(const struct eval *e, const struct eval_options *options,
                       const struct checkpoint_header *header) {
    const double mean = e->loss / (double)e->targets;
    struct replacement r;
    replace_begin(&r, options->json);
    eval_write_checkpoint(r.file, options->checkpoint, header);
    fputs(e->ids ? ", \"text\": " : ", \"split\": ", r.file);
    json_write_string(r.file, e->name, strlen(e->name));
    if (!e->ids) {
        fputs(", \"dataset\": ", r.file);
        json_write_string(r.file, options->dataset, strlen(options->dataset));
        fprintf(r.file, ", \"data_xxh3\": \"%s\"", e->data.hash);
    }
    fprintf(r.file,
            ", \"loss\": %.17g, \"perplexity\": %.17g, \"bits_per_token\": %.17g, "
            "\"bits_per_byte\": ",
            mean, exp(mean), mean / log(2));
    if (e->bytes) {
        fprintf(r.file, "%.17g", e->byte_loss / log(2) / (double)e->bytes);
    } else {
        fputs("null", r.file);
    }
    fprintf(r.file,
            ", \"targets\": %" PRId64 ", \"bytes\": %" PRId64 ", \"windows\": %" PRId64
            ", \"block_size\": %d, \"stride\": %" PRId64 "}\n",
            e->targets, e->bytes, e->windows, e->info->block_size, e->stride);
    replace_end(&r);
    printf("written: %s\n", options->json);
}

// ---- HellaSwag ----------------------------------------------------------------------------------

static void eval_write_hellaswag(const struct hellaswag *h, const struct model_info *info,
                                 const struct eval_options *options,
                                 const struct checkpoint_header *header) {
    const struct hellaswag_record result = hellaswag_result(h);
    struct replacement r;
    replace_begin(&r, options->json);
    eval_write_checkpoint(r.file, options->checkpoint, header);
    fputs(", \"hellaswag\": ", r.file);
    json_write_string(r.file, h->items.path, strlen(h->items.path));
    fprintf(r.file,
            ", \"data_xxh3\": \"%s\", \"accuracy\": %.17g, \"accuracy_sum\": %.17g, "
            "\"correct\": %d, \"correct_sum\": %d, \"items\": %d, \"cut\": %d, "
            "\"block_size\": %d, \"chosen\": \"%s\", \"chosen_sum\": \"%s\"}\n",
            h->items.hash, result.by_mean, result.by_sum, h->right_by_mean, h->right_by_sum,
            h->items.count, h->cut, info->block_size, h->chosen_by_mean, h->chosen_by_sum);
    replace_end(&r);
    printf("written: %s\n", options->json);
}

static void eval_hellaswag(const struct eval_options *options, const struct model_info *info) {
    struct checkpoint_header header;
    struct hellaswag h;
    struct model m;
    struct progress progress;
    checkpoint_read_header(options->checkpoint, &header);
    hellaswag_open(&h, options->hellaswag, info, options->checkpoint, header.tokenizer);
    model_create(&m, info, false);
    checkpoint_load(options->checkpoint, &m, info, &progress, header.tokenizer);
    step_begin(&m, info, 0, 0, 0);
    hellaswag_run(&h, &m, info);
    hellaswag_print(&h);
    if (!h.finite) {
        die(EXIT_NUMERICS, "%s: its loss is not finite", options->checkpoint);
    }
    if (options->json) {
        eval_write_hellaswag(&h, info, options, &header);
    }
    hellaswag_close(&h);
    model_destroy(&m);
    checkpoint_free_header(&header);
}

int main(int argc, char **argv) {
    streams_open();
    struct eval_options options;
    eval_read_options(&options, argc, argv);
    struct eval e = {.info = &model_info};
    e.stride = e.info->block_size;
    if (options.stride) {
        e.stride = flags_number("--stride", options.stride, 1, e.info->block_size);
    }
    parallel_choose((int)flags_number("--threads", options.threads, 0, 1024));
    if (options.hellaswag) {
        eval_hellaswag(&options, e.info);
        return streams_close(EXIT_DONE);
    }

    struct checkpoint_header header;
    checkpoint_read_header(options.checkpoint, &header);
    const char *tokens = header.tokenizer, *problem;
    if (!options.text) {
        eval_open_split(&e, &options);
        tokens = e.data.tokenizer.text;
    } else if (!*tokens) {
        die(EXIT_DATA,
            "%s: has no tokenizer in its metadata, so no text can be turned into its tokens; "
            "evaluate a data set of its tokens",
            options.checkpoint);
    }
    if (!tokenizer_parse(&e.tokenizer, tokens, &problem)) {
        die(EXIT_DATA, "%s: %s", options.checkpoint, problem);
    }
    if (options.text) {
        eval_open_text(&e, options.text);
    }
    if (e.count < 2) {
        die(EXIT_DATA,
            "%s: has %" PRId64 " tokens; at least two are wanted, of which one is "
            "predicted",
            e.name, e.count);
    }
    model_create(&e.m, e.info, false);
    struct progress progress;
    checkpoint_load(options.checkpoint, &e.m, e.info, &progress, tokens);
    step_begin(&e.m, e.info, 0, 0, 0);
    eval_run(&e);
    eval_print(&e);
    if (!isfinite(e.loss)) {
        die(EXIT_NUMERICS, "%s: its loss is not finite", options.checkpoint);
    }
    if (options.json) {
        eval_write(&e, &options, &header);
    }
    checkpoint_free_header(&header);
    if (!options.text) {
        data_close(&e.data);
    }
    free(e.ids);
    tokenizer_free(&e.tokenizer);
    model_destroy(&e.m);
    return streams_close(EXIT_DONE);
}
