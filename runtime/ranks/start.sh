#!/bin/sh
# start.sh: starts a trainer as many ranks, by Open MPI's mpirun or MPICH's, on this machine or several.
#
#     [MPI=mpich] [HOSTS=FILE] runtime/ranks/start.sh RANKS build/NAME/cpu-mpi/train [--key=value ...]
#
# A trainer on GPUs, build/NAME/cuda-nccl/train, knows by the launcher's variables which rank it is, and gets the
# address and a free port of rank 0 besides.
#
# The threads that may run here are shared out; other machines are taken to be like this one. Ctrl-C, SIGTERM or
# SIGHUP reach the ranks as SIGUSR1, at which all stop after the same step: on a terminal's Ctrl-C mpirun itself
# would end them before they have saved a state, so it runs in a session of its own. A second one ends all at
# once. Exit codes are the trainer's; 74 if a rank was killed.
set -u
ranks=$1
shift
for word; do
    case $word in --out_dir=*) out=${word#*=} ;; esac
done

hosts=1
if [ -n "${HOSTS-}" ]; then
    hosts=$(awk '$1 !~ /^(#|$)/ { sub(/:.*/, "", $1); if (!seen[$1]++) n++ } END { print n + 0 }' "$HOSTS") || exit 66
    [ "$hosts" -gt 0 ] || { echo "$HOSTS: names no machine; give a file with a machine's name on each line" >&2; exit 65; }
    echo "ranks on $hosts of $HOSTS: each machine needs the same MPI, ssh to it without a password, and at"
    echo "    $PWD"
    echo "    this clone's $1 and the data, shared or copied; the first machine writes ${out-the run}"
fi
each=$(((ranks + hosts - 1) / hosts)) # on one machine
most=$(build/limits | head -n 1)
threads=$((most / each))
bind=none
[ $threads -lt 1 ] || [ "${RANKS_BIND-}" = none ] || bind=core
[ $threads -ge 1 ] || threads=1
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-$threads}"

export_master=
case $1 in
    */cuda-nccl/*)
        export MASTER_PORT="${MASTER_PORT:-$((20000 + $$ % 10000))}"
        [ -z "${HOSTS-}" ] || export MASTER_ADDR="${MASTER_ADDR:-$(awk '$1 !~ /^(#|$)/ { sub(/:.*/, "", $1); print $1; exit }' "$HOSTS")}"
        export_master='-x MASTER_ADDR -x MASTER_PORT'
        ;;
esac

if [ "${MPI-}" = mpich ]; then
    mpirun=mpirun.mpich
    [ $bind = none ] || bind=core:$threads
    set -- -bind-to $bind "$@"
    [ -z "${HOSTS-}" ] || set -- -f "$HOSTS" -ppn $each "$@"
else
    mpirun=mpirun
    if [ $bind = none ]; then set -- --oversubscribe "$@"; fi
    if [ -n "${HOSTS-}" ]; then
        # shellcheck disable=SC2086 # words
        set -- --hostfile "$HOSTS" -x OMP_NUM_THREADS $export_master --map-by ppr:$each:node$([ $bind = none ] || echo ":PE=$threads") "$@"
    elif [ $bind != none ]; then
        set -- --map-by slot:PE=$threads "$@"
    fi
    set -- --bind-to $bind "$@"
fi
if [ "$(id -u)" = 0 ]; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi

said=$(mktemp -d) || exit 74
trap 'rm -rf "$said"' EXIT
mkfifo "$said/output" "$said/errors" || exit 74

asked=
ask() { # the first signal asks for a stop, a later one ends all
    now=$(date +%s)
    if [ -z "$asked" ]; then
        asked=$now
        kill -USR1 "$launcher" 2>/dev/null
    elif [ $((now - asked)) -ge 2 ]; then
        kill -TERM "$launcher" 2>/dev/null
    fi
}

