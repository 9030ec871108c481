"""Where do the lines of an array along one axis lie?  `Lines`: their number, length, and addresses in a kernel.

And what the kernels over lines share: cumulative ones, sorts, merges, searches.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from funcgrad.lower.loops import INDEX, Constant, Load, Operand
from funcgrad.lower.schedule import KernelStep
from funcgrad.lower.writer import Writer

PIECE = 1 << 15  # elements that are worth handing to a thread
LONG = 1 << 17  # elements of a line that is sorted in pieces


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of an array in C order along an axis.

    Attributes
    ----------
    outer, length, inner
        The elements before the axis, along it, and behind it: elements of a line are `inner` apart.
    reverse
        Whether a line begins at its last element.
    """

    outer: int
    length: int
    inner: int
    reverse: bool = False

    @classmethod
    def along(cls, shape: tuple[int, ...], axis: int, reverse: bool = False) -> Lines:
        """The lines of an array of `shape`."""
        return cls(math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :]), reverse)

    @property
    def count(self) -> int:
        """How many lines there are."""
        return self.outer * self.inner

    def chunk(self, most: int = 0) -> int:
        """How many lines make a piece of work (0: all together), so that there are no more than `most` pieces."""
        lines = max(-(-PIECE // max(self.length, 1)), -(-self.count // most) if most else 1)
        return lines if lines < self.count else 0

    def origin(self, w: Writer, line: Operand) -> Operand:
        """The address of a line's first element."""
        if self.inner == 1:
            first = w.op("mul", line, w.size(self.length))
        else:
            outer = w.op("quotient", line, w.size(self.inner))
            within = w.op("sub", line, w.op("mul", outer, w.size(self.inner)))
            first = w.op("add", w.op("mul", outer, w.size(self.length * self.inner)), within)
        return w.op("add", first, w.size((self.length - 1) * self.inner)) if self.reverse else first

    def place(self, w: Writer, origin: Operand, i: Operand) -> Operand:
        """The address of element `i` of a line."""
        far = i if self.inner == 1 else w.op("mul", i, w.size(self.inner))
        return w.op("sub" if self.reverse else "add", origin, far)


def load_here(w: Writer, buffer: int, index: Operand) -> Operand:
    """An element of a buffer that the loop at hand writes to: it is read where this stands."""
    result = w.fresh(w.buffers[buffer].dtype, len(w.blocks) - 1)
    w.put(Load(result, buffer, index), len(w.blocks) - 1)
    return result


def number(value: int) -> Constant:
    """An integer of the index type."""
    return Constant(value, INDEX)


def kernel_step(w: Writer, total: int, chunk: int) -> KernelStep:
    """What was written, to be run over `total` tasks."""
    return KernelStep(w.kernel(), tuple(w.keys), tuple(w.size_values), total, chunk if chunk < total else 0, group=None)


def comes_before(w: Writer, x: Operand, y: Operand) -> Operand:
    """Whether `x` stands before `y` in order: NaN comes last."""
    if x.dtype[0] != "f":
        return w.op("lt", x, y)
    return w.op("and", w.op("not", w.op("le", y, x)), w.op("eq", x, x))
