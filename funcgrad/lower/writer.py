"""How is a kernel written?  Instructions at the loop depth where they belong, sizes as parameters, buffers by slot."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from funcgrad.lower.index import Affine
from funcgrad.lower.loops import (
    INDEX,
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
from funcgrad.lower.scalar import GIVEN, INSTRUCTIONS, MATHEMATICS, SAME

SMALL = 16  # sizes up to this one are written into the kernel, so that its loops unroll; larger ones are parameters
EXPENSIVE = MATHEMATICS | {"div", "sqrt", "remainder", "quotient"}


_value_of = functools.partial(tuple.__new__, Value)  # twice as fast as a named tuple's own constructor
_op_of = functools.partial(tuple.__new__, Op)
_load_of = functools.partial(tuple.__new__, Load)
_buffer = functools.cache(Buffer)
_FIRST, _LAST = Value(0, INDEX), Value(1, INDEX)
_SMALL = {number: Constant(number, INDEX) for number in range(-SMALL, SMALL + 1)}


class Writer:
    """Collects one kernel.

    Every instruction is put into the block of the innermost loop that it depends on: what does not vary in a loop
    stands before it.
    """

    def __init__(self) -> None:
        self.first, self.last = _FIRST, _LAST
        self.blocks: list[list[Instruction]] = [[]]
        self.buffers: list[Buffer] = []
        self.buffer_of: dict[Any, int] = {}
        self.size_values: list[int | float] = []
        self.instructions = 0
        self._sizes: dict[tuple[str, int | float], Value] = {}
        self._numbers = 1

    # Values ----------------------------------------------------------------------------------------------------------

    def fresh(self, dtype: str, depth: int) -> Value:
        """A new value that is known from loop depth `depth` on."""
        self._numbers += 1
        return _value_of((self._numbers, dtype, depth))

    def depth(self, *operands: Operand) -> int:
        """The depth of the innermost loop that the operands depend on."""
        depth = 0
        for x in operands:
            if type(x) is Value and x.depth > depth:
                depth = x.depth
        return depth

    def size(self, number: int, kind: str = "size") -> Operand:
        """An integer known when the program is: a constant if it is small, else a parameter of the kernel."""
        if kind == "size" and number in _SMALL:
            return _SMALL[number]
        value = self._sizes.get((kind, number))
        if value is None:
            value = self._sizes[kind, number] = self.fresh(INDEX, 0)
            self.size_values.append(number)
        return value

    def number(self, number: float, dtype: str) -> Operand:
        """A float of the program: a constant if it is simple, else a parameter,
        so that another learning rate or batch size is the same kernel.
        """
        simple = not math.isfinite(number) or (abs(number) <= SMALL and number * 8 == int(number * 8))
        if number == 0 and math.copysign(1, number) < 0:
            return self.op("neg", Constant(0.0, dtype))
        if simple or dtype == "f2":
            return Constant(number, dtype)
        value = self._sizes.get((dtype, number))
        if value is None:
            value = self._sizes[dtype, number] = self.fresh(dtype, 0)
            self.size_values.append(number)
        return value

    def buffer(self, key: Any, dtype: str, written: bool = False) -> int:
        """The number of the buffer of `key`."""
        number = self.buffer_of.setdefault(key, len(self.buffers))
        if number == len(self.buffers):
            self.buffers.append(_buffer(dtype, written))
        elif written and not self.buffers[number].written:
            self.buffers[number] = _buffer(dtype, True)
        return number

    @property
    def keys(self) -> Sequence[Any]:
        """Whose buffer each one is."""
        return tuple(self.buffer_of)

    # Instructions ----------------------------------------------------------------------------------------------------

    def op(self, name: str, *operands: Operand, dtype: str | None = None) -> Operand:
        """The value of an instruction."""
        rule = INSTRUCTIONS[name].result
        result_dtype = dtype if rule == GIVEN else operands[-1].dtype if rule == SAME else "b1"
        assert result_dtype is not None
        depth = 0
        for x in operands:
            if type(x) is Value and x.depth > depth:
                depth = x.depth
        self._numbers += 1
        self.instructions += 1
        result = _value_of((self._numbers, result_dtype, depth))
        self.blocks[depth].append(_op_of((result, name, operands)))
        return result

    def put(self, instruction: Instruction, depth: int) -> None:
        """Append an instruction at a depth."""
        self.instructions += 1
        self.blocks[depth].append(instruction)

    def load(self, buffer: int, index: Operand) -> Operand:
        """An element."""
        depth = index.depth if type(index) is Value else 0
        result = self.fresh(self.buffers[buffer].dtype, depth)
        self.put(_load_of((result, buffer, index)), depth)
        return result

    def all(self, conditions: Sequence[Operand]) -> Operand:
        """Whether each of some conditions holds."""
        return functools.reduce(functools.partial(self.op, "and"), conditions)

    def store(self, buffer: int, index: Operand, value: Operand, *, follows: bool = False) -> None:
        """Write an element, in the innermost open loop; what `follows` means is told by `Store`."""
        self.put(Store(buffer, index, value, follows), len(self.blocks) - 1)

    def check(self, condition: Operand, code: Operand) -> None:
        """Let the call fail unless `condition`."""
        self.put(Check(condition, code), self.depth(condition))

    def cast(self, x: Operand, dtype: str) -> Operand:
        """`x` as another type."""
        if x.dtype == dtype:
            return x
        if isinstance(x, Constant) and dtype[0] in "iuf":
            return Constant(float(x.value) if dtype[0] == "f" else int(x.value), dtype)
        return self.op("cast", x, dtype=dtype)

    def affine(self, expression: Affine, symbols: Mapping[int, Operand]) -> Operand:
        """The value of an affine expression, `symbols` being the indices of the loop axes."""
        result: Operand | None = self.size(expression.constant) if expression.constant else None
        for symbol, coefficient in expression.terms:
            value: Operand = symbols[symbol] if isinstance(symbol, int) else symbol
            term = value if coefficient == 1 else self.op("mul", value, self.size(coefficient))
            result = term if result is None else self.op("add", result, term)
        return Constant(0, INDEX) if result is None else result

    # Loops -----------------------------------------------------------------------------------------------------------

    def open(self) -> Value:
        """Begin the body of a loop; its index."""
        self.blocks.append([])
        return self.fresh(INDEX, len(self.blocks) - 1)

    def carried(self, dtype: str) -> Value:
        """The inner value of a carry of the loop that is open."""
        return self.fresh(dtype, len(self.blocks) - 1)

    def close(
        self, index: Value, start: Operand, stop: Operand, carries: list[Carry], independent: bool = True
    ) -> None:
        """End the body of the innermost loop."""
        body = tuple(self.blocks.pop())
        self.put(Loop(index, start, stop, body, tuple(carries), independent), len(self.blocks) - 1)

    def result(self, dtype: str) -> Value:
        """The result of a carry of the loop about to be closed: known outside of it."""
        return self.fresh(dtype, len(self.blocks) - 2)

    def kernel(self) -> Kernel:
        """What was written."""
        assert len(self.blocks) == 1
        return Kernel(tuple(self.buffers), tuple(self._sizes.values()), self.first, self.last, tuple(self.blocks[0]))
