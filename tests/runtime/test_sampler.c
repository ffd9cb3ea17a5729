// test_sampler.c: the sampler, from tokens to the command line, on a fake model.
// The program is included here, so that its main can be called in a child process.
// links: tests/runtime/fake_sampler.c runtime/programs/sample/flags.c
#define _GNU_SOURCE
#include <math.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "tests/runtime/fake_sampler.h"
#include "tests/runtime/suite.h"

#define main sample_main
#include "runtime/programs/sample.c"
#undef main

static uint64_t test_bits(uint32_t stream, uint32_t i) {
    return rng_bits(7, RNG_BENCH, stream, i);
}

// ---- sampler_generate ---------------------------------------------------------------------------

enum { FAKE_TENSORS = 4 + FAKE_L };
static float fake_storage[FAKE_TENSORS][FAKE_V * FAKE_C];

static void fill_weights(void) {
    for (uint32_t t = 0; t < FAKE_TENSORS; t++) {
        for (uint32_t i = 0; i < FAKE_V * FAKE_C; i++) {
            fake_storage[t][i] = (float)rng_normal(test_bits(100 + t, i));
        }
    }
    memcpy(fake_storage[FAKE_TENSORS - 1], fake_storage[0], sizeof fake_storage[0]);
}

static void create(struct sampler *s, int threads) {
    fill_weights();
    sampler_create(s, threads);
    for (int i = 0; i < FAKE_TENSORS; i++) {
        s->weight[i] = fake_storage[i];
    }
    // What has not been written is poison.
    memset(s->memory, 0xff, (size_t)sampler_info.memory_floats * sizeof *s->memory);
    fake_calls_count = 0;
}

// The fake model's logits after a whole context, with no cache, in double.
static void full_logits(const int32_t *context, int count, float *logits) {
    enum { C = FAKE_C };
    double x[FAKE_T][C], kept[FAKE_T][C];
    for (int r = 0; r < count; r++) {
        for (int c = 0; c < C; c++) {
            x[r][c] = (double)fake_storage[0][context[r] * C + c] + fake_storage[1][r * C + c];
        }
    }
    for (int l = 0; l < FAKE_L; l++) {
        for (int r = 0; r < count; r++) {
            for (int c = 0; c < C; c++) {
                kept[r][c] = 0;
                for (int i = 0; i < C; i++) {
                    kept[r][c] += fake_storage[2 + l][c * C + i] * x[r][i];
                }
                kept[r][c] = tanh(kept[r][c]);
            }
        }
        for (int r = 0; r < count; r++) {
            for (int j = 0; j <= r; j++) {
                for (int c = 0; c < C; c++) {
                    x[r][c] += kept[j][c] / (1 + r - j);
                }
            }
        }
    }
    for (int v = 0; v < FAKE_V; v++) {
        double sum = 0;
        for (int c = 0; c < C; c++) {
            sum += x[count - 1][c] * fake_storage[2 + FAKE_L][c] * fake_storage[0][v * C + c];
        }
        logits[v] = (float)sum;
    }
}

struct sequence {
    int32_t ids[256];
    int count;
};

static void sequence_append(void *context, int32_t id) {
    struct sequence *text = context;
    ck_assert_int_lt(text->count, 256);
    text->ids[text->count++] = id;
}

// nanoGPT's generate: crop, a full forward pass, choose, append.
static void generate_by_recomputing(struct sequence *text, int tokens,
                                    const struct sampling *sampling, int vocab_size,
                                    uint32_t sample) {
    for (uint32_t i = 0; i < (uint32_t)tokens; i++) {
        int used = text->count < FAKE_T ? text->count : FAKE_T;
        float logits[FAKE_V];
        full_logits(text->ids + text->count - used, used, logits);
        uint64_t draw = rng_bits((uint32_t)sampling->seed, RNG_SAMPLE, sample, i);
        sequence_append(text, sampler_choose(logits, vocab_size, sampling, draw));
    }
}

static void assert_same_text(const struct sequence *a, const struct sequence *b) {
    ck_assert_int_eq(a->count, b->count);
    for (int i = 0; i < a->count; i++) {
        ck_assert_msg(a->ids[i] == b->ids[i], "token %d: %d and %d", i, a->ids[i], b->ids[i]);
    }
}

static const int thread_counts[] = {1, 2, 4};

// Greedy and drawn text equals that of full forward passes: within the context, past its end, and
// for prompts of all lengths (in pieces of 3, at the block's end, longer than the block).
START_TEST(test_generate_as_by_recomputing) {
    struct sampler s;
    create(&s, thread_counts[_i]);
    ck_assert_int_eq(s.threads, thread_counts[_i]);
    for (int length = 1; length <= 2 * FAKE_T + 1; length++) {
        for (int greedy = 0; greedy < 2; greedy++) {
            struct sampling sampling = {
                .temperature = greedy ? 0 : 1.5, .top_k = 9, .top_p = 0.97, .seed = 5};
            struct sequence found = {0}, wanted = {0};
            for (int i = 0; i < length; i++) {
                sequence_append(&found, (i * 7 + length) % FAKE_V);
                sequence_append(&wanted, (i * 7 + length) % FAKE_V);
            }
            uint32_t sample = (uint32_t)length;
            generate_by_recomputing(&wanted, 30, &sampling, FAKE_V, sample);
            int32_t prompt[2 * FAKE_T + 1];
            memcpy(prompt, found.ids, sizeof prompt);
            sampler_generate(&s, prompt, length, 30, &sampling, sample, sequence_append, &found);
            assert_same_text(&found, &wanted);
        }
    }
    sampler_destroy(&s);
}
END_TEST

