"""Times the same model in PyTorch: tests/cuda/gpu/bench.sh compares a CUDA trainer with it.

    peer_torch.py --sizes=SIZES.json --tokens=TOKENS.bin --batch=B --accumulation=A --json=OUT

The config's GPT (peer_model.py), given what PyTorch has to offer: torch.compile, bf16 autocast over
float32 weights, TF32 for what stays float32, the fastest of the fused attention backends (timed here, at
this shape), fused AdamW, one synchronisation an update. An update is A micro-steps of B sequences,
the clip and AdamW; the median of the timed updates counts. OUT is rewritten after each of them, so
that a run that is stopped still says what it has.

SIZES.json: the config's keys (tests/bench/floor.lua --sizes). TOKENS.bin: raw little-endian uint16.
Where B does not fit, B is halved and A doubled, and the result says so. --device=cpu is for testing
this file: it shows nothing about speed; peer_cpu.py does.
"""

import argparse
import contextlib
import json
import math
import os
import statistics
import sys
import time

import torch
from torch import nn

from peer_model import GPT, attend

PRODUCT = 8192  # rows, columns and inner size of the large product


# ---- what is chosen and measured once ------------------------------------------------------------


def seconds_of(work, device, rounds):
    """The median time of one call."""
    times = []
    for _ in range(rounds):
        start = now(device)
        work()
        times.append(now(device) - start)
    return statistics.median(times)


def now(device):
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


BACKENDS = {
    "flash": torch.backends.cuda.enable_flash_sdp,
    "cudnn": getattr(torch.backends.cuda, "enable_cudnn_sdp", None),
    "efficient": torch.backends.cuda.enable_mem_efficient_sdp,
    "math": torch.backends.cuda.enable_math_sdp,
}


def use_backend(wanted):
    for name, enable in BACKENDS.items():
        if enable:
            enable(name == wanted)


def choose_backend(c, batch, device):
    """Leaves the fastest attention backend on, forward and backward; returns all times in ms."""
    if device != "cuda":
        return "default", {}
    T, H = c["block_size"], c["n_head"]
    KV, D = c.get("n_kv_head") or H, c.get("head_size") or c["n_embd"] // H
    qkv = torch.randn(batch, H + 2 * KV, T, D, device=device, dtype=torch.bfloat16)
    qkv.requires_grad_()
    times = {}
    for name in ("flash", "cudnn", "efficient"):
        if not BACKENDS[name]:
            continue
        use_backend(name)

        def both():
            q, k, v = qkv.split([H, KV, KV], dim=1)
            y = attend(q, k, v, c["dropout"], 1 / math.sqrt(D))
            y.backward(torch.ones_like(y))
            qkv.grad = None

        try:
            both()
            times[name] = seconds_of(both, device, 10) * 1e3
        except RuntimeError as error:
            print(f"peer_torch: attention backend {name}: {first_line(error)}", file=sys.stderr)
    best = min(times, key=times.get) if times else "math"
    use_backend(best)
    return best, times


def product_tflops(device):
    """The bf16 rate of a large product by PyTorch's cuBLAS."""
    n = PRODUCT if device == "cuda" else 256
    a, b = (torch.randn(n, n, device=device, dtype=torch.bfloat16) for _ in range(2))
    for _ in range(5):
        a @ b
    return 2 * n**3 / seconds_of(lambda: a @ b, device, 20) / 1e12


def first_line(error):
    return str(error).strip().split("\n")[0][:200]


# ---- training ------------------------------------------------------------------------------------


class Batches:
    """Random windows of the tokens; the same ones in every run."""

    def __init__(self, path, c, device):
        count = os.path.getsize(path) // 2
        if count < c["block_size"] + 1:
            raise SystemExit(f"peer_torch: {path}: {count} tokens, wanted more")
        signed = torch.from_file(path, size=count, dtype=torch.int16)
        self.tokens = signed.to(torch.int32).bitwise_and_(0xFFFF)
        largest = self.tokens.max().item()
        if largest >= c["vocab_size"]:
            raise SystemExit(f"peer_torch: {path}: token {largest}, vocabulary {c['vocab_size']}")
        self.T, self.device = c["block_size"], device
        self.random = torch.Generator().manual_seed(1337)

    def next(self, batch):
        starts = torch.randint(len(self.tokens) - self.T, (batch, 1), generator=self.random)
        rows = self.tokens[starts + torch.arange(self.T + 1)].long()
        if self.device == "cuda":
            rows = rows.pin_memory().to("cuda", non_blocking=True)
        return rows[:, :-1], rows[:, 1:]


