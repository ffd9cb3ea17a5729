// test_groups.c: how many threads may run at once and how much memory is left: control groups of
// both versions, nested, mounted whole and in part, with odd contents; the affinity mask; and the
// warning if more threads are asked for.
#include "tests/runtime/suite.h"

#include <limits.h>
#include <sys/syscall.h>

// A file of a made-up machine, with its folders.
static void put(const char *path, const char *text) {
    char command[1600];
    snprintf(command, sizeof command, "mkdir -p \"$(dirname '%s/%s')\"", suite_dir, path);
    ck_assert_int_eq(system(command), 0);
    suite_write_text(path, text);
}

// Starts a made-up machine, with this process' groups and the mounts.
static void machine(const char *groups, const char *mounts) {
    char command[600];
    snprintf(command, sizeof command, "rm -rf '%s'/*", suite_dir);
    ck_assert_int_eq(system(command), 0);
    put("proc/self/cgroup", groups);
    put("proc/self/mountinfo", mounts);
}

static void grants(int wanted) {
    ck_assert_int_eq(processors_granted(suite_dir), wanted);
}

#define ROOT "27 1 254:0 / / rw - ext4 /dev/vda rw\n"
#define V2 ROOT "31 27 0:28 / /sys/fs/cgroup rw,nosuid shared:4 master:2 - cgroup2 cgroup2 rw\n"
#define V1                                                                                         \
    ROOT "31 27 0:27 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"                                       \
         "32 31 0:28 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"                       \
         "33 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"

START_TEST(version_2_at_every_level) {
    machine("0::/a/b/c\n", V2);
    grants(INT_MAX);
    put("sys/fs/cgroup/a/b/c/cpu.max", "max 100000\n");
    put("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    put("sys/fs/cgroup/a/cpu.max", "max 100000\n");
    grants(INT_MAX);
    put("sys/fs/cgroup/a/cpu.max", "400000 100000\n");
    grants(4);
    put("sys/fs/cgroup/a/b/c/cpu.max", "600000 100000\n"); // more than the group above has
    grants(4);
    put("sys/fs/cgroup/a/b/cpu.max", "30000 10000\n");
    grants(3);
    put("sys/fs/cgroup/cpu.max", "200000 100000\n"); // a container's own root has the file
    grants(2);
    put("sys/fs/cgroup/a/b/c/cpu.max", "1 100000\n");
    grants(1);
    put("sys/fs/cgroup/a/other/cpu.max", "1000 100000\n"); // no group of this process
    put("sys/fs/cgroup/a/b/c/cpu.max", "max 100000\n");
    grants(2);
}
END_TEST

START_TEST(parts_of_a_processor_count_as_one) {
    machine("0::/\n", V2);
    const struct {
        const char *text;
        int processors;
    } cases[] = {{"100000 100000\n", 1},
                 {"100001 100000\n", 2},
                 {"150000 100000\n", 2},
                 {"250000 100000\n", 3},
                 {"1000 1000000\n", 1},
                 {"200000 100000", 2},
                 {"9223372036854775807 1\n", INT_MAX}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put("sys/fs/cgroup/cpu.max", cases[i].text);
        grants(cases[i].processors);
    }
}
END_TEST

START_TEST(what_makes_no_sense_is_no_limit) {
    machine("0::/\n", V2);
    const char *const odd[] = {"",           "\n",           "max\n",
                               "max max\n",  "0 100000",     "-1 100000\n",
                               "100000 0\n", "100000\n",     "100000 -5",
                               "12x 100000", "lots of it\n", "99999999999999999999 1\n"};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        put("sys/fs/cgroup/cpu.max", odd[i]);
        grants(INT_MAX);
    }
    const char *const groups[] = {"",      "0\n",          "0:\n",        "::\n",
                                  "0::\n", "nonsense\n\n", "12:pids:/a\n"};
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        machine(groups[i], V2 "\n - cgroup2\n1 2 3 - cgroup2 x rw\n1 2 3:4 / /x rw - cgroup\n");
        grants(INT_MAX);
    }
    machine("0::/\n", V2);
    ck_assert_int_eq(unlink(suite_path("proc/self/mountinfo")), 0);
    grants(INT_MAX);
}
END_TEST

