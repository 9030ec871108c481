"""What do the bodies of loops and branches have in common?  Which values move or are batched after many rounds,
programs with their arguments in another order, and derivatives of programs, kept.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from funcgrad.dtypes import is_inexact
from funcgrad.ir.program import Program, Var
from funcgrad.ir.types import ArrayType
from funcgrad.ops.families import zero
from funcgrad.trace.builder import trace
from funcgrad.transform.jvp import jvp_program
from funcgrad.transform.vjp import vjp_program
from funcgrad.transform.vmap import kept_program

Flags = tuple[bool, ...]

pushed = functools.lru_cache(maxsize=512)(jvp_program)
pulled = functools.lru_cache(maxsize=512)(vjp_program)
batched_program = kept_program


class Parts(NamedTuple):
    """Operands of a scan by role."""

    consts: tuple[Any, ...]
    carry: tuple[Any, ...]
    xs: tuple[Any, ...]


def parts(values: Sequence[Any], params: dict[str, Any]) -> Parts:
    """The operands by role."""
    first, second = params["consts"], params["consts"] + params["carry"]
    values = tuple(values)
    return Parts(values[:first], values[first:second], values[second:])


def clear() -> None:
    """Forget the transformed programs."""
    for cache in (pushed, pulled):
        cache.cache_clear()


def smooth(types: Sequence[ArrayType]) -> Flags:
    """Which values can have derivatives."""
    return tuple(is_inexact(t.dtype) for t in types)


def reached(program: Program, start: Sequence[bool]) -> Flags:
    """Which outputs depend on the inputs flagged in `start`, through values that can have derivatives or not."""
    found = {v for v, flag in zip(program.inputs, start, strict=True) if flag}
    for equation in program.equations:
        if any(a in found for a in equation.inputs):
            found.update(equation.outputs)
    return tuple(isinstance(a, Var) and a in found for a in program.outputs)


def settled(step: Callable[[Flags], Sequence[bool]], start: Sequence[bool]) -> Flags:
    """The flags of a carry after any number of rounds: `step` gives those after one more."""
    flags = tuple(start)
    while True:
        after = tuple(a or b for a, b in zip(flags, step(flags), strict=True))
        if after == flags:
            return flags
        flags = after


def program_of(function: Callable[..., Sequence[Any]], types: Sequence[ArrayType]) -> Program:
    """The program of a function of flat values that captures no tracer."""
    program, captures = trace(lambda *xs: list(function(*xs)), types)
    assert not captures
    return program


def chosen(values: Sequence[Any], flags: Sequence[bool]) -> list[Any]:
    """The values that are flagged."""
    return [x for x, flag in zip(values, flags, strict=True) if flag]


def placed(values: Iterator[Any] | Sequence[Any], flags: Sequence[bool]) -> list[Any]:
    """The values, one after the other, where the flags are, None elsewhere: the inverse of `chosen`."""
    rest = iter(values)
    return [next(rest) if flag else None for flag in flags]


def filled(values: Sequence[Any], types: Sequence[ArrayType]) -> list[Any]:
    """Tangents or cotangents, with zeros for those that are absent."""
    return [zero(t) if x is None else x for x, t in zip(values, types, strict=True)]


def in_front(types: Sequence[ArrayType], size: int) -> tuple[ArrayType, ...]:
    """The types with a new axis of `size` in front."""
    return tuple(ArrayType((size, *t.shape), t.dtype) for t in types)


def strong(types: Sequence[ArrayType]) -> tuple[ArrayType, ...]:
    """The types, none of them weak."""
    return tuple(ArrayType(t.shape, t.dtype) for t in types)


def same_types(name: str, what: str, got: Sequence[ArrayType], want: Sequence[ArrayType]) -> None:
    """Raise a `TypeError` unless types agree, weak ones or not."""
    if [(t.shape, t.dtype) for t in got] != [(t.shape, t.dtype) for t in want]:
        raise TypeError(
            f"{name}: {what} have types ({', '.join(map(str, got))}), where ({', '.join(map(str, want))}) are needed"
        )
