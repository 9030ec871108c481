"""How does a Python function of pytrees become a program?  Its arguments' leaves become the program's inputs."""

from __future__ import annotations

import gc
import operator
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from funcgrad import tree
from funcgrad.errors import at_line
from funcgrad.ir.program import Program
from funcgrad.ir.types import ArrayType
from funcgrad.quiet import quiet
from funcgrad.trace.builder import trace
from funcgrad.trace.frame import type_of
from funcgrad.trace.outputs import RETURNS, checked_leaves
from funcgrad.trace.tracer import Tracer
from funcgrad.tracebacks import boundary

T = TypeVar("T")
SPARE_BLOCKS = 1 << 18  # of Python's memory: some 20 MB
_enough = [0]  # blocks at which garbage is collected next; nobody knows before the first program


class ShapeDtypeStruct:
    """The shape and dtype of an array that does not exist (yet).

    >>> import numpy as np
    >>> ShapeDtypeStruct((2, 3), np.float32)
    ShapeDtypeStruct(shape=(2, 3), dtype=float32)
    """

    __slots__ = ("dtype", "shape")

    @boundary
    def __init__(self, shape: Iterable[int], dtype: Any) -> None:
        self.shape = tuple([n if getattr(n, "symbolic", False) else operator.index(n) for n in shape])  # see export
        self.dtype = np.dtype(dtype)

    def __repr__(self) -> str:
        return f"ShapeDtypeStruct(shape={self.shape}, dtype={self.dtype.name})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ShapeDtypeStruct) and (self.shape, self.dtype) == (other.shape, other.dtype)

    def __hash__(self) -> int:
        return hash((self.shape, self.dtype))


class Traced(NamedTuple):
    """A function's program, the structure of its output, and the outer tracers that are the program's first inputs."""

    program: Program
    out_structure: tree.TreeDef
    captures: tuple[Tracer, ...]


def trace_function(fun: Callable[..., Any], structure: tree.TreeDef, types: Sequence[ArrayType]) -> Traced:
    """Trace ``fun(*args, **kwargs)``, where ``(args, kwargs)`` has `structure` and leaves of `types`."""
    out: list[tree.TreeDef] = []

    def flat(*variables: Tracer) -> list[Any]:
        args, kwargs = tree.unflatten(structure, variables)
        name = getattr(fun, "__name__", repr(fun))
        leaves, out_structure = checked_leaves(f"{name} {RETURNS}", fun(*args, **kwargs))
        out.append(out_structure)
        return leaves

    with quiet():
        program, captures = uncollected(trace, flat, types)
    return Traced(program, out[0], captures)


def leaf_types(name: str, leaves: Sequence[Any], structure: tree.TreeDef) -> list[ArrayType]:
    """The types of the leaves of ``(args, kwargs)``, or a `TypeError` that names the one that is no array."""
    types = []
    for number, leaf in enumerate(leaves):
        try:
            described = isinstance(leaf, ShapeDtypeStruct)
            types.append(ArrayType(leaf.shape, leaf.dtype) if described else type_of(leaf))
        except TypeError as error:
            (part, *path) = structure.paths()[number]
            where = f"argument {path[0]}" if part == 0 else f"argument {path[0]!r}"
            raise TypeError(
                f"{name}: {where}{tree.key_string(tuple(path[1:]))}: {error}. Mark arguments that are not arrays as "
                f"static (static_argnums, static_argnames), or register the class as a pytree.{at_line()}"
            ) from None
    return types


def uncollected(function: Callable[..., T], *args: Any) -> T:
    """What a function gives, without garbage collection meanwhile: a program under construction is many objects, all of
    them alive, and most of them stay. So they count as old afterwards, by way of the permanent generation (if nobody
    else uses it), until there are a quarter more objects than after the last collection.
    """
    if not gc.isenabled():
        return function(*args)
    try:
        gc.disable()
        return function(*args)
    finally:
        gc.enable()  # the first call here: Ctrl-C may raise after each
        if sys.getallocatedblocks() > _enough[0]:
            if _enough[0]:
                gc.collect()
            _enough[0] = sys.getallocatedblocks() * 5 // 4 + SPARE_BLOCKS
        elif not gc.get_freeze_count():
            try:
                gc.freeze()
            finally:
                gc.unfreeze()
