// processors_main.c: prints how many threads may run at once, for the sweep's plan
// (gen/sweep/cost.lua).
#include "runtime/runtime.h"

int main(void) {
    streams_open();
    printf("%d\n", processors_allowed());
    return EXIT_DONE;
}
