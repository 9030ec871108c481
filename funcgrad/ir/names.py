"""What do people call a program's inputs?  By the function's parameters, with the keys that lead to leaves."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from funcgrad.ir.printer import DTYPES, RESERVED
from funcgrad.ir.program import Program


def with_names(
    program: Program, fun: Callable[..., Any], paths: Sequence[Sequence[Any]], fixed: Iterable[int] = ()
) -> Program:
    """`program` with names for its last inputs, the leaves of ``(args, kwargs)`` at `paths`.

    Positional arguments with the numbers `fixed` are none of these.
    """
    try:
        parameters = list(inspect.signature(fun).parameters.values())
    except (TypeError, ValueError):
        return program
    positional = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    rest = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), "argument")
    skipped = set(fixed)
    moving = [name for k, name in enumerate(positional) if k not in skipped]

    def first(key: Any) -> str:
        if isinstance(key, str):
            return key
        return moving[key] if key < len(moving) else f"{rest}_{key - len(moving)}"

    taken = set(RESERVED | DTYPES.keys())
    names = {}
    inputs = program.inputs[len(program.inputs) - len(paths) :]
    for v, (_, key, *deeper) in zip(inputs, paths, strict=True):
        own = name = _plain("_".join([first(key), *map(str, deeper)]))
        number = 1
        while name in taken:
            name, number = f"{own}_{number}", number + 1
        taken.add(name)
        names[v] = name
    return program.replace(names=names)


def _plain(name: str) -> str:
    """An identifier."""
    plain = re.sub(r"\W+", "_", name)
    return plain if plain[:1].isalpha() or plain[:1] == "_" else f"x{plain}"