START_TEST(test_generate_calls) {
    struct sampler s;
    create(&s, 1);
    struct sampling greedy = {.top_p = 1};
    struct sequence text = {0};
    const int32_t prompt[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0};
    sampler_generate(&s, prompt, 7, 0, &greedy, 0, sequence_append, &text);
    ck_assert_int_eq(fake_calls_count, 0);
    ck_assert_int_eq(text.count, 0);
    // The prompt in pieces of 3, one token into the cache, and then the window slides.
    sampler_generate(&s, prompt, 7, 3, &greedy, 0, sequence_append, &text);
    const struct fake_call wanted[] = {{3, 0}, {3, 3}, {1, 6}, {1, 7}, {3, 0}, {3, 3}, {2, 6}};
    ck_assert_int_eq(fake_calls_count, 7);
    ck_assert_int_eq(text.count, 3);
    for (int i = 0; i < 7; i++) {
        ck_assert_int_eq(fake_calls[i].count, wanted[i].count);
        ck_assert_int_eq(fake_calls[i].pos, wanted[i].pos);
    }
    sampler_destroy(&s);
}
END_TEST

START_TEST(test_generate_padding) {
    struct sampler s;
    create(&s, 1);
    struct sampling sampling = {.temperature = 1e6, .top_p = 1, .seed = 3};
    const int32_t prompt[1] = {0};
    for (int limit = 4; limit <= FAKE_V; limit += FAKE_V - 4) {
        s.vocab_size = limit;
        struct sequence text = {0};
        sampler_generate(&s, prompt, 1, 200, &sampling, 0, sequence_append, &text);
        int most = 0;
        for (int i = 0; i < text.count; i++) {
            most = text.ids[i] > most ? text.ids[i] : most;
        }
        ck_assert_int_eq(most, limit - 1);
    }
    sampler_destroy(&s);
}
END_TEST

START_TEST(test_generate_samples) {
    struct sampler s;
    create(&s, 2);
    const int32_t prompt[1] = {0};
    struct sequence text[4] = {0};
    const uint32_t sample[4] = {0, 1, 0, 0};
    const uint64_t seed[4] = {1, 1, 1, 2};
    for (int i = 0; i < 4; i++) {
        struct sampling sampling = {.temperature = 2, .top_p = 1, .seed = seed[i]};
        sampler_generate(&s, prompt, 1, 50, &sampling, sample[i], sequence_append, &text[i]);
    }
    ck_assert_mem_ne(text[0].ids, text[1].ids, sizeof text[0].ids); // another sample
    assert_same_text(&text[0], &text[2]);
    ck_assert_mem_ne(text[0].ids, text[3].ids, sizeof text[0].ids); // another seed
    sampler_destroy(&s);
}
END_TEST

static atomic_int yields;

// In the place of libc's: a thread that yields gives its turn to whoever never does.
int sched_yield(void) {
    atomic_fetch_add(&yields, 1);
    return (int)syscall(SYS_sched_yield);
}

START_TEST(test_waits_sleep) {
    const char *const processors[] = {"1", "1024"}; // threads that share them, and that need not
    for (int i = 0; i < 2; i++) {
        setenv("DIECAST_PROCESSORS", processors[i], 1);
        struct sampler s;
        create(&s, 4);
        struct sampling greedy = {.top_p = 1};
        struct sequence text = {0};
        sampler_generate(&s, (const int32_t[]){1}, 1, 30, &greedy, 0, sequence_append, &text);
        ck_assert_msg(suite_all_asleep(3), "without work, %s processors", processors[i]);
        ck_assert_int_eq(yields, 0);
        sampler_destroy(&s);
    }
}
END_TEST

START_TEST(test_create) {
    struct sampler s;
    for (int threads = 1; threads <= 8; threads++) {
        create(&s, threads);
        ck_assert_uint_eq((uintptr_t)s.memory % 64, 0);
        ck_assert_int_eq(s.vocab_size, FAKE_V);
        sampler_destroy(&s); // threads that never had work end too
        ck_assert_ptr_null(s.weight);
    }
}
END_TEST

// ---- sampler_open -------------------------------------------------------------------------------

static const char *path;                                   // of the test's checkpoint
#define TEN_LETTERS "char 0a 20 61 62 63 64 65 66 e9 4e2d" // \n, space, a to f, é, 中

static void set_up(void) {
    static char buffer[640];
    snprintf(buffer, sizeof buffer, "%s/ckpt.safetensors", suite_dir);
    path = buffer;
    fill_weights();
}

// The fake model's checkpoint, for a test to change and then write.
struct fake_checkpoint {
    struct tensor_out tensors[16];
    int count;
    const char *metadata[8];
    int metadata_count;
};

