"""What are the values of a program called?  As in its listing; and arguments as the user calls them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping

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


def result_names(structure: tree.TreeDef) -> list[str]:
    """For each leaf of the output its path."""
    return [f"result{tree.key_string(tuple(path))}" for path in structure.paths()]
