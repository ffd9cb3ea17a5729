#!/bin/sh
# parity.sh [CKPT CONFIG [VAL_BIN]]: rebuilds the golden files with the newest PyTorch and compares
# them with the stored ones; then loads a trained checkpoint there, strictly, if one is named.
set -eu
cd "$(dirname "$0")/../.."
here=tests/reference
venv=build/venv-parity
export PYTHONDONTWRITEBYTECODE=1

if [ ! -x "$venv/bin/python" ]; then
    mkdir -p build
    python3 -m venv "$venv" || {
        rm -rf "$venv"
        echo "parity: python3 cannot make a virtual environment; install python3-venv" >&2
        exit 66
    }
fi
echo "parity: installing or updating PyTorch in $venv"
if ! "$venv/bin/pip" install --quiet --upgrade -r "$here/requirements.txt"; then
    # Without a network an environment made earlier still serves.
    "$venv/bin/python" -c 'import torch, numpy, safetensors' || {
        echo "parity: pip could not install $here/requirements.txt; is there a network?" >&2
        exit 66
    }
fi
"$venv/bin/python" -c 'import torch; print("parity: PyTorch", torch.__version__)'

rm -rf build/parity
"$venv/bin/python" "$here/golden.py" build/parity
"$venv/bin/python" "$here/compare.py" "$here/golden" build/parity
if [ $# -gt 0 ]; then
    "$venv/bin/python" "$here/load.py" "$@"
else
    echo "parity: no checkpoint named, none loaded"
fi
