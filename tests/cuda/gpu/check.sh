#!/usr/bin/env bash
# check.sh OUT: `make gpu-check OUT=dir`: checks on the device what a CPU cannot show, with the kit that kit.sh made:
# the hardware's instructions, the ops, PyTorch's numbers, the CPU's losses, the same bytes twice, a run that is stopped
# and resumed, memory as planned, and compute-sanitizer. Prints a line per check (checks.sh), also to OUT/gpu-check.txt
# at once; at most five minutes.
# Exit: 0 all passed, 1 some failed, 66 no kit, 77 no GPU.
set -u
cd "$(dirname "$0")/../../.." || exit 74
. tests/cuda/gpu/common.sh # sets kit, arch, device, gpu, tmp and began
suite_open gpu-check
out=${1:?usage: check.sh OUT}
mkdir -p "$out" || exit 74
report=$out/gpu-check.txt
limit=300
: >"$report"
. tests/cuda/gpu/checks.sh

say "gpu-check: $(about_device)"
check_instructions
check_kernels
check_parity
check_training
check_memory
check_sanitizers
finish gpu-check
