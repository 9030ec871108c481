"""How are many programs checked?  Several to a compilation; when ways disagree, the case is made smaller."""

from __future__ import annotations

import contextlib
import gc
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np

import funcgrad as fg
from funcgrad.ir.printer import inner_programs
from funcgrad.ir.program import Program as Traced
from tests.fuzz.checks import Invalid, Mismatch, Subject
from tests.fuzz.generator import draw
from tests.fuzz.programs import Case
from tests.fuzz.report import Report
from tests.fuzz.shrinker import shrunk
from tests.fuzz.variants import ALL, LOWERED, unnamed

TOGETHER, FORGET = 4, 80
PATIENCE = 600  # seconds for a case, shrinking included
PORTABLE, IN_JAX, EAGER, NATIVE = 0.4, 0.2, 0.2, 0.4
NAMED = 10  # in one of so many cases, variables are looked for


def case_at(seed: int, number: int, count: int) -> Case:
    """A case of `count` programs, by the number of the first of them."""
    portable = bool(np.random.default_rng([seed, number, 1]).random() < PORTABLE)
    return Case(tuple(draw(seed, k, portable) for k in range(number, number + count)), f"seed {seed}, program {number}")


def cases(seed: int, first: int, count: int) -> Iterator[Case]:
    """Cases of `TOGETHER` programs."""
    for number in range(first, first + count, TOGETHER):
        yield case_at(seed, number, min(TOGETHER, first + count - number))


class TooLong(BaseException):
    """A case takes for ever; no `Exception`, which means that a program is not one."""


@contextlib.contextmanager
def patient(seconds: float = PATIENCE) -> Iterator[None]:
    """A context that ends after so many seconds, if it runs on the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def give_up(number: int, frame: object) -> None:
        raise TooLong

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def ways_for(rng: np.random.Generator, case: Case) -> list[tuple[str, ...]]:
    """In which ways a case is run: compiled, and with some of the variants."""
    ways: list[tuple[str, ...]] = [("simplified",), ("printed", *_some(rng, LOWERED))]
    if rng.random() < NATIVE:
        kind = rng.random()
        guarded = ("guarded", "few passes", *_some(rng, LOWERED))  # passes do not decide which places are looked at
        ways.append(("jit",) if kind < 0.35 else _some(rng, ALL) if kind < 0.7 else guarded)
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
    note_primitives(subject.traced, report)
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


def note_primitives(program: Traced, report: Report) -> None:
    """Note which primitives a program has, at any depth."""
    for equation in program.equations:
        report.primitives[equation.primitive.name] += 1
        for _, _, inner in inner_programs(equation.params):
            note_primitives(inner, report)


def campaign(
    seed: int,
    first: int,
    programs: int,
    over: Callable[[], bool] = lambda: False,
    tell: Callable[[str], None] = print,
    note_part: Callable[[int, Report], None] = lambda end, part: None,
) -> Report:
    """Check so many programs, or as many as there is time for, or until somebody interrupts.

    Parameters
    ----------
    note_part
        Called again and again with what has been done since the last time, and the number of the next program.
    """
    total = Report()
    for begin in range(first, first + programs, FORGET * TOGETHER):
        end, part, since, stopped = begin, Report(), time.process_time(), False
        try:
            for number in range(begin, min(begin + FORGET * TOGETHER, first + programs), TOGETHER):
                stopped = over()
                if stopped:
                    break
                found, count = Report(), min(TOGETHER, first + programs - number)
                try:
                    rng, named = np.random.default_rng([seed, number, 2]), number // TOGETHER % NAMED == 0
                    with patient(), contextlib.nullcontext() if named else unnamed():
                        examine(case_at(seed, number, count), rng, found, tell)
                except TooLong:
                    found.found.append((f"seed {seed}, program {number}: more than {PATIENCE} s", ""))
                    tell(found.found[-1][0])
                part, end = part + found, number + count
        except KeyboardInterrupt:  # what has been found is told all the same
            stopped = True
        part.seconds = time.process_time() - since
        total += part
        note_part(end, part)
        if stopped:
            break
        fg.clear_caches()
        gc.collect()
    return total
