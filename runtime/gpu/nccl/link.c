// link.c: a TCP connection from each rank to rank 0: it brings NCCL's ids at the start, and then
// heartbeats, by which a rank that is stopped or that the network has lost is missed, however long
// a slow one takes. One that ends is noticed at once, since its connection closes. It carries no
// data.
#include "runtime/gpu/nccl/nccl.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const char LINK_MAGIC[8] = "diecast1";
static const double LINK_PATIENCE = 5;    // for a stranger's greeting
static const double LINK_ERROR_AFTER = 1; // an error of NCCL's, if no connection says more by then

// What a rank says when it comes, and what rank 0 answers.
struct link_hello {
    char magic[8];
    int32_t rank, size;
    char host[64];
};
struct link_answer {
    char magic[8];
    int32_t refused; // 1: the job cannot begin
    char host[64];
    ncclUniqueId ids[NCCL_COMMS];
};
// Then, in both directions:
enum link_kind { LINK_BEAT = 1, LINK_ENDS, LINK_LEAVES };
struct link_message {
    int32_t kind, code;
};

struct link_peer {
    int file, rank;
    char host[64];
    double heard;
    bool left; // it has said that it leaves
    struct link_message part;
    size_t have; // bytes of that message
};
static struct link_peer *link_peers; // of rank 0 all others; of others rank 0
static int link_count;
static int link_rank;
static pthread_t link_thread;
static bool link_runs;
static atomic_bool link_stops;
static _Atomic double link_timeout;

// ---- whole messages, at the start ---------------------------------------------------------------

static int link_wait_ms(double until) {
    const double left = until - time_now();
    return left > 0 ? (int)(left * 1e3) + 1 : 0;
}

// Receives so many bytes by a moment. False if they do not come; errno says why.
static bool link_receive(int file, void *to, size_t bytes, double until) {
    for (char *at = to, *end = at + bytes; at < end;) {
        struct pollfd wait = {.fd = file, .events = POLLIN};
        if (poll(&wait, 1, link_wait_ms(until)) <= 0) {
            errno = ETIMEDOUT;
            return false;
        }
        const ssize_t got = recv(file, at, (size_t)(end - at), 0);
        if (got == 0) {
            errno = ECONNRESET;
        }
        if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN)) {
            return false;
        }
        at += got > 0 ? got : 0;
    }
    return true;
}

// Sends them: they are few, and fit what the kernel holds.
static bool link_send(int file, const void *from, size_t bytes) {
    return send(file, from, bytes, MSG_NOSIGNAL) == (ssize_t)bytes;
}

static struct addrinfo *link_addresses(const char *host, int port) {
    char service[16];
    snprintf(service, sizeof service, "%d", port);
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICSERV | (host ? 0 : AI_PASSIVE)};
    struct addrinfo *list;
    const int error = getaddrinfo(host, service, &hints, &list);
    if (error) {
        die(EXIT_USAGE, "ranks: MASTER_ADDR=%s: %s", host ? host : "", gai_strerror(error));
    }
    return list;
}

static int link_socket(const struct addrinfo *address) {
    return socket(address->ai_family, address->ai_socktype | SOCK_CLOEXEC, address->ai_protocol);
}

// Keeps nothing back, since messages are small.
static void link_at_once(int file) {
    setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
}

// ---- rank 0 -------------------------------------------------------------------------------------

