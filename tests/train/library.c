// library.c: what test_library.sh does with two libraries in one program: `one`, of a gpt in
// float32, and `two`, of a Llama-like model in q8_0. It is linked with -Wl,--wrap of malloc and its
// like, so that each allocation of theirs can fail once, and what they hold is counted.
//
//     library texts FOLDER ONE TWO     writes texts and attention weights, which the shell compares
//     library checks ONE TWO           all else; prints what is wrong, and the totals
#include "sampler_one.h"
#include "sampler_two.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int passed, failed;

static void check(bool good, const char *what, const char *detail) {
    passed += good;
    failed += !good;
    if (!good) {
        printf("library: %s: failed: %s\n", what, detail ? detail : "");
    }
}

// ---- memory: what the libraries hold, and an allocation that fails ------------------------------

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t bytes);
int __real_posix_memalign(void **memory, size_t alignment, size_t bytes);
void __real_free(void *memory);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t bytes);
int __wrap_posix_memalign(void **memory, size_t alignment, size_t bytes);
void __wrap_free(void *memory);

static _Thread_local long held, asked,
    fails = -1; // blocks; allocations; the one of them that fails

static bool fail(void) {
    return asked++ == fails;
}
static void *hold(void *memory) {
    held += memory != NULL;
    return memory;
}
void *__wrap_malloc(size_t bytes) {
    return fail() ? NULL : hold(__real_malloc(bytes));
}
void *__wrap_calloc(size_t count, size_t size) {
    return fail() ? NULL : hold(__real_calloc(count, size));
}
void *__wrap_realloc(void *memory, size_t bytes) {
    void *other = fail() ? NULL : __real_realloc(memory, bytes);
    held += other && !memory;
    return other;
}
int __wrap_posix_memalign(void **memory, size_t alignment, size_t bytes) {
    const int wrong = fail() ? 12 : __real_posix_memalign(memory, alignment, bytes);
    held += !wrong;
    return wrong;
}
void __wrap_free(void *memory) {
    held -= memory != NULL;
    __real_free(memory);
}

// ---- texts --------------------------------------------------------------------------------------

static bool into_file(void *context, const char *text, size_t length) {
    return fwrite(text, 1, length, context) == length;
}

static FILE *open_file(const char *folder, const char *name) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    if (!file) {
        perror(path);
        exit(1);
    }
    return file;
}

static const char *const stops[] = {"af", "q"};
static const char prompt[] = "abcd";
enum { WAYS = 4, TEXTS = 3, TOKENS = 80 };
// As the flags in test_library.sh.
static const struct one_options ways[WAYS] = {
    {0},
    {.temperature = 0.8, .top_k = 200, .seed = 1337},
    {.temperature = 1.5, .top_p = 0.9, .min_p = 0.01, .repetition_penalty = 1.2, .seed = 5},
    {.temperature = 1.2, .top_k = 7, .seed = 4294967295u, .stop = stops, .stops = 2}};

