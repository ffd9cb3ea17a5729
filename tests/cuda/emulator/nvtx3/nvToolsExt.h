// nvToolsExt.h: NVTX ranges, which nothing records here; a pop without a push is an error.
#ifndef DIECAST_EMULATOR_NVTX_H
#define DIECAST_EMULATOR_NVTX_H

#ifdef __cplusplus
extern "C" {
#endif

int nvtxRangePushA(const char *name); // both return the depth, from 0
int nvtxRangePop(void);
void nvtxMarkA(const char *name);

#ifdef __cplusplus
}
#endif

#endif
