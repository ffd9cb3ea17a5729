// test_tensorboard.c: event files: their records, checksums and messages, compared with stored
// bytes. tests/reference/tensorboard.sh reads some with TensorBoard itself.
#define _GNU_SOURCE // for memmem
#include "tests/runtime/suite.h"

#include <math.h>

START_TEST(crc32c_of_the_rfc) { // RFC 3720, B.4
    unsigned char bytes[32] = {0};
    ck_assert_uint_eq(crc32c(bytes, 32), 0x8a9136aau);
    memset(bytes, 0xff, 32);
    ck_assert_uint_eq(crc32c(bytes, 32), 0x62a8ab43u);
    for (int i = 0; i < 32; i++) {
        bytes[i] = (unsigned char)i;
    }
    ck_assert_uint_eq(crc32c(bytes, 32), 0x46dd794eu);
    ck_assert_uint_eq(crc32c("123456789", 9), 0xe3069283u);
    ck_assert_uint_eq(crc32c("", 0), 0);
}
END_TEST

static void same_bytes(const void *got, size_t length, const void *wanted, size_t wanted_length) {
    char text[2][1024] = {"", ""};
    for (size_t i = 0; i < length && i < 300; i++) {
        snprintf(text[0] + 3 * i, 4, "%02x ", ((const unsigned char *)got)[i]);
    }
    for (size_t i = 0; i < wanted_length && i < 300; i++) {
        snprintf(text[1] + 3 * i, 4, "%02x ", ((const unsigned char *)wanted)[i]);
    }
    ck_assert_str_eq(text[0], text[1]);
}

#define SAME(got, length, wanted) same_bytes(got, length, wanted, sizeof wanted - 1)

START_TEST(protocol_buffers) {
    struct proto p = {0};
    proto_integer(&p, 1, 150);
    proto_integer(&p, 2, -1);
    proto_double(&p, 3, 1.0);
    proto_float(&p, 16, -2.0f);
    proto_bytes(&p, 4, "testing", 7);
    SAME(p.bytes, p.length,
         "\x08\x96\x01"
         "\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
         "\x19\x00\x00\x00\x00\x00\x00\xf0\x3f"
         "\x85\x01\x00\x00\x00\xc0"
         "\x22\x07testing");
    // a message in a message; the outer one's length takes more than one byte
    p.length = 0;
    char long_text[130];
    memset(long_text, 'x', sizeof long_text);
    size_t outer = proto_begin(&p, 1), inner = proto_begin(&p, 2);
    proto_integer(&p, 3, 0);
    proto_end(&p, inner);
    proto_bytes(&p, 4, long_text, sizeof long_text);
    proto_end(&p, outer);
    SAME(p.bytes, 11, "\x0a\x89\x01\x12\x02\x18\x00\x22\x82\x01x");
    ck_assert_uint_eq(p.length, 3 + 0x89);
    proto_free(&p);
}
END_TEST

enum { WALL = 9 }; // bytes of an event before what does not depend on the clock

// Checks the record at *at and moves past it. Returns the event's length, its bytes in *event.
static size_t next_record(const char *file, size_t length, size_t *at, const char **event) {
    uint64_t size;
    uint32_t crc;
    ck_assert_uint_le(*at + 12, length);
    memcpy(&size, file + *at, 8);
    memcpy(&crc, file + *at + 8, 4);
    ck_assert_uint_eq(crc, tensorboard_crc(file + *at, 8));
    ck_assert_uint_le(*at + 16 + size, length);
    *event = file + *at + 12;
    memcpy(&crc, *event + size, 4);
    ck_assert_uint_eq(crc, tensorboard_crc(*event, size));
    *at += 16 + size;
    ck_assert_uint_ge(size, WALL);
    ck_assert_int_eq((*event)[0], 0x09); // wall_time, a double
    double wall_time;
    memcpy(&wall_time, *event + 1, 8);
    ck_assert_double_gt(wall_time, 1.6e9);
    return (size_t)size;
}

#define NEXT(wanted)                                                                               \
    do {                                                                                           \
        size_t size = next_record(file, length, &at, &event);                                      \
        SAME(event + WALL, size - WALL, wanted);                                                   \
    } while (0)

#define SCALAR(tag_length, tag, bytes) "\x0a" tag_length tag "\x15" bytes

