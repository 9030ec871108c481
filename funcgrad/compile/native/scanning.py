"""How is a long line summed up so far, from one read of it?  Block after block, by threads that take turns.

A thread takes the next block, folds it so far from nothing, keeps that in its cache and says what the block's fold is;
then it looks back for the last block up to whose end all is known, goes on from there with what other threads have
said, and writes its own block, each element folded with what stands before the block (D. Merrill & M. Garland,
"Single-pass parallel prefix scan with decoupled look-back", 2016). Nobody waits: a block of which nothing is said (who
has it may have lost its core) is folded again, to the same number. Blocks are cut as sizes say, so that results do not
depend on threads.

Within a block, elements come in groups. In a vector of eight, each lane is folded with the one before it, then with
the one two before, then four. Float32 numbers, which are added up in float64, come in groups of four vectors where one
instruction takes any lanes of two (AVX-512): each lane of them has four neighbours, and one vector in four is folded
across its lanes.

The integers of ``fg_running_...`` are those of `Parameter`; its range is that of the blocks of all lines, of which each
step takes the next one, whatever its number. ``fg_running_begin`` comes before it.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import NamedTuple

from funcgrad.compile.compiler import native_library
from funcgrad.compile.emitters import EMITTERS, TYPES, literal, size_of, vector_of
from funcgrad.compile.native.pool import relax
from funcgrad.compile.native.text import Function, Module, Value
from funcgrad.compile.passes import Effort
from funcgrad.lower.cumulative import KEPT
from funcgrad.lower.nest import neutral

Parameter = IntEnum("Parameter", "SLOT_X SLOT_OUT SLOT_STATE STATE_BYTES BLOCKS LENGTH", start=0)

TICKET, ENTRIES = 0, 64  # of the state: the next block, and what is known of each
KNOWN, OWN, UP_TO = 0, 8, 16  # of an entry: how much is known, the fold of the block, that of all up to its end
EACH = 24  # bytes of an entry
ITS_OWN, ALL = 1, 2  # what is known
TAKES_ANY = 64  # bytes of vectors whose lanes one instruction takes from any of two
LINE = 64  # bytes of memory that are written together
SOON = 4  # looks that take less than what is gained where it is known

Use = Callable[[Value, Value, list[Value]], None]


class Scan(NamedTuple):
    """What a kernel does.

    Attributes
    ----------
    fold
        ``"add"``, ``"max"`` or ``"min"``.
    dtype
        Of the elements.
    wide
        Of what they are folded in.
    reverse
        Whether lines are folded from their last element on.
    streamed
        Whether blocks that begin a line of memory are written past the caches.
    width
        The bytes of a vector.
    """

    fold: str
    dtype: str
    wide: str
    reverse: bool
    streamed: bool
    width: int

    @property
    def name(self) -> str:
        """What the kernel is called."""
        return f"fg_running_{self.fold}_{self.dtype}{'_back' * self.reverse}{'_past' * self.streamed}_{self.width}"

    @property
    def block(self) -> int:
        """How many elements a block has."""
        return KEPT // size_of(self.wide)


@functools.cache
def addresses(scan: Scan) -> tuple[int, int]:
    """The addresses of the kernel that prepares the state, and of the one that folds."""
    module = Module(Effort.REGISTERS)
    define(module, scan)
    library = native_library(scan.name, str(module))
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(library))
    return library.address(f"{scan.name}_begin"), library.address(scan.name)


def define(module: Module, scan: Scan) -> None:
    """Define the two kernels."""
    parameters = {"bufs": "ptr", "ints": "ptr", "first": "i64", "last": "i64"}
    with module.function(f"{scan.name}_begin", "void", **parameters) as f:
        state = f.load(f.bufs, f.load(f.ints, 8 * Parameter.SLOT_STATE) * 8, "ptr")
        size = f.load(f.ints, 8 * Parameter.STATE_BYTES)
        f.call("llvm.memset.p0.i64", state, f.constant("i8", 0), size, f.constant("i1", 0), returns="void")
        f.ret()
    with module.function(scan.name, "void", **parameters) as f:
        _Scanner(f, scan).blocks(f.last - f.first)
        if scan.streamed:
            f.call("llvm.x86.sse.sfence", returns="void")
        f.ret()


class _Block(NamedTuple):
    """The values of a block: its number among all and in its line, where it lies in bytes, its elements, the groups
    that they need, and whether they do not fill these.
    """

    ticket: Value
    number: Value
    offset: Value
    elements: Value
    groups: Value
    odd: Value


class _Scanner:
    """Writes the kernel of one scan."""

    def __init__(self, f: Function, scan: Scan) -> None:
        self.f, self.scan, self.printer = f, scan, _Printer(f)
        self.lanes = scan.width // size_of(scan.wide)
        self.kind = vector_of(scan.wide, self.lanes)
        self.size, self.wide_size = size_of(scan.dtype), size_of(scan.wide)
        self.casts = scan.wide != scan.dtype
        self.vectors = 4 if self.casts and scan.width == TAKES_ANY else 1
        self.group = self.lanes * self.vectors
        self.number, self.wide = TYPES[scan.dtype], TYPES[scan.wide]
        self.word = {p: f.load(f.ints, 8 * p) for p in Parameter}
        slots = Parameter.SLOT_X, Parameter.SLOT_OUT, Parameter.SLOT_STATE
        self.x, self.out, self.state = (f.load(f.bufs, self.word[p] * 8, "ptr") for p in slots)
        self.kept, self.padded = self._room(KEPT), self._room(scan.block * self.size)
        self.before = self._room(KEPT // self.group)  # the fold of the groups before each

    def blocks(self, count: Value) -> None:
        """Take so many blocks and do them; while one is written, the next one comes from memory."""
        f = self.f
        following = f.variable("i64", f.atomic("add", self.state, TICKET, 1))
        with f.range(count) as k:
            block = self._block(following.get())
            with f.if_(k + 1 < count):
                following.set(f.atomic("add", self.state, TICKET, 1))
            soon = self.x + self._block(following.get()).offset
            x, out = self._padded(block), self._target(block)
            fits = self._begins_line(out)
            f.choose(
                self._is_known_soon(block) & fits,
                lambda: self._at_once(block, x, out, soon),
                lambda: self._kept_first(block, x, out, soon, fits),
            )
            with f.if_(block.odd):
                self._copy(self.out + block.offset, self.padded, block.elements)

    def _at_once(self, block: _Block, x: Value, out: Value, soon: Value) -> None:
        """Do a block before which all is known."""
        before = self._up_to(block.ticket - 1, block.number)
        everywhere = self.f.repeated(before, self.lanes)

        def write(k: Value, so_far: Value, vectors: list[Value]) -> None:
            self._write(
                out,
                self._place(k, block.groups),
                self._fold(everywhere, so_far, self.kind),
                vectors,
                self.scan.streamed,
            )
            self._fetch(soon, k)

        self._hand_on(block.ticket, before, self._folded(x, block.groups, write))

    def _kept_first(self, block: _Block, x: Value, out: Value, soon: Value, fits: Value) -> None:
        """Do a block as far as that goes, then the rest."""
        f = self.f

        def keep(k: Value, so_far: Value, vectors: list[Value]) -> None:
            f.store(self._first(so_far), self.before + k * self.wide_size)
            for j, v in enumerate(vectors):
                self._store(v, self._kept(k, j))

        total = self._folded(x, block.groups, keep)
        self._say(block.ticket, ITS_OWN, total, OWN)
        self._look_back(block)
        before = self._up_to(block.ticket - 1, block.number)
        self._hand_on(block.ticket, before, total)
        everywhere = f.repeated(before, self.lanes)

        def write(streamed: bool) -> None:
            with f.range(block.groups) as k:
                so_far = f.repeated(f.load(self.before, k * self.wide_size, self.wide), self.lanes)
                vectors = [self._load(so_far.type, self._kept(k, j), self.wide_size) for j in range(self.vectors)]
                here = self._fold(everywhere, so_far, self.kind)
                self._write(out, self._place(k, block.groups), here, vectors, streamed)
                self._fetch(soon, k)

        if self.scan.streamed:
            f.choose(fits, lambda: write(True), lambda: write(False))
        else:
            write(False)

    def _begins_line(self, out: Value) -> Value:
        """Whether a block can be written past the caches, if it is to."""
        if not self.scan.streamed:
            return self.f.constant("i1", "true")
        return (self.f.cast_int(out, "i64") & (LINE - 1)).is_(0)

    def _kept(self, k: Value, j: int) -> Value:
        return self.kept + k * (self.group * self.wide_size) + j * self.lanes * self.wide_size

    def _target(self, block: _Block) -> Value:
        return self.f.select(block.odd, self.padded, self.out + block.offset)

    def _fetch(self, x: Value, k: Value) -> None:
        """Fetch what lies so many groups behind."""
        size = self.group * self.size
        for line in range(max(size // LINE, 1)):
            place = x + (k * size + line * LINE)
            self.f.emit("void", f"call void @llvm.prefetch.p0({place}, i32 0, i32 3, i32 1)")

    def _is_known_soon(self, block: _Block) -> Value:
        f = self.f
        found, looks = f.variable("i64", ALL), f.variable("i64", 0)
        with f.if_(block.number > 0):
            found.set(self._known(block.ticket - 1))
            with f.while_(lambda: found.get().is_not(ALL) & (looks.get() < SOON)):
                relax(f)
                looks.set(looks.get() + 1)
                found.set(self._known(block.ticket - 1))
        return found.get().is_(ALL)

    def _block(self, ticket: Value) -> _Block:
        f, most = self.f, self.scan.block
        line = ticket // self.word[Parameter.BLOCKS]
        number = ticket - line * self.word[Parameter.BLOCKS]
        place = self.word[Parameter.BLOCKS] - 1 - number if self.scan.reverse else number
        rest = self.word[Parameter.LENGTH] - place * most
        count = f.select(rest < most, rest, f.constant("i64", most))
        groups = (count + (self.group - 1)) // self.group
        offset = (line * self.word[Parameter.LENGTH] + place * most) * self.size
        return _Block(ticket, number, offset, count, groups, (groups * self.group).is_not(count))

    def _padded(self, block: _Block) -> Value:
        """Where a block is read: one that is not made of whole groups from a copy."""
        f, x = self.f, self.x + block.offset
        with f.if_(block.odd):
            self._copy(self.padded, x, block.elements)
            with f.range(block.groups * self.group - block.elements) as k:
                f.store(self._neutral(self.scan.dtype), self.padded + (block.elements + k) * self.size)
        return f.select(block.odd, self.padded, x)

    def _look_back(self, block: _Block) -> None:
        """Go on from the last block up to whose end all is known, to the end of the one before `block`."""
        f = self.f
        first = f.variable("i64", block.ticket)
        with f.while_(lambda: first.get() > block.ticket - block.number):
            with f.if_(self._known(first.get() - 1).is_(ALL)):
                f.break_()
            first.set(first.get() - 1)
        own = f.variable(self.wide)
        with f.range(block.ticket - first.get()) as k:
            # Only the first block of a line that is folded backwards is odd here: its copy is in nobody's way.
            missing = self._block(first.get() + k)
            f.choose(
                self._known(missing.ticket).is_(0),
                lambda: own.set(self._folded(self._padded(missing), missing.groups, lambda *_: None)),
                lambda: own.set(f.load(self._entry(missing.ticket), OWN, self.wide)),
            )
            self._hand_on(missing.ticket, self._up_to(missing.ticket - 1, missing.number), own.get())

    def _entry(self, ticket: Value) -> Value:
        return self.state + (ticket * EACH + ENTRIES)

    def _known(self, ticket: Value) -> Value:
        return self.f.atomic_load(self._entry(ticket), KNOWN)

    def _up_to(self, ticket: Value, number: Value) -> Value:
        """The fold up to the end of a block, or of nothing where `number`, that of the next one in its line, is 0."""
        f = self.f
        before = f.variable(self.wide)
        f.store(f.constant(self.wide, literal(neutral(self.scan.fold, self.scan.wide), self.scan.wide)), before.place)
        with f.if_(number > 0):
            before.set(f.load(self._entry(ticket), UP_TO, self.wide))
        return before.get()

    def _hand_on(self, ticket: Value, before: Value, own: Value) -> None:
        """Say what a block's fold is, and that of all up to its end."""
        self.f.store(own, self._entry(ticket), OWN)
        self._say(ticket, ALL, self._fold(before, own), UP_TO)

    def _say(self, ticket: Value, known: int, value: Value, place: int) -> None:
        self.f.store(value, self._entry(ticket), place)
        self.f.atomic_store(known, self._entry(ticket), KNOWN)

    def _copy(self, target: Value, source: Value, count: Value) -> None:
        no = self.f.constant("i1", 0)
        self.f.call("llvm.memcpy.p0.p0.i64", target, source, count * self.size, no, returns="void")

    def _folded(self, x: Value, groups: Value, use: Use) -> Value:
        """The fold of a block; ``use(group, fold of the groups before, fold of the group so far)`` for each group."""
        f = self.f
        total = f.variable(TYPES[self.kind])  # in every lane
        total.set(f.repeated(self._neutral(self.scan.wide), self.lanes))
        with f.range(groups) as k:
            vectors = self._loaded(x + self._place(k, groups))
            for j in range(1, self.vectors):  # each lane's neighbours
                vectors[j] = self._fold(vectors[j - 1], vectors[j], self.kind)
            vectors[-1] = across = self._across(vectors[-1])
            if self.vectors > 1:
                below = self._moved(across, 1)
                vectors[:-1] = [self._fold(below, v, self.kind) for v in vectors[:-1]]
            so_far = total.get()
            use(k, so_far, vectors)
            # The last element read from what is kept would wait for the whole vector, 20 cycles.
            last = self._shuffled(across, across, [self.lanes - 1] * self.lanes)
            total.set(self._fold(so_far, last, self.kind))
        return self._first(total.get())

    def _write(self, out: Value, place: Value, before: Value, vectors: list[Value], streamed: bool) -> None:
        """Write a group, each element folded with all that comes before it."""
        found = [self._fold(before, v, self.kind) for v in vectors]
        for j, v in enumerate(self._in_order(found)):
            self._store(v, out + place + j * self.scan.width, streamed)

    # What these are made of -------------------------------------------------------------------------------------------

    def _room(self, size: int) -> Value:
        """Memory of the thread's own, from the beginning of a line on."""
        place = self.f.variable("i8", count=size + LINE).place
        return self.f.pointer((self.f.cast_int(place, "i64") + (LINE - 1)) & -LINE)

    def _place(self, k: Value, groups: Value) -> Value:
        """How many bytes a group lies behind the first element of its block."""
        return (groups - 1 - k if self.scan.reverse else k) * (self.group * self.size)

    def _neutral(self, dtype: str) -> Value:
        """What changes no number, not even -0."""
        number = neutral(self.scan.fold, dtype)
        return self.f.constant(TYPES[dtype], literal(-0.0 if number == 0 and dtype[0] == "f" else number, dtype))

    def _fold(self, a: Value, b: Value, kind: str | None = None) -> Value:
        kind = kind or self.scan.wide
        return Value(self.f, a.type, EMITTERS[self.scan.fold](self.printer, kind, [kind, kind], [a.name, b.name], ""))

    def _first(self, v: Value) -> Value:
        return self.f.emit(self.wide, f"extractelement {v}, i64 0")

    def _across(self, x: Value) -> Value:
        """In each lane the fold of all lanes up to it."""
        shift = 1
        while shift < self.lanes:
            x = self._fold(self._moved(x, shift), x, self.kind)
            shift *= 2
        return x

    def _moved(self, x: Value, shift: int) -> Value:
        """The lanes, each so far up, behind neutral ones."""
        n = self.lanes
        neutrals = ", ".join([str(self._neutral(self.scan.wide))] * n)
        return self._shuffled(self.f.constant(x.type, f"<{neutrals}>"), x, range(n - shift, 2 * n - shift))

    def _loaded(self, place: Value) -> list[Value]:
        """The vectors of a group: those of one number are one after the other, of several each lane's neighbours."""
        kind = f"<{self.group} x {self.number}>"
        whole = self._load(kind, place, self.size)
        found = []
        for j in range(self.vectors):
            lanes = range(j, self.group, self.vectors)
            order = [self.group - 1 - k for k in lanes] if self.scan.reverse else lanes
            v = whole if [*order] == [*range(self.group)] else self._shuffled(whole, whole, order)
            found.append(self._cast(v, "fpext", self.wide) if self.casts else v)
        return found

    def _in_order(self, vectors: list[Value]) -> list[Value]:
        """The vectors of a group's elements, in the order of memory."""
        n, back = self.lanes, self.scan.reverse
        narrow = [self._cast(v, "fptrunc", self.number) if self.casts else v for v in vectors]
        if self.vectors == 1:
            (v,) = narrow
            return [self._shuffled(v, v, range(n - 1, -1, -1)) if back else v]
        lanes = [*range(n)][:: -1 if back else 1]
        first, second, third, fourth = reversed(narrow) if back else narrow
        turns = [place for k in lanes for place in (k, n + k)]
        both = (self._shuffled(first, second, turns), self._shuffled(third, fourth, turns))
        left, right = (self.f.convert("bitcast", v, f"<{n} x i64>") for v in both)
        halves = (range(n // 2), range(n // 2, n))
        return [self._shuffled(left, right, [place for k in half for place in (k, n + k)]) for half in halves]

    def _shuffled(self, a: Value, b: Value, order: Sequence[int]) -> Value:
        mask = ", ".join(f"i32 {k}" for k in order)
        kind = f"<{len(order)} x {a.type.split()[-1]}"
        return self.f.emit(kind, f"shufflevector {a}, {b}, <{len(order)} x i32> <{mask}>")

    def _cast(self, v: Value, operation: str, number: str) -> Value:
        return self.f.convert(operation, v, f"<{self.lanes} x {number}>")

    def _load(self, kind: str, place: Value, align: int) -> Value:
        return self.f.emit(kind, f"load {kind}, {place}, align {align}")

    def _store(self, v: Value, place: Value, streamed: bool = False) -> None:
        past = f"align {self.group // self.vectors * self.size}, !nontemporal {self.f.module.note('!{i32 1}')}"
        manner = past if streamed else f"align {self.size}"
        self.f.emit("void", f"store {v}, {place}, {manner}")


class _Printer:
    """What `EMITTERS` write to."""

    def __init__(self, f: Function) -> None:
        self.f = f

    def emit(self, text: str) -> str:
        """The name of an instruction's value."""
        return self.f.emit("", text).name

    def call(self, intrinsic: str, result: str, *arguments: str) -> str:
        """Call an intrinsic, which LLVM declares."""
        return self.emit(f"call {result} @{intrinsic}({', '.join(arguments)})")
