"""How do loops and branches of a kernel read in LLVM IR?  As blocks, whose values meet in phis."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from funcgrad.compile import functions
from funcgrad.compile.emitters import TYPES
from funcgrad.compile.hints import hints
from funcgrad.lower.loops import Branch, Loop, Value, While

if TYPE_CHECKING:
    from funcgrad.compile.llvm import _Printer

REORDERED = ("add", "mul")  # reductions that round: only they need a licence to run in lanes


def rotated(p: _Printer, loop: Loop) -> None:
    """Print a loop in rotated form: a guard, then a body that ends in the test, as LLVM's passes want it."""
    number, before = p.fresh(), p.block
    start, stop = p.operand(loop.start), p.operand(loop.stop)
    guard = p.emit(f"icmp slt i64 {start}, {stop}")
    p.line(f"br i1 {guard}, label %loop{number}, label %exit{number}")
    p.label(f"loop{number}")
    p.names[loop.index] = f"%i{number}"
    for k, carry in enumerate(loop.carries):
        p.names[carry.inner] = f"%c{number}.{k}"
        if carry.reduction in REORDERED and carry.inner.dtype[0] == "f" and isinstance(carry.next, Value):
            p.reordered.add(carry.next)
    phis = len(p.lines)  # they name values that the body has yet to define
    group = p.node("distinct !{}") if loop.independent else None
    outer, p.groups = p.groups, p.groups if group is None else [*p.groups, group]
    before_lanes = p.in_lanes, p.in_sequence
    p.in_lanes = functions.in_lanes(loop)
    p.in_sequence = not p.in_lanes
    p.instructions(loop.body)
    p.in_lanes, p.in_sequence = before_lanes
    p.groups = outer
    p.lines[phis:phis] = _phis(p, loop, number, before, start)
    p.line(f"%i{number}.next = add nsw i64 %i{number}, 1")
    again = p.emit(f"icmp slt i64 %i{number}.next, {stop}")
    latch, properties = p.block, _properties(p, loop, group)
    p.line(f"br i1 {again}, label %loop{number}, label %exit{number}, !llvm.loop !{properties}")
    p.label(f"exit{number}")
    for k, carry in enumerate(loop.carries):
        initial, last = p.operand(carry.initial), p.operand(carry.next)
        name = f"%x{number}.{k}"
        p.line(f"{name} = phi {TYPES[carry.result.dtype]} [{initial}, %{before}], [{last}, %{latch}]")
        p.names[carry.result] = name


def _phis(p: _Printer, loop: Loop, number: int, before: str, start: str) -> Iterator[str]:
    """The loop's index and carries; called when the body is printed, in the block in which it ends."""
    yield f"  %i{number} = phi i64 [{start}, %{before}], [%i{number}.next, %{p.block}]"
    for k, carry in enumerate(loop.carries):
        initial, following = p.operand(carry.initial), p.operand(carry.next)
        kind = TYPES[carry.inner.dtype]
        yield f"  %c{number}.{k} = phi {kind} [{initial}, %{before}], [{following}, %{p.block}]"


def _properties(p: _Printer, loop: Loop, group: int | None) -> int:
    """The number of the metadata node that tells LLVM's loop passes about a loop."""
    own = len(p.metadata)
    parallel = [] if group is None else [f'!{{!"llvm.loop.parallel_accesses", !{group}}}']
    return p.node(f"distinct !{{{', '.join([f'!{own}', *parallel, *hints(loop)])}}}")


def branch(p: _Printer, branch: Branch) -> None:
    """Print both sides of a branch, and where they meet."""
    number = p.fresh()
    condition = p.operand(branch.condition)
    p.line(f"br i1 {condition}, label %then{number}, label %else{number}")
    ends = []
    for side, body, which in (("then", branch.then, 1), ("else", branch.orelse, 2)):
        p.label(f"{side}{number}")
        p.instructions(body)
        ends.append((p.block, [p.operand(merge[which]) for merge in branch.merges]))
        p.line(f"br label %join{number}")
    p.label(f"join{number}")
    (after_then, first), (after_else, second) = ends
    for k, ((result, _, _), a, b) in enumerate(zip(branch.merges, first, second, strict=True)):
        name = f"%m{number}.{k}"
        p.line(f"{name} = phi {TYPES[result.dtype]} [{a}, %{after_then}], [{b}, %{after_else}]")
        p.names[result] = name


def while_(p: _Printer, loop: While) -> None:
    """Print a loop of unknown length; now and then an iteration calls out, and ends it if there is a status."""
    number, before = p.fresh(), p.block
    count = f"%w{number}"
    over = p.emit(f"icmp ne i64 {p.emit('load i64, ptr %status')}, 0")
    p.line(f"br i1 {over}, label %done{number}, label %test{number}")
    p.label(f"test{number}")
    phi = len(p.lines)
    before_lanes = p.in_lanes, p.in_sequence
    p.in_lanes, p.in_sequence = False, True
    p.instructions(loop.test)
    p.line(f"br i1 {p.operand(loop.condition)}, label %while{number}, label %done{number}")
    p.label(f"while{number}")
    p.instructions(loop.body)
    p.in_lanes, p.in_sequence = before_lanes
    p.line(f"{count}.next = add nuw i64 {count}, 1")
    low = p.emit(f"and i64 {count}.next, {loop.every - 1}")
    rare = p.emit(f"icmp eq i64 {low}, 0")
    last = p.block
    p.line(f"br i1 {rare}, label %poll{number}, label %test{number}")
    p.label(f"poll{number}")
    address = p.emit(f"inttoptr i64 {p.operand(loop.poll)} to ptr")
    p.line(f"call void {address}(ptr %status, i64 {p.operand(loop.code)}) nounwind willreturn")
    status = p.emit("load i64, ptr %status")
    failed = p.emit(f"icmp ne i64 {status}, 0")
    p.line(f"br i1 {failed}, label %done{number}, label %test{number}")
    p.lines.insert(phi, f"  {count} = phi i64 [0, %{before}], [{count}.next, %{last}], [{count}.next, %poll{number}]")
    p.label(f"done{number}")
