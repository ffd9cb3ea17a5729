// main.c: compares runtime/gpu/gemm.c with products in double. test_gemm.sh builds this folder with
// the stand-in for cuBLASLt, which needs no CUDA, or, on a machine with a GPU, with the real one,
// with the same bounds for errors.
//
//     test_gemm FOLDER      a folder for tune files
#include "tests/cuda/gemm/gemm_test.h"

struct gpu gpu;
const char *tune_folder;

static int passed, failed;

void check(bool good, const char *what) {
    passed += good;
    failed += !good;
    if (!good) {
        printf("not so: %s\n", what);
    }
}

int main(int argc, char **argv) {
    if (argc != 2) {
        die(EXIT_USAGE, "test_gemm FOLDER");
    }
    tune_folder = argv[1];
    gpu_open(&gpu);
    CUDA_CHECK(cudaMalloc(&gpu.workspace, WORKSPACE));
    gpu.workspace_bytes = WORKSPACE;
    gpu.gemm = gemm_context_create(&gpu, NULL);
    check_products(gpu.gemm);
    check_batch(gpu.gemm);
    check_rounding(gpu.gemm);
    check_nan(gpu.gemm);
    check_graph(gpu.gemm);
#ifdef DIECAST_EMULATED
    check_faults();
    check_refusals();
#endif
    gemm_context_destroy(gpu.gemm);
    check_tune();
    CUDA_CHECK(cudaFree(gpu.workspace));
    gpu_close(&gpu);
    printf("%d passed, %d failed, 0 skipped\n", passed, failed);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
