"""Compares our GPT-2 tokenizer with the real tiktoken, id for id.

    tokenizer.py ENCODE [FILE ...]     ENCODE: the program that encode.c makes
    tokenizer.py --write               writes tests/runtime/gpt2_cases.txt, what test_gpt2.c holds us against

Texts: every code point that Unicode (of tests/runtime/assigned.h) gives a meaning to, alone and in contexts;
words of many scripts, numbers, marks, emoji sequences and spaces put together at random; runs of spaces; random
bytes' worth of tokens, decoded; the stored cases; and whole files.
"""

import array
import random
import re
import subprocess
import sys
import warnings

import tiktoken
import tiktoken.load
from tiktoken_ext import openai_public

CASES = "tests/runtime/gpt2_cases.txt"
FILES = {"vocab_bpe_file": "data/gpt2/vocab.bpe", "encoder_json_file": "data/gpt2/encoder.json"}


def reference():
    """tiktoken's gpt2, from the files that are here instead of its downloads."""
    load = tiktoken.load.data_gym_to_mergeable_bpe_ranks
    openai_public.data_gym_to_mergeable_bpe_ranks = lambda **kw: load(**{**kw, **FILES})
    return tiktoken.Encoding(**openai_public.gpt2())


def ours(program, mode, records, unit):
    """Answers of our program to records: bytes in and ids out, or the other way round."""
    sent = b"".join((len(r) // unit).to_bytes(4, "little") + r for r in records)
    done = subprocess.run([program, "data/gpt2", mode], input=sent, stdout=subprocess.PIPE, check=True)
    at, out, answers = 0, done.stdout, []
    size = 1 if mode == "decode" else 4
    while at < len(out):
        length = int.from_bytes(out[at : at + 4], "little") * size
        answers.append(out[at + 4 : at + 4 + length])
        at += 4 + length
    assert len(answers) == len(records), f"{len(answers)} answers to {len(records)} records"
    return answers


def ids_of(answer):
    ids = array.array("i")
    ids.frombytes(answer)
    return ids.tolist()


def compare(what, program, texts, encode, mode="ordinary"):
    answers = ours(program, mode, [t.encode() for t in texts], 1)
    count = 0
    for text, answer in zip(texts, answers):
        wanted, found = encode(text), ids_of(answer)
        if wanted != found:
            sys.exit(f"tokenizer: {what}: {text[:200]!r} is {found[:50]}, tiktoken says {wanted[:50]}")
        count += len(wanted)
    print(f"tokenizer: {what}: {len(texts)} texts, {count} tokens, all equal")


def assigned():
    text = open("tests/runtime/assigned.h", encoding="ascii").read()
    edges = [int(e, 16) for e in re.findall(r"0x[0-9a-f]+", text.split("{", 1)[1])]
    return [chr(c) for a, b in zip(edges[::2], edges[1::2]) for c in range(a, b)]


WORDS = """a I it's don't we'll they've you're I'm he'd IT'S 'twas o'clock 's 't 'll ' '' 42 3.14 1,000 007 x2 2nd
naïve Straße Ελλάδα мир עברית العربية हिन्दी ไทย 中文字 日本語です カタカナ 한국어 Việt ქართული አማርኛ ᠮᠣᠩᠭᠣᠯ ᐃᓄᒃ ᏣᎳᎩ
é ﬃ Å ½ ² ⅫⅣ ٣٤ ४२ 一二 ①② 𝟘𝟙 𝒳𝓎 😀 👩‍👩‍👧‍👦 👍🏽 🇩🇪 ❤️ 🏴󠁧󠁢󠁳󠁣󠁴󠁿 ☃ … “x” ’s — – « » € £ → ∑ ≠ _ __ a_b #tag @me e-mail
http://a.b/c?d=e&f <|endoftext|> <|end <b> {} [] () \\ / % $5 C++ !? ... --- ===""".split()
SPACES = ["", " ", "  ", "   ", "\n", "\n\n", " \n", "\n ", "\t", "\r\n", "\x0b", "\x0c", "\x1c", "\x85", "\xa0",
          "\u1680", "\u180e", "\u2003", "\u200b", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000", "\ufeff", "\x00"]


def mixed(count, seed):
    draw = random.Random(seed)
    return ["".join(draw.choice(WORDS if draw.random() < 0.6 else SPACES) for _ in range(draw.randint(1, 20)))
            for _ in range(count)]


def anything(count, seed, characters):
    draw = random.Random(seed)
    return ["".join(draw.choice(characters) for _ in range(draw.randint(1, 40))) for _ in range(count)]


def runs():
    spaces = SPACES[1:]
    texts = [a + s * n + last + b for a in ["", "x", "."] for s in spaces for n in range(13)
             for last in ["", " ", "\n"] for b in ["", "x", "1", ".", "'s", "😀"]]
    return texts + [s * n + b for s in [" ", "\n", "\t", "\xa0"] for n in [50, 100, 500, 3000] for b in ["", "x"]]


def long_pieces():
    draw = random.Random(5)
    letters = ["a", "ab", "the", "is", "e", "é", "中", "👍"]
    texts = [letter * n for letter in letters + ["!", "=", "0", "-"] for n in [47, 48, 49, 50, 500, 5000]]
    return texts + ["".join(draw.choices(letters[:6], k=k)) for k in range(1, 2000, 7)]


def check(program, files):
    enc = reference()
    ordinary = enc.encode_ordinary
    compare("stored cases", program, [text for _, text in CASES_TEXTS], lambda t: enc.encode(t, allowed_special="all"),
            "prompt")
    stored = open(CASES, encoding="ascii").read()
    if stored != cases(enc):
        sys.exit(f"tokenizer: {CASES} is not what tiktoken says; 'tokenizer.py --write' rewrites it")
    print(f"tokenizer: {CASES}: as tiktoken says")
    characters = assigned()
    compare("code points alone", program, characters, ordinary)
    around = [("a", ""), ("", "a"), (" ", ""), ("", " "), ("1", "2"), ("  ", "x"), ("'", "s"), ("\n", "\n")]
    around += [(" .", "! ")]
    compare("code points in contexts", program,
            [";".join(a + c + b for a, b in around) + "; " + c + c for c in characters], ordinary)
    compare("mixed scripts", program, mixed(100000, 1), ordinary)
    compare("random characters", program, anything(30000, 2, characters), ordinary)
    compare("random bytes of one kind", program, anything(30000, 3, [chr(c) for c in range(256)]), ordinary)
    compare("runs of spaces", program, runs(), ordinary)
    compare("long pieces", program, long_pieces(), ordinary)
    compare("prompts with <|endoftext|>", program,
            ["<|endoftext|>".join(mixed(4, seed)) for seed in range(5000)],
            lambda t: enc.encode(t, allowed_special="all"), "prompt")
    draw = random.Random(4)
    tokens = [[i] for i in range(enc.n_vocab)]
    tokens += [[draw.randrange(enc.n_vocab) for _ in range(draw.randint(1, 30))] for _ in range(20000)]
    # Bytes of the upper half: what is no UTF-8 becomes U+FFFD.
    high = [enc.encode_single_token(bytes([b])) for b in range(256) if b >= 0x80 or b % 16 == 1]
    tokens += [[draw.choice(high) for _ in range(draw.randint(1, 12))] for _ in range(50000)]
    texts = ours(program, "decode", [array.array("i", t).tobytes() for t in tokens], 4)
    for ids, text in zip(tokens, texts):
        if enc.decode(ids) != text.decode():
            sys.exit(f"tokenizer: {ids} is {text!r}, tiktoken says {enc.decode(ids)!r}")
    print(f"tokenizer: decoding: {len(tokens)} rows of tokens, all equal")
    for path in files:
        with open(path, encoding="utf-8", newline="") as file:
            compare(path, program, [file.read()], ordinary)
    prepared(ordinary)


def prepared(ordinary):
    """data/shakespeare is what nanoGPT's data/shakespeare/prepare.py makes."""
    text = open("data/shakespeare/input.txt", encoding="utf-8").read()
    split = int(len(text) * 0.9)
    for name, part in [("train", text[:split]), ("val", text[split:])]:
        wanted = array.array("H", ordinary(part))
        with open(f"data/shakespeare/{name}.bin", "rb") as file:
            if file.read() != wanted.tobytes():
                sys.exit(f"tokenizer: data/shakespeare/{name}.bin is not what nanoGPT makes of it")
        print(f"tokenizer: data/shakespeare/{name}.bin: {len(wanted)} tokens, the bytes that nanoGPT writes")


# ---- the cases that `make test` holds us against ---------------------------------------------------------------------

CASES_TEXTS = [
    ("words", "First Citizen:\nBefore we proceed any further, hear me speak.\n\nAll:\nSpeak, speak."),
    ("contractions", "I'm you're he's it'd we'll they've don't I'M IT'S o'clock rock'n'roll 'tis ''s '"),
    ("numbers", "0 7 42 1984 3.14159 1,000,000 0x1f 2nd x2 ½ ² Ⅻ ٣٤ ४२ 一二 𝟘𝟙"),
    ("spaces", "  a   b    c\t\td \t e\n\n\nf \n \n g\r\nh   "),
    ("more spaces", " " * 37 + "x" + "\n" * 9 + "y" + " " * 4),
    ("White_Space", "a\x0bb\x0cc\x85d\xa0e\u1680f\u2000g\u2009h\u2028i\u2029j\u202fk\u205fl\u3000m"),
    ("a single one before a word", "\xa0a \u2028b \x85c \u3000d"),
    ("none of them", "a\u180eb \u180e c\u200bd\u2060e\ufefff\x1cg\x1fh"),
    ("scripts", "naïve Straße Ελλάδα Привет мир עברית العربية हिन्दी ไทย 中文 日本語です カタカナ 한국어 Tiếng Việt ქართული"),
    ("combining marks", "e\u0301 n\u0303o a\u0308\u0323 \u0301x कि น้ำ"),
    ("emoji", "😀😃 👍🏽 👩‍👩‍👧‍👦 🇩🇪🇫🇷 ❤️ 🏴󠁧󠁢󠁳󠁣󠁴󠁿 1️⃣ ☃"),
    ("marks", "“Quoted” — «so» … it’s (a) [b] {c} <d> a_b __init__ #x @y $5 50% C++ a/b\\c ===!?"),
    ("code", "for (int i = 0; i < n; i++) {\n    if (a[i] != '\\0') return -1;\t// it's\n}\n"),
    ("other planes", "𝒳𝓎 𐍈 𠀀𪛖 \U0010fffd \ue000"),
    ("control characters", "\x00\x01\x7f\x80\x9f a\x00b"),
    ("longer than most", "a" * 100 + " " + "ab" * 60 + "!" * 75 + "中" * 30),
    ("end of text", "one<|endoftext|>two <|endoftext|>\n<|endoftext|><|endoftext|>three<|endoftext"),
]


def cases(enc):
    lines = ["# Texts and their ids, from tiktoken; written by tests/reference/tokenizer.py. A case is a name, the",
             "# text's UTF-8 in hexadecimal, and the ids, <|endoftext|> being that token."]
    for name, text in CASES_TEXTS:
        ids = enc.encode(text, allowed_special="all")
        lines += ["# " + name, text.encode().hex(), " ".join(map(str, ids))]
    return "\n".join(lines) + "\n"


def main():
    warnings.simplefilter("ignore")
    if sys.argv[1:] == ["--write"]:
        with open(CASES, "w", encoding="ascii") as file:
            file.write(cases(reference()))
    else:
        check(sys.argv[1], sys.argv[2:])


if __name__ == "__main__":
    main()
