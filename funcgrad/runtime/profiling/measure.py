"""How long does each step of a program take?  Every step, those of loops' bodies too, is run by a native timer.

A program is lowered and compiled as ever; each of its steps is then one run of ``fg_timed``, which holds the step that
it stands for. Nothing of Python lies between two steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from funcgrad.compile import native
from funcgrad.compile.native import Step, slowcall
from funcgrad.compile.native.timing import timed_integers, timer
from funcgrad.ir.program import Program
from funcgrad.lower.plan import Plan
from funcgrad.lower.plan import Step as PlannedStep
from funcgrad.lower.structured import Structured
from funcgrad.runtime.executable import Executable

SECONDS = 0.3  # that a program is run for, if nobody says how often
FEWEST, MOST = 3, 2000  # repetitions


@dataclass(frozen=True, eq=False, slots=True)
class Timed:
    """A step under the clock.

    Attributes
    ----------
    plan, step
        Where it stands, and what it is.
    around
        The number of the loop or branch that it is part of, or None.
    counter
        Nanoseconds, and runs.
    """

    plan: Plan
    step: PlannedStep
    around: int | None
    counter: np.ndarray


class Times(NamedTuple):
    """Measured times.

    Attributes
    ----------
    samples
        For each call, the seconds of each step.
    runs
        How often each step runs in a call.
    results
        What the program computes.
    """

    samples: np.ndarray
    runs: np.ndarray
    results: list[np.ndarray]


class TimedExecutable(Executable):
    """A program whose steps run under the clock.

    Attributes
    ----------
    timed
        All of them; a loop stands before the steps of its body.
    """

    def __init__(self, program: Program) -> None:
        self.timed: list[Timed] = []
        self._around: list[int] = []
        self._timer, self._library = timer(native.runtime().run_address)
        super().__init__(program)

    def _native_steps(self, plan: Plan) -> list[Step]:
        return [self._clocked(plan, step) for step in plan.steps]

    def _clocked(self, plan: Plan, step: PlannedStep) -> Step:
        """One step that runs the native steps of a planned one."""
        counter = np.zeros(2, np.int64)
        self.timed.append(Timed(plan, step, self._around[-1] if self._around else None, counter))
        self._around.append(len(self.timed) - 1)
        if isinstance(step, Structured):
            step.chunk = 0  # several threads would wind one clock
        try:
            steps = super()._native_steps(replace(plan, steps=[step]))
        finally:
            self._around.pop()
        table, count = self._regions.table(steps)
        return Step(self._timer, timed_integers(table, count, int(counter.ctypes.data)), 1, 0)

    def measure(self, leaves: Sequence[Any], repetitions: int | None = None, seconds: float = SECONDS) -> Times:
        """Run the program again and again on the same arguments, once more than is measured."""
        runtime = native.runtime()
        runtime.start_pool()
        _, descriptor = self.entry_for(leaves)
        ready = slowcall.prepare(descriptor, leaves)
        table = ready.table.copy()

        def run() -> list[tuple[int, int]]:
            for timed in self.timed:
                timed.counter[:] = 0
            ready.table[:] = table
            status = runtime.run(ready.steps, ready.length, ready.frame)
            if status:
                self.fail(None, status)
            return [(int(timed.counter[0]), int(timed.counter[1])) for timed in self.timed]

        run()
        rows = repeated(run, repetitions, seconds)
        counters = np.array(rows, np.int64).reshape(len(rows), len(self.timed), 2)
        return Times(counters[..., 0] * 1e-9, counters[-1, :, 1], ready.results)


def repeated(run: Callable[[], Any], repetitions: int | None, seconds: float = SECONDS) -> list[Any]:
    """What so many runs give, or as many as fit into some seconds."""
    if repetitions is not None:
        return [run() for _ in range(repetitions)]
    end = time.perf_counter() + seconds
    rows: list[Any] = []
    while len(rows) < FEWEST or (len(rows) < MOST and time.perf_counter() < end):
        rows.append(run())
    return rows
