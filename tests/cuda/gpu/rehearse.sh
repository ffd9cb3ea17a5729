#!/usr/bin/env bash
# rehearse.sh [all | FAULT ...]: `make gpu-rehearsal`: pass.sh without a GPU. The kit is built for the emulator, with few
# ops and small models, and pass.sh runs on it, where all but speed is real: with correct kernels every line is ok or says
# what this machine lacks; with a planted fault exactly the lines that should notice it are FAILED, and the rest still
# runs. Correct kernels first, then the named faults, or all ten. Works in a copy of the tree, build/rehearsal/tree;
# pass.sh's output for each is in build/rehearsal/NAME.txt. FAMILIES, ROWS, TRAINERS and HOPPER_CASES reduce the kit (kit.sh).
set -euo pipefail
cd "$(dirname "$0")/../../.."
unset MAKEFLAGS MAKELEVEL
home=$PWD/build/rehearsal
tree=$home/tree
passed=0
failed=0

# ---- the tree, its kit, and the made-up machine ---------------------------------------------------

export EMULATED=1 EMULATOR_ARCH=90 EMULATOR_MEMORY=1024
export TYPES="bf16 bf16:hopper" FAMILIES="${FAMILIES-attention bias layernorm}" GOLDENS=heads64 DTYPES=bfloat16 \
    ROWS="${ROWS-16384}" TRAINERS="${TRAINERS-small}" CONFIGS=tests/cuda/gpu/rehearsal.lua STEP=rehearsal:0 BENCH_SET=''
export HOPPER_CASES="${HOPPER_CASES-bf16:2,200,2,64,7,3 bf16:1,300,3,64,0,3 bf16:1,200,1,128,0,3
    bf16:1,300,2,128,7,3 f16:1,200,2,64,7,3 f16:1,300,1,128,0,3}"
# A busy machine may take long; only a case that hangs costs 20 s.
export KIT=build/gpu-kit-emulated PATIENCE=300 AT_ONCE=2 CK_TIMEOUT_MULTIPLIER=0.17

mkdir -p "$tree" "$home/bin"
git ls-files -z | while IFS= read -r -d '' file; do # unchanged files keep their times, so that builds are kept
    cmp -s "$file" "$tree/$file" || cp --parents "$file" "$tree"
done
# Sources that an earlier tree had and this one has not.
rooms='configs gen runtime templates tests'
# shellcheck disable=SC2086 # a word each
LC_ALL=C comm -13 <(git ls-files $rooms | LC_ALL=C sort) <(cd "$tree" && find $rooms -type f | LC_ALL=C sort) |
    while IFS= read -r file; do rm "$tree/$file"; done
cat >"$home/bin/nvidia-smi" <<'END'
#!/bin/sh
# A device that answers what is needed, and nothing about its memory.
case "$*" in
    *-lms*) while :; do echo "1500, 2000, 400.5, 50, 99"; sleep 0.5; done ;;
    *gpu=name,*) echo 'name, driver_version, memory.total [MiB], power.limit [W], clocks.max.sm [MHz]'
        echo 'NVIDIA Emulated, 999.1, 1024, 700.00, 1980' ;;
    *gpu=name*) echo 'NVIDIA Emulated' ;;
    *compute_cap*) echo 9.0 ;;
    *driver_version*) echo 999.1 ;;
    *) echo '[N/A]' ;;
esac
END
# These tools cannot run emulated programs.
for tool in ncu compute-sanitizer; do printf '#!/bin/sh\necho "==ERROR== unable to profile"; exit 1\n' >"$home/bin/$tool"; done
chmod +x "$home/bin/"*
PATH=$home/bin:$PATH

rehearse() { # name: builds what has changed, runs pass.sh
    local code=0
    (cd "$tree" && tests/cuda/gpu/kit.sh) >"$home/$1.kit" 2>&1 || {
        tail -n 30 "$home/$1.kit"
        echo "rehearsal $1: the kit was not built"
        return 1
    }
    rm -rf "$home/out"
    (cd "$tree" && tests/cuda/gpu/pass.sh "$home/out") >"$home/$1.log" 2>&1 || code=$?
    cp "$home/out/pass.txt" "$home/$1.txt"
    [ $code -le 1 ] || echo "rehearsal $1: pass.sh ended with $code"
    [ $code -le 1 ]
}

