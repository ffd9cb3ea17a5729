// flags.c: the command lines of small programs, whose flags are all --name=text.
#include "runtime/base/base.h"

#include <string.h>

void flags_read(const char *program, const char *wanted, const struct text_flag *flags, int count,
                int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        int f = 0;
        while (f < count && strncmp(argv[i], flags[f].flag, strlen(flags[f].flag)) != 0) {
            f++;
        }
        if (f == count) {
            die(EXIT_USAGE, "%s: unknown argument '%s'; %s", program, argv[i], wanted);
        }
        *flags[f].value = argv[i] + strlen(flags[f].flag);
    }
}
