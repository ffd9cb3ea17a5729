#!/bin/sh
# test_nccl.sh: a CUDA trainer of several processes on the emulated device, whose NCCL goes through MPI: 1, 2 and 4
# ranks come to the same bytes where gradients add exactly, and to the same figures where the library adds them; by
# mpirun's variables and by torchrun's; a rank that is killed, stopped or in error ends the job with one line; what
# cannot work together is refused. Needs no GPU and no NCCL. Skipped without Open MPI's mpirun and mpicc.
# shares: resume
set -u
cd "$(dirname "$0")/../.." || exit 74
if ! gen/tools/setup.sh --check ranks >/dev/null 2>&1; then
    echo "test_nccl: skipped: mpirun or mpicc is missing; gen/tools/setup.sh ranks installs them"
    exit 77
fi
. tests/check.sh
export DIECAST_PROCESSORS=4 # so that every machine runs as many threads as are asked for
export RANKS_BIND=none      # another test may run beside this one
unset OMP_NUM_THREADS MASTER_ADDR MASTER_PORT

data_set fox
words="dtype=bfloat16 n_layer=1 n_embd=16 n_head=2 block_size=8 batch_size=1"
for ranks in "" 2; do
    make build build/limits CONFIG=tests/train/resume.lua BACKEND=cuda EMULATED=1 SET="$words" PROGRAMS=train \
        RANKS=$ranks >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }
done
name=build/emulated/resume-$(echo "$words" | tr ' =' '-@')
one=$name/cuda/train
many=$name/cuda-nccl/train
flags="--data_dir=$tmp --gradient_accumulation_steps=4 --eval_interval=4 --eval_iters=3 --log_interval=1"
# shellcheck disable=SC2086 # $flags is a list
alone() { # folder, flags
    out=$1
    shift
    "$one" $flags --out_dir="$tmp/$out" "$@" >"$tmp/$out.log" 2>&1
}
# shellcheck disable=SC2086
ranks() { # number, folder, flags
    number=$1
    out=$2
    shift 2
    timeout -k 20 120 runtime/ranks/start.sh "$number" "$many" $flags --out_dir="$tmp/$out" "$@" >"$tmp/$out.log" 2>&1
    code=$?
    cat "$tmp/$out.log"
    return $code
}
same_run() { # two folders
    cmp "$tmp/$1/state.safetensors" "$tmp/$2/state.safetensors" &&
        cmp "$tmp/$1/ckpt.safetensors" "$tmp/$2/ckpt.safetensors" && same_metrics "$1" "$2"
}
same_metrics() { # two folders
    untimed "$tmp/$1/metrics.jsonl" >"$tmp/a"
    untimed "$tmp/$2/metrics.jsonl" >"$tmp/b"
    cmp "$tmp/a" "$tmp/b"
}
same_tensors() { # two folders, one of which says reduce=fast
    tensors "$tmp/$1/state.safetensors" >"$tmp/a"
    tensors "$tmp/$2/state.safetensors" >"$tmp/b"
    cmp "$tmp/a" "$tmp/b" && same_metrics "$1" "$2"
}
figures() { # loss and gradient norm of each step
    sed -n 's/.*"loss":\([^,]*\),.*"grad_norm":\([^,]*\),.*/\1 \2/p' "$tmp/$1/metrics.jsonl"
}
near() { # two runs of seven steps, within 1e-6
    figures "$1" >"$tmp/a"
    figures "$2" >"$tmp/b"
    paste -d ' ' "$tmp/a" "$tmp/b" | awk '
        function far(a, b) { return (a > b ? a - b : b - a) > 1e-6 * b }
        far($1, $3) || far($2, $4) { bad = 1 }
        END { exit bad || NR != 7 }'
}
fails() { # code, command...
    wanted=$1
    shift
    "$@"
    [ $? = "$wanted" ]
}
says() { # folder, pattern
    grep -q "$2" "$tmp/$1.log"
}

# ---- the same bytes -----------------------------------------------------------------------------------

