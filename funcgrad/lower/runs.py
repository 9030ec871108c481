"""How is a long line of values sorted?  In runs, by a native routine each, which kernels then merge two by two.

Where each share of the result begins in both runs is found by bisection (S. Odeh et al., "Merge path", 2012), so that
threads can make shares side by side.
"""

from __future__ import annotations

import math

from funcgrad.dtypes import code
from funcgrad.ir.program import Var
from funcgrad.lower.calls import WRITERS, Call
from funcgrad.lower.lines import LONG, comes_before, kernel_step, number
from funcgrad.lower.loops import INDEX, Carry, Operand
from funcgrad.lower.schedule import KernelStep
from funcgrad.lower.writer import Writer

FEW = 8  # lines that are not enough to share out
SHARE = 1 << 16  # elements of the result that one task merges ...
CHAINS = 4  # ... in so many stretches side by side, so that none waits for another's comparison


def is_long(call: Call) -> bool:
    """Whether a sort is one of few long lines, so that threads share each of them."""
    (x,), (out,), params = call.inputs, call.equation.outputs, call.equation.params
    if not isinstance(x, Var) or out.type.dtype.kind not in "iuf" or out.type.dtype.itemsize < 4:
        return False
    n, count = out.type.shape[-1], math.prod(out.type.shape[:-1])
    return params["dimension"] == out.type.ndim - 1 and not params["descending"] and n >= LONG and 0 < count < FEW


def sort_steps(call: Call) -> list[KernelStep | Call] | None:
    """A long line's sort in pieces, and the merging of the pieces; none for shorter lines."""
    if not is_long(call):
        return None
    (x,), (out,), params = call.inputs, call.equation.outputs, call.equation.params
    n, count = out.type.shape[-1], math.prod(out.type.shape[:-1])
    levels = 1 if n < 1 << 20 else 2 if n < 1 << 23 else 3
    between = Var(out.type)
    runs = [between if (levels - k) % 2 else out for k in range(levels + 1)]  # to and fro, so that the last is `out`
    pieces = call.equation.replace(outputs=(runs[0],), params={**params, "pieces": 1 << levels})
    steps: list[KernelStep | Call] = [Call(pieces, (x,), call.status)]
    for level in range(levels):
        steps.append(Merger(runs[level], runs[level + 1], n, -(-n // (1 << levels)) << level).step(count))
    return steps


class Merger:
    """Writes the kernel that merges sorted runs two by two; each task makes a share of the result of one pair."""

    def __init__(self, source: Var, target: Var, n: int, length: int) -> None:
        self.w = Writer()
        self.length, self.dtype = length, code(source.type.dtype)
        self.runs = self.w.buffer(source, self.dtype)
        self.out = self.w.buffer(target, self.dtype, written=True)
        self.n, self.size = n, self.w.size(n)

    def step(self, count: int) -> KernelStep:
        """The kernel, over all shares of all pairs of `count` lines."""
        w, pairs = self.w, -(-self.n // (2 * self.length))
        shares = -(-2 * self.length // SHARE)
        task = w.open()
        line, within = self._divided(task, pairs * shares)
        pair, share = self._divided(within, shares)
        home = w.op("mul", line, self.size)
        first = w.op("mul", pair, w.size(2 * self.length))
        middle = w.op("min", w.op("add", first, w.size(self.length)), self.size)
        last = w.op("min", w.op("add", first, w.size(2 * self.length)), self.size)
        start = w.op("add", first, w.op("mul", share, w.size(SHARE)))
        stop = w.op("min", w.op("add", start, w.size(SHARE)), last)
        self._merge(home, (first, middle, last), start, stop)
        w.close(task, w.first, w.last, [])
        return kernel_step(w, count * pairs * shares, 1)

    def _divided(self, number_: Operand, by: int) -> tuple[Operand, Operand]:
        w = self.w
        quotient = w.op("quotient", number_, w.size(by))
        return quotient, w.op("sub", number_, w.op("mul", quotient, w.size(by)))

    def _address(self, home: Operand, i: Operand) -> Operand:
        """The address of an element of the runs; past the end, that of the last one (which is not used then)."""
        w = self.w
        return w.op("add", home, w.op("min", i, w.op("sub", self.size, number(1))))

    def _load(self, home: Operand, i: Operand) -> Operand:
        return self.w.load(self.runs, self._address(home, i))

    def _merge(self, home: Operand, ends: tuple[Operand, Operand, Operand], start: Operand, stop: Operand) -> None:
        """Stretches of equal length, of which the last ones may overlap, element by element."""
        w, (_, middle, last) = self.w, ends
        length = w.op("quotient", w.op("add", w.op("sub", stop, start), number(CHAINS - 1)), number(CHAINS))
        places = [
            w.op("min", w.op("add", start, w.op("mul", length, number(k))), w.op("sub", stop, length))
            for k in range(CHAINS)
        ]
        begins = [self._taken_before(home, ends, place) for place in places]
        step = w.open()
        carries = []
        for place, begin in zip(places, begins, strict=True):
            i = w.carried(INDEX)
            at = w.op("add", place, step)
            j = w.op("sub", w.op("add", at, middle), i)
            near, far = self._address(home, i), self._address(home, j)
            x, y = w.load(self.runs, near), w.load(self.runs, far)
            second = w.op("or", w.op("ge", i, middle), w.op("and", w.op("lt", j, last), comes_before(w, y, x)))
            # choosing the address and reading again: a choice between two floats would be a jump
            w.store(self.out, w.op("add", home, at), w.load(self.runs, w.op("select", second, far, near)))
            after = w.op("add", i, w.op("cast", w.op("not", second), dtype=INDEX))
            carries.append(Carry(i, begin, after, w.result(INDEX)))
        w.close(step, number(0), length, carries)

    def _taken_before(self, home: Operand, ends: tuple[Operand, Operand, Operand], place: Operand) -> Operand:
        """Where the first run stands when the result has come to a place, by bisection."""
        w, (first, middle, last) = self.w, ends
        done = w.op("sub", place, first)
        low = w.op("max", first, w.op("sub", w.op("add", first, done), w.op("sub", last, middle)))
        high = w.op("min", w.op("add", first, done), middle)
        round_ = w.open()
        least, most = w.carried(INDEX), w.carried(INDEX)
        between = w.op("add", least, w.op("quotient", w.op("sub", most, least), number(2)))
        other = w.op("sub", w.op("sub", w.op("add", place, middle), between), number(1))
        x, y = self._load(home, between), self._load(home, w.op("max", other, number(0)))
        open_ = w.op("lt", least, most)
        passed = w.op("and", open_, w.op("not", comes_before(w, y, x)))
        stays = w.op("and", open_, comes_before(w, y, x))
        carries = [
            Carry(least, low, w.op("select", passed, w.op("add", between, number(1)), least), w.result(INDEX)),
            Carry(most, high, w.op("select", stays, between, most), w.result(INDEX)),
        ]
        w.close(round_, number(0), w.size(self.length.bit_length() + 1), carries)
        return carries[0].result


WRITERS["sort"] = sort_steps
