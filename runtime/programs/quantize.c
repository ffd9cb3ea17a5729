// quantize.c: what a type of weights costs a sampler, a row of the table of make quantize:
//
//     quantize --weights=FILE --chosen=FILE --dataset=NAME --data_dir=DIR [--tokens=N]
//              [--threads=N]
//
// Its loss over the first tokens of the validation data, in windows of the context that do not
// overlap, is that of the sampler's own forward pass, token by token, for several windows together.
// A sampler of float32 writes its loss and the likeliest token in each place to the file of
// --chosen; one of another kind compares itself with them. Speed is that of one text.
#include "runtime/sample/sample.h"
#include "runtime/train/train.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    QUANTIZE_TOKENS = 1 << 16, // by default
    QUANTIZE_TOGETHER = 64,    // windows
};
static const double QUANTIZE_SECONDS = 1.0; // of writing text

struct quantize {
    struct sampler_file file;
    struct sampler s;
    struct data data;
    int64_t windows, count; // tokens that are predicted
    int32_t *tokens;        // (count + 1)
    int32_t *chosen;        // (count) the likeliest ones
    double loss;            // their sum
};

static void quantize_read_tokens(struct quantize *q, int64_t most) {
    const struct split *split = &q->data.val;
    const int64_t T = sampler_info.block_size, there = (int64_t)split->count - 1;
    q->windows = (most < there ? most : there) / T;
    q->windows = q->windows ? q->windows : 1;
    q->count = q->windows * T;
    q->tokens = allocate((size_t)q->count + 1, sizeof *q->tokens, "the text's tokens");
    q->chosen = allocate((size_t)q->count, sizeof *q->chosen, "the likeliest tokens");
    const enum exit_code code =
        split_tokens(split, 0, (size_t)q->count + 1, (uint32_t *)(void *)q->tokens);
    if (code) {
        exit(code); // after split_tokens' line
    }
    for (int64_t i = 0; i <= q->count; i++) {
        if (q->tokens[i] < 0 || q->tokens[i] >= sampler_info.vocab_size) {
            die(EXIT_DATA, "%s: token %" PRId64 " is %" PRId32 ", but the vocabulary has %d",
                split->path, i, q->tokens[i], sampler_info.vocab_size);
        }
    }
}

// Notes what the logits (V) say of the token in a place.
static void quantize_look(struct quantize *q, int64_t place, const float *logits) {
    const int V = q->s.vocab_size;
    const double loss = logprobs_total(logits, V) - (double)logits[q->tokens[place + 1]];
    if (!isfinite(loss)) {
        die(EXIT_NUMERICS, "%s: its loss is not finite", q->file.tensors.path);
    }
    q->loss += loss;
    logprobs_top(logits, V, 1, &q->chosen[place]);
}

// Windows first, first + 1, ..., `rows` of them: a token of each at a time.
static void quantize_windows(struct quantize *q, int64_t first, int rows) {
    const int T = sampler_info.block_size;
    int32_t ids[QUANTIZE_TOGETHER];
    for (int t = 0; t < T; t++) {
        for (int r = 0; r < rows; r++) {
            ids[r] = q->tokens[(first + r) * T + t];
            q->s.pos[r] = t;
            q->s.runs[r] =
                (struct sampler_run){.cache = q->s.text[r].cache, .first = r, .rows = 1, .pos = t};
        }
        struct sampler_batch batch = {.tokens = ids,
                                      .pos = q->s.pos,
                                      .rows = rows,
                                      .runs = q->s.runs,
                                      .count = rows,
                                      .asked = q->s.runs,
                                      .asks = rows,
                                      .logits = q->s.logits};
        sampler_run_batch(&q->s, &batch);
        for (int r = 0; r < rows; r++) {
            quantize_look(q, (first + r) * T + t,
                          q->s.logits + (size_t)r * (size_t)sampler_info.vocab_size);
        }
    }
}

static void quantize_run(struct quantize *q) {
    int together =
        sampler_info.max_rows < QUANTIZE_TOGETHER ? sampler_info.max_rows : QUANTIZE_TOGETHER;
    together = q->windows < together ? (int)q->windows : together;
    sampler_make_room(&q->s, together);
    for (int64_t w = 0; w < q->windows; w += together) {
        const int64_t left = q->windows - w;
        quantize_windows(q, w, left < together ? (int)left : together);
        meter_show("%s: window %" PRId64 " of %" PRId64, sampler_kind(), w, q->windows);
    }
    meter_clear();
}

// ---- speed --------------------------------------------------------------------------------------

struct quantize_clock {
    double start, end;
    int64_t tokens; // after the first
};

static bool quantize_token(void *context, int32_t id) {
    (void)id;
    struct quantize_clock *clock = context;
    clock->end = time_now();
    if (clock->start == 0) {
        clock->start = clock->end;
    } else {
        clock->tokens++;
    }
    return true;
}

