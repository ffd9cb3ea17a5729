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
    "relu2": lambda x: F.relu(x).square(),
}
GATES = {"swiglu": F.silu, "geglu": F.gelu}

DEFAULTS = {
    "model": "gpt",
    "bias": False,
    "lm_head_bias": False,
    "tie_weights": True,
    "activation": "gelu_erf",
    "attn_scale": "head",
    "norm": "layernorm",
    "norm_eps": 1e-5,
    "norm_gain": True,
    "embd_norm": False,
    "pos": "learned",
    "rope_theta": 10000.0,
    "rope_scaling": "none",
    "rope_factor": 8.0,
    "rope_low_freq_factor": 1.0,
    "rope_high_freq_factor": 4.0,
    "rope_original_context": 8192,
    "rope_sign": 1,
    "qk_norm": "none",
    "qk_norm_at": "before",
    "attn_softcap": 0.0,
    "logit_softcap": 0.0,
    "window": "L",
    "window_size": 0,
}


def norm(config):
    width, eps = config["n_embd"], config["norm_eps"]
    if config["norm"] == "rmsnorm":
        return nn.RMSNorm(width, eps=eps, elementwise_affine=config["norm_gain"])
    return nn.LayerNorm(width, eps=eps, bias=config["bias"])


def softcap(x, cap):
    return cap * torch.tanh(x / cap) if cap else x


def window_of(config, layer):
    """How many tokens before its own a token sees in a layer; None: all. The last layer sees all."""
    pattern = config["window"]
    if layer == config["n_layer"] - 1 or pattern[layer % len(pattern)] == "L":
        return None
    return config["window_size"]


