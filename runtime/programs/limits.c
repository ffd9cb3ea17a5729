// limits.c: prints how many threads may run at once and how many bytes can be allocated, for the
// sweep's plan (gen/sweep/cost.lua).
#include "runtime/base/base.h"

int main(void) {
    streams_open();
    printf("%d\n%zu\n", processors_allowed(), memory_available(""));
    return streams_close(EXIT_DONE);
}
