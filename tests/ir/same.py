"""Are two programs the same, but for where they come from?"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.ir.program import Literal, Program


def same(a: Any, b: Any) -> bool:
    """Whether two programs (or parameters) are made of the same things, wired alike."""
    if isinstance(a, Program):
        return isinstance(b, Program) and _same_programs(a, b)
    if isinstance(a, tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float):
        return isinstance(b, float) and repr(a) == repr(b)
    return type(a) is type(b) and bool(a == b)


def _same_programs(a: Program, b: Program) -> bool:
    numbers: list[dict[Any, Any]] = [{}, {}]

    def atom(x: Any, side: int) -> Any:
        if isinstance(x, Literal):
            return x.type, type(x.value), np.isnan(x.value) or x.value.tobytes()
        return numbers[side].setdefault(x, len(numbers[side])), x.type

    def wiring(p: Program, side: int) -> list[Any]:
        heads = [[atom(x, side) for x in xs] for xs in (p.constants, p.inputs)]
        body = [
            (e.primitive.name, [atom(x, side) for x in e.inputs], [atom(x, side) for x in e.outputs])
            for e in p.equations
        ]
        return [heads, body, [atom(x, side) for x in p.outputs]]

    return (
        wiring(a, 0) == wiring(b, 1)
        and all(map(np.array_equal, map(_bits, a.constants.values()), map(_bits, b.constants.values())))
        and all(
            x.params.keys() == y.params.keys() and all(same(x.params[k], y.params[k]) for k in x.params)
            for x, y in zip(a.equations, b.equations, strict=True)
        )
    )


def _bits(x: np.ndarray) -> np.ndarray:
    """The bytes of an array; all NaN are one."""
    plain = np.where(np.isnan(x), np.array(np.nan, x.dtype), x) if x.dtype.kind in "fcV" else x
    return np.frombuffer(np.ascontiguousarray(plain).tobytes(), np.uint8)