// The texts of one model in one way, as the program writes them.
#define WRITE_TEXTS(NAME, UPPER)                                                                   \
    static void NAME##_texts(const char *folder, const char *checkpoint, int slide, int threads) { \
        char error[UPPER##_LINE], name[64];                                                        \
        const struct NAME##_settings settings = {                                                  \
            .threads = threads, .sequences = TEXTS, .slide = (enum NAME##_slide)slide};            \
        struct NAME##_model *model = NAME##_open(checkpoint, &settings, error);                    \
        check(model != NULL, "open", error);                                                       \
        for (int way = 0; model && way < WAYS; way++) {                                            \
            snprintf(name, sizeof name, #NAME "-%d-%d", slide, way);                               \
            FILE *file = open_file(folder, name);                                                  \
            for (int i = 0; i < TEXTS; i++) {                                                      \
                struct NAME##_options options;                                                     \
                memcpy(&options, &ways[way], sizeof options);                                      \
                options.sample = (uint32_t)i;                                                      \
                fputs(prompt, file);                                                               \
                const int status = NAME##_sample(model, TEXTS - 1 - i, prompt, strlen(prompt),     \
                                                 TOKENS, &options, into_file, file);               \
                check(status == UPPER##_OK || (status == UPPER##_FULL && slide == 0),              \
                      "the status of a text", NAME##_error(model));                                \
                fputs("\n---------------\n", file);                                                \
            }                                                                                      \
            fclose(file);                                                                          \
        }                                                                                          \
        NAME##_close(model);                                                                       \
    }
WRITE_TEXTS(one, ONE)
WRITE_TEXTS(two, TWO)

// Where the prompt's last token looks, a number a line.
#define WRITE_ATTENTION(NAME, UPPER)                                                               \
    static void NAME##_looks(const char *folder, const char *checkpoint) {                         \
        char error[UPPER##_LINE];                                                                  \
        struct NAME##_model *model = NAME##_open(checkpoint, NULL, error);                         \
        int32_t tokens[16];                                                                        \
        float weights[UPPER##_LAYERS * UPPER##_HEADS * 16];                                        \
        const int64_t count = NAME##_tokenize(model, prompt, strlen(prompt), true, tokens, 16);    \
        check(NAME##_feed(model, 0, tokens, count) == 0, "feed", NAME##_error(model));             \
        const float before = NAME##_logits(model, 0)[3];                                           \
        check(NAME##_attention(model, 0, weights) == 0, "attention", NAME##_error(model));         \
        check(NAME##_logits(model, 0)[3] == before, "attention changes no logit", NULL);           \
        FILE *file = open_file(folder, #NAME "-attention");                                        \
        for (int i = 0; i < UPPER##_LAYERS * UPPER##_HEADS * NAME##_length(model, 0); i++) {       \
            fprintf(file, "%.9g\n", (double)weights[i]);                                           \
        }                                                                                          \
        fclose(file);                                                                              \
        NAME##_close(model);                                                                       \
    }
WRITE_ATTENTION(one, ONE)
WRITE_ATTENTION(two, TWO)

// ---- all else -----------------------------------------------------------------------------------

struct text {
    char bytes[4096];
    size_t length;
    int pieces; // after so many it stops; 0: never
};

static bool into_text(void *context, const char *bytes, size_t length) {
    struct text *text = context;
    if (text->length + length <= sizeof text->bytes) {
        memcpy(text->bytes + text->length, bytes, length);
        text->length += length;
    }
    return text->pieces == 0 || --text->pieces > 0;
}

static bool same(const struct text *a, const struct text *b) {
    return a->length == b->length && a->length > 0 && memcmp(a->bytes, b->bytes, a->length) == 0;
}

static const struct one_options drawn = {.temperature = 1, .seed = 7};

static void write_one(const char *checkpoint, int threads, struct text *text) {
    const struct one_settings settings = {.threads = threads, .slide = ONE_SLIDE_HALF};
    struct one_model *model = one_open(checkpoint, &settings, NULL);
    one_sample(model, 0, prompt, strlen(prompt), 200, &drawn, into_text, text);
    one_close(model);
}

static void write_two(const char *checkpoint, int threads, struct text *text) {
    const struct two_settings settings = {.threads = threads, .slide = TWO_SLIDE_HALF};
    const struct two_options options = {.temperature = 1, .seed = 7};
    struct two_model *model = two_open(checkpoint, &settings, NULL);
    two_sample(model, 0, prompt, strlen(prompt), 200, &options, into_text, text);
    two_close(model);
}

// Threads: two handles of one model and one of another, at a time.
struct job {
    void (*run)(const char *checkpoint, int threads, struct text *text);
    const char *checkpoint;
    struct text text;
    long held;
};

static void *job_run(void *argument) {
    struct job *job = argument;
    job->run(job->checkpoint, 2, &job->text);
    job->held = held;
    return NULL;
}

static void check_threads(const char *one, const char *two) {
    static struct text alone[2];
    static struct job jobs[3];
    write_one(one, 1, &alone[0]);
    write_two(two, 1, &alone[1]);
    pthread_t thread[3];
    for (int i = 0; i < 3; i++) {
        jobs[i].run = i == 1 ? write_two : write_one;
        jobs[i].checkpoint = i == 1 ? two : one;
        pthread_create(&thread[i], NULL, job_run, &jobs[i]);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(thread[i], NULL);
        check(same(&jobs[i].text, &alone[i == 1]), "models at a time write what each does alone",
              NULL);
    }
}

static void check_together(const char *checkpoint) {
    const struct one_settings settings = {.sequences = 3, .slide = ONE_SLIDE_ONE};
    struct one_model *model = one_open(checkpoint, &settings, NULL);
    const int all[] = {2, 0, 1}, twice[] = {1, 1};
    struct one_options options[3] = {{0}, drawn, drawn};
    options[2].sample = 1;
    int32_t tokens[16], next[3], wanted[3][TOKENS], got[3][TOKENS];
    const int64_t count = one_tokenize(model, prompt, strlen(prompt), true, tokens, 16);
    for (int i = 0; i < 3; i++) {
        one_begin(model, all[i]);
        one_feed(model, all[i], tokens, count - i);
        for (int n = 0; n < TOKENS; n++) {
            one_step(model, all[i], &options[i], &wanted[i][n]);
        }
    }
    for (int i = 0; i < 3; i++) {
        one_begin(model, all[i]);
        one_feed(model, all[i], tokens, count - i);
    }
    check(one_step_each(model, 2, twice, options, next) == ONE_WRONG, "a sequence named twice",
          NULL);
    for (int n = 0; n < TOKENS; n++) {
        check(one_step_each(model, 3, all, options, next) == 0, "step_each", one_error(model));
        for (int i = 0; i < 3; i++) {
            got[i][n] = next[i];
        }
    }
    check(!memcmp(wanted, got, sizeof got), "side by side as alone, also beyond the context", NULL);
    // A token that is fed is one that was chosen.
    one_begin(model, 0);
    one_feed(model, 0, tokens, count);
    one_feed(model, 0, wanted[0], 5);
    check(one_length(model, 0) == count + 5, "length", NULL);
    const float fed = one_logits(model, 0)[1];
    one_begin(model, 0);
    one_feed(model, 0, tokens, count);
    for (int n = 0; n < 5; n++) {
        one_step(model, 0, &options[0], next);
    }
    check(one_length(model, 0) == count + 5, "length with a token that waits", NULL);
    check(one_logits(model, 0)[1] == fed, "what was chosen is taken in when it is asked for", NULL);
    one_close(model);
}

static void says(const char *line, const char *wanted) {
    check(strstr(line, wanted) && !strchr(line, '\n'), wanted, line);
}

static void check_wrong(const char *checkpoint) {
    struct one_model *model = one_open(checkpoint, NULL, NULL);
    int32_t tokens[ONE_CONTEXT + 1] = {0}, token;
    struct one_options o = {0};
    check(one_feed(model, 1, tokens, 1) == ONE_WRONG, "a sequence that is not there", NULL);
    says(one_error(model), "sequence 1: found 1 of them; wanted 0 to 0");
    check(one_length(model, -1) == -1 && one_begin(model, 9) == ONE_WRONG, "nor are these", NULL);
    tokens[2] = one_vocab_size(model);
    check(one_feed(model, 0, tokens, 3) == ONE_WRONG, "a token that is not there", NULL);
    says(one_error(model), "number 2 of the list: wanted 0 to");
    check(one_length(model, 0) == 0, "a call that fails changes nothing", NULL);
    tokens[2] = 0;
    check(one_feed(model, 0, tokens, ONE_CONTEXT + 1) == ONE_FULL, "too many tokens", NULL);
    says(one_error(model), "do not fit into the context of");
    check(one_step(model, 0, &o, &token) == ONE_WRONG && !one_logits(model, 0), "no token yet",
          NULL);
    says(one_error(model), "has no token yet");
    check(one_feed(model, 0, tokens, ONE_CONTEXT) == 0, "a whole context", one_error(model));
    check(one_step(model, 0, NULL, &token) == 0, "one more is chosen", one_error(model));
    check(one_step(model, 0, &o, &token) == ONE_FULL, "but not taken in", NULL);
    const struct {
        struct one_options o;
        const char *words;
    } wrong[] = {
        {{.temperature = -1}, "temperature: found -1, wanted 0, or 0 to 1e+06"},
        {{.temperature = 0.0 / 0.0}, "temperature: found"},
        {{.top_k = -1}, "top_k: found -1"},
        {{.top_p = 1.5}, "top_p: found 1.5, wanted 0, or 0 to 1"},
        {{.min_p = 2}, "min_p: found 2"},
        {{.repetition_penalty = -2}, "repetition_penalty: found -2, wanted 0, or 1e-06 to"},
        {{.stops = 1, .stop = (const char *[]){""}}, "stop text 0: wanted UTF-8 of 1 to 256"},
        {{.stops = 17}, "stops: found 17 texts"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct text text = {.length = 0};
        check(one_sample(model, 0, prompt, 4, 9, &wrong[i].o, into_text, &text) == ONE_WRONG,
              wrong[i].words, NULL);
        says(one_error(model), wrong[i].words);
    }
    check(one_tokenize(model, "a\377", 2, true, tokens, 4) == -1, "no UTF-8", NULL);
    says(one_error(model), "the text: line 1, character 2: byte 0xff is not UTF-8");
    check(one_tokenize(model, "abc", 3, true, tokens, 0) == 3, "how many tokens", NULL);
    check(one_detokenize(model, (int32_t[]){1, 99999}, 2, NULL, 0) == -1, "no such token", NULL);
    char back[5] = "....";
    const int64_t count = one_tokenize(model, "abca", 4, false, tokens, 9);
    check(one_detokenize(model, tokens, count, back, 3) == 4 && !strcmp(back, "abc."), "and back",
          back);
    one_close(model);
    one_close(NULL);

    char error[ONE_LINE];
    check(!one_open("there/is/none", NULL, error), "no file", NULL);
    says(error, "there/is/none: cannot open: ");
    check(!one_open(NULL, NULL, NULL), "no path, and no room for a line", NULL);
    check(!one_open("/tmp", NULL, error), "a folder", NULL);
    says(error, "/tmp: is not a regular file");
    check(!one_open(checkpoint, &(struct one_settings){.threads = 257}, error), "threads", NULL);
    says(error, "threads: found 257, wanted 0 to 256");
    check(!one_open(checkpoint, &(struct one_settings){.sequences = 100000}, error), "sequences",
          NULL);
    check(!one_open(checkpoint, &(struct one_settings){.slide = 3}, error), "slide", NULL);
    struct two_model *other = two_open(checkpoint, NULL, error);
    check(!other, "a checkpoint of another model", NULL);
    says(error, "its weights are float32, this sampler computes with q8_0");
    check(held == 0, "what is refused holds no memory", NULL);
}

// A text can end at any piece, and its callback can use another model.
static void check_stopping(const char *checkpoint) {
    struct one_model *model = one_open(checkpoint, NULL, NULL);
    static struct text whole, part;
    part.pieces = 4;
    one_sample(model, 0, prompt, 4, 20, &drawn, into_text, &whole);
    check(one_sample(model, 0, prompt, 4, 20, &drawn, into_text, &part) == 0,
          "a text that is ended", NULL);
    check(part.length < whole.length && !memcmp(part.bytes, whole.bytes, part.length), "ends there",
          NULL);
    check(one_sample(model, 0, NULL, 0, 2, &drawn, into_text, &part) == 0, "the default prompt",
          NULL);
    one_close(model);
}

static volatile sig_atomic_t taken;

static void take(int number) {
    taken = number;
}

// Threads that a model starts leave signals to the program's: one that this thread blocks waits.
static void check_signals(const char *checkpoint) {
    const struct one_settings settings = {.threads = 2};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    signal(SIGUSR1, take);
    struct one_model *model = one_open(checkpoint, &settings, NULL);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    kill(getpid(), SIGUSR1);
    const struct timespec soon = {.tv_nsec = 50000000}; // in which another thread would take it
    nanosleep(&soon, NULL);
    check(!taken, "no other thread takes a signal", NULL);
    one_close(model);
}

static char *read_all(const char *path, size_t *length) {
    FILE *file = fopen(path, "r");
    char *bytes = NULL;
    if (file && fseek(file, 0, SEEK_END) == 0) {
        *length = (size_t)ftell(file);
        rewind(file);
        void *room;
        bytes = posix_memalign(&room, 64, *length) ? NULL : room;
        *length = bytes ? fread(bytes, 1, *length, file) : 0;
        fclose(file);
    }
    return bytes;
}

static void check_memory(const char *checkpoint) {
    size_t length = 0;
    char *bytes = read_all(checkpoint, &length);
    const struct one_settings settings = {.threads = 2, .slide = ONE_SLIDE_HALF};
    char error[ONE_LINE];
    static struct text of_file, of_memory;
    write_one(checkpoint, 1, &of_file);
    const long before = held;
    struct one_model *model = one_open_memory(bytes, length, &settings, error);
    check(model != NULL, "a checkpoint in memory", error);
    one_sample(model, 0, prompt, strlen(prompt), 200, &drawn, into_text, &of_memory);
    check(same(&of_file, &of_memory), "writes what its file does", NULL);
    one_close(model);
    check(!one_open_memory(bytes + 1, length - 1, &settings, error), "at an odd address", NULL);
    says(error, "wanted a multiple of 4");
    check(!one_open_memory(NULL, 5, &settings, error), "no memory", NULL);
    // Damage: each is refused, or gives the same text (a byte that no hash covers).
    for (size_t at = 0; at < length; at += at < 2000 ? 7 : 997) {
        check(!one_open_memory(bytes, at, &settings, error) && *error, "a part of a file", error);
        bytes[at] ^= 0x10;
        model = one_open_memory(bytes, length, &settings, error);
        check(model || *error, "a bit changed", error);
        one_close(model);
        bytes[at] ^= 0x10;
    }
    check(held == before, "nothing is held after that", NULL);
    free(bytes);
}

// Each allocation fails once: an error's value, and nothing is left.
static void check_allocations(const char *checkpoint) {
    const struct one_settings settings = {.threads = 3, .sequences = 2};
    char error[ONE_LINE];
    long refused = 0;
    for (fails = 0;; fails++) {
        const long before = held;
        asked = 0;
        struct one_model *model = one_open(checkpoint, &settings, error);
        if (!model) {
            refused += strstr(error, "memory") != NULL;
            check(held == before, "what could not be allocated leaves nothing", error);
            continue;
        }
        struct text text = {.length = 0};
        float weights[ONE_LAYERS * ONE_HEADS * ONE_CONTEXT];
        int status = one_sample(model, 0, prompt, 4, 3, &drawn, into_text, &text);
        if (!status) {
            status = one_attention(model, 0, weights);
        }
        refused += status == ONE_MEMORY && strstr(one_error(model), "memory");
        check(status == 0 || status == ONE_MEMORY, "a call without memory", one_error(model));
        one_close(model);
        check(held == before, "what is closed holds nothing", NULL);
        if (asked <= fails) {
            break;
        }
    }
    check(refused == fails, "each allocation that fails is said", NULL);
    check(fails > 50, "many were tried", NULL);
    fails = -1;
}

int main(int argc, char **argv) {
    if (argc == 5) {
        for (int slide = 0; slide < 3; slide++) {
            one_texts(argv[2], argv[3], slide, 1);
            two_texts(argv[2], argv[4], slide, 3);
        }
        one_looks(argv[2], argv[3]);
        two_looks(argv[2], argv[4]);
    } else {
        check_threads(argv[2], argv[3]);
        check_together(argv[2]);
        check_wrong(argv[2]);
        check_stopping(argv[2]);
        check_signals(argv[2]);
        check_memory(argv[2]);
        check_allocations(argv[2]);
        check(held == 0, "nothing is held at the end", NULL);
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed > 0;
}
