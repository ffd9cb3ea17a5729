// gpu.h: a model on a CUDA device. memory.c, step.c and profile.c replace those of the wing model;
// device.c opens the device, gemm.c runs products by cuBLASLt. The wing uses base, kernel and
// model. The interface with emitted train.cu is in kernel/device.h and kernel/gemm.h.
#ifndef DIECAST_GPU_H
#define DIECAST_GPU_H

#include "runtime/kernel/device.h"
#include "runtime/kernel/gemm.h"
#include "runtime/model/model.h"

// ---- device.c -----------------------------------------------------------------------------------

extern int gpu_device; // the number of the device that this process takes: the first, or a rank's
// Which one that is of a rank, by its number on this machine: where CUDA lists one alone, that one.
// Dies with EXIT_USAGE if there are too few.
int gpu_of_rank(int local_rank);
// Takes the device and creates its stream. Ends the program with EXIT_MEMORY and one line if there
// is none, the driver is too old, or the device is older than an A100 (sm_80).
void gpu_open(struct gpu *gpu);
void gpu_close(struct gpu *gpu);
// The device's name, and its dense bf16 peak in FLOP/s from a table, or 0 if it is not listed.
double gpu_peak(char name[256]);

// ---- memory.c: model_create and model_destroy on a device; step_begin and step_fetch ------------

extern struct gpu gpu_model; // the one model of the program
// Bytes of a staging slot for batches of N tokens.
size_t gpu_slot_bytes(const struct model_info *info);
// Offsets of the parts of a model's allocation, in bytes, and behind them its size. Without an
// optimizer there are no gradients and moments. `workspace`: the bytes of the last part.
enum { GPU_PARTS = 13 };
// Floats of weights, and of gradients and moments: info->device_floats, rounded up to a multiple of
// gpu_round, so that ranks can have shares of one size.
extern int64_t gpu_round;
int64_t gpu_state_floats(const struct model_info *info);
void gpu_layout(const struct model_info *info, bool with_optimizer, size_t workspace,
                size_t offset[GPU_PARTS + 1]);
// Bytes of the workspace of a model's products on a device of that much memory.
size_t gpu_workspace_bytes(const struct model_info *info, size_t device);
enum gpu_direction { TO_DEVICE, TO_HOST };
// Copies what the device has of params, m or v between two of its places, in floats, to or from the
// host's, where rows have no padding; queued on the stream.
void gpu_copy(const struct model_info *info, float *host, float *device, int64_t from, int64_t to,
              enum gpu_direction direction);
// The host's buffer of a slot. gpu_next_slot points m->tokens and m->targets into it.
char *gpu_host_slot(int slot);
void gpu_next_slot(struct model *m, const struct model_info *info, int slot);

// ---- step.c: the rest of model/step.c on a device -----------------------------------------------

// Resets the host's counters of steps, as the device's were.
void gpu_step_restart(void);
// Frees graphs, events and streams.
void gpu_step_end(void);

// ---- profile.c: time of each kernel on a device -------------------------------------------------

// Waits for the device and adds up the events' times, for profile_read.
void gpu_profile_collect(void);

// ---- gemm.c: products, each created once --------------------------------------------------------

// cuBLASLt's workspace: the size that NVIDIA advises for Hopper (4 MiB for older devices), and one
// that holds more partial sums, so that a small output with a long inner sum fills the device: of
// gpt2's gradients of 9 MiB the first holds three, the second 28.
#ifndef GEMM_WORKSPACE_MIB
#define GEMM_WORKSPACE_MIB 32
#endif
enum {
    GEMM_WORKSPACE = GEMM_WORKSPACE_MIB << 20,
    GEMM_WORKSPACE_LARGE = 256 << 20,
    GEMM_WORKSPACE_ALIGN = 256,
};

// The bytes of it, for a model that takes that many besides, on a device of that much memory: the
// large one where it is an eighth at most of the model and there is room. It depends on nothing
// that changes from run to run, since other sizes may mean other algorithms.
size_t gemm_workspace_bytes(size_t model, size_t device);

// Opens cuBLASLt on the current device, with gpu->workspace, which must be allocated. Algorithms
// that `make tune` stored are read from the folder `tune` (NULL: none).
struct gemm_context *gemm_context_create(const struct gpu *gpu, const char *tune);
void gemm_context_destroy(struct gemm_context *context);
// That folder, for every program: the environment's DIECAST_TUNE, or else build/tune in the working
// directory.
const char *gemm_tune_folder(void);
// How the algorithms of the products created so far were chosen, one word for a checkpoint:
// "heuristic", or "tuned:" and 16 hex digits, a hash of them all.
const char *gemm_context_choice(const struct gemm_context *context);

// Makes a product ready to run, once. Ends the program with EXIT_MEMORY if cuBLASLt can't do it.
void gemm_create(struct gemm_context *context, struct gemm *gemm);
void gemm_destroy(struct gemm *gemm);

// ---- for the program tune -----------------------------------------------------------------------

enum { GEMM_ASKED = 8, GEMM_CHOICES = 3 * GEMM_ASKED };
// Lists also what the heuristic says for the small workspace, and, where the output is float, with
// partial sums in the type of the output, which loses nothing then.
void gemm_ask_more(struct gemm_context *context, const struct gemm *gemm);
// The number of algorithms that are listed for a product, the heuristic's best first; choosing one.
int gemm_choices(const struct gemm *gemm);
void gemm_choose(struct gemm *gemm, int choice);
// Stores the current choices of these products in the tune file of this device, driver and
// cuBLASLt; lines of other shapes stay. Returns the file's path.
const char *gemm_tune_save(struct gemm_context *context, struct gemm *const *gemms, int count);

#endif