static void checkpoint_fill(struct fake_checkpoint *c) {
    memset(c, 0, sizeof *c);
    for (int i = 0; i < sampler_info.params_count; i++) {
        const struct param *param = &sampler_info.params[i];
        for (int layer = 0; layer < param->layers; layer++) {
            struct tensor_out *tensor = &c->tensors[c->count];
            if (param->layers > 1) {
                snprintf(tensor->name, sizeof tensor->name, "transformer.h.%d.mix.weight", layer);
            } else {
                strcpy(tensor->name, param->name);
            }
            tensor->ndim = param->ndim;
            memcpy(tensor->dims, param->dims, sizeof param->dims);
            tensor->data = fake_storage[c->count++];
        }
    }
    const char *const metadata[4] = {"tokenizer", TEN_LETTERS, "config", FAKE_CONFIG};
    memcpy(c->metadata, metadata, sizeof metadata);
    c->metadata_count = 2;
}

static void checkpoint_write(const struct fake_checkpoint *c) {
    char error[512];
    bool good =
        safetensors_write(path, c->tensors, c->count, c->metadata, c->metadata_count, error);
    ck_assert_msg(good, "%s", error);
}

static void write_good_checkpoint(void) {
    struct fake_checkpoint c;
    checkpoint_fill(&c);
    checkpoint_write(&c);
}

// Opens the file at path and checks that it is refused with these words.
static void assert_refused(enum exit_code wanted, const char *words) {
    struct sampler_file file;
    struct sampler s;
    char error[512];
    enum exit_code code = EXIT_DONE;
    ck_assert(!sampler_open(&file, &s, path, 2, error, &code));
    ck_assert_int_eq(code, wanted);
    ck_assert_msg(strncmp(error, path, strlen(path)) == 0, "%s", error);
    ck_assert_msg(strstr(error, words) != NULL, "%s", error);
    ck_assert_ptr_null(strchr(error, '\n'));
}

static void open_good(struct sampler_file *file, struct sampler *s, int threads) {
    char error[512];
    enum exit_code code;
    ck_assert_msg(sampler_open(file, s, path, threads, error, &code), "%s", error);
}

START_TEST(test_open) {
    write_good_checkpoint();
    struct sampler_file file;
    struct sampler s;
    open_good(&file, &s, 3);
    ck_assert_int_eq(s.threads, 3);
    ck_assert_int_eq(s.vocab_size, 10);
    for (int i = 0; i < FAKE_TENSORS; i++) {
        ck_assert((const char *)s.weight[i] > (const char *)file.tensors.map);
        ck_assert((const char *)s.weight[i] <
                  (const char *)file.tensors.map + file.tensors.map_bytes);
        ck_assert_mem_eq(s.weight[i], fake_storage[i], FAKE_C * sizeof(float));
    }
    sampler_close(&file, &s);
}
END_TEST

START_TEST(test_open_longer_context) {
    struct fake_checkpoint c;
    checkpoint_fill(&c);
    c.tensors[1].dims[0] = FAKE_T + 3; // fake_storage has room for V rows
    checkpoint_write(&c);
    struct sampler_file file;
    struct sampler s;
    open_good(&file, &s, 1);
    ck_assert_mem_eq(s.weight[1], fake_storage[1], FAKE_T * FAKE_C * sizeof(float));
    ck_assert_mem_eq(s.weight[2], fake_storage[2], FAKE_C * FAKE_C * sizeof(float));
    sampler_close(&file, &s);
}
END_TEST

START_TEST(test_open_state) {
    struct fake_checkpoint c;
    checkpoint_fill(&c);
    for (int i = 0; i < 2; i++) {
        c.tensors[c.count] = c.tensors[i];
        snprintf(c.tensors[c.count++].name, 128, "adam.%c.%s", "mv"[i],
                 sampler_info.params[i].name);
    }
    checkpoint_write(&c);
    struct sampler_file file;
    struct sampler s;
    open_good(&file, &s, 1);
    sampler_close(&file, &s);
}
END_TEST

START_TEST(test_open_shapes) {
    struct fake_checkpoint c;
    checkpoint_fill(&c);
    c.tensors[1].dims[0] = 5;
    checkpoint_write(&c);
    assert_refused(EXIT_DATA, ": transformer.wpe.weight is (5, 6), this sampler wants (8, 6); "
                              "build one with block_size=5");
    checkpoint_fill(&c);
    c.tensors[3].dims[1] = 7;
    c.metadata[3] = "model=fake n_layer=2 n_embd=7 block_size=8 vocab_size=12 dropout=0";
    checkpoint_write(&c);
    assert_refused(EXIT_DATA, ": transformer.h.1.mix.weight is (6, 7), this sampler wants (6, 6); "
                              "build one with n_embd=7");
    checkpoint_fill(&c);
    c.tensors[4].ndim = 2;
    checkpoint_write(&c);
    assert_refused(EXIT_DATA, "transformer.ln_f.weight is (6, 1), this sampler wants (6)");
    checkpoint_fill(&c);
    c.tensors[5].dims[0] = 11; // the copy is checked too; a longer one is cropped for wpe alone
    checkpoint_write(&c);
    assert_refused(EXIT_DATA, "lm_head.weight is (11, 6), this sampler wants (12, 6)");
    checkpoint_fill(&c);
    c.tensors[0].dims[0] = 1;
    c.tensors[0].ndim = 0;
    checkpoint_write(&c);
    assert_refused(EXIT_DATA, "transformer.wte.weight is (), this sampler wants (12, 6)");
}
END_TEST

