// machine.c: the processor's name, how busy it was, and files in this program's folder.
#include "runtime/base/base.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void machine_name(char name[128]) {
    snprintf(name, 128, "unknown processor");
    FILE *file = fopen("/proc/cpuinfo", "r");
    if (!file) {
        return;
    }
    char line[256];
    while (fgets(line, sizeof line, file)) {
        const char *value = strchr(line, ':');
        if (value && !strncmp(line, "model name", 10)) {
            snprintf(name, 128, "%.*s", (int)strcspn(value + 1, "\n"), value + 1);
            break;
        }
    }
    fclose(file);
    char *to = name;
    for (const char *from = name + strspn(name, " "); *from; from++) {
        if (*from >= ' ' && *from <= '~' && *from != '"' && *from != '\\') {
            *to++ = *from;
        }
    }
    *to = 0;
}

double machine_busy_seconds(void) {
    FILE *file = fopen("/proc/stat", "r");
    double sum = 0;
    char line[256];
    if (!file || !fgets(line, sizeof line, file) || strncmp(line, "cpu ", 4)) {
        sum = NAN;
    } else {
        // user, nice, system, idle, iowait, irq, softirq, steal
        char *at = line + 4;
        for (int field = 0; field < 8; field++) {
            const double ticks = strtod(at, &at);
            sum += field == 3 || field == 4 ? 0 : ticks;
        }
    }
    if (file) {
        fclose(file);
    }
    return sum / (double)sysconf(_SC_CLK_TCK);
}

bool machine_beside(const char *name, int mode, char path[MACHINE_PATH]) {
    char own[MACHINE_PATH], here[MACHINE_PATH];
    ssize_t length = readlink("/proc/self/exe", own, sizeof own - 1);
    if (length <= 0) {
        return false;
    }
    own[length] = 0;
    *strrchr(own, '/') = 0;
    size_t above = getcwd(here, sizeof here) ? strlen(here) : 0;
    bool inside = above > 1 && !strncmp(own, here, above);
    int written = inside && !own[above]
                      ? snprintf(path, MACHINE_PATH, "./%s", name)
                      : snprintf(path, MACHINE_PATH, "%s/%s",
                                 own + (inside && own[above] == '/' ? above + 1 : 0), name);
    return written < MACHINE_PATH && !access(path, mode);
}
