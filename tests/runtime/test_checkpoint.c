// test_checkpoint.c: saving and loading checkpoints, and those that do not fit this trainer.
// links: tests/runtime/fake_model.c
#include "tests/runtime/fake_model.h"
#include "tests/runtime/suite.h"

#include <math.h>

static const struct progress progress = {.iter = 250,
                                         .updates = 248,
                                         .skipped = 2,
                                         .bad_in_a_row = 1,
                                         .best_val_loss = 1.0 / 3,
                                         .train_loss = 0.1,
                                         .val_loss = NAN};

static struct model create(uint64_t seed) {
    struct model m;
    parallel_threads(1); // tests fork, which does not copy threads
    model_create(&m, &model_info, true);
    model_init(&m, &model_info, seed);
    for (int64_t i = 0; i < model_info.state_floats; i++) {
        m.m[i] = (float)i;
        m.v[i] = (float)-i;
    }
    return m;
}

static void save(bool state) {
    struct model m = create(1);
    (state ? checkpoint_save_state : checkpoint_save_weights)(suite_path("file"), &m, &model_info,
                                                              &progress, "seed=1", FAKE_TOKENIZER);
    model_destroy(&m);
}

struct loading {
    const struct model_info *info;
    const char *tokenizer;
};

static void load(void *context) {
    const struct loading *loading = context;
    struct model m;
    struct progress p;
    model_create(&m, loading->info, true);
    checkpoint_load(suite_path("file"), &m, loading->info, &p, loading->tokenizer);
}

#define refused(information, ...)                                                                  \
    suite_dies(load, (&(struct loading){information, FAKE_TOKENIZER}), EXIT_DATA, __VA_ARGS__)

// This trainer's description with another table.
static struct model_info info_with(const struct param *params, int count) {
    struct model_info info = model_info;
    info.params = params;
    info.params_count = count;
    return info;
}

static void own_params(struct param params[6]) {
    ck_assert_int_eq(model_info.params_count, 6);
    memcpy(params, model_info.params, 6 * sizeof *params);
}

START_TEST(there_and_back) {
    save(true);
    struct model a = create(1), b = create(2);
    memset(b.m, 0, (size_t)model_info.state_floats * sizeof(float));
    memset(b.v, 0, (size_t)model_info.state_floats * sizeof(float));
    struct progress p;
    ck_assert(checkpoint_load(suite_path("file"), &b, &model_info, &p, FAKE_TOKENIZER));
    size_t bytes = (size_t)model_info.state_floats * sizeof(float);
    ck_assert_mem_eq(a.params, b.params, bytes);
    ck_assert_mem_eq(a.m, b.m, bytes); // the fake's table leaves no gaps
    ck_assert_mem_eq(a.v, b.v, bytes);
    ck_assert_int_eq(p.iter, 250);
    ck_assert_int_eq(p.updates, 248);
    ck_assert_int_eq(p.skipped, 2);
    ck_assert_int_eq(p.bad_in_a_row, 1);
    ck_assert(p.best_val_loss == progress.best_val_loss); // to the last bit
    ck_assert(p.train_loss == progress.train_loss);
    ck_assert(isnan(p.val_loss));
    ck_assert(!p.finished);

    struct checkpoint_header header;
    checkpoint_read_header(suite_path("file"), &header);
    ck_assert_str_eq(header.config, model_info.config);
    ck_assert_str_eq(header.run, "seed=1");
    ck_assert_str_eq(header.tokenizer, FAKE_TOKENIZER);
    ck_assert_int_eq(header.progress.iter, 250);
    checkpoint_free_header(&header);
    model_destroy(&a);
    model_destroy(&b);
}
END_TEST

