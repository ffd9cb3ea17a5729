"""llama.cpp's side of `make gguf-parity`: gguf, its writer and reader of files, and xllamacpp, its server.

    llama_cpp.py make FILE TYPE                a random GPT-2 with GPT-2's tokenizer, as gguf writes it
    llama_cpp.py imported FILE CHECKPOINT      whether an import has the numbers that gguf reads, to the bit
    llama_cpp.py exported FILE CHECKPOINT      whether an export has the numbers that gguf would store, to the bit
    llama_cpp.py same FILE THEIRS              whether an export is what llama.cpp's converter writes
    llama_cpp.py ids FILE CHECKPOINT           200 texts, tokenized by llama.cpp and by us
    llama_cpp.py numbers FILE CHECKPOINT       log-probabilities of all tokens, by llama.cpp and by a reference in double
    llama_cpp.py greedy FILE CHECKPOINT PROMPT COUNT OURS     the likeliest tokens after a prompt, beside our sampler's text
"""

import json
import random
import struct
import subprocess
import sys
import urllib.request

import gguf
import llama_numpy
import numpy

WHOLE = {
    "token_embd": "transformer.wte",
    "position_embd": "transformer.wpe",
    "output_norm": "transformer.ln_f",
    "output": "lm_head",
}
LAYER = {
    "attn_norm": "ln_1",
    "attn_qkv": "attn.c_attn",
    "attn_output": "attn.c_proj",
    "ffn_norm": "ln_2",
    "ffn_up": "mlp.c_fc",
    "ffn_down": "mlp.c_proj",
}


# ---- files ------------------------------------------------------------------------------------------


def our_name(name):
    parts = name.split(".")
    if parts[0] == "blk":
        return f"transformer.h.{parts[1]}.{LAYER[parts[2]]}.{parts[3]}"
    return f"{WHOLE[parts[0]]}.{parts[1]}"


class Checkpoint:
    def __init__(self, path):
        with open(path, "rb") as file:
            data = file.read()
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + length])
        meta = header.pop("__metadata__")
        self.tokenizer = meta["tokenizer"]
        self.config = dict(word.split("=") for word in meta["config"].split())
        self.tensors = {
            name: numpy.frombuffer(data, numpy.float32, offset=8 + length + entry["data_offsets"][0],
                                   count=int(numpy.prod(entry["shape"]))).reshape(entry["shape"])
            for name, entry in header.items()
        }

    def number(self, key):
        return int(self.config[key])


def make(path, kind):
    layers, heads, width, context, rows = 3, 4, 64, 128, 50304
    with open("data/gpt2/encoder.json", encoding="utf-8") as file:
        ids = json.load(file)
    tokens = sorted(ids, key=ids.get)
    with open("data/gpt2/vocab.bpe", encoding="utf-8") as file:
        merges = file.read().split("\n")[1:-1]
    types = [gguf.TokenType.NORMAL] * (len(tokens) - 1) + [gguf.TokenType.CONTROL]
    while len(tokens) < rows:
        tokens.append(f"[PAD{len(tokens)}]")
        types.append(gguf.TokenType.UNUSED)
    w = gguf.GGUFWriter(path, "gpt2")
    w.add_context_length(context)
    w.add_embedding_length(width)
    w.add_block_count(layers)
    w.add_feed_forward_length(4 * width)
    w.add_head_count(heads)
    w.add_layer_norm_eps(1e-5)
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("gpt-2")
    w.add_token_list(tokens)
    w.add_token_types(types)
    w.add_token_merges(merges)
    w.add_bos_token_id(ids["<|endoftext|>"])
    w.add_eos_token_id(ids["<|endoftext|>"])
    w.add_add_bos_token(False)
    rng = numpy.random.default_rng(1)

    def add(name, shape, scale, center=0.0):
        values = (center + scale * rng.standard_normal(shape)).astype(numpy.float32)
        if len(shape) == 1 or kind == "F32":
            w.add_tensor(name, values)
        else:
            quantized = gguf.GGMLQuantizationType[kind]
            w.add_tensor(name, gguf.quants.quantize(values, quantized), raw_dtype=quantized)

    add("token_embd.weight", (rows, width), 0.1)
    add("position_embd.weight", (context, width), 0.1)
    for i in range(layers):
        for name, shape in (("attn_norm", ()), ("attn_qkv", (3, 1)), ("attn_output", (1, 1)), ("ffn_norm", ()),
                            ("ffn_up", (4, 1)), ("ffn_down", (1, 4))):
            size = (width,) if not shape else tuple(width * s for s in shape)
            add(f"blk.{i}.{name}.weight", size, 0.1 if not shape else 0.2 * size[1] ** -0.5, 0.0 if shape else 1.0)
            add(f"blk.{i}.{name}.bias", size[:1], 0.1)
    add("output_norm.weight", (width,), 0.1, 1.0)
    add("output_norm.bias", (width,), 0.1)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def imported(path, checkpoint):
    for tensor in gguf.GGUFReader(path).tensors:
        theirs = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(numpy.float32)
        ours = checkpoint.tensors[our_name(tensor.name)]
        assert ours.shape == theirs.shape and ours.tobytes() == theirs.tobytes(), tensor.name
        assert numpy.isfinite(ours).all()


