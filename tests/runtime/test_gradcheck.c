// test_gradcheck.c: gradcheck accepts correct gradients and finds wrong ones.
// links: tests/runtime/fake_model.c
#include "tests/runtime/fake_model.h"
#include "tests/runtime/suite.h"

#define main gradcheck_main
#include "runtime/programs/gradcheck.c"
#undef main

static void check(void *context) {
    fake_wrong_gradient = *(const double *)context;
    ck_assert_ptr_nonnull(freopen(suite_path("stdout"), "w", stdout));
    char *argv[] = {"gradcheck", "--threads=2", "--dropout=0.2", NULL};
    exit(gradcheck_main(3, argv));
}

static void has(const char *word) {
    size_t length;
    char *text = suite_read("stdout", &length);
    ck_assert_msg(strstr(text, word) != NULL, "no '%s' in: %s", word, text);
    free(text);
}

START_TEST(right_gradients) {
    double factor = 1;
    ck_assert_int_eq(suite_run(check, &factor).code, EXIT_DONE);
    has("\n7 of 7 tensors are right\n");
}
END_TEST

START_TEST(wrong_gradients) {
    const double factors[] = {0, 0.9, 1.1, -1};
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(suite_run(check, (void *)&factors[i]).code, EXIT_INTERNAL);
        has("\nWRONG transformer.wte.weight ");
        has("\n6 of 7 tensors are right\n");
    }
}
END_TEST

int main(void) {
    const TTest *const tests[] = {right_gradients, wrong_gradients};
    return suite_main("gradcheck", tests, sizeof tests / sizeof tests[0]);
}
