// flags.c: the command lines of small programs, whose flags are all --name=text.
#include "runtime/base/base.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
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

int64_t flags_number(const char *flag, const char *text, int64_t least, int64_t most) {
    char *end;
    errno = 0;
    const long long value = strtoll(text, &end, 10);
    if (!*text || *end || errno || value < least || value > most) {
        die(EXIT_USAGE, "%s: found '%s', wanted a whole number from %" PRId64 " to %" PRId64, flag,
            text, least, most);
    }
    return value;
}
