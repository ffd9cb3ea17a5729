"""A Llama, Qwen2, Qwen3 or Arcee in numpy, in double, from a checkpoint's tensors and config, written from their
papers and transformers' names; and the names, and the order of rows, that its tensors have in GGUF files."""

import numpy

WHOLE = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
DIVISORS = "rope_freqs.weight"


def is_one(checkpoint):
    return "model.embed_tokens.weight" in checkpoint.tensors


def our_name(name):
    parts = name.split(".")
    if parts[0] == "blk":
        return f"model.layers.{parts[1]}.{LAYER[parts[2]]}.{parts[3]}"
    return f"{WHOLE[parts[0]]}.{parts[1]}"


def shape_of(checkpoint):
    """Heads, heads of keys, and their size."""
    heads, width = checkpoint.number("n_head"), checkpoint.number("n_embd")
    return heads, int(checkpoint.config.get("n_kv_head", heads)), int(checkpoint.config.get("head_size", width // heads))


def stored(checkpoint, architecture, name):
    """A tensor as GGUF has it: the rows of queries and keys lie pairwise where llama.cpp turns neighbours."""
    if name == DIVISORS:
        return divisors(checkpoint).astype(numpy.float32)
    values = checkpoint.tensors[our_name(name)]
    heads, keys, size = shape_of(checkpoint)
    part = name.split(".")[2] if name.startswith("blk.") else ""
    count = {"attn_q": heads, "attn_k": keys}.get(part, 0)
    if not count or architecture not in ("llama", "arcee"):
        return values
    return values.reshape(count, 2, size // 2, -1).swapaxes(1, 2).reshape(values.shape)


def rates(checkpoint):
    size = shape_of(checkpoint)[2]
    return float(checkpoint.config.get("rope_theta", 10000)) ** (-2 * numpy.arange(size // 2) / size)


def divisors(checkpoint):
    def number(key, other):
        return float(checkpoint.config.get(key, other))

    rate = rates(checkpoint)
    if checkpoint.config.get("rope_scaling") != "llama3":
        return numpy.ones_like(rate)
    low, high = number("rope_low_freq_factor", 1), number("rope_high_freq_factor", 4)
    length = 2 * numpy.pi / rate
    original, factor = number("rope_original_context", 8192), number("rope_factor", 8)
    smooth = (original / length - low) / (high - low)
    between = 1 / ((1 - smooth) / factor + smooth)
    return numpy.where(length < original / high, 1, numpy.where(length > original / low, factor, between))


def logits(checkpoint, tokens):
    t = {name: values.astype(numpy.float64) for name, values in checkpoint.tensors.items()}
    count, (heads, keys, size) = len(tokens), shape_of(checkpoint)
    epsilon = float(checkpoint.config.get("norm_eps", 1e-5))
    angles = numpy.arange(count)[:, None] * (rates(checkpoint) / divisors(checkpoint))
    cosines, sines = numpy.cos(angles), numpy.sin(angles)

    def norm(x, name):
        return x / numpy.sqrt((x * x).mean(-1, keepdims=True) + epsilon) * t[name + ".weight"]

    def linear(x, name):
        return x @ t[name + ".weight"].T + t.get(name + ".bias", 0)

    def heads_of(x, name, of, normed=None):
        x = linear(x, name).reshape(count, of, size).swapaxes(0, 1)
        return norm(x, normed) if normed and normed + ".weight" in t else x

    def turned(x):
        first, second = x[..., : size // 2], x[..., size // 2 :]
        return numpy.concatenate([first * cosines - second * sines, second * cosines + first * sines], -1)

    x = t["model.embed_tokens.weight"][tokens]
    for i in range(checkpoint.number("n_layer")):
        layer = f"model.layers.{i}."
        a, m = layer + "self_attn.", layer + "mlp."
        h = norm(x, layer + "input_layernorm")
        q = turned(heads_of(h, a + "q_proj", heads, a + "q_norm"))
        k = turned(heads_of(h, a + "k_proj", keys, a + "k_norm")).repeat(heads // keys, 0)
        v = heads_of(h, a + "v_proj", keys).repeat(heads // keys, 0)
        scores = q @ k.swapaxes(1, 2) / numpy.sqrt(size) + numpy.triu(numpy.full((count, count), -numpy.inf), 1)
        weights = numpy.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        x = x + linear((weights @ v).swapaxes(0, 1).reshape(count, -1), a + "o_proj")
        h = norm(x, layer + "post_attention_layernorm")
        up = linear(h, m + "up_proj")
        if m + "gate_proj.weight" in t:
            gate = linear(h, m + "gate_proj")
            up = up * gate / (1 + numpy.exp(-gate))
        else:
            up = numpy.maximum(up, 0) ** 2
        x = x + linear(up, m + "down_proj")
    head = t.get("lm_head.weight", t["model.embed_tokens.weight"])
    return norm(x, "model.norm") @ head.T
