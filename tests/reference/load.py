"""Loads a checkpoint into the PyTorch model: load.py CKPT.safetensors CONFIG [VAL_BIN].

CONFIG is a .lua file; what it states of the model must be what the checkpoint was trained with.
The state dict is loaded strictly, then the loss on random batches of the validation tokens is
compared with the one in the checkpoint's metadata. Both are means over random batches, so they
agree within their standard errors.
"""

import math
import pathlib
import sys

import numpy
import torch
from safetensors import safe_open

from config import read_line, read_lua
from model import create, mean_loss

ROOT = pathlib.Path(__file__).parents[2]
BATCHES = 100
# What shapes the model; a config's other keys may have been overridden for a run.
MODEL_KEYS = (
    "model",
    "n_layer",
    "n_head",
    "n_embd",
    "block_size",
    "vocab_size",
    "bias",
    "qkv_bias",
    "lm_head_bias",
    "tie_weights",
    "activation",
    "attn_scale",
)


@torch.no_grad()
def batch_losses(model, config, path):
    """Losses (BATCHES) on random batches of a token file, always the same ones."""
    B, T = config["batch_size"], config["block_size"]
    tokens = torch.from_numpy(numpy.fromfile(path, dtype="<u2").astype(numpy.int64))
    random = numpy.random.RandomState(1337)
    losses = []
    for _ in range(BATCHES):
        starts = random.randint(0, len(tokens) - T, size=B)
        rows = torch.stack([tokens[s : s + T + 1] for s in starts])
        losses.append(mean_loss(model, rows[:, :-1], rows[:, 1:]).item())
    return numpy.array(losses)


def main():
    if len(sys.argv) not in (3, 4):
        raise SystemExit("usage: load.py CKPT.safetensors CONFIG [VAL_BIN]")
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    path, stated = sys.argv[1], read_lua(sys.argv[2])
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        weights = {name: file.get_tensor(name) for name in file.keys()}
    config = read_line(metadata["config"])
    for key in MODEL_KEYS:
        if key in stated and stated[key] != config.get(key):
            raise SystemExit(f"{path}: {key} = {config.get(key)}, {sys.argv[2]} has {stated[key]}")

    model = create(config).eval()
    model.load_state_dict(weights, strict=True)
    print(f"{path}: {len(weights)} tensors loaded strictly")
    if config.get("tie_weights", True) and config["model"] == "gpt":
        if not torch.equal(weights["lm_head.weight"], weights["transformer.wte.weight"]):
            raise SystemExit(f"{path}: lm_head.weight is tied but no copy of wte")

    dataset = read_line(metadata["run"]).get("dataset", stated.get("dataset"))
    tokens = sys.argv[3] if len(sys.argv) == 4 else ROOT / "data" / str(dataset) / "val.bin"
    losses, wanted = batch_losses(model, config, tokens), float(metadata["val_loss"])
    # The trainer's mean may be over fewer batches than ours: 6 errors of ours, and 2 % beside.
    limit = 6.0 * losses.std() / math.sqrt(BATCHES) + 0.02 * wanted
    apart = abs(losses.mean() - wanted)
    verdict = "ok" if apart <= limit else "too far apart"  # NaN is too far
    print(
        f"{path}: val loss {losses.mean():.4f} here, {wanted:.4f} in the checkpoint, "
        f"within {limit:.4f}: {verdict}"
    )
    raise SystemExit(0 if apart <= limit else 1)


if __name__ == "__main__":
    main()
