"""Which sizes does a call have?  Those that the extents of its arguments tell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from funcgrad.export.constraints import Constraint
from funcgrad.export.sizes import Size, Sizes, text_of


class Extent(NamedTuple):
    """An extent of an argument: what it must be, and where it stands."""

    size: Size
    where: str


def unsolvable(extents: Sequence[Extent], names: Iterable[str]) -> set[str]:
    """The symbols that extents do not tell."""
    known: set[str] = set()
    while True:
        new = {name for extent in extents if (name := _linear(extent.size, known)) is not None}
        if not new:
            return set(names) - known
        known |= new


def _linear(size: Size, known: set[str]) -> str | None:
    """The only unknown symbol, if the polynomial is linear in it."""
    unknown = size.names - known
    if len(unknown) != 1:
        return None
    (name,) = unknown
    return name if all(dict(m).get(name, 0) <= 1 for m in size.terms) else None


def solved(extents: Sequence[Extent], values: Sequence[int], constraints: Sequence[Constraint]) -> dict[str, int]:
    """The sizes that extents of arguments tell.

    Raises
    ------
    ValueError
        With the argument that does not fit.
    """
    sizes: dict[str, int] = {}
    pairs = list(zip(extents, values, strict=True))
    while True:
        for extent, value in pairs:
            name = _linear(extent.size, set(sizes))
            if name is not None:
                sizes[name] = _solution(extent, value, name, sizes)
                break
        else:
            break
    for extent, value in pairs:
        wanted = extent.size.fraction(sizes)
        if wanted != value:
            told = "" if extent.size.constant is not None else f" = {extent.size} with {text_of(sizes)}"
            raise ValueError(f"{extent.where} is {value}, where {wanted}{told} is needed")
    for condition in constraints:
        if not condition.holds(sizes):
            raise ValueError(f"the sizes {text_of(sizes)} break the constraint {condition}")
    return sizes


def _solution(extent: Extent, value: int, name: str, sizes: Sizes) -> int:
    """The value of a symbol that an extent is linear in."""
    zero, one = (extent.size.fraction({**sizes, name: n}) for n in (0, 1))
    slope = one - zero
    if not slope:
        raise ValueError(f"{extent.where} does not tell {name}, as {extent.size} does not depend on it for these sizes")
    found = (value - zero) / slope
    if found.denominator != 1 or found < 1:
        raise ValueError(f"{extent.where} is {value}, which no {name} >= 1 makes of {extent.size}")
    return int(found)
