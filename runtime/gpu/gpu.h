// gpu.h: a model on a CUDA device. memory.c, step.c and profile.c stand in for those of the wing
// model; device.c opens the device, gemm.c has products by cuBLASLt. It stands on base, kernel and
// model. What emitted train.cu provides and calls is in kernel/device.h and kernel/gemm.h.
#ifndef DIECAST_GPU_H
#define DIECAST_GPU_H

#include "runtime/kernel/device.h"
#include "runtime/kernel/gemm.h"
#include "runtime/model/model.h"

// ---- device.c -----------------------------------------------------------------------------------

// Takes the first device that CUDA shows and makes its stream. Dies with EXIT_MEMORY in one line
// where there is none, the driver is too old or the device is older than an A100 (sm_80).
void gpu_open(struct gpu *gpu);
void gpu_close(struct gpu *gpu);
// The device's name, and its dense bf16 peak in FLOP/s from a table, or 0 where it is not listed.
double gpu_peak(char name[256]);

// ---- memory.c: model_create and its kin on a device; step_begin and step_fetch ------------------

extern struct gpu gpu_model; // the one model of the program
// Bytes of a staging slot for batches of N tokens.
size_t gpu_slot_bytes(const struct model_info *info);
// The host's end of a slot; m->tokens and m->targets point into it after gpu_next_slot.
char *gpu_host_slot(int slot);
void gpu_next_slot(struct model *m, const struct model_info *info, int slot);

// ---- step.c: the rest of model/step.c's part on a device ----------------------------------------

// The device's counters of steps were set to 0.
void gpu_step_restart(void);
// Frees graphs, events and streams.
void gpu_step_end(void);

// ---- profile.c: where the time goes on a device -------------------------------------------------

// Waits for the device and adds up what the events say, for profile_read.
void gpu_profile_collect(void);

// ---- gemm.c: products, each made once -----------------------------------------------------------

// What cuBLASLt may use beside, as NVIDIA advises for Hopper (and 4 MiB for older devices).
#ifndef GEMM_WORKSPACE_MIB
#define GEMM_WORKSPACE_MIB 32
#endif
enum { GEMM_WORKSPACE = GEMM_WORKSPACE_MIB << 20, GEMM_WORKSPACE_ALIGN = 256 };

// cuBLASLt on the current device, with gpu->workspace, which must be there already. The
// algorithms that `tune` measured are looked for in the folder tune (NULL: nowhere).
struct gemm_context *gemm_context_create(const struct gpu *gpu, const char *tune);
void gemm_context_destroy(struct gemm_context *context);
// That folder, for every program: DIECAST_TUNE of the environment, or else build/tune, seen from where
// the program runs.
const char *gemm_tune_folder(void);
// How the algorithms of the products made so far were chosen, one word for a checkpoint:
// "heuristic", or "tuned:" and 16 hex digits that stand for all of them.
const char *gemm_context_choice(const struct gemm_context *context);

// Makes a product ready to run, once; dies with EXIT_MEMORY where cuBLASLt can't do it.
void gemm_create(struct gemm_context *context, struct gemm *gemm);
void gemm_destroy(struct gemm *gemm);

// ---- for the program tune -----------------------------------------------------------------------

enum { GEMM_CHOICES = 8 };
// How many algorithms the heuristic names for a product, best first; and which of them runs.
int gemm_choices(const struct gemm *gemm);
void gemm_choose(struct gemm *gemm, int choice);
// Remembers the choices in force of these products in the tune file of this device, driver and
// cuBLASLt; what it says of other shapes stays. Returns the file's path.
const char *gemm_tune_save(struct gemm_context *context, struct gemm *const *gemms, int count);

#endif
