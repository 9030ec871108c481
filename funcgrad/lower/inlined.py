"""When is a whole loop one kernel?  When its body is: the kernels of one iteration, in a loop of the kernel itself.

Between driver and kernels nothing is left to be called, and LLVM keeps the scalars of a carry in registers: they lie at
fixed addresses that nothing else has. A body with library calls, with a loop of unknown length in it, or with enough
work to share out stays a table of steps (`lower.structured`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from funcgrad.dtypes import code
from funcgrad.ir.program import Var
from funcgrad.ir.types import ArrayType
from funcgrad.lower.complex import in_memory
from funcgrad.lower.lanes import in_lanes
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
    While,
    walk,
)
from funcgrad.lower.schedule import Apart, KernelStep
from funcgrad.lower.sharing import chunk, is_over_examples, of_instructions
from funcgrad.lower.structured import Structured
from funcgrad.lower.unrolled import unrolled, without_stores
from funcgrad.lower.writer import SMALL

POLL = "fg_poll"  # the runtime knows the address
WRITTEN = 128  # sizes up to this one are written into the kernel
FEWEST_LANES = 4
PATIENCE = 1 << 22  # points that are computed between two looks at pending signals
MOST_POINTS = 1 << 15  # of all domains of one iteration: beyond, a table of steps costs next to nothing
MOST_INSTRUCTIONS = 2500  # of one kernel: LLVM's time grows faster than the text

FIRST, LAST = Value(0, INDEX), Value(1, INDEX)  # the range of a kernel

Places = dict[Var, tuple[Var, Operand | None]]  # for each buffer of a body: which one it is, and from where on


def merged(region: Structured, inside: bool) -> KernelStep | None:
    """The loop or branch as one kernel call, `inside` another one or not; None where it is better a table of steps."""
    make = {"scan": _scan, "cond": _cond, "while": _while}.get(region.equation.primitive.name)
    if make is None or not all(map(is_small, region.plans)):
        return None
    merger = Merger(inside)
    body = make(region, merger)
    if merger.count > MOST_INSTRUCTIONS:
        return None
    visible = (*region.operands, *region.equation.outputs)
    step = merger.step(body, visible)
    if merger.chunk:
        pairs = zip(step.buffers, step.kernel.buffers, strict=True)
        step.apart = Apart(tuple(v for v, b in pairs if b.written and v not in visible), region.status)
        step.total, step.chunk = region.equation.params["length"], merger.chunk
    return step


def is_small(plan: Any) -> bool:
    """Whether all that a body does is a few kernels on small domains."""
    points = 0
    for step in plan.steps:
        if not isinstance(step, KernelStep) or step.chunk or not (step.group or step.points):
            return False
        points += math.prod(step.group.domain) if step.group else step.points
    return points <= MOST_POINTS


class Merger:
    """A kernel under construction, of the instructions of others.

    Attributes
    ----------
    inside
        Whether it is to run in a loop or a branch.
    count
        How many instructions there are.
    chunk
        How many iterations of its range are a piece for a thread; 0 where it is called once.
    """

    def __init__(self, inside: bool = False) -> None:
        self.inside = inside
        self.chunk = 0
        self.keys: list[Var] = []
        self.buffers: list[Buffer] = []
        self.parameters: list[Value] = []
        self.values: list[int | float | str] = []
        self.count = 0
        self.points = 0
        self._numbers = 1
        self._shared: dict[tuple[str, int | float | str], Value] = {}

    def step(self, body: Iterable[Instruction], visible: Iterable[Var]) -> KernelStep:
        """The call of the finished kernel, whose `visible` buffers others read or write."""
        text = tuple(in_lanes(unrolled(body, self.fresh), self.fresh, self.scratch))
        text = self._without_unread(text, set(visible))
        kernel = Kernel(tuple(self.buffers), tuple(self.parameters), FIRST, LAST, text)
        return KernelStep(kernel, tuple(self.keys), tuple(self.values), 1, 0, None, self.points)

    def _without_unread(self, body: tuple[Instruction, ...], visible: set[Var]) -> tuple[Instruction, ...]:
        """The instructions without stores of single numbers that nobody reads; those of arrays show LLVM its lanes."""
        read = {i.buffer for i in walk(body) if isinstance(i, Load)}
        unread = {
            k for k, v in enumerate(self.keys) if k not in read and v not in visible and v.type.size < FEWEST_LANES
        }
        return without_stores(body, unread)

    def scratch(self, length: int, dtype: str) -> int:
        """The number of a new buffer."""
        return self.buffer(Var(ArrayType((length,), np.dtype(dtype))), dtype, True)

    def fresh(self, dtype: str) -> Value:
        """A new value."""
        self._numbers += 1
        return Value(self._numbers, dtype)

    def size(self, number: int) -> Operand:
        """An integer: a constant if it is small, else a parameter."""
        if -WRITTEN <= number <= WRITTEN:
            return Constant(number, INDEX)
        return self.parameter(number, INDEX)

    def shared(self, number: int | float | str, dtype: str) -> Operand:
        """A number of a kernel: one parameter for all equal ones."""
        if dtype == INDEX and isinstance(number, int) and abs(number) <= WRITTEN:
            return Constant(number, INDEX)
        if (dtype, number) not in self._shared:
            self._shared[dtype, number] = self.parameter(number, dtype)
        return self._shared[dtype, number]

    def parameter(self, number: int | float | str, dtype: str) -> Value:
        """A number (or the address of a function of the runtime) that the call hands over."""
        value = self.fresh(dtype)
        self.parameters.append(value)
        self.values.append(number)
        return value

    def buffer(self, var: Var, dtype: str, written: bool) -> int:
        """The number of a buffer."""
        for number, known in enumerate(self.keys):
            if known is var:
                if written and not self.buffers[number].written:
                    self.buffers[number] = Buffer(dtype, True)
                return number
        self.keys.append(var)
        self.buffers.append(Buffer(dtype, written))
        return len(self.keys) - 1

    def op(self, out: list[Instruction], name: str, *operands: Operand) -> Value:
        """Append an instruction on indices."""
        result = self.fresh(INDEX)
        out.append(Op(result, name, operands))
        return result

    def copy(self, source: Var, target: Var, kind: ArrayType, number: Operand | None = None) -> list[Instruction]:
        """Copy one buffer to another, or to a place of it: as the element of an array of such."""
        if source is target:
            return []
        kind = in_memory(kind)
        dtype = code(kind.dtype)
        one, other = self.buffer(source, dtype, False), self.buffer(target, dtype, True)
        value, zero = self.fresh(dtype), Constant(0, INDEX)
        if kind.size == 1:
            return [Load(value, one, zero), Store(other, number or zero, value)]
        out: list[Instruction] = []
        start = None if number is None else self.op(out, "mul", number, self.size(kind.size))
        index, body = self.fresh(INDEX), []  # type: tuple[Value, list[Instruction]]
        place = index if start is None else self.op(body, "add", start, index)
        body = [Load(value, one, index), *body, Store(other, place, value)]
        return [*out, Loop(index, zero, self.size(kind.size), tuple(body))]

    def plan(self, plan: Any, places: Places) -> list[Instruction]:
        """The kernels of a body, one after the other."""
        out: list[Instruction] = []
        for step in plan.steps:
            self.points += math.prod(step.group.domain) if step.group else step.points
            out += _Copier(self, step, places).block(step.kernel.body)
        return out


class _Copier:
    """Copies the instructions of one kernel call, with values, sizes and buffers of the new kernel."""

    def __init__(self, merger: Merger, step: KernelStep, places: Places) -> None:
        self.merger = merger
        self.step = step
        self.places = places
        self.env: dict[Value, Operand] = {
            step.kernel.first: Constant(0, INDEX),
            step.kernel.last: merger.size(step.total),
        }
        for v, number in zip(step.kernel.sizes, step.sizes, strict=True):
            self.env[v] = merger.shared(number, v.dtype)

    def block(self, body: Iterable[Instruction]) -> list[Instruction]:
        """Instructions in order."""
        out: list[Instruction] = []
        for instruction in body:
            self.merger.count += 1
            COPIES[type(instruction)](self, instruction, out)
        return out

    def read(self, operand: Operand) -> Operand:
        """What stands for an operand."""
        return operand if isinstance(operand, Constant) else self.env[operand]

    def define(self, value: Value) -> Value:
        """A new value for an old one."""
        self.env[value] = new = self.merger.fresh(value.dtype)
        return new

    def place(self, number: int, index: Operand, out: list[Instruction]) -> tuple[int, Operand]:
        """A buffer and an index in it."""
        buffer, var = self.step.kernel.buffers[number], self.step.buffers[number]
        target, start = self.places.get(var, (var, None))
        index = self.read(index)
        if start is not None:
            index = start if index == Constant(0, INDEX) else self.merger.op(out, "add", start, index)
        return self.merger.buffer(target, buffer.dtype, buffer.written), index

    def op(self, op: Op, out: list[Instruction]) -> None:
        operands = tuple(map(self.read, op.operands))
        out.append(Op(self.define(op.result), op.name, operands))

    def load(self, load: Load, out: list[Instruction]) -> None:
        buffer, index = self.place(load.buffer, load.index, out)
        out.append(Load(self.define(load.result), buffer, index))

    def store(self, store: Store, out: list[Instruction]) -> None:
        buffer, index = self.place(store.buffer, store.index, out)
        out.append(Store(buffer, index, self.read(store.value)))

    def check(self, check: Check, out: list[Instruction]) -> None:
        out.append(Check(self.read(check.condition), self.read(check.code)))

    def loop(self, loop: Loop, out: list[Instruction]) -> None:
        start, stop = self.read(loop.start), self.read(loop.stop)
        initial = [self.read(c.initial) for c in loop.carries]
        index = self.define(loop.index)
        inner = [self.define(c.inner) for c in loop.carries]
        body = tuple(self.block(loop.body))
        after = [self.read(c.next) for c in loop.carries]
        rows = zip(inner, initial, after, loop.carries, strict=True)
        carries = tuple(Carry(v, a, b, self.define(c.result), c.reduction) for v, a, b, c in rows)
        out.append(Loop(index, start, stop, body, carries, loop.independent))

    def branch(self, branch: Branch, out: list[Instruction]) -> None:
        condition = self.read(branch.condition)
        then, orelse = tuple(self.block(branch.then)), tuple(self.block(branch.orelse))
        pairs = [(self.read(a), self.read(b)) for _, a, b in branch.merges]
        merges = tuple((self.define(m[0]), a, b) for m, (a, b) in zip(branch.merges, pairs, strict=True))
        out.append(Branch(condition, then, orelse, merges))

    def while_(self, loop: While, out: list[Instruction]) -> None:
        test = tuple(self.block(loop.test))
        condition = self.read(loop.condition)
        body = tuple(self.block(loop.body))
        out.append(While(test, condition, body, self.read(loop.poll), self.read(loop.code), loop.every))


COPIES: dict[type, Callable[[_Copier, Any, list[Instruction]], None]] = {
    Op: _Copier.op,
    Load: _Copier.load,
    Store: _Copier.store,
    Check: _Copier.check,
    Loop: _Copier.loop,
    Branch: _Copier.branch,
    While: _Copier.while_,
}


def _scan(region: Structured, m: Merger) -> list[Instruction]:
    """The carry starts in the results; every iteration leaves the next one in the spares, and it is copied back.
    Iterations that threads share are the range of the kernel.
    """
    params, (plan,) = region.equation.params, region.plans
    n, count, outputs = params["consts"], params["carry"], region.equation.outputs
    given, inputs, results = region.operands, plan.program.inputs, plan.outputs
    out: list[Instruction] = []
    for k in range(count):
        out += m.copy(given[n + k], outputs[k], inputs[n + k].type)
    index, body = m.fresh(INDEX), []  # type: tuple[Value, list[Instruction]]
    number: Operand = index
    if params["reverse"]:
        last = params["length"] - 1
        number = m.op(body, "sub", Constant(last, INDEX) if last < SMALL else m.parameter(last, INDEX), index)
    places: Places = {v: (x, None) for v, x in zip(inputs[:n], given[:n], strict=True)}
    places |= {v: (x, None) for v, x in zip(inputs[n : n + count], outputs[:count], strict=True)}
    places |= {v: (x, None) for v, x in zip(results[:count], region.spares, strict=True)}
    slices: Sequence[tuple[Var, Var]] = [
        *zip(inputs[n + count :], given[n + count :], strict=True),
        *zip(results[count:], outputs[count:], strict=True),
    ]
    for v, x in slices:
        size = in_memory(v.type).size  # what an inner loop gives may be complex, what kernels give is not
        places[v] = (x, number if size == 1 else m.op(body, "mul", number, m.size(size)))
    body += m.plan(plan, places)
    for k in range(count):
        body += m.copy(region.spares[k], outputs[k], inputs[n + k].type)
    if is_over_examples(region.equation):
        known = dict(zip(m.parameters, m.values, strict=True))
        m.chunk = chunk(params["length"], params["length"] * of_instructions(body, known), m.inside)
    return [*out, *_counted(m, index, params["length"], body, region.status)]


def _counted(m: Merger, index: Value, length: int, body: list[Instruction], status: int) -> list[Instruction]:
    """A loop of known length; a long one is a loop of shorter ones, with a look at pending signals after each."""
    block = max(PATIENCE // max(m.points, 1), 1)
    zero = Constant(0, INDEX)
    begin: Operand = FIRST if m.chunk else zero
    if length <= 4 * block:  # of larger ones one kernel for all lengths
        end = LAST if m.chunk else Constant(length, INDEX) if length <= SMALL else m.parameter(length, INDEX)
        return [Loop(index, begin, end, tuple(body), (), False)]
    counter = m.buffer(Var(ArrayType((), np.dtype(np.int64))), INDEX, True)
    number, going, start = m.fresh(INDEX), m.fresh("b1"), m.fresh(INDEX)
    steps: list[Instruction] = [Load(start, counter, zero)]
    end = LAST if m.chunk else m.parameter(length, INDEX)
    stop = m.op(steps, "min", m.op(steps, "add", start, m.parameter(block, INDEX)), end)
    steps += [Loop(index, start, stop, tuple(body), (), False), Store(counter, zero, stop)]
    test = (Load(number, counter, zero), Op(going, "lt", (number, end)))
    poll, code = m.parameter(POLL, INDEX), m.parameter(status, INDEX)
    return [Store(counter, zero, begin), While(test, going, tuple(steps), poll, code, 1)]


def _while(region: Structured, m: Merger) -> list[Instruction]:
    """As in a scan; the condition reads the results."""
    params, (cond, body) = region.equation.params, region.plans
    n, b, outputs = params["cond_consts"], params["body_consts"], region.equation.outputs
    given, carry = region.operands, body.program.inputs[params["body_consts"] :]
    out: list[Instruction] = []
    for source, target, v in zip(given[n + b :], outputs, carry, strict=True):
        out += m.copy(source, target, v.type)
    places: Places = {v: (x, None) for v, x in zip(cond.program.inputs, (*given[:n], *outputs), strict=True)}
    places |= {v: (x, None) for v, x in zip(body.program.inputs, (*given[n : n + b], *outputs), strict=True)}
    places |= {v: (x, None) for v, x in zip(body.outputs, region.spares, strict=True)}
    holds = m.fresh("b1")
    test = [*m.plan(cond, places), Load(holds, m.buffer(cond.outputs[0], "b1", False), Constant(0, INDEX))]
    steps = m.plan(body, places)
    for spare, target, v in zip(region.spares, outputs, carry, strict=True):
        steps += m.copy(spare, target, v.type)
    poll, code = m.parameter(POLL, INDEX), m.parameter(region.status, INDEX)
    return [*out, While(tuple(test), holds, tuple(steps), poll, code)]


def _cond(region: Structured, m: Merger) -> list[Instruction]:
    """Each branch writes the results."""
    number, *given = region.operands
    which = m.fresh(INDEX)
    out: list[Instruction] = [Load(which, m.buffer(number, INDEX, False), Constant(0, INDEX))]
    blocks = []
    for plan in region.plans:
        places: Places = {v: (x, None) for v, x in zip(plan.program.inputs, given, strict=True)}
        places |= {v: (x, None) for v, x in zip(plan.outputs, region.equation.outputs, strict=True)}
        blocks.append(tuple(m.plan(plan, places)))
    chain = blocks[-1]
    for k in reversed(range(len(blocks) - 1)):
        test = m.fresh("b1")
        chain = (Op(test, "eq", (which, Constant(k, INDEX))), Branch(test, blocks[k], chain))
    return [*out, *chain]


def constants_of(region: Structured) -> dict[Var, Any]:
    """The known arrays that a merged loop or branch reads."""
    found = dict(region.constants)
    for plan in region.plans:
        found |= plan.program.constants
    return found