def exported(path, checkpoint):
    file = gguf.GGUFReader(path)
    found, architecture = file.tensors, file.fields["general.architecture"].contents()
    for tensor in found:
        if llama_numpy.is_one(checkpoint):
            values = llama_numpy.stored(checkpoint, architecture, tensor.name)
        else:
            values = checkpoint.tensors.get(our_name(tensor.name))
        if tensor.name == llama_numpy.DIVISORS:
            assert numpy.allclose(tensor.data, values, rtol=1e-6), tensor.name
            continue
        if values is None:  # a bias that the model has not
            assert tensor.name.endswith(".bias") and not tensor.data.any(), tensor.name
            continue
        theirs = gguf.quants.quantize(values, tensor.tensor_type)
        assert tensor.data.tobytes() == theirs.tobytes(), tensor.name
    print(len(found), f"tensors of a model of {architecture} are what gguf stores")


def same(path, theirs):
    ours, found = gguf.GGUFReader(path), gguf.GGUFReader(theirs)
    tensors = [{t.name: (t.tensor_type, list(t.shape), t.data.tobytes()) for t in file.tensors} for file in (ours, found)]
    assert tensors[0] == tensors[1]
    alone = {"diecast.config", "general.alignment", "gpt2.vocab_size", "general.name", "general.size_label"}
    keys = [{k: f.contents() for k, f in file.fields.items() if k not in alone and not k.startswith("GGUF.")}
            for file in (ours, found)]
    assert keys[0] == keys[1], {k for k in keys[0] | keys[1] if keys[0].get(k) != keys[1].get(k)}


# ---- llama.cpp --------------------------------------------------------------------------------------


