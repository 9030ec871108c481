"""How does a loop write past the caches?  Block after block: what it stores lies on the stack first, from where whole
lines go to memory by stores that fetch nothing.

LLVM's vectoriser makes such stores only of aligned ones, and the results of a piece of the work begin anywhere. So a
block of a result is copied by a function: up to the first line, line by line, and the rest.

Blocks of 512 elements took 1.06 times as long for a step of Adam: loads and stores took turns then. The same kernel
without its arithmetic, or with stores that go past the caches at once, takes as long as this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from funcgrad.compile.emitters import TYPES, size_of
from funcgrad.compile.flow import rotated
from funcgrad.lower.loops import INDEX, Kernel, Loop, Operand, Value
from funcgrad.lower.streams import ROW, row_stores

BLOCK = 128  # elements of each result that lie on the stack: so few that the CPU loads the next ones meanwhile
FENCE = "call void @llvm.x86.sse.sfence()"  # what was written so is seen by other threads behind it


def definition(hint: int) -> str:
    """The function ``@fg.stream(to, from, bytes)``; `hint` is the number of the metadata node of such stores."""
    return f"""define internal void @fg.stream(ptr noalias %to, ptr noalias %from, i64 %bytes) noinline nounwind {{
entry:
  %address = ptrtoint ptr %to to i64
  %negative = sub i64 0, %address
  %unaligned = and i64 %negative, 63
  %head = call i64 @llvm.smin.i64(i64 %unaligned, i64 %bytes)
  %aligned = icmp eq i64 %head, 0
  br i1 %aligned, label %test, label %first
first:
  call void @llvm.memcpy.p0.p0.i64(ptr %to, ptr %from, i64 %head, i1 false)
  br label %test
test:
  %place = phi i64 [%head, %entry], [%head, %first], [%next, %line]
  %next = add i64 %place, 64
  %fits = icmp sle i64 %next, %bytes
  br i1 %fits, label %line, label %tail
line:
  %source = getelementptr i8, ptr %from, i64 %place
  %words = load <16 x i32>, ptr %source, align 4
  %target = getelementptr i8, ptr %to, i64 %place
  store <16 x i32> %words, ptr %target, align 64, !nontemporal !{hint}
  br label %test
tail:
  %rest = sub i64 %bytes, %place
  %done = icmp eq i64 %rest, 0
  br i1 %done, label %out, label %odd
odd:
  %last = getelementptr i8, ptr %from, i64 %place
  %end = getelementptr i8, ptr %to, i64 %place
  call void @llvm.memcpy.p0.p0.i64(ptr %end, ptr %last, i64 %rest, i1 false)
  br label %out
out:
  ret void
}}"""


def print_stages(printer: Any) -> None:
    """Print where a block of each result lies, or a row of it."""
    kernel = printer.kernel
    for buffer in kernel.streamed:
        dtype = kernel.buffers[buffer].dtype
        length = BLOCK if printer.alone is not None else ROW // size_of(dtype)
        printer.line(f"%stage{buffer} = alloca [{length} x {TYPES[dtype]}], align 64")


def rows_of(kernel: Kernel, loop: Loop) -> dict[int, Operand | None]:
    """The results past the caches of which a loop writes a row, and what is added to its index for that."""
    rows = row_stores(loop) if kernel.streamed else {}
    return {buffer: base for buffer, base in rows.items() if buffer in kernel.streamed}


def print_rows(printer: Any, loop: Loop, bases: Mapping[int, Operand | None]) -> None:
    """Print a loop over a row, which is copied when it is complete."""
    start, stop = printer.operand(loop.start), printer.operand(loop.stop)
    places = {
        buffer: start if base is None else printer.emit(f"add i64 {printer.operand(base)}, {start}")
        for buffer, base in bases.items()
    }
    printer.stages = {buffer: (f"%stage{buffer}", place) for buffer, place in places.items()}
    printer.single(loop)
    printer.stages = {}
    count = printer.emit(f"sub i64 {stop}, {start}")
    for buffer, place in places.items():
        _copy(printer, buffer, place, count)


def _copy(printer: Any, buffer: int, begin: str, count: str) -> None:
    """Print the call that copies what lies on the stack to its place."""
    dtype = printer.kernel.buffers[buffer].dtype
    target = printer.emit(f"getelementptr inbounds {TYPES[dtype]}, ptr %b{buffer}, i64 {begin}")
    size = printer.emit(f"mul i64 {count}, {size_of(dtype)}")
    printer.line(f"call void @fg.stream(ptr {target}, ptr %stage{buffer}, i64 {size})")


def print_in_blocks(printer: Any, loop: Loop) -> None:
    """Print the loop of a kernel (by `llvm._Printer`) block by block, each of which is copied when it is done."""
    begin, end, before, kernel = "%begin", "%end", printer.block, printer.kernel
    start, stop = printer.operand(loop.start), printer.operand(loop.stop)
    guard = printer.emit(f"icmp slt i64 {start}, {stop}")
    printer.line(f"br i1 {guard}, label %blocks, label %written")
    printer.label("blocks")
    phi = len(printer.lines)
    next_block = printer.emit(f"add i64 {begin}, {BLOCK}")
    aligned = printer.emit(f"and i64 {next_block}, -16")  # whole lines from there on
    printer.line(f"{end} = call i64 @llvm.smin.i64(i64 {aligned}, i64 {stop})")
    count = printer.emit(f"sub i64 {end}, {begin}")
    printer.stages = {buffer: (f"%stage{buffer}", begin) for buffer in kernel.streamed}
    first, last = Value(-1, INDEX), Value(-2, INDEX)  # no kernel has such
    printer.names |= {first: begin, last: end}
    rotated(printer, loop._replace(start=first, stop=last))
    for buffer in printer.stages:
        _copy(printer, buffer, begin, count)
    more = printer.emit(f"icmp slt i64 {end}, {stop}")
    printer.line(f"br i1 {more}, label %blocks, label %written")
    printer.lines.insert(phi, f"  {begin} = phi i64 [{start}, %{before}], [{end}, %{printer.block}]")
    printer.label("written")
