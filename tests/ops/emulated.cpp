// emulated.cpp: chooses the emulator's schedule for backend_cuda.c, which is C.
#include "emulator.h"

extern "C" void emulator_choose(int schedule);

void emulator_choose(int schedule) {
    const enum emulator_order orders[] = {EMULATOR_ASCENDING, EMULATOR_DESCENDING, EMULATOR_RANDOM};
    emulator_schedule(orders[schedule], 20240229);
}
