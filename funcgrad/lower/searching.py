"""How is a place in a sorted line found?  By bisection, with as many steps for every number."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from funcgrad.dtypes import code
from funcgrad.ir.program import Var
from funcgrad.lower.calls import WRITERS, Call, is_native
from funcgrad.lower.lines import PIECE, comes_before, kernel_step, load_here, number
from funcgrad.lower.loops import INDEX, Carry, Operand
from funcgrad.lower.schedule import KernelStep
from funcgrad.lower.writer import Writer

BLOCK = 256  # numbers that are looked for together


def search_kernels(call: Call) -> list[KernelStep] | None:
    """Bisection for blocks of numbers that are looked for; none where there are none."""
    ordered, query = call.inputs
    (out,), params = call.equation.outputs, call.equation.params
    kind = call.equation.inputs[0].type  # the buffer may be another array, reshaped
    if not isinstance(ordered, Var) or not isinstance(query, Var) or not out.type.size or not is_native(call.equation):
        return None
    w, n = Writer(), kind.shape[-1]
    each = out.type.size // math.prod(kind.shape[:-1]) if params["batch_ndim"] else 0
    dtype = code(kind.dtype)
    buffers = w.buffer(ordered, dtype), w.buffer(query, dtype), w.buffer(out, "i8", written=True)
    length = w.op("sub", w.last, w.first)
    block = w.open()
    start = w.op("add", w.first, w.op("mul", block, number(BLOCK)))
    search = _Search(w, *buffers, each, n, start, w.op("min", w.op("add", start, number(BLOCK)), w.last))
    search.each_place(search.home)
    if n:
        search.rounds(params["side"])
    if each:
        search.each_place(lambda task: w.op("sub", load_here(w, search.found, task), search.home(task)))
    w.close(block, number(0), w.op("quotient", w.op("add", length, number(BLOCK - 1)), number(BLOCK)), [])
    return [kernel_step(w, out.type.size, -(-PIECE // max(n.bit_length(), 1)))]


@dataclass(slots=True)
class _Search:
    """Bisection for a block of numbers at a time: all take the same steps, so that these are taken in lanes, and do
    not wait for each other's loads. A number's place so far stands where its result will.

    Attributes
    ----------
    ordered, query, found
        The buffers.
    each
        How many numbers are looked for in each line (0: there is one line).
    extent
        Of a line.
    start, stop
        Of the block at hand.
    """

    w: Writer
    ordered: int
    query: int
    found: int
    each: int
    extent: int
    start: Operand
    stop: Operand

    def home(self, task: Operand) -> Operand:
        """Where the line begins that a number is looked for in."""
        w = self.w
        if not self.each:
            return number(0)
        return w.op("mul", w.op("quotient", task, w.size(self.each)), w.size(self.extent))

    def each_place(self, place: Callable[[Operand], Operand]) -> None:
        """Set the place of every number of the block."""
        w = self.w
        task = w.open()
        w.store(self.found, task, place(task))
        w.close(task, self.start, self.stop, [])

    def rounds(self, side: str) -> None:
        """Halve what is left of the lines until nothing is."""
        w = self.w
        number_of_round = w.open()
        left = w.carried(INDEX)
        half = w.op("quotient", w.op("add", left, number(1)), number(2))
        self.each_place(lambda task: self._moved(task, half, side))
        carry = Carry(left, w.size(self.extent), w.op("sub", left, half), w.result(INDEX))
        w.close(number_of_round, number(0), w.size(self.extent.bit_length()), [carry], False)

    def _moved(self, task: Operand, half: Operand, side: str) -> Operand:
        w, place = self.w, load_here(self.w, self.found, task)
        after = w.op("add", place, half)
        x, wanted = w.load(self.ordered, w.op("sub", after, number(1))), w.load(self.query, task)
        passed = comes_before(w, x, wanted) if side == "left" else w.op("not", comes_before(w, wanted, x))
        return w.op("select", passed, after, place)


WRITERS["searchsorted"] = search_kernels
