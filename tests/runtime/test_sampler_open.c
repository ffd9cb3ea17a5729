// test_sampler_open.c: which checkpoints a sampler of a fake model takes, and its messages about
// those that it refuses.
// links: tests/runtime/fake_sampler.c
#include "tests/runtime/fake_checkpoint.h"

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

// A head with other values, while this sampler's is tied: found by hash, or by value without
// hashes.
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

// Either name of the tied pair is enough, and prefixes, masks and 16-bit types are understood.
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

int main(void) {
    const TTest *const tests[] = {
        test_open,           test_open_longer_context,  test_open_state,
        test_open_shapes,    test_open_names,           test_open_copy,
        test_open_tokenizer, test_open_function,        test_open_not_finite,
        test_open_foreign,   test_open_becomes_shorter, test_open_damaged,
    };
    return suite_main_with("sampler: open", set_up, tests, sizeof tests / sizeof tests[0]);
}
