"""How do tests write a kernel by hand?  A builder of `lower.loops` kernels, and a way to run them on NumPy arrays."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from funcgrad.lower.loops import (
    INDEX,
    Branch,
    Buffer,
    Carry,
    Check,
    Constant,
    Instruction,
    Kernel,
    Load,
    Loop,
    Op,
    Operand,
    Store,
    Value,
)
from funcgrad.lower.scalar import BOOL, GIVEN, INSTRUCTIONS, SAME

ENTRY = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)


class Builder:
    """Collects instructions; `index` wraps an int as an index constant."""

    def __init__(self) -> None:
        self.count = 0
        self.buffers: list[Buffer] = []
        self.sizes: list[Value] = []
        self.first, self.last = self.value(INDEX), self.value(INDEX)
        self.bodies: list[list[Instruction]] = [[]]

    def value(self, dtype: str) -> Value:
        self.count += 1
        return Value(self.count, dtype)

    def buffer(self, dtype: str, written: bool = False) -> int:
        self.buffers.append(Buffer(dtype, written))
        return len(self.buffers) - 1

    def size(self) -> Value:
        self.sizes.append(self.value(INDEX))
        return self.sizes[-1]

    def append(self, instruction: Instruction) -> None:
        self.bodies[-1].append(instruction)

    def op(self, name: str, *operands: Operand, dtype: str | None = None) -> Value:
        rule = INSTRUCTIONS[name].result
        result = {SAME: operands[-1].dtype, BOOL: "b1", GIVEN: dtype}[rule]
        assert result is not None
        value = self.value(result)
        self.append(Op(value, name, operands))
        return value

    def load(self, buffer: int, index: Operand) -> Value:
        value = self.value(self.buffers[buffer].dtype)
        self.append(Load(value, buffer, index))
        return value

    def store(self, buffer: int, index: Operand, value: Operand) -> None:
        self.append(Store(buffer, index, value))

    def check(self, condition: Operand, code: Operand) -> None:
        self.append(Check(condition, code))

    @contextmanager
    def body(self) -> Iterator[list[Instruction]]:
        """Collect what is appended meanwhile in a list of its own."""
        self.bodies.append([])
        yield self.bodies[-1]
        self.bodies.pop()

    def loop(
        self,
        start: Operand,
        stop: Operand,
        write: Callable[..., Sequence[Operand] | None],
        carries: Sequence[tuple[Operand, str | None]] = (),
        independent: bool = True,
    ) -> list[Value]:
        """A loop whose body is `write(index, *inner)`, which returns the next value of each of `carries`."""
        index = self.value(INDEX)
        inner = [self.value(initial.dtype) for initial, _ in carries]
        with self.body() as body:
            following = write(index, *inner) or ()
        results = [self.value(initial.dtype) for initial, _ in carries]
        rows = zip(inner, carries, following, results, strict=True)
        made = tuple(Carry(i, initial, n, r, reduction) for i, (initial, reduction), n, r in rows)
        self.append(Loop(index, start, stop, tuple(body), made, independent))
        return results

    def branch(
        self,
        condition: Operand,
        then: Callable[[], Sequence[Operand] | None],
        orelse: Callable[[], Sequence[Operand] | None] = lambda: None,
    ) -> list[Value]:
        """A branch; the operands that its sides return are merged."""
        with self.body() as first:
            a = then() or ()
        with self.body() as second:
            b = orelse() or ()
        merges = tuple((self.value(x.dtype), x, y) for x, y in zip(a, b, strict=True))
        self.append(Branch(condition, tuple(first), tuple(second), merges))
        return [merge[0] for merge in merges]

    def kernel(self, aliased: bool = False) -> Kernel:
        (body,) = self.bodies
        return Kernel(tuple(self.buffers), tuple(self.sizes), self.first, self.last, tuple(body), aliased)


def index(value: int) -> Constant:
    return Constant(value, INDEX)


def elementwise(write: Callable[..., Operand], inputs: Sequence[str], output: str) -> Kernel:
    """``out[i] = write(builder, in0[i], in1[i], ...)``."""
    b = Builder()
    sources = [b.buffer(dtype) for dtype in inputs]
    target = b.buffer(output, written=True)
    b.loop(b.first, b.last, lambda i: b.store(target, i, write(b, *(b.load(s, i) for s in sources))))
    return b.kernel()


def reduction(name: str, dtype: str, initial: float, named: bool = True) -> Kernel:
    """``out[0] = name(..., in[i])`` over all i; a carry that is not `named` may not be reordered."""
    b = Builder()
    source, target = b.buffer(dtype), b.buffer(dtype, written=True)
    (total,) = b.loop(
        b.first,
        b.last,
        lambda i, inner: [b.op(name, inner, b.load(source, i))],
        [(Constant(initial, dtype), name if named else None)],
    )
    b.store(target, index(0), total)
    return b.kernel()


def run(address: int, arrays: Sequence[np.ndarray], sizes: Sequence[int], first: int, last: int) -> int:
    """Call a compiled kernel; the status word afterwards.

    The slot numbers are not the numbers of the buffers, so that a confusion of the two shows.
    """
    status = np.zeros(1, np.int64)
    slots = [2 * k + 1 for k in range(len(arrays))]
    table = np.zeros(2 * len(arrays) + 1, np.uintp)
    table[0] = status.ctypes.data
    table[slots] = [array.ctypes.data for array in arrays]
    ints = np.array([*slots, *sizes], np.int64)
    ENTRY(address)(table.ctypes.data, ints.ctypes.data, first, last)
    return int(status[0])
