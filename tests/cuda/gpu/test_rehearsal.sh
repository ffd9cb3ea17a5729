#!/bin/sh
# test_rehearsal.sh: pass.sh on the emulator (rehearse.sh) with a small kit, correct kernels and a planted fault; `make
# gpu-rehearsal` has all ten.
# shares: nothing
cd "$(dirname "$0")/../../.." || exit 74
export FAMILIES=bias ROWS= TRAINERS= HOPPER_CASES="bf16:1,300,3,64,0,3 bf16:1,200,1,128,7,3"
exec tests/cuda/gpu/rehearse.sh crash
