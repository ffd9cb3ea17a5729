// named.h: Check with names for the tests of a loop. Check's stand-in (tests/cuda/check) prints
// them as it goes; Check itself has only numbers.
//
//     tcase_add_named_loop_test(tcase, test, name, first, end);
//
// calls the test of _i name(function, _i), function being the test's identifier.
#ifndef DIECAST_OPS_NAMED_H
#define DIECAST_OPS_NAMED_H

#include <check.h>

#ifndef tcase_add_named_loop_test
#define tcase_add_named_loop_test(tcase, test, name, first, end)                                   \
    ((void)(name), tcase_add_loop_test(tcase, test, first, end))
#endif

#endif
