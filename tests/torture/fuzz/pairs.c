// pairs.c: settings as text, and in which keys two of them, parted by a newline, differ. A text
// does not differ from itself; what differs one way differs the other way.
#include "runtime/files/files.h"
#include "tests/torture/fuzz/support/fuzz.h"

static int longest;

static void differ(void *context, const struct pair *then, const struct pair *now) {
    (void)context;
    FUZZ_MUST(then->key_length >= 0 && then->value_length >= 0 && now->value_length >= 0);
    FUZZ_MUST(then->key_length == now->key_length);
    longest = then->value_length > longest ? then->value_length : longest;
}

static int count(const char *text, bool *twice) {
    int pairs = 0;
    struct pair pair, first;
    for (const char *rest = text; pairs_next(&rest, &pair); pairs++) {
        FUZZ_MUST(pair.key >= text && pair.value >= pair.key && pair.value <= rest);
        FUZZ_MUST(pairs_find(text, pair.key, pair.key_length, &first));
        *twice = *twice || first.key != pair.key;
    }
    return pairs;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    struct fuzz_input input = {bytes, bytes + length};
    size_t piece;
    char *then = fuzz_take(&input, '\n', &piece), *now = fuzz_take(&input, '\n', &piece);
    if (then && now) {
        bool twice = false;
        int most = count(then, &twice) + count(now, &twice);
        int forth = keys_compare(then, now, differ, NULL),
            back = keys_compare(now, then, differ, NULL);
        FUZZ_MUST(forth <= most && back <= most && (twice || forth == back));
        FUZZ_MUST(twice || keys_compare(then, then, differ, NULL) == 0);
    }
    free(then);
    free(now);
    return 0;
}
