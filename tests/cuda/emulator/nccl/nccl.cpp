// nccl.cpp: NCCL for the emulated device, between processes that mpirun has started, with MPI as
// its transport. Calls are refused as NCCL refuses them; a communicator that does not block is for
// some looks "in progress" after each call, during which no other call is allowed; transfers are
// work on a stream.
//
//     EMULATOR_NCCL_FAULT=RANK:TRANSFER:KIND    this rank's transfer of that number, from 1, meets
//                                               stop, kill: the process is stopped or killed
//                                               hang: the transfer never ends
//                                               error: nor does this, and NCCL has a remote error
#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1
#include <atomic>
#include <mpi.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <vector>

#include "../device.h"
#include "nccl.h"

#define AT_HERE                                                                                    \
    { "nccl.cpp", __LINE__ }

struct ncclComm {
    int rank, ranks;
    bool blocking;
    MPI_Comm mpi;
    std::atomic<int> looks; // for so many more, a call is in progress
    std::atomic<int> error; // ncclResult_t
    std::atomic<bool> aborted;
};

enum { LOOKS = 2 };

struct part { // of a group
    bool sends;
    const void *from;
    void *to;
    size_t bytes;
    int peer;
    ncclComm_t comm;
    cudaStream_t stream;
};
static int groups;
static auto &parts = *new std::vector<struct part>();
static int comms, transfers;

// ---- communicators ------------------------------------------------------------------------------

ncclResult_t ncclGetUniqueId(ncclUniqueId *id) {
    static int number;
    memset(id, 0, sizeof *id);
    snprintf(id->internal, sizeof id->internal, "emulated %d %d", (int)getpid(), number++);
    return ncclSuccess;
}

static ncclResult_t in_progress(ncclComm_t comm) {
    if (comm->blocking)
        return ncclSuccess;
    comm->looks = LOOKS;
    return ncclInProgress;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t *comm, int ranks, ncclUniqueId id, int rank,
                                    ncclConfig_t *config) {
    if (config->magic != 0xcafebeef || config->size != sizeof *config || rank < 0 || rank >= ranks)
        return ncclInvalidArgument;
    int started = 0, size, mine = rank;
    MPI_Initialized(&started);
    if (!started) {
        int level;
        MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &level);
    }
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    if (size != ranks)
        emulator_fail(AT_HERE, "a communicator of %d ranks in a job of %d: mpirun starts them",
                      ranks, size);
    *comm = new ncclComm();
    (*comm)->rank = rank;
    (*comm)->ranks = ranks;
    (*comm)->blocking = config->blocking != 0;
    MPI_Comm_split(MPI_COMM_WORLD, 0, mine, &(*comm)->mpi);
    std::vector<ncclUniqueId> ids((size_t)ranks);
    MPI_Allgather(&id, sizeof id, MPI_BYTE, ids.data(), sizeof id, MPI_BYTE, (*comm)->mpi);
    for (const ncclUniqueId &other : ids)
        if (memcmp(&other, &id, sizeof id))
            emulator_fail(AT_HERE, "ranks have different ids: %.30s and %.30s", id.internal,
                          other.internal);
    comms++;
    return in_progress(*comm);
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t *error) {
    int looks = comm->looks;
    while (looks > 0 && !comm->looks.compare_exchange_weak(looks, looks - 1)) {
    }
    *error = comm->error ? (ncclResult_t)(int)comm->error
             : looks > 0 ? ncclInProgress
                         : ncclSuccess;
    return ncclSuccess;
}

ncclResult_t ncclCommFinalize(ncclComm_t comm) {
    return in_progress(comm);
}

ncclResult_t ncclCommDestroy(ncclComm_t comm) {
    MPI_Comm_free(&comm->mpi);
    delete comm;
    if (--comms == 0)
        MPI_Finalize();
    return ncclSuccess;
}

ncclResult_t ncclCommAbort(ncclComm_t comm) {
    comm->aborted = true;
    return ncclSuccess;
}

const char *ncclGetErrorString(ncclResult_t result) {
    static const char *const names[] = {"no error",
                                        "unhandled cuda error",
                                        "unhandled system error",
                                        "internal error",
                                        "invalid argument",
                                        "invalid usage",
                                        "remote process exited or there was a network "
                                        "error",
                                        "NCCL operation in progress"};
    return result >= 0 && result <= ncclInProgress ? names[result] : "unknown result code";
}

const char *ncclGetLastError(ncclComm_t comm) {
    (void)comm;
    return "";
}

// ---- transfers ----------------------------------------------------------------------------------

static size_t width(ncclDataType_t type) {
    switch (type) {
    case ncclUint8:
        return 1;
    case ncclBfloat16:
        return 2;
    case ncclFloat:
        return 4;
    case ncclDouble:
        return 8;
    }
    emulator_fail(AT_HERE, "type %d is not emulated", (int)type);
}

// A device's streams go on by themselves. Here work runs when the host waits for it: of the
// transfers of several streams those that were asked for first run first, as on all ranks, or two
// ranks would wait for each other in different ones.
static void enqueue_transfer(cudaStream_t stream, work_t work) {
    static cudaStream_t last;
    if (last && last != stream && device::stream_of(last))
        device::run_stream(last);
    last = stream;
    emulator_enqueue(stream, std::move(work));
}

