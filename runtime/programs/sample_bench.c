// sample_bench.c: times a config's sampler and compares it with the machine's peak rates, measured
// in the same run. Needs no checkpoint: it writes one with random weights, samples from it in this
// process and by the program `sample` beside it, and removes it. Writes sample_bench.json beside
// itself.
//
//     sample_bench [--seconds=S] [--threads=N] [--seed=N]
//         --serve            alternate with another program. The first line on stdout says what is
//                            done in a turn. Each line on stdin is a number of texts that are
//                            written together, 0 for a prompt alone, and a number of seconds; it is
//                            answered by a line of JSON with the milliseconds of a token of each
//                            text, or of the prompt, as often as the seconds allow
//         --weights=FILE     write the same weights there, as a checkpoint in float32, and end
#ifndef _GNU_SOURCE
#define _GNU_SOURCE // for cpu_set_t
#endif
#include "runtime/sample/sample.h"
#include "runtime/train/train.h"
#include "runtime/kernel/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    SLOTS = 400,      // at most; a slot is some tokens, then a read of memory
    PREFILLS = 31,    // at most; measurements of a prompt's time
    TOGETHER = 8,     // texts that are written together
    MOST_TEXTS = 64,  // that are written together in a turn of --serve
    TURNS = 31,       // at most; measurements of one text and of several, in turns
    TURN_TOKENS = 33, // of each of them in a turn
    STARTS = 9,       // measurements of the time to the first token
    PROMPT = 256,     // tokens, or the whole context if that is shorter
    DECODE_FROM = 16, // tokens of context at the start
    READ_STREAMS = 8,
    MOST_READ = 1 << 28 // bytes that a measurement reads, and the most that its memory has
};

struct sample_bench {
    double seconds;      // of writing text
    bool serve;          // takes turns with another program
    const char *keep;    // where to write weights that stay, and nothing else; or NULL
    int32_t ids[PROMPT]; // a prompt
    int threads;
    char weights[4096]; // paths
    char sample[4096], json[4096];
    struct sampler_file file;
    struct sampler s;
    double token_bytes;                                  // of the weights that each token reads
    double token_ms[SLOTS], read_gbs[SLOTS];             // sorted at the end
    double prefill_ms[PREFILLS], first_token_ms[STARTS]; // sorted at the end
    double one_ms[TURNS], together_ms[TURNS];            // of a step; sorted at the end
    double choice_us;
    int slots, prefills, prompt, turns, together;
    double prefill_flop, peak_gflops;
    const float *read_set;
    size_t read_bytes;
    double last_token, slot_seconds;
    int slot_tokens;
};

static int bench_compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double bench_median(double *values, int count) {
    qsort(values, (size_t)count, sizeof *values, bench_compare);
    return values[count / 2];
}

// ---- random weights -----------------------------------------------------------------------------

static const char *bench_weights_path; // for die_hook

static void bench_remove_weights(void) {
    unlink(bench_weights_path);
}

// Makes the string of a tokenizer with V characters, from the space on.
static char *bench_tokenizer(int V) {
    char *text = allocate((size_t)V * 8 + 16, 1, "a vocabulary"), *at = text;
    at += sprintf(at, "char");
    for (int v = 0, c = 0x20; v < V; v++, c++) {
        c = c == 0xd800 ? 0xe000 : c; // skip the surrogates
        at += sprintf(at, " %02x", (unsigned)c);
    }
    return text;
}

