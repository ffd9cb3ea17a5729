// test_emulator_faults.cu: planted faults that the emulator must find, and correct twins that must
// pass. One kind of fault ends the program with a message, under every schedule; the other kind, a
// race, gives wrong numbers under at least one schedule. They are in faults/, by kind.
//
//     test_emulator_faults [NAME]      all of them, or one, with its output
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "faults/barriers.cuh"
#include "faults/device.cuh"
#include "faults/launches.cuh"
#include "faults/shared.cuh"
#include "faults/streams.cuh"
#include "faults/tiles.cuh"

static std::vector<struct test> all_tests(void) {
    std::vector<struct test> all;
    for (const std::vector<struct test> *part : {&barriers_tests, &shared_tests, &device_tests,
                                                 &tiles_tests, &launches_tests, &streams_tests})
        all.insert(all.end(), part->begin(), part->end());
    return all;
}

// Runs the test in another process: returns its exit status, and its output in text.
static int run_apart(const struct test *test, const char *schedule, bool fault, std::string *text) {
    int pipes[2];
    if (pipe(pipes))
        exit(71);
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        dup2(pipes[1], 2);
        setenv("EMULATOR_SCHEDULE", schedule, 1);
        const bool good = test->run(fault);
        cudaDeviceSynchronize();
        _exit(good ? 0 : 1);
    }
    close(pipes[1]);
    char buffer[4096];
    for (ssize_t n; (n = read(pipes[0], buffer, sizeof buffer)) > 0;)
        text->append(buffer, (size_t)n);
    close(pipes[0]);
    int status;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv) {
    static const char *schedules[] = {"ascending", "descending", "random:1", "random:2"};
    int passed = 0, failed = 0;
    for (const struct test &test : all_tests()) {
        if (argc > 1 && strcmp(argv[1], test.name))
            continue;
        bool good = true, shown = false;
        for (const char *schedule : schedules) {
            std::string right, wrong;
            const int status = run_apart(&test, schedule, false, &right);
            if (status != 0) {
                printf("faults: %s, %s: the correct twin ended with %d %s\n", test.name, schedule,
                       status, right.c_str());
                good = false;
            }
            const int fault = run_apart(&test, schedule, true, &wrong);
            if (argc > 1)
                printf("%s: %d, %d %s", schedule, status, fault, wrong.c_str());
            if (!test.message) {
                shown = shown || fault == 1;
                if (fault > 1) {
                    printf("faults: %s, %s: ended with %d: %s\n", test.name, schedule, fault,
                           wrong.c_str());
                    good = false;
                }
                continue;
            }
            shown = true;
            // ASan, where it is built in, is often first to see an access out of bounds
            const bool said =
                (fault == 70 && wrong.find(test.message) != std::string::npos) ||
                (fault != 0 &&
                 wrong.find("AddressSanitizer: use-after-poison") != std::string::npos) ||
                (fault != 0 && wrong.find("AddressSanitizer: stack-overflow") != std::string::npos);
            if (!said) {
                printf("faults: %s, %s: ended with %d, wanted \"%s\"; it said: %s\n", test.name,
                       schedule, fault, test.message, wrong.c_str());
                good = false;
            }
        }
        if (!shown) {
            printf("faults: %s: wrong under no schedule\n", test.name);
            good = false;
        }
        *(good ? &passed : &failed) += 1;
    }
    printf("faults: %d passed, %d failed, 0 skipped\n", passed, failed);
    return failed > 0;
}
