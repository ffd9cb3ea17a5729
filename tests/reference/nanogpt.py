"""PyTorch's side of `make nanogpt-parity`: files as nanoGPT's train.py and torch.save write them.

    nanogpt.py make FOLDER TEXT     in FOLDER: ckpt.pt, its meta.pkl (the characters of TEXT), model_weights.pth (a state
                                    dict alone, bfloat16, with biases), evil.pt, whose pickle would write FOLDER/evil,
                                    and other.pt, of another model
    nanogpt.py loss FILE TEXT       mean loss of such a model over TEXT, in consecutive windows and in double
"""

import pathlib
import pickle
import sys

import torch

from model import create

SIZES = {"n_layer": 3, "n_head": 4, "n_embd": 32, "block_size": 24}


def random_model(**more):
    config = SIZES | {"qkv_bias": more["bias"], "model": "gpt"} | more
    model = create(config)
    with torch.no_grad():
        for parameter in model.parameters():  # scales and biases that say something
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (pathlib.Path.touch, (pathlib.Path(self.path),))


def make(folder, text):
    torch.manual_seed(1)
    characters = sorted(set(text))
    size = len(characters)
    model = random_model(bias=False, vocab_size=size)
    arguments = SIZES | {"bias": False, "vocab_size": size, "dropout": 0.2}
    state = {f"_orig_mod.{name}": value for name, value in model.state_dict().items()}
    for layer in range(SIZES["n_layer"]):  # the mask of nanoGPT without flash attention
        mask = torch.tril(torch.ones(SIZES["block_size"], SIZES["block_size"]))
        state[f"_orig_mod.transformer.h.{layer}.attn.bias"] = mask[None, None]
    optimizer = torch.optim.AdamW(model.parameters())
    sum(p.sum() for p in model.parameters()).backward()
    optimizer.step()
    state |= {f"_orig_mod.{name}": value for name, value in model.state_dict().items()}
    checkpoint = {
        "model": state,
        "optimizer": optimizer.state_dict(),
        "model_args": arguments,
        "iter_num": 20,
        "best_val_loss": torch.tensor(3.5),
        "config": {"dataset": "text", "learning_rate": 1e-3, "compile": True},
    }
    torch.save(checkpoint, f"{folder}/ckpt.pt")
    vocabulary = {
        "vocab_size": size,
        "itos": dict(enumerate(characters)),
        "stoi": {character: i for i, character in enumerate(characters)},
    }
    with open(f"{folder}/meta.pkl", "wb") as file:
        pickle.dump(vocabulary, file)
    other = random_model(bias=True, vocab_size=size).to(torch.bfloat16)
    torch.save(other.state_dict(), f"{folder}/model_weights.pth")
    torch.save({"model": other.state_dict(), "evil": Evil(f"{folder}/evil")}, f"{folder}/evil.pt")
    torch.save(torch.nn.Linear(3, 4).state_dict(), f"{folder}/other.pt")


def loss(path, text):
    file = torch.load(path, weights_only=True)
    state = file.get("model", file)
    state = {n.removeprefix("_orig_mod."): v for n, v in state.items() if not n.endswith(".attn.bias")}
    bias, size = "transformer.ln_f.bias" in state, len(state["lm_head.weight"])
    model = random_model(bias=bias, vocab_size=size).double()
    model.load_state_dict(state, strict=True)
    characters = sorted(set(text))
    ids = torch.tensor([characters.index(character) for character in text])
    length, total = SIZES["block_size"], 0.0
    with torch.no_grad():
        for begin in range(0, len(ids) - 1, length):
            targets = ids[begin + 1 : begin + length + 1]
            logits = model(ids[None, begin : begin + len(targets)])[0]
            total += torch.nn.functional.cross_entropy(logits, targets, reduction="sum").item()
    print(f"{total / (len(ids) - 1):.9f} {len(ids) - 1}")


def main():
    if len(sys.argv) != 4 or sys.argv[1] not in ("make", "loss"):
        raise SystemExit(__doc__)
    command, path, text = sys.argv[1:]
    with open(text, encoding="utf-8") as file:
        {"make": make, "loss": loss}[command](path, file.read())


main()