# ---- expectations ---------------------------------------------------------------------------------

names() { # status, run: the names of lines with this status
    sed -nE "s/^ *[0-9]+ s  $1 +([^:]*):.*/\1/p" "$home/$2.txt" | LC_ALL=C sort -u
}
# Compares the FAILED lines with those that should be, and the others with the run with correct kernels: they must be
# there, and ok if they were. A trainer that dies has one line instead of three; steps of wrong kernels are skipped.
judge() { # name; the wanted names on stdin, one a line
    local name=$1 well=yes at=$home/$1
    LC_ALL=C sort | LC_ALL=C comm -12 - "$home/sound.names" >"$at.wanted"
    names FAILED "$name" >"$at.failed"
    diff "$at.wanted" "$at.failed" >"$at.diff" || {
        well=
        echo "rehearsal $name: FAILED lines, wanted (<) and seen (>):"
        cat "$at.diff"
    }
    {
        names ok "$name"
        names skipped "$name" | sed -n '/^step /p'
        cat "$at.wanted"
        sed -n 's/^train [^ ]*$/& losses\n& twice\n& resume/p' "$at.wanted"
    } | LC_ALL=C sort -u >"$at.there"
    names ok sound | LC_ALL=C comm -23 - "$at.there" >"$at.missing"
    [ ! -s "$at.missing" ] || {
        well=
        echo "rehearsal $name: these are not ok, as with sound kernels:"
        cat "$at.missing"
    }
    if [ $well ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
    echo "rehearsal $name: $(wc -l <"$at.failed") FAILED, $(names ok "$name" | wc -l) ok," \
        "$(names skipped "$name" | wc -l) skipped${well:+, as wanted}"
}

# Plants a fault, runs, and removes it. The text must be there, once or more.
fault() { # name, file, from, to; the names that have to fail on stdin
    local name=$1 file=$tree/$2
    FROM=$3 TO=$4 perl -0pi -e 's/\Q$ENV{FROM}\E/$ENV{TO}/g' "$file"
    if cmp -s "$2" "$file"; then
        echo "rehearsal $name: $2 has no '$3'"
        failed=$((failed + 1))
    elif rehearse "$name"; then
        judge "$name"
    else
        failed=$((failed + 1))
    fi
    cp "$2" "$file" # newer than what was built from the fault
}

# ---- ten faults -----------------------------------------------------------------------------------

hopper=templates/cuda/attention_hopper
mma=templates/cuda/attention # heads of other sizes than 64 and 128 use these kernels even with Hopper's
# The lines that notice a fault in all of Hopper's attention in bfloat16.
all_hopper='hopper attention-128
hopper attention-128-f16
hopper attention-64
hopper attention-64-f16
ops bf16-hopper attention
parity heads64-hopper bfloat16'

plant() { # name
    case $1 in
        zeros) # Hopper's forward stores zeros: the loss falls all the same
            fault $1 ${hopper}_forward.cu 'pack2<elem>(sums[i] * factor[r], sums[i + 1] * factor[r])' \
                'pack2<elem>(0.0f * factor[r], 0.0f)' <<END
$all_hopper
train small-hopper losses
END
            ;;
        parity) # the backward's loads wait for the other phase of their stage
            fault $1 ${hopper}_backward.cu 'mbarrier_wait(&s->empty[stage], used / 2 % 2 ^ 1);' \
                'mbarrier_wait(&s->empty[stage], used / 2 % 2);' <<END
$all_hopper
train small-hopper
END
            ;;
        descriptor) # the keys' second box is read where the queries' is: only with heads of 128
            fault $1 ${hopper}_backward.cu 'wgmma_step(a, box * 128 * 128 + within)' \
                'wgmma_step(a, box * $(ROWS) * 128 + within)' <<END
