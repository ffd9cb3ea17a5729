#!/bin/sh
# vocabularies.sh FILE.gguf ...: the ids of real vocabularies beside those of Hugging Face's tokenizers, and of llama.cpp,
# where it has put FILE.gguf.inp and FILE.gguf.out beside them, as in its models/ggml-vocab-*.gguf: `make
# vocabulary-parity`. VENV=path names an environment with tokenizers and gguf.
set -eu
cd "$(dirname "$0")/../.."
here=tests/reference
venv=${VENV:-build/venv-vocabularies}
[ $# -gt 0 ] || {
    echo 'FILE is missing: make vocabulary-parity FILE="path/ggml-vocab-llama-bpe.gguf ..."' >&2
    exit 64
}
. tests/reference/venv.sh
[ -n "${VENV-}" ] || update_venv "$venv" tokenizers 'gguf, tokenizers' gguf tokenizers -r $here/requirements-tokenizer.txt
"$venv/bin/python" -c 'from importlib.metadata import version
print("vocabularies:", *(name + " " + version(name) for name in ("gguf", "tokenizers")))'
"$venv/bin/python" "$here/vocabularies.py" build/encode "$@"
