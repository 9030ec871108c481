"""How does a program become one native function?  As LLVM IR that lays the buffers out and calls the kernels in order.

The function keeps nothing between calls and takes no lock of Python's: the table of buffers, the status word and small
temporaries lie on the stack, large temporaries in memory of the call's own. `Form` says which shape it has for C.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad.compile.compiler import native_library
from funcgrad.compile.engine import Library
from funcgrad.compile.native.descriptor import ALIGNMENT, Step, as_words
from funcgrad.compile.native.loops import COUNT_BITS

STACK_BYTES = 1 << 15  # of temporaries: more lie in memory of the call's own
STRAIGHT = 64  # steps: more are a table that the driver walks through
OUT_OF_MEMORY = -1

VALUES = {
    **{f"{sign}{size}": f"i{8 * size}" for sign in "iu" for size in (1, 2, 4, 8)},
    "b1": "i8",
    "f4": "float",
    "f8": "double",
}
"""What is handed over by value, if it is a scalar: codes of dtypes, and LLVM's types of them."""


class Form(enum.Enum):
    """The shape of a native function; see `funcgrad.cfunc`."""

    STATUS = "status"
    VALUE = "value"
    VECTOR = "vector"
    FILTER = "filter"
    DENSITY = "density"


class Argument(NamedTuple):
    """A parameter: its slot, LLVM's type of it (``"ptr"``, or that of a scalar that comes by value), its elements."""

    slot: int
    type: str
    size: int


class Layout(NamedTuple):
    """A program that needs no Python while it runs.

    Attributes
    ----------
    arguments, results
        In order; results are pointers.
    template
        Per slot an array (a constant), an int (a temporary's place in the arena), or None.
    steps, arena_bytes
        As `describe` takes them.
    parallel
        Whether threads share any step.
    keep
        What must live as long as the function.
    """

    arguments: tuple[Argument, ...]
    results: tuple[Argument, ...]
    template: Sequence[np.ndarray | int | None]
    steps: Sequence[Step]
    arena_bytes: int
    parallel: bool
    keep: tuple[Any, ...]


def link(layout: Layout, form: Form, symbols: dict[str, int]) -> tuple[Library, tuple[Any, ...]]:
    """The function ``fg_call`` in memory, and what must live as long as it.

    `symbols` are the addresses of the runtime's ``fg_share``, ``fg_run``, ``fg_alloc`` and ``fg_free``.
    """
    words, starts = integers_of(layout.steps)
    integers = as_words(words)
    kernels = {address: f"kernel_{k}" for k, address in enumerate(dict.fromkeys(s.kernel for s in layout.steps))}
    known = dict(symbols) | {name: address for address, name in kernels.items()}
    known["integers"] = integers.ctypes.data
    known |= {f"constant_{k}": x.ctypes.data for k, x in enumerate(layout.template) if isinstance(x, np.ndarray)}
    steps: np.ndarray | None = None
    if len(layout.steps) > STRAIGHT:
        rows = zip(layout.steps, starts, strict=True)
        steps = np.array([[s.kernel, known["integers"] + 8 * k, s.total, s.chunk] for s, k in rows], np.int64)
        known["steps"] = steps.ctypes.data
    text = "\n".join([*core(layout, kernels, starts), *_FORMS[form](layout), *declarations(known)])
    library = native_library("a native function", text, known)
    constants = [x for x in layout.template if isinstance(x, np.ndarray)]
    return library, (*layout.keep, integers, steps, constants)


def integers_of(steps: Sequence[Step]) -> tuple[list[int], list[int]]:
    """The integers of all steps, and where each one's begin."""
    words: list[int] = []
    starts = []
    for step in steps:
        starts.append(len(words))
        words += step.ints
    return [*words, 0], starts


def declarations(known: Iterable[str]) -> Iterator[str]:
    """What the text of a function refers to."""
    routines = {
        "fg_share": "void @fg_share(ptr, ptr, i64, i64, ptr)",
        "fg_run": "i64 @fg_run(ptr, i64, ptr)",
        "fg_alloc": "ptr @fg_alloc(i64)",
        "fg_free": "void @fg_free(ptr)",
    }
    for name in known:
        if name in routines:
            yield f"declare {routines[name]} nounwind"
        elif name.startswith("kernel_"):
            yield f"declare void @{name}(ptr, ptr, i64, i64) nounwind"
        else:
            yield f"@{name} = external global i8"


