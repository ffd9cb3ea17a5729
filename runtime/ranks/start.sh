#!/bin/sh
# start.sh: starts a trainer as many ranks on this machine, by Open MPI's mpirun.
#
#     runtime/ranks/start.sh RANKS build/NAME/cpu-mpi/train [--key=value ...]
#
# The threads that may run here are shared out. Ctrl-C, SIGTERM or SIGHUP reach the ranks as SIGUSR1,
# at which all stop after the same step: on a terminal's Ctrl-C mpirun itself would end them before
# they have saved a state, so it runs in a session of its own. A second one ends all at once. Exit
# codes are the trainer's; 74 if a rank was killed.
set -u
ranks=$1
shift

most=$(build/limits | head -n 1)
threads=$((most / ranks))
options="-n $ranks"
if [ $threads -ge 1 ] && [ "${RANKS_BIND-}" != none ]; then
    options="$options --map-by slot:PE=$threads --bind-to core"
else
    options="$options --oversubscribe --bind-to none"
fi
[ $threads -ge 1 ] || threads=1
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-$threads}"
if [ "$(id -u)" = 0 ]; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi

said=$(mktemp -d) || exit 74
trap 'rm -rf "$said"' EXIT
mkfifo "$said/errors" || exit 74

asked=
ask() { # the first signal asks for a stop, a later one ends all
    now=$(date +%s)
    if [ -z "$asked" ]; then
        asked=$now
        kill -USR1 "$mpirun" 2>/dev/null
    elif [ $((now - asked)) -ge 2 ]; then
        kill -TERM "$mpirun" 2>/dev/null
    fi
}

# mpirun's boxes about ranks that ended are left out, since they have said why; of one that was killed,
# who it was is kept. All else passes.
awk -v lost="$said/lost" '
    /^-----+$/ {
        if (!inside) { inside = 1; box = ""; next }
        inside = 0
        if (box !~ /process returned\na non-zero|exited with non-zero status|noticed that process rank|MPI_ABORT was invoked/)
            { printf "%s", box; fflush() }
        next
    }
    /^mpirun noticed that process rank [0-9]+ with PID [0-9]+ on node / {
        gsub(/[().]/, ""); print "rank " $6 " on " $12 " was ended by signal " $16 " " $17 >lost; close(lost) }
    /^mpirun: Forwarding signal 10 to job$/ { next }
    inside { box = box $0 "\n"; next }
    { print; fflush() }
    END { if (inside) printf "%s", box }' <"$said/errors" >&2 &
reader=$!
# shellcheck disable=SC2086 # a list of options
setsid mpirun $options "$@" </dev/null 2>"$said/errors" &
mpirun=$!
trap ask INT TERM HUP USR1
while :; do
    wait $mpirun
    code=$?
    kill -0 $mpirun 2>/dev/null || break
done
wait $reader
if [ -s "$said/lost" ]; then
    for word; do
        case $word in --out_dir=*) out=${word#*=} ;; esac
    done
    last=$(tail -n 1 "${out-}/metrics.jsonl" 2>/dev/null | sed -n 's/^{"iter":\([0-9]*\),.*/ behind iteration \1/p')
    echo "ranks: $(cat "$said/lost")$last; the job ends, and the same command goes on from the last state" >&2
    code=74
fi
exit $code