START_TEST(names_and_shapes) {
    static const char *const names[] = {
        "transformer.wte.weight",     "transformer.wpe.weight",
        "transformer.h.0.mix.weight", "transformer.h.0.mix.bias",
        "transformer.h.1.mix.weight", "transformer.h.1.mix.bias",
        "transformer.ln_f.weight",    "lm_head.weight",
    };
    for (int state = 0; state < 2; state++) {
        save(state);
        struct safetensors file;
        char error[512];
        enum exit_code code;
        ck_assert_msg(safetensors_open(&file, suite_path("file"), error, &code), "%s", error);
        ck_assert_int_eq(file.count, state ? 8 + 2 * 7 : 8); // a copy has no moments
        for (int i = 0; i < 8; i++) {
            ck_assert_str_eq(file.tensors[i].name, names[i]); // the state dict's order
        }
        const struct tensor_view *head = safetensors_find(&file, "lm_head.weight");
        const struct tensor_view *wte = safetensors_find(&file, "transformer.wte.weight");
        ck_assert_mem_eq(head->data, wte->data, wte->bytes);
        ck_assert_int_eq(head->ndim, 2);
        ck_assert_int_eq(safetensors_find(&file, "transformer.ln_f.weight")->ndim, 1);
        ck_assert_str_eq(safetensors_metadata(&file, "format"), "pt");
        safetensors_close(&file);
    }
}
END_TEST

START_TEST(weights_alone_have_no_moments) {
    save(false);
    struct model m = create(2);
    struct progress p;
    ck_assert(!checkpoint_load(suite_path("file"), &m, &model_info, &p, FAKE_TOKENIZER));
    ck_assert(m.m[3] == 3); // unchanged
    model_destroy(&m);
}
END_TEST

START_TEST(a_longer_context_is_cropped) {
    save(true);
    struct param params[6];
    own_params(params);
    params[1].dims[0] = FAKE_T - 3;
    struct model_info info = info_with(params, 6);
    struct model a = create(1), b;
    model_create(&b, &info, true);
    struct progress p;
    ck_assert(checkpoint_load(suite_path("file"), &b, &info, &p, FAKE_TOKENIZER));
    size_t bytes = (FAKE_T - 3) * FAKE_C * sizeof(float);
    ck_assert_mem_eq(a.params + params[1].offset, b.params + params[1].offset, bytes);
    ck_assert_mem_eq(a.m + params[1].offset, b.m + params[1].offset, bytes);
    ck_assert(b.params[params[1].offset + (FAKE_T - 3) * FAKE_C] == 0); // and no more than that
    model_destroy(&a);
    model_destroy(&b);
}
END_TEST

START_TEST(other_shapes) {
    save(true);
    struct param params[6];
    own_params(params);
    params[1].dims[0] = FAKE_T + 1;
    struct model_info info = info_with(params, 6);
    info.config = "model=fake n_layer=2 n_head=1 n_embd=8 block_size=9 batch_size=4";
    refused(&info,
            "file: transformer.wpe.weight is (8, 8), this trainer wants (9, 8); build one with",
            "block_size=8");
    own_params(params);
    params[4].ndim = 2;
    refused(&info, "transformer.ln_f.weight is (8), this trainer wants (8, 1)");
    own_params(params);
    params[2].layers = 3;
    params[3].layers = 3;
    info.config = "model=fake n_layer=3";
    refused(&info, "has no transformer.h.2.mix.weight, this trainer wants it as (8, 8)",
            "n_layer=2");
    own_params(params);
    params[2].layers = 1;
    params[3].layers = 1;
    refused(&info, "this trainer has no transformer.h.1.mix.weight");
}
END_TEST

START_TEST(an_untied_head_in_a_tied_trainer) {
    struct model m = create(1);
    struct param params[6];
    own_params(params);
    params[5].copy = false;
    params[5].offset = 0;
    params[0].offset = params[2].offset; // any other memory of that size
    struct model_info info = info_with(params, 6);
    checkpoint_save_weights(suite_path("file"), &m, &info, &progress, "", FAKE_TOKENIZER);
    refused(&model_info, "lm_head.weight has values of its own", "untied head");
    model_destroy(&m);
}
END_TEST

START_TEST(another_tokenizer) {
    save(true);
    suite_dies(load, (&(struct loading){&model_info, "char 61 62"}), EXIT_DATA,
               "its tokenizer is char, 16 characters", "the data's is char, 2 characters");
}
END_TEST

