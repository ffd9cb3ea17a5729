#!/bin/sh
# test_embed.sh: make sampler EMBED=1: a sampler with the weights of a run inside is one file that needs no other, writes
# what `sample` writes, holds a tied head once, and says so if it is damaged; ARCH=: the same text from another
# machine's, under qemu; tables that a small one leaves out. Skipped where the cross compiler or qemu is missing.
# shares: static
set -u
cd "$(dirname "$0")/../.." || exit 74
. tests/check.sh
data_set fox

cat >"$tmp/tiny.lua" <<END
return {
  n_layer = 2, n_head = 2, n_embd = 20, block_size = 16, batch_size = 2, vocab_size = 300, tie_weights = true,
  dataset = "fox", data_dir = "$tmp", out_dir = "$tmp/run", max_iters = 20, eval_interval = 10, eval_iters = 1,
}
END
run() { # words of make; its output is in $tmp/log, its code in $code
    make "$@" CONFIG="$tmp/tiny.lua" BUILD="$tmp/build" >"$tmp/log" 2>&1
    code=$?
}
says() { # code, text
    [ "$code" = "$1" ] && grep -qF -- "$2" "$tmp/log"
}
prompt="--start=Line --num_samples=2 --max_new_tokens=40"
folder="$tmp/build/tiny-isa@generic/cpu"
embedded=$folder/sampler-embedded

run sampler EMBED=1
check "no run yet: what makes it" says 2 "$tmp/run/state.safetensors: is not there; make train CONFIG=$tmp/tiny.lua makes it"
run sampler ARCH=m68k
check "a machine that is not known" says 2 "ARCH: 'm68k' is not known; there are: x86_64, aarch64, riscv64"

run train PROGRAMS="train sample"
# shellcheck disable=SC2086
"$tmp/build/tiny/cpu/sample" "$tmp/run/ckpt.safetensors" $prompt >"$tmp/wanted" || cat "$tmp/log"
run sampler EMBED=1
check "it is built" says 0 "it needs no other file"
check "its own code, with byte pairs, has 180 KB at most" test $(($(stat -c %s "$embedded") - $(stat -c %s "$folder/weights.safetensors"))) -le $((180 * 1024))
check "of one static file" sh -c "! readelf -l '$embedded' | grep -q INTERP"
head_once() {
    ! grep -q '"lm_head.weight"' "$folder/weights.safetensors" && grep -q '"lm_head.weight"' "$tmp/run/ckpt.safetensors"
}
check "a tied head is inside once" head_once

mkdir "$tmp/empty"
cp "$embedded" "$tmp/empty/sampler"
same() { # command...
    # shellcheck disable=SC2086
    (cd "$tmp/empty" && "$@" $prompt) | cmp - "$tmp/wanted"
}
check "alone in a folder it writes what sample writes" same env -i ./sampler
check "all of its weights have hashes" sh -c "'$embedded' --verify --num_samples=0 2>&1 | grep -q '^the weights inside: 16 of 16'"
if [ "$(id -u)" = 0 ] && chroot "$tmp/empty" /sampler --help >"$tmp/log" 2>&1; then
    check "and so in an empty root" same chroot . /sampler
else
    echo "test_embed: there is no chroot here"
    skipped=$((skipped + 1))
fi
check "--help says that a model is inside, and which" sh -c "'$embedded' --help | sed -n 2,3p | tr '\n' ' ' |
    grep -q 'which is inside.*model=gpt n_layer=2 n_head=2 n_embd=20'"
check "a checkpoint that is named is taken instead" same ./sampler "$tmp/run/ckpt.safetensors"

# A static sampler of few tokens has no tables of Unicode's form C.
lua5.4 tests/train/checkpoint.lua "$tmp/nfc.safetensors" n_embd=20 block_size=16 vocab_size=300 bias=false activation=gelu_erf \
    tokenizer="bpe-qwen2 65,c3,a9,c3a9,cc,81 0000100002 nfc"
"$tmp/build/tiny/cpu/sample" "$tmp/nfc.safetensors" --start=e --num_samples=1 --max_new_tokens=1 >"$tmp/log" 2>&1
code=$?
check "a text in form C" says 0 "e"
"$embedded" "$tmp/nfc.safetensors" --start=e >"$tmp/log" 2>&1
code=$?
check "is refused by a static sampler of few tokens" says 65 "less than 65,536 tokens leaves out; 'make sample' has them"

# The last byte of the weights is the last of a tensor.
last=$(tail -c 64 "$folder/weights.safetensors" | od -An -v -tx1 | tr -d ' \n')
at=$(od -An -v -tx1 "$embedded" | tr -d ' \n' | grep -ob "$last" | head -n 1 | cut -d : -f 1)
printf '\377' | dd of="$tmp/empty/sampler" bs=1 seek=$((at / 2 + 60)) conv=notrunc 2>"$tmp/log"
"$tmp/empty/sampler" --start=Line >"$tmp/log" 2>&1
code=$?
check "weights that are damaged" says 65 "the weights inside: tensor '"

# ---- small weights --------------------------------------------------------------------------------
run sampler EMBED=1 TYPE=q8_0
check "with small weights" says 0 "sampler-q8_0-embedded"
cp "$folder/sampler-q8_0-embedded" "$tmp/empty/small"
# shellcheck disable=SC2086
"$folder/sampler-q8_0-embedded" "$folder/weights-q8_0.safetensors" $prompt >"$tmp/wanted_small"
same_small() {
    # shellcheck disable=SC2086
    [ -s "$tmp/wanted_small" ] && (cd "$tmp/empty" && env -i ./small $prompt) | cmp - "$tmp/wanted_small"
}
check "it writes what it writes with their file" same_small

for machine in aarch64 riscv64; do
    if ! command -v "$machine-linux-gnu-gcc" >/dev/null || ! command -v "qemu-$machine" >/dev/null ||
        [ "$machine" = "$(uname -m)" ]; then
        echo "test_embed: $machine: no cross compiler or qemu-$machine, or it is this machine: skipped"
        skipped=$((skipped + 1))
        continue
    fi
    run sampler EMBED=1 ARCH=$machine
    cp "$embedded-$machine" "$tmp/empty/$machine" 2>>"$tmp/log"
    check "$machine's writes the same" same "qemu-$machine" "./$machine"
done
finish
