"""Reads a config: the plain subset of Lua that `return { key = value, ... }` with constants is."""

import re

_ENTRY = re.compile(r'(\w+)\s*=\s*("[^"\n]*"|[^\s,{}]+)')


def value(text):
    """A Lua (or printed) constant: a number, true, false or a string."""
    if text in ("true", "True", "false", "False"):
        return text in ("true", "True")
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text.strip('"')


def read_lua(path):
    """The keys that a config file states, in its order."""
    with open(path, encoding="utf-8") as file:
        text = re.sub(r"--.*", "", file.read())
    return {key: value(word) for key, word in _ENTRY.findall(text)}


def read_line(line):
    """The keys of a "key=value key=value" line, as checkpoints carry it."""
    return {key: value(word) for key, word in (entry.split("=", 1) for entry in line.split())}


def write_line(config):
    """The inverse of read_line."""
    words = {True: "true", False: "false"}
    return " ".join(f"{key}={words[v] if isinstance(v, bool) else v}" for key, v in config.items())
