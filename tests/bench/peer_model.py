"""The model of a config in PyTorch, as fast as PyTorch has it: the peer of make bench PEERS=1.

GPT(c), with c the config's keys, returns the mean loss of (tokens, targets). It is made of
PyTorch's own fused pieces: scaled_dot_product_attention, rms_norm, layer_norm, one product for q, k
and v, one for gate and up. Its state dict has nanoGPT's names, so that tests/reference/model.py
loads it: `peer_model.py` alone compares losses and gradients of both, over every part.

unknown(c) names what a config asks for and this model lacks.

Letters: B batch, T context, C width, H heads, KV heads of keys and values, D head size, V vocabulary.
"""

import math
import os
import sys

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

# What a key means that a config does not state.
DEFAULTS = {
    "n_kv_head": 0,
    "head_size": 0,
    "n_ff": 0,
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
    "lm_head_bias": False,
    "dropout": 0.0,
    "dropout_embd": True,
    "logit_softcap": 0.0,
}
# Keys that change no part of the model, or whose every value it has.
KNOWN = set(
    """model n_layer n_head n_embd block_size vocab_size batch_size bias qkv_bias attn_bias mlp_bias
    tie_weights activation attn_scale has_dropout init optimizer decay_params recompute logits_rows dtype specialise
    tf32 attention arch backend isa tiling weight_decay beta1 beta2 eps grad_clip learning_rate tensor_names""".split()
)


def unknown(c):
    """The keys of c that ask for a part that GPT lacks; at false, none, 0 they ask for nothing."""
    asked = {key: value for key, value in c.items() if value not in (False, 0, "none", "")}
    return sorted(set(asked) - KNOWN - set(DEFAULTS))


def norm(c):
    if c["norm"] == "rmsnorm":
        return nn.RMSNorm(c["n_embd"], eps=c["norm_eps"], elementwise_affine=c["norm_gain"])
    return nn.LayerNorm(c["n_embd"], eps=c["norm_eps"], bias=c["bias"])


def slowed(rates, c):
    """Rates as Llama 3.1 has them: slow ones divided by a factor, fast ones kept, a line between."""
    turns = c["rope_original_context"] * rates / (2 * math.pi)  # in the first context
    low, high = c["rope_low_freq_factor"], c["rope_high_freq_factor"]
    kept = ((turns - low) / (high - low)).clamp(0, 1)
    return rates * (kept + (1 - kept) / c["rope_factor"])


