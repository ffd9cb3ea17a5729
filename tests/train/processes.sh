# processes.sh: what tests of ranks do to the processes of a job.
# shellcheck shell=sh

process_of() { # trainer, folder of its run, rank
    grep -lzxE "(OMPI_COMM_WORLD|PMI)_RANK=$3" /proc/[0-9]*/environ 2>/dev/null | while read -r file; do
        process=${file%/environ}
        if tr '\0' ' ' 2>/dev/null <"$process/cmdline" | grep -q "^$1 .*--out_dir=$2 "; then
            echo "${process#/proc/}"
        fi
    done
}

# Closes all TCP sockets of a process from outside, and prints how many: by `ss -K`, which takes root and a kernel with
# CONFIG_INET_DIAG_DESTROY. Ranks of one machine talk by them with this in Open MPI's environment.
# shellcheck disable=SC2034 # tests use it
by_tcp="OMPI_MCA_pml=ob1 OMPI_MCA_btl=tcp,self OMPI_MCA_btl_tcp_if_include=lo"
close_sockets() { # process
    ss -tnp 2>/dev/null | grep "pid=$1," | awk '{ sub(/.*:/, "", $4); print $4 }' | while read -r port; do
        ss -K -tn "sport = :$port" 2>/dev/null
    done | grep -c ESTAB
}