def rope_rates(config, D):
    """Radians for each position (D/2), slowed as transformers does for rope_type llama3."""
    rates = config["rope_theta"] ** (-2.0 * torch.arange(D // 2, dtype=torch.float64) / D)
    if config["rope_scaling"] == "llama3":
        low, high = config["rope_low_freq_factor"], config["rope_high_freq_factor"]
        factor, original = config["rope_factor"], config["rope_original_context"]
        wavelengths = 2 * math.pi / rates
        smooth = (original / wavelengths - low) / (high - low)
        between = (1 - smooth) * rates / factor + smooth * rates
        rates = torch.where(
            wavelengths > original / low,
            rates / factor,
            torch.where(wavelengths < original / high, rates, between),
        )
    return config["rope_sign"] * rates


def rotate(x, rates):  # (B, H, T, D)
    """Rotary positions: column j and column j + D/2 are a complex number, times e^(i t rates[j])."""
    T, D = x.shape[2:]
    angles = torch.arange(T, dtype=torch.float64)[:, None] * rates
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    real, imaginary = x[..., : D // 2], x[..., D // 2 :]
    return torch.cat((real * cos - imaginary * sin, real * sin + imaginary * cos), dim=3)


class Attention(nn.Module):
    def __init__(self, config, layer):
        super().__init__()
        width = config["n_embd"]
        self.heads = config["n_head"]
        self.kv_heads = config.get("n_kv_head") or self.heads
        self.size = config.get("head_size") or width // self.heads
        self.rates = rope_rates(config, self.size) if config["pos"] == "rope" else None
        self.window, self.cap = window_of(config, layer), config["attn_softcap"]
        per = {"head": self.size, "embd": width}[config["attn_scale"]]
        self.scale = 1.0 / math.sqrt(per)
        columns = (self.heads + 2 * self.kv_heads) * self.size
        self.c_attn = nn.Linear(width, columns, bias=config["qkv_bias"])
        self.norm_at = config["qk_norm_at"] if config["qk_norm"] != "none" else None
        gain, eps = config["qk_norm"] == "gain", config["norm_eps"]
        self.q_norm = nn.RMSNorm(self.size, eps=eps, elementwise_affine=gain)
        self.k_norm = nn.RMSNorm(self.size, eps=eps, elementwise_affine=gain)
        self.c_proj = nn.Linear(self.heads * self.size, width, bias=config["attn_bias"])

    def forward(self, x):  # (B, T, C)
        B, T, C = x.shape
        q, k, v = (
            part.view(B, T, -1, self.size).transpose(1, 2)  # (B, heads, T, D)
            for part in self.c_attn(x).split(
                [self.size * n for n in (self.heads, self.kv_heads, self.kv_heads)], dim=2
            )
        )
        if self.norm_at == "before":
            q, k = self.q_norm(q), self.k_norm(k)
        if self.rates is not None:
            q, k = rotate(q, self.rates), rotate(k, self.rates)
        if self.norm_at == "after":
            q, k = self.q_norm(q), self.k_norm(k)
        shared = self.heads // self.kv_heads  # neighbouring heads that have the same keys
        k, v = k.repeat_interleave(shared, dim=1), v.repeat_interleave(shared, dim=1)
        scores = softcap((q @ k.transpose(2, 3)) * self.scale, self.cap)  # (B, H, T, T)
        hidden = torch.ones(T, T, dtype=torch.bool).triu(1)
        if self.window is not None:
            hidden |= torch.ones(T, T, dtype=torch.bool).tril(-self.window - 1)
        wide = torch.promote_types(scores.dtype, torch.float32)  # as autocast has it on a GPU
        weights = scores.masked_fill(hidden, -math.inf).softmax(dim=3, dtype=wide)
        self.weights = weights.detach()
        return self.c_proj((weights @ v).transpose(1, 2).reshape(B, T, -1))


class MLP(nn.Module):
    def __init__(self, config):
        super().__init__()
        width, inner = config["n_embd"], config.get("n_ff") or 4 * config["n_embd"]
        self.gate = GATES.get(config["activation"])
        self.activation = ACTIVATIONS.get(config["activation"])
        self.c_fc = nn.Linear(width, 2 * inner if self.gate else inner, bias=config["mlp_bias"])
        self.c_proj = nn.Linear(inner, width, bias=config["mlp_bias"])

    def forward(self, x):
        h = self.c_fc(x)
        if self.gate:
            gate, up = h.chunk(2, dim=-1)
            return self.c_proj(self.gate(gate) * up)
        return self.c_proj(self.activation(h))


class Block(nn.Module):
    def __init__(self, config, layer):
        super().__init__()
        self.ln_1 = norm(config)
        self.attn = Attention(config, layer)
        self.ln_2 = norm(config)
        self.mlp = MLP(config)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class GPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        V, C = config["vocab_size"], config["n_embd"]
        parts = {"wte": nn.Embedding(V, C)}
        if config["pos"] == "learned":
            parts["wpe"] = nn.Embedding(config["block_size"], C)
        if config["embd_norm"]:
            parts["ln_0"] = norm(config)
        parts["h"] = nn.ModuleList(Block(config, layer) for layer in range(config["n_layer"]))
        parts["ln_f"] = norm(config)
        self.transformer = nn.ModuleDict(parts)
        self.cap = config["logit_softcap"]
        self.lm_head = nn.Linear(C, V, bias=config["lm_head_bias"])
        if config["tie_weights"]:
            self.lm_head.weight = self.transformer.wte.weight

    def forward(self, tokens):  # (B, T) -> logits (B, T, V)
        positions = torch.arange(tokens.shape[1])
        x = self.transformer.wte(tokens)
        if "wpe" in self.transformer:
            x = x + self.transformer.wpe(positions)
        if "ln_0" in self.transformer:
            x = self.transformer.ln_0(x)
        for block in self.transformer.h:
            x = block(x)
        return softcap(self.lm_head(self.transformer.ln_f(x)), self.cap)


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
    for key in ("qkv_bias", "attn_bias", "mlp_bias"):
        config.setdefault(key, config["bias"])
    return {"gpt": GPT, "bigram": Bigram}[config["model"]](config)


def mean_loss(model, tokens, targets):
    """Mean cross-entropy over the targets that count: those of -1 do not."""
    logits = model(tokens)
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-1)
