// fake_checkpoint.h: shared by the tests test_sampler*.c: weights of the fake sampler, their text
// without a cache, and a checkpoint of them.
#ifndef DIECAST_FAKE_CHECKPOINT_H
#define DIECAST_FAKE_CHECKPOINT_H

#include "tests/runtime/fake_sampler.h"
#include "tests/runtime/suite.h"

#include <math.h>

// ---- weights, and their text --------------------------------------------------------------------

static inline uint64_t test_bits(uint32_t stream, uint32_t i) {
    return rng_bits(7, RNG_BENCH, stream, i);
}

enum { FAKE_TENSORS = 4 + FAKE_L };
static float fake_storage[FAKE_TENSORS][FAKE_V * FAKE_C];

static inline void fill_weights(void) {
    for (uint32_t t = 0; t < FAKE_TENSORS; t++) {
        for (uint32_t i = 0; i < FAKE_V * FAKE_C; i++) {
            fake_storage[t][i] = (float)rng_normal(test_bits(100 + t, i));
        }
    }
    memcpy(fake_storage[FAKE_TENSORS - 1], fake_storage[0], sizeof fake_storage[0]);
}

// The fake model's logits after a whole context, with no cache, in double.
static inline void full_logits(const int32_t *context, int count, float *logits) {
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

static inline bool sequence_append(void *context, int32_t id) {
    struct sequence *text = context;
    ck_assert_int_lt(text->count, 256);
    text->ids[text->count++] = id;
    return true;
}

// nanoGPT's generate: crop, a full forward pass, choose, append.
static inline void generate_by_recomputing(struct sequence *text, int tokens,
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

// --slide=half: the same, but a text that reaches the end of the context loses the older half.
static inline void generate_by_halves(struct sequence *text, int tokens,
                                      const struct sampling *sampling, int vocab_size,
                                      uint32_t sample) {
    int begin = text->count > FAKE_T ? text->count - FAKE_T : 0;
    for (uint32_t i = 0; i < (uint32_t)tokens; i++) {
        while (text->count - begin > FAKE_T) {
            begin += FAKE_T / 2;
        }
        float logits[FAKE_V];
        full_logits(text->ids + begin, text->count - begin, logits);
        uint64_t draw = rng_bits((uint32_t)sampling->seed, RNG_SAMPLE, sample, i);
        sequence_append(text, sampler_choose(logits, vocab_size, sampling, draw));
    }
}

// ---- a checkpoint -------------------------------------------------------------------------------

static const char *path;                                   // of the test's checkpoint
#define TEN_LETTERS "char 0a 20 61 62 63 64 65 66 e9 4e2d" // \n, space, a to f, é, 中

static inline void set_up(void) {
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

static inline void checkpoint_fill(struct fake_checkpoint *c) {
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

static inline void checkpoint_write(const struct fake_checkpoint *c) {
    char error[512];
    bool good =
        safetensors_write(path, c->tensors, c->count, c->metadata, c->metadata_count, error);
    ck_assert_msg(good, "%s", error);
}

static inline void write_good_checkpoint(void) {
    struct fake_checkpoint c;
    checkpoint_fill(&c);
    checkpoint_write(&c);
}

static inline void open_good(struct sampler_file *file, struct sampler *s, int threads) {
    char error[512];
    enum exit_code code;
    ck_assert_msg(sampler_open(file, s, path, threads, error, &code), "%s", error);
}

#endif
