"""Which part of a case is wrong?  Programs, statements, results, transformations and arguments are left out, one after
the other, as long as the same way still disagrees in the same manner.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from tests.fuzz.programs import Body, Case, Program, Statement

Predicate = Callable[[Case], bool]
MOST_TRIALS = 400


def shrunk(case: Case, fails: Predicate, most: int = MOST_TRIALS) -> Case:
    """The smallest case found that still fails."""
    left = most
    progress = True
    while progress and left > 0:
        progress = False
        for smaller in candidates(case):
            left -= 1
            if left <= 0:
                break
            if fails(smaller):
                case, progress = smaller, True
                break
    return case


def candidates(case: Case) -> Iterator[Case]:
    """Smaller cases, large steps first."""
    programs = case.programs
    if len(programs) > 1:
        half = len(programs) // 2
        yield replace(case, programs=programs[:half])
        yield replace(case, programs=programs[half:])
        for k in range(len(programs)):
            yield replace(case, programs=programs[:k] + programs[k + 1 :])
    for k, program in enumerate(programs):
        for smaller in _programs(program):
            yield replace(case, programs=(*programs[:k], smaller, *programs[k + 1 :]))


def _programs(p: Program) -> Iterator[Program]:
    if len(p.results) > 1:
        yield from (p.changed(results=(r,)) for r in p.results)
    for k in range(len(p.transforms)):
        yield p.changed(transforms=p.transforms[:k] + p.transforms[k + 1 :])
    for k in reversed(range(len(p.statements))):  # an earlier value as the result
        yield from _without_tail(p, k)
    for statements in _shorter(p.statements, p.results):
        yield p.changed(statements=statements)
    for k, (name, value) in enumerate(zip(p.params, p.values, strict=True)):
        text = "\n".join(line for s in p.statements for line in s.lines())
        if name not in text and name not in p.results and len(p.params) > 1:
            yield p.changed(params=p.params[:k] + p.params[k + 1 :], values=p.values[:k] + p.values[k + 1 :])
        for simpler in _simpler(value):
            yield p.changed(values=(*p.values[:k], simpler, *p.values[k + 1 :]))


def _without_tail(p: Program, k: int) -> Iterator[Program]:
    if k and p.results != (p.statements[k - 1].target,):
        yield p.changed(statements=p.statements[:k], results=(p.statements[k - 1].target,))


def _shorter(statements: tuple[Statement, ...], used: tuple[str, ...]) -> Iterator[tuple[Statement, ...]]:
    for k in reversed(range(len(statements))):
        s = statements[k]
        before, after = statements[:k], statements[k + 1 :]
        rest = "\n".join(line for later in after for line in later.lines()) + " ".join(used)
        if s.target not in rest:
            yield before + after
            continue
        constant = (
            f"cast(np.ones({s.shape}), {s.dtype!r}) / 2"
            if s.dtype.startswith(("f", "c"))
            else f"cast(np.ones({s.shape}), {s.dtype!r})"
        )
        if s.text != constant:
            yield (*before, replace(s, text=constant, bodies=()), *after)
        for n, body in enumerate(s.bodies):
            for smaller in _bodies(body):
                yield (*before, replace(s, bodies=(*s.bodies[:n], smaller, *s.bodies[n + 1 :])), *after)


def _bodies(body: Body) -> Iterator[Body]:
    if body.result != body.params[0]:
        yield replace(body, result=body.params[0], statements=())
    for statements in _shorter(body.statements, (body.result,)):
        yield replace(body, statements=statements)


def _simpler(value: Any) -> Iterator[Any]:
    if not isinstance(value, np.ndarray):
        return
    if not value.flags.c_contiguous or not value.flags.writeable or not value.dtype.isnative:
        yield np.array(value, value.dtype.newbyteorder("="), order="C")
    if value.size and value.dtype.kind in "fc":
        plain = np.ones(value.shape, value.dtype)
        if not np.array_equal(value, plain):
            yield plain
            short = np.round(value * 4) / 4
            if not np.array_equal(short, value, equal_nan=True):
                yield short.astype(value.dtype)
