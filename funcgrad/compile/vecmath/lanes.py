"""How does a formula become one for several numbers at a time?  By writing each of its types as a vector of that type.

The formulas are straight-line code without a look at their neighbours, so that lanes change nothing but the types:
each lane has the bits that the formula for one number gives.  What few numbers need is skipped where none does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from funcgrad.compile.vecmath.builder import Rare

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


def branched(lines: Sequence[str], rare: Iterable[Rare], type: str, lanes: int) -> list[str]:
    """Lines for `lanes` numbers of a type, in which branches lead around what none of these needs."""
    out = list(lines)
    for start, stop, condition, usual in rare:
        result = f"%v{stop}"
        out[start] = f"""  br label %usual{start}
usual{start}:
  %any{start} = call i1 @llvm.vector.reduce.or.v{lanes}i1(<{lanes} x i1> {condition})
  br i1 %any{start}, label %rare{start}, label %on{start}
rare{start}:
{out[start]}"""
        out[stop] = f"""{out[stop].replace(f"{result} =", f"{result}.rare =")}
  br label %on{start}
on{start}:
  {result} = phi {vector(type, lanes)} [ {result}.rare, %rare{start} ], [ {usual}, %usual{start} ]"""
    return out