START_TEST(test_open_names) {
    struct fake_checkpoint c;
    checkpoint_fill(&c);
    c.metadata[3] = "model=fake n_layer=3 n_embd=6 block_size=8 vocab_size=12 dropout=0";
    c.tensors[c.count] = c.tensors[3];
    strcpy(c.tensors[c.count++].name, "transformer.h.2.mix.weight");
    checkpoint_write(&c);
    assert_refused(EXIT_DATA, ": transformer.h.2.mix.weight is not in this sampler's model; build "
                              "one with n_layer=3");
    checkpoint_fill(&c);
    c.tensors[FAKE_TENSORS - 2] = c.tensors[FAKE_TENSORS - 1];
    c.count--;
    checkpoint_write(&c);
    assert_refused(EXIT_DATA,
                   ": transformer.ln_f.weight is missing; build a sampler with the config");
}
END_TEST

// A head of its own, where this sampler's is tied: found by hash, and by value without hashes.
START_TEST(test_open_copy) {
    struct fake_checkpoint c;
    checkpoint_fill(&c);
    fake_storage[FAKE_TENSORS - 1][FAKE_V * FAKE_C - 1] += 1;
    checkpoint_write(&c);
    assert_refused(EXIT_DATA, ": lm_head.weight has values of its own, this sampler ties it to "
                              "transformer.wte.weight; build one with an untied head");
    size_t length;
    char *bytes = suite_read("ckpt.safetensors", &length);
    for (size_t i = 8; i + 5 < length; i++) {
        if (memcmp(bytes + i, "\"xxh3", 5) == 0) { // the header's and the tensors'

            bytes[i + 1] = 'X';
        }
    }
    suite_write("ckpt.safetensors", bytes, length);
    assert_refused(EXIT_DATA, ": lm_head.weight has values of its own");
    float value = fake_storage[0][FAKE_V * FAKE_C - 1];
    memcpy(bytes + length - sizeof value, &value, sizeof value);
    suite_write("ckpt.safetensors", bytes, length);
    free(bytes);
    struct sampler_file file;
    struct sampler s;
    open_good(&file, &s, 1);
    sampler_close(&file, &s);
}
END_TEST

START_TEST(test_open_tokenizer) {
    struct fake_checkpoint c;
    checkpoint_fill(&c);
    c.metadata[0] = "other";
    checkpoint_write(&c);
    assert_refused(EXIT_DATA, "no tokenizer in its metadata");
    checkpoint_fill(&c);
    c.metadata[1] = "char 61 62 62";
    checkpoint_write(&c);
    assert_refused(EXIT_DATA, "do not rise");
    c.metadata[1] = "char 61 62 63 64 65 66 67 68 69 6a 6b 6c 6d";
    checkpoint_write(&c);
    assert_refused(EXIT_DATA,
                   "its tokenizer has 13 entries, this sampler's vocab_size is 12; build "
                   "one with vocab_size=13");
}
END_TEST

// The same shapes, but not the same function.
START_TEST(test_open_function) {
    struct fake_checkpoint c;
    checkpoint_fill(&c);
    c.metadata[3] = "model=fake n_layer=2 n_embd=6 block_size=8 vocab_size=12 activation=gelu_erf";
    checkpoint_write(&c);
    assert_refused(EXIT_DATA, "trained with activation=gelu_erf, this sampler has activation=relu");
    c.metadata[3] = "model=fake n_layer=2 n_embd=6 block_size=8 vocab_size=12"; // does not say
    checkpoint_write(&c);
    struct sampler_file file;
    struct sampler s;
    open_good(&file, &s, 1);
    sampler_close(&file, &s);
}
END_TEST

START_TEST(test_open_not_finite) {
    static const float values[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 3; i++) {
        struct fake_checkpoint c;
        checkpoint_fill(&c);
        fake_storage[3][FAKE_C * FAKE_C - 1] = values[i];
        checkpoint_write(&c);
        assert_refused(EXIT_DATA, ": transformer.h.1.mix.weight has a value that is not finite");
    }
}
END_TEST

// Either name of the tied pair will do, and prefixes, masks and halves are read as what they are.
START_TEST(test_open_foreign) {
    for (int left_out = 0; left_out < 2; left_out++) {
        struct fake_checkpoint c;
        checkpoint_fill(&c);
        if (left_out == 0) {
            c.tensors[0] = c.tensors[FAKE_TENSORS - 1]; // the head stands for the table
        }
        c.count--;
        for (int i = 0; i < c.count; i++) {
            char name[128];
            snprintf(name, sizeof name, "_orig_mod.module.%.100s", c.tensors[i].name);
            strcpy(c.tensors[i].name, name);
        }
        c.tensors[c.count] = c.tensors[3];
        strcpy(c.tensors[c.count++].name, "module.transformer.h.0.attn.bias");
        checkpoint_write(&c);
        struct sampler_file file;
        struct sampler s;
        open_good(&file, &s, 1);
        for (int i = 0; i < FAKE_TENSORS; i++) {
            ck_assert_mem_eq(s.weight[i], fake_storage[i], FAKE_C * sizeof(float));
        }
        ck_assert_ptr_eq(s.weight[0], s.weight[FAKE_TENSORS - 1]);
        sampler_close(&file, &s);
    }
}
END_TEST

