// memory.h: what the emulator's files share about memory.
#ifndef DIECAST_EMULATOR_MEMORY_H
#define DIECAST_EMULATOR_MEMORY_H

#include <string>

#include "emulator.h"

enum emulator_order emulator_order_now(void);
uint32_t emulator_random(void); // the next number of the schedule's generator
size_t emulator_shared_limit(void);

// With ASan, an access to guarded memory ends the program at once; without, this does nothing.
void emulator_guard(void *p, size_t bytes, bool on);
// Red zones: bytes that must not be written, and read as NaN.
void emulator_red_set(void *p, size_t bytes);
// The first byte of a red zone that was written, or -1.
long emulator_red_written(void *p, size_t bytes);

// Whether the address is in the guard page below a fiber's stack.
bool emulator_in_guard(const void *p);

// Whether the bytes are within one live allocation of device memory; the message if they are not.
bool emulator_device_holds(const void *p, size_t bytes);
std::string emulator_device_why(const void *p, size_t bytes);
// Empties emulator_found.
void emulator_forget(void);
// Ends the program if red zones around an allocation of device memory were written.
void emulator_device_check(struct emulator_place at);

#endif
