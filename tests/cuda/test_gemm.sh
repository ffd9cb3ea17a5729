#!/bin/sh
# test_gemm.sh: matrix products (runtime/gpu/gemm.c) and their tuning (runtime/programs/gpu_tune.c) with the
# emulated cuBLASLt, with gcc and g++ alone. GPU=1 uses the CUDA libraries and the device.
#
#     tests/cuda/test_gemm.sh        CC, CXX, CUDA (/usr/local/cuda), SANITIZE=1
# shares: nothing
set -eu
cd "$(dirname "$0")/../.."
CC=${CC:-gcc} CXX=${CXX:-g++} CUDA=${CUDA:-/usr/local/cuda}

. tests/check.sh
flags="-O2 -Wall -Wextra -I."
strict=$PWD/tests/strict.sh
if [ "${SANITIZE-}" ]; then
    flags="$flags -g -fsanitize=address,undefined -fno-sanitize-recover=all"
fi
if [ "${GPU-}" ]; then
    include="-I$CUDA/include"
    libraries="-L$CUDA/lib64 -lcublasLt -lcudart -Wl,-rpath,$CUDA/lib64"
else
    include=-Itests/cuda/emulator
    libraries=
    for file in tests/cuda/emulator/*.cpp; do
        object=$tmp/$(basename "$file" .cpp).o
        $strict $CXX -std=c++17 $flags $include -c "$file" -o "$object"
        libraries="$libraries $object"
    done
fi
for file in runtime/base/*.c runtime/gpu/*.c runtime/programs/gpu_tune.c tests/cuda/gemm/*.c \
    tests/cuda/test_gemm_model.c; do
    $strict $CC -std=gnu11 $flags $include -c $file -o "$tmp/$(echo "${file%.c}" | tr / _).o"
done
cd "$tmp"
ar rcD runtime.a runtime_base_*.o runtime_gpu_*.o # of which the linker takes what is called
$strict $CXX $flags tests_cuda_gemm_*.o runtime.a $libraries -lm -o test_gemm
$strict $CXX $flags runtime_programs_gpu_tune.o tests_cuda_test_gemm_model.o runtime.a $libraries -lm -o tune

export DIECAST_TUNE=folder/of/tune
check "tune runs and prints only its table" \
    sh -c './tune > table 2> errors && ! test -s errors'
for name in forward backward weight; do
    check "the table has a line for $name" \
        grep -Eq "^$name +[0-9.]+ +[0-9.]+ +[1-8] of [1-8]$" table
done
check "its last line names the file" sh -c 'test -f "$(tail -n 1 table)"'
check "the file is named by device, driver and library" \
    sh -c 'ls folder/of/tune | grep -Eq "^[A-Za-z0-9_.-]+-driver[0-9]+-cublaslt[0-9]+\.txt$"'
check "the file begins with a header" \
    sh -c 'cat folder/of/tune/* | head -n 1 | grep -q "^diecast-tune 1 device "'
check "and has a line for each product" sh -c 'test "$(cat folder/of/tune/* | wc -l)" = 4'
check "tune runs again" sh -c './tune > again 2> errors && ! test -s errors'
check "and the file is as long as before" sh -c 'test "$(cat folder/of/tune/* | wc -l)" = 4'
check "an argument ends tune with 64" sh -c './tune folder; test $? = 64'
check "without a folder's name it is build/tune" \
    sh -c 'DIECAST_TUNE= ./tune > again && tail -n 1 again | grep -q ^build/tune/ && test -f "$(tail -n 1 again)"'
check "a folder that cannot be made ends tune with 74" \
    sh -c ': > file; DIECAST_TUNE=file/below ./tune; test $? = 74'

# The rest counts itself.
./test_gemm "$tmp/tuned" > out && code=0 || code=$?
grep -v ' passed, ' out || true
set -- $(tail -n 1 out | tr -d ,)
if [ "${2-}" != passed ] || { [ $code != 0 ] && [ "$3" = 0 ]; }; then
    echo "test_gemm ended with $code"
    tail -n 3 out
    set -- 0 passed 1 failed
fi
passed=$((passed + $1))
failed=$((failed + $3))
finish