// Writes the trainer's initial weights as a checkpoint, or in another type as a sampler reads them.
static void bench_write_weights(const char *path, enum weight_type type, uint64_t seed) {
    const struct model_info info = {.params = sampler_info.params,
                                    .params_count = sampler_info.params_count};
    size_t floats = 0;
    int tensors;
    for (int i = 0; i < info.params_count; i++) {
        const struct param *param = &info.params[i];
        const int64_t end =
            param->offset + (param->layers - 1) * param->stride + param->dims[0] * param->dims[1];
        floats = (size_t)end > floats ? (size_t)end : floats;
    }
    struct tensor_at *at = param_tensors(info.params, info.params_count, &tensors);
    struct model m = {.params = allocate(floats, sizeof(float), "weights")};
    struct tensor_out *out = allocate((size_t)tensors, sizeof *out, "a list of tensors");
    model_init(&m, &info, seed);
    for (int i = 0; i < tensors; i++) {
        const struct param *param = at[i].param;
        param_name(param, at[i].layer, "", out[i].name);
        out[i].ndim = param->ndim;
        memcpy(out[i].dims, param->dims, sizeof param->dims);
        out[i].data = m.params + param->offset + at[i].layer * param->stride;
    }
    char *tokenizer = bench_tokenizer(sampler_info.vocab_size), error[512];
    const char *const metadata[] = {"config", sampler_info.config, "tokenizer", tokenizer};
    const struct export_model small = {.config = sampler_info.config,
                                       .weights = type,
                                       .params = info.params,
                                       .params_count = info.params_count,
                                       .count = tensors,
                                       .at = at,
                                       .tensors = out,
                                       .tokenizer_text = tokenizer};
    if (!(type == WEIGHT_F32 ? safetensors_write(path, out, tensors, metadata, 2, error)
                             : export_sampler(&small, path, error))) {
        die(exit_code_of(errno), "%s", error);
    }
    free(at);
    free(tokenizer);
    free(out);
    free(m.params);
}

// ---- the work -----------------------------------------------------------------------------------

// Counts the bytes of weights that a token reads, and a prompt's FLOP; the head runs for its last
// token only.
static void bench_count(struct sample_bench *b) {
    double body = 0, head = 0, rest = 0, head_bytes = 0;
    const char *tokens = param_tokens(sampler_info.params, sampler_info.params_count);
    for (int i = 0; i < sampler_info.params_count; i++) {
        const struct param *param = &sampler_info.params[i];
        const double count =
            (double)param->layers * (double)param->dims[0] * (double)param->dims[1];
        const enum weight_type type = weight_type_of(sampler_info.weights, sampler_info.params,
                                                     sampler_info.params_count, param);
        const double bytes = (double)param->layers * (double)param->dims[0] *
                             (type == WEIGHT_F32 ? 4.0 * (double)param->dims[1]
                                                 : (double)small_row_bytes(type, param->dims[1]));
        if (!strcmp(param->name, "lm_head.weight")) {
            head = count;
            head_bytes = bytes;
        } else if (strcmp(param->name, tokens) != 0 && !param_is_positions(param) &&
                   param->ndim == 2) {
            body += count;
            b->token_bytes += bytes;
        } else if (param->ndim == 1) {
            rest += bytes;
        }
    }
    const double n = b->prompt, C = sampler_info.n_embd, L = sampler_info.n_layer;
    b->token_bytes += head_bytes + rest;
    b->prefill_flop = 2 * (body * n + head) + (body > 0 ? 2 * L * C * n * (n + 1) : 0);
}

// ---- reading memory, with threads of its own ----------------------------------------------------

struct bench_reader {
    const float *from;
    size_t vectors;
    int64_t passes;
    int cpu;
    pthread_barrier_t *begin;
    pthread_t thread;
    float sum;
    double start, end; // taken by the reader itself, since a waiting thread may be woken late
};

static void *bench_read(void *argument) {
    struct bench_reader *reader = argument;
    vec acc[READ_STREAMS] = {{0}};
    cpu_set_t own;
    CPU_ZERO(&own);
    CPU_SET(reader->cpu, &own);
    pthread_setaffinity_np(pthread_self(), sizeof own, &own);
    pthread_barrier_wait(reader->begin);
    reader->start = time_now();
    for (int64_t pass = 0; pass < reader->passes; pass++) {
        for (size_t v = 0; v < reader->vectors; v += READ_STREAMS) {
#pragma GCC unroll 8
            for (int i = 0; i < READ_STREAMS; i++) {
                acc[i] += vec_load(reader->from + (v + (size_t)i) * VEC);
            }
        }
    }
    for (int i = 1; i < READ_STREAMS; i++) {
        acc[0] += acc[i];
    }
    reader->sum = vec_sum(acc[0]);
    reader->end = time_now();
    return NULL;
}

