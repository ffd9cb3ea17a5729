// machine.c: what the machine calls itself.
#include "runtime/runtime.h"

#include <string.h>

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
