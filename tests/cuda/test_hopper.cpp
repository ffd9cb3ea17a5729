// test_hopper.cpp: Hopper's instructions and the emitted attention kernels (hopper_cases.cu, from
// hopper_cases.lua) compared with doubles, on a device or in the emulator; there also faults that
// it must find. test_hopper.sh builds it for both.
//
//     hopper [GROUP ...]     all groups, or those; the last line is "N passed, N failed, 0 skipped"
//     hopper --list          the groups, one a line
//     hopper --fault NAME    in the emulator: the small pipeline with one planted fault; 1 if its
//                            numbers are wrong
//
// Every case runs three times and must give the same bytes: in the emulator under three schedules,
// on a device as it happens. With ATTENTION_ALONE defined it has only the emitted kernels. Its
// parts are in hopper/.
#include "tests/cuda/hopper/attention.h"
#include "tests/cuda/hopper/cases.h"
#ifndef ATTENTION_ALONE
#include "tests/cuda/hopper/pipeline.h"
#include "tests/cuda/hopper/tiles.h"
#endif

#include <algorithm>

#include "tests/cuda/check/survive.h"

#ifndef ATTENTION_ALONE
static void add_instructions() {
    add_products<bf16, 64>(", bf16, 64 wide");
    add_products<bf16, 128>(", bf16, 128 wide");
    add_products<f16, 64>(", f16, 64 wide");
    add_products<f16, 128>(", f16, 128 wide");
    tests.push_back({"copies: within a matrix and beyond it", test_copies});
    tests.push_back({"pipeline: two stages", test_pipeline});
#ifndef __CUDACC__
    for (int fault = 0; fault < FAULTS; fault++) {
        tests.push_back({std::string("faults: ") + faults[fault].name, [=] { test_fault(fault); }});
    }
#endif
}
#endif

int main(int arguments, char **argument) {
#ifndef ATTENTION_ALONE
#ifndef __CUDACC__
    if (arguments == 3 && !strcmp(argument[1], "--fault")) {
        return run_named<0>(argument[2]);
    }
    program = argument[0];
#endif
    add_instructions();
#endif
    each_attention_case(add_attention());

    std::vector<std::string> groups, wanted;
    for (const struct test &test : tests) {
        if (std::find(groups.begin(), groups.end(), group_of(test)) == groups.end()) {
            groups.push_back(group_of(test));
        }
    }
    if (arguments == 2 && !strcmp(argument[1], "--list")) {
        for (const std::string &group : groups) {
            puts(group.c_str());
        }
        return 0;
    }
    for (int i = 1; i < arguments; i++) {
        if (std::find(groups.begin(), groups.end(), argument[i]) == groups.end()) {
            fprintf(stderr, "hopper: no group '%s'; --list has them\n", argument[i]);
            return 64;
        }
        wanted.push_back(argument[i]);
    }
    const auto left_out = [&](const struct test &test) {
        return !wanted.empty() &&
               std::find(wanted.begin(), wanted.end(), group_of(test)) == wanted.end();
    };
    tests.erase(std::remove_if(tests.begin(), tests.end(), left_out), tests.end());

    const struct survive_totals totals =
        survive_run((int)tests.size(), test_name, test_act, SECONDS);
    const int failed = totals.failures + totals.errors;
    printf("%d passed, %d failed, 0 skipped\n", totals.checks - failed, failed);
    return failed != 0;
}
