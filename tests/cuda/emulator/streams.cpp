// streams.cpp: streams, events and graphs of the emulated device of cuda_runtime_api.h.
//
// Work on a stream is queued and runs as late as is legal: when the host waits for it, or when work
// that waits for it runs. So a missing wait between two streams, a pinned buffer that is written
// before its copy has run, or a copy or memset of the default stream that nothing waits for, gives
// wrong numbers every time. The schedule decides which of several streams runs first; if it is
// random, work also runs early.
#include <algorithm>
#include <time.h>

#include "device.h"
#include "nvtx3/nvToolsExt.h"

using namespace device;

#define AT_HERE                                                                                    \
    { "streams.cpp", __LINE__ }

// ---- what the queue holds -----------------------------------------------------------------------

struct CUevent_st {
    bool timing, recorded, destroyed;
    struct point at;
    std::shared_ptr<double> seconds;
    std::shared_ptr<struct capture> capture; // that it was recorded in
    std::set<size_t> nodes;
};

struct CUgraph_st {
    std::vector<struct graph_node> nodes;
};

struct CUgraphExec_st {
    std::shared_ptr<const std::vector<struct graph_node>> nodes;
};

static auto &default_stream = *new CUstream_st({true, false, false, {}, 0, 0, nullptr, {}});
static auto &streams = *new std::vector<cudaStream_t>{&default_stream}; // all, destroyed ones too
static auto &events = *new std::vector<cudaEvent_t>();
static auto &graphs = *new std::set<cudaGraph_t>();
static auto &execs = *new std::set<cudaGraphExec_t>();

cudaStream_t device::stream_of(cudaStream_t stream) { // null: no such stream
    if (!stream)
        return &default_stream;
    for (cudaStream_t s : streams)
        if (s == stream && !s->destroyed)
            return s;
    return nullptr;
}

static bool event_is(cudaEvent_t event) {
    return event && std::find(events.begin(), events.end(), event) != events.end() &&
           !event->destroyed;
}

// Any capture in progress, of the blocking streams or of all.
struct capture *device::capturing(bool only_blocking) {
    for (cudaStream_t s : streams)
        if (s->capture && (s->blocking || !only_blocking))
            return s->capture.get();
    return nullptr;
}

// ---- running ------------------------------------------------------------------------------------

static int running; // work calls no work

static void run_next(cudaStream_t stream);

static void run_to(struct point point) {
    while (point.stream->done < point.number) {
        if (emulator_order_now() == EMULATOR_RANDOM && streams.size() > 1) {
            cudaStream_t other = streams[emulator_random() % streams.size()];
            if (other != point.stream && !other->waits && emulator_random() & 1 &&
                !other->queue.empty())
                run_next(other);
            if (point.stream->done >= point.number)
                return;
        }
        run_next(point.stream);
    }
}

static void run_next(cudaStream_t stream) {
    struct queued next = std::move(stream->queue.front());
    // off the queue first: what it waits for may run this stream's earlier work, never this
    stream->queue.pop_front();
    stream->waits = true;
    for (const struct point &before : next.after)
        run_to(before);
    stream->waits = false;
    running++;
    memory_open();
    next.work();
    emulator_device_check(AT_HERE);
    memory_close();
    running--;
    stream->done++;
}

void device::run_all(void) {
    std::vector<cudaStream_t> order = streams;
    if (emulator_order_now() == EMULATOR_DESCENDING)
        std::reverse(order.begin(), order.end());
    memory_open(); // once for all of it
    for (cudaStream_t s : order)
        run_to({s, s->issued});
    memory_close();
}

void device::run_stream(cudaStream_t stream) {
    memory_open();
    run_to({stream, stream->issued});
    memory_close();
}

// Runs what a host's wait for a stream waits for: the default stream is ordered with all blocking
// ones.
void device::run_and_wait(cudaStream_t stream) {
    if (stream == &default_stream)
        for (cudaStream_t other : streams)
            if (other->blocking)
                run_stream(other);
    run_stream(stream);
}

// Queues work on a stream. Returns the error if the stream cannot take it now, or cudaSuccess.
cudaError_t device::enqueue(cudaStream_t stream, work_t work) {
    if (running)
        emulator_fail(AT_HERE, "work on a stream was asked for from inside of such work");
    cudaStream_t s = stream_of(stream);
    if (!s)
        return cudaErrorInvalidResourceHandle;
    if (s->capture) {
        struct capture *c = s->capture.get();
        if (c->invalid)
            return cudaErrorStreamCaptureInvalidated;
        c->nodes.push_back({std::move(work), {s->last.begin(), s->last.end()}});
        s->last = {c->nodes.size() - 1};
        return cudaSuccess;
    }
    if (s == &default_stream && capturing(true)) {
        capturing(true)->invalid = true;
        return cudaErrorStreamCaptureImplicit;
    }
    struct queued q = {std::move(work), {}};
    // the default stream runs after all earlier work of blocking streams, and they run after its
    if (s == &default_stream) {
        for (cudaStream_t other : streams)
            if (other != s && other->blocking && other->done < other->issued)
                q.after.push_back({other, other->issued});
    } else if (s->blocking && default_stream.done < default_stream.issued)
        q.after.push_back({&default_stream, default_stream.issued});
    s->queue.push_back(std::move(q));
    s->issued++;
    return cudaSuccess;
}

