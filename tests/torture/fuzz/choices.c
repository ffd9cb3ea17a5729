// choices.c: llm.c's file of an evaluation, as HellaSwag's. An input has the header's first 16
// bytes and the items; the header's zeros are put between. Where it is accepted, its items, written
// again, are the file, and a model of just enough tokens can be asked.
#include "runtime/files/files.h"
#include "tests/torture/fuzz/support/fuzz.h"

enum { STATED = 16 };

struct reading {
    const char *path;
    struct choices choices;
    bool open;
    char error[CHOICES_ERROR];
};

static void read_items(void *context) {
    struct reading *reading = context;
    enum exit_code code = EXIT_DONE;
    reading->open = choices_open(&reading->choices, reading->path, reading->error, &code);
    FUZZ_MUST(reading->open || (code == EXIT_DATA && strstr(reading->error, reading->path)));
}

// Writes an item where `to` points, and returns its end.
static uint16_t *write_item(const struct choices *choices, int i, uint16_t *to) {
    const struct choice item = choices_item(choices, i);
    uint16_t *at = to;
    *at++ = CHOICES_MARK;
    *at++ = 0;
    *at++ = (uint16_t)i;
    *at++ = (uint16_t)item.right;
    *at++ = CHOICES;
    for (int part = 0; part <= CHOICES; part++) {
        *at++ = (uint16_t)item.part[part].count;
        for (int t = 0; t < item.part[part].count; t++) {
            FUZZ_MUST(item.part[part].tokens[t] <= choices->largest);
            *at++ = item.part[part].tokens[t];
        }
    }
    to[1] = (uint16_t)(2 * (at - to));
    return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    struct reading reading = {0};
    const size_t items = length < STATED ? 0 : length - STATED;
    uint8_t *file = calloc(CHOICES_HEADER + items, 1);
    if (length < STATED) {
        reading.path = fuzz_file("items.bin", bytes, length);
    } else {
        memcpy(file, bytes, STATED);
        memcpy(file + CHOICES_HEADER, bytes + STATED, items);
        reading.path = fuzz_file("items.bin", file, CHOICES_HEADER + items);
    }
    FUZZ_MUST(fuzz_survives(read_items, &reading));
    if (reading.open) {
        struct choices *choices = &reading.choices;
        uint16_t *again = malloc(items + 1), *end = again;
        for (int i = 0; i < choices->count; i++) {
            end = write_item(choices, i, end);
        }
        FUZZ_MUST((size_t)(end - again) * 2 == items);
        FUZZ_MUST(!memcmp(again, file + CHOICES_HEADER, items));
        FUZZ_MUST(choices_fit(choices, "it", "", choices->largest + 1, reading.error));
        FUZZ_MUST(!choices_fit(choices, "it", "", choices->largest, reading.error));
        choices_close(choices);
        free(again);
    }
    free(file);
    return 0;
}
