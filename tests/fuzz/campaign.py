"""How are many programs checked?  Several to a compilation; when ways disagree, the case is made smaller."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence

import numpy as np

import funcgrad as fg
from funcgrad.ir.printer import inner_programs
from funcgrad.ir.program import Program as Traced
from tests.fuzz.checks import Invalid, Mismatch, Subject, Unavailable, in_jax
from tests.fuzz.generator import draw
from tests.fuzz.programs import Case
from tests.fuzz.report import Report
from tests.fuzz.shrinker import shrunk
from tests.fuzz.variants import ALL, LOWERED

TOGETHER, FORGET = 4, 40
PORTABLE, IN_JAX, EAGER, NATIVE = 0.4, 0.2, 0.2, 0.4


def cases(seed: int, first: int, count: int) -> Iterator[tuple[int, Case]]:
    """Cases of `TOGETHER` programs, by the number of the first of them."""
    for number in range(first, first + count, TOGETHER):
        rng = np.random.default_rng([seed, number, 1])
        portable = bool(rng.random() < PORTABLE)
        numbers = range(number, min(number + TOGETHER, first + count))
        yield number, Case(tuple(draw(seed, k, portable) for k in numbers), f"seed {seed}, program {number}")


def ways_for(rng: np.random.Generator, case: Case) -> list[tuple[str, ...]]:
    """In which ways a case is run: compiled, and with some of the variants."""
    ways: list[tuple[str, ...]] = [("simplified",), ("printed", *_some(rng, LOWERED))]
    if rng.random() < NATIVE:
        kind = rng.random()
        ways.append(("jit",) if kind < 0.35 else _some(rng, ALL) if kind < 0.7 else ("guarded", *_some(rng, LOWERED)))
    if rng.random() < EAGER:
        ways.append(("eager",))
    if all(p.portable for p in case.programs) and rng.random() < IN_JAX:
        ways.append(("jax",))
    return ways


def _some(rng: np.random.Generator, names: Sequence[str]) -> tuple[str, ...]:
    """A few of several names."""
    return tuple(dict.fromkeys(str(rng.choice(names)) for _ in range(int(rng.integers(1, 4)))))


def examine(case: Case, rng: np.random.Generator, report: Report, tell: Callable[[str], None] = print) -> None:
    """Check one case in some ways, and report what disagrees."""
    try:
        subject = Subject(case)
    except Invalid as refused:
        if len(case.programs) > 1:
            for program in case.programs:
                examine(Case((program,), case.label), rng, report, tell)
            return
        report.invalid += 1
        report.refusals[str(refused)[:160]] += 1
        return
    except Mismatch as mismatch:
        note(case, mismatch, report, tell)
        return
    report.programs += len(case.programs)
    report.decided += sum(subject.decided)
    count(subject.traced, report)
    for way in ways_for(rng, case):
        try:
            subject.verify(way)
        except Mismatch as mismatch:
            note(case, mismatch, report, tell)
        for part in way:
            report.ways[part] += len(case.programs)


def note(case: Case, mismatch: Mismatch, report: Report, tell: Callable[[str], None]) -> None:
    """Make a case that disagrees smaller, and tell of it."""
    smallest = shrunk(case, lambda smaller: disagrees(smaller, mismatch))
    try:
        Subject(smallest).verify(mismatch.way)
    except Mismatch as last:
        mismatch = last
    except Invalid:
        pass
    report.found.append((f"{case.label}: {mismatch}", smallest.script()))
    tell(f"\n=== {case.label}: {mismatch}\n{smallest.script()}")


def disagrees(case: Case, mismatch: Mismatch) -> bool:
    """Whether a smaller case disagrees in the same manner."""
    try:
        Subject(case).verify(mismatch.way)
    except Mismatch as found:
        return (
            found.kind == mismatch.kind and found.detail.split(":")[0][:20] == mismatch.detail.split(":")[0][:20]
            if found.kind == "raised"
            else found.kind == mismatch.kind
        )
    except Exception:
        return False
    return False


def count(program: Traced, report: Report) -> None:
    """Note which primitives a program has, at any depth."""
    for equation in program.equations:
        report.primitives[equation.primitive.name] += 1
        for _, _, inner in inner_programs(equation.params):
            count(inner, report)


def campaign(
    seed: int, first: int, programs: int, over: Callable[[], bool] = lambda: False, tell: Callable[[str], None] = print
) -> Report:
    """Check so many programs, or as many as there is time for, or until somebody interrupts."""
    report = Report()
    try:
        for done, (number, case) in enumerate(cases(seed, first, programs)):
            if over():
                break
            examine(case, np.random.default_rng([seed, number, 2]), report, tell)
            if done % FORGET == FORGET - 1:
                fg.clear_caches()
                gc.collect()
    except KeyboardInterrupt:  # what has been found is told all the same
        pass
    return report


__all__ = ["Unavailable", "campaign", "in_jax"]