static struct sampler_file shrinking_file;
static struct sampler shrinking;

static void generate_from_what_is_gone(void *context) {
    (void)context;
    open_good(&shrinking_file, &shrinking, 2);
    if (truncate(path, 0)) {
        exit(99);
    }
    int32_t id = 3;
    const struct sampling greedy = {.temperature = 0, .top_p = 1};
    struct sequence text = {0};
    sampler_generate(&shrinking, &id, 1, 5, &greedy, 0, sequence_append, &text);
}

START_TEST(test_open_becomes_shorter) {
    write_good_checkpoint();
    suite_dies(generate_from_what_is_gone, NULL, EXIT_IO, path, "became shorter while it was read");
}
END_TEST

START_TEST(test_open_damaged) {
    assert_refused(EXIT_MISSING, "cannot open");
    write_good_checkpoint();
    struct stat status;
    ck_assert_int_eq(stat(path, &status), 0);
    for (off_t size = status.st_size - 1; size >= 0; size = size * 2 / 3 - 1) {
        ck_assert_int_eq(truncate(path, size), 0);
        assert_refused(EXIT_DATA, "truncated");
    }
}
END_TEST

// ---- the command line ---------------------------------------------------------------------------

static char out[1 << 16], err[1 << 16];   // what the last run wrote
static rlim_t file_limit = RLIM_INFINITY; // bytes that a file of the next ones may have

static void slurp(const char *name, char *text, size_t size) {
    FILE *in = fopen(suite_path(name), "rb");
    ck_assert_ptr_nonnull(in);
    text[fread(text, 1, size - 1, in)] = '\0';
    fclose(in);
}