// Writes a checkpoint of this model with these metadata alone.
static void write_metadata(const char *const *metadata, int pairs) {
    save(true);
    struct safetensors file;
    char error[512];
    enum exit_code code;
    ck_assert(safetensors_open(&file, suite_path("file"), error, &code));
    struct tensor_out out[32] = {0};
    for (int i = 0; i < file.count; i++) {
        const struct tensor_view *view = &file.tensors[i];
        out[i] = (struct tensor_out){
            .ndim = view->ndim, .dims = {view->dims[0], view->dims[1]}, .data = view->data};
        snprintf(out[i].name, sizeof out[i].name, "%s", view->name);
    }
    ck_assert(safetensors_write(suite_path("other"), out, file.count, metadata, pairs, error));
    safetensors_close(&file);
    ck_assert_int_eq(rename(suite_path("other"), suite_path("file")), 0);
}

// Writes a checkpoint with one value replaced, or without it if value is NULL.
static void write_with(const char *key, const char *value) {
    const char *good[] = {
        "format",           "pt",  "iter",          "9",     "updates",   "7",
        "skipped",          "2",   "loss_scale",    "0",     "finished",  "false",
        "bad_in_a_row",     "1",   "train_loss",    "0.5",   "val_loss",  "nan",
        "config",           "",    "best_val_loss", "1.5e0", "tokenizer", FAKE_TOKENIZER,
        "training_seconds", "2.5",
    };
    int pairs = (int)(sizeof good / sizeof good[0] / 2);
    for (int i = 0; i < pairs; i++) {
        if (!strcmp(good[2 * i], key)) {
            good[2 * i] = value ? key : "another";
            good[2 * i + 1] = value ? value : "";
        }
    }
    write_metadata(good, pairs);
}

START_TEST(metadata_of_others) {
    write_metadata((const char *const[]){"made_by", "somebody"}, 1);
    struct model m = create(2);
    struct progress p;
    ck_assert(checkpoint_load(suite_path("file"), &m, &model_info, &p, FAKE_TOKENIZER));
    ck_assert_int_eq(p.iter, 0);
    ck_assert(p.best_val_loss == 1e9);
    struct checkpoint_header header;
    checkpoint_read_header(suite_path("file"), &header);
    ck_assert(!header.has_progress); // no state to resume
    checkpoint_free_header(&header);
    model_destroy(&m);
}
END_TEST

START_TEST(numbers_are_read_strictly) {
    write_with("", "");
    struct model m = create(2);
    struct progress p;
    checkpoint_load(suite_path("file"), &m, &model_info, &p, FAKE_TOKENIZER);
    ck_assert_int_eq(p.iter, 9);
    ck_assert(p.best_val_loss == 1.5);
    model_destroy(&m);
    static const char *const wrong[][2] = {
        {"iter", "-5"},
        {"iter", "99999999999999999999"},
        {"iter", "1000000002"},
        {"iter", "0x9"},
        {"iter", " 9"},
        {"iter", "9 "},
        {"iter", "9.0"},
        {"iter", "+9"},
        {"iter", ""},
        {"updates", "10"}, // more than iterations
        {"updates", ""},
        {"updates", "7e0"},
        {"skipped", "nan"},
        {"skipped", "10"},
        {"bad_in_a_row", "3"},
        {"best_val_loss", "low"},
        {"best_val_loss", "nan"},
        {"best_val_loss", "inf"},
        {"best_val_loss", "-3"},
        {"best_val_loss", "1e5x"},
        {"best_val_loss", "1e999"},
        {"best_val_loss", "0x1p3"},
        {"train_loss", "-1"},
        {"train_loss", "none"},
        {"val_loss", "infinite"},
        {"val_loss", "nan(1)"},
        {"loss_scale", "nan"},
        {"loss_scale", "1e400"},
        {"training_seconds", "soon"},
        {"training_seconds", "-1"},
        {"training_seconds", "inf"},
        {"training_seconds", "1e13"},
        {"finished", "True"},
        {"finished", ""},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char place[64];
        snprintf(place, sizeof place, "metadata %s is '%s'", wrong[i][0], wrong[i][1]);
        write_with(wrong[i][0], wrong[i][1]);
        refused(&model_info, place);
    }
}
END_TEST

