#!/bin/sh
# test_nan.sh: NaN, infinity or a huge number in weights, moments, gradients or a loss, at any micro-step, or in a file:
# no checkpoint or state has such a value or was made from one, what was good before is kept, byte for byte, and a run
# resumes from it; the codes are 76, or 65 for a file, or 0 where an update was skipped.
# shares: relu
set -u
cd "$(dirname "$0")/../.." || exit 74
untraced=yes
. tests/torture/torture.sh

data_set fox
make build CONFIG=tests/torture/relu.lua PROGRAMS="train sample torture_inject" >"$tmp/log" 2>&1 &&
    make build/torture/poison >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }
bin=build/relu/cpu

run() { # program, folder, flags
    program=$1
    out=$tmp/$2
    shift 2
    "$bin/$program" --data_dir="$tmp" --out_dir="$out" --threads=1 "$@" >"$tmp/said" 2>"$tmp/errors"
    code=$?
}
stated() { # file, key: a number of the metadata
    head -c 4000 "$1" | grep -ao "\"$2\":\"[0-9]*\"" | head -n 1 | tr -dc 0-9
}
finite() { # file
    ! tensors "$1" | od -An -v -tf4 | grep -iq 'nan\|inf'
}
same_tensors() { # file, file
    tensors "$1" >"$tmp/a" && tensors "$2" >"$tmp/b" && cmp "$tmp/a" "$tmp/b"
}

# ---- into memory --------------------------------------------------------------------------------
# An undisturbed run's state before each iteration is that of a run of so many.
for i in 0 1 2 3 4 5 6 7 8 9; do
    run train "good$((i + 1))" --max_iters=$i
    check "a run of $i iterations" test $code = 0
done

# The files that are there were made before the iteration in which the number was written.
made_before() { # iteration
    for file in "$tmp/bad/state.safetensors" "$tmp/bad/ckpt.safetensors"; do
        [ -f "$file" ] || continue
        iter=$(stated "$file" iter)
        [ "$iter" -le "$1" ] || { echo "$file is of iteration $iter"; return 1; }
        # a checkpoint is made before iteration 3, 6, 9, of the weights that the state there has
        good=$tmp/good$iter/state.safetensors
        case $file in
            */ckpt*) tensors "$good" | head -c "$(tensors "$file" | wc -c)" >"$tmp/a" && tensors "$file" >"$tmp/b" &&
                cmp "$tmp/a" "$tmp/b" || return 1 ;;
            *) same_tensors "$good" "$file" || return 1 ;;
        esac
    done
}
resumes() { # to the undisturbed end
    from=resume
    [ -f "$tmp/bad/state.safetensors" ] || from=scratch
    run train bad --init_from=$from
    [ $code = 0 ] && same_tensors "$tmp/good10/state.safetensors" "$tmp/bad/state.safetensors"
}
# One number at one place; what is wrong is printed.
injected() { # where, when, value, place
    rm -rf "$tmp/bad"
    INJECT="$*" run torture_inject bad
    echo "INJECT='$*' ended with $code"
    cat "$tmp/errors"
    grep -q '^inject: ' "$tmp/errors" || return 1
    for file in "$tmp/bad/"*.safetensors; do
        [ ! -f "$file" ] || finite "$file" || { echo "$file is not finite"; return 1; }
    done
    if grep -iq 'nan\|inf' "$tmp/bad/metrics.jsonl"; then return 1; fi
    case $1,$3 in
        *,*e*) [ $code = 0 ] || [ $code = 76 ] ;; # a finite one: it may be harmless
        grads,* | loss,*) [ $code = 0 ] && [ "$(stated "$tmp/bad/state.safetensors" skipped)" = 1 ] ;;
        evaluation,*)
            # The last evaluation's batches are 12 to 15: training loss and validation loss, two each.
            wanted=9
            [ "$2" -lt 12 ] || wanted=6
            [ $code = 0 ] && same_tensors "$tmp/good10/state.safetensors" "$tmp/bad/state.safetensors" &&
                [ "$(stated "$tmp/bad/ckpt.safetensors" iter)" = $wanted ] ;;
        *) [ $code = 76 ] && tail -n 1 "$tmp/errors" | grep -q '^iter [0-9]*: .*--learning_rate' &&
            made_before $(($2 / 2)) && resumes ;;
    esac
}

