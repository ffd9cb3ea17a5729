// device.c: the CUDA device: choosing it, its peak, and the message when a call fails.
#include "runtime/gpu/gpu.h"
#include "runtime/base/base.h"

#include <string.h>

enum { GPU_OLDEST = 80 }; // compute capability: A100, the first with bf16 and cp.async

// What the user can do about an error.
static const char *gpu_advice(cudaError_t error) {
    switch ((int)error) {
    case cudaErrorNoDevice:
        return "there is no GPU here; BACKEND=cpu needs none";
    case cudaErrorInsufficientDriver:
        return "the driver is older than this program's CUDA; install a newer driver";
    case cudaErrorMemoryAllocation:
        return "take a smaller batch_size, or recompute=block";
    case cudaErrorNoKernelImageForDevice:
        return "it was compiled for another GPU; build it on this machine, or with SET=arch=all";
    default:
        return "see nvidia-smi for the device's state; BACKEND=cpu does without it";
    }
}

_Noreturn void gpu_fail(const char *call, const char *file, int line, cudaError_t error) {
    die(EXIT_MEMORY, "%s:%d: %.60s: %s (%s); %s", file, line, call, cudaGetErrorString(error),
        cudaGetErrorName(error), gpu_advice(error));
}

int gpu_device;

// The number of devices. Dies if there is none.
static int gpu_count(void) {
    int count = 0;
    cudaError_t error = cudaGetDeviceCount(&count);
    if (error == cudaSuccess && count == 0) {
        error = cudaErrorNoDevice;
    }
    if (error != cudaSuccess) {
        int driver = 0;
        cudaDriverGetVersion(&driver);
        die(EXIT_MEMORY, "GPU: %s; %s",
            driver == 0 ? "no NVIDIA driver is installed" : cudaGetErrorString(error),
            gpu_advice(driver == 0 ? cudaErrorNoDevice : error));
    }
    return count;
}

int gpu_of_rank(int local_rank) {
    const int count = gpu_count();
    if (count > 1 && local_rank >= count) {
        die(EXIT_USAGE,
            "ranks: one GPU a rank: there are %d here, and none for a rank %d; start as many ranks",
            count, local_rank);
    }
    return count > 1 ? local_rank : 0; // a launcher may have left each rank one
}

void gpu_open(struct gpu *gpu) {
    gpu_count();
    CUDA_CHECK(cudaSetDevice(gpu_device));
    struct cudaDeviceProp device;
    CUDA_CHECK(cudaGetDeviceProperties(&device, gpu_device));
    gpu->arch = 10 * device.major + device.minor;
    gpu->sms = device.multiProcessorCount;
    if (gpu->arch < GPU_OLDEST) {
        die(EXIT_MEMORY,
            "GPU: %s has compute capability %d.%d, this needs %d.%d or newer; BACKEND=cpu does "
            "without it",
            device.name, device.major, device.minor, GPU_OLDEST / 10, GPU_OLDEST % 10);
    }
    CUDA_CHECK(cudaStreamCreateWithFlags(&gpu->stream, cudaStreamNonBlocking));
}

void gpu_close(struct gpu *gpu) {
    CUDA_CHECK(cudaStreamDestroy(gpu->stream));
    gpu->stream = NULL;
}

// Dense bf16 with sums in float, from NVIDIA's data sheets, in TFLOP/s. The first entry whose name
// is part of the device's name counts, so longer names come first.
static const struct {
    const char *name;
    double tflops;
} gpu_peaks[] = {
    {"GB200", 2500},
    {"B200", 2250},
    {"GB300", 2500},
    {"B300", 2250},
    {"B100", 1750},
    {"GH200", 989.4},
    {"H200 NVL", 835.5},
    {"H200", 989.4},
    {"H100 NVL", 835.5},
    {"H100 PCIe", 756},
    {"H100", 989.4},
    {"H800", 989.4},
    {"H20", 148},
    {"A100", 312},
    {"A800", 312},
    {"A30", 165},
    {"A40", 149.7},
    {"A10G", 70},
    {"A10", 125},
    {"L40S", 362},
    {"L40", 181},
    {"L4", 121},
    {"RTX 6000 Ada", 364},
    {"RTX A6000", 154.8},
    {"RTX PRO 6000", 503.8},
    {"RTX 5090", 209.5},
    {"RTX 5080", 112.6},
    {"RTX 4090", 165.2},
    {"RTX 4080", 97.5},
    {"RTX 3090", 71},
    {"RTX 3080", 59.5},
};

double gpu_peak(char name[256]) {
    struct cudaDeviceProp device;
    int at;
    CUDA_CHECK(cudaGetDevice(&at));
    CUDA_CHECK(cudaGetDeviceProperties(&device, at));
    snprintf(name, 256, "%s", device.name);
    for (size_t i = 0; i < sizeof gpu_peaks / sizeof gpu_peaks[0]; i++) {
        if (strstr(device.name, gpu_peaks[i].name)) {
            return gpu_peaks[i].tflops * 1e12;
        }
    }
    return 0;
}
