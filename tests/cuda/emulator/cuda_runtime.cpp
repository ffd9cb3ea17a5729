// cuda_runtime.cpp: the emulated device of cuda_runtime_api.h: its properties and its memory. Its
// streams, events and graphs are in streams.cpp.
//
// The CPU can access device memory only while queued work runs: a host that follows a device
// pointer ends with an error, as with a real device.
#include <algorithm>
#include <map>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "device.h"

using namespace device;

#define AT_HERE                                                                                    \
    { "cuda_runtime.cpp", __LINE__ }

enum { ALIGN = 256, RED_ZONE = 256 };

static cudaError_t last_error;

cudaError_t device::result(cudaError_t error) {
    if (error != cudaSuccess && error != cudaErrorNotReady)
        last_error = error;
    return error;
}

long device::environment(const char *name, long fallback) {
    const char *word = getenv(name);
    if (!word)
        return fallback;
    char *end;
    const long n = strtol(word, &end, 10);
    if (end == word || *end || n < 0)
        emulator_fail({"environment", 0}, "%s=%s: wanted a number", name, word);
    return n;
}

// ---- device memory ------------------------------------------------------------------------------

// Global objects here are never destroyed, since exit handlers still use the device. The addresses
// of a freed block are not reused until there is no room left, so that using it after is an error.
struct device_memory {
    unsigned char *low, *next, *high; // the reserved addresses; where the next block goes
    size_t total, used;
    std::map<unsigned char *, size_t> blocks, freed; // bytes of each
    int open;
};
static auto &memory = *new struct device_memory();

static void on_fault(int number, siginfo_t *info, void *context);
static struct sigaction fault_before;

