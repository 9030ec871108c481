"""How does a program turn a matrix?  A kernel that moves square blocks through vector registers.

Reading rows and writing columns element by element uses a cache line for each element, and rows whose distance is a
power of two fall into one set of the cache. So blocks are loaded as rows, transposed in registers, and stored as rows
(Eklundh 1972); a panel is 64 rows of the result, that fit the first-level cache two blocks at a time.

The integers of ``fg_transpose_<bytes>`` are those of `Parameter`: a batch (two axes, extents and strides in elements)
of matrices; the result is M x N with rows `OUT_STRIDE` apart, of which column n lies in x at ``n * X_STRIDE``. Its
range is that of panels.
"""

from __future__ import annotations

import ctypes
import functools
from enum import IntEnum

from funcgrad.compile.compiler import native_library
from funcgrad.compile.native.text import Function, Module, Value
from funcgrad.compile.passes import Effort

Parameter = IntEnum("Parameter", "SLOT_X SLOT_OUT M N X_STRIDE OUT_STRIDE PANELS E0 X0 O0 E1 X1 O1", start=0)

PANEL = 64
LANES = {1: 8, 2: 8, 4: 8, 8: 4}
"""Bytes of an element: how many rows and columns a block has."""


@functools.cache
def transpose_address(size: int) -> int:
    """The address of the kernel for elements of `size` bytes."""
    module = Module(Effort.REGISTERS)
    define(module, size)
    library = native_library(f"transpose_{size}", str(module))
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(library))
    return library.address(f"fg_transpose_{size}")


def define(module: Module, size: int) -> None:
    """Define the kernel."""
    with module.function(f"fg_transpose_{size}", "void", bufs="ptr", ints="ptr", first="i64", last="i64") as f:
        words = {p: f.load(f.ints, 8 * p) for p in Parameter}
        x = f.load(f.bufs, words[Parameter.SLOT_X] * 8, "ptr")
        out = f.load(f.bufs, words[Parameter.SLOT_OUT] * 8, "ptr")
        with f.range(f.last - f.first) as step:
            number = f.first + step
            matrix = number // words[Parameter.PANELS]
            row = (number - matrix * words[Parameter.PANELS]) * PANEL
            e0 = matrix // words[Parameter.E1]
            e1 = matrix - e0 * words[Parameter.E1]
            source = e0 * words[Parameter.X0] + e1 * words[Parameter.X1] + row
            target = e0 * words[Parameter.O0] + e1 * words[Parameter.O1] + row * words[Parameter.OUT_STRIDE]
            left = words[Parameter.M] - row
            rows = f.select(left < PANEL, left, f.constant("i64", PANEL))
            strides = words[Parameter.X_STRIDE] * size, words[Parameter.OUT_STRIDE] * size
            panel(f, size, x + source * size, out + target * size, rows, words[Parameter.N], strides)
        f.ret()


def panel(
    f: Function, size: int, x: Value, out: Value, rows: Value, columns: Value, strides: tuple[Value, Value]
) -> None:
    """Up to `PANEL` rows of the result: whole blocks, then single elements of what is left."""
    lanes = LANES[size]
    whole_rows, whole_columns = rows & -lanes, columns & -lanes
    x_stride, out_stride = strides
    with f.range((whole_columns + 2 * lanes - 1) // (2 * lanes)) as pair:
        start = pair * (2 * lanes)
        room = whole_columns - start
        count = f.select(room < 2 * lanes, room, f.constant("i64", 2 * lanes)) // lanes
        with f.range(whole_rows // lanes) as down, f.range(count) as along:
            row, column = down * lanes, start + along * lanes
            block(f, size, x + column * x_stride + row * size, out + row * out_stride + column * size, strides, lanes)

    def single(row: Value, column: Value) -> None:
        kind = f"i{8 * size}"
        value = f.emit(kind, f"load {kind}, {x + column * x_stride + row * size}, align {size}")
        f.emit("void", f"store {value}, {out + row * out_stride + column * size}, align {size}")

    with f.range(rows - whole_rows) as more, f.range(columns) as column:
        single(whole_rows + more, column)
    with f.range(whole_rows) as row, f.range(columns - whole_columns) as more:
        single(row, whole_columns + more)


def block(f: Function, size: int, x: Value, out: Value, strides: tuple[Value, Value], lanes: int) -> None:
    """A square block of `lanes` rows, `strides` bytes apart in x and in `out`: rows exchange halves with rows `half`
    below, for halves of 1, 2, 4, ... elements.
    """
    kind = f"<{lanes} x i{8 * size}>"
    rows = [f.emit(kind, f"load {kind}, {x + strides[0] * k}, align {size}") for k in range(lanes)]
    half = 1
    while half < lanes:
        upper = [k if not k & half else k - half + lanes for k in range(lanes)]
        lower = [k + half if not k & half else k + lanes for k in range(lanes)]
        for k in range(lanes):
            if not k & half:
                pair = rows[k], rows[k + half]
                rows[k], rows[k + half] = (_shuffled(f, kind, pair, mask) for mask in (upper, lower))
        half *= 2
    for k, row in enumerate(rows):
        f.emit("void", f"store {row}, {out + strides[1] * k}, align {size}")


def _shuffled(f: Function, kind: str, pair: tuple[Value, Value], mask: list[int]) -> Value:
    elements = ", ".join(f"i32 {k}" for k in mask)
    return f.emit(kind, f"shufflevector {pair[0]}, {pair[1]}, <{len(mask)} x i32> <{elements}>")
