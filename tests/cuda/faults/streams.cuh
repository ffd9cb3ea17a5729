// streams.cuh: streams, events, copies and graphs that rely on an order which is not guaranteed.
#ifndef DIECAST_FAULTS_STREAMS_CUH
#define DIECAST_FAULTS_STREAMS_CUH

#include "faults.cuh"

KERNEL(32) add(float *y, const float *x, float more) {
    for (int i = threadIdx.x; i < 64; i += 32)
        y[i] = x[i] + more;
}

static bool missing_event(bool fault) { // b reads what a writes
    cudaStream_t a, b;
    cudaEvent_t ready;
    cudaStreamCreateWithFlags(&a, cudaStreamNonBlocking);
    cudaStreamCreateWithFlags(&b, cudaStreamNonBlocking);
    cudaEventCreateWithFlags(&ready, cudaEventDisableTiming);
    float *x = device_floats(64, 1), *y = device_floats(64, 0), *z = device_floats(64, 0);
    LAUNCH(add, 1, 32, 0, a, y, x, 1.0f);
    cudaEventRecord(ready, a);
    if (!fault)
        cudaStreamWaitEvent(b, ready, 0);
    LAUNCH(add, 1, 32, 0, b, z, y, 1.0f);
    cudaStreamSynchronize(b);
    return holds(z, 64, 3, 0);
}

static bool missing_event_back(bool fault) { // b overwrites what a still has to read
    cudaStream_t a, b;
    cudaEvent_t done;
    cudaStreamCreateWithFlags(&a, cudaStreamNonBlocking);
    cudaStreamCreateWithFlags(&b, cudaStreamNonBlocking);
    cudaEventCreate(&done);
    float *x = device_floats(64, 1), *y = device_floats(64, 0), *z = device_floats(64, 9);
    LAUNCH(add, 1, 32, 0, a, y, x, 1.0f);
    cudaEventRecord(done, a);
    if (!fault)
        cudaStreamWaitEvent(b, done, 0);
    cudaMemcpyAsync(x, z, 256, cudaMemcpyDeviceToDevice, b);
    cudaStreamSynchronize(b);
    cudaStreamSynchronize(a);
    return holds(y, 64, 2, 0);
}

static bool pinned_overwritten(bool fault) { // the next batch is written before the copy ran
    cudaStream_t a;
    cudaStreamCreate(&a);
    float *pinned, *y = device_floats(64, 0);
    cudaHostAlloc(&pinned, 256, cudaHostAllocDefault);
    for (int i = 0; i < 64; i++)
        pinned[i] = 1;
    cudaMemcpyAsync(y, pinned, 256, cudaMemcpyHostToDevice, a);
    if (!fault)
        cudaStreamSynchronize(a);
    for (int i = 0; i < 64; i++)
        pinned[i] = 2;
    cudaStreamSynchronize(a);
    const bool good = holds(y, 64, 1, 0);
    cudaFreeHost(pinned);
    return good;
}

static bool read_early(bool fault) { // the host reads before the copy to it ran
    cudaStream_t a;
    cudaStreamCreate(&a);
    float *pinned, *y = device_floats(64, 5);
    cudaHostAlloc(&pinned, 256, cudaHostAllocDefault);
    cudaMemcpyAsync(pinned, y, 256, cudaMemcpyDeviceToHost, a);
    if (!fault)
        cudaStreamSynchronize(a);
    const bool good = pinned[63] == 5;
    cudaFreeHost(pinned);
    return good;
}

static bool default_stream_order(bool fault) { // only blocking streams keep order with it
    cudaStream_t a;
    cudaStreamCreateWithFlags(&a, fault ? cudaStreamNonBlocking : cudaStreamDefault);
    float *x = device_floats(64, 1), *y = device_floats(64, 0);
    LAUNCH(add, 1, 32, 0, a, y, x, 1.0f);
    return holds(y, 64, 2, 0);
}