static int link_listen(const struct found *found) {
    struct addrinfo *list = link_addresses(NULL, found->port);
    int file = -1;
    for (struct addrinfo *a = list; a && file < 0; a = a->ai_next) {
        file = link_socket(a);
        if (file < 0) {
            continue;
        }
        setsockopt(file, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
        if (bind(file, a->ai_addr, a->ai_addrlen) || listen(file, found->size)) {
            const int error = errno;
            close(file);
            errno = error;
            file = -1;
        }
    }
    freeaddrinfo(list);
    if (file < 0) {
        die(EXIT_IO,
            "ranks: rank 0 cannot listen at port %d: %s; give another MASTER_PORT, which "
            "is one less",
            found->port, strerror(errno));
    }
    return file;
}

// Takes the rank that comes by a connection. A stranger is sent away.
static void link_take(const struct found *found, int file) {
    struct link_hello hello;
    if (!link_receive(file, &hello, sizeof hello, time_now() + LINK_PATIENCE) ||
        memcmp(hello.magic, LINK_MAGIC, sizeof hello.magic)) {
        close(file);
        return;
    }
    hello.host[sizeof hello.host - 1] = 0;
    struct link_peer *peer =
        hello.rank > 0 && hello.rank < found->size ? &link_peers[hello.rank - 1] : NULL;
    if (!peer || hello.size != found->size || peer->file >= 0) {
        struct link_answer answer = {.refused = 1};
        memcpy(answer.magic, LINK_MAGIC, sizeof answer.magic);
        link_send(file, &answer, sizeof answer);
        die(EXIT_USAGE,
            "ranks: %s came as rank %d of %d, and this is a job of %d in which that rank %s; start "
            "each job with a MASTER_PORT of its own",
            hello.host, (int)hello.rank, (int)hello.size, found->size,
            peer && peer->file >= 0 ? "is there already" : "cannot be");
    }
    link_at_once(file);
    peer->file = file;
    memcpy(peer->host, hello.host, sizeof peer->host);
}

static void link_gather(const struct found *found, ncclUniqueId ids[NCCL_COMMS], double until) {
    const int listener = link_listen(found);
    for (int here = 1; here < found->size;) {
        struct pollfd wait = {.fd = listener, .events = POLLIN};
        if (poll(&wait, 1, link_wait_ms(until)) <= 0 && time_now() >= until) {
            char missing[200] = "";
            for (int i = 0, at = 0; i < link_count && at < 180; i++) {
                if (link_peers[i].file < 0) {
                    at += snprintf(missing + at, sizeof missing - (size_t)at, "%s%d",
                                   at ? ", " : "", link_peers[i].rank);
                }
            }
            die(EXIT_IO,
                "ranks: %d of %d ranks have not come to port %d of rank 0: %s; see whether they "
                "were started, with the same MASTER_ADDR and MASTER_PORT",
                found->size - here, found->size, found->port, missing);
        }
        const int file = accept(listener, NULL, NULL);
        if (file >= 0) {
            fcntl(file, F_SETFD, FD_CLOEXEC);
            link_take(found, file);
        }
        here = 1;
        for (int i = 0; i < link_count; i++) {
            here += link_peers[i].file >= 0;
        }
    }
    close(listener);
    struct link_answer answer = {0};
    memcpy(answer.magic, LINK_MAGIC, sizeof answer.magic);
    memcpy(answer.ids, ids, sizeof answer.ids);
    gethostname(answer.host, sizeof answer.host - 1);
    for (int i = 0; i < link_count; i++) {
        link_send(link_peers[i].file, &answer, sizeof answer); // who is gone is missed below
    }
}

// ---- the others ---------------------------------------------------------------------------------

// Connects to rank 0, which may not listen yet.
static int link_connect(const struct found *found, double until) {
    struct addrinfo *list = link_addresses(found->address, found->port);
    for (int error = 0;;) {
        for (struct addrinfo *a = list; a; a = a->ai_next) {
            const int file = link_socket(a);
            if (file >= 0 && connect(file, a->ai_addr, a->ai_addrlen) == 0) {
                freeaddrinfo(list);
                link_at_once(file);
                return file;
            }
            error = errno;
            if (file >= 0) {
                close(file);
            }
        }
        if (time_now() >= until) {
            die(EXIT_IO,
                "ranks: rank %d of %d finds no rank 0 at %s, port %d: %s; see whether it was "
                "started, and whether MASTER_ADDR and MASTER_PORT, which is one less, are its own",
                found->rank, found->size, found->address, found->port, strerror(error));
        }
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    }
}

static void link_come(const struct found *found, ncclUniqueId ids[NCCL_COMMS], double until) {
    const int file = link_connect(found, until);
    struct link_hello hello = {.rank = found->rank, .size = found->size};
    memcpy(hello.magic, LINK_MAGIC, sizeof hello.magic);
    gethostname(hello.host, sizeof hello.host - 1);
    struct link_answer answer;
    if (!link_send(file, &hello, sizeof hello) ||
        !link_receive(file, &answer, sizeof answer, until + LINK_PATIENCE)) {
        die(EXIT_IO, "ranks: rank 0 at %s, port %d, gave rank %d no answer: %s", found->address,
            found->port, found->rank, strerror(errno));
    }
    if (memcmp(answer.magic, LINK_MAGIC, sizeof answer.magic)) {
        die(EXIT_USAGE,
            "ranks: what answers at %s, port %d, is no rank 0; give another "
            "MASTER_PORT",
            found->address, found->port);
    }
    if (answer.refused) {
        exit(EXIT_USAGE); // rank 0 says why
    }
    answer.host[sizeof answer.host - 1] = 0;
    memcpy(link_peers[0].host, answer.host, sizeof answer.host);
    memcpy(ids, answer.ids, sizeof answer.ids);
    link_peers[0].file = file;
}

void link_open(const struct found *found, ncclUniqueId ids[NCCL_COMMS], double seconds) {
    const double until = time_now() + seconds;
    link_rank = found->rank;
    link_count = found->rank == 0 ? found->size - 1 : 1;
    link_peers = allocate((size_t)link_count + 1, sizeof *link_peers, "connections of ranks");
    for (int i = 0; i < link_count; i++) {
        link_peers[i] = (struct link_peer){.file = -1, .rank = found->rank == 0 ? i + 1 : 0};
    }
    if (found->rank == 0) {
        link_gather(found, ids, until);
    } else {
        link_come(found, ids, until);
    }
}

// ---- heartbeats ---------------------------------------------------------------------------------

static void link_tell(enum link_kind kind, int code) {
    const struct link_message message = {.kind = kind, .code = code};
    for (int i = 0; i < link_count; i++) {
        if (link_peers[i].file >= 0) {
            send(link_peers[i].file, &message, sizeof message, MSG_NOSIGNAL | MSG_DONTWAIT);
        }
    }
}

static _Noreturn void link_lost(const struct link_peer *peer, const char *how) {
    if (peer->rank > 0 || link_rank == 1) { // all miss rank 0: one of them says so
        char text[160];
        nccl_going_on(text);
        // Not by die: another thread may be within exit.
        fprintf(stderr,
                "ranks: rank %d on %s %s: %s; the job ends, and the same command goes on from the "
                "last state\n",
                peer->rank, peer->host, how, text);
    }
    nccl_abort(EXIT_IO);
}

// Reads what has come of a peer.
static void link_hear(struct link_peer *peer, double now) {
    while (!peer->left) {
        const ssize_t got = recv(peer->file, (char *)&peer->part + peer->have,
                                 sizeof peer->part - peer->have, MSG_DONTWAIT);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return;
        }
        if (got <= 0 && link_stops) { // this rank leaves too: who did first owes it no word
            peer->left = true;
            return;
        }
        if (got <= 0) {
            link_lost(peer, "has ended, or the network between has");
        }
        peer->have += (size_t)got;
        peer->heard = now;
        if (peer->have < sizeof peer->part) {
            continue;
        }
        peer->have = 0;
        if (peer->part.kind == LINK_ENDS) {
            nccl_abort(peer->part.code); // who sent it has said why
        }
        peer->left = peer->part.kind == LINK_LEAVES;
    }
}