static void memory_start(void) {
    if (memory.low)
        return;
    memory.total = (size_t)environment("EMULATOR_MEMORY", 4096) << 20;
    const size_t room = std::max<size_t>(memory.total * 4, (size_t)16 << 30);
    void *p = mmap(nullptr, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        emulator_fail(AT_HERE, "no room for device memory");
    memory.low = memory.next = (unsigned char *)p;
    memory.high = memory.low + room;

    static unsigned char stack[64 * 1024];
    stack_t other = {};
    other.ss_sp = stack;
    other.ss_size = sizeof stack;
    sigaltstack(&other, nullptr);
    struct sigaction action = {};
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigaction(SIGSEGV, &action, &fault_before);
}

static bool on_device(const void *p) {
    return memory.low && (const unsigned char *)p >= memory.low &&
           (const unsigned char *)p < memory.high;
}

// Finds the last of `blocks` that begins at or before p. False if there is none.
static bool block_below(const std::map<unsigned char *, size_t> &blocks, const void *p,
                        unsigned char **block, size_t *bytes) {
    auto it = blocks.upper_bound((unsigned char *)p);
    if (it == blocks.begin())
        return false;
    --it;
    *block = it->first;
    *bytes = it->second;
    return true;
}

bool emulator_device_holds(const void *p, size_t bytes) {
    unsigned char *from = (unsigned char *)p, *block;
    size_t size;
    struct emulator_found *found = &emulator_found[((uintptr_t)p >> 12) % 64];
    if (from >= found->begin && from + bytes <= found->end)
        return on_device(p);
    if (!on_device(p) || !block_below(memory.blocks, p, &block, &size) ||
        from + bytes > block + size)
        return false;
    *found = {block, block + size};
    return true;
}

std::string emulator_device_why(const void *p, size_t bytes) {
    unsigned char *from = (unsigned char *)p, *block;
    size_t size;
    char text[160];
    if (!p)
        return "a null pointer";
    if (!on_device(p))
        return "not device memory";
    if (block_below(memory.freed, p, &block, &size) && from < block + size)
        return "device memory that was freed";
    if (!block_below(memory.blocks, p, &block, &size))
        return "out of bounds: before the first block of device memory";
    const ptrdiff_t at = from - block;
    if ((size_t)at + bytes <= size)
        snprintf(text, sizeof text, "byte %td of a block of %zu", at, size);
    else
        snprintf(text, sizeof text, "out of bounds: bytes %td to %td of a block of %zu", at,
                 at + (ptrdiff_t)bytes, size);
    return text;
}

static void on_fault(int number, siginfo_t *info, void *context) {
    if (on_device(info->si_addr)) {
        char text[300];
        const int n = snprintf(
            text, sizeof text, "%s: %s%p: %s\n", emulator_grid.name ? emulator_grid.name : "host",
            memory.open ? "no block at " : "the host reads or writes device memory at ",
            info->si_addr, emulator_device_why(info->si_addr, 1).c_str());
        if (write(2, text, (size_t)n) < 0)
            _exit(71);
        _exit(70);
    }
    if (emulator_in_guard(info->si_addr)) {
        static const char text[] = "emulator: a thread's stack has overflowed\n";
        if (write(2, text, sizeof text - 1) < 0)
            _exit(71);
        _exit(70);
    }
    sigaction(SIGSEGV, &fault_before,
              nullptr); // the access is repeated, under the default action
    (void)number, (void)context;
}

static void protect(uintptr_t from, uintptr_t to, int how) {
    if (to > from && mprotect((void *)from, to - from, how))
        emulator_fail(AT_HERE, "mprotect failed");
}

// Protects all live blocks, with their red zones, and what is between neighbours. Not what is
// between distant ones: where many blocks were freed, that is most of the time of a launch.
static void memory_protect(int how) {
    enum { NEAR = 1 << 16 };
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = 0, to = 0;
    for (const auto &block : memory.blocks) {
        const uintptr_t begin = (uintptr_t)(block.first - RED_ZONE) & ~(page - 1);
        if (begin > to + NEAR) {
            protect(from, to, how);
            from = begin;
        }
        to = ((uintptr_t)(block.first + block.second + RED_ZONE) + page - 1) & ~(page - 1);
    }
    protect(from, to, how);
}

void device::memory_open(void) {
    if (memory.open++ == 0)
        memory_protect(PROT_READ | PROT_WRITE);
}

void device::memory_close(void) {
    if (--memory.open == 0)
        memory_protect(PROT_NONE);
}

void emulator_device_check(struct emulator_place at) {
    for (const auto &block : memory.blocks) {
        const long above = emulator_red_written(block.first + block.second, RED_ZONE);
        const long below = emulator_red_written(block.first - RED_ZONE, RED_ZONE);
        if (above >= 0)
            emulator_fail(at,
                          "written out of bounds: %ld bytes behind a block of %zu in device memory",
                          above, block.second);
        if (below >= 0)
            emulator_fail(at,
                          "written out of bounds: %ld bytes before a block of %zu in device memory",
                          RED_ZONE - below, block.second);
    }
}

// ---- errors, devices ----------------------------------------------------------------------------

static const struct {
    cudaError_t error;
    const char *name, *text;
} error_names[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInitializationError, "cudaErrorInitializationError", "initialization error"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration",
     "invalid configuration argument"},
    {cudaErrorInvalidMemcpyDirection, "cudaErrorInvalidMemcpyDirection",
     "invalid copy direction for memcpy"},
    {cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver",
     "CUDA driver version is insufficient for CUDA runtime version"},
    {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorNoKernelImageForDevice, "cudaErrorNoKernelImageForDevice",
     "no kernel image is available for execution on the device"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
    {cudaErrorSymbolNotFound, "cudaErrorSymbolNotFound", "named symbol not found"},
    {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
    {cudaErrorIllegalAddress, "cudaErrorIllegalAddress",
     "an illegal memory access was encountered"},
    {cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "unspecified launch failure"},
    {cudaErrorNotSupported, "cudaErrorNotSupported", "operation not supported"},
    {cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported",
     "operation not permitted when stream is capturing"},
    {cudaErrorStreamCaptureInvalidated, "cudaErrorStreamCaptureInvalidated",
     "operation failed due to a previous error during capture"},
    {cudaErrorStreamCaptureMerge, "cudaErrorStreamCaptureMerge",
     "operation would result in a merge of separate capture sequences"},
    {cudaErrorStreamCaptureUnmatched, "cudaErrorStreamCaptureUnmatched",
     "capture was not ended in the same stream as it began"},
    {cudaErrorStreamCaptureUnjoined, "cudaErrorStreamCaptureUnjoined",
     "capturing stream has unjoined work"},
    {cudaErrorStreamCaptureIsolation, "cudaErrorStreamCaptureIsolation",
     "dependency created on uncaptured work in another stream"},
    {cudaErrorStreamCaptureImplicit, "cudaErrorStreamCaptureImplicit",
     "operation would make the legacy stream depend on a capturing blocking "
     "stream"},
    {cudaErrorCapturedEvent, "cudaErrorCapturedEvent",
     "operation not permitted on an event last recorded in a capturing stream"},
};

const char *cudaGetErrorName(cudaError_t error) {
    for (const auto &e : error_names)
        if (e.error == error)
            return e.name;
    return "cudaErrorUnknown";
}

const char *cudaGetErrorString(cudaError_t error) {
    for (const auto &e : error_names)
        if (e.error == error)
            return e.text;
    return "unknown error";
}

cudaError_t cudaGetLastError(void) {
    const cudaError_t error = last_error;
    last_error = cudaSuccess;
    return error;
}

cudaError_t cudaPeekAtLastError(void) {
    return last_error;
}

static int driver_version(void) {
    return (int)environment("EMULATOR_DRIVER", CUDART_VERSION);
}

cudaError_t device::there(void) {
    if (environment("EMULATOR_DEVICES", 1) == 0)
        return cudaErrorNoDevice;
    if (driver_version() / 1000 < CUDART_VERSION / 1000)
        return cudaErrorInsufficientDriver;
    memory_start();
    return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int *count) {
    *count = 0;
    NEED_DEVICE();
    *count = (int)environment("EMULATOR_DEVICES", 1);
    return cudaSuccess;
}

cudaError_t cudaGetDevice(int *device) {
    NEED_DEVICE();
    *device = 0;
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
    NEED_DEVICE();
    return result(device == 0 ? cudaSuccess : cudaErrorInvalidDevice);
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *prop, int device) {
    NEED_DEVICE();
    if (device != 0)
        return result(cudaErrorInvalidDevice);
    *prop = {};
    snprintf(prop->name, sizeof prop->name, "emulated");
    prop->totalGlobalMem = memory.total;
    prop->sharedMemPerBlock = 48 * 1024;
    prop->warpSize = EMULATOR_WARP;
    prop->maxThreadsPerBlock = 1024;
    prop->major = emulator_arch() / 10;
    prop->minor = emulator_arch() % 10;
    prop->multiProcessorCount = 4;
    prop->memoryBusWidth = 64;
    prop->l2CacheSize = 1 << 20;
    prop->sharedMemPerBlockOptin = emulator_shared_limit();
    prop->sharedMemPerMultiprocessor = emulator_shared_limit() + 1024;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attribute, int device) {
    struct cudaDeviceProp prop;
    const cudaError_t error = cudaGetDeviceProperties(&prop, device);
    if (error != cudaSuccess)
        return error;
    switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock:
        *value = prop.maxThreadsPerBlock;
        break;
    case cudaDevAttrMaxSharedMemoryPerBlock:
        *value = (int)prop.sharedMemPerBlock;
        break;
    case cudaDevAttrWarpSize:
        *value = prop.warpSize;
        break;
    case cudaDevAttrClockRate:
    case cudaDevAttrMemoryClockRate:
        *value = 1000000; // kHz
        break;
    case cudaDevAttrMultiProcessorCount:
        *value = prop.multiProcessorCount;
        break;
    case cudaDevAttrGlobalMemoryBusWidth:
        *value = prop.memoryBusWidth;
        break;
    case cudaDevAttrL2CacheSize:
        *value = prop.l2CacheSize;
        break;
    case cudaDevAttrComputeCapabilityMajor:
        *value = prop.major;
        break;
    case cudaDevAttrComputeCapabilityMinor:
        *value = prop.minor;
        break;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
        *value = (int)prop.sharedMemPerMultiprocessor;
        break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
        *value = (int)prop.sharedMemPerBlockOptin;
        break;
    default:
        return result(cudaErrorInvalidValue);
    }
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *version) {
    *version = environment("EMULATOR_DEVICES", 1) == 0 ? 0 : driver_version();
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version) {
    *version = CUDART_VERSION;
    return cudaSuccess;
}

// Waiting for the device during a capture invalidates the capture.
static cudaError_t may_wait(void) {
    if (!capturing(false))
        return cudaSuccess;
    capturing(false)->invalid = true;
    return cudaErrorStreamCaptureUnsupported;
}

cudaError_t cudaDeviceSynchronize(void) {
    NEED_DEVICE();
    const cudaError_t error = may_wait();
    if (error == cudaSuccess)
        run_all();
    return result(error);
}

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes) {
    NEED_DEVICE();
    *free_bytes = memory.total - memory.used;
    *total_bytes = memory.total;
    return cudaSuccess;
}

