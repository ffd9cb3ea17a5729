// survive.h: runs tests that may end their process or never end, and reports which did. C11 and
// POSIX; for C++ too.
//
// Tests run in a child process, so that the parent never opens a device: after an error that sticks
// to a CUDA context, or a kernel that does not end, only another process can use the device again.
#ifndef DIECAST_SURVIVE_H
#define DIECAST_SURVIVE_H

#ifdef __cplusplus
extern "C" {
#endif

// The name of test i, and test i itself: it returns 0 if it passes, else it has printed why not.
typedef const char *survive_name(int i);
typedef int survive_test(int i);

struct survive_totals {
    int checks, failures, errors; // all tests, those that failed, those that died
};

// Runs tests 0 .. count - 1 one after another in a child process. Before each it prints "run NAME"
// and flushes. A test that ends its process, or has not ended after `seconds`, is one error: the
// parent prints
//
//     DIED NAME: killed by signal 11 (Segmentation fault)
//     DIED NAME: exit 71
//     DIED NAME: no end within 20 s
//
// and a new child runs the tests after it.
struct survive_totals survive_run(int count, survive_name *name, survive_test *test,
                                  double seconds);

#ifdef __cplusplus
}
#endif

#endif