// The reading speed of new threads, each pinned to a processor of its own: the scheduler would
// spread them only after a while.
static double bench_read_gbs(const struct sample_bench *b) {
    enum { MOST = 256 };
    static struct bench_reader readers[MOST];
    static volatile double sink;
    const int threads = b->threads < MOST ? b->threads : MOST;
    pthread_barrier_t begin;
    pthread_barrier_init(&begin, NULL, (unsigned)threads);
    cpu_set_t all;
    sched_getaffinity(0, sizeof all, &all);
    int cpu = -1;
    const size_t vectors = b->read_bytes / sizeof(vec) / (size_t)threads / READ_STREAMS;
    for (int i = 0; i < threads; i++) {
        do {
            cpu = (cpu + 1) % CPU_SETSIZE;
        } while (!CPU_ISSET(cpu, &all));
        readers[i] =
            (struct bench_reader){.from = b->read_set + (size_t)i * vectors * READ_STREAMS * VEC,
                                  .vectors = vectors * READ_STREAMS,
                                  .passes = (int64_t)(MOST_READ / b->read_bytes),
                                  .cpu = cpu,
                                  .begin = &begin};
        if (pthread_create(&readers[i].thread, NULL, bench_read, &readers[i]) != 0) {
            die(EXIT_MEMORY, "sample_bench: no thread to read with; take fewer: --threads=");
        }
    }
    double sum = 0, start = 1e300, end = 0;
    for (int i = 0; i < threads; i++) {
        pthread_join(readers[i].thread, NULL);
        sum += readers[i].sum;
        start = readers[i].start < start ? readers[i].start : start;
        end = readers[i].end > end ? readers[i].end : end;
    }
    pthread_barrier_destroy(&begin);
    sink = sum; // keeps the compiler from removing the sums
    (void)sink;
    return (double)(vectors * READ_STREAMS * sizeof(vec)) * threads * (double)readers[0].passes /
           (end - start) * 1e-9;
}

// Allocates memory to read from, as large as the weights, since those may fit in a cache.
static void bench_make_read_set(struct sample_bench *b) {
    const size_t least = (size_t)64 << 10, wanted = (size_t)b->token_bytes;
    b->read_bytes = wanted < least ? least : wanted > MOST_READ ? MOST_READ : wanted;
    float *memory =
        mmap(NULL, b->read_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        die(EXIT_MEMORY, "sample_bench: no memory for %zu bytes; free some", b->read_bytes);
    }
    madvise(memory, b->read_bytes, MADV_HUGEPAGE);
    for (size_t i = 0; i < b->read_bytes / sizeof(float); i++) {
        memory[i] = 1.0f; // allocates the page: unwritten pages share one page of zeros
    }
    b->read_set = memory;
}

// ---- measurements -------------------------------------------------------------------------------

// Called after each token: ends the slot after some milliseconds, and then measures a read. The
// first token of a text is not counted, since its time includes the prompt's.
static bool bench_token(void *context, int32_t id) {
    (void)id;
    struct sample_bench *b = context;
    const double now = time_now();
    if (b->last_token != 0) {
        b->slot_seconds += now - b->last_token;
        b->slot_tokens++;
    }
    b->last_token = now;
    if (b->slot_seconds > 4e-3 && b->slots < SLOTS) {
        b->token_ms[b->slots] = b->slot_seconds * 1e3 / b->slot_tokens;
        b->read_gbs[b->slots++] = bench_read_gbs(b);
        b->slot_seconds = 0;
        b->slot_tokens = 0;
        b->last_token = time_now();
    }
    return true;
}

static const struct sampling BENCH_SAMPLING = {
    .temperature = 0.8, .top_k = 200, .top_p = 1, .seed = 1};