static std::map<std::string, void *> &driver_functions(void) { // registered before main
    static auto &functions = *new std::map<std::string, void *>();
    return functions;
}

void emulator_driver_function(const char *name, void *function) {
    driver_functions()[name] = function;
}

cudaError_t cudaGetDriverEntryPoint(const char *symbol, void **function, unsigned long long flags,
                                    enum cudaDriverEntryPointQueryResult *found) {
    NEED_DEVICE();
    (void)flags;
    auto it = driver_functions().find(symbol);
    *function = it == driver_functions().end() ? nullptr : it->second;
    if (found)
        *found = *function ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
    return result(*function || found ? cudaSuccess : cudaErrorSymbolNotFound);
}

cudaError_t cudaGetDriverEntryPointByVersion(const char *symbol, void **function,
                                             unsigned int version, unsigned long long flags,
                                             enum cudaDriverEntryPointQueryResult *found) {
    if ((int)version > driver_version() && found) {
        *function = nullptr;
        *found = cudaDriverEntryPointVersionNotSufficent;
        return cudaSuccess;
    }
    return cudaGetDriverEntryPoint(symbol, function, flags, found);
}

cudaError_t cudaFuncSetAttribute(const void *function, enum cudaFuncAttribute attribute,
                                 int value) {
    NEED_DEVICE();
    const bool fits = attribute != cudaFuncAttributeMaxDynamicSharedMemorySize ||
                      (value >= 0 && (size_t)value <= emulator_shared_limit());
    return result(function && fits ? cudaSuccess : cudaErrorInvalidValue);
}

