"""What are the sizes of a convolution, and how do its operands lie in memory?"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import NamedTuple

from funcgrad.ir.program import Var
from funcgrad.lower.index import Shape
from funcgrad.ops.convolution import dilated

BAND = 1 << 17  # bytes of a band that should stay in the second cache
PANEL = 128  # bytes of the widest panel


class Lie(NamedTuple):
    """How an operand lies in its buffer: the offset and the strides of group, batch or feature, space, feature or out.

    They are those of the axes of the equation's operand; absent axes of space (the first ones) have stride 0.
    """

    var: Var
    offset: int
    ends: tuple[int, int, int]
    space: tuple[int, int, int]

    def every(self, steps: Shape, first: Sequence[int]) -> Lie:
        """Some of the elements along space."""
        offset = self.offset + sum(map(operator.mul, self.space, first))
        return Lie(self.var, offset, self.ends, tuple(map(operator.mul, self.space, steps)))


class Geometry(NamedTuple):
    """The sizes of a convolution over depth, height and width.

    In a `backward` one, features and examples of what windows move over are exchanged, and so are window and places:
    then `window` has the result's extents and `places` those of the equation's kernel, `steps` and `holes` likewise.
    """

    backward: bool
    groups: int
    batch: int
    features: int
    outs: int
    extents: Shape
    places: Shape
    window: Shape
    steps: Shape
    holes: Shape
    opens: Shape
    lows: Shape

    @property
    def work(self) -> int:
        """Multiplications of one group."""
        return self.batch * self.features * self.outs * math.prod(self.places) * math.prod(self.window)

    @property
    def is_merged(self) -> bool:
        """Whether the columns of a window stand together."""
        return self.holes[2] == 1

    @property
    def length(self) -> int:
        """How many numbers of a window stand together."""
        if self.is_line:
            return self.window[1] * self.features
        return self.window[2] * self.features if self.is_merged else self.features

    @property
    def is_line(self) -> bool:
        """Whether rows have one column and stand together."""
        return self.window[2] == self.places[2] == self.holes[1] == 1

    @property
    def seen_width(self) -> int:
        """The columns that the windows of a row see."""
        return (self.places[2] - 1) * self.steps[2] + dilated(self.window[2], self.holes[2])

    def seen_rows(self, rows: int) -> int:
        """The rows that the windows of some rows see."""
        return (rows - 1) * self.steps[1] + dilated(self.window[1], self.holes[1])

    def rows(self, itemsize: int) -> int:
        """The rows of places of a band, all bands being about equal."""
        room = BAND // max(self.window[0] * self.seen_width * self.features * itemsize, 1)
        most = max(1, (room - dilated(self.window[1], self.holes[1])) // self.steps[1] + 1)
        most = min(most, self.places[1])
        return -(-self.places[1] // -(-self.places[1] // most))

    def segments(self, rows: int) -> list[int]:
        """The offsets of the parts of a window in what is seen."""
        depth, height, width = self.window
        if self.is_line:
            return [d * self.seen_rows(rows) * self.features for d in range(depth)]
        columns = range(1 if self.is_merged else width)
        return [
            ((d * self.seen_rows(rows) + h * self.holes[1]) * self.seen_width + w * self.holes[2]) * self.features
            for d in range(depth)
            for h in range(height)
            for w in columns
        ]