static ncclResult_t refuse(ncclComm_t comm, cudaStream_t stream) {
    if (comm->looks > 0)
        emulator_fail(AT_HERE, "a call on a communicator whose last call is in progress");
    cudaStreamCaptureStatus status;
    if (cudaStreamIsCapturing(stream, &status) != cudaSuccess)
        return ncclInvalidArgument;
    if (status != cudaStreamCaptureStatusNone)
        emulator_fail(AT_HERE, "transfers are not emulated in a graph");
    return ncclSuccess;
}

static void must_hold(const void *p, size_t bytes) {
    if (!emulator_device_holds(p, bytes))
        emulator_fail(AT_HERE, "NCCL is given %zu bytes that are not device memory: %s", bytes,
                      emulator_device_why(p, bytes).c_str());
}

static void nap(void) {
    const struct timespec t = {0, 50000};
    nanosleep(&t, nullptr);
}

static void fault(ncclComm_t comm) {
    int rank, number;
    char kind[16];
    const char *text = getenv("EMULATOR_NCCL_FAULT");
    transfers++;
    if (!text || sscanf(text, "%d:%d:%15s", &rank, &number, kind) != 3 || rank != comm->rank ||
        number != transfers)
        return;
    if (!strcmp(kind, "stop"))
        raise(SIGSTOP);
    else if (!strcmp(kind, "kill"))
        raise(SIGKILL);
    else {
        if (!strcmp(kind, "error"))
            comm->error = ncclRemoteError;
        for (;;)
            nap();
    }
}

// Waits for the others, giving way to them; for ever, as a kernel does, if one never comes.
static void finish(MPI_Request *requests, int count) {
    for (int done = 0, looks = 0; !done; looks++) {
        MPI_Testall(count, requests, &done, MPI_STATUSES_IGNORE);
        if (!done && looks < 2000)
            sched_yield();
        else if (!done)
            nap();
    }
}

static int pieces(size_t bytes) { // MPI counts in int
    if (bytes > INT_MAX)
        emulator_fail(AT_HERE, "%zu elements at a time are not emulated", bytes);
    return (int)bytes;
}

ncclResult_t ncclReduceScatter(const void *from, void *to, size_t count, ncclDataType_t type,
                               ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream) {
    const ncclResult_t error = refuse(comm, stream);
    if (error != ncclSuccess || type != ncclFloat || op != ncclSum)
        return ncclInvalidArgument;
    enqueue_transfer(stream, [=] {
        const size_t bytes = count * width(type);
        must_hold(from, bytes * (size_t)comm->ranks);
        must_hold(to, bytes);
        fault(comm);
        std::vector<char> sum(bytes);
        MPI_Request request;
        MPI_Ireduce_scatter_block(from, sum.data(), pieces(count), MPI_FLOAT, MPI_SUM, comm->mpi,
                                  &request);
        finish(&request, 1);
        memcpy(to, sum.data(), bytes);
    });
    return in_progress(comm);
}

ncclResult_t ncclAllGather(const void *from, void *to, size_t count, ncclDataType_t type,
                           ncclComm_t comm, cudaStream_t stream) {
    const ncclResult_t error = refuse(comm, stream);
    if (error != ncclSuccess)
        return error;
    enqueue_transfer(stream, [=] {
        const size_t bytes = count * width(type);
        must_hold(from, bytes);
        must_hold(to, bytes * (size_t)comm->ranks);
        fault(comm);
        std::vector<char> own((const char *)from, (const char *)from + bytes);
        MPI_Request request;
        MPI_Iallgather(own.data(), pieces(bytes), MPI_BYTE, to, pieces(bytes), MPI_BYTE, comm->mpi,
                       &request);
        finish(&request, 1);
    });
    return in_progress(comm);
}

static ncclResult_t join(const struct part &part) {
    const ncclResult_t error = refuse(part.comm, part.stream);
    if (error != ncclSuccess || part.peer < 0 || part.peer >= part.comm->ranks)
        return ncclInvalidArgument;
    ncclGroupStart();
    parts.push_back(part);
    return ncclGroupEnd();
}

ncclResult_t ncclSend(const void *from, size_t count, ncclDataType_t type, int peer,
                      ncclComm_t comm, cudaStream_t stream) {
    return join({true, from, nullptr, count * width(type), peer, comm, stream});
}

ncclResult_t ncclRecv(void *to, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream) {
    return join({false, nullptr, to, count * width(type), peer, comm, stream});
}

ncclResult_t ncclGroupStart(void) {
    groups++;
    return ncclSuccess;
}

ncclResult_t ncclGroupEnd(void) {
    if (groups == 0)
        return ncclInvalidUsage;
    if (--groups > 0 || parts.empty())
        return ncclSuccess;
    const std::vector<struct part> all = std::move(parts);
    parts.clear();
    for (const struct part &part : all)
        if (part.comm != all[0].comm || part.stream != all[0].stream)
            emulator_fail(AT_HERE, "a group of several communicators or streams is not emulated");
    enqueue_transfer(all[0].stream, [all] {
        fault(all[0].comm);
        std::vector<MPI_Request> requests(all.size());
        for (size_t i = 0; i < all.size(); i++) {
            const struct part &part = all[i];
            must_hold(part.sends ? part.from : part.to, part.bytes);
            if (part.sends)
                MPI_Isend(part.from, pieces(part.bytes), MPI_BYTE, part.peer, 0, part.comm->mpi,
                          &requests[i]);
            else
                MPI_Irecv(part.to, pieces(part.bytes), MPI_BYTE, part.peer, 0, part.comm->mpi,
                          &requests[i]);
        }
        finish(requests.data(), (int)requests.size());
    });
    return in_progress(all[0].comm);
}