# Where a rank has said that it misses another one, mpirun may wait for ever for a machine that cannot be reached.
ends=
end() { # ends mpirun, and behind it all that it has started on this machine
    [ -z "$ends" ] || return
    kill -TERM "$launcher" 2>/dev/null
    { sleep 2 && kill_session; } &
    ends=$!
}
kill_session() {
    for process in /proc/[0-9]*; do
        { read -r stat <"$process/stat"; } 2>/dev/null || continue
        # shellcheck disable=SC2086 # its fields: state, parent, group, session
        set -- ${stat##*) }
        [ "$4" != "$launcher" ] || kill -KILL "${process#/proc/}" 2>/dev/null
    done
}

# Boxes about ranks that ended are left out, since these have said why; of one that was killed, who it was is
# kept. All else passes, at once, which mawk would not do. MPICH's box is in the output, Open MPI's among the errors.
pass_output() {
    trap '' INT TERM HUP USR1 # a closed terminal tells all of its group, and the ranks have more to say
    while IFS= read -r line || [ -n "$line" ]; do
        case $line in
            "=   PID "*" RUNNING AT "*)
                who=${line#=   PID }
                who="process ${who%% *} on ${who##* }"
                ;;
            "=   "* | "This typically refers to a problem with your application." | \
                "Please see the FAQ page for debugging suggestions") ;;
            "YOUR APPLICATION TERMINATED WITH THE EXIT STRING: "*"(signal "*)
                line=${line#*: }
                number=${line##*signal }
                echo "a rank, $who, was ended by signal ${number%)} ${line%% (*}" >"$said/lost"
                ;;
            *[!=]* | "")
                case $line in "stopped before iteration "*"; "*) : >"$said/stopped" ;; esac
                printf '%s\n' "$line"
                ;;
        esac
    done
}
pass_errors() {
    trap '' INT TERM HUP USR1
    inside='' box='' missed=''
    while IFS= read -r line || [ -n "$line" ]; do
        case $line in
            "mpirun noticed that process rank "*)
                # shellcheck disable=SC2086 # its words
                set -- $line
                name=${17-}
                name=${name#(}
                echo "rank $6 on ${12} was ended by signal ${16} ${name%).}" >"$said/lost"
                ;;
            \[*]\[\[*,*],*]\[*"failed: "*) # [host][[job,1],rank][file:line:function] what; Open MPI then ends the job itself
                host=${line#\[} rank=${line#*\],}
                [ -f "$said/network" ] ||
                    echo "the network failed rank ${rank%%]*} on ${host%%]*}, ${line##*] }" >"$said/network"
                continue
                ;;
            \[*:*]\ * | \[*]\[\[*,*],*]\[*) [ ! -f "$said/network" ] || continue ;; # what came of it
            *"ranks: rank "*" has not been heard of for "* | *"ranks: MPI_"*" failed: "*)
                [ -z "$missed" ] || continue # who says it first is enough
                missed=1
                kill -USR2 $$
                ;;
        esac
        case $line in
            "mpirun: Forwarding signal 10 to job") ;;
            *[!-]* | '' | - | -- | --- | ----)
                if [ -n "$inside" ]; then box=$box$line$newline; else printf '%s\n' "$line"; fi ;;
            *) # a box's first or last line
                case $box in
                    *"process returned${newline}a non-zero"* | *"exited with non-zero status"* | \
                        *"noticed that process rank"* | *"MPI_ABORT was invoked"* | \
                        *"peer process has unexpectedly disconnected"* | *"failed to TCP connect to a peer"*) ;;
                    *) printf '%s' "$box" ;;
                esac
                box=''
                if [ -z "$inside" ]; then inside=1; else inside=''; fi ;;
        esac
    done
    printf '%s' "$box"
}
newline='
'
pass_output <"$said/output" &
output=$!
pass_errors <"$said/errors" >&2 &
errors=$!
setsid $mpirun -n "$ranks" "$@" </dev/null >"$said/output" 2>"$said/errors" &
launcher=$!
trap ask INT TERM HUP USR1
trap end USR2
while :; do
    wait $launcher 2>/dev/null # a shell may say that it was killed
    code=$?
    kill -0 $launcher 2>/dev/null || break
done
trap '' INT TERM HUP USR1 USR2
if [ -n "$ends" ]; then
    kill $ends
    kill_session
    code=74
fi
wait $output $errors
# Behind a signal MPICH's says 0 now and then, though all ranks have ended with 75.
[ $code != 0 ] || [ ! -f "$said/stopped" ] || code=75
if [ -f "$said/network" ] && [ ! -f "$said/lost" ] && [ -z "$ends" ]; then
    case $code in 0 | 75) ;; *) mv "$said/network" "$said/lost" ;; esac
fi
if [ -s "$said/lost" ]; then
    last=$(tail -n 1 "${out-}/metrics.jsonl" 2>/dev/null | sed -n 's/^{"iter":\([0-9]*\),.*/ behind iteration \1/p')
    echo "ranks: $(cat "$said/lost")$last; the job ends, and the same command goes on from the last state" >&2
    code=74
fi
exit $code
