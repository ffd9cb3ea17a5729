#!/bin/sh
# test_firmware.sh: make firmware: a GPT-2 of shakespeare_char_cpu's shape for a Cortex-M7, and a small Llama with grouped
# queries, a window, a cap and a context of 45 for an STM32F405: the tokens of the Linux sampler of the same weights with
# --slide=half, greedy and drawn, built for this machine with ASan and UBSan, for 32 bits, and on qemu's boards. What it
# says of flash, RAM and stack holds; what a chip cannot hold is refused. Skipped in part without Arm's gcc or qemu.
# shares: static
set -u
cd "$(dirname "$0")/../.." || exit 74
. tests/check.sh

characters=$(i=32; printf 0a; while [ $i -lt 96 ]; do printf ' %x' $i; i=$((i + 1)); done)
make build/export >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }
model() { # name, scale of the weights, key=value...: a config, and a run of it with made-up weights
    name=$1 scale=$2
    shift 2
    mkdir -p "$tmp/$name"
    { echo "return { out_dir = '$tmp/$name', dataset = 'fox',"
        printf '%s,\n' "$@" | sed 's/=\([a-zA-Z].*\),/="\1",/; s/"\(true\|false\)"/\1/'
        echo "}"; } >"$tmp/$name.lua"
    lua5.4 tests/train/checkpoint.lua "$tmp/$name/ckpt.safetensors" "tokenizer=char $characters" "scale=$scale" "$@" ||
        exit 1
}
firmware() { # name, word of make...
    name=$1
    shift
    make firmware CONFIG="$tmp/$name.lua" BUILD="$tmp/build" "$@"
}
# The Linux sampler's text.
wanted() { # name, tokens, temperature, top_k, top_p, seed, prompt
    "$tmp/build/$1-isa@generic/cpu/sampler-q8_0" "$tmp/build/$1-isa@generic/cpu/weights-q8_0.safetensors" --slide=half \
        --threads=1 --num_samples=1 --max_new_tokens="$2" --temperature="$3" --top_k="$4" --top_p="$5" --seed="$6" \
        --start="$7" | sed '$d'
}
for_linux() { # name, compiler and flags...: sampler_core and a main for this machine
    name=$1
    shift
    at=$tmp/build/$name/cpu/firmware
    tests/strict.sh "$@" -std=c11 -Wall -Wextra -ffp-contract=off -I "$at" tests/train/firmware.c "$at/sampler_core.c" \
        "$at/sampler_weights.c" -lm -o "$tmp/$name.program"
}
# Every way to choose, beyond the context and within it, of a prompt that is longer and of a short one.
ways="0 0 1 1 AND
0.8 20 1 7 AND_SO
1 0 0.9 3 $(printf '%0100d' 0 | tr 0 Q)X"
same() { # name, tokens, command...: with the words of each way behind it
    name=$1 tokens=$2
    shift 2
    echo "$ways" | while read -r temperature top_k top_p seed prompt; do
        wanted "$name" "$tokens" "$temperature" "$top_k" "$top_p" "$seed" "$prompt" >"$tmp/wanted"
        "$@" "$tokens" "$temperature" "$top_k" "$top_p" "$seed" "$prompt" >"$tmp/got" 2>"$tmp/log" || exit 1
        [ -s "$tmp/wanted" ] && cmp "$tmp/wanted" "$tmp/got" || exit 1
    done
}
# A board writes as the program above does, and then what it took.
on_board() { # board, name, word...
    board=$1 elf=$tmp/build/$2/cpu/firmware/$1/firmware.elf
    shift 2
    timeout 120 qemu-system-arm -M "$board" -display none -monitor none -serial none -chardev stdio,id=said -semihosting-config \
        "enable=on,chardev=said,arg=firmware,arg=$*" -kernel "$elf" >"$tmp/board" </dev/null || return 1
    sed '$d' "$tmp/board"
}