// ---- allocation and copies ----------------------------------------------------------------------

static cudaError_t may_allocate(void) {
    struct capture *c = capturing(false);
    if (!c || c->mode == cudaStreamCaptureModeRelaxed)
        return cudaSuccess;
    c->invalid = true;
    return cudaErrorStreamCaptureUnsupported;
}

extern "C" cudaError_t cudaMalloc(void **p, size_t bytes) {
    *p = nullptr;
    NEED_DEVICE();
    const cudaError_t error = may_allocate();
    if (error != cudaSuccess)
        return result(error);
    if (bytes == 0)
        return cudaSuccess;
    const size_t rounded = (bytes + ALIGN - 1) / ALIGN * ALIGN + 2 * RED_ZONE;
    if (bytes > memory.total - memory.used)
        return result(cudaErrorMemoryAllocation);
    if (rounded > (size_t)(memory.high - memory.next) && memory.blocks.empty()) {
        memory.next = memory.low;
        memory.freed.clear();
    }
    if (rounded > (size_t)(memory.high - memory.next))
        emulator_fail(AT_HERE, "the room for device memory, freed blocks included, is used up");
    unsigned char *block = memory.next + RED_ZONE;
    memory.next += rounded;
    memory.used += bytes;
    memory.blocks[block] = bytes;
    memory_open();
    emulator_guard(block, bytes, false);
    memset(block, 0xff, bytes);
    emulator_red_set(block - RED_ZONE, RED_ZONE);
    emulator_red_set(block + bytes, rounded - RED_ZONE - bytes);
    memory_close();
    *p = block;
    return cudaSuccess;
}

