// counted.c: a trainer that writes down what it begins, for test_terminal.sh.
//
//     COUNTED=FILE [COUNTED_SLEEP=SECONDS] trainer ...
//
// appends a line to FILE when it has asked whether it should stop ("asked 0", or "asked 1" if so),
// and before a micro-step or an evaluation batch ("micro"), a preview ("preview") and a file
// ("write"). With COUNTED_SLEEP the first "micro" after "asked 1" takes so long. It is
// runtime/programs/train.c, in which the calls are macros.
#include "runtime/train/train.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static bool counted_stop; // "asked 1" was written

static void counted(const char *line) {
    static int file = -1;
    const char *path = getenv("COUNTED");
    if (path && file < 0) {
        file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    }
    if (path && write(file, line, strlen(line)) < 0) {
        _exit(EXIT_IO);
    }
}

static bool counted_answer(bool asked) {
    counted(asked ? "asked 1\n" : "asked 0\n");
    counted_stop = asked;
    return asked;
}

static void counted_micro(void) {
    static bool slept;
    const char *seconds = getenv("COUNTED_SLEEP");
    counted("micro\n");
    if (seconds && counted_stop && !slept) {
        slept = true;
        struct timespec left = {atoi(seconds), 0};
        while (nanosleep(&left, &left) && errno == EINTR) {
        }
    }
}

#define stop_asked() counted_answer(stop_asked())
#define step_gradients(...) (counted_micro(), step_gradients(__VA_ARGS__))
#define step_finish(...) (counted_micro(), step_finish(__VA_ARGS__))
#define step_loss(...) (counted_micro(), step_loss(__VA_ARGS__))
#define preview_text(...) (counted("preview\n"), preview_text(__VA_ARGS__))
#define checkpoint_save_weights(...) (counted("write\n"), checkpoint_save_weights(__VA_ARGS__))
#define checkpoint_save_state(...) (counted("write\n"), checkpoint_save_state(__VA_ARGS__))
#include "runtime/programs/train.c"
