"""What is a kernel?  Loops, scalar instructions, loads and stores, in single-assignment form.

A `Kernel` is the unit that is printed (as Python by `lower.python`, as LLVM IR by `compile.llvm`), compiled
and cached.  It knows dtypes and the shape of its loops but no sizes: every extent and stride that is not a
small constant is one of its integer parameters.

Scalar types are NumPy's short codes, ``"f4"``, ``"i8"``, ``"b1"``, ...; index arithmetic has the type ``"i8"``.
Buffers are flat: an instruction addresses ``buffer[index]`` with one index, counted in elements.

Everything is a tuple of tuples: a kernel that was seen before is found by its hash.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

INDEX = "i8"


class Value(NamedTuple):
    """A scalar that one instruction defines, or a parameter of the kernel.

    Attributes
    ----------
    number
        Tells those of one kernel apart.
    dtype
        Its type.
    depth
        How many loops around its definition it depends on.
    """

    number: int
    dtype: str
    depth: int = 0


class Constant(NamedTuple):
    """A scalar known when the kernel is made; `value` is a Python bool, int or float, but not -0.0: that equals 0.0,
    and equal kernels share their code.
    """

    value: bool | int | float
    dtype: str


Operand = Value | Constant


class Op(NamedTuple):
    """``result = name(*operands)``, one of the instructions in `lower.scalar.INSTRUCTIONS`."""

    result: Value
    name: str
    operands: tuple[Operand, ...]


class Load(NamedTuple):
    """``result = buffers[buffer][index]``."""

    result: Value
    buffer: int
    index: Operand  # type: ignore[assignment]  # hides tuple.index, as it should


class Store(NamedTuple):
    """``buffers[buffer][index] = value``.

    `follows` promises that what lies behind the element is written soon, though not next: it is fetched meanwhile.
    """

    buffer: int
    index: Operand  # type: ignore[assignment]  # hides tuple.index, as it should
    value: Operand
    follows: bool = False


class Carry(NamedTuple):
    """A scalar that a loop hands from one iteration to the next.

    ``inner = initial`` before the first iteration, ``inner = next`` after each; ``result`` is the last `inner`.
    `reduction` names the associative instruction (``"add"``, ``"mul"``, ``"max"``, ``"min"``, ``"and"``, ``"or"``)
    when `next` is that instruction applied to `inner`: only such a carry may be evaluated in lanes.
    """

    inner: Value
    initial: Operand
    next: Operand
    result: Value
    reduction: str | None = None


class Loop(NamedTuple):
    """``for index in range(start, stop)``.

    `independent` promises that, but for `carries`, no iteration reads what another one writes.
    """

    index: Value  # type: ignore[assignment]
    start: Operand
    stop: Operand
    body: tuple[Instruction, ...]
    carries: tuple[Carry, ...] = ()
    independent: bool = True


class Branch(NamedTuple):
    """``if condition: then`` ``else: orelse``; each merge ``(result, a, b)`` is `a` after `then`
    and `b` after `orelse`.
    """

    condition: Operand
    then: tuple[Instruction, ...]
    orelse: tuple[Instruction, ...] = ()
    merges: tuple[tuple[Value, Operand, Operand], ...] = ()


class While(NamedTuple):
    """``while condition: body``, where `test` computes the condition anew each time.

    No value leaves it: what it computes lies in buffers. After each `every` iterations (a power of two) it calls
    ``poll(status, code)``, the address of a function that looks at pending signals, and ends if there is a status then;
    it does not begin if there is one.
    """

    test: tuple[Instruction, ...]
    condition: Operand
    body: tuple[Instruction, ...]
    poll: Operand
    code: Operand
    every: int = 1 << 16


class Check(NamedTuple):
    """Unless `condition`, the call fails:
    the first `code` (a value, > 0) to do so is kept in the call's status word.
    """

    condition: Operand
    code: Operand


Instruction = Op | Load | Store | Loop | Branch | While | Check


class Buffer(NamedTuple):
    """One array parameter: its element type, and whether the kernel writes to it."""

    dtype: str
    written: bool


class Kernel(NamedTuple):
    """A function of buffers and integers, to be run over the range ``first <= i < last`` of its outermost loop.

    Attributes
    ----------
    buffers
        The array parameters.
    sizes
        The scalar parameters: extents, strides, offsets, codes of checks (dtype ``"i8"``), and numbers of the program
        (``"f4"``, ``"f8"``).
    first, last
        The range of this call.  Disjoint ranges may run on different threads.
    body
        The instructions.
    aliased
        Whether a written buffer may be one of the others (an update in place, always at the same index).
    streamed
        The buffers that its only loop, or a loop over rows, writes in order past the caches (see `lower.streams`).
    """

    buffers: tuple[Buffer, ...]
    sizes: tuple[Value, ...]
    first: Value
    last: Value
    body: tuple[Instruction, ...]
    aliased: bool = False
    streamed: tuple[int, ...] = ()


def operands(instruction: Instruction) -> tuple[Operand, ...]:
    """What an instruction itself reads, indices included; not what those inside of it do."""
    match instruction:
        case Op():
            return instruction.operands
        case Load():
            return (instruction.index,)
        case Store():
            return instruction.index, instruction.value
        case Loop():
            carried = (x for c in instruction.carries for x in (c.initial, c.next))
            return instruction.start, instruction.stop, *carried
        case Branch():
            return instruction.condition, *(x for merge in instruction.merges for x in merge[1:])
        case While():
            return instruction.condition, instruction.poll, instruction.code
        case Check():
            return tuple(instruction)


def walk(body: tuple[Instruction, ...]) -> Iterator[Instruction]:
    """Every instruction of `body`, those of inner loops and branches included, in order."""
    for instruction in body:
        yield instruction
        if isinstance(instruction, Loop):
            yield from walk(instruction.body)
        elif isinstance(instruction, While):
            yield from walk(instruction.test)
            yield from walk(instruction.body)
        elif isinstance(instruction, Branch):
            yield from walk(instruction.then)
            yield from walk(instruction.orelse)
