"""What a checkpoint calls the tensors of model.py, by the config's tensor_names (gen/models/names.lua): nanoGPT's
names, or those of Hugging Face's Llama or NanoChat, where some are the rows of several tensors."""

WORDS = {
    "transformer.wte.": "model.embed_tokens.",
    "transformer.wpe.": "model.embed_positions.",
    "transformer.ln_f.": "model.norm.",
    "transformer.h.": "model.layers.",
    ".ln_1.": ".input_layernorm.",
    ".ln_2.": ".post_attention_layernorm.",
    ".attn.c_proj.": ".self_attn.o_proj.",
    ".attn.c_attn.": ".self_attn.qkv_proj.",
}
MLP = {
    "llama": {".mlp.c_fc.": ".mlp.up_proj.", ".mlp.c_proj.": ".mlp.down_proj."},
    "nanochat": {".mlp.c_fc.": ".mlp.fc1.", ".mlp.c_proj.": ".mlp.fc2."},
}


def pieces(name, length, config):
    """The checkpoint's tensors that one of nanoGPT's names and so many rows is, as a dict of their rows."""
    kind = config.get("tensor_names", "nanogpt")
    if kind == "nanogpt":
        return {name: length}
    D = config.get("head_size") or config["n_embd"] // config["n_head"]
    rows = {"q_proj": config["n_head"] * D, "k_proj": (config.get("n_kv_head") or config["n_head"]) * D}
    rows["v_proj"] = rows["k_proj"]
    gated = kind == "llama" and config["activation"] in ("swiglu", "geglu")
    for old, new in (WORDS | MLP[kind]).items():
        name = name.replace(old, new)
    if ".qkv_proj." in name:
        return {name.replace("qkv_proj", word): count for word, count in rows.items()}
    if gated and ".up_proj." in name:
        return {name.replace("up_proj", word): length // 2 for word in ("gate_proj", "up_proj")}
    return {name: length}


def stored(tensors, config):
    """A dict of tensors by nanoGPT's names as a dict by the checkpoint's."""
    result = {}
    for name, tensor in tensors.items():
        first = 0
        for piece, count in pieces(name, len(tensor), config).items():
            result[piece] = tensor[first : first + count]
            first += count
    return result