hopper attention-128
hopper attention-128-f16
ops bf16-hopper attention
END
            ;;
        tail) # mma's forward leaves out the queries after the last whole tile
            fault $1 ${mma}_forward.cu $'BLOCKS = (T + QUERIES - 1) / QUERIES;\n    // Q, then' \
                $'BLOCKS = T > QUERIES ? T / QUERIES : 1;\n    // Q, then' <<END
ops bf16 attention
ops bf16-hopper attention
parity heads64 bfloat16
train small-mma
END
            ;;
        hang) # a kernel of one shape never ends
            fault $1 templates/cuda/bias.cu '    vec_store(&shared[warp][lane * VEC], sum);' \
                $'    //$ if k.d.N == 13 then
    while (*(volatile float *)workspace != 1.0f) {
    }
    //$ end
    vec_store(&shared[warp][lane * VEC], sum);' <<END
ops bf16 bias
END
            ;;
        crash) # a kernel of one shape writes outside of its memory
            fault $1 templates/cuda/bias.cu '    vec_store(&shared[warp][lane * VEC], sum);' \
                $'    //$ if k.d.N == 7 then
    *(volatile int *)(size_t)(lane + 1) = 1;
    //$ end
    vec_store(&shared[warp][lane * VEC], sum);' <<END
ops bf16 bias
END
            ;;
        nan) # one row's mean is a NaN, in a model that is compared with PyTorch
            fault $1 templates/cuda/layernorm.cu 'mu[a] = warp_sum(sum) / C;' \
                'mu[a] = warp_sum(sum) / C $(k.d.N == 600 and "+ (first + a == 599 ? NAN : 0.0f)" or "");' <<END
parity heads64 bfloat16
parity heads64-hopper bfloat16
END
            ;;
        dropout) # mma's backward draws another mask than its forward
            fault $1 ${mma}_backward.cu 'dropout_draw(&drop, site, chunk * 16 + 4 * (warp % 4) + g % 4);' \
                'dropout_draw(&drop, site, chunk * 16 + 4 * (warp % 4) + (g + 1) % 4);' <<END
ops bf16 attention
ops bf16-hopper attention
END
            ;;
        race) # the harness does not wait for its copies to the device
            fault $1 tests/ops/backend_cuda.c 'CUDA_CHECK(cudaDeviceSynchronize());' '' <<END
ops bf16 attention
ops bf16 bias
ops bf16 layernorm
ops bf16-hopper attention
END
            ;;
        idle) # the timed step's attention only fills y with zeros
            fault $1 ${hopper}_forward.cu $'    LAUNCH($(k.name), int_min($(k.d.sms), B * H * divide_up(T, 128)), 384,
           sizeof(struct $(k.part.shared)), gpu->stream, $(maps));' \
                $'    //$ if k.d.T == 232 then
    cudaMemsetAsync(y, 0, (size_t)N * C_LD * sizeof *y, gpu->stream);
    //$ if k.uses.lse then
    cudaMemsetAsync(lse, 0, (size_t)H * N * sizeof *lse, gpu->stream);
    //$ end
    //$ else
    LAUNCH($(k.name), int_min($(k.d.sms), B * H * divide_up(T, 128)), 384,
           sizeof(struct $(k.part.shared)), gpu->stream, $(maps));
    //$ end' <<END
step hopper
step hopper-16384
END
            ;;
        *)
            echo "rehearsal: there is no fault '$1'; there are: $all" >&2
            exit 64
            ;;
    esac
}

all='zeros parity descriptor tail hang crash nan dropout race idle'
[ "${1-}" != all ] || eval "set -- $all"
rehearse sound || exit 1
# Of the lines that should notice a fault, those that this kit has; and a trainer's own line, if it dies.
{ names ok sound; names FAILED sound; names ok sound | sed -n 's/^\(train .*\) losses$/\1/p'; } | LC_ALL=C sort -u >"$home/sound.names"
judge sound </dev/null
for name; do plant "$name"; done
echo "$passed passed, $failed failed, 0 skipped"
[ $failed = 0 ]