value() { # number
    case $(($1 % 5)) in 0 | 3) echo nan ;; 1) echo inf ;; 2) echo -inf ;; 4) echo 3e38 ;; esac
}
draws() { # count: so many lines of two numbers
    awk -v seed="$seed" -v count="$1" 'BEGIN { srand(seed)
        for (i = 0; i < count; i++) printf "%d %d\n", int(rand() * 1000000), int(rand() * 1000000000) }'
}
# The first ones are always the same: a weight whose NaN relu hides, one that no token reads, a moment that stops its
# weight for good, the last losses.
injections() {
    echo "params 4 nan 10
params 4 inf 12104
v 4 inf 1000
evaluation 13 nan 0
evaluation 15 nan 0"
    draws "$1" | while read -r one two; do
        set -- params m v grads loss evaluation m v
        shift $((one % 8))
        most=20
        [ "$1" != evaluation ] || most=16
        echo "$1 $((one / 8 % most)) $(value $((one / 160))) $two"
    done
}
places=15
files=3
[ -z "$all" ] || { places=195; files=25; }
injections $places >"$tmp/injections"
count=0
while read -r line; do
    # shellcheck disable=SC2086 # words
    check "INJECT='$line', SEED=$seed" injected $line
    count=$((count + 1))
done <"$tmp/injections"

# ---- into files ---------------------------------------------------------------------------------
refused() { # command...: with 65, and one line
    "$@" >"$tmp/said" 2>"$tmp/errors"
    code=$?
    echo "code $code"
    cat "$tmp/errors"
    [ $code = 65 ] && [ "$(wc -l <"$tmp/errors")" = 1 ] && grep -q 'not finite' "$tmp/errors"
}
poisoned() { # value, place
    rm -rf "$tmp/bad" "$tmp/other"
    cp -r "$tmp/good10" "$tmp/bad"
    for name in state ckpt; do
        build/torture/poison "$tmp/good10/$name.safetensors" "$2" "$1" "$tmp/bad/$name.safetensors" >"$tmp/$name.tensor" ||
            return 1
        cp "$tmp/bad/$name.safetensors" "$tmp/$name.before"
    done
    refused $bin/train --data_dir="$tmp" --out_dir="$tmp/bad" --threads=1 --init_from=resume --max_iters=20 &&
        # an evaluation reads no moments
        { grep -q '^adam' "$tmp/state.tensor" ||
            refused $bin/train --data_dir="$tmp" --out_dir="$tmp/bad" --threads=1 --init_from=resume --eval_only=1; } &&
        refused $bin/train --data_dir="$tmp" --out_dir="$tmp/other" --threads=1 \
            --init_from="$tmp/bad/ckpt.safetensors" &&
        refused $bin/sample --checkpoint="$tmp/bad/ckpt.safetensors" --max_new_tokens=5 && [ ! -s "$tmp/said" ] &&
        refused $bin/sample --checkpoint="$tmp/bad/ckpt.safetensors" --start=Line --attention="$tmp/heads.json" &&
        [ ! -e "$tmp/heads.json" ] && [ ! -e "$tmp/other/state.safetensors" ] &&
        cmp "$tmp/state.before" "$tmp/bad/state.safetensors" && cmp "$tmp/ckpt.before" "$tmp/bad/ckpt.safetensors"
}
draws $files >"$tmp/draws"
while read -r one two; do
    case $((one % 3)) in 0) value=nan ;; 1) value=inf ;; 2) value=-inf ;; esac
    check "a file with $value at place $two, SEED=$seed" poisoned $value "$two"
    count=$((count + 5))
done <"$tmp/draws"

reached "NaN, infinity or 3e38 in loss, gradients, weights, moments, files" "$count places, $failed saved as good"
finish
