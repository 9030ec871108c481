"""What is known of each step that was measured?  A row: what it is, what it cost, and what it could have cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from funcgrad.lower.attention import Attention
from funcgrad.lower.calls import Call
from funcgrad.lower.chains import Chain
from funcgrad.lower.convolution import Convolution
from funcgrad.lower.loops import Op, walk
from funcgrad.lower.plan import Step
from funcgrad.lower.products import Product
from funcgrad.lower.python import kernel_names
from funcgrad.lower.schedule import KernelStep
from funcgrad.lower.structured import Structured
from funcgrad.runtime.costs import Cost, cost_of
from funcgrad.runtime.profiling.explain import Explanation, Line, explain
from funcgrad.runtime.profiling.measure import Timed, Times
from funcgrad.runtime.profiling.roofline import Machine


class Row(NamedTuple):
    """A step of a program, as measured; numbers are per call of the function.

    Attributes
    ----------
    name
        The kernel's name in ``as_text("python")``, ``product``, or the operation.
    computes
        What it computes, in short.
    lines
        The user's lines that it comes from, those of most operations first.
    depth
        In how many loops and branches it stands. The time of a loop includes that of the steps in it.
    runs
        How often it ran.
    seconds
        How long all of these took.
    share
        Of the time of all steps.
    bytes, flops
        What it reads and writes, and its floating-point instructions (see ``cost_analysis``); 0 for loops.
    roof
        The least time that the machine allows for these, by the measured one: 1 is as fast as can be. More than that
        tells of data that stayed in a cache. None where nothing is counted.
    """

    name: str
    computes: str
    lines: tuple[Line, ...]
    depth: int
    runs: int
    seconds: float
    share: float
    bytes: int
    flops: int
    roof: float | None

    @property
    def gigabytes_per_second(self) -> float:
        """The bandwidth that it had."""
        return self.bytes / self.seconds / 1e9 if self.seconds else 0.0

    @property
    def gigaflops(self) -> float:
        """Its rate of arithmetic."""
        return self.flops / self.seconds / 1e9 if self.seconds else 0.0

    @property
    def intensity(self) -> float:
        """FLOPs per byte."""
        return self.flops / self.bytes if self.bytes else 0.0


def rows(timed: Sequence[Timed], times: Times, machine: Machine, footprint: int) -> Iterator[Row]:
    """A row per step, loops before the steps in them."""
    seconds = np.median(times.samples, axis=0)
    whole = sum(s for t, s in zip(timed, seconds, strict=True) if t.around is None)
    names: dict[int, str] = {}
    explanations: dict[int, Explanation] = {}
    for plan in {id(t.plan): t.plan for t in timed}.values():
        names |= kernel_names(plan)[0]
        explanations |= explain(plan)
    depths: list[int] = []
    lines: list[tuple[Line, ...]] = []
    for t, spent, runs in zip(timed, seconds.tolist(), times.runs.tolist(), strict=True):
        known = explanations[id(t.step)]
        around = t.around
        depths.append(0 if around is None else depths[around] + 1)
        lines.append(known.lines or (() if around is None else lines[around]))
        counted = isinstance(t.step, KernelStep | Product | Chain | Convolution | Attention)
        cost = Cost(0, 0, 0) if isinstance(t.step, Structured) else cost_of(t.step)
        nbytes, flops = runs * cost.bytes, runs * cost.flops
        least = machine.least_seconds(flops, nbytes, _precision(t.step), footprint) if counted else 0.0
        yield Row(
            _name(t.step, names),
            known.computes,
            lines[-1],
            depths[-1],
            runs,
            spent,
            spent / whole if whole else 0.0,
            nbytes,
            flops,
            least / spent if counted and spent else None,
        )


def _name(step: Step, names: dict[int, str]) -> str:
    if isinstance(step, KernelStep):
        return names[id(step)]
    if isinstance(step, Chain):
        return f"product, {names[id(step.tail)]}"
    return "product" if isinstance(step, Product) else step.equation.primitive.name


def _precision(step: Step) -> str:
    """Whose peak counts: that of most operations (sums of float32 numbers are finished in float64)."""
    if isinstance(step, Chain):
        return _precision(step.product)
    if isinstance(step, Product):
        return "f4" if step.dtype in ("f4", "c8") else "f8"
    if isinstance(step, KernelStep):
        dtypes = [i.result.dtype for i in walk(step.kernel.body) if isinstance(i, Op)]
        return "f4" if dtypes.count("f4") > dtypes.count("f8") else "f8"
    narrow = isinstance(step, Call) and all(v.type.dtype == np.float32 for v in step.equation.outputs)
    return "f4" if narrow else "f8"