def core(layout: Layout, kernels: Mapping[int, str], starts: Sequence[int]) -> Iterator[str]:
    """``fg_core(arguments, results)``: the status."""
    parameters = [f"{a.type} %a{k}" for k, a in enumerate(layout.arguments)]
    parameters += [f"ptr %r{k}" for k in range(len(layout.results))]
    yield f"define internal i64 @fg_core({', '.join(parameters)}) alwaysinline nounwind {{"
    yield f"  %bufs = alloca [{len(layout.template)} x ptr], align {ALIGNMENT}"
    yield "  %status = alloca i64, align 8"
    yield from (f"  %p{k} = alloca {a.type}, align 16" for k, a in enumerate(layout.arguments) if a.type != "ptr")
    heap = layout.arena_bytes > STACK_BYTES
    if heap:
        yield f"  %arena = call ptr @fg_alloc(i64 {layout.arena_bytes})"
        yield "  %none = icmp eq ptr %arena, null"
        yield "  br i1 %none, label %full, label %begin"
        yield "full:"
        yield f"  ret i64 {OUT_OF_MEMORY}"
        yield "begin:"
    else:
        yield f"  %arena = alloca [{max(layout.arena_bytes, 1)} x i8], align {ALIGNMENT}"
    yield "  store i64 0, ptr %status"
    yield from _places(layout)
    yield from _calls(layout, kernels, starts)
    yield "  br label %end"
    yield "end:"
    yield "  %code = load i64, ptr %status"
    if heap:
        yield "  call void @fg_free(ptr %arena)"
    yield "  ret i64 %code"
    yield "}"


def _places(layout: Layout) -> Iterator[str]:
    """Fill the table of buffers."""
    places = {0: "%status"}
    for k, a in enumerate(layout.arguments):
        if a.type != "ptr":
            yield f"  store {a.type} %a{k}, ptr %p{k}"
        places[a.slot] = f"%a{k}" if a.type == "ptr" else f"%p{k}"
    places |= {r.slot: f"%r{k}" for k, r in enumerate(layout.results)}
    for k, x in enumerate(layout.template):
        if isinstance(x, np.ndarray):
            places[k] = f"@constant_{k}"
        elif x is not None:
            yield f"  %t{k} = getelementptr i8, ptr %arena, i64 {x}"
            places[k] = f"%t{k}"
    for k, place in places.items():
        yield f"  %s{k} = getelementptr ptr, ptr %bufs, i64 {k}"
        yield f"  store ptr {place}, ptr %s{k}"


def _calls(layout: Layout, kernels: Mapping[int, str], starts: Sequence[int]) -> Iterator[str]:
    """Run the steps; leave after the first that fails."""
    if len(layout.steps) > STRAIGHT:
        yield f"  %ran = call i64 @fg_run(ptr @steps, i64 {len(layout.steps)}, ptr %bufs)"
        return
    for k, (step, start) in enumerate(zip(layout.steps, starts, strict=True)):
        yield f"  %i{k} = getelementptr i64, ptr @integers, i64 {start}"
        name = kernels[step.kernel]
        if step.is_shared:
            given = f"ptr @{name}, ptr %i{k}, i64 {step.total}, i64 {step.chunk}, ptr %bufs"
            yield f"  call void @fg_share({given})"
        else:
            yield f"  call void @{name}(ptr %bufs, ptr %i{k}, i64 0, i64 {step.total})"
        if k + 1 < len(layout.steps):
            yield f"  %f{k} = load i64, ptr %status"
            yield f"  %g{k} = icmp eq i64 %f{k}, 0"
            yield f"  br i1 %g{k}, label %next{k}, label %end"
            yield f"next{k}:"


# The forms ------------------------------------------------------------------------------------------------------------


def _given(layout: Layout, results: Sequence[str]) -> str:
    given = [f"{a.type} %a{k}" for k, a in enumerate(layout.arguments)]
    return ", ".join([*given, *(f"ptr {r}" for r in results)])