START_TEST(version_1_at_every_level) {
    machine("9:cpuset:/elsewhere\n4:cpu,cpuacct:/a/b\n1:name=systemd:/s\n0::/s\n", V1);
    grants(INT_MAX);
    put("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
    put("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    grants(INT_MAX);
    put("sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us", "500000\n");
    grants(INT_MAX); // its period is missing
    put("sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_period_us", "100000\n");
    grants(5);
    put("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "70000\n");
    put("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "50000\n");
    grants(2);
    put("sys/fs/cgroup/cpuset/elsewhere/cpu.cfs_quota_us", "1000\n"); // another hierarchy
    put("sys/fs/cgroup/cpuset/elsewhere/cpu.cfs_period_us", "100000\n");
    grants(2);
}
END_TEST

START_TEST(both_versions_at_once) {
    machine("3:cpu:/one\n0::/two\n",
            V1 "34 31 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
               "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    put("sys/fs/cgroup/unified/two/cpu.max", "600000 100000\n");
    grants(6);
    put("sys/fs/cgroup/cpu/one/cpu.cfs_quota_us", "300000\n");
    put("sys/fs/cgroup/cpu/one/cpu.cfs_period_us", "100000\n");
    grants(3);
    put("sys/fs/cgroup/unified/cpu.max", "100000 100000\n");
    grants(1);
}
END_TEST

// A container sees a part of the hierarchy: its own group, and in a cgroup namespace that group as
// the root.
START_TEST(a_part_of_the_hierarchy) {
    const char *mounts = "31 27 0:28 /docker/4f /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
    machine("0::/docker/4f/in\n", mounts);
    put("sys/fs/cgroup/in/cpu.max", "900000 100000\n");
    grants(9);
    put("sys/fs/cgroup/cpu.max", "300000 100000\n");
    grants(3);
    machine("0::/docker/4f\n", mounts);
    put("sys/fs/cgroup/cpu.max", "300000 100000\n");
    grants(3);
    machine("0::/docker/4fff\n", mounts); // another container's group, which is not mounted
    put("sys/fs/cgroup/cpu.max", "300000 100000\n");
    put("sys/fs/cgroupff/cpu.max", "100000 100000\n");
    grants(INT_MAX);
    machine("0::/in\n", "31 27 0:28 /../.. /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    put("sys/fs/cgroup/cpu.max", "300000 100000\n"); // of a group above the namespace
    put("sys/fs/cgroup/in/cpu.max", "100000 100000\n");
    grants(3);
    machine("0::/../other\n", V2); // moved out of its namespace
    put("sys/fs/cgroup/cpu.max", "300000 100000\n");
    grants(3);
}
END_TEST

START_TEST(names_as_mountinfo_writes_them) {
    machine("0::/my group:1\n", "31 27 0:28 / /a\\040b\\134c rw - cgroup2 cgroup2 rw\n");
    put("a b\\c/my group:1/cpu.max", "200000 100000\n");
    grants(2);
}
END_TEST

START_TEST(deep_nesting) {
    char group[3000] = "0::";
    for (int i = 0; i < 500; i++) {
        strcat(group, "/deep");
    }
    strcat(group, "\n");
    machine(group, V2);
    put("sys/fs/cgroup/deep/deep/cpu.max", "500000 100000\n");
    grants(5);
    put("sys/fs/cgroup/deep/cpu.max", "400000 100000\n");
    grants(4);
}
END_TEST

// ---- memory -------------------------------------------------------------------------------------

static void leaves(size_t wanted) {
    ck_assert_uint_eq(memory_available(suite_dir), wanted);
}

START_TEST(memory_at_every_level) {
    machine("0::/a/b\n", V2);
    put("proc/meminfo", "MemTotal:       9000 kB\nMemFree: 10 kB\nMemAvailable:   8000 kB\n");
    leaves(8192000);
    put("sys/fs/cgroup/a/b/memory.max", "max\n");
    put("sys/fs/cgroup/a/memory.max", "9000000\n"); // more than there is
    leaves(8192000);
    put("sys/fs/cgroup/a/memory.current", "2000000\n"); // of other processes in the group
    leaves(7000000);
    put("sys/fs/cgroup/a/memory.stat", "anon 5\ninactive_file 500000\nactive_file 7\n");
    leaves(7500000);
    put("sys/fs/cgroup/a/b/memory.max", "600000\n");
    leaves(600000);
    put("sys/fs/cgroup/a/b/memory.current", "700000\n");
    leaves(0);
}
END_TEST

START_TEST(memory_of_version_1) {
    machine("7:memory:/a/b\n4:cpu,cpuacct:/\n",
            V1 "34 31 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
    put("proc/meminfo", "MemAvailable:   8000 kB\n");
    put("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"); // none
    leaves(8192000);
    put("sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "9223372036854771712\n");
    put("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "5000000\n");
    put("sys/fs/cgroup/memory/a/memory.usage_in_bytes", "1000000\n");
    put("sys/fs/cgroup/memory/a/memory.stat", "inactive_file 9\ntotal_inactive_file 250000\n");
    leaves(4250000);
    put("sys/fs/cgroup/cpu,cpuacct/memory.limit_in_bytes", "1\n"); // another hierarchy
    leaves(4250000);
}
END_TEST

// ---- this machine -------------------------------------------------------------------------------

static void print_allowed(void *context) {
    (void)context;
    fprintf(stderr, "%d\n", processors_allowed());
}

static void print_on_one(void *context) {
    unsigned long set[2048] = {0};
    long bytes = syscall(SYS_sched_getaffinity, 0, sizeof set, set);
    bool one = false; // the first of the set, and no other
    for (long i = 0; i < bytes / (long)sizeof *set; i++) {
        set[i] = one ? 0 : set[i] & -set[i];
        one |= set[i] != 0;
    }
    ck_assert_int_eq(syscall(SYS_sched_setaffinity, 0, (size_t)bytes, set), 0);
    print_allowed(context);
}

START_TEST(the_schedulers_set) {
    unsetenv("DIECAST_PROCESSORS");
    int all = processors_allowed();
    ck_assert_int_ge(all, 1);
    ck_assert_int_le(all, (int)sysconf(_SC_NPROCESSORS_CONF));
    ck_assert_str_eq(suite_run(print_on_one, NULL).text, "1\n");
}
END_TEST

static void allowed(void *context) {
    (void)context;
    processors_allowed();
}

static void ask(void *context) {
    int asked = *(int *)context;
    exit(processors_threads("--threads", asked));
}

START_TEST(more_than_may_run_at_once) {
    setenv("DIECAST_PROCESSORS", "3", 1);
    const struct {
        int asked, taken;
        const char *said;
    } cases[] = {
        {0, 3, ""},
        {1, 1, ""},
        {3, 3, ""},
        {4, 3, "--threads=4: only 3 may run at once here, so 3 it is; results are the same\n"},
        {1024, 3,
         "--threads=1024: only 3 may run at once here, so 3 it is; results are the same\n"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int asked = cases[i].asked;
        struct ending ending = suite_run(ask, &asked);
        ck_assert_int_eq(ending.code, cases[i].taken);
        ck_assert_str_eq(ending.text, cases[i].said);
    }
    const char *const wrong[] = {"0", "-1", "x", "2x", "1025", "99999999999999999999"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        setenv("DIECAST_PROCESSORS", wrong[i], 1);
        suite_dies(allowed, NULL, EXIT_USAGE, "DIECAST_PROCESSORS=", wrong[i]);
    }
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        version_2_at_every_level,
        parts_of_a_processor_count_as_one,
        what_makes_no_sense_is_no_limit,
        version_1_at_every_level,
        both_versions_at_once,
        a_part_of_the_hierarchy,
        names_as_mountinfo_writes_them,
        deep_nesting,
        memory_at_every_level,
        memory_of_version_1,
        the_schedulers_set,
        more_than_may_run_at_once,
    };
    return suite_main("groups", tests, sizeof tests / sizeof *tests);
}
