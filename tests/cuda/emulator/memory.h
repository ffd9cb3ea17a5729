// memory.h: what the files of the emulator know of each other.
#ifndef DIECAST_EMULATOR_MEMORY_H
#define DIECAST_EMULATOR_MEMORY_H

#include <string>

#include "emulator.h"

enum emulator_order emulator_order_now(void);
uint32_t emulator_random(void); // next of the schedule's seed
size_t emulator_shared_limit(void);

// With ASan an access to guarded memory ends the program at once; without, nothing happens.
void emulator_guard(void *p, size_t bytes, bool on);
// Red zones: bytes that nobody may write, NaN to who reads them.
void emulator_red_set(void *p, size_t bytes);
// The first byte of a red zone that someone wrote, or -1.
long emulator_red_written(void *p, size_t bytes);

// Whether the address lies in the guard page below a fiber's stack.
bool emulator_in_guard(const void *p);

// Whether the bytes lie in one live block of device memory; and what to say where they do not.
bool emulator_device_holds(const void *p, size_t bytes);
std::string emulator_device_why(const void *p, size_t bytes);
// Ends the program where someone wrote around a block of device memory.
void emulator_device_check(struct emulator_place at);

#endif
