# mite.sh: what the parts that damage files and let calls fail share. A part reads it behind torture.sh and gets
#
#     $tmp/train, sample, prepare, check     of the smallest model, and train-static and so on, linked without a loader
#     $tmp/start, $tmp/begun                 folders with its data set; begun also has a run stopped before its last step
#     $tmp/damage, $tmp/failing, $tmp/failing_memory.so
#     $files_of_a_run                        the words with which both name what counts of a run
#     judged WHAT COMMAND ...                runs one of them: a check; $cases counts all cases
#
# The trainers do not measure the machine's peak, which takes longer than all else that they do here.
# shellcheck shell=sh
cases=0
files_of_a_run="--result=out/state.safetensors --result=out/ckpt.safetensors --result=out/metrics.jsonl"
cc=${CC:-gcc}
library=build/runtime/generic
build=build/mite/cpu

build_mite() {
    make build CONFIG=tests/torture/mite.lua PROGRAMS="train sample" && make build/prepare build/check || return
    model=build/$(sed -n 's/^HASH *:*= *//p' $build/build.mk)/cpu
    [ -f "$model/train.o" ] || return
    cat >"$tmp/peak.c" <<'C'
double __wrap_peak_gflops(int threads, double *held);
double __wrap_peak_gflops(int threads, double *held) {
    (void)threads, (void)held;
    return 1;
}
C
    for static in "" -static; do
        # shellcheck disable=SC2086
        $cc $static -pthread -o "$tmp/train$static" "$tmp/peak.c" -Wl,--wrap=peak_gflops $library/programs/train.o \
            "$model/train.o" "$model/sample.o" $build/defaults.o $library/train.a $library/ranks.a $library/model.a \
            $library/sample.a $library/files.a $library/text.a $library/base.a -lm &&
            $cc $static -pthread -o "$tmp/sample$static" $library/programs/sample.o $library/programs/sample/*.o \
                "$model/sample.o" $library/sample.a $library/files.a $library/text.a $library/base.a -lm || return
        for tool in prepare check; do
            parts=build/runtime/tools/programs/$tool.o
            [ ! -d build/runtime/tools/programs/$tool ] || parts="$parts build/runtime/tools/programs/$tool/*.o"
            $cc $static -o "$tmp/$tool$static" $parts build/runtime/tools/files.a build/runtime/tools/text.a \
                build/runtime/tools/base.a -lm || return
        done
    done
    for driver in damage failing; do
        $cc -std=gnu11 -O1 -Wall -Wextra -I. -o "$tmp/$driver" tests/torture/$driver.c tests/torture/stage.c || return
    done
    $cc -std=gnu11 -O1 -Wall -Wextra -fPIC -shared -o "$tmp/failing_memory.so" tests/torture/failing_memory.c
}
build_mite >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }

mkdir -p "$tmp/start/data/ab"
printf 'abba cab, a bad dab; bad cab a dad.\n%.0s' 1 2 3 4 5 6 >"$tmp/start/text"
sum=$(sha256sum <"$tmp/start/text" | cut -d ' ' -f 1)
"$tmp/prepare" --text="$tmp/start/text" --out="$tmp/start/data/ab" --name=ab --sha256="$sum" >"$tmp/log"
(cd "$tmp/start" && ../train --out_dir=out --threads=1 --max_iters=4 >"$tmp/log" && rm out/lock)
cp -r "$tmp/start" "$tmp/begun"
rm -r "$tmp/start/out"
: >"$tmp/log"

judged() { # what, command ...
    check "$@"
    sed 's/^/    /' "$tmp/checked" | grep 'tried\|failed:'
    tried=$(sed -n 's/.*: \([0-9]*\) of [0-9]* tried.*/\1/p; s/^\([0-9]*\) of [0-9]* calls.*/\1/p' "$tmp/checked")
    cases=$((cases + ${tried:-0}))
}