// Runs the program in a child; arguments end with NULL. stdout goes to the file `to`, or is
// captured where that is NULL. Returns the exit code.
static int run_into(const char *to, const char *const *arguments) {
    char *argv[32] = {"sample"};
    int argc = 1;
    const struct rlimit limit = {file_limit, file_limit};
    while (arguments[argc - 1] != NULL) {
        ck_assert_int_lt(argc, 31);
        argv[argc] = (char *)arguments[argc - 1];
        argc++;
    }
    fflush(NULL);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        int out_fd = open(to != NULL ? to : suite_path("out"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
        int err_fd = open(suite_path("err"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (out_fd < 0 || err_fd < 0 || dup2(out_fd, 1) < 0 || dup2(err_fd, 2) < 0 ||
            (file_limit != RLIM_INFINITY && setrlimit(RLIMIT_FSIZE, &limit))) {
            _exit(99);
        }
        exit(sample_main(argc, argv));
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status), "ended by signal %d", WTERMSIG(status));
    if (to == NULL) {
        slurp("out", out, sizeof out);
    }
    slurp("err", err, sizeof err);
    return WEXITSTATUS(status);
}

#define run(...) run_into(NULL, (const char *const[]){__VA_ARGS__, NULL})

// The run failed with one line that has these words, and wrote nothing.
#define assert_fails(code, words, ...)                                                             \
    do {                                                                                           \
        ck_assert_int_eq(run(__VA_ARGS__), code);                                                  \
        ck_assert_msg(strstr(err, words) != NULL, "wanted '%s': %s", words, err);                  \
        ck_assert_ptr_eq(strchr(err, '\n'), err + strlen(err) - 1);                                \
        ck_assert_str_eq(out, "");                                                                 \
    } while (0)

START_TEST(test_main_help) {
    ck_assert_int_eq(run("--help"), EXIT_DONE);
    const char *const names[] = {"checkpoint",  "start",  "num_samples", "max_new_tokens",
                                 "temperature", "top_k",  "top_p",       "seed",
                                 "threads",     "verify", "attention"};
    for (int i = 0; i < 11; i++) {
        char flag[32];
        snprintf(flag, sizeof flag, "\n  --%s ", names[i]);
        ck_assert_msg(strstr(out, flag) != NULL, "--%s", names[i]);
    }
    ck_assert_str_eq(err, "");
    ck_assert_ptr_nonnull(strstr(out, FAKE_CONFIG));
    for (const char *line = out; *line != '\0'; line = strchr(line, '\n') + 1) {
        ck_assert_int_le(strchr(line, '\n') - line, 100);
    }
}
END_TEST

START_TEST(test_main_bad_flags) {
    write_good_checkpoint();
    assert_fails(EXIT_USAGE, "usage: sample CHECKPOINT", "--seed=1");
    assert_fails(EXIT_USAGE, "--temprature: unknown flag; did you mean --temperature?", path,
                 "--temprature=1");
    assert_fails(EXIT_USAGE, "--topk: unknown flag; did you mean --top_k?", path, "--topk", "3");
    assert_fails(EXIT_USAGE, "--n_layer: unknown flag; --help", path, "--n_layer=3");
    assert_fails(EXIT_USAGE, "-t: unknown flag", path, "-t", "3");
    assert_fails(EXIT_USAGE, "--out_dir: give the file: --checkpoint=", "--out_dir=out");
    assert_fails(EXIT_USAGE, "--start: no value", path, "--start");
    assert_fails(EXIT_USAGE, "--seed: no value", path, "--seed", "--top_k=3");
    assert_fails(EXIT_USAGE, "wanted one path; quote a prompt", "--start", "abc", "def", path);
    assert_fails(EXIT_USAGE, "wanted one; quote a prompt", "--checkpoint", path, "def");
    const char *const values[] = {
        "--temperature=-0.5", "--temperature=nan",   "--temperature=inf",
        "--temperature=warm", "--temperature=",      "--top_p=0",
        "--top_p=-1",         "--top_p=1.01",        "--top_p=nan",
        "--top_k=-1",         "--top_k=2.5",         "--top_k=1e3",
        "--num_samples=-1",   "--seed=-1",           "--seed=4294967296",
        "--seed=0x10",        "--max_new_tokens=-1", "--threads=257",
        "--threads=-1",       "--verify=maybe",      "--num_samples=99999999999999999999",
        "--num_samples=3 ",   "--top_p=0.5x",
    };
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        assert_fails(EXIT_USAGE, "', wanted ", path, values[i]);
        ck_assert_mem_eq(err, values[i], strcspn(values[i], "="));
    }
}
END_TEST

START_TEST(test_main_bad_prompts) {
    write_good_checkpoint();
    char flag[1024];
    snprintf(flag, sizeof flag, "--start=FILE:%s", suite_path("prompt.txt"));
    assert_fails(EXIT_USAGE, "--start: an empty prompt", path, "--start=");
    assert_fails(EXIT_USAGE, "--start: an empty prompt", path, "--start", "");
    assert_fails(EXIT_USAGE, "--start: line 1, character 4: 'Z' (U+005A) is not in the vocabulary",
                 path,
                 "--start=\xc3\xa9"
                 "bcZ");
    assert_fails(EXIT_USAGE, "--start: line 2, character 2: 'ü' (U+00FC)", path, "--start=abc\naü");
    assert_fails(EXIT_USAGE, "--start: line 1, character 2: byte 0xff is not UTF-8", path,
                 "--start=a\xff");
    assert_fails(EXIT_MISSING, "cannot read the prompt", path, flag);
    suite_write("prompt.txt", "", 0);
    assert_fails(EXIT_DATA, "prompt.txt: an empty prompt", path, flag);
    suite_write("prompt.txt", "ab\0c", 4);
    assert_fails(EXIT_DATA, "prompt.txt: line 1, character 3: '", path, flag);
    suite_write("prompt.txt", "\n\nab\xe4\xb8", 6);
    assert_fails(EXIT_DATA, "prompt.txt: line 3, character 3: byte 0xe4 is not UTF-8", path, flag);
    snprintf(flag, sizeof flag, "--start=FILE:%s", suite_dir);
    assert_fails(EXIT_IO, "cannot read the prompt", path, flag);
}
END_TEST

START_TEST(test_main_bad_checkpoints) {
    assert_fails(EXIT_MISSING, "ckpt.safetensors: cannot open", path);
    struct fake_checkpoint c;
    checkpoint_fill(&c);
    c.tensors[1].dims[0] = 5;
    checkpoint_write(&c);
    assert_fails(EXIT_DATA, "build one with block_size=5", path);
    write_good_checkpoint();
    int file = open(path, O_RDWR);
    struct stat status;
    ck_assert_int_eq(fstat(file, &status), 0);
    ck_assert_int_eq(pwrite(file, "?", 1, status.st_size - 1), 1);
    close(file);
    assert_fails(EXIT_DATA, "lm_head.weight", path);
}
END_TEST

START_TEST(test_main_text) {
    write_good_checkpoint();
    ck_assert_int_eq(
        run(path, "--start=ab中", "--num_samples=2", "--max_new_tokens", "40", "--temperature=0"),
        EXIT_DONE);
    ck_assert_str_eq(err, "");
    struct sequence wanted = {.ids = {2, 3, 9}, .count = 3};
    struct sampling greedy = {.top_p = 1};
    generate_by_recomputing(&wanted, 40, &greedy, 10, 0);
    static const char *const letters[] = {"\n", " ", "a", "b", "c", "d", "e", "f", "é", "中"};
    char expected[1024] = "";
    for (int sample = 0; sample < 2; sample++) {
        for (int i = 0; i < wanted.count; i++) {
            strcat(expected, letters[wanted.ids[i]]);
        }
        strcat(expected, "\n---------------\n");
    }
    ck_assert_str_eq(out, expected);
}
END_TEST

// Where nobody says a prompt, it is of the model's own vocabulary.
START_TEST(test_main_without_line_ends) {
    struct fake_checkpoint c;
    checkpoint_fill(&c);
    c.metadata[1] = "char 23 61 62 63 64 65 66 67 e9 4e2d";
    checkpoint_write(&c);
    ck_assert_int_eq(run(path, "--max_new_tokens=0", "--num_samples=1"), EXIT_DONE);
    ck_assert_str_eq(out, "#\n---------------\n");
    assert_fails(EXIT_USAGE, "'?' (U+000A) is not in the vocabulary", path, "--start=\n");
}
END_TEST

START_TEST(test_main_same_text) {
    setenv("DIECAST_PROCESSORS", "4", 1); // as many threads as are asked for, on every machine
    write_good_checkpoint();
    const char *const flags[] = {"--threads=1", "--threads=2",    "--threads=4",     "--device=cpu",
                                 "--verify",    "--verify=False", "--num_samples=10"};
    static char first[1 << 16];
    ck_assert_int_eq(run(path), EXIT_DONE);
    strcpy(first, out);
    ck_assert_uint_gt(strlen(first), 5000);
    int samples = 0;
    for (const char *at = first; (at = strstr(at, "\n---------------\n")) != NULL; at++) {
        samples++;
    }
    ck_assert_int_eq(samples, 10);
    for (int i = 0; i < 7; i++) {
        ck_assert_int_eq(run("--checkpoint", path, flags[i]), EXIT_DONE);
        ck_assert_str_eq(out, first);
    }
    suite_write("prompt.txt", "\n", 1);
    char flag[1024];
    snprintf(flag, sizeof flag, "FILE:%s", suite_path("prompt.txt"));
    ck_assert_int_eq(run(path, "--start", flag), EXIT_DONE);
    ck_assert_str_eq(out, first);
    ck_assert_int_eq(run(path, "--seed=1338"), EXIT_DONE);
    ck_assert_str_ne(out, first);
    ck_assert_int_eq(run(path, "--num_samples=3"), EXIT_DONE); // the first three of the ten
    ck_assert_mem_eq(out, first, strlen(out));
    ck_assert_int_eq(run(path, "--num_samples=0"), EXIT_DONE);
    ck_assert_str_eq(out, "");
    ck_assert_int_eq(run(path, "--max_new_tokens=0", "--start=abc", "--num_samples=1"), EXIT_DONE);
    ck_assert_str_eq(out, "abc\n---------------\n");
}
END_TEST

START_TEST(test_main_says) {
    struct fake_checkpoint c;
    checkpoint_fill(&c);
    c.metadata[3] =
        "model=fake n_layer=2 n_embd=6 block_size=8 vocab_size=12 dropout=0.2 activation=relu "
        "bias=True";
    checkpoint_write(&c);
    ck_assert_int_eq(run(path, "--num_samples=1"), EXIT_DONE);
    // dropout matters to training alone
    ck_assert_ptr_nonnull(strstr(err, "ckpt.safetensors: trained with bias=True, this sampler has "
                                      "bias=nothing; "));
    ck_assert_ptr_eq(strchr(err, '\n'), err + strlen(err) - 1);
    checkpoint_fill(&c);
    c.metadata[3] = "model=fake n_layer=2 n_embd=6 block_size=8 vocab_size=12 dropout=0 isa=avx512";
    checkpoint_write(&c);
    ck_assert_int_eq(run(path, "--num_samples=1"), EXIT_DONE);
    ck_assert_str_eq(err, "");
    write_good_checkpoint();
    ck_assert_int_eq(run(path, "--num_samples=1", "--verify"), EXIT_DONE);
    ck_assert_ptr_nonnull(strstr(err, "6 of 6 tensors have a hash; all of these agree\n"));
    ck_assert_int_eq(run(path, "--num_samples=1", "--compile=False", "--device", "cuda"),
                     EXIT_DONE);
    ck_assert_ptr_nonnull(strstr(err, "--device: this sampler runs on the CPU"));
    ck_assert_ptr_nonnull(strstr(err, "--compile: "));
}
END_TEST

// Writing fails at the full device with one line, and quietly where nobody reads.
// Weights that are finite, and logits that are not: one line in place of text made of nothing.
START_TEST(test_main_not_finite) {
    struct fake_checkpoint c;
    checkpoint_fill(&c);
    for (int i = 0; i < FAKE_C; i++) {
        fake_storage[FAKE_TENSORS - 2][i] = 3e38f; // ln_f
    }
    checkpoint_write(&c);
    ck_assert_int_eq(run(path, "--start=ab"), EXIT_DATA);
    ck_assert_ptr_nonnull(
        strstr(err, "ckpt.safetensors: its weights give logits that are not finite"));
    ck_assert_ptr_eq(strchr(err, '\n'), err + strlen(err) - 1);
    ck_assert_str_eq(out, "ab");
}
END_TEST

START_TEST(test_main_write_errors) {
    write_good_checkpoint();
    const char *const arguments[] = {path, "--start=ab", NULL};
    ck_assert_int_eq(run_into("/dev/full", arguments), EXIT_IO);
    ck_assert_str_eq(err, "stdout: cannot write: No space left on device; make room and start "
                          "again\n");
    file_limit = 100; // of which err needs some too
    ck_assert_int_eq(run_into(suite_path("text"), arguments), EXIT_IO);
    ck_assert_str_eq(err, "stdout: cannot write: File too large; make room and start again\n");
    file_limit = RLIM_INFINITY;
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    close(ends[0]);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        int err_fd = open(suite_path("err"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (err_fd < 0 || dup2(ends[1], 1) < 0 || dup2(err_fd, 2) < 0) {
            _exit(99);
        }
        exit(sample_main(2, (char *[]){"sample", (char *)path, NULL}));
    }
    close(ends[1]);
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), EXIT_IO);
    slurp("err", err, sizeof err);
    ck_assert_str_eq(err, "");
}
END_TEST

