"""Which native steps make a convolution?  Panels of the kernel, then bands of the result; or sums of pieces."""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence
from typing import NamedTuple

from funcgrad import forks
from funcgrad.compile import cpus
from funcgrad.compile.compiler import native_library
from funcgrad.compile.engine import Library
from funcgrad.compile.native import Step, taps_backward, taps_forward
from funcgrad.compile.native.convolution import Parameter, define, panel, widths
from funcgrad.compile.native.taps import HEIGHTS
from funcgrad.compile.native.taps import Parameter as TapsParameter
from funcgrad.compile.native.text import Module
from funcgrad.compile.native.vectors import tiles
from funcgrad.compile.passes import Effort
from funcgrad.dtypes import code
from funcgrad.lower.calls import Call
from funcgrad.lower.convolution import Convolution, Part, band_size, parts_size
from funcgrad.lower.taps import heights_of
from funcgrad.runtime.calls import ROUTINES, Slots

_locks = {(backward, by_taps): forks.held(threading.Lock()) for backward in (False, True) for by_taps in (False, True)}


class Kind(NamedTuple):
    """Which kernels: whether a gradient's by the kernel, whether they go tap by tap, and how wide tiles are else; how
    many rows tiles have; and, tap by tap, whether a result's turn weights, or a gradient's are added up.
    """

    dtype: str
    backward: bool
    by_taps: bool
    widths: tuple[int, ...]
    heights: tuple[int, ...]
    also: bool = False

    def has(self, other: Kind) -> bool:
        """Whether these do what others would."""
        same = self._replace(heights=other.heights, also=other.also) == other
        return same and {*self.heights} >= {*other.heights} and self.also >= other.also

    def __or__(self, other: Kind) -> Kind:
        heights = sorted({*self.heights, *other.heights}, reverse=True)
        return self._replace(heights=tuple(heights), also=self.also or other.also)


_begun: list[Kind] = []


def convolution_steps(call: Call, slots: Slots) -> list[Step] | None:
    """The native steps of a convolution."""
    if not isinstance(call, Convolution):
        return None
    return [step for part in call.parts for step in _part_steps(call, part, slots)]


def _kind(part: Part) -> Kind:
    dtype = code(part.out.var.type.dtype)
    g = part.geometry
    if part.taps is None or "+avx512f" not in cpus.features():
        rest = g.places[1] - (part.bands - 1) * part.rows
        lengths = [g.length] if g.backward else [lines * g.places[2] for lines in (part.rows, rest)]
        return Kind(dtype, g.backward, False, widths(dtype, g.outs), heights_of(lengths, tiles()))
    also = part.taps.adds if g.backward else part.w.ends[2] != 1
    return Kind(dtype, g.backward, True, (), part.taps.heights, also)


