"""How is a convolution computed?  By kernels that read what windows see, bit by bit, from operands as they lie.

Operands are read through transposes, slices and reversals; a result that only a transpose reads is written in that
one's order. A gradient by the kernel has few places and a large window: its roles are exchanged (`Geometry.backward`).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import NamedTuple

from funcgrad.dtypes import code
from funcgrad.ir.program import Atom, Equation, Var
from funcgrad.ir.types import ArrayType
from funcgrad.lower.calls import Call
from funcgrad.lower.fusion import HANDLERS, Fusion
from funcgrad.lower.geometry import PANEL, Geometry, Lie
from funcgrad.lower.graph import Graph, Stored
from funcgrad.lower.index import Shape, Strided, contiguous_strides, is_view, squeezed
from funcgrad.lower.products import as_strided
from funcgrad.lower.taps import LEAST, MOST_PIECES, SUMS, Taps, taps_of

SPACE = 3  # axes that kernels know


class Part(NamedTuple):
    """A convolution that one run of kernels computes: in pieces of `chunk` bands of `rows` rows each, or by taps."""

    geometry: Geometry
    w: Lie
    out: Lie
    rows: int
    bands: int
    pieces: int
    chunk: int
    taps: Taps | None


@dataclass(frozen=True, slots=True)
class Convolution(Call):
    """A convolution on buffers as they lie, with room for what windows see, and for panels or sums of pieces."""

    lies: tuple[Lie, Lie, Lie]
    parts: tuple[Part, ...]
    scratch: tuple[Var, Var]

    @property
    def buffers(self) -> tuple[Var, ...]:
        """The buffers that the step reads and writes."""
        return (*(lie.var for lie in self.lies), *self.scratch)

    @property
    def flops(self) -> int:
        """Additions and multiplications."""
        return sum(2 * part.geometry.groups * part.geometry.work for part in self.parts)


def _geometry(equation: Equation) -> Geometry:
    x, w = (a.type.shape for a in equation.inputs)
    out = equation.outputs[0].type.shape
    p = equation.params
    backward = math.prod(w[1:-2]) > math.prod(out[2:-1])
    steps, holes = p["window_strides"], p["rhs_dilation"]
    places, window = out[2:-1], w[1:-2]
    batch, features = x[1], x[-1]
    if backward:
        steps, holes, places, window, batch, features = holes, steps, window, places, features, batch
    lows = tuple(low for low, _ in p["padding"])
    return Geometry(
        backward,
        x[0],
        batch,
        features,
        w[-1],
        _in_space(x[2:-1]),
        _in_space(places),
        _in_space(window),
        _in_space(steps),
        _in_space(holes),
        _in_space(p["lhs_dilation"]),
        _in_space(lows, 0),
    )


def _in_space(values: Shape, absent: int = 1) -> tuple[int, int, int]:
    """Depth, height, width; a line has height only, so that it can be cut into bands."""
    if len(values) == 1:
        return absent, values[0], absent
    return (*(absent,) * (SPACE - len(values)), *values)  # type: ignore[return-value]


def _lie(var: Var, view: Strided, front: int) -> Lie:
    """`front`: how many axes stand before space."""
    behind = 3 - front
    space = view.strides[front : len(view.strides) - behind]
    ends = (*view.strides[:front], *view.strides[len(view.strides) - behind :])
    return Lie(var, view.offset, ends, _in_space(space, 0))  # type: ignore[arg-type]


def convolution(fusion: Fusion, equation: Equation) -> None:
    """A convolution by kernels of its own, or as a whole by its reference."""
    x, w = equation.inputs
    out = equation.outputs[0]
    kind = out.type.dtype
    empty = 0 in (*x.type.shape, *w.type.shape, out.type.size)
    if code(kind) not in ("f4", "f8") or out.type.ndim - 3 > SPACE or empty:
        fusion.call(equation)
        return
    whole = _geometry(equation)
    left, right = _lie(*_view(fusion, x), front=2), _lie(*_view(fusion, w), front=1)
    var, view = _result(fusion.graph, out)
    lies = left, right, _lie(var, view, front=2)
    parts = tuple(_part(geometry, left, *others) for geometry, *others in _phases(whole, *lies[1:]))
    rooms = [_rooms(part, kind.itemsize) for part in parts]
    scratch = tuple(Var(ArrayType((max(sizes),), kind)) for sizes in zip(*rooms, strict=True))
    variables = left.var, right.var
    step = Convolution(equation, variables, fusion.code_of(equation), lies, parts, scratch)  # type: ignore[arg-type]
    fusion.checked.add(equation)
    fusion.graph.stored[var] = Stored(var, len(fusion.steps))
    fusion.steps.append(step)


def _part(geometry: Geometry, x: Lie, w: Lie, out: Lie) -> Part:
    itemsize = out.var.type.dtype.itemsize
    rows = geometry.rows(itemsize)
    bands = -(-geometry.places[1] // rows)
    pieces, chunk = _pieces(geometry, geometry.groups * geometry.batch * geometry.places[0] * bands, itemsize)
    return Part(geometry, w, out, rows, bands, pieces, chunk, taps_of(geometry, x, w, out))


def _phases(whole: Geometry, w: Lie, out: Lie) -> list[tuple[Geometry, Lie, Lie]]:
    """An operand with holes meets, at every so-manieth place, only every so-manieth element of the window.

    With y[p] = sum over k of x[q] w[k] where p + k - low = l q: at p = l t + a only k = k0 + l j counts,
    k0 = (low - a) mod l, and q = t + j - (low - a - k0) / l. So each phase a is a convolution without holes.
    """
    opens = whole.opens
    if whole.backward or opens == (1, 1, 1) or {*whole.steps, *whole.holes} != {1}:
        return [(whole, w, out)]
    found = []
    for phase in itertools.product(*map(range, opens)):
        axes = list(zip(phase, opens, whole.lows, whole.window, whole.places, strict=True))
        first = [(low - a) % opening for a, opening, low, _, _ in axes]
        places = tuple(-(-(n - a) // opening) for a, opening, _, _, n in axes)
        if min(places) <= 0:
            continue
        geometry = whole._replace(
            window=tuple(max(-(-(k - k0) // step), 0) for k0, (_, step, _, k, _) in zip(first, axes, strict=True)),
            places=places,
            opens=(1, 1, 1),
            lows=tuple((low - a - k0) // step for k0, (a, step, low, _, _) in zip(first, axes, strict=True)),
        )
        found.append((geometry, w.every(opens, first), out.every(opens, phase)))
    return found


def _view(fusion: Fusion, atom: Atom) -> tuple[Var, Strided]:
    """The buffer of an operand, and how it lies there: what it is a view of is stored, not the view."""
    graph, base = fusion.graph, atom
    while isinstance(base, Var) and base not in graph.stored and is_view(graph.producers[base]):
        base = graph.producers[base].inputs[0]
    fusion.ensure(base)
    found = as_strided(atom, graph, len(fusion.steps))
    if found is None:
        fusion.ensure(atom)
        found = as_strided(atom, graph, len(fusion.steps))
    assert found is not None
    return found


def _result(graph: Graph, out: Var) -> tuple[Var, Strided]:
    """Where the result is written, through the transposes and changed axes of extent 1 that alone read it."""
    var, order = out, list(range(out.type.ndim))  # order: of each axis of var, which one of out it is (-1: none)
    while (user := graph.only_user(var)) is not None:
        if user.primitive.name == "transpose":
            order = [order[k] for k in user.params["permutation"]]
        elif user.primitive.name == "reshape" and squeezed(var.type.shape) == squeezed(user.params["shape"]):
            wide = iter([k for k, n in zip(order, var.type.shape, strict=True) if n != 1])
            order = [-1 if n == 1 else next(wide) for n in user.params["shape"]]
        else:
            break
        var = user.outputs[0]
    strides = [0] * out.type.ndim
    for k, stride in zip(order, contiguous_strides(var.type.shape), strict=True):
        if k >= 0:
            strides[k] = stride
    return var, Strided(0, out.type.shape, tuple(strides))


def _pieces(geometry: Geometry, total: int, itemsize: int) -> tuple[int, int]:
    """How many pieces there are (as sizes say, never as threads do), and of how many bands.

    What is added up is that of one group.
    """
    if geometry.backward and geometry.groups > 1:
        return geometry.groups, total // geometry.groups
    most = min(total, MOST_PIECES, max(1, int(geometry.groups * geometry.work / LEAST)))
    if geometry.backward:
        most = min(most, max(2, SUMS // (parts_size(geometry, itemsize) * itemsize)))
    chunk = -(-total // most)
    return -(-total // chunk), chunk


def band_size(geometry: Geometry, rows: int, itemsize: int) -> int:
    """The elements of a piece's scratch: what a band sees, and offsets or one panel of its places."""
    seen = geometry.window[0] * geometry.seen_rows(rows) * geometry.seen_width * geometry.features
    places = rows * geometry.places[2]
    return -(-(seen + places * (PANEL // itemsize if geometry.backward else 8 // itemsize)) // 16) * 16


def parts_size(geometry: Geometry, itemsize: int) -> int:
    """The elements of the panels of one group, however wide a vector is."""
    return math.prod(geometry.window) * geometry.features * (geometry.outs + PANEL // itemsize)


def _rooms(part: Part, itemsize: int) -> tuple[int, int]:
    """The elements of the scratch buffers: for bands, and for panels or sums; whichever way the CPU makes better."""
    geometry = part.geometry
    copies = part.pieces if geometry.backward else geometry.groups
    sizes = band_size(geometry, part.rows, itemsize) * part.pieces, parts_size(geometry, itemsize) * copies
    if part.taps is None:
        return sizes
    return max(sizes[0], part.taps.room_size * part.taps.pieces), max(sizes[1], part.taps.sums)


HANDLERS["conv_general_dilated"] = convolution
