// test_emulator_runtime.c: the emulator's answers to CUDA runtime calls, from C as in the runtime:
// what is refused, with which error, and when work runs. Kernels, races between streams and graphs
// are in test_emulator_faults.cu.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda_runtime_api.h"
#include "nvtx3/nvToolsExt.h"

static int wrong; // errors of the test that runs

static void check(int good, int line, const char *what) {
    if (good)
        return;
    wrong++;
    printf("runtime: line %d: %s: FAILED\n", line, what);
}
#define CHECK(what) check(what, __LINE__, #what)
#define OK(call) check((call) == cudaSuccess, __LINE__, #call)
// The call returns this error, and so does cudaGetLastError, once.
#define ERROR(error, call)                                                                         \
    check((call) == error && cudaPeekAtLastError() == error && cudaGetLastError() == error &&      \
              cudaGetLastError() == cudaSuccess,                                                   \
          __LINE__, #call)

static void test_memory(void) {
    unsigned char *p, *q, host[4096] = {0};
    size_t before, after, total;
    OK(cudaMemGetInfo(&before, &total));
    CHECK(total == (size_t)64 << 20);
    OK(cudaMalloc((void **)&p, 1000));
    CHECK((size_t)p % 256 == 0);
    OK(cudaMemGetInfo(&after, &total));
    CHECK(before - after == 1000);
    ERROR(cudaErrorMemoryAllocation, cudaMalloc((void **)&q, (size_t)65 << 20));
    CHECK(q == NULL);

    OK(cudaMemcpy(host, p, 1000, cudaMemcpyDeviceToHost));
    CHECK(host[0] == 0xff && host[999] == 0xff && host[1000] == 0); // NaN until it is written
    OK(cudaMemset(p, 7, 1000));
    OK(cudaMemcpy(host, p, 1000, cudaMemcpyDeviceToHost));
    CHECK(host[0] == 7 && host[999] == 7);
    host[0] = 1;
    OK(cudaMemcpy(p + 500, host, 500, cudaMemcpyHostToDevice));
    OK(cudaMemcpy(p, p + 500, 500, cudaMemcpyDeviceToDevice));
    OK(cudaMemcpy(host + 2000, p, 1000, cudaMemcpyDefault));
    CHECK(host[2000] == 1 && host[2500] == 1 && host[2001] == 7);

    ERROR(cudaErrorInvalidValue, cudaMemcpy(host, p, 1001, cudaMemcpyDeviceToHost));
    ERROR(cudaErrorInvalidValue, cudaMemcpy(p + 1, host, 1000, cudaMemcpyHostToDevice));
    ERROR(cudaErrorInvalidValue, cudaMemcpy(host, p, 100, cudaMemcpyHostToDevice));
    ERROR(cudaErrorInvalidValue, cudaMemcpy(host, host, 100, cudaMemcpyHostToDevice));
    ERROR(cudaErrorInvalidValue, cudaMemset(p, 0, 1001));
    ERROR(cudaErrorInvalidValue, cudaMemset(host, 0, 1));
    ERROR(cudaErrorInvalidValue, cudaFree(p + 256));
    ERROR(cudaErrorInvalidValue, cudaFree(host));

    // a 3 x 5 piece of rows of 16 to rows of 8
    OK(cudaMemset(p, 0, 1000));
    for (int i = 0; i < 256; i++)
        host[i] = (unsigned char)i;
    OK(cudaMemcpy2D(p, 8, host, 16, 5, 3, cudaMemcpyHostToDevice));
    OK(cudaMemcpy(host + 2000, p, 32, cudaMemcpyDeviceToHost));
    CHECK(host[2000 + 8 + 4] == 20 && host[2000 + 16] == 32 && host[2000 + 5] == 0);
    ERROR(cudaErrorInvalidValue, cudaMemcpy2D(p, 4, host, 16, 5, 3, cudaMemcpyHostToDevice));
    ERROR(cudaErrorInvalidValue, cudaMemcpy2D(p, 500, host, 16, 5, 3, cudaMemcpyHostToDevice));

    OK(cudaFree(p));
    OK(cudaFree(NULL));
    ERROR(cudaErrorInvalidValue, cudaFree(p));
    ERROR(cudaErrorInvalidValue, cudaMemcpy(host, p, 10, cudaMemcpyDeviceToHost));
    OK(cudaMemGetInfo(&after, &total));
    CHECK(before == after);

    OK(cudaHostAlloc((void **)&q, 100, cudaHostAllocDefault));
    OK(cudaMalloc((void **)&p, 200));
    ERROR(cudaErrorInvalidValue, cudaMemcpy(p, q, 101, cudaMemcpyHostToDevice));
    OK(cudaMemcpy(p, q, 100, cudaMemcpyHostToDevice));
    ERROR(cudaErrorInvalidValue, cudaFreeHost(host));
    OK(cudaFreeHost(q));
    ERROR(cudaErrorInvalidValue, cudaFreeHost(q));
    OK(cudaFree(p));
}

static void test_device(void) {
    struct cudaDeviceProp prop;
    int n = -1, value = -1;
    OK(cudaGetDeviceCount(&n));
    CHECK(n == 1);
    OK(cudaSetDevice(0));
    ERROR(cudaErrorInvalidDevice, cudaSetDevice(1));
    OK(cudaGetDeviceProperties(&prop, 0));
    CHECK(!strcmp(prop.name, "emulated") && prop.major == 8 && prop.minor == 0);
    CHECK(prop.multiProcessorCount == 4 && prop.totalGlobalMem == (size_t)64 << 20);
    CHECK(prop.sharedMemPerBlockOptin == 163 * 1024 && prop.warpSize == 32);
    OK(cudaDeviceGetAttribute(&value, cudaDevAttrMultiProcessorCount, 0));
    CHECK(value == 4);
    OK(cudaDeviceGetAttribute(&value, cudaDevAttrComputeCapabilityMajor, 0));
    CHECK(value == 8);
    OK(cudaRuntimeGetVersion(&value));
    CHECK(value == CUDART_VERSION);
    OK(cudaDriverGetVersion(&value));
    CHECK(value == CUDART_VERSION);
    CHECK(!strcmp(cudaGetErrorName(cudaErrorNotReady), "cudaErrorNotReady"));
    CHECK(!strcmp(cudaGetErrorString(cudaErrorMemoryAllocation), "out of memory"));
    ERROR(cudaErrorInvalidValue,
          cudaFuncSetAttribute((const void *)test_memory,
                               cudaFuncAttributeMaxDynamicSharedMemorySize, 164 * 1024));
    OK(cudaFuncSetAttribute((const void *)test_memory, cudaFuncAttributeMaxDynamicSharedMemorySize,
                            163 * 1024));

    setenv("EMULATOR_DEVICES", "0", 1);
    ERROR(cudaErrorNoDevice, cudaGetDeviceCount(&n));
    CHECK(n == 0);
    ERROR(cudaErrorNoDevice, cudaSetDevice(0));
    OK(cudaDriverGetVersion(&value));
    CHECK(value == 0);
    setenv("EMULATOR_DEVICES", "1", 1);
    setenv("EMULATOR_DRIVER", "11080", 1);
    ERROR(cudaErrorInsufficientDriver, cudaGetDeviceCount(&n));
    void *p;
    ERROR(cudaErrorInsufficientDriver, cudaMalloc(&p, 16));
    unsetenv("EMULATOR_DRIVER");
    OK(cudaGetDeviceCount(&n));
}

static void count(void *data) {
    ++*(int *)data;
}

// Work runs when the host waits for it, and not before.
static void test_streams(void) {
    cudaStream_t a, b;
    cudaEvent_t event, start, end;
    int runs = 0, more = 0;
    float ms = -1;
    OK(cudaStreamCreateWithFlags(&a, cudaStreamNonBlocking));
    OK(cudaStreamCreateWithFlags(&b, cudaStreamNonBlocking));
    OK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
    OK(cudaEventCreate(&start));
    OK(cudaEventCreate(&end));

    OK(cudaEventRecord(start, a));
    OK(cudaLaunchHostFunc(a, count, &runs));
    OK(cudaEventRecord(event, a));
    OK(cudaLaunchHostFunc(a, count, &more));
    OK(cudaEventRecord(end, a));
    CHECK(runs == 0);
    CHECK(cudaEventElapsedTime(&ms, start, end) == cudaErrorNotReady);
    OK(cudaEventSynchronize(event));
    CHECK(runs == 1 && more == 0);
    int asked = 0;
    while (cudaStreamQuery(a) == cudaErrorNotReady && asked < 100)
        asked++;
    CHECK(more == 1 && asked > 0 && asked < 100);
    OK(cudaEventElapsedTime(&ms, start, end));
    CHECK(ms >= 0 && ms < 60000);
    ERROR(cudaErrorInvalidResourceHandle, cudaEventElapsedTime(&ms, event, end)); // has no time

    // work that waits for another stream's event runs that stream up to the event, and no further
    OK(cudaLaunchHostFunc(a, count, &runs));
    OK(cudaEventRecord(event, a));
    OK(cudaLaunchHostFunc(a, count, &more));
    OK(cudaStreamWaitEvent(b, event, 0));
    OK(cudaLaunchHostFunc(b, count, &runs));
    OK(cudaStreamSynchronize(b));
    CHECK(runs == 3 && more == 1);
    CHECK(cudaEventQuery(event) == cudaSuccess);
    OK(cudaStreamSynchronize(NULL)); // waits only for blocking streams
    CHECK(more == 1);
    OK(cudaDeviceSynchronize());
    CHECK(more == 2);

    OK(cudaLaunchHostFunc(a, count, &runs));
    OK(cudaStreamDestroy(a)); // what it holds still runs
    ERROR(cudaErrorInvalidResourceHandle, cudaStreamSynchronize(a));
    OK(cudaDeviceSynchronize());
    CHECK(runs == 4);
    OK(cudaEventDestroy(event));
    ERROR(cudaErrorInvalidResourceHandle, cudaEventRecord(event, b));
    OK(cudaEventDestroy(start));
    OK(cudaEventDestroy(end));

    // pageable memory is read at once, pinned memory when the copy runs
    float *pinned, *device, host[2] = {1, 2}, got[4];
    OK(cudaHostAlloc((void **)&pinned, 8, 0));
    OK(cudaMalloc((void **)&device, 16));
    pinned[0] = pinned[1] = 1;
    OK(cudaMemcpyAsync(device, host, 8, cudaMemcpyHostToDevice, b));
    OK(cudaMemcpyAsync(device + 2, pinned, 8, cudaMemcpyHostToDevice, b));
    host[0] = pinned[0] = 5;
    OK(cudaMemcpyAsync(got, device, 16, cudaMemcpyDeviceToHost, b)); // to pageable: waits
    CHECK(got[0] == 1 && got[1] == 2 && got[2] == 5 && got[3] == 1);

    // so does a copy that is not Async: it waits for earlier work, and may still be running when it
    // returns; a copy of pinned memory is done
    runs = 0;
    OK(cudaLaunchHostFunc(NULL, count, &runs));
    OK(cudaMemcpy(device, host, 8, cudaMemcpyHostToDevice));
    CHECK(runs == 1);
    CHECK(cudaStreamQuery(NULL) == cudaErrorNotReady);
    OK(cudaMemcpy(device, host, 8, cudaMemcpyHostToDevice));
    host[0] = 6;
    OK(cudaMemcpy(got, device, 8, cudaMemcpyDeviceToHost));
    CHECK(got[0] == 5);
    OK(cudaMemcpy(device, pinned, 8, cudaMemcpyHostToDevice));
    CHECK(cudaStreamQuery(NULL) == cudaSuccess);
    OK(cudaMemset(device, 0, 8));
    CHECK(cudaStreamQuery(NULL) == cudaErrorNotReady);
    OK(cudaFree(device));
    OK(cudaFreeHost(pinned));
    OK(cudaStreamDestroy(b));
}

static void test_capture(void) {
    cudaStream_t a, b, blocking;
    cudaEvent_t event;
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    enum cudaStreamCaptureStatus status;
    int runs = 0;
    float *device;
    OK(cudaMalloc((void **)&device, 16));
    OK(cudaStreamCreateWithFlags(&a, cudaStreamNonBlocking));
    OK(cudaStreamCreateWithFlags(&b, cudaStreamNonBlocking));
    OK(cudaStreamCreate(&blocking));
    OK(cudaEventCreate(&event));
    ERROR(cudaErrorStreamCaptureUnsupported,
          cudaStreamBeginCapture(NULL, cudaStreamCaptureModeGlobal));

    // captured work does not run; each launch runs it
    OK(cudaStreamBeginCapture(a, cudaStreamCaptureModeThreadLocal));
    OK(cudaStreamIsCapturing(a, &status));
    CHECK(status == cudaStreamCaptureStatusActive);
    ERROR(cudaErrorInvalidValue, cudaStreamBeginCapture(a, cudaStreamCaptureModeThreadLocal));
    OK(cudaLaunchHostFunc(a, count, &runs));
    OK(cudaLaunchHostFunc(a, count, &runs));
    OK(cudaStreamEndCapture(a, &graph));
    OK(cudaGraphInstantiate(&exec, graph, 0));
    OK(cudaDeviceSynchronize());
    CHECK(runs == 0);
    OK(cudaGraphLaunch(exec, a));
    OK(cudaGraphLaunch(exec, a));
    CHECK(runs == 0);
    OK(cudaStreamSynchronize(a));
    CHECK(runs == 4);

    // a copy in a graph reads when it runs, pinned or not
    float host[1] = {1}, got = 0;
    cudaGraph_t copies;
    cudaGraphExec_t copies_exec;
    OK(cudaStreamBeginCapture(a, cudaStreamCaptureModeThreadLocal));
    OK(cudaMemcpyAsync(device, host, 4, cudaMemcpyHostToDevice, a));
    OK(cudaStreamEndCapture(a, &copies));
    OK(cudaGraphInstantiate(&copies_exec, copies, 0));
    for (int i = 1; i < 3; i++) {
        host[0] = (float)i;
        OK(cudaGraphLaunch(copies_exec, a));
        OK(cudaStreamSynchronize(a));
        OK(cudaMemcpy(&got, device, 4, cudaMemcpyDeviceToHost));
        CHECK(got == (float)i);
    }
    OK(cudaGraphExecDestroy(copies_exec));
    OK(cudaGraphDestroy(copies));
    ERROR(cudaErrorInvalidValue, cudaGraphDestroy(copies));
    ERROR(cudaErrorInvalidValue, cudaGraphLaunch(copies_exec, a));

    // each of these breaks the capture
    void *p;
    for (int i = 0; i < 5; i++) {
        OK(cudaStreamBeginCapture(a, cudaStreamCaptureModeGlobal));
        OK(cudaLaunchHostFunc(a, count, &runs));
        if (i == 0)
            ERROR(cudaErrorStreamCaptureUnsupported, cudaMalloc(&p, 16));
        else if (i == 1)
            ERROR(cudaErrorStreamCaptureUnsupported, cudaStreamSynchronize(a));
        else if (i == 2)
            ERROR(cudaErrorStreamCaptureUnsupported, cudaDeviceSynchronize());
        else if (i == 3) {
            OK(cudaEventRecord(event, b)); // work outside of the capture
            ERROR(cudaErrorStreamCaptureIsolation, cudaStreamWaitEvent(a, event, 0));
        } else
            ERROR(cudaErrorStreamCaptureUnsupported, cudaStreamQuery(a));
        OK(cudaStreamIsCapturing(a, &status));
        CHECK(status == cudaStreamCaptureStatusInvalidated);
        ERROR(cudaErrorStreamCaptureInvalidated, cudaStreamEndCapture(a, &graph));
        CHECK(graph == NULL);
    }
    // the default stream would wait for a blocking stream that is captured
    OK(cudaStreamBeginCapture(blocking, cudaStreamCaptureModeRelaxed));
    OK(cudaLaunchHostFunc(blocking, count, &runs));
    ERROR(cudaErrorStreamCaptureImplicit, cudaMemset(device, 0, 4));
    ERROR(cudaErrorStreamCaptureInvalidated, cudaStreamEndCapture(blocking, &graph));
    // a capture ends where it began
    OK(cudaStreamBeginCapture(a, cudaStreamCaptureModeRelaxed));
    OK(cudaMalloc(&p, 16)); // relaxed: allowed
    OK(cudaEventRecord(event, a));
    OK(cudaStreamWaitEvent(b, event, 0));
    ERROR(cudaErrorCapturedEvent, cudaEventQuery(event));
    ERROR(cudaErrorCapturedEvent, cudaEventSynchronize(event));
    ERROR(cudaErrorStreamCaptureUnmatched, cudaStreamEndCapture(b, &graph));
    OK(cudaStreamEndCapture(a, &graph));
    OK(cudaFree(p));
    ERROR(cudaErrorInvalidValue, cudaStreamEndCapture(a, &graph));
    CHECK(runs == 4);
    OK(cudaFree(device));
}

static void test_ranges(void) {
    CHECK(nvtxRangePushA("a") == 0 && nvtxRangePushA("b") == 1);
    CHECK(nvtxRangePop() == 1 && nvtxRangePop() == 0);
}

int main(void) {
    static void (*const tests[])(void) = {test_device, test_memory, test_streams, test_capture,
                                          test_ranges};
    int passed = 0, failed = 0;
    setenv("EMULATOR_MEMORY", "64", 1);
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        wrong = 0;
        tests[i]();
        *(wrong ? &failed : &passed) += 1;
    }
    printf("runtime: %d passed, %d failed, 0 skipped\n", passed, failed);
    return failed > 0;
}