def make_optimizer(model, c, device):
    params = list(model.parameters())
    groups = [
        {"params": [p for p in params if p.dim() >= 2], "weight_decay": c["weight_decay"]},
        {"params": [p for p in params if p.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        groups, lr=c["learning_rate"], betas=(c["beta1"], c["beta2"]), eps=c["eps"], fused=True
    )


class Trainer:
    def __init__(self, c, options, batch, accumulation):
        torch.manual_seed(1337)
        self.c, self.device, self.batch, self.accumulation = c, options.device, batch, accumulation
        self.batches = Batches(options.tokens, c, options.device)
        self.model = GPT(c).to(options.device).train()
        self.optimizer = make_optimizer(self.model, c, options.device)
        self.call = torch.compile(self.model, mode=options.mode) if options.compile else self.model

    def update(self):
        """One update; its loss, still on the device."""
        total = 0
        for _ in range(self.accumulation):
            tokens, targets = self.batches.next(self.batch)
            with torch.autocast(self.device, dtype=torch.bfloat16):
                loss = self.call(tokens, targets) / self.accumulation
            loss.backward()
            total = total + loss.detach()
        if self.c["grad_clip"] > 0:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.c["grad_clip"])
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return total


def write(path, result):
    with open(path + ".part", "w", encoding="utf-8") as file:
        json.dump(result, file, indent=1)
        file.write("\n")
    os.replace(path + ".part", path)


def measure(c, options, batch, accumulation, began, result):
    """Warm and timed updates; result and its file grow with each of them."""
    result |= {"batch_size": batch, "accumulation": accumulation}
    result["sdpa"], result["sdpa_ms"] = choose_backend(c, batch, options.device)
    trainer = Trainer(c, options, batch, accumulation)
    result["params"] = sum(p.numel() for p in trainer.model.parameters())
    start = now(options.device)
    result["loss_first"] = trainer.update().item()
    result["first_update_s"] = now(options.device) - start  # compilation, for the most part

    def in_time(share):
        return not options.seconds or time.perf_counter() - began < share * options.seconds

    warm = 0
    while warm < options.warm and (warm < 2 or in_time(0.6)):
        trainer.update()
        warm += 1
        now(options.device)
    times = []
    while len(times) < options.steps and (len(times) < 3 or in_time(1.0)):
        start = now(options.device)
        loss = trainer.update()
        times.append((now(options.device) - start) * 1e3)
        ordered = sorted(times)
        tokens = batch * accumulation * c["block_size"]
        result |= {
            "warm": warm,
            "steps": len(times),
            "ms_median": statistics.median(ordered),
            "ms_p10": ordered[len(ordered) // 10],
            "ms_p90": ordered[-1 - len(ordered) // 10],
            "tokens_per_s": tokens / statistics.median(ordered) * 1e3,
        }
        write(options.json, result)
    result["loss_last"] = loss.item()
    if not math.isfinite(result["loss_last"]):
        raise SystemExit("peer_torch: the loss is not finite")
    if options.device == "cuda":
        result["peak_bytes"] = torch.cuda.max_memory_allocated()
    write(options.json, result)


def read_options():
    parser = argparse.ArgumentParser(description="Times a GPT-2 training step in PyTorch.")
    parser.add_argument("--sizes", required=True, help="the config's keys, as JSON")
    parser.add_argument("--tokens", required=True, help="raw little-endian uint16")
    parser.add_argument("--json", required=True, help="where the result goes")
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--accumulation", type=int, default=1)
    parser.add_argument("--warm", type=int, default=20, help="updates that do not count")
    parser.add_argument("--steps", type=int, default=50, help="updates that are timed")
    parser.add_argument("--seconds", type=float, default=0, help="stop before; at least 3 updates")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--mode", default="default", help="torch.compile's")
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    options = parser.parse_args()
    if options.steps < 1 or options.batch < 1 or options.accumulation < 1:
        parser.error("--steps, --batch and --accumulation are at least 1")
    return options


def main():
    began = time.perf_counter()
    options = read_options()
    if options.device == "cuda" and not torch.cuda.is_available():
        print("peer_torch: PyTorch sees no GPU here; nothing was run")
        raise SystemExit(77)
    torch.set_float32_matmul_precision("high")  # TF32
    torch.backends.cudnn.allow_tf32 = True
    with open(options.sizes, encoding="utf-8") as file:
        c = json.load(file)
    if c["model"] != "gpt" or c["optimizer"] != "adamw" or c["decay_params"] != "matrices":
        raise SystemExit(f"peer_torch: {options.sizes}: wanted a GPT, AdamW and decay of matrices")
    result = {
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "device": torch.cuda.get_device_name() if options.device == "cuda" else "cpu",
        "compile": options.mode if options.compile else "no",
        "asked_batch_size": options.batch,
        "product_size": PRODUCT if options.device == "cuda" else 256,
        "product_tflops": product_tflops(options.device),
    }
    batch, accumulation = options.batch, options.accumulation
    while True:
        try:
            measure(c, options, batch, accumulation, began, result)
            break
        except torch.cuda.OutOfMemoryError:
            if batch % 2:
                raise SystemExit(f"peer_torch: batch {batch} does not fit") from None
        batch, accumulation = batch // 2, accumulation * 2
        with contextlib.suppress(Exception):
            torch._dynamo.reset()
        torch.cuda.empty_cache()
        print(f"peer_torch: out of memory; now {accumulation} micro-steps of {batch}")
    print(
        f"peer_torch: {result['ms_median']:.2f} ms an update of {accumulation} x {batch} x "
        f"{c['block_size']} tokens, {result['tokens_per_s']:.0f} tokens/s, {result['steps']} "
        f"updates, attention {result['sdpa']}, loss {result['loss_first']:.3f} to "
        f"{result['loss_last']:.3f}"
    )


if __name__ == "__main__":
    main()
