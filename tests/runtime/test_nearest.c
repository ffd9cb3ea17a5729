// test_nearest.c: which name was probably meant, by the cases that the generator's test has too.
#include "tests/runtime/suite.h"

START_TEST(cases) {
    FILE *file = fopen("tests/runtime/nearest_cases.txt", "r");
    ck_assert_ptr_nonnull(file);
    char line[256];
    int count = 0;
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        char copy[256], *rest = strcpy(copy, line);
        const char *word = strtok_r(rest, " ", &rest), *wanted = strtok_r(NULL, " ", &rest);
        if (!word || *word == '#') {
            continue;
        }
        word = strcmp(word, "\"\"") ? word : "";
        struct nearest nearest = nearest_to(word, (int)strlen(word));
        for (const char *name; (name = strtok_r(NULL, " ", &rest));) {
            nearest_try(&nearest, name, (int)strlen(name));
        }
        const char *found = nearest.name ? nearest.name : "-";
        ck_assert_msg(!strcmp(found, wanted), "%s: found %s", line, found);
        ck_assert_int_eq(nearest.name_length, nearest.name ? (int)strlen(nearest.name) : 0);
        count++;
    }
    fclose(file);
    ck_assert_int_gt(count, 20);
}
END_TEST

static void try_long(void *context) {
    (void)context;
    const int length = 100 << 20; // a row of as many numbers would not fit onto the stack
    char *word = allocate(length, 1, "a word");
    memset(word, 'a', length);
    struct nearest nearest = nearest_to(word, length);
    nearest_try(&nearest, "seed", 4);
    nearest = nearest_to("seed", 4);
    nearest_try(&nearest, word, length);
    exit(nearest.name != NULL);
}

START_TEST(a_long_word) {
    ck_assert_int_eq(suite_run(try_long, NULL).code, 0);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {cases, a_long_word};
    return suite_main("nearest", tests, sizeof tests / sizeof *tests);
}
