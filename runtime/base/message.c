// message.c: the text of a message, and its exit code; log.c prints it. Needs only libc.
#include "runtime/base/base.h"

#include <errno.h>

// Messages contain names from files of unknown origin: control characters, which could break the
// line or drive the terminal, become question marks.
void message_print(char *line, size_t size, const char *format, va_list arguments) {
    vsnprintf(line, size, format, arguments);
    for (unsigned char *c = (unsigned char *)line; *c; c++) {
        if (*c < 0x20 || *c == 0x7f || (c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0)) {
            *c = '?';
        }
    }
}

enum exit_code exit_code_of(int reason) {
    return reason == ENOMEM ? EXIT_MEMORY : EXIT_IO;
}