// Tokens of context at the start of a text, and tokens that are written, up to the context's end.
static int bench_from(void) {
    return sampler_info.block_size > DECODE_FROM ? DECODE_FROM : 1;
}

static int bench_new_tokens(int most) {
    const int room = sampler_info.block_size - bench_from();
    return room < 1 ? 2 : room < most ? room + 1 : most;
}

static void bench_decode(struct sample_bench *b, double seconds) {
    const int from = bench_from(), count = bench_new_tokens(128);
    const double start = time_now();
    for (uint32_t i = 0; b->slots < SLOTS && (b->slots == 0 || time_now() - start < seconds); i++) {
        b->last_token = 0;
        sampler_generate(&b->s, b->ids, from, count, &BENCH_SAMPLING, i, bench_token, b);
    }
}

// The times of a text's first and last token.
struct bench_steps {
    double first, last;
    int count;
};

static bool bench_step(void *context, int text, int32_t id) {
    (void)id;
    struct bench_steps *steps = context;
    if (text == 0) {
        steps->last = time_now();
        steps->first = steps->count++ == 0 ? steps->last : steps->first;
    }
    return true;
}

static void bench_end(void *context, int text, bool finite) {
    (void)context;
    (void)text;
    (void)finite;
}

// Milliseconds of a step in which each of some texts gets a token.
static double bench_step_ms(struct sample_bench *b, int texts) {
    struct bench_steps steps = {.count = 0};
    const struct sampler_reader reader = {.context = &steps, .emit = bench_step, .end = bench_end};
    sampler_together(&b->s, b->ids, bench_from(), bench_new_tokens(TURN_TOKENS), &BENCH_SAMPLING, 0,
                     texts, &reader);
    return (steps.last - steps.first) * 1e3 / (steps.count - 1);
}

static void bench_together(struct sample_bench *b, double seconds) {
    b->together = sampler_info.max_rows < TOGETHER ? sampler_info.max_rows : TOGETHER;
    sampler_make_room(&b->s, b->together);
    const double begin = time_now();
    while (b->turns < TURNS && (b->turns < 3 || time_now() - begin < seconds)) {
        b->one_ms[b->turns] = bench_step_ms(b, 1);
        b->together_ms[b->turns++] = bench_step_ms(b, b->together);
    }
}

static bool bench_note(void *context, int32_t id) {
    (void)id;
    *(double *)context = time_now();
    return true;
}

// Milliseconds of a prompt, its first token included.
static double bench_prompt_ms(struct sample_bench *b) {
    double start = time_now(), end = start;
    sampler_generate(&b->s, b->ids, b->prompt, 1, &BENCH_SAMPLING, 0, bench_note, &end);
    return (end - start) * 1e3;
}

static void bench_prefill(struct sample_bench *b, double seconds) {
    const double begin = time_now();
    while (b->prefills < PREFILLS && (b->prefills < 5 || time_now() - begin < seconds)) {
        b->prefill_ms[b->prefills++] = bench_prompt_ms(b);
    }
}

// Microseconds of a choice of a token from made-up logits, which the second-level cache has.
static double bench_choice_us(const struct sample_bench *b) {
    enum { TIMES = 101 };
    const int V = sampler_info.vocab_size;
    float *made = allocate((size_t)V, sizeof *made, "the logits");
    double us[TIMES];
    for (int v = 0; v < V; v++) {
        made[v] = (float)rng_normal(rng_bits(1, RNG_BENCH, (uint32_t)v, 1));
    }
    for (int i = 0; i < TIMES; i++) {
        memcpy(b->s.logits, made, (size_t)V * sizeof *made);
        const double start = time_now();
        sampler_choose(b->s.logits, V, &BENCH_SAMPLING, rng_bits(1, RNG_BENCH, (uint32_t)i, 2));
        us[i] = (time_now() - start) * 1e6;
    }
    free(made);
    return bench_median(us, TIMES);
}

