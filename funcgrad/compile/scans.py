"""How is a loop printed that folds and keeps each step, a running sum?  A vector at a time, by log₂ as many folds.

Each element of such a loop waits for the one before, four cycles for a sum of floats. In a vector of eight, each lane
is folded with the one before it, then with the one two before, then four: then it holds the fold of all lanes up to
its own, and only the fold of what came before the vector is missing, which waits for one instruction per vector. The
last elements, which fill no vector, go one by one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from funcgrad.compile import cpus
from funcgrad.compile.emitters import EMITTERS, TYPES, literal, size_of, vector_of
from funcgrad.compile.flow import rotated
from funcgrad.lower.loops import INDEX, Load, Loop, Op, Operand, Store, Value
from funcgrad.lower.nest import neutral

if TYPE_CHECKING:
    from funcgrad.compile.llvm import _Printer

BEGIN, BEFORE = -3, -4  # numbers of values that no kernel has: where the last elements begin, and the fold before them
MOST = 16  # lanes


class Scan(NamedTuple):
    """A loop that folds and keeps each step.

    Attributes
    ----------
    fold
        The instruction that folds.
    element
        What it folds in.
    lanes
        What has a value in each lane.
    steps
        By how many elements the address of each load and store goes on: 1, or -1.
    """

    fold: Op
    element: Operand
    lanes: set[Operand]
    steps: dict[Load | Store, int]


def scan_of(loop: Loop) -> Scan | None:
    """The scan that a loop is: loads, casts, one fold, and stores, all of neighbours in memory."""
    if len(loop.carries) != 1 or loop.carries[0].reduction is None or not loop.independent:
        return None
    (carry,), fold, element = loop.carries, None, None
    slopes: dict[Operand, int] = {loop.index: 1}
    lanes, folded = set[Operand](), set[Operand]()
    steps: dict[Load | Store, int] = {}
    for i in loop.body:
        if isinstance(i, Load | Store):
            steps[i] = slopes.get(i.index, 0)
            if abs(steps[i]) != 1 or (isinstance(i, Store) and i.value not in lanes):
                return None
            if isinstance(i, Load):
                lanes.add(i.result)
        elif not isinstance(i, Op):
            return None
        elif i.result == carry.next and i.name == carry.reduction:
            fold, element = i, i.operands[1 - i.operands.index(carry.inner)]
            if element not in lanes:
                return None
            lanes.add(i.result)
            folded.add(i.result)
        elif i.name == "cast" and i.operands[0] in lanes:
            lanes.add(i.result)
            folded |= {i.result} if i.operands[0] in folded else set()
        elif i.name in ("add", "sub") and lanes.isdisjoint(i.operands) and carry.inner not in i.operands:
            a, b = (slopes.get(x, 0) for x in i.operands)
            slopes[i.result] = a + b if i.name == "add" else a - b
        else:
            return None
    if fold is None or element is None or not any(isinstance(i, Store) and i.value in folded for i in steps):
        return None
    return Scan(fold, element, lanes, steps)


def print_scan(printer: _Printer, loop: Loop, scan: Scan) -> None:
    """Print such a loop: whole vectors first, then what is left."""
    p, (carry,) = printer, loop.carries
    number, before, dtype = p.fresh(), p.block, carry.inner.dtype
    vectors = _Vectors(p, scan)
    kind, label, rest = TYPES[vector_of(dtype, vectors.width)], f"scan{number}", f"rest{number}"
    start, stop = p.operand(loop.start), p.operand(loop.stop)
    count = p.call("llvm.smax.i64", "i64", f"i64 {p.emit(f'sub i64 {stop}, {start}')}", "i64 0")
    end = p.emit(f"add i64 {start}, {p.emit(f'and i64 {count}, {-vectors.width}')}")
    initial = vectors.everywhere(dtype, p.operand(carry.initial))
    p.line(f"br i1 {p.emit(f'icmp slt i64 {start}, {end}')}, label %{label}, label %{rest}")
    p.label(label)
    phis, place, so_far = len(p.lines), f"%i{number}", f"%c{number}"
    p.names[loop.index] = place
    following = vectors.body(loop, so_far)
    after = p.emit(f"add nsw i64 {place}, {vectors.width}")
    p.line(f"br i1 {p.emit(f'icmp slt i64 {after}, {end}')}, label %{label}, label %{rest}")
    p.lines[phis:phis] = [
        f"  {place} = phi i64 [{start}, %{before}], [{after}, %{label}]",
        f"  {so_far} = phi {kind} [{initial}, %{before}], [{following}, %{label}]",
    ]
    p.label(rest)
    last = p.emit(f"phi {kind} [{initial}, %{before}], [{following}, %{label}]")
    first, fold = Value(BEGIN, INDEX), Value(BEFORE, dtype)
    p.names |= {first: end, fold: p.emit(f"extractelement {kind} {last}, i64 0")}
    rotated(p, loop._replace(start=first, carries=(carry._replace(initial=fold),)))


class _Vectors:
    """The vectors of one scan."""

    def __init__(self, printer: _Printer, scan: Scan) -> None:
        self.printer, self.scan = printer, scan
        widest = max(size_of(x.dtype) for x in scan.lanes)
        self.width = min(cpus.vector_widths()[-1] // widest, MOST)

    def body(self, loop: Loop, so_far: str) -> str:
        """Print what happens to a vector of elements; the vector of the fold after them."""
        p, following = self.printer, ""
        for i in loop.body:
            if isinstance(i, Load):
                p.names[i.result] = self.loaded(i)
            elif isinstance(i, Store):
                self.store(i)
            elif isinstance(i, Op) and i == self.scan.fold:
                among = self.folded(i.result.dtype, p.operand(self.scan.element))
                p.names[i.result] = self.fold(i.result.dtype, so_far, among)
                whole = self.shuffled(i.result.dtype, among, [self.width - 1] * self.width)
                following = self.fold(i.result.dtype, so_far, whole)
            elif isinstance(i, Op) and i.result in self.scan.lanes:
                kinds = [vector_of(x.dtype, self.width) for x in (i.result, *i.operands)]
                operands = [p.operand(x) for x in i.operands]
                p.names[i.result] = EMITTERS[i.name](p, kinds[0], kinds[1:], operands, "")
            else:
                p.instruction(i)
        return following

    def folded(self, dtype: str, x: str) -> str:
        """In each lane the fold of all lanes up to it."""
        number = neutral(self.scan.fold.name, dtype)
        if number == 0.0 and dtype[0] == "f":
            number = -0.0  # LLVM makes two instructions of lanes that move up behind zeros
        before = f"<{', '.join([f'{TYPES[dtype]} {literal(number, dtype)}'] * self.width)}>"
        shift = 1
        while shift < self.width:
            x = self.fold(dtype, self.shuffled(dtype, x, range(self.width - shift, 2 * self.width - shift), before), x)
            shift *= 2
        return x

    def fold(self, dtype: str, a: str, b: str) -> str:
        kind = vector_of(dtype, self.width)
        return EMITTERS[self.scan.fold.name](self.printer, kind, [kind, kind], [a, b], "")

    def everywhere(self, dtype: str, x: str) -> str:
        """A vector of one number."""
        kind = TYPES[vector_of(dtype, self.width)]
        first = self.printer.emit(f"insertelement {kind} poison, {TYPES[dtype]} {x}, i64 0")
        return self.shuffled(dtype, first, [0] * self.width)

    def shuffled(self, dtype: str, x: str, order: Iterable[int], before: str | None = None) -> str:
        """The lanes of a vector in another order, those of `before` counted first."""
        kind = TYPES[vector_of(dtype, self.width)]
        mask = ", ".join(f"i32 {lane}" for lane in order)
        pair = (x, "poison") if before is None else (before, x)
        return self.printer.emit(f"shufflevector {kind} {pair[0]}, {kind} {pair[1]}, <{self.width} x i32> <{mask}>")

    def loaded(self, load: Load) -> str:
        dtype, (memory, address, suffix) = load.result.dtype, self.first(load)
        found = self.printer.emit(f"load <{self.width} x {memory}>, ptr {address}{suffix}")
        if dtype == "b1":
            found = self.printer.emit(f"icmp ne <{self.width} x i8> {found}, zeroinitializer")
        return found if self.scan.steps[load] == 1 else self.shuffled(dtype, found, reversed(range(self.width)))

    def store(self, store: Store) -> None:
        dtype, value = store.value.dtype, self.printer.operand(store.value)
        memory, address, suffix = self.first(store)
        if self.scan.steps[store] == -1:
            value = self.shuffled(dtype, value, reversed(range(self.width)))
        if dtype == "b1":
            value = self.printer.emit(f"zext <{self.width} x i1> {value} to <{self.width} x i8>")
        self.printer.line(f"store <{self.width} x {memory}> {value}, ptr {address}{suffix}")

    def first(self, access: Load | Store) -> tuple[str, str, str]:
        """The type of the elements in memory, the address of the lowest one, and what follows it."""
        memory, address, suffix = self.printer.address(access.buffer, access.index)
        if self.scan.steps[access] == -1:
            address = self.printer.emit(f"getelementptr inbounds {memory}, ptr {address}, i64 {1 - self.width}")
        return memory, address, suffix
