"""One way to train the same model in PyTorch on a CPU, in turns with others (peers.py starts it).

    peer_cpu.py --sizes=SIZES.json --threads=N [--compile] [--fused] [--autocast]

Each line on stdin is a number of seconds; it is answered by a line of JSON with the times, in ms,
of the steps in them, and the process's peak resident memory. The first line of stdout says what
runs.

A step: a batch of random windows, forward, backward, clip_grad_norm_, AdamW's step, zero_grad with
set_to_none; in float32, or with --autocast as torch.autocast has it: weights float32, products of
bfloat16 factors. Without flags it is PyTorch as installed: eager, AdamW as it comes. Where the
config's optimizer is muon, torch.optim.Muon (its products are in bfloat16) steps the matrices in
blocks, and AdamW the rest.
SIZES.json: the config's keys (peers.py writes it).
"""

import argparse
import json
import math
import resource
import sys
import time

import torch

from peer_model import GPT, unknown

TOKENS = 1 << 20  # made up, uniform
PRODUCT = 1024  # rows, columns and inner size


def read_options():
    parser = argparse.ArgumentParser(description="Times a GPT's training step in PyTorch.")
    parser.add_argument("--sizes", required=True, help="the config's keys, as JSON")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--compile", action="store_true", help="torch.compile")
    parser.add_argument("--fused", action="store_true", help="AdamW(fused=True)")
    parser.add_argument("--autocast", action="store_true", help="torch.autocast to bfloat16")
    return parser.parse_args()


class Trainer:
    def __init__(self, c, options):
        torch.manual_seed(1337)
        self.c = c
        self.autocast = torch.autocast("cpu", dtype=torch.bfloat16, enabled=options.autocast)
        count = max(TOKENS, 2 * c["block_size"])
        self.tokens = torch.randint(c["vocab_size"], (count,), dtype=torch.int32)
        self.model = GPT(c).train()
        self.call = torch.compile(self.model) if options.compile else self.model
        muon = c["optimizer"] == "muon"
        blocks = {n: p for n, p in self.model.named_parameters() if ".h." in n and p.dim() == 2}
        params = [p for n, p in self.model.named_parameters() if not muon or n not in blocks]
        flat = 0.0 if c["decay_params"] == "matrices" else c["weight_decay"]
        groups = [
            {"params": [p for p in params if p.dim() >= 2], "weight_decay": c["weight_decay"]},
            {"params": [p for p in params if p.dim() < 2], "weight_decay": flat},
        ]
        more = {"fused": True} if options.fused else {}
        betas = (c["beta1"], c["beta2"])
        adamw = torch.optim.AdamW(groups, lr=1e-4, betas=betas, eps=c["eps"], **more)
        self.optimizers = [adamw]
        if muon:
            self.optimizers.append(torch.optim.Muon(blocks.values(), lr=1e-4, weight_decay=0.0))

    def batch(self):
        B, T = self.c["batch_size"], self.c["block_size"]
        starts = torch.randint(len(self.tokens) - T, (B, 1))
        rows = self.tokens[starts + torch.arange(T + 1)].long()
        return rows[:, :-1], rows[:, 1:]

    def step(self):
        """One step; its milliseconds."""
        start = time.perf_counter()
        tokens, targets = self.batch()
        with self.autocast:
            loss = self.call(tokens, targets)
        loss.backward()
        if self.c["grad_clip"] > 0:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.c["grad_clip"])
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        ms = (time.perf_counter() - start) * 1e3
        if not math.isfinite(loss.item()):
            raise SystemExit("peer_cpu: the loss is not finite")
        return ms


def product_gflops():
    """The rate of a large float32 product by PyTorch's library."""
    a, b = torch.randn(PRODUCT, PRODUCT), torch.randn(PRODUCT, PRODUCT)
    best = math.inf
    for _ in range(10):
        start = time.perf_counter()
        torch.mm(a, b)
        best = min(best, time.perf_counter() - start)
    return 2 * PRODUCT**3 / best / 1e9


def turn(trainer, seconds):
    trainer.step()  # the others' turns have left their own data in the caches
    ms = []
    while len(ms) < 2 or sum(ms) < seconds * 1e3:
        ms.append(trainer.step())
    return ms


def main():
    options = read_options()
    if torch.get_num_threads() != options.threads:
        torch.set_num_threads(options.threads)
    with open(options.sizes, encoding="utf-8") as file:
        c = json.load(file)
    if unknown(c):
        raise SystemExit(f"peer_cpu: the model lacks {', '.join(unknown(c))}")
    trainer = Trainer(c, options)
    for _ in range(3):
        trainer.step()
    ready = {
        "torch": torch.__version__,
        "params": sum(p.numel() for p in trainer.model.parameters()),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "product_gflops": round(product_gflops(), 1),
    }
    print(json.dumps(ready), flush=True)
    for line in sys.stdin:
        ms = turn(trainer, float(line))
        rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps({"ms": ms, "peak_rss_bytes": rss}), flush=True)


if __name__ == "__main__":
    main()