cudaError_t cudaFree(void *p) {
    NEED_DEVICE();
    if (!p)
        return cudaSuccess;
    cudaError_t error = may_allocate();
    if (error != cudaSuccess)
        return result(error);
    auto it = memory.blocks.find((unsigned char *)p);
    if (it == memory.blocks.end())
        return result(cudaErrorInvalidValue);
    error = may_wait();
    if (error != cudaSuccess)
        return result(error);
    run_all();
    const size_t bytes = it->second;
    memory_open();
    emulator_device_check(AT_HERE);
    memset(p, 0xff, bytes);
    emulator_guard(p, bytes, true);
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE); // returns whole pages to the system
    const uintptr_t from = ((uintptr_t)p + page - 1) & ~(page - 1);
    const uintptr_t to = ((uintptr_t)p + bytes) & ~(page - 1);
    if (to > from)
        madvise((void *)from, to - from, MADV_DONTNEED);
    memory_close();
    memory.freed[it->first] = bytes;
    memory.blocks.erase(it);
    memory.used -= bytes;
    emulator_forget();
    return cudaSuccess;
}

static auto &pinned = *new std::map<unsigned char *, size_t>();

extern "C" cudaError_t cudaHostAlloc(void **p, size_t bytes, unsigned int flags) {
    *p = nullptr;
    NEED_DEVICE();
    (void)flags;
    const cudaError_t error = may_allocate();
    if (error != cudaSuccess)
        return result(error);
    if (bytes == 0)
        return cudaSuccess;
    if (posix_memalign(p, 4096, bytes))
        return result(cudaErrorMemoryAllocation);
    memset(*p, 0xff, bytes);
    pinned[(unsigned char *)*p] = bytes;
    return cudaSuccess;
}

extern "C" cudaError_t cudaMallocHost(void **p, size_t bytes) {
    return cudaHostAlloc(p, bytes, cudaHostAllocDefault);
}

cudaError_t cudaFreeHost(void *p) {
    NEED_DEVICE();
    if (!p)
        return cudaSuccess;
    if (!pinned.count((unsigned char *)p))
        return result(cudaErrorInvalidValue);
    const cudaError_t error = may_wait();
    if (error != cudaSuccess)
        return result(error);
    run_all();
    pinned.erase((unsigned char *)p);
    free(p);
    return cudaSuccess;
}

static bool is_pinned(const void *p) {
    auto it = pinned.upper_bound((unsigned char *)p);
    if (it == pinned.begin())
        return false;
    --it;
    return (unsigned char *)p < it->first + it->second;
}

struct copy {
    unsigned char *to;
    const unsigned char *from;
    size_t to_pitch, from_pitch, width, height;
};

// Bytes from the first to the last of a pitched matrix.
static size_t span(size_t pitch, size_t width, size_t height) {
    return pitch * (height - 1) + width;
}

static bool end_fits(const void *p, size_t bytes) {
    if (on_device(p))
        return emulator_device_holds(p, bytes);
    if (!p)
        return false;
    auto it = pinned.upper_bound((unsigned char *)p);
    return !is_pinned(p) || (--it, (unsigned char *)p + bytes <= it->first + it->second);
}

static void copy_run(const struct copy *c) {
    for (size_t i = 0; i < c->height; i++)
        memmove(c->to + i * c->to_pitch, c->from + i * c->from_pitch, c->width);
}

