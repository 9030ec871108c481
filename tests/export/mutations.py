"""How is a file damaged?  Bytes that change, and headers that change under a checksum that fits."""

from __future__ import annotations

import copy
import hashlib
import json
import random
from collections.abc import Iterator
from typing import Any

from funcgrad.export.container import ALIGNMENT, FORMAT, MAGIC, PREFIX

NUMBERS = (0, 1, 2, -1, 7, 40, 255, 1 << 16, (1 << 31) - 1, 1 << 31, 1 << 48, 1 << 63, -(1 << 63), 1 << 70, 10**40)
TEXTS = (
    "",
    "add",
    "jit",
    "gather",
    "pure_callback",
    "*",
    "f8",
    "c16",
    "i",
    "n",
    "1/n",
    "__class__",
    "\x00",
    "x" * 5000,
)
OTHERS = (None, True, False, 0.5, -0.0, 1e308, [], {}, [[]], [0, 1], {"@": 0}, {"@": [0]}, {"i": "9" * 50})


def parts(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The header and the arrays of a file."""
    length = PREFIX.unpack(data[: PREFIX.size])[3]
    return json.loads(data[PREFIX.size : PREFIX.size + length]), data[PREFIX.size + length :]


def signed(header: Any, arrays: bytes) -> bytes:
    """A file with a checksum that fits."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    payload = text + arrays
    return PREFIX.pack(MAGIC, FORMAT, 0, len(text), len(arrays), hashlib.sha256(payload).digest()) + payload


def places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in a header, with every key or index."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        pairs = one.items() if isinstance(one, dict) else enumerate(one)
        for key, value in pairs:
            yield one, key
            if isinstance(value, dict | list):
                waiting.append(value)


def changed_header(rng: random.Random, header: dict[str, Any]) -> dict[str, Any]:
    """A header with one to three changes."""
    header = copy.deepcopy(header)
    for _ in range(rng.choice((1, 1, 2, 3))):
        found = list(places(header))
        if not found:
            break
        node, key = rng.choice(found)
        kind = rng.randrange(6)
        if kind == 0 and type(node[key]) is int:
            node[key] += rng.choice((-1, 1))
        elif kind == 1:
            del node[key]
        elif kind == 2:
            other, place = rng.choice(found)
            node[key] = copy.deepcopy(
                other.get(place) if isinstance(other, dict) else (other or [0])[place % max(len(other), 1)]
            )
        elif kind == 3 and isinstance(node, list):
            node.insert(key, copy.deepcopy(node[key]))
        elif kind == 4:
            node[key] = [node[key]]
        else:
            node[key] = copy.deepcopy(rng.choice(rng.choice((NUMBERS, TEXTS, OTHERS))))
    return header


def changed(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    """A damaged file."""
    kind = rng.randrange(6)
    if kind == 0:  # bytes
        found = bytearray(data)
        for _ in range(rng.choice((1, 1, 4, 16))):
            found[rng.randrange(len(found))] = rng.randrange(256)
        return bytes(found)
    if kind == 1:  # a part, twice or not at all
        first, last = sorted(rng.choices(range(len(data)), k=2))
        return data[:last] + data[first:] if rng.random() < 0.5 else data[:first] + data[last:]
    if kind == 2:  # two files
        other = rng.choice(others)
        return data[: rng.randrange(len(data))] + other[rng.randrange(len(other)) :]
    header, arrays = parts(data)
    if kind == 3:  # bytes of the header or the arrays, signed
        text = bytearray(json.dumps(header).encode() + arrays)
        for _ in range(rng.choice((1, 2, 8))):
            text[rng.randrange(len(text))] = rng.randrange(256)
        return signed(bytes(text[: len(text) - len(arrays)]), bytes(text[len(text) - len(arrays) :]))
    return signed(changed_header(rng, header), arrays)
