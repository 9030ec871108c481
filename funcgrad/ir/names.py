"""What do people call a program's variables?  Inputs as the function's parameters, with the keys of leaves."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from funcgrad import tree
from funcgrad.ir.printer import DTYPES, RESERVED
from funcgrad.ir.program import Program, Var


def with_names(
    program: Program,
    fun: Callable[..., Any],
    paths: Sequence[Sequence[Any]],
    fixed: Iterable[int] = (),
    others: Mapping[Var, str] | None = None,
) -> Program:
    """`program` with names for its last inputs, the leaves of ``(args, kwargs)`` at `paths`, and for `others`.

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

    inputs = program.inputs[len(program.inputs) - len(paths) :]
    given = {v: "_".join([first(key), *map(str, deeper)]) for v, (_, key, *deeper) in zip(inputs, paths, strict=True)}
    return program.replace(names=distinct(given | {v: x for v, x in (others or {}).items() if v not in given}))


def argument_names(fun: Callable[..., Any], structure: tree.TreeDef, fixed: Collection[int] = ()) -> list[str]:
    """For each leaf of ``(args, kwargs)`` its parameter and its path in it; `fixed` are the numbers of static ones."""
    try:
        parameters = list(inspect.signature(fun).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    plain = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    rest = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), "argument ")
    named = [plain[k] if k < len(plain) else f"{rest}{k - len(plain)}" for k in range(len(plain) + 256)]
    moving = [name for k, name in enumerate(named) if k not in fixed]
    names = []
    for part, key, *path in structure.paths():
        first = str(key) if part == 1 else moving[key] if key < len(moving) else f"argument {key}"
        names.append(first + tree.key_string(tuple(path)))
    return names


def distinct(given: Mapping[Var, str]) -> dict[Var, str]:
    """Identifiers, with numbers where several are called the same."""
    taken = set(RESERVED | DTYPES.keys())
    last: dict[str, int] = {}  # the number that a name had the last time
    names = {}
    for v, text in given.items():
        own = name = _plain(text)
        while name in taken:
            last[own] = last.get(own, 0) + 1
            name = f"{own}_{last[own]}"
        taken.add(name)
        names[v] = name
    return names


def _plain(name: str) -> str:
    """An identifier."""
    plain = re.sub(r"\W+", "_", name)
    return plain if plain[:1].isalpha() or plain[:1] == "_" else f"x{plain}"
