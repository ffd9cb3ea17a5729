// device.h: what cuda_runtime.cpp and streams.cpp know of each other.
#ifndef DIECAST_EMULATOR_DEVICE_H
#define DIECAST_EMULATOR_DEVICE_H

#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <vector>

#include "emulator.h"
#include "memory.h"

// Ends a function with the error where there is no device.
#define NEED_DEVICE()                                                                              \
    do {                                                                                           \
        const cudaError_t none = there();                                                          \
        if (none != cudaSuccess)                                                                   \
            return result(none);                                                                   \
    } while (0)

// ---- streams ------------------------------------------------------------------------------------

typedef std::function<void()> work_t;

struct point { // work number `number` of a stream, from 1; all before it
    struct CUstream_st *stream;
    uint64_t number;
};

struct queued {
    work_t work;
    std::vector<struct point> after;
};

struct graph_node {
    work_t work;
    std::vector<size_t> after; // nodes
};

struct capture {
    cudaStream_t origin;
    enum cudaStreamCaptureMode mode;
    bool invalid;
    std::vector<struct graph_node> nodes;
};

struct CUstream_st {
    bool blocking, destroyed; // blocking: keeps order with the default stream
    bool waits = false;       // its next work was taken off the queue and waits for other streams
    std::deque<struct queued> queue;
    uint64_t issued, done;
    std::shared_ptr<struct capture> capture;
    std::set<size_t> last; // nodes that the next captured one comes after
};

namespace device {

// The stream of a handle, the default one of none; null: no such stream.
cudaStream_t stream_of(cudaStream_t stream);
// Some capture that is under way, of the blocking streams or of all.
struct capture *capturing(bool only_blocking);
// The error of work on a stream that cannot have it now, or cudaSuccess.
cudaError_t enqueue(cudaStream_t stream, work_t work);
// Runs what was queued: on all streams; on one; what the host's wait for a stream runs, since the
// default one keeps order with all blocking streams.
void run_all(void);
void run_stream(cudaStream_t stream);
void run_and_wait(cudaStream_t stream);

// ---- the device ---------------------------------------------------------------------------------

// What a call returns; an error stays for cudaGetLastError.
cudaError_t result(cudaError_t error);
// A number of the environment's.
long environment(const char *name, long fallback);
cudaError_t there(void);
// Between these the CPU may touch device memory; they nest.
void memory_open(void);
void memory_close(void);

} // namespace device

#endif