class Server:
    def __init__(self, path, context):
        import xllamacpp as x

        p = x.CommonParams()
        p.model.path = path
        p.n_ctx = context
        p.n_parallel = 1
        p.cpuparams.n_threads = p.cpuparams_batch.n_threads = 1
        p.warmup = False
        p.n_gpu_layers = 0
        p.port = 0
        p.flash_attn_type = x.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
        p.cache_type_k = p.cache_type_v = x.ggml_type.GGML_TYPE_F32
        self.server = x.Server(p)

    def ask(self, what, **words):
        request = urllib.request.Request(f"{self.server.listening_address}/{what}", json.dumps(words).encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def complete(self, prompt, count, probabilities=0):
        return self.ask("completion", prompt=prompt, n_predict=count, n_probs=probabilities, samplers=["top_k"],
                        top_k=1, cache_prompt=False, return_tokens=True)


# ---- tokens -----------------------------------------------------------------------------------------

PIECES = ["the", " of", "don't", " we'll", "I'VE", "x's", " ", "  ", "   ", "\n", "\n\n", " \n ", "\t", "\r\n", "a", "B",
          "0", "12", " 345", "6789", "½", "٣", "Ⅷ", "é", "naïve", " Ünï", "東京", "日本語", " 한국", "привет", "مرحبا",
          "😀", "👩‍👧", "e\u0301", "\u00a0", "\u3000", "—", "…", "“q”", "«»", "!", "?!", "...", " ,", "#$%", "(x+y)*2",
          "foo_bar", "::", "->", "</p>", "http://a.b/c?d=e", "\u200b", "İ", "ß", "ﬁ", "ǅ", "\U00010330", "𝔘", "\x01", "~"]


def texts_of(tokenizer):
    rng = random.Random(1)
    pieces = PIECES
    if tokenizer.startswith("char "):
        characters = [chr(int(code, 16)) for code in tokenizer.split()[1:]]
        pieces = characters
    for i in range(200):
        yield "".join(rng.choice(pieces) for _ in range(1 + i % 40))


def our_ids(texts, tokenizer):
    if tokenizer.startswith("char "):
        ids = {chr(int(code, 16)): i for i, code in enumerate(tokenizer.split()[1:])}
        return [[ids[c] for c in text] for text in texts]
    records = b"".join(struct.pack("<I", len(t.encode())) + t.encode() for t in texts)
    done = subprocess.run(["build/encode", "data/gpt2", "prompt"], input=records, capture_output=True, check=True).stdout
    answers, at = [], 0
    while at < len(done):
        (length,) = struct.unpack_from("<I", done, at)
        answers.append(list(struct.unpack_from(f"<{length}I", done, at + 4)))
        at += 4 + 4 * length
    return answers


def ids(path, checkpoint):
    server, texts = Server(path, checkpoint.number("block_size")), list(texts_of(checkpoint.tokenizer))
    for text, ours in zip(texts, our_ids(texts, checkpoint.tokenizer), strict=True):
        theirs = server.ask("tokenize", content=text, add_special=False, parse_special=True)["tokens"]
        assert ours == theirs, f"{text!r}: ours {ours}, llama.cpp's {theirs}"
    print(len(texts), "texts have the same ids")


# ---- numbers ----------------------------------------------------------------------------------------


def gelu(x):
    return 0.5 * x * (1 + numpy.tanh(numpy.sqrt(2 / numpy.pi) * x * (1 + 0.044715 * x * x)))


def gelu_of_ggml(x):
    """From a table whose arguments and values are float16."""
    table = gelu(x.astype(numpy.float16).astype(numpy.float32)).astype(numpy.float16).astype(numpy.float64)
    return numpy.where(x <= -10, 0.0, numpy.where(x >= 10, x, table))


def logits(checkpoint, tokens, activation):
    if llama_numpy.is_one(checkpoint):
        return llama_numpy.logits(checkpoint, tokens)
    t = {name: values.astype(numpy.float64) for name, values in checkpoint.tensors.items()}
    heads, width, count = checkpoint.number("n_head"), checkpoint.number("n_embd"), len(tokens)

    def norm(x, name):
        x = (x - x.mean(-1, keepdims=True)) / numpy.sqrt(x.var(-1, keepdims=True) + 1e-5)
        return x * t[name + ".weight"] + t.get(name + ".bias", 0)

    def linear(x, name):
        return x @ t[name + ".weight"].T + t.get(name + ".bias", 0)

    x = t["transformer.wte.weight"][tokens] + t["transformer.wpe.weight"][:count]
    for i in range(checkpoint.number("n_layer")):
        h = f"transformer.h.{i}."
        q, k, v = (part.reshape(count, heads, -1).swapaxes(0, 1)
                   for part in numpy.split(linear(norm(x, h + "ln_1"), h + "attn.c_attn"), 3, -1))
        scores = q @ k.swapaxes(1, 2) / numpy.sqrt(width / heads)
        scores += numpy.triu(numpy.full((count, count), -numpy.inf), 1)
        weights = numpy.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        x = x + linear((weights @ v).swapaxes(0, 1).reshape(count, width), h + "attn.c_proj")
        x = x + linear(activation(linear(norm(x, h + "ln_2"), h + "mlp.c_fc")), h + "mlp.c_proj")
    return norm(x, "transformer.ln_f") @ t["lm_head.weight"].T


def log_probabilities(x):
    x = x - x.max(-1, keepdims=True)
    return x - numpy.log(numpy.exp(x).sum(-1, keepdims=True))


def numbers(path, checkpoint):
    context, rows = checkpoint.number("block_size"), checkpoint.number("vocab_size")
    server, rng = Server(path, context), random.Random(2)
    far = {gelu: 0.0, gelu_of_ggml: 0.0}
    exact = path.endswith("float32.gguf")
    for length in (1, 2, 7, 31, context - 1) if exact else (7,):
        tokens = [rng.randrange(rows) for _ in range(length)]
        answer = server.complete(tokens, 1, rows)["completion_probabilities"][0]["top_logprobs"]
        assert len(answer) == rows
        for activation in far:
            own = log_probabilities(logits(checkpoint, tokens, activation)[-1])
            far[activation] = max(far[activation], max(abs(own[a["id"]] - a["logprob"]) for a in answer))
    one = llama_numpy.is_one(checkpoint)
    with_table = "" if one else f", {far[gelu_of_ggml]:.1e} with ggml's table of GELU"
    print(f"log-probabilities are {far[gelu]:.1e} apart{with_table}")
    # Types of fewer bits: ggml rounds activations to them too.
    most = (5e-5 if one else 2e-3, 5e-5) if exact else (0.5, 0.5)
    assert far[gelu] < most[0] and far[gelu_of_ggml] < most[1]


def walk(checkpoint, prompt, chosen):
    """How many tokens each is the likeliest one; of two that are within 0.01 of each other either may be chosen."""
    sure, tokens = 0, list(prompt)
    for i, token in enumerate(chosen):
        x = logits(checkpoint, tokens, gelu)[-1]
        second, first = numpy.argsort(x)[-2:]
        near = x[first] - x[second] <= 0.01
        assert token == first or (near and token == second), f"token {i}: {token}, the reference's {first}"
        sure += not near
        tokens.append(token)
    return sure


def greedy(path, checkpoint, prompt, count, ours):
    server = Server(path, checkpoint.number("block_size"))
    (tokens,) = our_ids([prompt], checkpoint.tokenizer)
    answer = server.complete(tokens, int(count))
    theirs, content = answer["tokens"], prompt + answer["content"]
    with open(ours, encoding="utf-8") as file:
        text = file.read().removesuffix("\n")
    sure = walk(checkpoint, tokens, theirs)
    assert len(theirs) == int(count)
    if sure == len(theirs):
        assert text == content, f"ours {text!r}, llama.cpp's {content!r}"
    if checkpoint.tokenizer.startswith("char "):
        (own,) = our_ids([text], checkpoint.tokenizer)
        walk(checkpoint, tokens, own[len(tokens):])
    print(f"{sure} of {len(theirs)} tokens are the likeliest by more than 0.01; {'one' if text == content else 'not one'} text")


def main():
    command, path, *words = sys.argv[1:]
    if command in ("make", "same"):
        {"make": make, "same": same}[command](path, *words)
    else:
        {"imported": imported, "exported": exported, "ids": ids, "numbers": numbers, "greedy": greedy}[command](
            path, Checkpoint(words[0]), *words[1:])


if __name__ == "__main__":
    main()
