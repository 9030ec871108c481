"""Are derivatives right?  ``python -m tests.fuzz.gradients``: every primitive and 1,000 random compositions, each at
100 points, against differences of the eighth order in float64, and complex steps where the reference takes complex
numbers.

A difference says how far it can be trusted: it is taken with several steps. Where they disagree (a kink, a pole, a
choice) a point is not decided, and counted as such.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import funcgrad as fg
from funcgrad.dtypes import is_inexact
from funcgrad.ir.interpret import interpret
from tests.fuzz import helpers
from tests.fuzz.generator import Generator, interpreted
from tests.fuzz.programs import Case, Program
from tests.ops.cases import ROWS
from tests.ops.numerics import complex_step
from tests.ops.rows import Draw, Row

F8 = np.dtype("f8")
POINTS = 100
WEIGHTS = ((1, 4 / 5), (2, -1 / 5), (3, 4 / 105), (4, -1 / 280))  # Fornberg 1988
STEP, STEPS, TRUST, LEAST = 1.6e-2, 5, 30.0, 1e-9
# their slopes are zero by definition, or are rounded as values are
BY_DEFINITION = ("reduce_precision", "nextafter", "stop_gradient")
CLEAR = 0.5  # of the points of a composition must be decided
UNDECIDED = 1e-8  # of the largest slope: differences that are less certain say nothing


@dataclass
class Count:
    """Points compared, undecided ones, and what is wrong; `vague` subjects have too few points that are decided."""

    subjects: int = 0
    vague: int = 0
    points: int = 0
    undecided: int = 0
    refused: int = 0
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.subjects} subjects and {self.vague} vague ones, {self.points} points compared, "
            f"{self.undecided} undecided, {self.refused} refused, {len(self.wrong)} wrong"
        )


def difference(f: Callable[[float], np.ndarray], step: float) -> np.ndarray:
    """The derivative of ``f(t)`` at 0 by a central difference of the eighth order."""
    return np.asarray(sum(w * (f(k * step) - f(-k * step)) for k, w in WEIGHTS) / step)


def trusted(f: Callable[[float], np.ndarray], step: float = STEP) -> tuple[np.ndarray, np.ndarray]:
    """The derivative of ``f(t)`` at 0, and how far off it may be.

    Each difference is trusted as far as the one with four times its step agrees with it; the best one is taken for each
    point. Where differences with smaller steps contradict it, it is NaN: the longer ones agree by chance on either side
    of a kink.
    """
    with np.errstate(all="ignore"):
        values = np.max([np.abs(f(k * step)) for k in (0, 1, -1)], axis=0)
        steps = [step / 4**k for k in range(STEPS)]
        found = np.array([difference(f, h) for h in steps])
        noise = np.array([64 * np.finfo(float).eps * values / h for h in steps[1:]])
        slopes, offs = found[1:], TRUST * np.abs(found[:-1] - found[1:]) + noise
        best = np.argmin(np.where(np.isfinite(offs), offs, np.inf), axis=0)[None]
        slope, off = (np.take_along_axis(x, best, 0)[0] for x in (slopes, offs))
        finer = np.arange(STEPS - 1).reshape(-1, *[1] * np.ndim(values)) > best
        contradicted = np.any(finer & ~(np.abs(slopes - slope) <= offs + off), axis=0)
        return np.where(contradicted, np.nan, slope), off


def largest(slopes: np.ndarray) -> float:
    """The size of the slopes of a subject."""
    return max(1.0, float(np.max(np.abs(np.where(np.isfinite(slopes), slopes, 0)), initial=0)))


def decided(want: np.ndarray, off: np.ndarray) -> np.ndarray:
    """Where a difference says something."""
    return np.asarray(np.isfinite(want) & (off <= UNDECIDED * largest(want)))


def compare(name: str, got: np.ndarray, want: np.ndarray, off: np.ndarray, count: Count) -> None:
    """Note points, and what is wrong."""
    with np.errstate(all="ignore"):
        sure = decided(want, off)
        bad = sure & ~(np.abs(got - want) <= off + LEAST * largest(want))
    count.points += int(sure.sum())
    count.undecided += int((~sure).sum())
    if bad.any():
        k = tuple(np.argwhere(bad)[0])
        count.wrong.append(f"{name}: got {got[k]!r}, want {want[k]!r} +- {off[k]:.1e} ({bad.sum()} of {sure.sum()})")


# Primitives ----------------------------------------------------------------------------------------------------------


def smooth_rows() -> Iterator[Row]:
    """The rows that have a derivative in float64."""
    for row in ROWS:
        p = row.primitive
        if p.vjp is not None and row.smooth and "f8" in row.dtypes.split() and row.name != "convert_element_type":
            yield row


def check_row(row: Row, count: Count, points: int = POINTS) -> None:
    """A primitive at many points: forward mode against differences, reverse mode against forward mode."""
    seen = 0
    for number in range(points):
        if seen >= points:
            break
        operands = row.operands(Draw(f"{row} point {number}", F8))
        rng = np.random.default_rng([number, 7])
        tangents = [rng.uniform(-1, 1, np.shape(x)) if is_inexact(x.dtype) else None for x in operands]
        seen += _check_at(row, operands, tangents, count)
    count.subjects += 1


def _check_at(row: Row, operands: Sequence[Any], tangents: list[Any], count: Count) -> int:
    moving = tuple(x for x, t in zip(operands, tangents, strict=True) if t is not None)
    along = tuple(t for t in tangents if t is not None)

    def function(*given: Any) -> Any:
        rest = iter(given)
        return row.call(F8)(*(x if t is None else next(rest) for x, t in zip(operands, tangents, strict=True)))

    def at(t: float) -> np.ndarray:
        return np.asarray(
            row.reference(F8)(*(x if d is None else x + t * d for x, d in zip(operands, tangents, strict=True)))
        )

    out, slope = fg.jvp(function, moving, along)
    if row.analytic:
        want = np.asarray(complex_step(row.reference(F8), operands, tangents))
        off = 1e-12 * np.abs(want)
    else:
        want, off = trusted(at, STEP / 8)
    compare(str(row), np.asarray(slope), want, off, count)
    ct = np.cos(np.arange(out.size)).reshape(out.shape)
    pulled = fg.vjp(function, *moving)[1](ct)
    left, right = np.sum(ct * slope), sum(np.sum(p * t) for p, t in zip(pulled, along, strict=True))
    size = np.sum(np.abs(ct * slope)) + sum(np.sum(np.abs(p * t)) for p, t in zip(pulled, along, strict=True)) + 1
    if not abs(left - right) <= 1e-11 * size:
        count.wrong.append(f"{row}: reverse mode gives {right!r}, forward mode {left!r}")
    return int(np.size(out)) if row.samplers else 1


# Compositions --------------------------------------------------------------------------------------------------------


def composition(seed: int, number: int) -> Program:
    """A random program of float64 arrays, some of whose results are floats."""
    for attempt in range(100):
        generator = Generator(np.random.default_rng([seed, number, attempt]), portable=True)
        generator.wild = False
        program = generator.program().changed(transforms=())
        floats = [np.asarray(generator.env[r]).dtype == F8 for r in program.results]
        arrays = [isinstance(v, np.ndarray) and v.dtype == F8 and v.size for v in program.values]
        smooth = not any(name in program.text() for name in BY_DEFINITION)
        if any(floats) and any(arrays) and program.statements and smooth:
            return program
    raise AssertionError(f"no composition {number} with seed {seed}")


def check_composition(program: Program, name: str, count: Count, points: int = POINTS) -> None:
    """A composition at many points at once, by the interpreter: `vmap` of forward and reverse mode."""
    kit = helpers.namespace()
    main = Case((program,)).function()
    smooth = [k for k, v in enumerate(program.values) if isinstance(v, np.ndarray) and v.dtype == F8]
    rng = np.random.default_rng(points)
    plain = [
        np.ascontiguousarray(v, np.asarray(v).dtype.newbyteorder("=")).reshape(np.shape(v)) for v in program.values
    ]
    around = [plain[k] + 0.1 * rng.standard_normal((points, *plain[k].shape)) for k in smooth]
    along = [rng.uniform(-1, 1, x.shape) for x in around]

    def loss(*moving: Any) -> Any:
        given = list(plain)
        for k, x in zip(smooth, moving, strict=True):
            given[k] = x
        return kit["total"](main(*given))

    def both(xs: Any, ts: Any) -> Any:
        value, slope = fg.jvp(loss, tuple(xs), tuple(ts))
        return value, slope, fg.grad(loss, argnums=tuple(range(len(xs))))(*xs)

    with interpreted():
        try:
            traced = fg.make_jaxpr(fg.vmap(both))(around, along)
            value = fg.make_jaxpr(fg.vmap(loss))(*around)
            _, slope, *gradients = interpret(traced, [*around, *along])
        except Exception as error:  # what has no derivative says so
            count.refused += 1
            if not str(error):
                count.wrong.append(f"{name}: {error!r}")
            return
        want, off = trusted(
            lambda t: np.asarray(interpret(value, [x + t * d for x, d in zip(around, along, strict=True)])[0]), STEP / 4
        )
    # the chain rule through a singular point that values are clipped to (0 times infinity) is NaN everywhere
    want = np.where(np.isfinite(slope), want, np.nan)
    with np.errstate(all="ignore"):
        sure = decided(want, off)
    if np.mean(sure) < CLEAR:  # full of kinks: differences with several steps agree by chance alone
        count.vague += 1
        count.undecided += points
        return
    compare(name, np.asarray(slope), want, off, count)
    by_gradient = sum(np.sum((g * d).reshape(points, -1), axis=1) for g, d in zip(gradients, along, strict=True))
    size = 1 + sum(np.sum(np.abs(g * d).reshape(points, -1), axis=1) for g, d in zip(gradients, along, strict=True))
    with np.errstate(all="ignore"):
        bad = sure & ~(np.abs(by_gradient - slope) <= 1e-9 * size)
    if bad.any():
        k = int(np.argmax(bad))
        count.wrong.append(f"{name}: reverse mode gives {by_gradient[k]!r}, forward mode {slope[k]!r}")
    count.subjects += 1


def main() -> int:
    """Check what the command line asks for."""
    os.environ.setdefault("FUNCGRAD_CACHE", "0")
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.gradients")
    parser.add_argument("--points", type=int, default=POINTS)
    parser.add_argument("--compositions", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the number of the first composition")
    parser.add_argument("--only", default="", help="primitives whose rows contain this")
    given = parser.parse_args()
    begun = time.process_time()
    primitives, compositions = Count(), Count()
    rows = [row for row in smooth_rows() if given.only in str(row)]
    done = set()
    for row in rows:
        try:
            check_row(row, primitives, given.points)
        except KeyboardInterrupt:  # what has been found is told all the same
            break
        done.add(row.name)
    print(f"{len(done)} primitives in rows: {primitives}", *primitives.wrong, sep="\n  ", flush=True)
    for number in range(given.first, given.first + given.compositions):
        before = len(compositions.wrong)
        try:
            program = composition(given.seed, number)
            check_composition(program, f"composition {number}", compositions, given.points)
        except KeyboardInterrupt:
            break
        if len(compositions.wrong) > before:
            print(compositions.wrong[-1], Case((program,)).script(), sep="\n", flush=True)
    print(f"compositions: {compositions}", *compositions.wrong, sep="\n  ")
    print(f"{time.process_time() - begun:.0f} s of CPU")
    return bool(primitives.wrong or compositions.wrong)


if __name__ == "__main__":
    sys.exit(main())
