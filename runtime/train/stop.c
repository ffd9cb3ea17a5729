// stop.c: signals that ask for a stop: the trainer saves and ends after the current micro-step. A
// second SIGINT or SIGTERM ends it at once.
#include "runtime/train/train.h"

#include <signal.h>
#include <time.h>

// One stop may arrive as two signals, so a second one counts only this much later: `timeout`
// signals both the trainer and its process group, and make passes on a signal that the terminal
// sent to both.
enum { STOP_AGAIN_SECONDS = 2 };

static volatile sig_atomic_t stop_wanted, stop_second; // stop_second: when it was first asked for

static sig_atomic_t stop_clock(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (sig_atomic_t)now.tv_sec;
}

// Only SIGINT and SIGTERM, which people send, can end the program at once: a limit of processor
// time signals every second, and a broken pipe at every line.
static void stop_on_signal(int number) {
    const bool person = number == SIGINT || number == SIGTERM;
    if (!stop_wanted) {
        stop_second = stop_clock();
        stop_wanted = 1;
    } else if (person && stop_clock() - stop_second >= STOP_AGAIN_SECONDS) {
        signal(number, SIG_DFL);
        raise(number); // delivered when this handler returns
    }
}

// Handles a signal, unless it was ignored at the start, as SIGHUP under nohup and SIGINT in a
// shell's background jobs.
static void stop_listen_to(int number) {
    struct sigaction action = {.sa_handler = stop_on_signal, .sa_flags = SA_RESTART}, before;
    sigemptyset(&action.sa_mask);
    if (!sigaction(number, NULL, &before) && before.sa_handler != SIG_IGN) {
        sigaction(number, &action, NULL);
    }
}

void stop_listen(void) {
    static const int asking[] = {SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGXCPU, SIGPIPE};
    for (size_t i = 0; i < sizeof asking / sizeof asking[0]; i++) {
        stop_listen_to(asking[i]);
    }
    signal(SIGXFSZ, SIG_IGN); // write() then returns EFBIG, which is reported
}

bool stop_asked(void) {
    return stop_wanted;
}