START_TEST(test_main_attention) {
    setenv("DIECAST_PROCESSORS", "4", 1);
    write_good_checkpoint();
    char flag[1024];
    snprintf(flag, sizeof flag, "--attention=%s", suite_path("heads.json"));
    // the weights are l + 1 shared by the tokens so far: fake_sampler.c; \303\251 is e with an
    // acute
    ck_assert_int_eq(run(path, flag, "--start=a\nb\303\251"), EXIT_DONE);
    ck_assert_str_eq(out, "");
    ck_assert_msg(strstr(err, "heads.json: the attention weights of 4 tokens in 2 layers"), "%s",
                  err);
    size_t length;
    char *text = suite_read("heads.json", &length);
    const char *const start = "{\"prompt\":\"a\\u000ab\303\251\",\n\"ids\":[";
    ck_assert_msg(strncmp(text, start, strlen(start)) == 0, "%s", text);
    const char *const end = "],\n\"tokens\":[\"a\",\"\\u000a\",\"b\",\"\303\251\"],\n"
                            "\"n_layer\":2,\"n_head\":1,\"n_tokens\":4,\n\"attention\":"
                            "[[[[1,0,0,0],\n[0.5,0.5,0,0],\n[0.333333343,0.333333343,0.333333343,0]"
                            ",\n[0.25,0.25,0.25,0.25]]],\n"
                            "[[[2,0,0,0],\n[1,1,0,0],\n[0.666666687,0.666666687,0.666666687,0],\n["
                            "0.5,0.5,0.5,0.5]]]]}\n";
    ck_assert_msg(strlen(text) > strlen(end) && strcmp(text + length - strlen(end), end) == 0, "%s",
                  text);
    const char *error;
    struct json *json = json_parse(text, length, &error);
    ck_assert_ptr_nonnull(json);
    json_free(json);
    free(text);

    // what cannot be done leaves the file as it is
    assert_fails(EXIT_USAGE,
                 "--start: the prompt has 9 tokens, and this model's context has 8; give 8 at most",
                 path, flag, "--start=ababababa");
    assert_fails(EXIT_USAGE, "--attention: no path", path, "--attention=");
    assert_fails(EXIT_IO, "cannot write", path, "--attention=/nowhere/heads.json", "--start=a");
    assert_fails(EXIT_IO, "is not a regular file", path, "--attention=/dev/null", "--start=a");
    ck_assert(suite_exists("heads.json"));
    ck_assert(!suite_exists("heads.json.tmp"));
    // a text too, where it is asked for; all the context; any number of threads
    ck_assert_int_eq(
        run(path, flag, "--start=abababab", "--num_samples=1", "--max_new_tokens=0", "--threads=3"),
        EXIT_DONE);
    ck_assert_str_eq(out, "abababab\n---------------\n");
    text = suite_read("heads.json", &length);
    ck_assert_ptr_nonnull(strstr(text, "\"n_tokens\":8,"));
    free(text);
}
END_TEST

