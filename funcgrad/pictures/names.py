"""What are the values of a program called?  As in its listing; and arguments as the user calls them."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from funcgrad import tree
from funcgrad.ir.printer import LETTERS, RESERVED
from funcgrad.ir.program import Atom, Literal, Program, Var
from funcgrad.ir.types import ArrayType
from funcgrad.runtime.profiling.text import count

MOST_LISTED = 16


def letters() -> Iterator[str]:
    """The names of listings: ``a`` to ``z``, ``aa`` and so on, without Python's words in them."""
    for length in itertools.count(1):
        for found in itertools.product(LETTERS, repeat=length):
            name = "".join(found)
            if name not in RESERVED:
                yield name


def names_of(program: Program, given: Mapping[Var, str] | None = None) -> dict[Var, str]:
    """The name of each variable in the listing of a program; `given` are those that a program around it knows."""
    given = program.names or {} if given is None else given
    taken = set(given.values())
    free = (name for name in letters() if name not in taken)
    outputs = (v for equation in program.equations for v in equation.outputs)
    return {v: given.get(v) or next(free) for v in (*program.constants, *program.inputs, *outputs)}


def read(atom: Atom, names: dict[Var, str]) -> str:
    """A value as the operand of an equation."""
    return literal(atom) if isinstance(atom, Literal) else names.get(atom, "?")


def literal(atom: Literal) -> str:
    """A number, short."""
    value = atom.value.item()
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def size(kind: ArrayType) -> str:
    """The bytes of an array: ``1.05 MB``."""
    return f"{count(kind.nbytes)}B"


def listed(texts: Iterable[str]) -> str:
    """Some texts with commas, and how many others there are."""
    found = list(texts)
    more = [f"and {len(found) - MOST_LISTED:,} more"] if len(found) > MOST_LISTED else []
    return ", ".join([*found[:MOST_LISTED], *more])


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


def result_names(structure: tree.TreeDef) -> list[str]:
    """For each leaf of the output its path."""
    return [f"result{tree.key_string(tuple(path))}" for path in structure.paths()]
