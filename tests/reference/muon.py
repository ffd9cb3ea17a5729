"""Muon as Keller Jordan wrote it, in the type of its parameters or, as torch.optim.Muon, with products in bfloat16."""

import math

import torch


def orthogonal(u, dtype):
    """Five Newton-Schulz steps towards the nearest semi-orthogonal matrix, in dtype."""
    x = u.T if u.shape[0] > u.shape[1] else u
    x = (x / (x.norm() + 1e-7)).to(dtype)
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return (x.T if u.shape[0] > u.shape[1] else x).to(u.dtype)


class Muon(torch.optim.Optimizer):
    """Each parameter is a matrix, or several below each other: a group has the rows of each of its parameters'."""

    def __init__(self, groups, lr, momentum, weight_decay, adjust, dtype=None):
        super().__init__(groups, {"lr": lr})
        self.momentum, self.weight_decay, self.adjust = momentum, weight_decay, adjust
        self.dtype = dtype

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                mean = state.setdefault("mean", torch.zeros_like(p))
                mean.lerp_(p.grad, 1 - self.momentum)
                p.mul_(1 - group["lr"] * self.weight_decay)
                update = p.grad.lerp(mean, self.momentum)
                for matrix, u in zip(p.split(group["rows"]), update.split(group["rows"])):
                    rows, cols = matrix.shape
                    scale = math.sqrt(max(1, rows / cols))
                    if self.adjust == "match_rms_adamw":
                        scale = 0.2 * math.sqrt(max(rows, cols))
                    matrix.sub_(group["lr"] * scale * orthogonal(u, self.dtype or u.dtype))