extern char **environ;

// Milliseconds from the start of the program `sample` to its end, with one token.
static double bench_start(struct sample_bench *b) {
    char checkpoint[4160], threads[32];
    snprintf(checkpoint, sizeof checkpoint, "--checkpoint=%s", b->weights);
    snprintf(threads, sizeof threads, "--threads=%d", b->threads);
    char *words[] = {b->sample,       checkpoint, threads, "--num_samples=1", "--max_new_tokens=1",
                     "--start=     ", NULL};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    const double start = time_now();
    pid_t child;
    int status, problem = posix_spawn(&child, b->sample, &actions, NULL, words, environ);
    if (problem != 0) {
        die(EXIT_MISSING, "%s: cannot be started: %s; `make build` makes it", b->sample,
            strerror(problem));
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    const double seconds = time_now() - start;
    posix_spawn_file_actions_destroy(&actions);
    if (status != 0) {
        die(EXIT_INTERNAL, "%s: failed", b->sample);
    }
    return seconds * 1e3;
}

static void bench_peak(struct sample_bench *b) {
    const double peak = peak_gflops(b->threads, false, NULL);
    b->peak_gflops = peak > b->peak_gflops ? peak : b->peak_gflops;
}

// ---- alternating with another program -----------------------------------------------------------

// A turn of so many texts (0: a prompt alone); a line on stdout has its times.
static void bench_turn(struct sample_bench *b, int texts, double seconds) {
    if (texts == 0) {
        bench_prompt_ms(b); // untimed: the other program has filled the caches
    }
    const double begin = time_now();
    const char *separator = "";
    printf("{\"ms\": [");
    do {
        printf("%s%.6f", separator, texts > 0 ? bench_step_ms(b, texts) : bench_prompt_ms(b));
        separator = ", ";
    } while (time_now() - begin < seconds);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("], \"peak_rss_bytes\": %lld}\n", (long long)usage.ru_maxrss * 1024);
    fflush(stdout);
}

static void bench_serve(struct sample_bench *b) {
    const int most = sampler_info.max_rows < MOST_TEXTS ? sampler_info.max_rows : MOST_TEXTS;
    if (b->prompt == sampler_info.block_size && b->prompt > 1) {
        b->prompt--; // others need room for the token after it
    }
    sampler_make_room(&b->s, most);
    printf("{\"most_texts\": %d, \"from\": %d, \"tokens\": %d, \"prompt\": [", most, bench_from(),
           bench_new_tokens(TURN_TOKENS));
    for (int i = 0; i < b->prompt; i++) {
        printf("%s%d", i ? ", " : "", b->ids[i]);
    }
    printf("]}\n");
    fflush(stdout);
    char line[64], more;
    while (fgets(line, sizeof line, stdin)) {
        int texts;
        double seconds;
        line[strcspn(line, "\n")] = 0;
        if (sscanf(line, "%d %lf %c", &texts, &seconds, &more) != 2 || texts < 0 || texts > most ||
            !(seconds > 0 && seconds <= 3600)) {
            die(EXIT_USAGE,
                "--serve: '%s': wanted 0 to %d texts, and seconds above 0 and up to 3600, as '1 2'",
                line, most);
        }
        bench_turn(b, texts, seconds);
    }
}

// ---- results ------------------------------------------------------------------------------------

static void bench_report(struct sample_bench *b) {
    const double token_ms = bench_median(b->token_ms, b->slots);
    const double read_gbs = bench_median(b->read_gbs, b->slots);
    const double prefill_ms = bench_median(b->prefill_ms, b->prefills);
    const double first_ms = bench_median(b->first_token_ms, STARTS);
    const double weights_gbs = b->token_bytes / token_ms * 1e-6;
    const double one_ms = bench_median(b->one_ms, b->turns);
    const double together_ms = bench_median(b->together_ms, b->turns);
    const double together = b->together * 1e3 / together_ms;
    const double prefill_gflops = b->prefill_flop / prefill_ms * 1e-6;
    printf("decode: %.3f ms a token, %.1f tokens/s; %.1f MB of weights each, %.1f GB/s, %.1f%% of "
           "the %.1f GB/s that are read in between\n",
           token_ms, 1e3 / token_ms, b->token_bytes * 1e-6, weights_gbs,
           100 * weights_gbs / read_gbs, read_gbs);
    printf(
        "prompt of %d tokens: %.2f ms, %.0f tokens/s, %.1f GFLOP/s, %.1f%% of the peak of %.1f\n",
        b->prompt, prefill_ms, b->prompt / prefill_ms * 1e3, prefill_gflops,
        100 * prefill_gflops / b->peak_gflops, b->peak_gflops);
    printf("%d texts together: %.3f ms a token of each, %.1f tokens/s, %.2f times one text's in "
           "turns\n",
           b->together, together_ms, together, together * one_ms * 1e-3);
    printf("choice: %.1f us for one of %d tokens, by the %d likeliest\n", b->choice_us,
           sampler_info.vocab_size, BENCH_SAMPLING.top_k);
    printf("first token: %.1f ms from the program's start to its end\n", first_ms);

    struct replacement r;
    replace_begin(&r, b->json);
    FILE *file = r.file;
    fprintf(file, "{\n  \"program\": \"sample_bench\",\n  \"config\": \"%s\",\n",
            sampler_info.config);
    fprintf(file, "  \"weights\": \"%s\",\n  \"threads\": %d,\n", sampler_kind(), b->threads);
    fprintf(file, "  \"tokens_per_s\": %.2f,\n  \"token_ms\": %.4f,\n  \"token_bytes\": %.0f,\n",
            1e3 / token_ms, token_ms, b->token_bytes);
    fprintf(file, "  \"read_gbs\": %.2f,\n  \"share_of_bandwidth\": %.4f,\n", read_gbs,
            weights_gbs / read_gbs);
    fprintf(file, "  \"prefill_tokens\": %d,\n  \"prefill_ms\": %.4f,\n  \"prefill_flop\": %.0f,\n",
            b->prompt, prefill_ms, b->prefill_flop);
    fprintf(file, "  \"peak_gflops\": %.2f,\n  \"prefill_share_of_peak\": %.4f,\n", b->peak_gflops,
            prefill_gflops / b->peak_gflops);
    fprintf(file, "  \"together\": %d,\n  \"together_tokens_per_s\": %.2f,\n", b->together,
            together);
    fprintf(file, "  \"one_tokens_per_s_in_turns\": %.2f,\n", 1e3 / one_ms);
    fprintf(file, "  \"choice_us\": %.2f,\n  \"first_token_ms\": %.2f\n}\n", b->choice_us,
            first_ms);
    replace_end(&r);
    printf("\nwritten: %s\n", b->json);
}

// A file beside this program; its name tells what kind of sampler this is, if it is another one.
static void bench_path(char path[4096], const char *program, const char *name, const char *ending) {
    const char *slash = strrchr(program, '/');
    const bool other = strcmp(sampler_kind(), "float32") != 0;
    snprintf(path, 4096, "%.*s%s%s%s%s", slash ? (int)(slash - program + 1) : 0, program, name,
             other ? "-" : "", other ? sampler_kind() : "", ending);
}

static void bench_stop(int signal) {
    unlink(bench_weights_path);
    _exit(128 + signal);
}

static _Noreturn void bench_help(void) {
    printf("usage: sample_bench [--flag=value ...]\n"
           "Times this build's sampler, with made-up weights. Built for this model:\n  %s\n\n"
           "  --seconds=S      of writing text; default 4\n"
           "  --threads=N      0: all of the machine's\n"
           "  --seed=N         of the weights and the prompt\n"
           "  --serve          take turns with another program, as it says on stdin\n"
           "  --weights=FILE   write the weights there, in float32, and end\n"
           "  --help           print this\n\n"
           "The trainer's other flags are accepted, as bench does, and have no effect.\n",
           sampler_info.config);
    exit(streams_close(EXIT_DONE));
}

// Reads one of this program's own flags; false if it is another one.
static bool bench_flag(struct sample_bench *b, const char *word) {
    if (!strcmp(word, "--help") || !strcmp(word, "-h")) {
        bench_help();
    } else if (!strncmp(word, "--seconds=", 10)) {
        char *end;
        b->seconds = strtod(word + 10, &end);
        if (*end != '\0' || !(b->seconds > 0 && b->seconds <= 3600)) {
            die(EXIT_USAGE, "%s: wanted a number above 0 and up to 3600", word);
        }
    } else if (!strncmp(word, "--weights=", 10)) {
        b->keep = word + 10;
        if (!*b->keep) {
            die(EXIT_USAGE, "--weights: no value; give a path, such as --weights=a.safetensors");
        }
    } else if (!strcmp(word, "--serve")) {
        b->serve = true;
    } else {
        return false;
    }
    return true;
}

// Writes the weights to a file that is removed when the program ends, however it does.
static void bench_make_weights(struct sample_bench *b, uint64_t seed) {
    bench_weights_path = b->weights;
    die_hook = bench_remove_weights;
    bench_write_weights(b->weights, sampler_info.weights, seed);
    static const int ends[] = {SIGHUP, SIGINT, SIGTERM, SIGPIPE};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        if (signal(ends[i], bench_stop) == SIG_IGN) {
            signal(ends[i], SIG_IGN); // it was ignored at the start
        }
    }
}

