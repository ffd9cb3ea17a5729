// maps.cu: finds by experiment where elements lie in the registers and the shared memory of
// ldmatrix, mma, wgmma and TMA, and compares this with the maps that CuTe states (maps.txt).
//
//     maps FILE     a line "not so: ..." for each map that differs from FILE; the last line is
//                   "N passed, N failed, N skipped"; exit 1 if one failed
//
// It knows nothing of the emulator: nvcc builds the same text, for a device.
// tests/cuda/test_maps.sh builds both. Without Hopper's hardware its maps are skipped.
#include "tma.cuh"
#include "warp.cuh"
#include "wgmma.cuh"

template <class T> static void check_hopper() {
    check_wgmma<T, 64>();
    check_wgmma<T, 128>();
    check_descriptors<T>();
    check_copies<T>(64);
    check_copies<T>(128);
    check_pack<T, 4>();
    check_pack<T, 8>();
}

int main(int arguments, char **argument) {
    if (arguments != 2) {
        fprintf(stderr, "usage: maps FILE\n");
        return 64;
    }
    stored_path = argument[1];
    stored = maps_read(stored_path);
    int major = 0, skipped = 0;
    MUST(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0));
    check_ldmatrix();
    check_mma<bf16>();
    check_mma<f16>();
    if (major == 9) {
        check_hopper<bf16>();
        check_hopper<f16>();
    } else {
        printf("skipped: wgmma, its descriptors and TMA, which need compute capability 9.0\n");
        skipped = 1;
    }
    return maps_end(skipped);
}
