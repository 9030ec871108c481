"""How far may two correct ways of computing a program lie apart?  As far as its roundings move its results.

Every rounding of the interpreter is disturbed by a few units of the last place, in either direction (Parker, Monte
Carlo arithmetic, 1997); what the results do is the yardstick: a result that is ill-conditioned moves far, one that is
copied does not move at all, and a choice that hangs on a rounding gives something else.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad import dtypes
from funcgrad.ir.interpret import interpret
from funcgrad.ir.primitive import Primitive
from funcgrad.ir.program import Program
from tests.ops.cases import ROWS

SAMPLES, SAFETY, LEAST, FEW = 1, 10.0, 4.0, 0.05  # one at first: more are taken before a mismatch is told
STEPS = np.random.default_rng(0).uniform(-0.5, 0.5, 1 << 17)  # drawn once: each rounding takes some of them
STEPS += np.copysign(0.5, STEPS)  # of magnitude 0.5 to 1: no rounding stays as it is
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
EPS_OF = {  # asking a dtype for its name takes a microsecond
    order: EPS[dtype.name] for dtype in dtypes.ALL if dtype.name in EPS for order in (dtype, dtype.newbyteorder())
}
UNITS: dict[str, float] = {}
for _row in ROWS:
    UNITS[_row.name] = max(UNITS.get(_row.name, 2.0), _row.ulps)


class Yardstick(NamedTuple):
    """What an output should be, how far off it may be, and where that says something."""

    want: np.ndarray
    tolerance: np.ndarray
    decided: np.ndarray

    def misses(self, got: Any, least: float = 0.0) -> np.ndarray:
        """Where a result is wrong, by more than `least` of the largest one."""
        got, want = np.asarray(got), self.want
        with np.errstate(all="ignore"):
            if want.dtype.kind not in "fcV":
                return np.asarray((got != want) & self.decided)
            got, want = _wide(got), _wide(want)
            tolerance = np.maximum(self.tolerance, least * np.max(np.abs(want), initial=0, where=np.isfinite(want)))
            near = (np.abs(got - want) <= tolerance) | (got == want) | (np.isnan(got) & np.isnan(want))
        return np.asarray(~near & self.decided)


def yardsticks(
    program: Program, leaves: Sequence[Any], wanted: Sequence[Any], seed: int, samples: int = SAMPLES
) -> list[Yardstick]:
    """A yardstick for each output, around what the interpreter gives."""
    rng, found = np.random.default_rng(seed), []
    for k in range(samples):
        with disturbed(rng, 0.5 * (k % 2)), contextlib.suppress(np.linalg.LinAlgError):  # no convergence: no sample
            found.append(interpret(program, leaves))
    found = found or [wanted]
    return [_yardstick(np.asarray(w), [np.asarray(s[k]) for s in found]) for k, w in enumerate(wanted)]


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
def disturbed(rng: np.random.Generator, exact: float = 0.0) -> Iterator[None]:
    """The interpreter's roundings are disturbed meanwhile, but for this share of the operations: what a comparison
    with a certain number says may hang on there being no error.
    """
    original = Primitive.refer

    def refer(self: Primitive, inputs: Any, params: dict[str, Any]) -> Any:
        outputs = original(self, inputs, params)
        if self.name in EXACT or (exact and rng.random() < exact):
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
    wide, step = _wide(x), _steps(rng, x.shape)
    units = max(UNITS.get(p.name, 8.0), 2.0) * EPS_OF[x.dtype]
    if p.scalar is not None and x.dtype.kind != "c":  # zeros, infinities and NaN stay what they are
        return np.asarray(wide * (1 + units * step)).astype(x.dtype)
    size: Any = np.abs(wide)
    if p.name in SUMS:
        absolute = [abs(np.asarray(i)) if np.asarray(i).dtype.kind in "fcV" else i for i in inputs]
        size = np.abs(_wide(np.asarray(refer(p, tuple(absolute), params)[0])))
    elif p.scalar is None:
        size = np.max(np.where(np.isfinite(size), size, 0), initial=0)
    if x.dtype.kind == "c":
        step = step * np.exp(2j * np.pi * rng.random(x.shape))
    moved = np.asarray(wide + units * size * step).astype(x.dtype)
    kept = ~np.isfinite(wide)
    if p.scalar is not None:
        kept |= x == 0
    return np.where(kept, x, moved) if kept.any() else moved


def _steps(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """How far each rounding is moved, in units."""
    size = math.prod(shape)
    if size > len(STEPS) // 2:
        return np.resize(STEPS, shape)
    first = int(rng.random() * (len(STEPS) - size))
    return STEPS[first : first + size].reshape(shape)
