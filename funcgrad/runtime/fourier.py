"""Which native steps transform lines of powers of two?  Those of `native.fourier`, along one axis after the other.

Other lengths, short lines, and CPUs without AVX2 stay with the NumPy reference.
"""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from funcgrad.compile import cpus
from funcgrad.compile.native import Step, fourier_address
from funcgrad.compile.native.fourier import ALL, FIRST, KERNELS, RADIX, Parameter, Plan
from funcgrad.compile.native.vectors import lanes
from funcgrad.dtypes import code
from funcgrad.ir.program import Equation, Var
from funcgrad.ir.types import ArrayType
from funcgrad.lower.calls import WRITERS, Call
from funcgrad.lower.schedule import KernelStep
from funcgrad.ops import complex as cx
from funcgrad.runtime.calls import ROUTINES, Slots

SHORTEST, LONGEST = 256, 1 << 24  # of a line; longer ones have roots of 32 MiB and more
LEAST = 16  # points of a column: two steps
TOGETHER = 1 << 14  # points of a line, both of whose parts stay in the second-level cache
PIECE = 1 << 14  # points that are worth handing to a thread
MOST_PIECES = 16
_libraries: dict[str, list[frozenset[str]]] = {}  # by dtype: what each of them has


class Part(NamedTuple):
    """A step: its kernel, how many blocks, lines or pieces of so many points, the matrix of a line, and bytes that a
    thread's share needs for itself.
    """

    kernel: str
    total: int
    points: int
    rows: int
    columns: int
    room: int = 0

    @property
    def chunk(self) -> int:
        """How many of them a thread takes at once."""
        return min(self.total, max(-(-PIECE // self.points), -(-self.total // MOST_PIECES)))


def start(steps: Sequence[object]) -> None:
    """Have the kernels compiled (or read) on another thread, while those of the program are."""
    wanted: dict[str, frozenset[str]] = {}
    for call in steps:
        if isinstance(call, Call) and call.equation.primitive.name == "fft" and len(call.inputs) > 1:
            dtype = _real(call.equation.outputs[0].type)
            wanted[dtype] = wanted.get(dtype, frozenset()) | _wanted(_parts(call.equation))
    for dtype, names in wanted.items():
        _start(dtype, _library(dtype, names))


@functools.cache
def _start(dtype: str, wanted: frozenset[str]) -> None:
    name = next(part for part in KERNELS if part in wanted)
    work = functools.partial(fourier_address, name, dtype, wanted)
    threading.Thread(target=work, name="funcgrad-fourier", daemon=True).start()


def _library(dtype: str, wanted: frozenset[str]) -> frozenset[str]:
    """What the library has that these are of: the first one no more than that, the second all."""
    known = _libraries.setdefault(dtype, [])
    if not any(names >= wanted for names in known):
        known.append(ALL if known else wanted)
    return next(names for names in known if names >= wanted)


def _wanted(parts: Sequence[Part]) -> frozenset[str]:
    """What these steps need of a library."""
    found: set[str] = set()
    for part in parts:
        if part.kernel != "halves":
            sizes = [part.rows] if part.kernel == "columns" else [part.rows, part.columns]
            found |= {part.kernel, *(f"first{_radix(size)}" for size in sizes)}
    return frozenset(found)


def _radix(size: int) -> int:
    """The radix of the first step of columns of so many points."""
    return FIRST[(size.bit_length() - 1) % 3]


def _real(kind: ArrayType) -> str:
    return code(cx.to_real(kind.dtype))


@functools.cache
def _wide(dtype: str) -> int:
    """How many columns this process's kernels, for whatever CPU they are asked later, transform at once; 0 for none."""
    return lanes(dtype) if {"+avx2", "+fma"} <= set(cpus.features()) else 0


# Steps ----------------------------------------------------------------------------------------------------------------


def fourier_steps(call: Call, slots: Slots) -> list[Step] | None:
    """Those of one transform: the last axis first, then others where the result lies."""
    (x, *extra), (out,) = call.inputs, call.equation.outputs
    if not extra or not isinstance(x, Var):
        return None
    kind, dtype = call.equation.params["kind"], _real(out.type)
    room, scratch, half = (slots[v] for v in extra if isinstance(v, Var))
    words = {Parameter.SLOT_ROOM: room, Parameter.SLOT_SCRATCH: scratch, Parameter.INVERSE: int(kind[0] == "i")}
    steps, place, parts = [], slots[x], _parts(call.equation)
    wanted = _wanted(parts)
    for part in parts:
        size = part.rows if part.kernel == "columns" else part.rows * part.columns
        target = half if kind == ("irfftn" if part.kernel == "halves" else "rfftn") else slots[out]
        words |= {Parameter.SLOT_X: place, Parameter.SLOT_OUT: target}
        words |= {Parameter.ROWS: part.rows, Parameter.COLUMNS: part.columns}
        words |= {Parameter.CHUNK: part.chunk, Parameter.PIECE: part.room}
        words[Parameter.SCALE] = _bits(1 / size if words[Parameter.INVERSE] else 1.0, dtype)
        words |= {which: table.ctypes.data for which, table in _tables(part, dtype).items()}
        steps.append(
            Step(
                fourier_address(part.kernel, dtype, wanted),
                [words.get(p, 0) for p in Parameter],
                part.total,
                part.chunk % part.total,
            )
        )
        place = place if part.kernel == "ahead" else target
    return steps


def _tables(part: Part, dtype: str) -> dict[Parameter, np.ndarray]:
    """What a step reads besides operands."""
    if part.kernel == "halves":
        coarse, fine = _half_roots(part.rows, dtype)
        return {Parameter.COARSE: coarse, Parameter.FINE: fine}
    found = {Parameter.ROW_PLAN: _plan(part.rows, dtype)[-1]}
    if part.kernel != "columns":
        coarse, fine = _between(part.rows, part.columns, dtype)
        found |= {Parameter.COLUMN_PLAN: _plan(part.columns, dtype)[-1], Parameter.COARSE: coarse, Parameter.FINE: fine}
    return found


def _bits(number: float, dtype: str) -> int:
    """What a word holds whose first bytes are a number."""
    return int.from_bytes(np.array(number, dtype).tobytes(), "little")


def _parts(equation: Equation) -> list[Part]:
    """The steps of a transform; none where some axis has no kernels."""
    (out,), params = equation.outputs, equation.params
    kind, axes, half = params["kind"], params["axes"], params["length"] // 2
    if kind in ("fftn", "ifftn"):
        return _along(out.type, axes)
    shape = out.type.shape
    whole = _along(ArrayType((*shape[:-1], half), cx.to_complex(cx.to_real(out.type.dtype))), axes)
    if not whole or params["length"] % 2 or axes != (len(shape) - 1,):
        return []
    pieces = max(1, half // PIECE)
    apart = Part("halves", math.prod(shape[:-1]) * pieces, half // pieces, half, pieces)
    return [*whole, apart] if kind == "rfftn" else [apart, *whole]


def _along(kind: ArrayType, axes: Sequence[int]) -> list[Part]:
    """Those of complex numbers along these axes."""
    wide, parts = _wide(_real(kind)), list[Part]()
    if not wide or not kind.size:
        return []
    for axis in sorted(axes, reverse=True):
        size, inner = kind.shape[axis], math.prod(kind.shape[axis + 1 :])
        least, most = (SHORTEST, LONGEST) if inner == 1 else (LEAST, LONGEST >> 4)
        if size & (size - 1) or not least <= size <= most or (inner > 1 and inner % wide):
            return []
        outer, point = kind.size // (size * inner), kind.dtype.itemsize * wide
        rows = 1 << (size.bit_length() - 1) // 2
        columns = size // rows
        if inner > 1:
            parts.append(Part("columns", outer * (inner // wide), size * wide, size, inner, size * point))
        elif size <= TOGETHER or outer >= MOST_PIECES:
            parts.append(Part("lines", outer, size, rows, columns, kind.dtype.itemsize * size + columns * point))
        else:
            parts.append(Part("ahead", outer * (columns // wide), rows * wide, rows, columns))
            parts.append(Part("across", outer * (rows // wide), columns * wide, rows, columns, columns * point))
    return parts


def _with_room(call: Call) -> Sequence[KernelStep | Call] | None:
    """The call with memory for pieces, for all lines between two parts, and for real ones as complex numbers."""
    (out,) = call.equation.outputs
    parts = _parts(call.equation)
    if not parts:
        return None
    real = cx.to_real(out.type.dtype)
    room = max(-(-part.total // part.chunk) * part.room for part in parts) // real.itemsize
    between = 2 * sum(part.total * part.points for part in parts if part.kernel == "ahead")
    half = 2 * sum(part.total * part.points for part in parts if part.kernel == "halves")
    extra = [Var(ArrayType((size,), real)) for size in (room, between, half)]
    equation = call.equation.replace(inputs=(*call.equation.inputs, *extra))
    return [Call(equation, (*call.inputs, *extra), call.status)]


# Numbers that kernels read --------------------------------------------------------------------------------------------


@functools.cache
def _plan(size: int, dtype: str) -> tuple[np.ndarray, ...]:
    """How columns of so many points are transformed: what `Plan` names, and last the words that hold it."""
    radix = _radix(size)
    order, factors, distance = np.arange(radix), [], radix
    while distance < size:
        order = (np.arange(RADIX)[:, None] + RADIX * order).ravel()
        powers = np.arange(distance)[:, None] * np.arange(1, RADIX)
        distance *= RADIX
        factors.append(_roots(distance, distance, dtype)[powers])
    inner = np.concatenate([f.ravel() for f in factors[:-1]] or [factors[-1].ravel()])
    arrays = order.astype(np.int32), np.argsort(order).astype(np.int32), inner, factors[-1].copy()
    words = dict(zip((Plan.ORDER, Plan.PLACES, Plan.FACTORS, Plan.LAST), (a.ctypes.data for a in arrays), strict=True))
    words[Plan.FIRST] = radix
    return (*arrays, np.array([words[p] for p in Plan], np.int64))


@functools.cache
def _between(rows: int, columns: int, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Roots by which number (row, column) is multiplied between both parts, as products: those of the first row of
    as many as a vector has, and those of rows counted from there, which are the same for all.
    """
    wide, size = _wide(dtype), rows * columns
    numbers = np.arange(columns)
    coarse = np.take(_roots(size // wide, size // wide, dtype), np.arange(rows // wide)[:, None] * numbers)
    fine = _roots(size, columns * wide, dtype)[numbers[:, None] * np.arange(wide)]
    return coarse, np.stack([fine.real, fine.imag], 1)


@functools.cache
def _half_roots(size: int, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """What differences of a half spectrum of so many numbers are multiplied by, as `_between` has them: where vectors
    begin, less one, and in the first of them.
    """
    wide = _wide(dtype)
    places = np.arange(0, size, wide)
    places[-1] -= 1
    coarse = _roots(2 * size, size, dtype)[places]
    fine = -1j * _roots(2 * size, wide + 1, dtype)[1:]
    return coarse, np.stack([fine.real, fine.imag]).astype(dtype)


def _roots(n: int, count: int, dtype: str) -> np.ndarray:
    """The first `count` of the n-th roots of one, exp(-2 pi i k / n): a multiple of 8 of them, or few.

    An eighth of the circle is computed, in extended precision where there is one: all else are its reflections, so
    that angles are small.
    """
    whole = count > n // 8
    angles = np.arange(n // 8 + 1 if whole else count, dtype=np.longdouble) * (8 * np.arctan(np.longdouble(1)) / n)
    c, s = np.cos(angles).astype(dtype), np.sin(angles).astype(dtype)
    if whole:
        c, s = np.concatenate([c, s[-2:0:-1]]), np.concatenate([s, c[-2:0:-1]])
    quarters = np.empty((4 if whole else 1, c.size), cx.to_complex(np.dtype(dtype)))
    for quarter, (real, imaginary) in zip(quarters, ((c, -s), (-s, -c), (-c, s), (s, c)), strict=False):
        quarter.real, quarter.imag = real, imaginary
    return quarters.ravel()[:count]


WRITERS["fft"] = _with_room
ROUTINES["fft"] = fourier_steps
