// experiment.cuh: shared by all experiments of maps.cu: the stored maps, elements as bits, memory
// of the device, and operands of products whose elements can be recognised.
//
// How a map of a product d = a b is found: one operand is the unit matrix, so that d has the other
// one's elements; these are the numbers of the registers, or addresses, that they were put in.
// CuTe's maps say where the unit matrix is put and where d is read, so an error in one map of a
// product may appear in others too. All numbers are integers up to 256, which are exact in bf16 and
// f16.
#ifndef DIECAST_EXPERIMENT_CUH
#define DIECAST_EXPERIMENT_CUH

#include "hopper.cuh"

#include "maps.h"

enum { ROOM = 2 * 128 * 64 }; // elements of two tiles, 128 rows high

static const char *stored_path;
static place_maps stored;

// A stored map of this shape, whose places are checked to be below (a, b).
static const place_lines &stored_map(const std::string &name, size_t lines, size_t places, int a,
                                     int b) {
    const auto found = stored.find(name);
    bool good = found != stored.end() && found->second.size() == lines;
    for (size_t i = 0; good && i < lines; i++) {
        good = found->second[i].size() == places;
        for (const struct place &at : found->second[i])
            good = good && at.a >= 0 && at.a < a && at.b >= 0 && at.b < b;
    }
    if (!good) {
        fprintf(stderr, "maps: %s: no map %s of %zu lines of %zu places below %d,%d\n", stored_path,
                name.c_str(), lines, places, a, b);
        exit(65);
    }
    return found->second;
}

// ---- elements, and the device's memory ----------------------------------------------------------

template <class T> struct element; // its name, and the bits of a whole number from 0 to 256
template <> struct element<bf16> {
    static constexpr const char *name = "bf16";
    static uint16_t bits(int x) {
        const float y = (float)x;
        uint32_t all;
        memcpy(&all, &y, 4);
        return (uint16_t)(all >> 16);
    }
};
template <> struct element<f16> {
    static constexpr const char *name = "f16";
    static uint16_t bits(int x) {
        const float y = (float)x;
        uint32_t all;
        memcpy(&all, &y, 4);
        return x == 0 ? 0 : (uint16_t)((all - (112u << 23)) >> 13);
    }
};

template <class T> static std::string named(const std::string &before, const std::string &behind) {
    return before + "." + element<T>::name + "." + behind;
}

static void must(cudaError_t error, int line) {
    if (error == cudaSuccess)
        return;
    fprintf(stderr, "maps: line %d: %s: %s\n", line, cudaGetErrorName(error),
            cudaGetErrorString(error));
    exit(71);
}
#define MUST(call) must(call, __LINE__)

// A copy of host values on the device. A copy from pageable memory may return before it has
// arrived.
template <class T> static T *to_device(const std::vector<T> &host) {
    void *p = NULL;
    MUST(cudaMalloc(&p, host.size() * sizeof(T)));
    MUST(cudaMemcpy(p, host.data(), host.size() * sizeof(T), cudaMemcpyHostToDevice));
    MUST(cudaDeviceSynchronize());
    return (T *)p;
}

// Copies the device's values to the host and frees the device's memory.
template <class T> static std::vector<T> to_host(T *device, size_t count) {
    std::vector<T> host(count);
    MUST(cudaDeviceSynchronize());
    MUST(cudaMemcpy(host.data(), device, count * sizeof(T), cudaMemcpyDeviceToHost));
    MUST(cudaFree(device));
    return host;
}

// ---- products: shared by those of a warp and those of a warp group ------------------------------

// Registers of `threads` threads with `halves` 16-bit elements each, of value(thread, half).
template <class T, class F>
static std::vector<uint32_t> registers(int threads, int halves, F value) {
    std::vector<uint32_t> words(threads * halves / 2);
    for (int i = 0; i < threads * halves; i++)
        words[i / 2] |= (uint32_t)element<T>::bits(value(i / halves, i % halves)) << i % 2 * 16;
    return words;
}

// The unit matrix where `map` has (own axis, depth), from `first` of the depth on.
template <class T> static std::vector<uint32_t> unit_registers(const place_lines &map, int first) {
    return registers<T>((int)map.size(), (int)map[0].size(), [&](int thread, int half) {
        return map[thread][half].b == map[thread][half].a + first;
    });
}

// Numbers of registers, from 1: in the first of two experiments those of their threads, in the
// second their own within the thread.
template <class T>
static std::vector<uint32_t> numbered_registers(int threads, int halves, int second) {
    return registers<T>(threads, halves,
                        [=](int thread, int half) { return second ? half + 1 : thread + 1; });
}

// Each thread's sums as a matrix (rows, columns), by `map`.
static std::vector<std::vector<float>> matrix(const std::vector<float> &sums,
                                              const place_lines &map, int rows, int columns) {
    std::vector<std::vector<float>> m(rows, std::vector<float>(columns, 0.0f));
    for (size_t i = 0; i < sums.size(); i++) {
        const struct place at = map[i / map[0].size()][i % map[0].size()];
        m[at.a][at.b] = sums[i];
    }
    return m;
}

// Lines of places that have not been found.
static place_lines unknown(size_t lines, size_t places) {
    return place_lines(lines, std::vector<struct place>(places, nowhere));
}

// Notes the result of two experiments for a place: the line and the place in a map, from 1.
static void note(place_lines *map, float line, float place, struct place is) {
    if (line >= 1 && line <= (float)map->size() && place >= 1 && place <= (float)(*map)[0].size())
        (*map)[(size_t)line - 1][(size_t)place - 1] = is;
}

// Builds a map from sums that are their row, and sums that are their column, both from 1.
static place_lines sums_found(const std::vector<float> &row, const std::vector<float> &column,
                              int threads) {
    place_lines found(threads);
    for (size_t i = 0; i < row.size(); i++)
        found[i / (row.size() / threads)].push_back({(int)row[i] - 1, (int)column[i] - 1});
    return found;
}

#endif
