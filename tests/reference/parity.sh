#!/bin/sh
# parity.sh [CKPT CONFIG [VAL_BIN]]: makes the golden files again with the newest PyTorch and compares
# them with the stored ones; then, if one is named, loads a trained checkpoint into PyTorch, strictly.
set -eu
cd "$(dirname "$0")/../.."
here=tests/reference
venv=build/venv-parity
. tests/reference/venv.sh
update_venv $venv PyTorch 'torch, numpy, safetensors' -r $here/requirements.txt
"$venv/bin/python" -c 'import torch; print("parity: PyTorch", torch.__version__)'

rm -rf build/parity
"$venv/bin/python" "$here/golden.py" build/parity
"$venv/bin/python" "$here/compare.py" "$here/golden" build/parity
"$venv/bin/python" tests/bench/peer_model.py
# Trains a model with dropout, biases and two micro-steps for a while, for its checkpoint.
own_checkpoint() {
    text=build/parity/text data=build/parity/data
    mkdir -p "$data/fox"
    i=0
    while [ $i -lt 300 ]; do
        echo "Line $i of a text that is easy to learn, and then to be loaded elsewhere."
        i=$((i + 1))
    done >"$text"
    make --no-print-directory build/prepare build CONFIG=tests/train/resume.lua PROGRAMS=train
    build/prepare --text="$text" --out="$data/fox" --name=fox \
        --sha256="$(sha256sum "$text" | cut -d ' ' -f 1)"
    build/resume/cpu/train --data_dir="$data" --out_dir=build/parity/run --eval_iters=100
}
if [ $# -eq 0 ]; then
    own_checkpoint >build/parity/log 2>&1 || { cat build/parity/log >&2; exit 1; }
    set -- build/parity/run/ckpt.safetensors tests/train/resume.lua build/parity/data/fox/val.bin
fi
"$venv/bin/python" "$here/load.py" "$@"
