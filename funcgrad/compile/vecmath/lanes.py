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


def branched(lines: Sequence[str], rare: Iterable[Rare], lanes: int) -> list[str]:
    """Lines for one number, or for several, in which branches lead around what none of these needs."""
    out = list(lines)
    for start, stop, condition, usual in rare:
        any_of_them = f"call i1 @llvm.vector.reduce.or.v{lanes}i1(<{lanes} x i1> {condition})"
        out[start] = f"""  br label %usual{start}
usual{start}:
  %any{start} = {any_of_them if lanes > 1 else f"and i1 {condition}, true"}
  br i1 %any{start}, label %rare{start}, label %on{start}
rare{start}:
{out[start]}"""
        phis = []
        for number, (type, name) in enumerate(usual, stop):
            out[number] = out[number].replace(f"%v{number} =", f"%v{number}.rare =")
            kind = vector(type, lanes) if lanes > 1 else type
            phis.append(f"  %v{number} = phi {kind} [ %v{number}.rare, %rare{start} ], [ {name}, %usual{start} ]")
        out[stop + len(usual) - 1] += "\n".join([f"\n  br label %on{start}\non{start}:", *phis])
    return out