class Rope(nn.Module):
    """Turns columns j and j + D/2 of (B, T, heads, D) by t theta^(-2j/D), or as rope_scaling and
    rope_sign have it."""

    def __init__(self, c, D):
        super().__init__()
        rates = c["rope_theta"] ** (-2.0 * torch.arange(D // 2, dtype=torch.float64) / D)
        if c["rope_scaling"] == "llama3":
            rates = slowed(rates, c)
        positions = c["rope_sign"] * torch.arange(c["block_size"], dtype=torch.float64)
        angles = positions[:, None, None] * rates
        self.register_buffer("cos", angles.cos().float(), persistent=False)
        self.register_buffer("sin", angles.sin().float(), persistent=False)

    def forward(self, x):
        T, half = x.shape[1], x.shape[-1] // 2
        cos, sin = self.cos[:T].to(x.dtype), self.sin[:T].to(x.dtype)
        a, b = x[..., :half], x[..., half:]
        return torch.cat((a * cos - b * sin, a * sin + b * cos), dim=-1)


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        C, H = c["n_embd"], c["n_head"]
        self.heads, self.dropout = H, c["dropout"]
        self.kv_heads = c["n_kv_head"] or H
        self.size = c["head_size"] or C // H
        self.scale = 1 / math.sqrt(self.size if c["attn_scale"] == "head" else C)
        self.c_attn = nn.Linear(C, (H + 2 * self.kv_heads) * self.size, bias=c["qkv_bias"])
        self.rope = Rope(c, self.size) if c["pos"] == "rope" else None
        self.norm_at = c["qk_norm_at"] if c["qk_norm"] != "none" else None
        gain, eps = c["qk_norm"] == "gain", c["norm_eps"]
        self.q_norm = nn.RMSNorm(self.size, eps=eps, elementwise_affine=gain)
        self.k_norm = nn.RMSNorm(self.size, eps=eps, elementwise_affine=gain)
        self.c_proj = nn.Linear(H * self.size, C, bias=c.get("attn_bias", c["bias"]))

    def forward(self, x):
        B, T, _ = x.shape
        H, KV = self.heads, self.kv_heads
        qkv = self.c_attn(x).view(B, T, H + 2 * KV, self.size)
        qk, v = qkv[:, :, : H + KV], qkv[:, :, H + KV :]
        if self.norm_at == "before":
            qk = self.normed(qk)
        if self.rope:
            qk = self.rope(qk)
        if self.norm_at == "after":
            qk = self.normed(qk)
        q, k = qk[:, :, :H], qk[:, :, H:]
        dropout = self.dropout if self.training else 0.0
        y = attend(*(part.transpose(1, 2) for part in (q, k, v)), dropout, self.scale)
        y = self.c_proj(y.transpose(1, 2).reshape(B, T, H * self.size))
        return F.dropout(y, self.dropout, self.training)

    def normed(self, qk):  # (B, T, H + KV, D)
        if self.q_norm.weight is None:
            return self.q_norm(qk)
        q, k = qk[:, :, : self.heads], qk[:, :, self.heads :]
        return torch.cat((self.q_norm(q), self.k_norm(k)), dim=2)


def attend(q, k, v, dropout, scale):
    """q (B, H, T, D), k and v (B, KV, T, D)."""
    grouped = {"enable_gqa": True} if k.shape[1] != q.shape[1] else {}
    return F.scaled_dot_product_attention(
        q, k, v, is_causal=True, dropout_p=dropout, scale=scale, **grouped
    )


class MLP(nn.Module):
    def __init__(self, c):
        super().__init__()
        C, inner = c["n_embd"], c["n_ff"] or 4 * c["n_embd"]
        self.gate = GATES.get(c["activation"])
        self.activation = ACTIVATIONS.get(c["activation"])
        bias = c.get("mlp_bias", c["bias"])
        self.c_fc = nn.Linear(C, 2 * inner if self.gate else inner, bias=bias)
        self.c_proj = nn.Linear(inner, C, bias=bias)

    def forward(self, x):
        h = self.c_fc(x)
        if self.gate:
            gate, up = h.chunk(2, dim=-1)
            return self.c_proj(self.gate(gate) * up)
        return self.c_proj(self.activation(h))


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.ln_1, self.attn, self.ln_2, self.mlp = norm(c), Attention(c), norm(c), MLP(c)
        self.dropout = c["dropout"]

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + F.dropout(self.mlp(self.ln_2(x)), self.dropout, self.training)


class GPT(nn.Module):
    def __init__(self, c):
        super().__init__()
        c = DEFAULTS | c
        V, C = c["vocab_size"], c["n_embd"]
        parts = {"wte": nn.Embedding(V, C)}
        if c["pos"] == "learned":
            parts["wpe"] = nn.Embedding(c["block_size"], C)
        if c["embd_norm"]:
            parts["ln_0"] = norm(c)
        parts["h"] = nn.ModuleList(Block(c) for _ in range(c["n_layer"]))
        parts["ln_f"] = norm(c)
        self.transformer = nn.ModuleDict(parts)
        self.dropout = c["dropout"] if c["dropout_embd"] else 0.0
        self.softcap = c["logit_softcap"]
        self.lm_head = nn.Linear(C, V, bias=c["lm_head_bias"])
        if c["tie_weights"]:
            self.lm_head.weight = self.transformer.wte.weight
        for name, p in self.named_parameters():
            if p.dim() == 2:
                deep = name.endswith("c_proj.weight")
                nn.init.normal_(p, std=0.02 / math.sqrt(2 * c["n_layer"]) if deep else 0.02)

    def forward(self, tokens, targets):
        x = self.transformer.wte(tokens)
        if "wpe" in self.transformer:
            x = x + self.transformer.wpe.weight[: tokens.shape[1]]
        if "ln_0" in self.transformer:
            x = self.transformer.ln_0(x)
        x = F.dropout(x, self.dropout, self.training)
        for block in self.transformer.h:
            x = block(x)
        logits = self.lm_head(self.transformer.ln_f(x))
        if self.softcap:
            logits = self.softcap * torch.tanh(logits / self.softcap)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-1)


# ---- held against the reference ------------------------------------------------------------------

PARTS = [
    {},
    {"bias": True, "qkv_bias": True, "lm_head_bias": True, "tie_weights": False, "activation": "relu"},
    {"norm": "rmsnorm", "pos": "rope", "n_kv_head": 2, "n_ff": 20, "activation": "swiglu"},
    {"norm": "rmsnorm", "norm_eps": 1e-3, "pos": "none", "n_kv_head": 1, "activation": "relu2"},
    {"norm": "rmsnorm", "norm_gain": False, "embd_norm": True, "tie_weights": False},
    {"bias": True, "embd_norm": True},
    {"pos": "rope", "rope_theta": 500.0, "head_size": 6, "activation": "geglu", "attn_scale": "embd"},
    {"norm": "rmsnorm", "pos": "rope", "n_kv_head": 2, "qk_norm": "gain", "attn_bias": True, "bias": False},
    {"pos": "rope", "qk_norm": "plain", "qk_norm_at": "after", "rope_sign": -1, "norm_eps": 1e-3, "mlp_bias": True},
    {"pos": "rope", "qk_norm": "gain", "qk_norm_at": "after", "n_kv_head": 1, "logit_softcap": 2.0, "bias": True}
    | {"attn_bias": False, "mlp_bias": False},
    {"pos": "rope", "rope_scaling": "llama3", "rope_factor": 3.0, "rope_low_freq_factor": 0.5}
    | {"rope_high_freq_factor": 2.0, "rope_original_context": 8, "head_size": 16, "qk_norm": "plain"},
]


def check():
    """Fails unless loss and gradients are the reference's, for each of PARTS."""
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "reference"))
    import model as reference

    common = {"model": "gpt", "n_layer": 2, "n_head": 4, "n_embd": 32, "block_size": 9, "vocab_size": 17}
    common |= {"bias": False, "qkv_bias": False, "tie_weights": True, "activation": "gelu_erf"}
    common |= {"attn_scale": "head"}
    for parts in PARTS:
        torch.manual_seed(1)
        c = common | parts
        peer, wanted = GPT(c), reference.create(c)
        with torch.no_grad():
            for p in peer.parameters():
                p.add_(0.3 * torch.randn_like(p))
        wanted.load_state_dict(peer.state_dict())
        tokens, targets = torch.randint(c["vocab_size"], (2, 3, c["block_size"]))
        loss, right = peer(tokens, targets), reference.mean_loss(wanted, tokens, targets)
        loss.backward()
        right.backward()
        torch.testing.assert_close(loss, right, rtol=1e-5, atol=0)
        for (name, p), q in zip(peer.named_parameters(), wanted.parameters(), strict=True):
            torch.testing.assert_close(p.grad, q.grad, rtol=1e-3, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}")
    print(f"peer_model: {len(PARTS)} models have the reference's losses and gradients")


if __name__ == "__main__":
    check()
