#!/bin/sh
# nanogpt.sh: PyTorch files as nanoGPT writes them are turned into safetensors by pytorch.py and imported; both sides
# evaluate the same text: `make nanogpt-parity`. Needs Python and a network.
set -u
cd "$(dirname "$0")/../.." || exit 74
here=tests/reference
venv=${VENV:-build/venv-parity}
. tests/reference/venv.sh
. tests/check.sh
[ -n "${VENV-}" ] || update_venv "$venv" PyTorch torch torch numpy
"$venv/bin/python" -c 'import torch; print("nanogpt-parity: PyTorch", torch.__version__)'
out=build/nanogpt-parity
rm -rf "$out"
mkdir -p "$out"
i=0
while [ $i -lt 60 ]; do
    echo "Line $i of a text, naïve as it is — 東京, $((i * 7919 % 1000)) and so on, don't you think?"
    i=$((i + 1))
done >"$out/text"

python() { # script words...
    script=$1
    shift
    "$venv/bin/python" "$here/$script" "$@" 2>"$tmp/python" || { cat "$tmp/python"; return 1; }
}
same_loss() { # name file
    make build CONFIG="$out/$1/$1.lua" SET=batch_size=3 PROGRAMS=eval || return
    theirs=$(python nanogpt.py loss "$out/$2" "$out/text") || return
    "build/$1-batch_size@3/cpu/eval" --checkpoint="$out/$1/ckpt.safetensors" --text="$out/text" --json="$out/json" ||
        return
    echo "theirs: $theirs"
    echo "$theirs" | json="$out/json" lua5.4 -e '
        local loss, count = io.read("n", "n")
        local ours = io.open(os.getenv("json")):read("a")
        local own, targets = tonumber(ours:match("\"loss\": ([%d.]+)")), tonumber(ours:match("\"targets\": (%d+)"))
        print(("off by %.1e of %g"):format(math.abs(own - loss), loss))
        os.exit(targets == count and math.abs(own - loss) < 1e-6 * loss)'
}
# pytorch.py ends with a line that has the words, and makes no file.
refuses() { # words file pytorch.py's words...
    words=$1 file=$2
    shift 2
    ! python pytorch.py "$out/$file" "$out/refused.safetensors" "$@" >"$tmp/said" && cat "$tmp/said" &&
        [ ! -e "$out/refused.safetensors" ] && grep -qF -- "$words" "$tmp/said"
}
imported() { # name file pytorch.py's words...
    name=$1 file=$2
    shift 2
    python pytorch.py "$out/$file" "$out/$name.safetensors" "$@" && make build/import &&
        lua5.4 gen/import.lua --out "$out" --name "$name" "$out/$name.safetensors" >"$out/$name.said"
}
check "files are made" python nanogpt.py make "$out" "$out/text"
check "nanoGPT's checkpoint is imported" imported ckpt ckpt.pt
check "its dropout is said" grep -q 'dropout = 0.2 is left out' "$out/ckpt.said"
check "it has the same loss" same_loss ckpt ckpt.pt
check "a state dict alone does not say n_head" refuses 'add n_head=...' model_weights.pth
check "with it, it is imported" imported bare model_weights.pth n_head=4
check "it has the same loss" same_loss bare model_weights.pth
check "a pickle that runs something is refused" refuses 'cannot be read with weights_only=True' evil.pt
check "and has not run" [ ! -e "$out/evil" ]
check "another model is refused by name" refuses 'weight is not in' other.pt
check "no file" refuses 'no such file' none.pt
finish
