#!/bin/sh
# test_ranks.sh: a trainer of several processes: 1, 2, 4 and 8 ranks come to the bytes of one process, with
# moments everywhere or shared out, also through a kill and a stop with other numbers of ranks in between; a
# rank that is killed or stopped, or whose sockets are closed, ends the job with one line; what cannot work
# together is refused. Skipped without Open MPI's mpirun and mpicc.
# shares: resume
set -u
cd "$(dirname "$0")/../.." || exit 74
if ! gen/tools/setup.sh --check ranks >/dev/null 2>&1; then
    echo "test_ranks: skipped: mpirun or mpicc is missing; gen/tools/setup.sh ranks installs them"
    exit 77
fi
. tests/check.sh
. tests/train/processes.sh
export DIECAST_PROCESSORS=4 # so that every machine runs as many threads as are asked for
export RANKS_BIND=none      # another test may run beside this one
unset OMP_NUM_THREADS

data_set fox
make build build/limits CONFIG=tests/train/resume.lua PROGRAMS=train >"$tmp/log" 2>&1 &&
    make build CONFIG=tests/train/resume.lua RANKS=4 PROGRAMS=train >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }

one=build/resume/cpu/train
many=build/resume/cpu-mpi/train
flags="--data_dir=$tmp --gradient_accumulation_steps=8 --eval_interval=10 --eval_iters=5 --log_interval=1"
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
    runtime/ranks/start.sh "$number" "$many" $flags --out_dir="$tmp/$out" "$@" >"$tmp/$out.log" 2>&1
}
steps() { # of a run, so far
    if [ -f "$tmp/$1/metrics.jsonl" ]; then grep -c grad_norm "$tmp/$1/metrics.jsonl"; else echo 0; fi
}
# Starts a job and, after so many steps of the run, sends a signal to rank 1, or to what started it, or closes
# the rank's sockets; its exit code in code.
interrupted() { # number, folder, steps, signal, whom, flags
    number=$1 folder=$2 after=$3 name=$4 whom=$5
    shift 5
    # shellcheck disable=SC2086
    timeout -k 20 300 runtime/ranks/start.sh "$number" "$many" $flags --out_dir="$tmp/$folder" --max_iters=1000000 "$@" \
        >"$tmp/$folder.log" 2>&1 &
    starter=$!
    waited=0
    while [ "$(steps "$folder")" -lt "$after" ] && [ $waited -lt 1200 ]; do
        sleep 0.05
        waited=$((waited + 1))
    done
    pid=$(process_of "$many" "$tmp/$folder" 1)
    closed=
    case $name-$whom in
        SOCKET-*)
            closed=$(close_sockets "$pid")
            [ "$closed" != 0 ] || kill -TERM $starter
            ;;
        *-rank) kill -"$name" "$pid" ;;
        *) kill -"$name" $starter ;;
    esac
    wait $starter
    code=$?
}
same_run() { # as one process's, or another's
    other=$tmp/${2:-alone}
    cmp "$other/state.safetensors" "$tmp/$1/state.safetensors" &&
        cmp "$other/ckpt.safetensors" "$tmp/$1/ckpt.safetensors" &&
        untimed "$other/metrics.jsonl" >"$tmp/a" && untimed "$tmp/$1/metrics.jsonl" >"$tmp/b" &&
        cmp "$tmp/a" "$tmp/b"
}
says() { # folder, pattern
    grep -q "$2" "$tmp/$1.log"
}
fails() { # code, command...
    wanted=$1
    shift
    "$@"
    [ $? = "$wanted" ]
}

