// cuda_runtime.h: CUDA's C++ header; for the emulator the C one has all of it.
#ifndef DIECAST_EMULATOR_CUDA_RUNTIME_H
#define DIECAST_EMULATOR_CUDA_RUNTIME_H
#include "cuda_runtime_api.h"
#endif