# ---- the models, and the sampler of each -------------------------------------------------------------
model gpt 0.1 n_layer=4 n_head=4 n_embd=128 block_size=64 vocab_size=65 bias=false activation=gelu_erf
model llama 0.3 n_layer=2 n_head=4 n_kv_head=2 n_embd=72 n_ff=100 block_size=45 vocab_size=70 bias=false norm=rmsnorm \
    pos=rope activation=swiglu tie_weights=false window=SL window_size=20 attn_softcap=15.0 tensor_names=llama qk_norm=gain

check "a board that is not known" exits 2 "BOARD: 'pico' is not known; there are: rp2350, stm32h743," firmware gpt BOARD=pico
check "a type that it has not" exits 2 "a microcontroller has weights in q8_0" firmware gpt TYPE=q4_0
check "no run" exits 2 "is not there; make train" firmware gpt NAME=none
check "too much for a board" exits 2 "BOARD=stm32f405: it does not fit: RAM: 26" firmware gpt BOARD=stm32f405
check "another model than the run's" exits 2 "is of a model with n_layer=4" firmware gpt SET=n_layer=3
check "nothing is written then" test ! -e "$tmp/build/gpt"

for name in gpt llama; do
    make sampler CONFIG="$tmp/$name.lua" TYPE=q8_0 BUILD="$tmp/build" >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }
done

# ---- this machine ---------------------------------------------------------------------------------
for name in gpt llama; do
    check "$name: its files are written" firmware $name
    check "$name: it compiles without a warning, with sanitizers" for_linux $name gcc -O1 -g -fsanitize=address,undefined \
        -fno-sanitize-recover=all
    check "$name: the sampler's tokens" same $name 120 "$tmp/$name.program"
done
if gen/tools/setup.sh --check 32-bits >"$tmp/log" 2>&1; then
    check "for 32 bits, by clang" for_linux llama clang -O2 -m32 -msse2 --rtlib=compiler-rt \
        --unwindlib=none -idirafter /usr/include/x86_64-linux-gnu
    check "the same tokens" same llama 120 "$tmp/llama.program"
else
    echo "test_firmware: nothing for 32 bits is installed"
    skipped=$((skipped + 2))
fi

# ---- boards ---------------------------------------------------------------------------------------
if ! gen/tools/setup.sh --check firmware >"$tmp/log" 2>&1; then
    echo "test_firmware: no arm-none-eabi-gcc with newlib, or no qemu-system-arm: skipped"
    skipped=$((skipped + 8))
    finish
    exit
fi
# What the program took is no more than what was said; bytes of its file, of the arena and the stack.
fits() { # name, board, most flash, most RAM
    elf=$tmp/build/$1/cpu/firmware/$2/firmware.elf
    set -- "$3" "$4" $(arm-none-eabi-size "$elf" | sed -n 2p) "$(sed -n 's/^stack: \([0-9]*\) .*/\1/p' "$tmp/board")"
    echo "flash and RAM: at most $1 and $2; text, data, bss: $3 $4 $5; stack: ${*##* }"
    room=$(sed -n 's/.* and \([0-9,]*\) of stack$/\1/p' "$tmp/said" | tr -d ,)
    [ $(($3 + $4)) -le "$1" ] && [ $(($4 + $5)) -le "$2" ] && [ "${*##* }" -le $((room + 512)) ]
}
board() { # board, name, most bytes of flash, most of RAM
    check "$1: $2: it is built" exits 0 "next: qemu-system-arm -M $1" firmware "$2" BOARD="$1"
    check "$1: $2: without a warning" sh -c "! grep warning '$tmp/said'"
    check "$1: $2: the sampler's tokens" same "$2" 60 on_board "$1" "$2"
    check "$1: $2: it takes no more than was said" fits "$2" "$1" "$3" "$4"
}
board mps2-an500 gpt 943718 327680
board netduinoplus2 llama 1048576 196608
finish
