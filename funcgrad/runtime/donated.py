"""What happens to arguments that the caller gives away?"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.array import Array
from funcgrad.errors import DonatedBufferError, at_line
from funcgrad.runtime.statics import positions
from funcgrad.tracebacks import boundary


class DonatedArray(np.ndarray):
    """What an array becomes when it has been given away: every use of it is refused."""

    __slots__ = ()
    message = (
        "This array was given away through donate_argnums: its memory may hold something else now. "
        "Use the function's result instead, or do not donate the argument.{}"
    )

    @boundary
    def _refuse(self, *args: Any, **kwargs: Any) -> Any:
        raise DonatedBufferError(self.message.format(at_line()))

    __array_ufunc__ = __array_function__ = __getitem__ = __setitem__ = __repr__ = __str__ = __iter__ = __float__ = (
        __bool__
    ) = __dlpack__ = _refuse
    sum = mean = copy = astype = reshape = tolist = item = _refuse
    shape = dtype = property(_refuse)


class Gift:
    """A context in which arguments are given away: afterwards, or after a failure in the middle, arrays of ours among
    them are `DonatedArray`s.
    """

    def __init__(self, arguments: list[Any]) -> None:
        self.arguments = arguments
        self.taken = True

    def __enter__(self) -> Gift:
        return self

    def __exit__(self, *error: object) -> None:
        if self.taken and self.arguments:
            for leaf in tree.leaves(self.arguments):
                if type(leaf) is Array:
                    leaf.__class__ = DonatedArray  # type: ignore[assignment]


def gift(args: tuple[Any, ...], donated: Sequence[int]) -> Gift:
    """A context in which the positional arguments with these numbers are given away."""
    return Gift([args[number] for number in donated if -len(args) <= number < len(args)])


def donated_leaves(args: tuple[Any, ...], donated: Sequence[int], static: Collection[int]) -> tuple[int, ...]:
    """The numbers, among the leaves of all arguments that are not static, of those that are given away."""
    given = positions(donated, len(args))
    found: list[int] = []
    first = 0
    for number, arg in enumerate(args):
        count = 0 if number in static else len(tree.leaves(arg))
        found += range(first, first + count) if number in given else ()
        first += count
    return tuple(found)