// The same with a copy and a memset that the host gave to the default stream.
static bool copy_under_way(bool fault) {
    cudaStream_t a;
    cudaStreamCreateWithFlags(&a, cudaStreamNonBlocking);
    float *x = device_floats(64, 0), *y = device_floats(64, 0);
    const std::vector<float> ones(64, 1);
    cudaMemcpy(x, ones.data(), 256, cudaMemcpyHostToDevice); // returns when it has read them
    if (!fault)
        cudaStreamSynchronize(nullptr);
    LAUNCH(add, 1, 32, 0, a, y, x, 1.0f);
    cudaStreamSynchronize(a);
    return holds(y, 64, 2, 0);
}

static bool memset_under_way(bool fault) {
    cudaStream_t a;
    cudaStreamCreateWithFlags(&a, cudaStreamNonBlocking);
    float *x = device_floats(64, 1), *y = device_floats(64, 0);
    cudaMemset(x, 0, 256);
    if (!fault)
        cudaStreamSynchronize(nullptr);
    LAUNCH(add, 1, 32, 0, a, y, x, 1.0f);
    cudaStreamSynchronize(a);
    return holds(y, 64, 1, 0);
}

static bool by_value(bool fault) { // a captured launch keeps the arguments it was captured with
    cudaStream_t a;
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    cudaStreamCreateWithFlags(&a, cudaStreamNonBlocking);
    float *x = device_floats(64, 1), *y = device_floats(64, 0);
    float more = 1;
    cudaStreamBeginCapture(a, cudaStreamCaptureModeThreadLocal);
    LAUNCH(add, 1, 32, 0, a, x, x, more);
    more = 100;
    cudaStreamEndCapture(a, &graph);
    cudaGraphInstantiate(&exec, graph, 0);
    cudaGraphDestroy(graph);
    for (int i = 0; i < 3; i++)
        cudaGraphLaunch(exec, a);
    cudaGraphExecDestroy(exec); // the launches are still to run
    LAUNCH(add, 1, 32, 0, a, y, x, 0.0f);
    cudaStreamSynchronize(a);
    return holds(y, 64, fault ? 301 : 4, 0);
}

static bool
graph_branches(bool fault) { // fork and join inside a capture; without the join: an error
    cudaStream_t a, b;
    cudaEvent_t fork, join;
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    cudaStreamCreateWithFlags(&a, cudaStreamNonBlocking);
    cudaStreamCreateWithFlags(&b, cudaStreamNonBlocking);
    cudaEventCreate(&fork);
    cudaEventCreate(&join);
    float *x = device_floats(64, 1), *y = device_floats(64, 0), *z = device_floats(64, 0);
    cudaStreamBeginCapture(a, cudaStreamCaptureModeThreadLocal);
    LAUNCH(add, 1, 32, 0, a, y, x, 1.0f);
    cudaEventRecord(fork, a);
    cudaStreamWaitEvent(b, fork, 0);
    LAUNCH(add, 1, 32, 0, b, z, y, 1.0f);
    cudaEventRecord(join, b);
    LAUNCH(add, 1, 32, 0, a, x, y, 5.0f);
    if (!fault)
        cudaStreamWaitEvent(a, join, 0);
    LAUNCH(add, 1, 32, 0, a, y, z, 10.0f);
    const cudaError_t error = cudaStreamEndCapture(a, &graph);
    if (fault)
        return error != cudaErrorStreamCaptureUnjoined;
    cudaGraphInstantiate(&exec, graph, 0);
    cudaGraphLaunch(exec, a);
    cudaStreamSynchronize(a);
    return error == cudaSuccess && holds(x, 64, 7, 0) && holds(y, 64, 13, 0) && holds(z, 64, 3, 0);
}

static const std::vector<struct test> streams_tests = {
    {"missing event", missing_event, nullptr},
    {"missing event, overwriting", missing_event_back, nullptr},
    {"pinned buffer overwritten early", pinned_overwritten, nullptr},
    {"pinned buffer read early", read_early, nullptr},
    {"order with the default stream", default_stream_order, nullptr},
    {"copy under way", copy_under_way, nullptr},
    {"memset under way", memset_under_way, nullptr},
    {"captured arguments", by_value, nullptr},
    {"branches of a graph", graph_branches, nullptr},
};

#endif
