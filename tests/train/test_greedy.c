// test_greedy.c: one emitted sampler against PyTorch's plain forward passes over the whole context.
//
//     test_greedy GOLDEN.safetensors     a golden file of the same config, from tests/reference
//
// Compares the logits after the first sequence, which goes through the KV cache in pieces whose
// sizes change no bit, its attention weights, and 32 greedy tokens, which exceed the context in
// most goldens; and texts that are written together with what each is alone; with 1 to 4 threads.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/sample/sample.h"
#include "runtime/train/train.h"

// QUICK: fewer ways that must give the same bytes, for an emulated processor; nor is it the
// sanitizers' part to show that they do.
#if defined(QUICK) || defined(__SANITIZE_ADDRESS__)
enum { ALL_WAYS = 0 };
#else
enum { ALL_WAYS = 1 };
#endif

static const double LOGITS_LIMIT = 1e-5; // relative, in L2
static const double WEIGHT_LIMIT = 1e-5; // of each attention weight
static const double SUM_LIMIT = 1e-6;    // of a row of them, from 1

static const struct tensor_view *greedy_tensor(const struct safetensors *file, const char *name) {
    const struct tensor_view *view = safetensors_find(file, name);
    if (!view) {
        die(EXIT_DATA, "%s: no tensor %s", file->path, name);
    }
    return view;
}

// The rows of one weight: of its tensor, or of the `pieces` tensors that it is made of. A golden
// file has its tensors by name, so pieces are copied together, into memory that the first one owns.
static const float *greedy_weight(const struct safetensors *file, const struct param *params,
                                  int pieces, int layer) {
    char name[PARAM_NAME];
    param_name(params, layer, "param.", name);
    struct tensor_view *first = (struct tensor_view *)greedy_tensor(file, name);
    if (pieces == 1 || first->own) { // one tensor, or joined before
        return pieces == 1 ? first->data : first->own;
    }
    size_t bytes = 0;
    float *joined = NULL;
    for (int k = 0; k < pieces; k++) {
        param_name(&params[k], layer, "param.", name);
        const struct tensor_view *view = greedy_tensor(file, name);
        joined = realloc(joined, bytes + view->bytes);
        memcpy((char *)joined + bytes, view->data, view->bytes);
        bytes += view->bytes;
    }
    first->own = joined;
    return joined;
}

static void greedy_weights(struct sampler *s, const struct safetensors *file) {
    int count = 0;
    for (int i = 0, end; i < sampler_info.params_count; i = end) {
        const struct param *param = &sampler_info.params[i];
        for (end = i + 1; end < sampler_info.params_count && sampler_info.params[end].joined;) {
            end++;
        }
        for (int layer = 0; layer < param->layers; layer++) {
            s->weight[count++] =
                greedy_weight(file, param->copy ? &sampler_info.params[0] : param, end - i, layer);
        }
    }
}

// The error of the logits (V) after tokens (T), given in pieces of `piece` rows.
static double greedy_logits_error(struct sampler *s, const float *tokens,
                                  const struct tensor_view *wanted, int piece, float *logits) {
    const int T = sampler_info.block_size, V = sampler_info.vocab_size;
    int32_t *ids = malloc((size_t)T * sizeof(int32_t));
    for (int t = 0; t < T; t++) {
        ids[t] = (int32_t)tokens[t];
    }
    sampler_begin(s);
    for (int t = 0; t < T; t += piece) {
        sampler_take(s, ids + t, t + piece < T ? piece : T - t);
    }
    memcpy(logits, s->logits, (size_t)V * sizeof *logits);
    double difference = 0, size = 0;
    for (int v = 0; v < V; v++) {
        difference += pow((double)logits[v] - wanted->data[v], 2);
        size += pow(wanted->data[v], 2);
    }
    free(ids);
    return sqrt(difference / size);
}

struct greedy_attention {
    double error, sum_error; // the largest
};

