// test_check.c: tests for Check's stand-in that pass, fail and die, for test_survive.sh.
#include "check.h"

#include <stdlib.h>
#include <unistd.h>

static pid_t parent;

START_TEST(holds) {
    ck_assert(getpid() != parent);
}
END_TEST

START_TEST(second_of_three_fails) {
    ck_assert_int_eq(_i == 1, 0);
}
END_TEST

START_TEST(dies) {
    abort();
}
END_TEST

START_TEST(hangs) {
    pause();
}
END_TEST

static const char *name(const char *function, int i) {
    static const char *const names[] = {"one", "two", "three"};
    return function[0] == 's' ? names[i] : "no name";
}

int main(void) {
    parent = getpid();
    Suite *suite = suite_create("stand-in");
    TCase *first = tcase_create("first"), *second = tcase_create("second");
    tcase_set_timeout(first, 2);
    tcase_set_timeout(second, 2);
    tcase_add_named_loop_test(first, second_of_three_fails, name, 0, 3);
    tcase_add_test(first, dies);
    tcase_add_test(second, hangs);
    tcase_add_test(second, holds);
    suite_add_tcase(suite, first);
    suite_add_tcase(suite, second);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed;
}
