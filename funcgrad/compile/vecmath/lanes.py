"""How does a formula become one for several numbers at a time?  By writing each of its types as a vector of that type.

The formulas are straight-line code without a look at their neighbours, so that lanes change nothing but the types:
each lane has the bits that the formula for one number gives.
"""

from __future__ import annotations

import re

_TOKEN = re.compile(r"@llvm\.\w+\.f\d+|[%@][\w.]+|\b(?:double|float|i\d+)\b|0x[0-9A-F]{16}|-?\b\d+\b")
_TYPE = re.compile(r"double|float|i\d+")


def vector(type: str, lanes: int) -> str:
    """A type of `lanes` numbers; of several results one of each."""
    return _TYPE.sub(lambda found: f"<{lanes} x {found[0]}>", type)


def widened(line: str, lanes: int) -> str:
    """A line of straight code, or a declaration, for `lanes` numbers at a time."""
    name, equals, instruction = line.rpartition(" = ")
    current = ""

    def in_lanes(found: re.Match[str]) -> str:
        nonlocal current
        token = found[0]
        if token.startswith("@llvm."):  # an intrinsic is named after its type
            name, _, suffix = token.rpartition(".")
            return f"{name}.v{lanes}{suffix}"
        if token[0] in "%@":
            return token
        if _TYPE.fullmatch(token):
            current = token
            return vector(token, lanes)
        return f"splat ({current} {token})"

    return name + equals + _TOKEN.sub(in_lanes, instruction)