// The attention weights of the first `count` tokens, which do not depend on later ones.
static void greedy_attend(struct sampler *s, const float *tokens, const struct tensor_view *wanted,
                          int count, struct greedy_attention *worst) {
    const int T = sampler_info.block_size, squares = sampler_info.n_layer * sampler_info.n_head;
    const size_t square = (size_t)count * (size_t)count;
    int32_t *ids = calloc((size_t)count, sizeof *ids);
    float *weights = calloc((size_t)squares * square, sizeof *weights);
    for (int t = 0; t < count; t++) {
        ids[t] = (int32_t)tokens[t];
    }
    sampler_attention(s, ids, count, weights);
    for (int row = 0; row < squares * count; row++) {
        const float *got = weights + (size_t)row * (size_t)count;
        const float *right = wanted->data + ((size_t)(row / count) * T + row % count) * T;
        double sum = 0;
        for (int key = 0; key < count; key++) {
            double error = fabs((double)got[key] - right[key]);
            worst->error = !(error <= worst->error) ? error : worst->error; // a NaN too
            sum += got[key];
        }
        worst->sum_error = !(fabs(sum - 1) <= worst->sum_error) ? fabs(sum - 1) : worst->sum_error;
    }
    free(ids);
    free(weights);
}

struct greedy_said {
    int32_t ids[256];
    int count;
};

static bool greedy_emit(void *context, int32_t id) {
    struct greedy_said *said = context;
    if (said->count < 256) {
        said->ids[said->count++] = id;
    }
    return true;
}

// How many greedy tokens equal PyTorch's, up to the first that does not.
static int greedy_agreed(struct sampler *s, const float *tokens, int prompt, int count) {
    int32_t ids[256];
    for (int i = 0; i < prompt; i++) {
        ids[i] = (int32_t)tokens[i];
    }
    struct greedy_said said = {.count = 0};
    const struct sampling sampling = {.temperature = 0, .top_k = 0, .top_p = 1, .seed = 1};
    sampler_generate(s, ids, prompt, count - prompt, &sampling, 0, greedy_emit, &said);
    int agreed = 0;
    while (agreed < said.count && said.ids[agreed] == (int32_t)tokens[prompt + agreed]) {
        agreed++;
    }
    return agreed;
}

// Texts that are written together.
enum { TOGETHER = 9, TOGETHER_TOKENS = 80 };
struct greedy_together {
    struct greedy_said said[TOGETHER];
    int ended, most; // texts; tokens of the longest
};

static bool greedy_emit_of(void *context, int text, int32_t id) {
    struct greedy_together *t = context;
    greedy_emit(&t->said[text], id);
    return text % 3 != 1 || t->said[text].count < t->most / 2; // some stop early
}

static void greedy_end(void *context, int text, bool finite) {
    struct greedy_together *t = context;
    t->ended += finite && t->said[text].count > 0;
}

// How many texts, written by 1 to TOGETHER at a time, are not what they are alone: past the
// context, greedy and drawn; or a part of these.
static int greedy_together_differ(struct sampler *s, const float *tokens, int prompt, bool all) {
    static const struct sampling ways[] = {
        {.temperature = 0, .top_p = 1, .seed = 1},
        {.temperature = 1.3, .top_p = 1, .seed = 2},
        {.temperature = 1.1, .top_k = 7, .top_p = 0.9, .repetition_penalty = 1.2, .seed = 3},
    };
    const int room = sampler_info.max_rows < TOGETHER ? sampler_info.max_rows : TOGETHER;
    const int T = sampler_info.block_size, wanted = T + 9 - prompt;
    const int most = wanted < TOGETHER_TOKENS ? wanted : TOGETHER_TOKENS;
    int32_t ids[256];
    for (int i = 0; i < prompt; i++) {
        ids[i] = (int32_t)tokens[i];
    }
    int differ = 0;
    for (int way = all ? 0 : 2; way < 3; way++) {
        static struct greedy_said alone[2 * TOGETHER];
        for (int i = 0; i < 2 * room; i++) {
            alone[i].count = 0;
            sampler_generate(s, ids, prompt, most, &ways[way], (uint32_t)i, greedy_emit, &alone[i]);
        }
        for (int n = all ? 1 : room; n <= room; n++) {
            for (int more = 0; more < 2; more++) { // texts than there is room for at a time
                static struct greedy_together t;
                t = (struct greedy_together){.most = most};
                const struct sampler_reader reader = {
                    .context = &t, .emit = greedy_emit_of, .end = greedy_end};
                s->lookup = more ? 3 : 0; // drafts change nothing
                sampler_make_room(s, more ? (n + 1) / 2 : n);
                sampler_together(s, ids, prompt, most, &ways[way], (uint32_t)(more * n), n,
                                 &reader);
                differ += t.ended != n;
                for (int i = 0; i < n; i++) {
                    const struct greedy_said *a = &alone[more * n + i], *b = &t.said[i];
                    const int count = i % 3 == 1 ? most / 2 : most;
                    differ += b->count != count ||
                              memcmp(a->ids, b->ids, (size_t)count * sizeof *a->ids) != 0;
                }
            }
        }
    }
    return differ;
}

