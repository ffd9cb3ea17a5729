#!/bin/sh
# tokenizer.sh [FILE ...]: compares our GPT-2 tokenizer with tiktoken, id for id: code points, mixed text,
# runs of spaces, data/shakespeare, this project's own files, and any UTF-8 files named.
set -eu
cd "$(dirname "$0")/../.."
here=tests/reference
venv=build/venv-tokenizer

data/prepare.sh --if-missing shakespeare
if [ ! -f data/gpt2/vocab.bpe ] || [ ! -f data/gpt2/encoder.json ]; then
    data/prepare.sh shakespeare # which brings them
fi
. tests/reference/venv.sh
update_venv $venv tiktoken tiktoken -r $here/requirements-tokenizer.txt
"$venv/bin/python" -c 'from importlib.metadata import version; print("tokenizer: tiktoken", version("tiktoken"))'

# Without a cache folder tiktoken reads the files here.
TIKTOKEN_CACHE_DIR='' "$venv/bin/python" "$here/tokenizer.py" build/encode data/shakespeare/input.txt README.md \
    Makefile gen/config/keys.lua runtime/programs/train.c "$here/tokenizer.py" "$@"
