// param_table.c: a model's table of parameters as text, which the generator writes for programs
// that are independent of the config (gen/import/table.lua): a line for each entry, in the order of
// the table, "NAME LAYERS COPY ROWS COLUMNS". "%d" in NAME stands for the layer, COPY is 1 for a
// tied head and 2 for rows that are joined to those of the entry before it, COLUMNS is 0 for a
// vector.
#include "runtime/files/files.h"
#include "runtime/kernel/emitted.h"

#include <stdlib.h>
#include <string.h>

enum { PARAM_TABLE_LAYERS_MAX = 1024 };

int param_table_read(FILE *in, struct param *params) {
    char name[PARAM_NAME - 8]; // a layer's digits come on top
    int layers, copy, count = 0;
    long long rows, columns;
    while (fscanf(in, "%119s %d %d %lld %lld", name, &layers, &copy, &rows, &columns) == 5) {
        const bool bad = layers < 1 || layers > PARAM_TABLE_LAYERS_MAX || rows < 1 || columns < 0;
        if (bad || count == PARAM_TABLE_MAX) {
            die(EXIT_INTERNAL, "line %d of the table of parameters is wrong: %s", count + 1, name);
        }
        params[count++] = (struct param){
            .name = allocate_copy(name, strlen(name), "a tensor's name"),
            .layers = layers,
            .ndim = columns ? 2 : 1,
            .dims = {rows, columns ? columns : 1},
            .copy = copy == 1,
            .joined = copy == 2,
        };
    }
    if (!count || !feof(in)) {
        die(EXIT_INTERNAL, "the table of parameters ends at line %d", count + 1);
    }
    return count;
}

void param_table_free(struct param *params, int count) {
    for (int i = 0; i < count; i++) {
        free((char *)params[i].name);
    }
}
