// suite.h: shared by the Check suites of this folder: a scratch folder for each test, small files
// in it, and running a function in a child process to see how it ends the program.
#ifndef DIECAST_SUITE_H
#define DIECAST_SUITE_H

#include "runtime/sample/sample.h"
#include "runtime/train/train.h"

#include <check.h>
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

// ---- a scratch folder: made before each test, removed after it even if it fails -----------------

static char suite_dir[512];

static inline void suite_enter(void) {
    const char *base = getenv("TMPDIR");
    snprintf(suite_dir, sizeof suite_dir, "%s/diecast-test-XXXXXX", base && *base ? base : "/tmp");
    ck_assert_msg(mkdtemp(suite_dir) != NULL, "cannot make %s", suite_dir);
}

static inline void suite_leave(void) {
    char command[600];
    snprintf(command, sizeof command, "rm -rf -- '%s'", suite_dir);
    ck_assert_int_eq(system(command), 0);
}

// The path of a file in the scratch folder, in one of a few buffers that take turns.
static inline char *suite_path(const char *name) {
    static char paths[8][768];
    static int turn;
    char *path = paths[turn++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", suite_dir, name);
    return path;
}

static inline void suite_write(const char *name, const void *bytes, size_t length) {
    FILE *file = fopen(suite_path(name), "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, length, file), length);
    ck_assert_int_eq(fclose(file), 0);
}

static inline void suite_write_text(const char *name, const char *text) {
    suite_write(name, text, strlen(text));
}

// A whole file, followed by a zero. The caller frees.
static inline char *suite_read(const char *name, size_t *length) {
    FILE *file = fopen(suite_path(name), "rb");
    ck_assert_msg(file != NULL, "%s is not there", name);
    ck_assert_int_eq(fseek(file, 0, SEEK_END), 0);
    *length = (size_t)ftell(file);
    rewind(file);
    char *bytes = malloc(*length + 1);
    ck_assert_uint_eq(fread(bytes, 1, *length, file), *length);
    bytes[*length] = 0;
    fclose(file);
    return bytes;
}

// One token of a data set.
static inline uint32_t suite_token(const struct split *split, uint64_t at) {
    uint32_t token;
    ck_assert_int_eq(split_tokens(split, at, 1, &token), EXIT_DONE);
    return token;
}

static inline bool suite_exists(const char *name) {
    return access(suite_path(name), F_OK) == 0;
}

// How many files and folders lie in the scratch folder.
static inline int suite_count(void) {
    int count = 0;
    DIR *dir = opendir(suite_dir);
    ck_assert_ptr_nonnull(dir);
    for (struct dirent *entry; (entry = readdir(dir));) {
        count += entry->d_name[0] != '.';
    }
    closedir(dir);
    return count;
}

// ---- how a function ends its program ------------------------------------------------------------

struct ending {
    int code;        // the exit code, or 256 plus a signal's number
    char text[4096]; // what went to stderr
};

// From LeakSanitizer, if a test is built with it: memory that die() does not free is not a leak.
void __lsan_disable(void) __attribute__((weak));

// Runs fn(context) in a child process, which exits with 0 if fn returns.
static inline struct ending suite_run(void (*fn)(void *context), void *context) {
    struct ending ending = {0};
    int channel[2];
    ck_assert_int_eq(pipe(channel), 0);
    fflush(NULL);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        dup2(channel[1], STDERR_FILENO);
        close(channel[0]);
        close(channel[1]);
        int null = open("/dev/null", O_WRONLY);
        dup2(null, STDOUT_FILENO);
        if (__lsan_disable) {
            __lsan_disable();
        }
        fn(context);
        exit(0);
    }
    close(channel[1]);
    size_t held = 0;
    for (ssize_t got;
         (got = read(channel[0], ending.text + held, sizeof ending.text - 1 - held)) > 0;) {
        held += (size_t)got;
    }
    close(channel[0]);
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ending.code = WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
    return ending;
}

// fn(context) must die with this code and one line that holds all of the words given.
#define suite_dies(fn, context, code, ...)                                                         \
    suite_dies_with(fn, context, code, (const char *[]){__VA_ARGS__, NULL}, __FILE__, __LINE__)

static inline void suite_dies_with(void (*fn)(void *), void *context, int code,
                                   const char *const *words, const char *file, int line) {
    struct ending ending = suite_run(fn, context);
    ck_assert_msg(ending.code == code, "%s:%d: ended with %d, not %d, and said: %s", file, line,
                  ending.code, code, ending.text);
    const char *newline = strchr(ending.text, '\n');
    ck_assert_msg(newline && newline[1] == 0, "%s:%d: not one line: %s", file, line, ending.text);
    for (; *words; words++) {
        ck_assert_msg(strstr(ending.text, *words) != NULL, "%s:%d: no '%s' in: %s", file, line,
                      *words, ending.text);
    }
}

// ---- how threads wait ---------------------------------------------------------------------------

// How many of this process' threads sleep: state S of /proc/self/task/ID/stat.
static inline int suite_asleep(void) {
    int count = 0;
    DIR *tasks = opendir("/proc/self/task");
    ck_assert_ptr_nonnull(tasks);
    for (struct dirent *task; (task = readdir(tasks));) {
        char path[300], text[300] = "";
        snprintf(path, sizeof path, "/proc/self/task/%.200s/stat", task->d_name);
        FILE *file = isdigit(task->d_name[0]) ? fopen(path, "r") : NULL;
        if (file) {
            const char *end = fgets(text, sizeof text, file) ? strrchr(text, ')') : NULL;
            count += end && end[1] && end[2] == 'S';
            fclose(file);
        }
    }
    closedir(tasks);
    return count;
}

// Waits until so many sleep; false if they do not within minutes.
static inline bool suite_all_asleep(int wanted) {
    for (int look = 0; look < 6000; look++) {
        if (suite_asleep() == wanted) {
            return true;
        }
        usleep(10000);
    }
    return false;
}

// ---- running ------------------------------------------------------------------------------------

// Runs one suite with all these tests, each in a separate case, since Check then makes and removes
// the scratch folder outside the test's process. Where set_up is not NULL, it is called before each
// test, in the test's process. Returns main's result.
static inline int suite_main_with(const char *name, void (*set_up)(void), const TTest *const *tests,
                                  int count) {
    Suite *suite = suite_create(name);
    for (int i = 0; i < count; i++) {
        TCase *test = tcase_create(tests[i]->name);
        tcase_set_timeout(test, 300);
        tcase_add_unchecked_fixture(test, suite_enter, suite_leave);
        tcase_add_checked_fixture(test, set_up, NULL);
        tcase_add_test(test, tests[i]);
        suite_add_tcase(suite, test);
    }
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static inline int suite_main(const char *name, const TTest *const *tests, int count) {
    return suite_main_with(name, NULL, tests, count);
}

#endif