START_TEST(an_event_file) {
    struct tensorboard tb;
    tensorboard_open(&tb, suite_dir, "n_layer=4 isa=avx2 bias=true", "beta2=0.5", 7, 0, 3);
    const struct step_record step = {.iter = 300,
                                     .loss = 1,
                                     .learning_rate = 0.5,
                                     .grad_norm = NAN,
                                     .skipped = true,
                                     .seconds = 0.002,
                                     .tokens_per_s = 64,
                                     .mfu = 0.25};
    tensorboard_step(&tb, &step);
    const struct evaluation_record evaluation = {
        .train_loss = 2, .val_loss = 4, .val_bpb = NAN, .seconds = 1};
    tensorboard_evaluation(&tb, &evaluation);
    tensorboard_text(&tb, 5, "a\n\nb", 4);
    tensorboard_close(&tb, true);

    size_t length, at = 0, size;
    char *file = suite_read("events.out.tfevents.0000000000", &length);
    const char *event;
    // every event file begins with these 24 bytes and their checksum
    SAME(file, 12, "\x18\0\0\0\0\0\0\0\xa3\x7f\x4b\x22");
    NEXT("\x1a\x0d"
         "brain.Event:2");

    size = next_record(file, length, &at, &event);
    const char *const tag = "_hparams_/session_start_info", *const plugin = "\x0a\x07hparams\x12";
    char *found = memmem(event, size, tag, strlen(tag));
    ck_assert_ptr_nonnull(found);
    // an empty tensor of floats
    SAME(found + strlen(tag), 8, "\x42\x08\x08\x01\x12\x04\x12\x02");
    found = memmem(event, size, plugin, strlen(plugin));
    ck_assert_ptr_nonnull(found);
    const char hparams[] =
        "\x0a\x14\x0a\x07n_layer\x12\x09\x11\x00\x00\x00\x00\x00\x00\x10\x40"
        "\x0a\x0d\x0a\x03isa\x12\x06\x1a\x04"
        "avx2"
        "\x0a\x0a\x0a\x04"
        "bias\x12\x02\x20\x01"
        "\x0a\x12\x0a\x05"
        "beta2\x12\x09\x11\x00\x00\x00\x00\x00\x00\xe0\x3f"
        "\x0a\x16\x0a\x09max_iters\x12\x09\x11\x00\x00\x00\x00\x00\x00\x1c\x40\x29";
    ck_assert_ptr_nonnull(
        memmem(found, size - (size_t)(found - event), hparams, sizeof hparams - 1));

    NEXT("\x10\xac\x02\x2a\x6c" SCALAR("\x11\x0a\x0a", "train/loss", "\x00\x00\x80\x3f")
             SCALAR("\x09\x0a\x02", "lr", "\x00\x00\x00\x3f")
                 SCALAR("\x10\x0a\x09", "grad_norm", "\x00\x00\xc0\x7f")
                     SCALAR("\x0e\x0a\x07", "skipped", "\x00\x00\x80\x3f")
                         SCALAR("\x09\x0a\x02", "ms", "\x00\x00\x00\x40")
                             SCALAR("\x13\x0a\x0c", "tokens_per_s", "\x00\x00\x80\x42")
                                 SCALAR("\x0a\x0a\x03", "mfu", "\x00\x00\x80\x3e"));
    // a step of 0 is left out, as in protocol buffers
    NEXT("\x2a\x4f" SCALAR("\x16\x0a\x0f", "train/eval_loss", "\x00\x00\x00\x40")
             SCALAR("\x0f\x0a\x08", "val/loss", "\x00\x00\x80\x40")
         // of the evaluations before, the lowest was 3
         SCALAR("\x14\x0a\x0d", "val/best_loss", "\x00\x00\x40\x40")
             SCALAR("\x0e\x0a\x07", "eval_ms", "\x00\x00\x7a\x44"));
    // each line after four spaces, which Markdown shows literally
    NEXT("\x10\x05\x2a\x2e\x0a\x2c\x0a\x06sample\x42\x16\x08\x07\x12\x00\x42\x10    a\n    \n    b"
         "\x4a\x0a\x0a\x06\x0a\x04text\x20\x02");
    size = next_record(file, length, &at, &event);
    ck_assert_ptr_nonnull(memmem(event, size, "_hparams_/session_end_info", 26));
    ck_assert_uint_eq(at, length);
    free(file);
}
END_TEST

START_TEST(a_run_that_goes_on) {
    struct tensorboard tb;
    for (int again = 0; again < 2; again++) { // killed before its next state, and resumed again
        tensorboard_open(&tb, suite_dir, "", "", 7, 18, INFINITY);
        tensorboard_close(&tb, false);
    }
    size_t length, at = 0;
    char *file = suite_read("events.out.tfevents.0000000018.001", &length);
    const char *event;
    NEXT("\x1a\x0d"
         "brain.Event:2");
    NEXT("\x10\x12\x3a\x02\x08\x01"); // SessionLog START at step 18
    next_record(file, length, &at, &event);
    ck_assert_uint_eq(at, length); // no end, since the run has not ended
    free(file);

    // a run that starts from scratch sets the old files aside, and its own are found alone
    suite_write_text("events.previous.0000000000", "of two runs ago");
    ck_assert(tensorboard_has_set(suite_dir, 1));
    ck_assert(!tensorboard_has_set(suite_dir, 2));
    tensorboard_set_aside(suite_dir, 2);
    ck_assert(suite_exists("events.previous.0000000000"));
    ck_assert(suite_exists("events.previous.2.0000000018"));
    ck_assert(suite_exists("events.previous.2.0000000018.001"));
    ck_assert_int_eq(suite_count(), 3);
    ck_assert(tensorboard_has_set(suite_dir, 2));
    ck_assert(!tensorboard_has_set(suite_dir, 3));
}
END_TEST

static void open_nowhere(void *context) {
    (void)context;
    struct tensorboard tb;
    tensorboard_open(&tb, "/nowhere", "", "", 7, 0, INFINITY);
}

START_TEST(no_folder) {
    suite_dies(open_nowhere, NULL, EXIT_IO, "/nowhere/events.out.tfevents.0000000000", "--out_dir");
}
END_TEST

int main(void) {
    const TTest *const tests[] = {crc32c_of_the_rfc, protocol_buffers, an_event_file,
                                  a_run_that_goes_on, no_folder};
    return suite_main("tensorboard", tests, sizeof tests / sizeof tests[0]);
}
