"""How does a kernel read in LLVM IR?

`print_kernel` writes one module: the entry point `name(bufs, ints, first, last)`, which looks its arguments up, and
``@body``, which takes them as parameters, so that ``noalias`` can say which memory is whose.

======== ==========================================================================================================
``bufs`` a table of addresses; slot 0 holds the address of the call's status word (an i64, 0 while nothing failed)
``ints`` i64s: the slot number in ``bufs`` of each of the kernel's buffers, then the values of its ``sizes`` (floats
as doubles)
======== ==========================================================================================================

Floating point is as written.  The one licence given is ``reassoc``, on the one addition or multiplication that a
reduction repeats, so that it may run in lanes.  ``llvm.loop.vectorize.enable`` is not used: it would let LLVM
reorder every floating-point recurrence in the loop.  Values are numbered in the order of their appearance, so that
equal kernels print as equal texts.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

from funcgrad.compile import (
    branches,
    cpus,
    extrema,
    flow,
    functions,
    packing,
    packs,
    scans,
    shared,
    streaming,
    vecmath,
    vectors,
)
from funcgrad.compile.emitters import EMITTERS, MEMORY, TYPES, literal, size_of
from funcgrad.lower import streams
from funcgrad.lower.loops import (
    Branch,
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
from funcgrad.lower.scalar import MATHEMATICS

PACK = 32  # bytes of a pack: of 64, lanes move slower, and fewer instructions run at once
LINE = 64  # bytes of memory that come together


def print_kernel(kernel: Kernel, name: str) -> str:
    """The LLVM module of `kernel`, whose entry point is called `name`.

    Parameters
    ----------
    kernel
        What to print.  It is trusted: every value is defined before its use and has the dtype that it says.
    name
        The symbol of the entry point.

    Returns
    -------
    str
        LLVM IR, without a target: `compile.engine` knows the machine.
    """
    return _Printer(kernel).module(name)


class _Printer:
    """One kernel being printed: the text so far, the names of its values, and the loops around the current point."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.lines: list[str] = []
        self.names: dict[Value, str] = {kernel.first: "%first", kernel.last: "%last"}
        self.names |= {size: f"%s{k}" for k, size in enumerate(kernel.sizes)}
        self.block = "entry"
        self.temporaries = 0
        self.labels = 0
        self.unseen = itertools.count(-1 << 32, -1)  # numbers of values that no kernel has, nor its guards
        self.in_lanes = False  # whether the innermost loop around the current point can be vectorised ...
        self.in_sequence = False  # ... or there is one that cannot
        self.foreseen: set[Value] = set()
        self.metadata: list[str] = []
        self.groups: list[int] = []  # access groups of the independent loops around the current point
        self.group_lists: dict[tuple[int, ...], int] = {}
        self.reordered: set[Value] = set()
        self.mathematics: dict[tuple[str, str], None] = {}
        self.shared = shared.shared(kernel)
        self.apart = {function: f" #{k}" for k, function in enumerate(functions.apart(kernel))}
        self.twins: dict[Value, functions.Twin] = {}
        self.alone = streams.streamed_loop(kernel) if kernel.streamed else None
        self.stages: dict[int, tuple[str, str]] = {}  # buffers past the caches -> a block, and where it begins
        stored = {i.buffer for i in walk(kernel.body) if isinstance(i, Store)}
        loaded = {i.buffer for i in walk(kernel.body) if isinstance(i, Load)}
        self.only_read, self.carried = set() if kernel.aliased else loaded - stored, loaded & stored
        self.flags: dict[str, str] = {}  # a check's code, as an operand -> where its failure is noted

    @cached_property
    def uses(self) -> Counter[Operand]:
        """How often each value is used."""
        return packs.uses_of(self.kernel)

    def module(self, name: str) -> str:
        """The whole text."""
        kernel = self.kernel
        self.mathematics.update(dict.fromkeys((calls.name, calls.dtype) for calls in self.shared))
        outside = set(kernel.sizes)
        for check in (i for i in walk(kernel.body) if isinstance(i, Check)):
            if isinstance(check.code, Constant) or check.code in outside:
                self.flags.setdefault(self.operand(check.code), f"%flag{len(self.flags)}")
        for flag in self.flags.values():
            self.line(f"{flag} = alloca i1")
            self.line(f"store i1 false, ptr {flag}")
        streaming.print_stages(self)
        self.instructions(kernel.body)
        if kernel.streamed:
            self.line(streaming.FENCE)
        self.report_flags()
        self.line("ret void")
        alias = "" if kernel.aliased else " noalias"
        buffers = [f"ptr{alias} nocapture %b{k}" for k in range(len(kernel.buffers))]
        sizes = [f"{TYPES[size.dtype]} %s{k}" for k, size in enumerate(kernel.sizes)]
        variants = {function: functions.variants(kernel, function) for function in self.apart}
        manner = " ".join(["noinline nounwind mustprogress", *functions.preference(kernel)])
        parameters = ", ".join(["ptr noalias nocapture %status", *buffers, *sizes, "i64 %first", "i64 %last"])
        return "\n".join(
            [
                *self.entry(name),
                f"define internal void @body({parameters}) {manner} {{",
                "entry:",
                *self.lines,
                "}",
                *(
                    shared.definition(symbol, calls, self.apart.get((calls.name, calls.dtype), ""))
                    for calls, symbol in self.shared.items()
                ),
                vecmath.definitions(self.mathematics, cpus.has_fma(), variants),
                *([streaming.definition(self.node("!{i32 1}"))] if kernel.streamed else []),
                *(f"attributes{number} = {vecmath.promise(variants[which])}" for which, number in self.apart.items()),
                *(f"!{k} = {node}" for k, node in enumerate(self.metadata)),
                "",
            ]
        )

    def entry(self, name: str) -> Iterator[str]:
        """The function that finds the addresses and sizes and calls ``@body`` with them."""
        kernel = self.kernel
        # passes gained nothing here, and took a tenth of the time that a small kernel compiles
        yield f"define void @{name}(ptr %bufs, ptr %ints, i64 %first, i64 %last) nounwind noinline optnone {{"
        yield "  %status = load ptr, ptr %bufs"
        arguments = ["ptr %status"]
        for k in range(len(kernel.buffers)):
            yield f"  %p{k} = getelementptr inbounds i64, ptr %ints, i64 {k}"
            yield f"  %n{k} = load i64, ptr %p{k}"
            yield f"  %q{k} = getelementptr inbounds ptr, ptr %bufs, i64 %n{k}"
            yield f"  %b{k} = load ptr, ptr %q{k}"
            arguments.append(f"ptr %b{k}")
        for k, size in enumerate(kernel.sizes):
            yield f"  %r{k} = getelementptr inbounds i64, ptr %ints, i64 {len(kernel.buffers) + k}"
            word, kind = ("%w" if size.dtype == "f4" else "%s") + str(k), "double" if size.dtype[0] == "f" else "i64"
            yield f"  {word} = load {kind}, ptr %r{k}"
            if size.dtype == "f4":
                yield f"  %s{k} = fptrunc double {word} to float"
            arguments.append(f"{TYPES[size.dtype]} %s{k}")
        yield f"  call void @body({', '.join([*arguments, 'i64 %first', 'i64 %last'])})"
        yield "  ret void"
        yield "}"

    # text

    def line(self, text: str) -> None:
        self.lines.append("  " + text)

    def emit(self, text: str) -> str:
        """Append an instruction that yields a value; its new name."""
        name = f"%t{self.temporaries}"
        self.temporaries += 1
        self.line(f"{name} = {text}")
        return name

    def call(self, intrinsic: str, result: str, *arguments: str) -> str:
        """Call an intrinsic, such as ``llvm.floor.f32``; `arguments` carry their types.  LLVM declares it."""
        return self.emit(f"call {result} @{intrinsic}({', '.join(arguments)})")

    def function(self, name: str, dtype: str, arguments: Sequence[str]) -> str:
        """Call one of `vecmath`'s functions."""
        self.mathematics[name, dtype] = None
        typed = ", ".join(f"{TYPES[dtype]} {argument}" for argument in arguments)
        # one number at a time: there are no lanes to gain, only code
        manner = self.apart.get((name, dtype), "") if self.in_lanes else " noinline"
        return self.emit(
            f"call {vecmath.result_type(name, TYPES[dtype])} {vecmath.symbol(name, dtype)}({typed}){manner}"
        )

    def label(self, text: str) -> None:
        """Start a basic block."""
        self.lines.append(f"{text}:")
        self.block = text

    def fresh(self) -> int:
        self.labels += 1
        return self.labels

    def node(self, text: str) -> int:
        self.metadata.append(text)
        return len(self.metadata) - 1

    def operand(self, operand: Operand) -> str:
        return literal(operand.value, operand.dtype) if isinstance(operand, Constant) else self.names[operand]

    # instructions

    def instructions(self, body: Sequence[Instruction]) -> None:
        self.twins |= functions.twins(body)
        if self.in_sequence:
            self.foreseen |= branches.foreseen(body)
        whole = self.in_lanes or self.alone is not None  # LLVM makes vectors of loops
        for part in body if whole else packs.runs(body, self.kernel.aliased):
            if isinstance(part, list):
                self.run(part)
            else:
                self.instruction(part)

    def run(self, run: list[packs.Plain]) -> None:
        """Print straight-line code, in packs if that pays."""
        run = packs.without_overwritten(run)
        vector = min(cpus.vector_widths()[-1], PACK)
        plan = packing.plan(run, vector, self.reordered, self.only_read, self.carried)
        if plan is None:
            for instruction in run:
                self.instruction(instruction)
        else:
            vectors.print_plan(self, plan, self.instruction)

    def instruction(self, instruction: Instruction) -> None:
        METHODS[type(instruction)](self, instruction)

    def op(self, op: Op) -> None:
        operands = [self.operand(operand) for operand in op.operands]
        if op.result in self.twins:
            self.pair(self.twins[op.result], operands)
            return
        if op.name in MATHEMATICS:
            self.names[op.result] = self.mathematical(op, operands)
            return
        dtypes = [operand.dtype for operand in op.operands]
        licence = "reassoc " if op.result in self.reordered else ""
        self.names[op.result] = EMITTERS[op.name](self, op.result.dtype, dtypes, operands, licence)
        if op.result in self.foreseen:
            self.lines[-1] += f", !prof !{self.node(branches.WEIGHTS)}"

    def mathematical(self, op: Op, operands: list[str]) -> str:
        dtype = op.result.dtype
        if dtype != "f2":
            return self.function(op.name, dtype, operands)
        wide = self.function(op.name, "f4", [self.emit(f"fpext half {operand} to float") for operand in operands])
        return self.emit(f"fptrunc float {wide} to half")

    def pair(self, twin: functions.Twin, operands: list[str]) -> None:
        """A sine and a cosine, when the first of them is printed."""
        if twin.sine.result not in self.names:
            dtype = twin.sine.result.dtype
            both = self.function("sincos", dtype, operands)
            for k, op in enumerate(twin):
                kind = vecmath.result_type("sincos", TYPES[dtype])
                self.names[op.result] = self.emit(f"extractvalue {kind} {both}, {k}")

    def address(self, buffer: int, index: Operand) -> tuple[str, str, str]:
        """The memory type, the address of an element, and what follows it in a load or a store."""
        dtype = self.kernel.buffers[buffer].dtype
        memory, base, place = MEMORY.get(dtype, TYPES[dtype]), f"%b{buffer}", self.operand(index)
        if buffer in self.stages:
            base, begin = self.stages[buffer]
            place = self.emit(f"sub i64 {place}, {begin}")
        address = self.emit(f"getelementptr inbounds {memory}, ptr {base}, i64 {place}")
        return memory, address, f", align {size_of(dtype)}{self.access()}"

    def access(self) -> str:
        """The metadata that names the independent loops around this load or store."""
        if not self.groups:
            return ""
        if len(self.groups) == 1:
            return f", !llvm.access.group !{self.groups[0]}"
        key = tuple(self.groups)
        if key not in self.group_lists:
            self.group_lists[key] = self.node(f"!{{{', '.join(f'!{group}' for group in key)}}}")
        return f", !llvm.access.group !{self.group_lists[key]}"

    def load(self, load: Load) -> None:
        memory, address, suffix = self.address(load.buffer, load.index)
        value = self.emit(f"load {memory}, ptr {address}{suffix}")
        self.names[load.result] = self.emit(f"icmp ne i8 {value}, 0") if load.result.dtype == "b1" else value

    def store(self, store: Store) -> None:
        memory, address, suffix = self.address(store.buffer, store.index)
        value = self.operand(store.value)
        if store.value.dtype == "b1":
            value = self.emit(f"zext i1 {value} to i8")
        self.line(f"store {memory} {value}, ptr {address}{suffix}")
        if store.follows:
            behind = self.emit(f"getelementptr i8, ptr {address}, i64 {LINE}")
            self.line(f"call void @llvm.prefetch.p0(ptr {behind}, i32 1, i32 3, i32 1)")  # to write to, often, data

    def loop(self, loop: Loop) -> None:
        calls = shared.calls_of(loop)
        if calls in self.shared:
            self.line(shared.call(self.shared[calls], loop))
        elif self.alone is not None and not self.stages:
            streaming.print_in_blocks(self, loop)
        elif rows := streaming.rows_of(self.kernel, loop):
            streaming.print_rows(self, loop, rows)
        else:
            self.single(loop)

    def single(self, loop: Loop) -> None:
        """Print a loop by itself."""
        scan = scans.scan_of(loop)
        if scan is not None:
            scans.print_scan(self, loop, scan)
        elif functions.in_lanes(loop) and (folded := extrema.as_integers(loop, self.unseen)):
            for instruction in folded.before:
                self.instruction(instruction)
            flow.rotated(self, folded.loop)
            for instruction in folded.behind:
                self.instruction(instruction)
        else:
            flow.rotated(self, loop)

    def check(self, check: Check) -> None:
        """Note a failure in a flag, which a vectorised loop can keep, where the code is known outside of all loops."""
        condition, code = self.operand(check.condition), self.operand(check.code)
        if code in self.flags:
            flag = self.flags[code]
            failed = self.emit(f"xor i1 {condition}, true")
            before = self.emit(f"load i1, ptr {flag}")
            self.line(f"store i1 {self.emit(f'or i1 {before}, {failed}')}, ptr {flag}")
            return
        self.report(self.emit(f"xor i1 {condition}, true"), code)

    def report_flags(self) -> None:
        for code, flag in self.flags.items():
            self.report(self.emit(f"load i1, ptr {flag}"), code)

    def report(self, failed: str, code: str) -> None:
        """If `failed`, put `code` into the status word, unless this call (on any thread) has failed before."""
        number = self.fresh()
        self.line(f"br i1 {failed}, label %fail{number}, label %fine{number}")
        self.label(f"fail{number}")
        self.emit(f"cmpxchg ptr %status, i64 0, i64 {code} monotonic monotonic")
        self.line(f"br label %fine{number}")
        self.label(f"fine{number}")


METHODS: dict[type, Callable[[_Printer, Any], None]] = {
    Op: _Printer.op, Load: _Printer.load, Store: _Printer.store, Loop: _Printer.loop, Check: _Printer.check,
    Branch: flow.branch, While: flow.while_,
}  # fmt: skip