// When a copy is done, as CUDA documents it ("API synchronization behavior"):
//
// - from pageable memory to the device: the bytes are read at once, and arrive when the stream gets
//   to it. If the copy is not Async, the host first waits for the stream, but not for the copy: on
//   a stream that does not wait for the default one, a kernel may run before the bytes arrive;
// - within the device: when the stream gets to it;
// - from the device to pageable memory: when the call returns;
// - between the device and pinned memory: when the call returns or, Async, when the stream gets to
//   it.
static cudaError_t copy_enqueue(struct copy c, enum cudaMemcpyKind kind, cudaStream_t stream,
                                bool async) {
    NEED_DEVICE();
    if (c.width == 0 || c.height == 0)
        return cudaSuccess;
    if (c.to_pitch < c.width || c.from_pitch < c.width)
        return result(cudaErrorInvalidValue);
    const bool to_device = on_device(c.to), from_device = on_device(c.from);
    if (kind != cudaMemcpyDefault &&
        (to_device != (kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice) ||
         from_device != (kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice)))
        return result(cudaErrorInvalidValue);
    if (!end_fits(c.to, span(c.to_pitch, c.width, c.height)) ||
        !end_fits(c.from, span(c.from_pitch, c.width, c.height)))
        return result(cudaErrorInvalidValue);
    cudaStream_t s = stream_of(stream);
    if (!s)
        return result(cudaErrorInvalidResourceHandle);
    const bool pageable_from = !from_device && !is_pinned(c.from);
    const bool pageable_to = !to_device && !is_pinned(c.to);
    if (pageable_from && !s->capture && (async || to_device)) {
        if (!async && !capturing(true))
            run_and_wait(s);
        std::vector<unsigned char> bytes(c.width * c.height);
        for (size_t i = 0; i < c.height; i++)
            memcpy(&bytes[i * c.width], c.from + i * c.from_pitch, c.width);
        const struct copy from = c;
        return result(enqueue(stream, [from, bytes]() {
            struct copy kept = from;
            kept.from = bytes.data();
            kept.from_pitch = kept.width;
            copy_run(&kept);
        }));
    }
    const cudaError_t error = enqueue(stream, [c]() { copy_run(&c); });
    const bool wait = async ? pageable_to && !s->capture : !to_device || !from_device;
    if (error == cudaSuccess && wait)
        run_stream(s);
    return result(error);
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind,
                            cudaStream_t stream) {
    return copy_enqueue({(unsigned char *)to, (const unsigned char *)from, bytes, bytes, bytes, 1},
                        kind, stream, true);
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind) {
    return copy_enqueue({(unsigned char *)to, (const unsigned char *)from, bytes, bytes, bytes, 1},
                        kind, nullptr, false);
}

cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch,
                              size_t width, size_t height, enum cudaMemcpyKind kind,
                              cudaStream_t stream) {
    return copy_enqueue(
        {(unsigned char *)to, (const unsigned char *)from, to_pitch, from_pitch, width, height},
        kind, stream, true);
}

cudaError_t cudaMemcpy2D(void *to, size_t to_pitch, const void *from, size_t from_pitch,
                         size_t width, size_t height, enum cudaMemcpyKind kind) {
    return copy_enqueue(
        {(unsigned char *)to, (const unsigned char *)from, to_pitch, from_pitch, width, height},
        kind, nullptr, false);
}

cudaError_t cudaMemsetAsync(void *p, int value, size_t bytes, cudaStream_t stream) {
    NEED_DEVICE();
    if (bytes == 0)
        return cudaSuccess;
    if (!emulator_device_holds(p, bytes))
        return result(cudaErrorInvalidValue);
    return result(enqueue(stream, [p, value, bytes]() { memset(p, value, bytes); }));
}

cudaError_t cudaMemset(void *p, int value, size_t bytes) {
    return cudaMemsetAsync(p, value, bytes, nullptr);
}
