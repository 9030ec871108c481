"""How are windows folded where they are not written out?  Kernels that go over the last axis inside of everything.

A fold over a large window adds one element of the window to a whole row of results at a time. Where windows overlap, an
extremum's cotangents are added to what they meet, window after window: neighbours along the last axis at once where
windows do not reach along it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from funcgrad.dtypes import code
from funcgrad.ir.program import Var
from funcgrad.lower.calls import WRITERS, Call, is_native
from funcgrad.lower.index import contiguous_strides
from funcgrad.lower.loops import INDEX, Constant, Operand, Value
from funcgrad.lower.nest import neutral
from funcgrad.lower.schedule import KernelStep
from funcgrad.lower.writer import Writer
from funcgrad.ops.convolution import HALF, NAMES, Ints, dilated

FOLDS = {"reduce_window_sum": "add", "reduce_window_max": "max", "reduce_window_min": "min"}
MOST_TAPS = 64  # elements of a window whose comparisons are written out
PIECE = 1 << 14  # comparisons that are worth a thread
MOST_PIECES = 64

Test = Operand | None


class _Windows:
    """The windows of one call: where each element of one lies, and whether there is one."""

    def __init__(self, call: Call, shape: Ints, places: Ints) -> None:
        params = call.equation.params
        self.w = Writer()
        self.shape, self.places = shape, places
        self.sizes, self.steps, padding, _, self.holes = (params[name] for name in NAMES)
        self.lows = tuple(low for low, _ in padding)
        self.strides = contiguous_strides(shape)

    def alone(self, axis: int) -> bool:
        """Whether each place has an element of its own along an axis."""
        last = (self.places[axis] - 1) * self.steps[axis] - self.lows[axis]
        return bool(self.sizes[axis] == 1 and self.lows[axis] <= 0 and last < self.shape[axis])

    def meets(self, places: Sequence[Operand], element: Sequence[Operand | int]) -> tuple[Operand, Test]:
        """The address of an element of the window (0 where there is none), and the test, where there is one."""
        w, address, inside = self.w, [], None
        for axis, (place, e) in enumerate(zip(places, element, strict=True)):
            position, test = self._along(axis, place, e)
            if test is not None:
                position = w.op("select", test, position, Constant(0, INDEX))
                inside = test if inside is None else w.op("and", inside, test)
            address.append(w.op("mul", position, w.size(self.strides[axis])))
        total = address[0]
        for part in address[1:]:
            total = w.op("add", total, part)
        return total, inside

    def _along(self, axis: int, place: Operand, e: Operand | int) -> tuple[Operand, Test]:
        w, hole, low, n = self.w, self.holes[axis], self.lows[axis], self.shape[axis]
        first = w.op("mul", place, w.size(self.steps[axis]))
        last = (self.places[axis] - 1) * self.steps[axis]
        if isinstance(e, int):
            reach = (e * hole - low, last + e * hole - low)
            position = w.op("add", first, w.size(e * hole - low))
        else:
            reach = (-low, last + dilated(self.sizes[axis], hole) - 1 - low)
            position = w.op("add", first, w.op("sub", w.op("mul", e, w.size(hole)), w.size(low)))
        if reach[0] >= 0 and reach[1] < n:
            return position, None
        above = w.op("ge", position, Constant(0, INDEX))
        return position, w.op("and", above, w.op("lt", position, w.size(n)))

    def address(self, places: Sequence[Operand]) -> Operand:
        """The address of a place."""
        w, total = self.w, None
        for place, stride in zip(places, contiguous_strides(self.places), strict=True):
            part = w.op("mul", place, w.size(stride))
            total = part if total is None else w.op("add", total, part)
        assert total is not None
        return total

    def step(self, outer: Value, work: int, shared: bool) -> KernelStep:
        """The kernel, its outermost loop closed; `shared`: whether its iterations may be shared out."""
        self.w.close(outer, self.w.first, self.w.last, [], independent=shared)
        total = self.places[0]
        chunk = max(-(-PIECE * total // max(work, 1)), -(-total // MOST_PIECES))
        return KernelStep(
            self.w.kernel(),
            tuple(self.w.keys),
            tuple(self.w.size_values),
            total,
            chunk if shared and chunk < total else 0,
            None,
        )


def _usable(call: Call) -> bool:
    shapes = [a.type.shape for a in (*call.equation.inputs, *call.equation.outputs)]
    known = is_native(call.equation) and all(isinstance(a, Var) for a in call.inputs)
    plain = set(call.equation.params["base_dilation"]) <= {1} and call.equation.inputs[0].type.dtype not in HALF
    return known and plain and () not in shapes and not any(0 in shape for shape in shapes)


def fold_kernels(call: Call) -> list[KernelStep] | None:
    """A fold: rows of results begin neutral, then take one element of the window after the other."""
    if not _usable(call):
        return None
    (operand,), (out,) = call.equation.inputs, call.equation.outputs
    dtype = code(out.type.dtype)
    v = _Windows(call, operand.type.shape, out.type.shape)
    w = v.w
    source, target = w.buffer(call.inputs[0], dtype), w.buffer(out, dtype, written=True)
    fold = FOLDS[call.equation.primitive.name]
    start = Constant(neutral(fold, dtype), dtype)
    fold = {"max": "or", "min": "and"}.get(fold, fold) if dtype == "b1" else fold
    outer = [w.open() for _ in v.places[:-1]] or [w.open()]
    rows: list[Operand] = list(outer) if len(v.places) > 1 else []

    def along_row(store: bool, element: Sequence[Operand | int]) -> None:
        column = w.open()
        place = v.address([*rows, column])
        if store:
            w.store(target, place, start)
        else:
            address, inside = v.meets([*rows, column], element)
            x = w.load(source, address)
            x = x if inside is None else w.op("select", inside, x, start)
            w.store(target, place, w.op(fold, w.load(target, place), x))
        w.close(column, Constant(0, INDEX), w.size(v.places[-1]), [])

    along_row(True, ())
    wide = [axis for axis, n in enumerate(v.sizes) if n > 1]
    loops = {axis: w.open() for axis in wide}
    along_row(False, [loops.get(axis, 0) for axis in range(len(v.sizes))])
    for axis in reversed(wide):
        w.close(loops[axis], Constant(0, INDEX), w.size(v.sizes[axis]), [], independent=False)
    for axis in range(len(rows) - 1, 0, -1):
        w.close(outer[axis], Constant(0, INDEX), w.size(v.places[axis]), [])
    if not rows:  # of one axis: one row
        w.close(outer[0], w.first, w.last, [], independent=False)
        return [KernelStep(w.kernel(), tuple(w.keys), tuple(w.size_values), 1, 0, None)]
    return [v.step(outer[0], math.prod(v.places) * math.prod(v.sizes), shared=True)]


def scatter_kernels(call: Call) -> list[KernelStep] | None:
    """Cotangents of extrema, added where these stand."""
    if not _usable(call) or math.prod(call.equation.params["window_dimensions"]) > MOST_TAPS:
        return None
    ct, x = call.equation.inputs
    (out,) = call.equation.outputs
    v = _Windows(call, x.type.shape, ct.type.shape)
    w, kind = v.w, call.equation.params["kind"]
    given = w.buffer(call.inputs[0], code(ct.type.dtype))
    source = w.buffer(call.inputs[1], code(x.type.dtype))
    target = w.buffer(out, code(out.type.dtype), written=True)
    places = [w.open() for _ in v.places]
    met = [v.meets(places, element) for element in itertools.product(*map(range, v.sizes))]
    number, seen = _first(w, [(w.load(source, address), inside) for address, inside in met], kind)
    cotangent = w.load(given, v.address(places))
    for k, (address, inside) in enumerate(met):
        hit = w.op("eq", number, Constant(k, "i4"))
        for test in (seen, inside):
            hit = hit if test is None else w.op("and", hit, test)
        before = w.load(target, address)
        w.store(target, address, w.op("select", hit, w.op("add", before, cotangent), before))
    for axis in range(len(places) - 1, 0, -1):
        w.close(places[axis], Constant(0, INDEX), w.size(v.places[axis]), [], independent=v.alone(axis))
    shared = v.alone(0) and len(places) > 1
    return [_zeros(out), v.step(places[0], math.prod(v.places) * len(met), shared)]


def _first(w: Writer, elements: list[tuple[Operand, Test]], kind: str) -> tuple[Operand, Test]:
    """The number of the first element that attains the extremum, and whether there is any (None: always)."""
    (best, seen), number = elements[0], Constant(0, "i4")
    found: Operand = number
    for k, (x, inside) in enumerate(elements[1:], 1):
        better = w.op("gt" if kind == "max" else "lt", x, best)
        if x.dtype[0] == "f":
            better = w.op("or", better, w.op("and", w.op("ne", x, x), w.op("eq", best, best)))
        if seen is not None:
            better = w.op("or", better, w.op("not", seen))
        if inside is not None:
            better = w.op("and", better, inside)
        best, found = w.op("select", better, x, best), w.op("select", better, Constant(k, "i4"), found)
        seen = None if seen is None or inside is None else w.op("or", seen, inside)
    return found, seen


def _zeros(out: Var) -> KernelStep:
    w = Writer()
    dtype = code(out.type.dtype)
    target = w.buffer(out, dtype, written=True)
    i = w.open()
    w.store(target, i, Constant(neutral("add", dtype), dtype))
    w.close(i, w.first, w.last, [])
    total = out.type.size
    return KernelStep(w.kernel(), tuple(w.keys), (), total, -(-total // 4) if total > PIECE * 16 else 0, None)


WRITERS["window_scatter"] = scatter_kernels
for _name in FOLDS:
    WRITERS[_name] = fold_kernels