check "one process, eight groups" alone alone --reduce_groups=8 --max_iters=60
check "one process, one group" alone plain --max_iters=60
check "groups are another order of sums" fails 1 cmp -s "$tmp/plain/state.safetensors" "$tmp/alone/state.safetensors"
check "one rank" ranks 1 rank1 --reduce_groups=8 --max_iters=60 --zero=1
check "comes to the same bytes" same_run rank1
for job in 2:0:true 4:0:false 8:0:true 2:1:true 4:1:true 8:1:false; do
    n=${job%%:*} zero=${job#*:} overlap=${job##*:}
    zero=${zero%:*}
    check "$n ranks, zero=$zero overlap=$overlap" ranks "$n" "rank$n-$zero" --max_iters=60 --zero="$zero" --overlap="$overlap"
    check "come to the same bytes" same_run "rank$n-$zero"
    check "rank 0 alone prints" test "$(grep -c "^iter 7:" "$tmp/rank$n-$zero.log")" = 1
done
printf '# machines\nlocalhost slots=4\n' >"$tmp/hosts"
check "two ranks on the machines of a file" env HOSTS="$tmp/hosts" runtime/ranks/start.sh 2 "$many" $flags \
    --out_dir="$tmp/hosts2" --max_iters=60
check "come to the same bytes" same_run hosts2
echo "# none" >"$tmp/hosts"
check "a file without machines is refused" fails 65 env HOSTS="$tmp/hosts" runtime/ranks/start.sh 2 "$many"
check "what travels behind computation is said" says rank2-0 "^ranks: of .* while it computes$"
check "two groups of four, whose last one travels as it is made" alone four --reduce_groups=2 --max_iters=12
for zero in 0 1; do
    check "on two ranks, zero=$zero" ranks 2 four-$zero --max_iters=12 --reduce_groups=2 --zero=$zero --overlap=true
    check "come to the same bytes" same_run four-$zero four
done
check "a line says what a rank has" says rank4-1 "^zero: .* 8 + 8/4 = 10 bytes a parameter, not 16;"

interrupted 4 chain 10 KILL rank --checkpoint_interval=4 --zero=1
check "a killed rank ends the job with 74" test "$code" = 74
check "and a line says which" says chain "^ranks: rank 1 on .* was ended by signal 9 Killed behind iteration"
first=$(steps chain)
interrupted 2 chain $((first + 10)) TERM starter
check "SIGTERM to what started the ranks ends with 75" test "$code" = 75
first=$(steps chain)
interrupted 8 chain $((first + 10)) USR1 rank --zero=1
check "so does SIGUSR1 to one rank" test "$code" = 75
first=$(steps chain)
interrupted 2 chain $((first + 10)) STOP rank --comm_timeout=2 --checkpoint_interval=1
check "a rank that is not heard of ends the job with 74" test "$code" = 74
check "and a line says which" says chain "^ranks: rank 1 on .* has not been heard of for 2 s: iteration "
first=$(steps chain)
for setting in $by_tcp; do export "${setting?}"; done
interrupted 4 chain $((first + 10)) SOCKET rank --comm_timeout=2 --checkpoint_interval=1
for setting in $by_tcp; do unset "${setting%%=*}"; done
if [ "$closed" = 0 ]; then
    echo "test_ranks: closed sockets are skipped: ss -K closes none here; it takes root, iproute2 and a kernel that does"
    skipped=$((skipped + 1))
else
    check "a rank whose sockets are closed ends the job with 74" test "$code" = 74
    check "and a line says which" says chain "^ranks: .*rank [0-3] on .*; the job ends, and the same command goes on"
fi
last=$(($(steps chain) + 5))
check "one process goes on to the end" alone chain --max_iters=$last
check "one process straight through" alone straight --reduce_groups=8 --max_iters=$last
check "come to the same bytes" same_run chain straight

figures() { # of a run's first steps: loss and gradient norm
    sed -n 's/.*"loss":\([^,]*\),.*"grad_norm":\([^,]*\),.*/\1 \2/p' "$tmp/$1/metrics.jsonl" | head -n 5
}
near() { # two runs, within 1e-6
    figures "$1" >"$tmp/a"
    figures "$2" >"$tmp/b"
    paste -d ' ' "$tmp/a" "$tmp/b" | awk '
        function far(a, b) { return (a > b ? a - b : b - a) > 1e-6 * b }
        far($1, $3) || far($2, $4) { bad = 1 }
        END { exit bad || NR != 5 }'
}
muon() { # on one process and on four
    make build CONFIG=tests/train/resume.lua SET=optimizer=muon PROGRAMS=train &&
        make build CONFIG=tests/train/resume.lua SET=optimizer=muon RANKS=4 PROGRAMS=train || return
    one=build/resume-optimizer@muon/cpu/train
    many=build/resume-optimizer@muon/cpu-mpi/train
    alone muon --reduce_groups=8 --max_iters=12 && ranks 4 muon-0 --max_iters=12 --overlap=true && ranks 4 muon-1 --max_iters=12 --zero=1 --overlap=true
    code=$?
    one=build/resume/cpu/train
    many=build/resume/cpu-mpi/train
    return $code
}
check "Muon" muon
check "comes to the same bytes" same_run muon-0 muon
check "and so where ranks update whole matrices" same_run muon-1 muon

check "six micro-steps of one process" alone six --gradient_accumulation_steps=6 --max_iters=5
check "on three ranks, added by the library" ranks 3 fast --gradient_accumulation_steps=6 --reduce=fast --max_iters=5
check "a line says so" says fast "^gradients add in the order of the library"
check "come near the same figures" near fast six
check "also where each updates its share" ranks 3 shared --gradient_accumulation_steps=6 --reduce=fast --max_iters=5 --zero=1 --overlap=true
check "come near the same figures" near shared six
check "the state says how gradients add" grep -aq 'reduce=fast' "$tmp/fast/state.safetensors"
check "and only if it is not exactly" fails 1 grep -aq 'reduce=' "$tmp/rank2-0/state.safetensors"

beside_one() { tests/bench/ranks.sh 2 "$one" "$many" --rounds=1 --steps=2 | grep -E '^efficiency  *[0-9.]+ \('; }
check "ranks are timed beside one process" beside_one
check "three ranks cannot share eight micro-steps" fails 64 ranks 3 other
check "a line says what would do" says other "gradient_accumulation_steps = 8 is of the whole job.*; 6 or 9 would do"
check "nor two one group" fails 64 ranks 2 plain --max_iters=70
check "a line says so" says plain "reduce_groups = 1: 2 ranks do not divide the groups.*or with reduce=fast"
different() { # ranks with different settings
    OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 mpirun --oversubscribe \
        -n 1 "$many" --data_dir="$tmp" --out_dir="$tmp/other" : \
        -n 1 "$many" --data_dir="$tmp" --out_dir="$tmp/other" --seed=2 >"$tmp/other.log" 2>&1
}
check "other settings" fails 64 different
check "are named" says other "^ranks: rank 1 on .* has settings of hash"
export SLURM_NTASKS=2
check "a trainer for one process is none of several" fails 64 alone other
check "a line says so" says other "^SLURM_NTASKS=2: one of several processes"
finish