static void bench_open(struct sample_bench *b) {
    char error[512];
    enum exit_code code;
    if (!sampler_open(&b->file, &b->s, b->weights, b->threads, error, &code)) {
        die(code, "%s", error);
    }
}

static void bench_measure(struct sample_bench *b) {
    bench_count(b);
    for (int i = 0; i < STARTS; i++) {
        b->first_token_ms[i] = bench_start(b);
    }
    bench_open(b);
    bench_make_read_set(b);
    bench_peak(b);
    bench_prefill(b, 1.5);
    bench_peak(b);
    bench_decode(b, b->seconds);
    bench_peak(b);
    bench_together(b, b->seconds / 2);
    b->choice_us = bench_choice_us(b);
}

int main(int argc, char **argv) {
    streams_open();
    static struct sample_bench b = {.seconds = 4};
    int words = 1; // arguments left for the trainer's options
    for (int i = 1; i < argc; i++) {
        if (!bench_flag(&b, argv[i])) {
            argv[words++] = argv[i];
        }
    }
    struct run run = run_defaults;
    options_parse(&run, words, argv);
    if (b.keep) {
        bench_write_weights(b.keep, WEIGHT_F32, (uint64_t)run.seed);
        return streams_close(EXIT_DONE);
    }
    b.threads = parallel_choose((int)run.threads);
    b.prompt = sampler_info.block_size < PROMPT ? sampler_info.block_size : PROMPT;
    for (int i = 0; i < PROMPT; i++) {
        uint64_t bits = rng_bits((uint32_t)run.seed, RNG_BENCH, (uint32_t)i, 0);
        b.ids[i] = (int32_t)rng_below(bits, (uint64_t)sampler_info.vocab_size);
    }
    bench_path(b.weights, argv[0], "sample_bench", ".safetensors");
    bench_path(b.sample, argv[0], "sample", "");
    bench_path(b.json, argv[0], "sample_bench", ".json");
    if (!b.serve) {
        printf("%s: sampler, weights in %s, %d threads\n", run_config_name, sampler_kind(),
               b.threads);
    }
    bench_make_weights(&b, (uint64_t)run.seed);
    if (b.serve) {
        bench_open(&b);
        bench_serve(&b);
    } else {
        bench_measure(&b);
    }
    sampler_close(&b.file, &b.s);
    unlink(b.weights);
    if (!b.serve) {
        bench_report(&b);
    }
    return streams_close(EXIT_DONE);
}
