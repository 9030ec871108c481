"""Do arguments fit what a function was exported for?  Their structure, dtypes and ranks; extents tell the sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.dtypes import promote
from funcgrad.errors import at_line
from funcgrad.export.files import Content
from funcgrad.export.sizes import Size, Sizes
from funcgrad.export.solving import Extent, solved, unsolvable
from funcgrad.export.symbolic import Spec
from funcgrad.trace.frame import type_of
from funcgrad.trace.function import ShapeDtypeStruct
from funcgrad.trace.tracer import Tracer


class Signature:
    """What an exported function takes.

    Attributes
    ----------
    name
        The function's, for messages.
    described
        The shapes and dtypes of the leaves; extents may be symbolic.
    """

    def __init__(self, content: Content) -> None:
        self.name, self.described = content.name, tuple(map(described, content.inputs))
        self._content = content
        self._where = list(map(_place, content.in_tree.paths()))
        self._extents = [
            Extent(n if isinstance(n, Size) else Size({(): n}), f"{where}.shape[{k}]")  # type: ignore[dict-item]
            for spec, where in zip(content.inputs, self._where, strict=True)
            for k, n in enumerate(spec.shape)
        ]

    @property
    def tells_sizes(self) -> bool:
        """Whether arguments tell all sizes, and those of the example are among the allowed ones."""
        allowed = all(c.holds(self._content.example) for c in self._content.constraints)
        return allowed and not unsolvable(self._extents, self._content.names)

    def leaves(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        """The leaves of arguments, which are of the structure, dtypes and ranks that they should be."""
        leaves, structure = tree.flatten((args, kwargs))
        if structure != self._content.in_tree:
            raise TypeError(
                f"{self.name} was exported for arguments of the structure {self._content.in_tree}, "
                f"not {structure}{at_line()}"
            )
        return [self._leaf(k, x) for k, x in enumerate(leaves)]

    def sizes(self, leaves: Sequence[Any]) -> Sizes:
        """The sizes that the leaves' extents tell.

        Raises
        ------
        ValueError
            With the argument that does not fit.
        """
        values = [n for x in leaves for n in type_of(x).shape]
        return solved(self._extents, values, self._content.constraints)

    def _leaf(self, number: int, x: Any) -> Any:
        spec, have = self._content.inputs[number], type_of(x)
        if have.ndim != len(spec.shape):
            raise ValueError(
                f"{self.name}: {self._where[number]} has shape {have.shape}, where "
                f"{self.described[number]} is needed{at_line()}"
            )
        if have.dtype == spec.dtype:
            return x
        if have.weak and promote([(spec.dtype, False), (have.dtype, True)])[0] == spec.dtype:
            return x.astype(spec.dtype) if type(x) is Tracer else np.asarray(x, spec.dtype)
        raise TypeError(
            f"{self.name}: {self._where[number]} has dtype {have.dtype.name}, where "
            f"{self.described[number]} is needed{at_line()}"
        )


def described(spec: Spec) -> ShapeDtypeStruct:
    """A type as users see it."""
    shape: Any = spec.shape
    return ShapeDtypeStruct(shape, spec.dtype)


def _place(path: Sequence[Any]) -> str:
    part, *rest = path
    where = f"argument {rest[0]}" if part == 0 else f"argument {rest[0]!r}"
    return f"{where}{tree.key_string(tuple(rest[1:]))}"
