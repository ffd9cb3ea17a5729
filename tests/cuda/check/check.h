// check.h: replaces the Check library on a machine that has none: as much of its interface as the
// tests here use, with Check's last line. Before each test its name is printed, "CASE: TEST".
// Tests run one after another in one child process (survive.h), which opens the device once; a test
// that ends it or that hangs is one error, and the other tests run in another child.
#ifndef DIECAST_CHECK_H
#define DIECAST_CHECK_H

typedef struct Suite Suite;
typedef struct TCase TCase;
typedef struct SRunner SRunner;
typedef void check_test(int _i);
enum print_output { CK_NORMAL };

#define START_TEST(name) static void name(__attribute__((unused)) int _i)
#define END_TEST

Suite *suite_create(const char *name);
TCase *tcase_create(const char *name);
void suite_add_tcase(Suite *suite, TCase *tcase);
// The limit for each of a case's tests; by default 4 seconds. As in Check, the environment's
// CK_TIMEOUT_MULTIPLIER makes it shorter or longer.
void tcase_set_timeout(TCase *tcase, double seconds);

// Adds `test` for each _i in [first, end). name: makes a test's name from its function's identifier
// and _i, or NULL. Check itself has no names (named.h).
typedef const char *check_name(const char *function, int i);
void check_add(TCase *tcase, check_test *test, const char *function, check_name *name, int first,
               int end);
#define tcase_add_named_loop_test(tcase, test, name, first, end)                                   \
    check_add(tcase, test, #test, name, first, end)
#define tcase_add_loop_test(tcase, test, first, end) check_add(tcase, test, #test, NULL, first, end)
#define tcase_add_test(tcase, test) tcase_add_loop_test(tcase, test, 0, 1)

SRunner *srunner_create(Suite *suite);
void srunner_run_all(SRunner *runner, enum print_output output);
int srunner_ntests_failed(SRunner *runner);
void srunner_free(SRunner *runner);

// Prints where and why, and continues with the next test.
__attribute__((noreturn, format(printf, 3, 4))) void check_fail(const char *file, int line,
                                                                const char *format, ...);

#define ck_assert_msg(condition, ...)                                                              \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            check_fail(__FILE__, __LINE__, __VA_ARGS__);                                           \
        }                                                                                          \
    } while (0)
#define ck_assert(condition) ck_assert_msg(condition, "Assertion '%s' failed", #condition)
#define CHECK_INT(a, op, b)                                                                        \
    do {                                                                                           \
        const long long check_a = (a), check_b = (b);                                              \
        ck_assert_msg(check_a op check_b, "Assertion '%s' failed: %lld, %lld", #a " " #op " " #b,  \
                      check_a, check_b);                                                           \
    } while (0)
#define ck_assert_int_eq(a, b) CHECK_INT(a, ==, b)
#define ck_assert_int_ge(a, b) CHECK_INT(a, >=, b)

#endif