static void add_test(Suite *suite, const TTest *test, int times) {
    TCase *tcase = tcase_create(test->name);
    tcase_set_timeout(tcase, 300);
    tcase_add_unchecked_fixture(tcase, suite_enter, suite_leave);
    tcase_add_checked_fixture(tcase, set_up, NULL);
    tcase_add_loop_test(tcase, test, 0, times);
    suite_add_tcase(suite, tcase);
}

int main(void) {
    const struct {
        const TTest *test;
        int times;
    } tests[] = {
        {test_generate_as_by_recomputing, 3},
        {test_generate_calls, 1},
        {test_generate_padding, 1},
        {test_generate_samples, 1},
        {test_waits_sleep, 1},
        {test_create, 1},
        {test_open, 1},
        {test_open_longer_context, 1},
        {test_open_state, 1},
        {test_open_shapes, 1},
        {test_open_names, 1},
        {test_open_copy, 1},
        {test_open_tokenizer, 1},
        {test_open_function, 1},
        {test_open_not_finite, 1},
        {test_open_foreign, 1},
        {test_open_becomes_shorter, 1},
        {test_open_damaged, 1},
        {test_main_help, 1},
        {test_main_bad_flags, 1},
        {test_main_bad_prompts, 1},
        {test_main_bad_checkpoints, 1},
        {test_main_text, 1},
        {test_main_without_line_ends, 1},
        {test_main_same_text, 1},
        {test_main_says, 1},
        {test_main_not_finite, 1},
        {test_main_write_errors, 1},
        {test_main_attention, 1},
    };
    Suite *suite = suite_create("sampler");
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        add_test(suite, tests[i].test, tests[i].times);
    }
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
