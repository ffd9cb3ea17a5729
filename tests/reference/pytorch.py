"""Turns a PyTorch file of nanoGPT's into a safetensors file, which `make import MODEL=FILE.safetensors` takes.

    pytorch.py ckpt.pt FILE.safetensors
    pytorch.py model_weights.pth FILE.safetensors n_head=6 [activation_function=gelu_new] [dropout=0.1]

ckpt.pt is nanoGPT's checkpoint; model_weights.pth is a state dict alone, which does not say n_head. Both are read with weights_only=True, which
makes tensors and plain values and runs nothing of the file. Tensors keep their numbers, types and nanoGPT's names, of
which "_orig_mod." (torch.compile) and "module." (its wrapper for many GPUs) are removed; masks and a tied head are left
out. What the shapes do not say goes into the metadata: n_head, dropout, the activation. Needs torch alone.
"""

import json
import os
import re
import struct
import sys

import torch

NAME = re.compile(
    r"transformer\.(w[tp]e\.weight|ln_f\.(weight|bias)"
    r"|h\.\d+\.(ln_1|ln_2|attn\.c_attn|attn\.c_proj|mlp\.c_fc|mlp\.c_proj)\.(weight|bias))|lm_head\.(weight|bias)"
)
MASK = re.compile(r"transformer\.h\.\d+\.attn\.(bias|masked_bias)")
TYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}
KEYS = ("n_head", "activation_function", "dropout")  # what the shapes do not say
HEAD, TABLE = "lm_head.weight", "transformer.wte.weight"


def read(path):
    """The state dict of a file, and nanoGPT's model_args, which a state dict alone has not."""
    try:
        file = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise SystemExit(f"{path}: no such file") from None
    except Exception as problem:
        line = str(problem).strip().split("\n")[0]
        raise SystemExit(f"{path}: cannot be read with weights_only=True: {line}") from None
    if not isinstance(file, dict):
        raise SystemExit(f"{path}: holds a {type(file).__name__}; nanoGPT's checkpoint or a state dict is wanted")
    return (file["model"], file.get("model_args", {})) if isinstance(file.get("model"), dict) else (file, {})


def take(path, state):
    """The tensors by nanoGPT's names."""
    tensors = {}
    for name, value in state.items():
        own = re.sub(r"^((_orig_mod|module)\.)+", "", str(name))
        if MASK.fullmatch(own):
            continue
        if not NAME.fullmatch(own):
            raise SystemExit(f"{path}: {own} is not in nanoGPT's GPT, which alone is taken over")
        if not isinstance(value, torch.Tensor) or value.dtype not in TYPES:
            kind = value.dtype if isinstance(value, torch.Tensor) else type(value).__name__
            raise SystemExit(f"{path}: {own} is of type {kind}; float32, float16 or bfloat16 is wanted")
        if own in tensors:
            raise SystemExit(f"{path}: has {own} twice, once with a prefix")
        tensors[own] = value.detach().contiguous()
    if TABLE not in tensors:
        raise SystemExit(f"{path}: has no {TABLE}; the weights of nanoGPT's GPT are wanted")
    if HEAD in tensors and torch.equal(tensors[HEAD], tensors[TABLE]):
        del tensors[HEAD]
    return tensors


def write(path, tensors, metadata):
    header, at = {"__metadata__": metadata}, 0
    for name, tensor in tensors.items():
        end = at + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": TYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path + ".tmp", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            file.write(tensor.flatten().view(torch.uint8).numpy().data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".tmp", path)


def main():
    words = [word.partition("=") for word in sys.argv[3:]]
    if len(sys.argv) < 3 or not sys.argv[2].endswith(".safetensors") or any(key not in KEYS for key, _, _ in words):
        raise SystemExit("usage: pytorch.py ckpt.pt FILE.safetensors [" + "] [".join(f"{key}=..." for key in KEYS) + "]")
    source, path = sys.argv[1:3]
    state, arguments = read(source)
    tensors = take(source, state)
    # nanoGPT has nn.GELU() whatever its model was finetuned from.
    stated = {"activation_function": "gelu"} | {key: str(arguments[key]) for key in KEYS if key in arguments}
    stated |= {key: value for key, _, value in words}
    if "n_head" not in stated:
        raise SystemExit(f"{source}: does not say how many heads its model has; add n_head=...")
    write(path, tensors, {"format": "pt"} | stated)
    print(f"{path}: {len(tensors)} tensors, {sum(t.numel() for t in tensors.values()):,} numbers")
    print(f"next: make import MODEL={path} NAME=mine")


main()
