"""Hugging Face's side of what `make export FORMAT=hf` wrote, for `make hf-parity`.

    hf_export.py logits FOLDER CKPT TOKENS    logits of transformers' model and of model.py with CKPT's weights
    hf_export.py ids FOLDER TEXT TOKENS       the tokenizer's ids of TEXT's first 90%, its text of them, and TOKENS
    hf_export.py text FOLDER PROMPT COUNT     the prompt and the likeliest tokens after it, by generate()
    hf_export.py save FOLDER OUT              loads all of it and saves it again

TOKENS is a file of uint16. Everything is loaded by AutoModelForCausalLM and AutoTokenizer.
"""

import sys

import numpy
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer

from config import read_line
from model import create


def read_tokens(path):
    return torch.from_numpy(numpy.fromfile(path, dtype="<u2").astype(numpy.int64))


def load(folder, **words):
    """The model, of which no tensor may be missing, left over or made up."""
    model, info = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True, **words)
    for problem, names in info.items():
        if names:
            raise SystemExit(f"{folder}: {problem}: {names}")
    return model.eval()


@torch.no_grad()
def logits(folder, checkpoint, path):
    theirs = load(folder)
    with safe_open(checkpoint, framework="pt") as file:
        config = read_line(file.metadata()["config"])
        weights = {name: file.get_tensor(name) for name in file.keys() if not name.startswith("adam.")}
    for name, parameter in theirs.state_dict().items():  # stored in its type, rounded to the nearest
        own = weights.get(name, torch.zeros(()))
        own = own.T if ".h." in name and own.ndim == 2 else own
        if not torch.equal(parameter, own.to(parameter.dtype).expand(parameter.shape)):
            raise SystemExit(f"{name} is not the checkpoint's")
    kind = theirs.dtype
    ours = create(config).eval()
    ours.load_state_dict({name: weight.to(kind).double() for name, weight in weights.items()}, strict=True)
    ours.double()
    tokens = read_tokens(path)[: 8 * config["block_size"]].view(8, -1)
    wanted = ours(tokens)
    apart = (theirs.float()(tokens).logits - wanted).abs().max().item()
    print(f"{kind}: logits up to {wanted.abs().max().item():.3g}, off by at most {apart:.1e}")
    raise SystemExit(0 if apart < 1e-4 else 1)


def ids(folder, text_path, path):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with open(text_path, encoding="utf-8", newline="") as file:
        text = file.read()
    text = text[: int(0.9 * len(text))]
    found = tokenizer(text).input_ids
    same = found == read_tokens(path).tolist()
    back = tokenizer.decode(found) == text
    print(f"{len(found)} ids, as prepared: {same}; the text comes back: {back}")
    raise SystemExit(0 if same and back else 1)


def text(folder, prompt, count):
    model, tokenizer = load(folder), AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer(prompt, return_tensors="pt")
    made = model.generate(**inputs, max_new_tokens=int(count), do_sample=False, use_cache=True)
    print(tokenizer.decode(made[0]))


def save(folder, out):
    load(folder).save_pretrained(out)
    AutoTokenizer.from_pretrained(folder).save_pretrained(out)


def main():
    commands = {"logits": logits, "ids": ids, "text": text, "save": save}
    if len(sys.argv) < 4 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    commands[sys.argv[1]](*sys.argv[2:])


main()