def _part_steps(call: Convolution, part: Part, slots: Slots) -> list[Step]:
    if _kind(part).by_taps:
        return _tap_steps(call, part, slots)
    kind = part.out.var.type.dtype
    dtype, g = code(kind), part.geometry
    values = _values(call, part, slots, panel(dtype), kind.itemsize)
    segments = g.segments(part.rows)
    integers = [*(values[which] for which in Parameter), *segments]
    library = _library(_kind(part))
    total = g.groups * g.batch * g.places[0] * part.bands
    chunk = part.chunk if part.pieces > 1 else 0
    if g.backward:
        values[Parameter.CHUNK] = part.pieces // g.groups
        return [
            Step(library.address(f"fg_conv_backward_{dtype}"), integers, total, chunk),
            Step(library.address(f"fg_conv_total_{dtype}"), [values[which] for which in Parameter], g.groups, 0),
        ]
    panels = g.groups * -(-g.outs // panel(dtype))
    return [
        Step(library.address(f"fg_conv_weights_{dtype}"), integers, panels, 0),
        Step(library.address(f"fg_conv_forward_{dtype}"), integers, total, chunk),
    ]


def _tap_steps(call: Convolution, part: Part, slots: Slots) -> list[Step]:
    p, g, x, cut = TapsParameter, part.geometry, call.lies[0], part.taps
    assert cut is not None
    places, kernel = (part.w, part.out) if g.backward else (part.out, part.w)
    room, sums = (slots[v] for v in call.scratch)
    found = {
        p.SLOT_X: slots[x.var], p.SLOT_PLACES: slots[places.var], p.SLOT_TAPS: slots[kernel.var],
        p.SLOT_ROOM: room, p.SLOT_SUMS: sums, p.FEATURES: g.features, p.OUTS: g.outs,
        p.X_OFFSET: x.offset, p.X_GROUP: x.ends[0], p.X_BATCH: x.ends[2 if g.backward else 1],
        p.P_OFFSET: places.offset, p.P_GROUP: places.ends[0], p.P_BATCH: places.ends[1],
        p.T_OFFSET: kernel.offset, p.T_GROUP: kernel.ends[0], p.T_FEATURE: kernel.ends[1], p.T_OUT: kernel.ends[2],
        p.LINES: cut.lines, p.ALL_LINES: cut.all_lines, p.BLOCKS: cut.blocks, p.PANELS: cut.panels,
        p.TOGETHER: cut.together, p.TAPS: len(cut.order), p.ROOM_SIZE: cut.room_size, p.LISTS: cut.lists,
        p.LIST_SIZE: cut.list_size, p.CHUNK: cut.chunk, p.PIECES: cut.pieces if cut.adds else 0, p.SOME: cut.some,
        **{p[f"TILES_{rows}"]: count for rows, count in cut.tiles.items()},
    }  # fmt: skip
    triples = {p.IN_D: g.extents, p.OUT_D: g.places, p.STEP_D: g.steps, p.X_D: x.space, p.P_D: places.space}
    for start, numbers in triples.items():
        found.update({p(start + k): n for k, n in enumerate(numbers)})
    integers = [found[which] for which in p]
    for tap in cut.order:
        integers += (k * hole - low for k, hole, low in zip(tap, g.holes, g.lows, strict=True))
        integers.append(sum(k * stride for k, stride in zip(tap, kernel.space, strict=True)))
    library, dtype = _library(_kind(part)), code(part.out.var.type.dtype)
    chunk = cut.chunk if cut.pieces > 1 else 0
    direction = "backward" if g.backward else "forward"
    steps = [Step(library.address(f"fg_taps_{direction}_{dtype}"), integers, g.groups * cut.blocks * cut.panels, chunk)]
    if cut.adds:
        steps.append(Step(library.address(f"fg_taps_total_{dtype}"), integers, len(cut.order) * g.features, 0))
    return steps


def _values(call: Convolution, part: Part, slots: Slots, wide: int, itemsize: int) -> dict[Parameter, int]:
    p, g, x, w, o = Parameter, part.geometry, call.lies[0], part.w, part.out
    bands, panels = (slots[v] for v in call.scratch)
    segments = g.segments(part.rows)
    window = g.window[0] * g.window[1] * g.window[2]
    panel_size = part.rows * g.places[2] * wide if g.backward else window * g.features * wide
    found = {
        p.SLOT_X: slots[x.var], p.SLOT_W: slots[w.var], p.SLOT_OUT: slots[o.var],
        p.SLOT_BAND: bands, p.SLOT_PANELS: panels, p.SLOT_PARTS: panels,
        p.GROUPS: g.groups, p.BATCH: g.batch, p.FEATURES: g.features, p.OUTS: g.outs,
        p.X_OFFSET: x.offset, p.X_GROUP: x.ends[0], p.W_OFFSET: w.offset, p.W_GROUP: w.ends[0],
        p.W_FEATURE: w.ends[1], p.W_OUT: w.ends[2],
        p.O_OFFSET: o.offset, p.O_GROUP: o.ends[0], p.O_BATCH: o.ends[1], p.O_OUT: o.ends[2],
        p.ROWS: part.rows, p.BANDS: part.bands, p.SEEN_ROWS: g.seen_rows(part.rows), p.SEEN_W: g.seen_width,
        p.BAND_SIZE: band_size(g, part.rows, itemsize), p.PANEL_SIZE: panel_size,
        p.PARTS_SIZE: parts_size(g, itemsize), p.CHUNK: part.chunk, p.LENGTH: g.length, p.SEGMENTS: len(segments),
    }  # fmt: skip
    first, second = x.ends[1:]
    found[p.X_BATCH], found[p.X_FEATURE] = (second, first) if g.backward else (first, second)
    triples = {
        p.IN_D: g.extents, p.OUT_D: g.places, p.WIN_D: g.window, p.STEP_D: g.steps, p.HOLE_D: g.holes,
        p.OPEN_D: g.opens, p.LOW_D: g.lows, p.X_D: x.space, p.W_D: w.space, p.O_D: o.space,
    }  # fmt: skip
    for start, numbers in triples.items():
        found.update({Parameter(start + k): n for k, n in enumerate(numbers)})
    return found


def start(steps: Sequence[object]) -> None:
    """Have the kernels that convolutions need compiled (or read) on other threads, while those of the program are."""
    wanted: dict[tuple[object, ...], Kind] = {}
    for kind in {_kind(part) for step in steps if isinstance(step, Convolution) for part in step.parts}:
        wanted[kind[:4]] = wanted.get(kind[:4], kind) | kind
    for kind in wanted.values():
        if not any(begun.has(kind) for begun in _begun):
            whole = _begin(kind)
            threading.Thread(target=_library, args=(whole,), name="funcgrad-convolution", daemon=True).start()


def _begin(kind: Kind) -> Kind:
    """The kernels to compile: what the first program needs, then whatever others may."""
    if any(begun[:4] == kind[:4] for begun in _begun):
        kind = kind._replace(heights=HEIGHTS if kind.by_taps else tiles(), also=kind.by_taps)
    _begun.append(kind)
    return kind


def _library(kind: Kind) -> Library:
    with _locks[kind.backward, kind.by_taps]:
        whole = next((begun for begun in _begun if begun.has(kind)), None) or _begin(kind)
        return _linked(whole, cpus.target())


@functools.cache
def _linked(kind: Kind, machine: tuple[str, str]) -> Library:
    """The kernels for a CPU, whose vectors decide how wide panels are."""
    module = Module(Effort.REGISTERS, plain=kind.by_taps)
    parts: Sequence[str] = ()
    if kind.by_taps:
        (taps_backward if kind.backward else taps_forward).define(module, kind.dtype, kind.heights, kind.also)
        parts = module.parts([f"fg_taps_{name}_{kind.dtype}" for name in ("tiles", *map("tile{}".format, HEIGHTS))])
    else:
        define(module, kind.dtype, kind.backward, kind.widths, kind.heights)
        parts = module.parts()
    return native_library("convolution", str(module), parts=parts)


ROUTINES["conv_general_dilated"] = convolution_steps