check "one process" alone alone --max_iters=6
check "one rank, through NCCL" ranks 1 fast1 --max_iters=6
check "a line says that the library adds" says fast1 "^gradients add in the order of the library.*--reduce=exact"
check "comes to the same bytes" same_tensors alone fast1
check "one rank, four groups" ranks 1 exact1 --max_iters=6 --reduce=exact --reduce_groups=4
check "groups are another order of sums" fails 1 cmp -s "$tmp/alone/state.safetensors" "$tmp/exact1/state.safetensors"
for n in 2 4; do
    check "$n ranks, exact" ranks $n exact$n --max_iters=6 --reduce=exact
    check "come to the same bytes" same_run exact1 exact$n
    check "rank 0 alone prints" test "$(grep -c "^iter 5:" "$tmp/exact$n.log")" = 1
done
for n in 2 4; do
    check "$n ranks, exact, moments shared out" ranks $n zero$n --max_iters=6 --reduce=exact --reduce_groups=4 --zero=1
    check "come to the same bytes" same_run exact1 zero$n
done
check "a line says what a rank has" says zero4 "^zero: .* 10 + 8/4 = 12 bytes a parameter, not 18"
check "4 ranks, fast" ranks 4 fast4 --max_iters=6
check "come near the same figures" near alone fast4
check "4 ranks, fast, moments shared out" ranks 4 fast4-zero --max_iters=6 --zero=1
check "come near the same figures" near alone fast4-zero
check "4 ranks, exact, of three steps" ranks 4 chain --max_iters=2 --reduce=exact --zero=1
check "and then 2" ranks 2 chain --max_iters=6 --reduce=exact --init_from=resume --zero=1
check "come to the same bytes" same_run exact1 chain

# ---- torchrun's variables -----------------------------------------------------------------------------

# mpirun stands for torchrun: the emulated NCCL needs it, the trainer takes torchrun's variables first.
cat >"$tmp/torchrun" <<'LAUNCH'
#!/bin/sh
export RANK=$OMPI_COMM_WORLD_RANK WORLD_SIZE=${SIZE:-2} LOCAL_RANK=$OMPI_COMM_WORLD_RANK
export LOCAL_WORLD_SIZE=2 MASTER_ADDR=localhost
exec "$@"
LAUNCH
chmod +x "$tmp/torchrun"
torchrun() { # folder, flags
    out=$1
    shift
    # shellcheck disable=SC2086
    MASTER_PORT=$((20000 + $$ % 10000)) OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 \
        timeout -k 20 300 mpirun --oversubscribe -n 2 "$tmp/torchrun" "$many" $flags --out_dir="$tmp/$out" "$@" >"$tmp/$out.log" 2>&1
    code=$?
    cat "$tmp/$out.log"
    return $code
}
check "by torchrun's variables" torchrun torch --max_iters=6 --reduce=exact --reduce_groups=4
check "come to the same bytes" same_run exact1 torch

# ---- faults -------------------------------------------------------------------------------------------

for fault in kill stop error; do
    export EMULATOR_NCCL_FAULT=1:150:$fault
    check "$fault: ends with 74" fails 74 ranks 2 $fault --max_iters=100000 --comm_timeout=2
    unset EMULATOR_NCCL_FAULT
done
check "one line says who was killed" says kill "^ranks: rank 1 on .* \(was ended by signal 9\|has ended\)"
check "who is not heard of" says stop "^ranks: rank 1 on .* has not been heard of for 2 s: iteration [0-9]*, "
check "what NCCL's error is" says error "^ranks: rank 1: NCCL: remote process exited.*: iteration [0-9]*, "

check "three ranks cannot share four micro-steps" fails 64 ranks 3 other
different() { # ranks with different settings
    MASTER_PORT=$((20000 + $$ % 10000)) OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 \
        mpirun --oversubscribe -n 1 "$many" --data_dir="$tmp" --out_dir="$tmp/other" : \
        -n 1 "$many" --data_dir="$tmp" --out_dir="$tmp/other" --seed=2 >"$tmp/other.log" 2>&1
}
check "other settings" fails 64 different
check "are named" says other "^ranks: rank 1 on .* has settings of hash"
export SIZE=1
check "a rank beyond the job's" fails 64 torchrun other
check "is named" says other "^ranks: RANK=1 is no rank of 1"
unset SIZE
finish
