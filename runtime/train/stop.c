// stop.c: signals that ask for a stop: the trainer ends between two micro-steps and saves. Asked again
// by a person who does not want to wait, it ends at once.
#include "runtime/train/train.h"

#include <signal.h>
#include <time.h>

// One stop may come as two signals: `timeout` sends its own to the trainer, and to the trainer's group
// once more; make passes on what the terminal sent to both.
enum { STOP_AGAIN_SECONDS = 2 };

static volatile sig_atomic_t stop_wanted, stop_second; // since when, on a clock of seconds

static sig_atomic_t stop_clock(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (sig_atomic_t)now.tv_sec;
}

// A processor-time limit signals each second from then on, and a broken pipe at each line: those ask
// however often they come.
static void stop_on_signal(int number) {
    const bool person = number == SIGINT || number == SIGTERM;
    if (!stop_wanted) {
        stop_second = stop_clock();
        stop_wanted = 1;
    } else if (person && stop_clock() - stop_second >= STOP_AGAIN_SECONDS) {
        signal(number, SIG_DFL);
        raise(number); // delivered on return from here
    }
}

// What was ignored at the start stays so: nohup's SIGHUP, SIGINT of a shell's background jobs.
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
