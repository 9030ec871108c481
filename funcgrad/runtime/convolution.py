"""Which native steps make a convolution?  Panels of the kernel, then bands of the result; or sums of pieces."""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence

from funcgrad import forks
from funcgrad.compile import engine
from funcgrad.compile.compiler import native_library
from funcgrad.compile.engine import Library
from funcgrad.compile.native import Step
from funcgrad.compile.native.convolution import Parameter, define, panel
from funcgrad.compile.native.text import Module
from funcgrad.compile.passes import Effort
from funcgrad.dtypes import code
from funcgrad.lower.calls import Call
from funcgrad.lower.convolution import Convolution, Part, band_size, parts_size
from funcgrad.runtime.calls import ROUTINES, Slots

_locks = (forks.held(threading.Lock()), forks.held(threading.Lock()))
_begun: set[tuple[str, bool]] = set()


def convolution_steps(call: Call, slots: Slots) -> list[Step] | None:
    """The native steps of a convolution."""
    if not isinstance(call, Convolution):
        return None
    return [step for part in call.parts for step in _part_steps(call, part, slots)]


def _part_steps(call: Convolution, part: Part, slots: Slots) -> list[Step]:
    kind = part.out.var.type.dtype
    dtype, g = code(kind), part.geometry
    values = _values(call, part, slots, panel(dtype), kind.itemsize)
    segments = g.segments(part.rows)
    integers = [*(values[which] for which in Parameter), *segments]
    library = _library(dtype, g.backward)
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
    for dtype, backward in {
        (code(part.out.var.type.dtype), part.geometry.backward)
        for step in steps
        if isinstance(step, Convolution)
        for part in step.parts
    }:
        if (dtype, backward) not in _begun:
            _begun.add((dtype, backward))
            threading.Thread(target=_library, args=(dtype, backward), name="funcgrad-convolution", daemon=True).start()


def _library(dtype: str, backward: bool) -> Library:
    with _locks[backward]:
        return _linked(dtype, backward, engine.target())


@functools.cache
def _linked(dtype: str, backward: bool, machine: tuple[str, str]) -> Library:
    """The kernels for a CPU, whose vectors decide how wide panels are."""
    module = Module(Effort.REGISTERS)
    define(module, dtype, backward)
    return native_library("convolution", str(module))


ROUTINES["conv_general_dilated"] = convolution_steps