void emulator_enqueue(cudaStream_t stream, std::function<void()> work) {
    const cudaError_t error = enqueue(stream, std::move(work));
    if (error != cudaSuccess)
        emulator_fail(AT_HERE, "work on a stream: %s", cudaGetErrorName(error));
}

// ---- streams and events -------------------------------------------------------------------------

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned int flags) {
    NEED_DEVICE();
    if (flags > cudaStreamNonBlocking)
        return result(cudaErrorInvalidValue);
    *stream = new CUstream_st();
    (*stream)->blocking = flags == cudaStreamDefault;
    streams.push_back(*stream);
    return cudaSuccess;
}

cudaError_t cudaStreamCreate(cudaStream_t *stream) {
    return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t *stream, unsigned int flags, int priority) {
    (void)priority;
    return cudaStreamCreateWithFlags(stream, flags);
}

// What is queued on the stream still runs, when something waits for it.
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    if (!stream || !stream_of(stream))
        return result(cudaErrorInvalidResourceHandle);
    stream->destroyed = true;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    cudaStream_t s = stream_of(stream);
    if (!s)
        return result(cudaErrorInvalidResourceHandle);
    if (s->capture || (s == &default_stream && capturing(true))) {
        (s->capture ? s->capture.get() : capturing(true))->invalid = true;
        return result(s->capture ? cudaErrorStreamCaptureUnsupported
                                 : cudaErrorStreamCaptureImplicit);
    }
    run_and_wait(s);
    return cudaSuccess;
}