START_TEST(what_a_state_must_say) {
    static const char *const keys[] = {"iter",          "updates",    "skipped",  "bad_in_a_row",
                                       "best_val_loss", "train_loss", "val_loss", "finished"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        char place[64];
        snprintf(place, sizeof place, "has no metadata %s", keys[i]);
        write_with(keys[i], NULL);
        refused(&model_info, place);
    }
    write_metadata((const char *const[]){"format", "diecast"}, 1);
    refused(&model_info, "has no metadata iter");
    write_with("format", "diecast"); // as older trainers wrote it
    struct safetensors file;
    char error[512];
    enum exit_code code;
    ck_assert(safetensors_open(&file, suite_path("file"), error, &code));
    safetensors_close(&file);
    struct checkpoint_header header;
    checkpoint_read_header(suite_path("file"), &header);
    ck_assert(header.has_progress);
    ck_assert_int_eq(header.progress.iter, 9);
    checkpoint_free_header(&header);
}
END_TEST

// Every changed bit in a state's header is noticed.
START_TEST(every_bit_of_a_states_header) {
    save(true);
    size_t length;
    uint64_t header_bytes;
    char *bytes = suite_read("file", &length);
    memcpy(&header_bytes, bytes, 8);
    int file = open(suite_path("file"), O_RDWR);
    for (size_t at = 0; at < 8 + header_bytes; at++) {
        for (int bit = 0; bit < 8; bit++) {
            char changed = (char)(bytes[at] ^ 1 << bit);
            ck_assert_int_eq(pwrite(file, &changed, 1, (off_t)at), 1);
            struct safetensors opened;
            char error[512] = "";
            enum exit_code code = EXIT_DONE;
            ck_assert_msg(!safetensors_open(&opened, suite_path("file"), error, &code),
                          "byte %zu, bit %d: taken", at, bit);
            ck_assert_int_eq(code, EXIT_DATA);
            ck_assert_msg(*error && !strchr(error, '\n'), "byte %zu, bit %d: %s", at, bit, error);
        }
        ck_assert_int_eq(pwrite(file, bytes + at, 1, (off_t)at), 1);
    }
    close(file);
    free(bytes);
    struct checkpoint_header header;
    checkpoint_read_header(suite_path("file"), &header);
    ck_assert_int_eq(header.progress.iter, 250);
    checkpoint_free_header(&header);
}
END_TEST

// By name, weights and moments.
START_TEST(values_that_are_not_finite) {
    const int64_t last = model_info.state_floats - 1; // of transformer.ln_f.weight
    for (int part = 0; part < 3; part++) {
        struct model m = create(1);
        float *const parts[] = {m.params, m.m, m.v};
        static const float values[] = {NAN, INFINITY, -INFINITY};
        static const char *const names[] = {"file: transformer.ln_f.weight has a value",
                                            "file: adam.m.transformer.ln_f.weight has a value",
                                            "file: adam.v.transformer.ln_f.weight has a value"};
        parts[part][last] = values[part];
        checkpoint_save_state(suite_path("file"), &m, &model_info, &progress, "seed=1",
                              FAKE_TOKENIZER);
        refused(&model_info, names[part], "that is not finite");
        m.m = m.v = NULL; // for a model without moments
        struct progress p;
        if (part > 0) {
            ck_assert(!checkpoint_load(suite_path("file"), &m, &model_info, &p, FAKE_TOKENIZER));
        }
        model_destroy(&m);
    }
}
END_TEST

START_TEST(damage) {
    save(true);
    size_t length;
    char *bytes = suite_read("file", &length);
    bytes[length - 5] ^= 1; // in the last tensor
    suite_write("file", bytes, length);
    refused(&model_info, "file: ");
    suite_write("file", bytes, length - 4);
    refused(&model_info, "file: ");
    suite_write("file", bytes, 0);
    refused(&model_info, "file: ");
    free(bytes);
    ck_assert_int_eq(unlink(suite_path("file")), 0);
    suite_dies(load, (&(struct loading){&model_info, FAKE_TOKENIZER}), EXIT_MISSING, "file: ");
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        there_and_back,
        names_and_shapes,
        weights_alone_have_no_moments,
        a_longer_context_is_cropped,
        other_shapes,
        an_untied_head_in_a_tied_trainer,
        another_tokenizer,
        metadata_of_others,
        numbers_are_read_strictly,
        what_a_state_must_say,
        every_bit_of_a_states_header,
        values_that_are_not_finite,
        damage,
    };
    return suite_main("checkpoint", tests, sizeof tests / sizeof tests[0]);
}
