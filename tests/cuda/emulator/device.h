// device.h: what cuda_runtime.cpp and streams.cpp share.
#ifndef DIECAST_EMULATOR_DEVICE_H
#define DIECAST_EMULATOR_DEVICE_H

#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <vector>

#include "emulator.h"
#include "memory.h"

// Returns the error from a function if there is no device.
#define NEED_DEVICE()                                                                              \
    do {                                                                                           \
        const cudaError_t none = there();                                                          \
        if (none != cudaSuccess)                                                                   \
            return result(none);                                                                   \
    } while (0)

// ---- streams ------------------------------------------------------------------------------------

typedef std::function<void()> work_t;

struct point { // a stream's work up to number `number`, counted from 1
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
    bool waits = false;       // its next work has left the queue and waits for other streams
    std::deque<struct queued> queue;
    uint64_t issued, done;
    std::shared_ptr<struct capture> capture;
    std::set<size_t> last; // nodes that the next captured node depends on
};

namespace device {

// The stream of a handle; the default stream for null; null: no such stream.
cudaStream_t stream_of(cudaStream_t stream);
// Any capture in progress, of the blocking streams or of all.
struct capture *capturing(bool only_blocking);
// Queues work on a stream. Returns the error if the stream cannot take it now, or cudaSuccess.
cudaError_t enqueue(cudaStream_t stream, work_t work);
// Runs what is queued: on all streams; on one; on one and on all that a host's wait for it waits
// for, since the default stream is ordered with all blocking streams.
void run_all(void);
void run_stream(cudaStream_t stream);
void run_and_wait(cudaStream_t stream);

// ---- the device ---------------------------------------------------------------------------------

// Returns the error, and keeps it for cudaGetLastError.
cudaError_t result(cudaError_t error);
// A number from the environment.
long environment(const char *name, long fallback);
cudaError_t there(void);
// Between these, which nest, the CPU can access device memory.
void memory_open(void);
void memory_close(void);

} // namespace device

#endif
