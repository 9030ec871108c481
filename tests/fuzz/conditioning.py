"""How far may two correct ways of computing a program lie apart?  As far as its roundings move its results.

Every rounding of the interpreter is disturbed by a few units of the last place, in either direction (Parker, Monte
Carlo arithmetic, 1997); what the results do is the yardstick: a result that is ill-conditioned moves far, one that is
copied does not move at all, and a choice that hangs on a rounding gives something else.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad.ir.interpret import interpret
from funcgrad.ir.primitive import Primitive
from funcgrad.ir.program import Program
from tests.ops.cases import ROWS

SAMPLES, SAFETY, LEAST, FEW = 3, 10.0, 4.0, 0.05
EXACT = frozenset(
    "neg abs sign max min trunc floor ceil round real imag conj complex complex_to_parts complex_from_parts select "
    "broadcast_in_dim reshape transpose slice rev pad concatenate gather dynamic_slice dynamic_update_slice scatter "
    "scatter_min scatter_max reduce_max reduce_min cummax cummin sort partition reduce_window_max reduce_window_min "
    "window_gather stop_gradient name optimization_barrier rem bitcast_convert_type nextafter iota reduce_precision "
    "jit scan cond while while_pull checkpoint custom_jvp_call custom_vjp_call custom_vmap_call".split()
)
SUMS = frozenset(
    "reduce_sum dot_general scatter_add cumsum conv_general_dilated reduce_window_sum window_scatter".split()
)
EPS = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 2.0**-23, "float64": 2.0**-52}
EPS |= {"complex64": EPS["float32"], "complex128": EPS["float64"]}
UNITS: dict[str, float] = {}
for _row in ROWS:
    UNITS[_row.name] = max(UNITS.get(_row.name, 2.0), _row.ulps)


class Yardstick(NamedTuple):
    """What an output should be, how far off it may be, and where that says something."""

    want: np.ndarray
    tolerance: np.ndarray
    decided: np.ndarray

    def misses(self, got: Any) -> np.ndarray:
        """Where a result is wrong."""
        got, want = np.asarray(got), self.want
        with np.errstate(all="ignore"):
            if want.dtype.kind not in "fcV":
                return np.asarray((got != want) & self.decided)
            got, want = _wide(got), _wide(want)
            near = (np.abs(got - want) <= self.tolerance) | (got == want) | (np.isnan(got) & np.isnan(want))
        return np.asarray(~near & self.decided)


def yardsticks(program: Program, leaves: Sequence[Any], wanted: Sequence[Any], seed: int) -> list[Yardstick]:
    """A yardstick for each output, around what the interpreter gives."""
    rng = np.random.default_rng(seed)
    with disturbed(rng):
        samples = [interpret(program, leaves) for _ in range(SAMPLES)]
    return [_yardstick(np.asarray(w), [np.asarray(s[k]) for s in samples]) for k, w in enumerate(wanted)]


def _yardstick(want: np.ndarray, samples: list[np.ndarray]) -> Yardstick:
    if want.dtype.kind not in "fcV":
        same = np.all([s == want for s in samples], axis=0)
        return Yardstick(want, np.zeros(want.shape), np.broadcast_to(same, want.shape))
    centre, moved = _wide(want), [_wide(s) for s in samples]
    with np.errstate(all="ignore"):
        finite = np.isfinite(centre)
        off = np.max([np.abs(m - centre) for m in moved], axis=0)
        tolerance = SAFETY * off + LEAST * EPS[want.dtype.name] * np.abs(centre)
        steady = np.all([np.isfinite(m) == finite for m in moved], axis=0)
        alike = np.all([(m == centre) | (np.isnan(m) & np.isnan(centre)) for m in moved], axis=0)
        size = np.max(np.abs(np.where(finite, centre, 0)), initial=0)
        decided = np.where(finite, steady & (tolerance <= FEW * max(size, 1e-300)), alike)
    if want.dtype.name in ("float16", "bfloat16") or want.dtype.kind == "c":
        decided &= finite  # chains of operations may keep more digits, and range; complex infinities have many forms
    return Yardstick(want, np.where(np.isfinite(tolerance), tolerance, 0), decided)


def _wide(x: np.ndarray) -> np.ndarray:
    return x.astype(np.complex128 if x.dtype.kind == "c" else np.float64, copy=False)


@contextlib.contextmanager
def disturbed(rng: np.random.Generator) -> Iterator[None]:
    """The interpreter's roundings are disturbed meanwhile."""
    original = Primitive.refer

    def refer(self: Primitive, inputs: Any, params: dict[str, Any]) -> Any:
        outputs = original(self, inputs, params)
        if self.name in EXACT:
            return outputs
        if self.name == "convert_element_type" and not _narrows(inputs[0], outputs[0]):
            return outputs
        return tuple(_moved(self, x, inputs, params, rng, original) for x in outputs)

    Primitive.refer = refer  # type: ignore[method-assign]
    try:
        with np.errstate(all="ignore"):
            yield
    finally:
        Primitive.refer = original  # type: ignore[method-assign]


def _narrows(x: Any, out: Any) -> bool:
    before, after = EPS.get(np.asarray(x).dtype.name, 0.0), EPS.get(np.asarray(out).dtype.name, 0.0)
    return after > before


def _moved(p: Primitive, x: Any, inputs: Any, params: Any, rng: np.random.Generator, refer: Any) -> Any:
    x = np.asarray(x)
    if x.dtype.kind not in "fcV" or not x.size:
        return x
    wide = _wide(x)
    size: Any = np.abs(wide)
    if p.name in SUMS:
        absolute = [abs(np.asarray(i)) if np.asarray(i).dtype.kind in "fcV" else i for i in inputs]
        size = np.abs(_wide(np.asarray(refer(p, tuple(absolute), params)[0])))
    elif p.scalar is None:
        size = np.max(np.where(np.isfinite(size), size, 0), initial=0)
    units = max(UNITS.get(p.name, 8.0), 2.0)
    step = rng.random(x.shape)
    step = np.where(step < 0.5, step - 1, step)  # of magnitude 0.5 to 1: no rounding stays as it is
    if x.dtype.kind == "c":
        step = step * np.exp(2j * np.pi * rng.random(x.shape))
    moved = np.asarray(wide + units * EPS[x.dtype.name] * size * step).astype(x.dtype)
    kept = ~np.isfinite(wide)
    if p.scalar is not None:
        kept |= x == 0
    return np.where(kept, x, moved) if kept.any() else moved