// Tokens that one text gets in a second, within the context.
static double quantize_speed(struct quantize *q) {
    static const struct sampling sampling = {
        .temperature = 0.8, .top_k = 200, .top_p = 1, .seed = 1};
    const int T = sampler_info.block_size, from = T > 16 ? 16 : 1;
    const int64_t count = T - from < 2 ? 2 : T - from < 128 ? T - from : 128;
    double seconds = 0;
    int64_t tokens = 0;
    sampler_make_room(&q->s, 1);
    for (uint32_t text = 0; seconds < QUANTIZE_SECONDS; text++) {
        struct quantize_clock clock = {.start = 0};
        sampler_generate(&q->s, q->tokens, from, count, &sampling, text, quantize_token, &clock);
        seconds += clock.end - clock.start;
        tokens += clock.tokens;
    }
    return (double)tokens / seconds;
}

// ---- the likeliest tokens of float32 ------------------------------------------------------------

struct quantize_head {
    int64_t count;
    double loss;
};

static void quantize_write(const struct quantize *q, const char *path) {
    const struct quantize_head head = {q->count, q->loss};
    struct replacement r;
    replace_begin(&r, path);
    fwrite(&head, sizeof head, 1, r.file);
    fwrite(q->chosen, sizeof *q->chosen, (size_t)q->count, r.file);
    replace_end(&r);
}

// Reads them; returns in how many places they are these.
static int64_t quantize_compare(const struct quantize *q, const char *path, double *loss) {
    struct quantize_head head;
    int32_t chosen;
    int64_t same = 0;
    FILE *file = fopen(path, "rb");
    if (!file) {
        die(EXIT_MISSING, "%s: cannot open: %s; quantize of float32 weights writes it", path,
            strerror(errno));
    }
    bool whole = fread(&head, sizeof head, 1, file) == 1 && head.count == q->count;
    for (int64_t i = 0; i < q->count && whole; i++) {
        whole = fread(&chosen, sizeof chosen, 1, file) == 1;
        same += whole && chosen == q->chosen[i];
    }
    fclose(file);
    if (!whole) {
        die(EXIT_DATA, "%s: is not of these %s tokens; run make quantize again", path,
            figure_count(q->count).s);
    }
    *loss = head.loss;
    return same;
}

int main(int argc, char **argv) {
    streams_open();
    const char *weights = NULL, *chosen = NULL, *dataset = run_defaults.dataset;
    const char *data_dir = run_defaults.data_dir, *tokens = NULL, *threads = "0";
    const struct text_flag flags[] = {{"--weights=", &weights}, {"--chosen=", &chosen},
                                      {"--dataset=", &dataset}, {"--data_dir=", &data_dir},
                                      {"--tokens=", &tokens},   {"--threads=", &threads}};
    flags_read("quantize",
               "--weights=, --chosen=, --dataset=, --data_dir=, --tokens= and --threads= are known",
               flags, sizeof flags / sizeof *flags, argc, argv);
    if (!weights || !chosen) {
        die(EXIT_USAGE, "quantize: --%s= is missing", weights ? "chosen" : "weights");
    }
    const int64_t most =
        tokens && *tokens ? flags_number("--tokens", tokens, 1, INT32_MAX) : QUANTIZE_TOKENS;
    const int wanted = (int)flags_number("--threads", threads, 0, 1024);
    struct quantize q = {.count = 0};
    char error[512];
    enum exit_code code;
    if (!sampler_open(&q.file, &q.s, weights, parallel_choose(wanted), error, &code)) {
        die(code, "%s", error);
    }
    char *dir = allocate_print("a path", "%s/%s", *data_dir ? data_dir : "data", dataset);
    data_open(&q.data, dir, sampler_info.vocab_size, sampler_info.block_size);
    free(dir);
    quantize_read_tokens(&q, most);
    quantize_run(&q);
    double reference = q.loss;
    int64_t same = q.count;
    if (sampler_info.weights == WEIGHT_F32 && !sampler_info.cache_bfloat16) {
        quantize_write(&q, chosen);
    } else {
        same = quantize_compare(&q, chosen, &reference);
    }
    const double speed = quantize_speed(&q);
    printf("%-20s %15s %11.6f %+11.6f %9.3f%% %11.1f\n", sampler_kind(),
           figure_count((int64_t)q.file.tensors.map_bytes).s, q.loss / (double)q.count,
           (q.loss - reference) / (double)q.count, 100.0 * (double)same / (double)q.count, speed);
    free(q.tokens);
    free(q.chosen);
    data_close(&q.data);
    sampler_close(&q.file, &q.s);
    return streams_close(EXIT_DONE);
}