// Waits until something comes, or for so many seconds.
static void link_pause(double seconds) {
    struct pollfd *wait = allocate((size_t)link_count + 1, sizeof *wait, "connections of ranks");
    for (int i = 0; i < link_count; i++) {
        wait[i] =
            (struct pollfd){.fd = link_peers[i].left ? -1 : link_peers[i].file, .events = POLLIN};
    }
    poll(wait, (nfds_t)link_count, (int)(seconds * 1e3) + 1);
    free(wait);
}

static void *link_run(void *context) {
    (void)context;
    double looked = time_now(), told = 0, failed = 0;
    for (int i = 0; i < link_count; i++) {
        link_peers[i].heard = looked;
    }
    while (!link_stops) {
        const double timeout = link_timeout, each = timeout < 4 ? timeout / 16 : 0.25;
        const double now = time_now();
        // This process itself may have been stopped meanwhile: the others' time begins again.
        const bool slept = now - looked > timeout / 2;
        looked = now;
        for (int i = 0; i < link_count; i++) {
            struct link_peer *peer = &link_peers[i];
            link_hear(peer, now);
            peer->heard = slept ? now : peer->heard;
            if (!peer->left && !link_stops && now - peer->heard > timeout) {
                char how[80];
                snprintf(how, sizeof how, "has not been heard of for %g s", timeout);
                link_lost(peer, how);
            }
        }
        if (now - told >= each) {
            link_tell(LINK_BEAT, 0);
            told = now;
        }
        const ncclResult_t error = nccl_error();
        failed = error == ncclSuccess ? 0 : failed > 0 ? failed : now;
        if (failed > 0 && now - failed > LINK_ERROR_AFTER) {
            char text[160];
            nccl_going_on(text);
            fprintf(stderr,
                    "ranks: rank %d: NCCL: %s: %s; the job ends, and the same command goes on from "
                    "the last state\n",
                    link_rank, ncclGetErrorString(error), text);
            nccl_abort(EXIT_IO);
        }
        link_pause(each);
    }
    return NULL;
}

void link_watch(double timeout) {
    link_timeout = timeout;
    if (pthread_create(&link_thread, NULL, link_run, NULL)) {
        die(EXIT_MEMORY, "threads: none is left for the heartbeats of ranks");
    }
    link_runs = true;
}

void link_limit(double timeout) {
    link_timeout = timeout;
}

void link_end_job(int code) {
    link_tell(LINK_ENDS, code);
}

// Others may close their ends as soon as they are told, so this one no longer misses them by then.
void link_close(void) {
    link_stops = true;
    link_tell(LINK_LEAVES, 0);
    if (link_runs) {
        pthread_join(link_thread, NULL);
        link_runs = false;
    }
    for (int i = 0; i < link_count; i++) {
        close(link_peers[i].file);
    }
    free(link_peers);
    link_peers = NULL;
    link_count = 0;
}
