#!/bin/sh
# peers.sh PROGRAM [FLAG ...]: times a config's step, alternating with the same step in PyTorch (peers.py), in
# the virtual environment that `make parity` uses too, which is made here if it is missing. PROGRAM is
# build/NAME/cpu/bench, run before with the same FLAGs. PYTHON=… names another Python with PyTorch.
set -eu
here=$(dirname "$0")
# shellcheck source=tests/reference/venv.sh
. "$here/../reference/venv.sh"

if [ -z "${PYTHON-}" ]; then
    venv=build/venv-parity
    PYTHON=$venv/bin/python
    make_venv "$venv"
    echo "peers: installing or updating PyTorch in $venv"
    "$venv/bin/pip" install --quiet --upgrade -r "$here/../reference/requirements.txt" 2>/dev/null ||
        echo "peers: pip could not update it; is there a network?"
fi
why=$("$PYTHON" -c 'import torch; print("peers: PyTorch", torch.__version__)' 2>&1) || {
    echo "peers: $PYTHON has no PyTorch that works: $(echo "$why" | tail -n 1)" >&2
    exit 66
}
echo "$why"
exec "$PYTHON" "$here/peers.py" "$@"