int main(int argc, char **argv) {
    if (argc != 2) {
        die(EXIT_USAGE, "test_greedy: wanted one golden file");
    }
    struct safetensors file;
    char error[512];
    enum exit_code code;
    if (!safetensors_open(&file, argv[1], error, &code)) {
        die(code, "%s", error);
    }
    const struct tensor_view *wanted = greedy_tensor(&file, "logits_last");
    const struct tensor_view *tokens = greedy_tensor(&file, "tokens");
    const struct tensor_view *greedy = greedy_tensor(&file, "greedy");
    const char *prompt_text = safetensors_metadata(&file, "greedy_prompt");
    const int prompt = prompt_text ? atoi(prompt_text) : 0;
    const int count = (int)(greedy->bytes / sizeof(float));
    if (prompt < 1 || count <= prompt || count > 256) {
        die(EXIT_DATA, "%s: greedy has %d tokens, %d of them the prompt", file.path, count, prompt);
    }

    int problems = 0;
    double worst = 0;
    struct greedy_attention attention = {0, 0};
    const int T = sampler_info.block_size;
    const struct tensor_view *weights = NULL;
    if (sampler_info.n_head > 0) {
        weights = greedy_tensor(&file, "attention");
        const int64_t dims[4] = {sampler_info.n_layer, sampler_info.n_head, T, T};
        if (weights->ndim != 4 || memcmp(weights->dims, dims, sizeof dims) != 0) {
            die(EXIT_DATA, "%s: attention is not (L, H, T, T)", file.path);
        }
    }
    for (int threads = 1; threads <= 4; threads++) {
        struct sampler s;
        sampler_create(&s, threads);
        greedy_weights(&s, &file);
        if (threads == 1) {
            const size_t bytes = (size_t)sampler_info.vocab_size * sizeof(float);
            float *by_one = malloc(bytes), *logits = malloc(bytes);
            for (int piece = 1; piece <= sampler_info.max_rows; piece++) {
                if (!ALL_WAYS && piece > 2 && piece < sampler_info.max_rows - 1) {
                    continue;
                }
                float *to = piece == 1 ? by_one : logits;
                double off = greedy_logits_error(&s, tokens->data, wanted, piece, to);
                worst = off > worst || isnan(off) ? off : worst;
                if (memcmp(to, by_one, bytes) != 0) {
                    printf("in pieces of %d tokens the logits are others than one by one\n", piece);
                    problems++;
                }
            }
            free(by_one);
            free(logits);
        }
        if (weights) {
            greedy_attend(&s, tokens->data, weights, T, &attention);
            greedy_attend(&s, tokens->data, weights, T / 2 + 1, &attention);
        }
        const int agreed = greedy_agreed(&s, greedy->data, prompt, count);
        if (agreed != count - prompt) {
            printf("%d threads: token %d of %d is not PyTorch's\n", threads, agreed,
                   count - prompt);
            problems++;
        }
        const int differ =
            greedy_together_differ(&s, greedy->data, prompt, ALL_WAYS && threads == 1);
        if (differ > 0) {
            printf("%d threads: %d texts differ when they are written together\n", threads, differ);
            problems++;
        }
        sampler_destroy(&s);
    }
    if (!(worst <= LOGITS_LIMIT)) {
        printf("logits are off by %.1e, limit %.0e\n", worst, LOGITS_LIMIT);
        problems++;
    }
    if (!(attention.error <= WEIGHT_LIMIT && attention.sum_error <= SUM_LIMIT)) {
        printf("attention weights are off by %.1e, limit %.0e, rows' sums by %.1e, limit %.0e\n",
               attention.error, WEIGHT_LIMIT, attention.sum_error, SUM_LIMIT);
        problems++;
    }
    printf("%s: logits %.1e, attention %.1e, its sums %.1e, %d greedy tokens: %s\n", argv[1], worst,
           attention.error, attention.sum_error, count - prompt, problems ? "WRONG" : "ok");
    safetensors_close(&file);
    return problems ? 1 : 0;
}
