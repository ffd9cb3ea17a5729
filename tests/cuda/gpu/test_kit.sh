#!/bin/sh
# test_kit.sh: a kit of one small config, built by nvcc with one program of each kind, unpacked in a folder that has
# nothing else but the suite's scripts, with a PATH without Lua and nvcc. check.sh, pass.sh and bench.sh are run there up
# to where a device is needed: each program of the kit starts, and reports that there is none. The whole kit is `make
# gpu-kit`. Without nvcc: one line and exit 77.
# shares: runtime/generic runtime/cuda
set -u
cd "$(dirname "$0")/../../.." || exit 74
PATH=$PATH:/usr/local/cuda/bin
command -v nvcc >/dev/null || { echo "test_kit: nvcc: not found; the CUDA toolkit has it: skipped"; exit 77; }
. tests/check.sh
home=$PWD

# ---- the kit --------------------------------------------------------------------------------------

export KIT=build/gpu-kit-small
check "the kit is built" env TYPES=bf16 FAMILIES="bias layernorm" GOLDENS=one_head DTYPES=bfloat16 TRAINERS=odd \
    ATTENTIONS=mma CONFIGS=tests/cuda/odd.lua STEP=odd:0 ROWS= HOPPER_CASES="bf16:1,64,1,64,0,3" tests/cuda/gpu/kit.sh
[ -f $KIT.tar.gz ] || { tail -n 20 "$tmp/checked"; echo "0 passed, 1 failed, 0 skipped"; exit 1; }
sed -n '$p' "$tmp/checked"
for kind in numbers maps hopper 'ops bf16' 'parity one_head bfloat16' 'train odd' 'bench odd' 'step mma' 'tune odd'; do
    check "it has $kind" grep -q "^$kind " $KIT/kit.txt
done

# ---- carried to a machine that has a driver's tools and nothing to build with ----------------------

mkdir -p "$tmp/there/build" "$tmp/bin" "$tmp/there/tests/bench"
git ls-files -z tests/cuda/gpu tests/bench/peer_torch.py tests/bench/peer_model.py | xargs -0 cp --parents -t "$tmp/there"
cp $KIT.tar.gz "$tmp/there/build/"
for folder in /usr/bin /bin; do
    for program in "$folder"/*; do
        case ${program##*/} in lua* | nvcc | gcc | cc | g++ | make) ;; *) ln -sf "$program" "$tmp/bin/" 2>/dev/null ;; esac
    done
done
cat >"$tmp/bin/nvidia-smi" <<'END'
#!/bin/sh
case "$*" in
    *gpu=name,*) printf 'name, driver_version, memory.total [MiB], power.limit [W], clocks.max.sm [MHz]\nNone, 0, 0, 0, 0\n' ;;
    *gpu=name*) echo 'No device at all' ;;
    *compute_cap*) echo 9.0 ;;
    *) echo '[N/A]' ;;
esac
END
chmod +x "$tmp/bin/nvidia-smi"
libraries=$(dirname "$(find -L /usr/local/cuda/ /usr/lib -name 'libcublasLt.so' 2>/dev/null | head -n 1)")
there() { # script, arguments
    (cd "$tmp/there" && PATH=$tmp/bin LD_LIBRARY_PATH=$libraries "$@") >"$tmp/log" 2>&1 </dev/null
    code=$?
}
# Checks that a line of the report is FAILED because a program ran and found no device.
finds_none() { # name
    grep -A 12 "^ *[0-9]* s  FAILED   $1: " "$tmp/log" | grep -qiE 'no NVIDIA driver|no CUDA-capable device|insufficient|NoDevice|InsufficientDriver'
}

there tests/cuda/gpu/check.sh out
check "check.sh ends with 1" test $code = 1
for name in numbers maps 'hopper products' 'hopper attention-64' 'ops bf16 bias' 'ops bf16 layernorm' \
    'parity one_head bfloat16' 'train odd'; do
    check "check.sh starts $name" finds_none "$name"
done
check "and nothing passes" grep -q '^0 passed, ' "$tmp/log"
there tests/cuda/gpu/bench.sh odd out
check "bench.sh ends with 1" test $code = 1
check "bench.sh starts bench" grep -q 'heuristic products: does not fit: GPU: no NVIDIA driver' "$tmp/log"
check "and says so" grep -q 'no candidate counts' "$tmp/log"
check "the tune of the kit starts" sh -c "cd '$tmp/there' && LD_LIBRARY_PATH=$libraries $KIT/bench/odd-0-mma/tune; [ \$? = 71 ]"
cd "$home" || exit 74
finish
