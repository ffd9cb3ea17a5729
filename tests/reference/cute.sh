#!/bin/sh
# cute.sh: `make cute-parity`: makes the maps of lanes, registers and shared memory again from CuTe, of NVIDIA's CUTLASS
# (headers only, the version in requirements-cute.txt), and compares the stored ones, tests/cuda/cute/maps.txt, and the
# emulator of tests/cuda with them. Needs Python, a network and the CUDA toolkit's headers; no GPU.
#
#     UPDATE=1    writes the stored maps first; review the diff
set -eu
cd "$(dirname "$0")/../.."
here=tests/reference
venv=build/venv-cute
work=build/cute-parity
stored=tests/cuda/cute/maps.txt
PATH=$PATH:/usr/local/cuda/bin
gen/tools/setup.sh --check cuda
. tests/reference/venv.sh
update_venv $venv CUTLASS cutlass_library --no-deps -r $here/requirements-cute.txt
headers=$("$venv/bin/python" -c 'import cutlass_library; print(cutlass_library.source_path)')/include
toolkit=$(dirname "$(dirname "$(realpath "$(command -v nvcc)")")")/include

mkdir -p $work
${CXX:-g++} -std=c++17 -Wall -Wextra -isystem "$headers" -isystem "$toolkit" -isystem "$toolkit/cccl" \
    tests/cuda/cute/cute.cpp -o $work/cute
tests/cuda/test_maps.sh --emulated $work/maps
[ "${UPDATE-}" != 1 ] || $work/cute --write $stored
sed -n '1s/^# Made from \(CUTLASS [0-9.]*\) .*/cute: the stored maps are of \1/p' $stored

passed=0 failed=0
# Adds up a program's checks; its exit code must agree with them.
count() { # what, command...
    what=$1
    shift
    "$@" >$work/log && code=0 || code=$?
    sed "\$s/.*/cute: $what: &/" $work/log
    # shellcheck disable=SC2046 # words
    set -- $(tail -n 1 $work/log | tr -d ,)
    if [ "${2-}" != passed ] || { [ $code != 0 ] && [ "$3" = 0 ]; }; then
        echo "cute: $what: ended with $code"
        set -- 0 passed 1 failed
    fi
    passed=$((passed + $1))
    failed=$((failed + $3))
}
count 'stored maps, against CuTe' $work/cute $stored
count 'the emulator, against those' env EMULATOR_ARCH=90 $work/maps $stored

# A changed place in a stored map, and a missing map, must be found.
sed 's/^wgmma.bf16.a 5: 1,2+2/wgmma.bf16.a 5: 1,4+2/' $stored >$work/changed
grep -v '^tma.bf16.64' $stored >$work/fewer
for planted in changed fewer; do
    if ! cmp -s $stored $work/$planted && ! $work/cute $work/$planted >$work/log && grep -q '^not so: ' $work/log; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "cute: maps that are $planted do not show"
    fi
done
echo "$passed passed, $failed failed, 0 skipped"
[ $failed = 0 ]
