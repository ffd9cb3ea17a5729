// stop.c: signals that ask for a stop: the trainer finishes its step and saves; asked twice, it
// ends.
#include "runtime/runtime.h"

#include <signal.h>

static volatile sig_atomic_t stop_signals;

static void stop_on_signal(int number) {
    stop_signals++;
    if (stop_signals > 1) {
        signal(number, SIG_DFL);
        raise(number); // delivered on return from here
    }
}

void stop_listen(void) {
    struct sigaction action = {.sa_handler = stop_on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
    signal(SIGXFSZ, SIG_IGN); // write() then returns EFBIG, which is reported
}

bool stop_asked(void) {
    return stop_signals > 0;
}
