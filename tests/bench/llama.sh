#!/bin/sh
# llama.sh PROGRAM TYPE [FLAG ...]: times a config's sampler, alternating with llama.cpp on the same made-up weights
# (peers_llama.py). PROGRAM is build/NAME/cpu/sample_bench, or sample_bench-TYPE, run before with the same FLAGs; it
# writes the weights, and build/export makes a GGUF file of them whose matrices are of TYPE. llama.cpp is PyPI's
# xllamacpp, whose wheel is a build for AVX2, in a virtual environment that is made here if it is missing. LLAMA_VENV=…
# names another one, or several, which then all take turns. LLAMA_NATIVE=1 adds one whose xllamacpp is compiled here for
# this machine, which takes a compiler for C++ and some ten minutes, once.
set -eu
here=$(dirname "$0")
# shellcheck source=tests/reference/venv.sh
. "$here/../reference/venv.sh"
program=$1 type=$2
shift 2
weights=$program-llama.safetensors gguf=$program-llama.gguf

# What it would fetch from elsewhere, for TLS and for grammars, is left out.
native() { # folder
    [ ! -x "$1/bin/python" ] || return 0
    make_venv "$1"
    echo "llama: compiling llama.cpp for this machine in $1"
    "$1/bin/pip" install --quiet cmake
    # The program itself: the script of this name asks for a package that pip's own environment has not.
    cmake=$("$1/bin/python" -c 'import cmake; print(cmake.CMAKE_BIN_DIR)')
    PATH=$cmake:$PATH CMAKE_ARGS='-DLLAMA_LLGUIDANCE=OFF -DLLAMA_BUILD_BORINGSSL=OFF' \
        "$1/bin/pip" install --quiet --no-binary xllamacpp xllamacpp || {
        rm -rf "$1"
        echo "llama: pip could not compile xllamacpp; leave LLAMA_NATIVE out" >&2
        exit 66
    }
}

venvs=${LLAMA_VENV:-build/venv-llama}
[ -n "${LLAMA_VENV-}" ] || update_venv "$venvs" llama.cpp xllamacpp xllamacpp
if [ -n "${LLAMA_NATIVE-}" ]; then
    native build/venv-llama-native
    venvs="$venvs build/venv-llama-native"
fi
pythons=
for venv in $venvs; do
    why=$("$venv/bin/python" -c 'import xllamacpp' 2>&1) || {
        echo "llama: $venv has no llama.cpp that works: $(echo "$why" | tail -n 1)" >&2
        exit 66
    }
    pythons="$pythons --python=$venv/bin/python"
done
trap 'rm -f "$weights" "$gguf"' EXIT
trap 'exit 75' HUP INT TERM
rm -f "$gguf"
"$program" --weights="$weights" "$@"
lua5.4 -E gen/export.lua --checkpoint="$weights" --format=gguf --type="$type" --to="$gguf" >/dev/null
rm "$weights"
# shellcheck disable=SC2086
python3 "$here/peers_llama.py" --model="$gguf" $pythons "$program" "$@"
