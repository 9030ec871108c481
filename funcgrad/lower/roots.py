"""What do kernels compute?  Roots: arrays to be stored and axes to be folded, each over a domain of loops.

Every root is a function of the loop axes ``0, 1, ...`` of its domain (axes of extent 1 do not count). Roots over one
domain share a kernel, a `Group`: the domain's first `rows` axes are its rows, the others its columns.

======== ==============================================================================================
kind      meaning
======== ==============================================================================================
store     write the value of each point of the domain
row       fold the columns: a value for each row, at hand for everything else in the same row
column    fold the rows: a value for each column, complete when the kernel is
full      fold everything
arg       as row: where the extremum is
scatter   write the value of each point (or fold it in) at a computed place
======== ==============================================================================================
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from funcgrad.dtypes import code
from funcgrad.ir.program import Atom, Equation, Var
from funcgrad.lower.index import ZERO, Affine, Index, Shape, Strided, axis, contiguous_strides, squeezed

FOLDS = {
    "reduce_sum": "add", "reduce_prod": "mul", "reduce_max": "max", "reduce_min": "min",
    "reduce_and": "and", "reduce_or": "or",
}  # fmt: skip


@dataclass(eq=False, slots=True)
class Root:
    """See the module.

    Attributes
    ----------
    kind, domain, rows
        `rows` is None where any split of the domain's axes will do.
    var
        The result.
    operands
        What is folded or stored: the product of these values, each at its index.
    fold
        The instruction that folds, for the reductions.
    target
        For stores: where the result lies in the buffer of `var` (C order by default).
    places
        For scatters: where the value goes, a `lower.places.Place` for each axis of the target.
    free
        For scatters: the axes of the domain no two iterations along which meet at a place.
    drop
        For scatters: whether places out of bounds are skipped.
    """

    kind: str
    domain: Shape
    rows: int | None
    var: Var
    operands: tuple[tuple[Atom, Index], ...]
    fold: str | None = None
    target: Strided | None = None
    places: Any = None
    free: frozenset[int] = frozenset()
    drop: bool = False

    @property
    def dtype(self) -> str:
        """The dtype of the result."""
        return code(self.var.type.dtype)


@dataclass(slots=True)
class Survey:
    """What is known of a kernel before it is written in its final form.

    Attributes
    ----------
    positions
        The index expressions of its loads and stores: they decide which loops are merged.
    reads
        The variables whose buffers it reads.
    instructions, costly, folds
        How many instructions there are, how many values take expensive ones, and how many folds of rows.
    cuts, repeated
        Values of rows, and mathematics of several passes, that are worth keeping (see `lower.rowblocks`).
    costly_in_rows
        Whether rows need mathematics of their own.
    passes
        The `lower.passes.Passes` over the columns, where there may be several.
    seams
        Where its innermost loop is cut (see `lower.seams`).
    """

    positions: set[Affine] = field(default_factory=set)
    reads: set[Var] = field(default_factory=set)
    instructions: int = 0
    costly: int = 0
    folds: int = 0
    cuts: tuple[tuple[Var, Index], ...] = ()
    repeated: tuple[tuple[Var, Index], ...] = ()
    costly_in_rows: bool = False
    passes: Any = None
    seams: set[int] = field(default_factory=set)


@dataclass(eq=False, slots=True)
class Group:
    """Roots that share one kernel; those in `in_rows` have only the rows of the domain as theirs."""

    domain: Shape
    rows: int | None
    position: int
    roots: list[Root] = field(default_factory=list)
    in_rows: list[Root] = field(default_factory=list)
    survey: Survey = field(default_factory=Survey)

    @property
    def is_plain(self) -> bool:
        """Whether every point of the domain is computed by itself, and at most everything is folded."""
        return not self.in_rows and all(root.kind in ("store", "full") for root in self.roots)

    def row_value(self, var: Var) -> Root | None:
        """The root of the group that folds columns to `var`."""
        for root in self.roots:
            if root.var is var and root.kind in ("row", "arg"):
                return root
        return None


def natural_index(shape: Shape) -> Index:
    """The index of an array whose axes (but those of extent 1) are the axes of the domain."""
    numbers = iter(range(len(shape)))
    return tuple(ZERO if n == 1 else axis(next(numbers)) for n in shape)


def store_root(var: Var, value: Atom | None = None, target: Strided | None = None) -> Root:
    """Write `value` (or `var` itself) to the buffer of `var`."""
    source = var if value is None else value
    shape = source.type.shape
    domain = squeezed(shape)
    if target is not None:
        kept = tuple(s for s, n in zip(target.strides, shape, strict=True) if n != 1)
        target = Strided(target.offset, domain, kept)
    else:
        target = Strided(0, domain, contiguous_strides(domain))
    return Root("store", domain, None, var, ((source, natural_index(shape)),), target=target)


def fold_root(equation: Equation) -> Root:
    """The root of a reduction over some axes of one operand."""
    (operand,), (var,) = equation.inputs, equation.outputs
    name, shape = equation.primitive.name, operand.type.shape
    folded = (equation.params["axis"],) if name in ("argmax", "argmin") else equation.params["axes"]
    return make_fold(name, var, shape, folded, lambda index: ((operand, index),))


def make_fold(name: str, var: Var, shape: Shape, folded: tuple[int, ...], operands: Any) -> Root:
    """Fold axes of a domain of `shape`; `operands` gives what is folded from the index of that domain."""
    wide = [k for k, n in enumerate(shape) if n != 1]
    inner = [k for k in wide if k in folded]
    outer = [k for k in wide if k not in folded]
    if name in ("argmax", "argmin"):
        order, kind, fold = [*outer, *inner], "arg", "gt" if name == "argmax" else "lt"
    else:
        fold = FOLDS.get(name, "add")
        if not outer:
            order, kind = inner, "full"
        elif wide[: len(inner)] == inner and inner:
            order, kind = wide, "column"
        else:
            order, kind = [*outer, *inner], "row"
    numbers = {k: position for position, k in enumerate(order)}
    index = tuple(axis(numbers[k]) if k in numbers else ZERO for k in range(len(shape)))
    rows = None if kind == "full" else len(inner) if kind == "column" else len(outer)
    return Root(kind, tuple(shape[k] for k in order), rows, var, operands(index), fold)
