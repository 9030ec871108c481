"""What becomes of small loops inside a merged loop?  Straight-line code: places are numbers then, and values that a
step writes and the next one reads never leave the registers.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from typing import Any

from funcgrad.lower.loops import (
    INDEX,
    Branch,
    Carry,
    Check,
    Constant,
    Instruction,
    Load,
    Loop,
    Op,
    Operand,
    Store,
    Value,
    While,
    walk,
)
from funcgrad.lower.scalar import MATHEMATICS

MOST = 30000  # instructions of all loops that are written out
CALL = 8  # what a mathematical function counts for
VECTOR = 32  # bytes
MOST_POINTS, WITH_MATHEMATICS = 256, 32  # iterations of a nest of loops; of a loop that calls functions
NEUTRAL = {"add": 0, "mul": 1}
MOST_IN_ORDER = 2000  # instructions of iterations that wait for each other
FOLDED: dict[str, Callable[[int, int], int]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
}


def unrolled(body: Iterable[Instruction], fresh: Callable[[str], Value], most: int = MOST) -> tuple[Instruction, ...]:
    """The instructions with loops of few iterations written out, as long as these are not too many together."""
    body = tuple(body)
    writer = _Unroller(fresh, most)
    return tuple(writer.block(body))


def without_stores(body: Iterable[Instruction], buffers: Container[int]) -> tuple[Instruction, ...]:
    """The instructions without stores to some buffers."""
    out: list[Instruction] = []
    for i in body:
        if isinstance(i, Loop):
            out.append(i._replace(body=without_stores(i.body, buffers)))
        elif isinstance(i, While):
            test, inner = without_stores(i.test, buffers), without_stores(i.body, buffers)
            out.append(i._replace(test=test, body=inner))
        elif isinstance(i, Branch):
            then, orelse = without_stores(i.then, buffers), without_stores(i.orelse, buffers)
            out.append(i._replace(then=then, orelse=orelse))
        elif not (isinstance(i, Store) and i.buffer in buffers):
            out.append(i)
    return tuple(out)


Place = tuple[Value | None, int]  # a computed index, and how far behind it


class _Unroller:
    """Copies instructions.

    Attributes
    ----------
    env
        What values have become.
    known
        What instructions on operands gave, as far as that holds at the point at hand.
    memory
        For each buffer, what is known to lie where.
    places
        Indices that are a number behind another one.
    neutral
        Results of folds that begin here: what is added to nothing is itself.
    differences
        The operands of subtractions.
    """

    def __init__(self, fresh: Callable[[str], Value], most: int) -> None:
        self.fresh = fresh
        self.most = most
        self.env: dict[Value, Operand] = {}
        self.known: dict[Any, Operand] = {}
        self.memory: dict[int, dict[Place, Operand]] = {}
        self.places: dict[Value, Place] = {}
        self.neutral: set[Value] = set()
        self.differences: dict[Operand, tuple[Operand, ...]] = {}

    def read(self, operand: Operand) -> Operand:
        return operand if isinstance(operand, Constant) else self.env.get(operand, operand)

    def define(self, value: Value) -> Value:
        """A name of its own for each copy of a value."""
        self.env[value] = new = self.fresh(value.dtype)
        return new

    def block(self, body: Iterable[Instruction]) -> list[Instruction]:
        out: list[Instruction] = []
        for instruction in body:
            WRITERS[type(instruction)](self, instruction, out)
        return out

    def inner(self, body: tuple[Instruction, ...]) -> tuple[Instruction, ...]:
        """A block that runs under a condition, or more than once."""
        written = {i.buffer for i in walk(body) if isinstance(i, Store)}
        known, memory = self.known, self.memory
        self.known = dict(known)
        self.memory = {b: dict(values) for b, values in memory.items() if b not in written}
        result = tuple(self.block(body))
        self.known, self.memory = known, {b: values for b, values in memory.items() if b not in written}
        return result

    def op(self, op: Op, out: list[Instruction]) -> None:
        operands = tuple(map(self.read, op.operands))
        key = (op.name, self.order(op.name, operands), op.result.dtype)
        found = self.known.get(key)
        if found is None:
            found = _folded(op, operands)
        if found is None and op.result in self.neutral:
            found = operands[1]
        if found is None:
            found = self.known[key] = self.define(op.result)
            if op.name == "add" and op.result.dtype == INDEX:
                self.note(found, *operands)
            elif op.name == "sub":
                self.differences[found] = operands
            out.append(Op(found, op.name, operands))
        self.env[op.result] = found

    def order(self, name: str, operands: tuple[Operand, ...]) -> Any:
        """What the result of an instruction depends on: the square of a difference not on which way round it is taken,
        so that a distance is computed once for both ends.
        """
        if name == "mul" and operands[0] == operands[1] in self.differences:
            return frozenset(self.differences[operands[0]])
        return operands

    def note(self, value: Value, a: Operand, b: Operand) -> None:
        """Remember that an index is a number behind another one."""
        if isinstance(a, Constant):
            a, b = b, a
        if isinstance(b, Constant):
            base, offset = self.place(a)
            self.places[value] = base, offset + int(b.value)

    def place(self, index: Operand) -> Place:
        return (None, int(index.value)) if isinstance(index, Constant) else self.places.get(index, (index, 0))

    def load(self, load: Load, out: list[Instruction]) -> None:
        index = self.read(load.index)
        here = self.memory.setdefault(load.buffer, {})
        place = self.place(index)
        found = here.get(place)
        if found is None:
            found = here[place] = self.define(load.result)
            out.append(Load(found, load.buffer, index))
        self.env[load.result] = found

    def store(self, store: Store, out: list[Instruction]) -> None:
        index, value = self.read(store.index), self.read(store.value)
        base, offset = self.place(index)
        here = self.memory.get(store.buffer, {})
        kept = {p: v for p, v in here.items() if p[0] == base and p[1] != offset}
        self.memory[store.buffer] = kept | {(base, offset): value}
        out.append(Store(store.buffer, index, value))

    def check(self, check: Check, out: list[Instruction]) -> None:
        new = Check(self.read(check.condition), self.read(check.code))
        if new not in self.known:
            self.known[new] = new.condition
            out.append(new)

    def loop(self, loop: Loop, out: list[Instruction]) -> None:
        start, stop = self.read(loop.start), self.read(loop.stop)
        if isinstance(start, Constant) and isinstance(stop, Constant):
            known = loop._replace(start=start, stop=stop)
            work = _work((known,))
            most = self.most if loop.independent else min(self.most, MOST_IN_ORDER)
            if work is not None and work <= most and _is_short(known):
                self.most -= work
                self._written_out(loop, range(int(start.value), int(stop.value)), out)
                return
        initial = [self.read(c.initial) for c in loop.carries]
        index = self.define(loop.index)
        inner = [self.define(c.inner) for c in loop.carries]
        body = self.inner(loop.body)
        after = [self.read(c.next) for c in loop.carries]
        rows = zip(inner, initial, after, loop.carries, strict=True)
        carries = tuple(Carry(v, a, b, self.define(c.result), c.reduction) for v, a, b, c in rows)
        out.append(Loop(index, start, stop, body, carries, loop.independent))

    def _written_out(self, loop: Loop, numbers: range, out: list[Instruction]) -> None:
        current = [self.read(c.initial) for c in loop.carries]
        begins = {
            c.next
            for c in loop.carries
            if isinstance(c.next, Value) and c.reduction in NEUTRAL and _is_number(c.initial, NEUTRAL[c.reduction])
        }
        self.neutral |= begins
        for number in numbers:
            self.env[loop.index] = Constant(number, INDEX)
            self.env.update(zip((c.inner for c in loop.carries), current, strict=True))
            out += self.block(loop.body)
            self.neutral -= begins
            current = [self.read(c.next) for c in loop.carries]
        self.env.update(zip((c.result for c in loop.carries), current, strict=True))

    def branch(self, branch: Branch, out: list[Instruction]) -> None:
        condition = self.read(branch.condition)
        memory = self.memory
        then = self.inner(branch.then)
        after, self.memory = self.memory, memory
        orelse = self.inner(branch.orelse)
        self.memory = {b: values for b, values in after.items() if b in self.memory}
        pairs = [(self.read(a), self.read(b)) for _, a, b in branch.merges]
        merges = tuple((self.define(m[0]), a, b) for m, (a, b) in zip(branch.merges, pairs, strict=True))
        out.append(Branch(condition, then, orelse, merges))

    def while_(self, loop: While, out: list[Instruction]) -> None:
        both = self._while((*loop.test, *loop.body), len(loop.test), loop.condition)
        out.append(While(*both, self.read(loop.poll), self.read(loop.code), loop.every))

    def _while(
        self, body: tuple[Instruction, ...], count: int, condition: Operand
    ) -> tuple[tuple[Instruction, ...], Operand, tuple[Instruction, ...]]:
        """Test, condition and body: the test comes before the body, so that what it knows holds there."""
        written = {i.buffer for i in walk(body) if isinstance(i, Store)}
        known, memory = self.known, self.memory
        self.known = dict(known)
        self.memory = {b: dict(values) for b, values in memory.items() if b not in written}
        test = tuple(self.block(body[:count]))
        holds = self.read(condition)
        steps = tuple(self.block(body[count:]))
        self.known, self.memory = known, {b: values for b, values in memory.items() if b not in written}
        return test, holds, steps


WRITERS: dict[type, Callable[[_Unroller, Any, list[Instruction]], None]] = {
    Op: _Unroller.op,
    Load: _Unroller.load,
    Store: _Unroller.store,
    Check: _Unroller.check,
    Loop: _Unroller.loop,
    Branch: _Unroller.branch,
    While: _Unroller.while_,
}


def _is_number(operand: Operand, number: int) -> bool:
    return isinstance(operand, Constant) and operand.value == number


def _is_short(loop: Loop) -> bool:
    """Whether a loop and those in it are better written out: beyond some iterations, and where functions run in whole
    vectors, loops are as good.
    """
    count = _count(loop)
    calls = [i for i in loop.body if isinstance(i, Op) and i.name in MATHEMATICS]
    whole = any(count % (VECTOR // int(i.result.dtype[1])) == 0 for i in calls)
    return _points((loop,)) <= MOST_POINTS and not (calls and (whole or count > WITH_MATHEMATICS))


def _count(loop: Loop) -> int:
    """The number of iterations, which is known."""
    assert isinstance(loop.start, Constant)
    assert isinstance(loop.stop, Constant)
    return max(int(loop.stop.value) - int(loop.start.value), 0)


def _points(body: Iterable[Instruction]) -> int:
    """How often the innermost instructions run."""
    return max((max(_count(i), 1) * _points(i.body) for i in body if isinstance(i, Loop)), default=1)


def _folded(op: Op, operands: tuple[Operand, ...]) -> Operand | None:
    """The result of index arithmetic on numbers."""
    if op.result.dtype != INDEX or op.name not in FOLDED:
        return None
    a, b = operands
    if isinstance(a, Constant) and isinstance(b, Constant):
        return Constant(FOLDED[op.name](int(a.value), int(b.value)), INDEX)
    if op.name == "add" and Constant(0, INDEX) in operands:
        return b if a == Constant(0, INDEX) else a
    return None


def _work(body: tuple[Instruction, ...]) -> int | None:
    """How many instructions an iteration is when all loops in it are written out; None where they cannot be."""
    total = 0
    for instruction in body:
        if isinstance(instruction, While):
            return None
        if isinstance(instruction, Loop):
            if not (isinstance(instruction.start, Constant) and isinstance(instruction.stop, Constant)):
                return None
            inner = _work(instruction.body)
            if inner is None:
                return None
            total += inner * _count(instruction)
        elif isinstance(instruction, Branch):
            sides = [_work(side) for side in (instruction.then, instruction.orelse)]
            if None in sides:
                return None
            total += sum(s for s in sides if s) + 1
        elif isinstance(instruction, Op) and instruction.name in MATHEMATICS:
            total += CALL
        else:
            total += not (isinstance(instruction, Op) and instruction.result.dtype == INDEX)
    return total
