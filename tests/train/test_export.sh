#!/bin/sh
# test_export.sh: a checkpoint becomes the files of other tools: what is in them, byte for byte where that can be; what a
# format cannot express is refused by name; nothing is written over, or left half-done.
# shares: export
. tests/check.sh

out=build/export-test
rm -rf "$out"
mkdir -p "$out"
make build/import build/export build/inspect >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }

# Runs gen/export.lua on $1, a folder of $out; the words are its flags.
export_of() { # name flags...
    checkpoint=$out/$1/ckpt.safetensors
    shift
    lua5.4 gen/export.lua --build=build --checkpoint="$checkpoint" "$@"
}
# The command ends with this code and one line that has the words; $out/x does not appear.
refuses() { # code words command...
    wanted=$1 words=$2
    shift 2
    "$@" --to="$out/x" >"$tmp/said" 2>"$tmp/line"
    code=$?
    [ $code = "$wanted" ] && [ "$(wc -l <"$tmp/line")" = 1 ] && grep -qF -- "$words" "$tmp/line" &&
        [ ! -e "$out/x" ] && [ ! -e "$out/x.tmp" ] && return
    echo "ended with $code, wanted $wanted and '$words'"
    cat "$tmp/line"
    return 1
}
verified() { # path words...
    build/inspect --file="$1" --verify=1 >"$tmp/said" || return
    shift
    for words in "$@"; do
        grep -qF -- "$words" "$tmp/said" || { echo "no '$words' in"; cat "$tmp/said"; return 1; }
    done
}

# ---- safetensors ---------------------------------------------------------------------------------

mkdir "$tmp/hf"
check "a model is written" lua5.4 tests/train/hf.lua "$tmp/hf"
check "and imported" lua5.4 gen/import.lua --build=build --out="$out" --name=m "$tmp/hf"
for type in float32 bfloat16 float16; do
    check "$type" export_of m --format=safetensors --type=$type
    check "$type: all of it" verified "$out/m/m-$type.safetensors" '29 of 29 tensors have a hash' \
        'a model that make export made; 29 tensors, 16,320 numbers'
done
same_tensors() {
    tensors "$out/m/ckpt.safetensors" >"$tmp/own"
    tensors "$out/m/m-float32.safetensors" | cmp - "$tmp/own"
}
check "float32 has the checkpoint's bytes" same_tensors
# The weights are numbers that all types hold: what is converted and read again is what it was.
again() { # type
    mkdir -p "$out/again-$1" && cp "$out/m/m-$1.safetensors" "$out/again-$1/ckpt.safetensors" &&
        export_of "again-$1" --format=safetensors --to="$out/again-$1/f32" &&
        tensors "$out/again-$1/f32" | cmp - "$tmp/own"
}
check "bfloat16 read again" again bfloat16
check "float16 read again" again float16
check "the default is float32" export_of m --format=safetensors --to="$out/default"
check "with the same bytes" cmp "$out/default" "$out/m/m-float32.safetensors"

# ---- what is wrong -------------------------------------------------------------------------------

check "no format" refuses 64 'FORMAT: is missing; there are: ' export_of m
check "an unknown format" refuses 64 "FORMAT: 'onnx' is not known; there are: " export_of m --format=onnx
check "an unknown type" refuses 64 "TYPE: 'q4' is not known to FORMAT=safetensors; there are: float32, bfloat16, float16" \
    export_of m --format=safetensors --type=q4
check "no checkpoint" refuses 66 'cannot open' export_of none --format=safetensors
sum=$(sha256sum <"$out/default")
there() {
    export_of m --format=safetensors --to="$out/default" 2>"$tmp/line"
    [ $? = 64 ] && grep -q 'default: is there already; remove it, or name another place with TO=path' "$tmp/line" &&
        [ "$(sha256sum <"$out/default")" = "$sum" ]
}
check "what is there is not replaced" there
no_folder() {
    export_of m --format=safetensors --to="$out/none/x" 2>"$tmp/line"
    [ $? = 74 ] && [ "$(wc -l <"$tmp/line")" = 1 ] && grep -q 'cannot write' "$tmp/line"
}
check "no such folder" no_folder
mkdir "$out/flipped"
cp "$out/m/ckpt.safetensors" "$out/flipped"
printf '\001' | dd of="$out/flipped/ckpt.safetensors" bs=1 seek=$(($(stat -c %s "$out/flipped/ckpt.safetensors") - 5)) \
    conv=notrunc 2>/dev/null
check "a flipped byte" refuses 65 'has hash' export_of flipped --format=safetensors
rm -rf "$out"
finish