def status_form(layout: Layout) -> Iterator[str]:
    """The function of the form ``"status"``."""
    given = _given(layout, [f"%r{k}" for k in range(len(layout.results))])
    yield f"define i64 @fg_call({given}) nounwind {{"
    yield f"  %code = call i64 @fg_core({given})"
    yield "  ret i64 %code"
    yield "}"


def _answer(result: str, call: str, refused: str = "") -> Iterator[str]:
    """Call the core and return the value of `result`; NaN (of integers: 0) for a failure, or where `refused` holds."""
    nan = {"double": "0x7FF8000000000000", "float": "0x7FF8000000000000"}.get(result, "0")
    if refused:
        yield f"  br i1 {refused}, label %refuse, label %go"
        yield "refuse:"
        yield f"  ret {result} {nan}"
        yield "go:"
    yield f"  %code = call i64 @fg_core({call})"
    yield "  %good = icmp eq i64 %code, 0"
    yield f"  %value = load {result}, ptr %out"
    yield f"  %answer = select i1 %good, {result} %value, {result} {nan}"
    yield f"  ret {result} %answer"
    yield "}"


def _value(layout: Layout) -> Iterator[str]:
    (result,) = layout.results
    given = ", ".join(f"{a.type} %a{k}" for k, a in enumerate(layout.arguments))
    yield f"define {result.type} @fg_call({given}) nounwind {{"
    yield f"  %out = alloca {result.type}, align 8"
    yield from _answer(result.type, _given(layout, ["%out"]))


def _vector(layout: Layout) -> Iterator[str]:
    (result,) = layout.results
    whole = len(layout.arguments) == 1 and layout.arguments[0].type == "ptr"
    count = layout.arguments[0].size if whole else len(layout.arguments)
    yield f"define {result.type} @fg_call(i32 %n, ptr %x) nounwind {{"
    yield f"  %out = alloca {result.type}, align 8"
    yield f"  %wrong = icmp ne i32 %n, {count}"
    if whole:
        yield from _answer(result.type, "ptr %x, ptr %out", "%wrong")
        return
    yield "  br i1 %wrong, label %no, label %yes"
    yield "no:"
    yield f"  ret {result.type} 0x7FF8000000000000"
    yield "yes:"
    for k in range(count):
        yield f"  %x{k} = getelementptr double, ptr %x, i64 {k}"
        yield f"  %a{k} = load double, ptr %x{k}"
    yield from _answer(result.type, _given(layout, ["%out"]))


def _filter(layout: Layout) -> Iterator[str]:
    yield "define i32 @fg_call(ptr %x, i64 %n, ptr %out, ptr %user) nounwind {"
    yield f"  %right = icmp eq i64 %n, {layout.arguments[0].size}"
    yield "  br i1 %right, label %go, label %refuse"
    yield "refuse:"
    yield "  ret i32 0"
    yield "go:"
    yield "  %code = call i64 @fg_core(ptr %x, ptr %out)"
    yield "  %good = icmp eq i64 %code, 0"
    yield "  %answer = zext i1 %good to i32"
    yield "  ret i32 %answer"
    yield "}"


def _density(layout: Layout) -> Iterator[str]:
    yield "define i32 @fg_call(i64 %n, ptr %x, ptr %grad, ptr %logp, ptr %user) nounwind {"
    yield f"  %right = icmp eq i64 %n, {layout.arguments[0].size}"
    yield "  br i1 %right, label %go, label %refuse"
    yield "refuse:"
    yield f"  ret i32 {WRONG_SIZE}"
    yield "go:"
    yield "  %code = call i64 @fg_core(ptr %x, ptr %logp, ptr %grad)"
    yield f"  %low = and i64 %code, {(1 << COUNT_BITS) - 1}"  # above it a status may have a count
    yield "  %mine = icmp slt i64 %code, 0"
    yield "  %word = select i1 %mine, i64 %code, i64 %low"
    yield "  %answer = trunc i64 %word to i32"
    yield "  ret i32 %answer"
    yield "}"


WRONG_SIZE = -2

_FORMS = {
    Form.STATUS: status_form,
    Form.VALUE: _value,
    Form.VECTOR: _vector,
    Form.FILTER: _filter,
    Form.DENSITY: _density,
}
