// replay.c: runs a fuzz target on the inputs in packed files, which needs no libFuzzer:
//
//     TARGET FILE...       and prints how many inputs there were
//     TARGET --at N FILE   only the N-th, counted from 0: to find which one fails
//
// A packed file is inputs back to back, each behind its length as four bytes, little-endian
// (tests/torture/fuzz/pack.lua).
#include "tests/torture/fuzz/support/fuzz.h"

static size_t replay(const char *path, size_t only) {
    FILE *file = fopen(path, "rb");
    unsigned char prefix[4];
    size_t count = 0;
    FUZZ_MUST(file != NULL);
    for (; fread(prefix, 1, 4, file) == 4; count++) {
        size_t length = prefix[0] | prefix[1] << 8 | prefix[2] << 16 | (size_t)prefix[3] << 24;
        uint8_t *bytes = malloc(length ? length : 1);
        FUZZ_MUST(bytes != NULL && fread(bytes, 1, length, file) == length);
        uint8_t *exact = realloc(bytes, length ? length : 1); // so that ASan knows its end
        if (only == SIZE_MAX || only == count) {
            LLVMFuzzerTestOneInput(exact, length);
        }
        free(exact);
    }
    fclose(file);
    return count;
}

int main(int argc, char **argv) {
    bool one = argc > 3 && !strcmp(argv[1], "--at");
    size_t count = 0;
    for (int i = one ? 3 : 1; i < argc; i++) {
        count += replay(argv[i], one ? strtoul(argv[2], NULL, 10) : SIZE_MAX);
    }
    printf("%zu\n", count);
    return 0;
}