// A caller that polls makes progress: each query runs one piece of work.
static cudaError_t query(struct point point) {
    if (point.stream->done >= point.number)
        return cudaSuccess;
    memory_open();
    run_next(point.stream);
    memory_close();
    return result(cudaErrorNotReady);
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
    cudaStream_t s = stream_of(stream);
    if (!s)
        return result(cudaErrorInvalidResourceHandle);
    if (s->capture) {
        s->capture->invalid = true;
        return result(cudaErrorStreamCaptureUnsupported);
    }
    return query({s, s->issued});
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void *data) {
    NEED_DEVICE();
    return result(enqueue(stream, [function, data]() { function(data); }));
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned int flags) {
    NEED_DEVICE();
    *event = new CUevent_st();
    (*event)->timing = !(flags & cudaEventDisableTiming);
    events.push_back(*event);
    return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t *event) {
    return cudaEventCreateWithFlags(event, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
    if (!event_is(event))
        return result(cudaErrorInvalidResourceHandle);
    event->destroyed = true;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    cudaStream_t s = stream_of(stream);
    if (!s || !event_is(event))
        return result(cudaErrorInvalidResourceHandle);
    if (s->capture) {
        event->capture = s->capture;
        event->nodes = s->last;
        event->recorded = true;
        return cudaSuccess;
    }
    std::shared_ptr<double> seconds = std::make_shared<double>(0);
    const cudaError_t error = enqueue(stream, [seconds]() {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        *seconds = (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
    });
    if (error != cudaSuccess)
        return result(error);
    event->capture = nullptr;
    event->recorded = true;
    event->seconds = seconds;
    event->at = {s, s->issued};
    return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned int flags) {
    (void)flags;
    cudaStream_t s = stream_of(stream);
    if (!s || !event_is(event))
        return result(cudaErrorInvalidResourceHandle);
    if (!event->recorded)
        return cudaSuccess;
    if (event->capture) {
        bool under_way = false;
        for (cudaStream_t other : streams)
            under_way = under_way || other->capture == event->capture;
        if (!under_way)
            return result(cudaErrorCapturedEvent);
        if (s->capture && s->capture != event->capture)
            return result(cudaErrorStreamCaptureMerge);
        if (s == &default_stream)
            return result(cudaErrorStreamCaptureImplicit);
        if (!s->capture) { // the stream joins the capture
            s->capture = event->capture;
            s->last.clear();
        }
        s->last.insert(event->nodes.begin(), event->nodes.end());
        return cudaSuccess;
    }
    if (s->capture) {
        s->capture->invalid = true;
        return result(cudaErrorStreamCaptureIsolation);
    }
    const cudaError_t error = enqueue(stream, []() {});
    if (error == cudaSuccess)
        s->queue.back().after.push_back(event->at);
    return result(error);
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    if (!event_is(event))
        return result(cudaErrorInvalidResourceHandle);
    if (!event->recorded)
        return cudaSuccess;
    if (event->capture)
        return result(cudaErrorCapturedEvent);
    memory_open();
    run_to(event->at);
    memory_close();
    return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
    if (!event_is(event))
        return result(cudaErrorInvalidResourceHandle);
    if (event->capture)
        return result(cudaErrorCapturedEvent);
    return event->recorded ? query(event->at) : cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t start, cudaEvent_t end) {
    if (!event_is(start) || !event_is(end) || !start->recorded || !end->recorded ||
        !start->timing || !end->timing || start->capture || end->capture)
        return result(cudaErrorInvalidResourceHandle);
    if (start->at.stream->done < start->at.number || end->at.stream->done < end->at.number)
        return result(cudaErrorNotReady);
    *ms = (float)((*end->seconds - *start->seconds) * 1e3);
    return cudaSuccess;
}

// ---- graphs -------------------------------------------------------------------------------------

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode) {
    NEED_DEVICE();
    cudaStream_t s = stream_of(stream);
    if (!s)
        return result(cudaErrorInvalidResourceHandle);
    if (s == &default_stream)
        return result(cudaErrorStreamCaptureUnsupported);
    if (s->capture)
        return result(cudaErrorInvalidValue);
    s->capture = std::make_shared<struct capture>();
    s->capture->origin = s;
    s->capture->mode = mode;
    s->last.clear();
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph) {
    *graph = nullptr;
    cudaStream_t s = stream_of(stream);
    if (!s)
        return result(cudaErrorInvalidResourceHandle);
    if (!s->capture)
        return result(cudaErrorInvalidValue);
    std::shared_ptr<struct capture> c = s->capture;
    if (c->origin != s)
        return result(cudaErrorStreamCaptureUnmatched);
    // everything captured must precede what the stream would do next
    std::set<size_t> joined = s->last;
    for (size_t i = c->nodes.size(); i-- > 0;)
        if (joined.count(i))
            joined.insert(c->nodes[i].after.begin(), c->nodes[i].after.end());
    for (cudaStream_t other : streams)
        if (other->capture == c)
            other->capture = nullptr;
    if (c->invalid)
        return result(cudaErrorStreamCaptureInvalidated);
    if (joined.size() != c->nodes.size())
        return result(cudaErrorStreamCaptureUnjoined);
    *graph = new CUgraph_st{c->nodes};
    graphs.insert(*graph);
    return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, enum cudaStreamCaptureStatus *status) {
    cudaStream_t s = stream_of(stream);
    if (!s)
        return result(cudaErrorInvalidResourceHandle);
    *status = !s->capture           ? cudaStreamCaptureStatusNone
              : s->capture->invalid ? cudaStreamCaptureStatusInvalidated
                                    : cudaStreamCaptureStatusActive;
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph,
                                 unsigned long long flags) {
    NEED_DEVICE();
    (void)flags;
    if (!graphs.count(graph))
        return result(cudaErrorInvalidValue);
    *exec =
        new CUgraphExec_st{std::make_shared<const std::vector<struct graph_node>>(graph->nodes)};
    execs.insert(*exec);
    return cudaSuccess;
}

// Runs each node after those that it depends on, otherwise in the schedule's order.
static void graph_run(const std::vector<struct graph_node> &nodes) {
    std::vector<bool> done(nodes.size());
    for (size_t left = nodes.size(); left > 0; left--) {
        std::vector<size_t> ready;
        for (size_t i = 0; i < nodes.size(); i++)
            if (!done[i] && std::all_of(nodes[i].after.begin(), nodes[i].after.end(),
                                        [&](size_t before) { return done[before]; }))
                ready.push_back(i);
        const enum emulator_order order = emulator_order_now();
        const size_t i = order == EMULATOR_ASCENDING    ? ready.front()
                         : order == EMULATOR_DESCENDING ? ready.back()
                                                        : ready[emulator_random() % ready.size()];
        nodes[i].work();
        done[i] = true;
    }
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
    NEED_DEVICE();
    if (!execs.count(exec))
        return result(cudaErrorInvalidValue);
    std::shared_ptr<const std::vector<struct graph_node>> nodes = exec->nodes;
    return result(enqueue(stream, [nodes]() { graph_run(*nodes); }));
}

cudaError_t cudaGraphUpload(cudaGraphExec_t exec, cudaStream_t stream) {
    return result(execs.count(exec) && stream_of(stream) ? cudaSuccess : cudaErrorInvalidValue);
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    if (!graphs.erase(graph))
        return result(cudaErrorInvalidValue);
    delete graph;
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
    if (!execs.erase(exec))
        return result(cudaErrorInvalidValue);
    delete exec; // queued launches hold the nodes
    return cudaSuccess;
}

// ---- NVTX ---------------------------------------------------------------------------------------

static int ranges;

int nvtxRangePushA(const char *name) {
    if (!name)
        emulator_fail(AT_HERE, "nvtxRangePushA without a name");
    return ranges++;
}

int nvtxRangePop(void) {
    if (ranges == 0)
        emulator_fail(AT_HERE, "nvtxRangePop without a push");
    return --ranges;
}

void nvtxMarkA(const char *name) {
    (void)name;
}
