// check.c: a program for scripts that checks whether files are whole:
//
//     check FILE ...       prints a line for each safetensors file that is not whole. The exit code
//                          is 0, or for the last such file 65 damaged, 66 missing, 74 unreadable
//     check --data=DIR     prints the hash of the data set in DIR, of its tokens and its tokenizer
//
// A file's header is checked against its hash and the file's size; --data as a trainer does at
// start.
#include "runtime/files/files.h"

#include <limits.h>
#include <string.h>

int main(int argc, char **argv) {
    streams_open();
    int code = EXIT_DONE;
    for (int i = 1; i < argc; i++) {
        struct safetensors file;
        struct data data;
        char error[SAFETENSORS_ERROR];
        enum exit_code found;
        if (!strncmp(argv[i], "--data=", 7)) {
            data_open(&data, argv[i] + 7, INT_MAX, 0);
            printf("%s\n", data.hash);
            data_close(&data);
        } else if (safetensors_open(&file, argv[i], error, &found)) {
            safetensors_close(&file);
        } else {
            warn("%s", error);
            code = found;
        }
    }
    return streams_close(code);
}
