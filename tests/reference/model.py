"""The models of Diecast in PyTorch, with nanoGPT's names in the state dict.

Written to be compared with, not to be fast: attention is spelled out. There is no dropout, since
masks of two generators cannot be compared.

Letters: B batch, T context, C width, H heads, D head size, V vocabulary.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

ACTIVATIONS = {
    "gelu_erf": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "relu": F.relu,
    "silu": F.silu,
}

DEFAULTS = {
    "model": "gpt",
    "bias": False,
    "lm_head_bias": False,
    "tie_weights": True,
    "activation": "gelu_erf",
    "attn_scale": "head",
}


class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        width = config["n_embd"]
        self.heads = config["n_head"]
        per = {"head": width // self.heads, "embd": width}[config["attn_scale"]]
        self.scale = 1.0 / math.sqrt(per)
        self.c_attn = nn.Linear(width, 3 * width, bias=config["qkv_bias"])
        self.c_proj = nn.Linear(width, width, bias=config["bias"])

    def forward(self, x):  # (B, T, C)
        B, T, C = x.shape
        q, k, v = (
            part.view(B, T, self.heads, C // self.heads).transpose(1, 2)  # (B, H, T, D)
            for part in self.c_attn(x).split(C, dim=2)
        )
        scores = (q @ k.transpose(2, 3)) * self.scale  # (B, H, T, T)
        future = torch.ones(T, T, dtype=torch.bool).triu(1)
        wide = torch.promote_types(scores.dtype, torch.float32)  # as autocast has it on a GPU
        weights = scores.masked_fill(future, -math.inf).softmax(dim=3, dtype=wide)
        self.weights = weights.detach()
        return self.c_proj((weights @ v).transpose(1, 2).reshape(B, T, C))


class MLP(nn.Module):
    def __init__(self, config):
        super().__init__()
        width = config["n_embd"]
        self.c_fc = nn.Linear(width, 4 * width, bias=config["bias"])
        self.activation = ACTIVATIONS[config["activation"]]
        self.c_proj = nn.Linear(4 * width, width, bias=config["bias"])

    def forward(self, x):
        return self.c_proj(self.activation(self.c_fc(x)))


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.ln_1 = nn.LayerNorm(config["n_embd"], eps=1e-5, bias=config["bias"])
        self.attn = Attention(config)
        self.ln_2 = nn.LayerNorm(config["n_embd"], eps=1e-5, bias=config["bias"])
        self.mlp = MLP(config)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class GPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        V, C = config["vocab_size"], config["n_embd"]
        self.transformer = nn.ModuleDict(
            {
                "wte": nn.Embedding(V, C),
                "wpe": nn.Embedding(config["block_size"], C),
                "h": nn.ModuleList(Block(config) for _ in range(config["n_layer"])),
                "ln_f": nn.LayerNorm(C, eps=1e-5, bias=config["bias"]),
            }
        )
        self.lm_head = nn.Linear(C, V, bias=config["lm_head_bias"])
        if config["tie_weights"]:
            self.lm_head.weight = self.transformer.wte.weight

    def forward(self, tokens):  # (B, T) -> logits (B, T, V)
        positions = torch.arange(tokens.shape[1])
        x = self.transformer.wte(tokens) + self.transformer.wpe(positions)
        for block in self.transformer.h:
            x = block(x)
        return self.lm_head(self.transformer.ln_f(x))


class Bigram(nn.Module):
    """The baseline: the logits of the next token are a row of one table."""

    def __init__(self, config):
        super().__init__()
        V = config["vocab_size"]
        self.token_embedding_table = nn.Embedding(V, V)

    def forward(self, tokens):
        return self.token_embedding_table(tokens)


def create(config):
    """The model that a config (a dict of baked keys) describes."""
    config = DEFAULTS | config
    config.setdefault("qkv_bias", config["bias"])
    return {"gpt": GPT, "bigram": Bigram}[config["model"]](config)


def mean_loss(model, tokens, targets):
    """Mean cross-entropy over the targets that count: those of -1 do not."""
    logits = model(tokens)
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-1)
