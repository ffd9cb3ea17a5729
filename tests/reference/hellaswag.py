"""PyTorch's side of `make hellaswag-parity`: HellaSwag's items in GPT-2's tokens, and a model's choices.

    hellaswag.py file LINES FOLDER BIN     the file of an evaluation, as llm.c lays it out, with FOLDER's tokenizer
    hellaswag.py score LINES FOLDER [T]    right by mean, right by sum, items cut, and both lists of choices
                                           of the transformers model in FOLDER, with T tokens of context
"""

import json
import struct
import sys

import torch
from transformers import GPT2LMHeadModel, GPT2TokenizerFast


def items(lines, folder):
    """(context, endings, label) of each line, in tokens."""
    tokenizer = GPT2TokenizerFast.from_pretrained(folder)
    with open(lines, encoding="utf-8") as file:
        for line in file:
            item = json.loads(line)
            yield (
                tokenizer.encode(item["ctx"]),
                [tokenizer.encode(" " + ending) for ending in item["endings"]],
                item["label"],
            )


def write(lines, folder, path):
    parts = []
    for index, (context, endings, label) in enumerate(items(lines, folder)):
        words = [label, len(endings), len(context), *context]
        for ending in endings:
            words += [len(ending), *ending]
        words = [65535, 2 * (len(words) + 3), index, *words]
        parts.append(struct.pack(f"<{len(words)}H", *words))
    header = struct.pack("<4i", 20240522, 1, len(parts), max(len(part) for part in parts))
    with open(path, "wb") as file:
        file.write(header.ljust(1024, b"\0") + b"".join(parts))


def score(lines, folder, length=None):
    model = GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float64)
    length = int(length or model.config.n_positions)
    right, cut, chosen = [0, 0], 0, ["", ""]
    with torch.no_grad():
        for context, endings, label in items(lines, folder):
            rows = [context + ending for ending in endings]
            cut += any(len(row) > length + 1 for row in rows)
            means, sums = [], []
            for row, ending in zip(rows, endings):
                row = torch.tensor(row[-length - 1 :])
                logits = model(row[None, :-1]).logits[0]
                losses = torch.nn.functional.cross_entropy(logits, row[1:], reduction="none")[-len(ending) :]
                means.append(losses.mean().item())
                sums.append(losses.sum().item())
            for i, values in enumerate((means, sums)):
                choice = values.index(min(values))
                right[i] += choice == label
                chosen[i] += str(choice)
    print(*right, cut, *chosen)


def main():
    command, *words = sys.argv[1:]
    {"file": write, "score": score}[command](*words)


main()
