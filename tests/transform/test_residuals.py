"""Is what a backward part keeps the cheapest choice?  Against all choices, on small programs."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad.ir.program import Program, Var
from funcgrad.transform.partial import Split, split
from funcgrad.transform.residuals import KEEP, NEVER, economical, price
from funcgrad.transform.vjp import vjp_program

PROGRAMS: dict[str, tuple[Any, tuple[np.ndarray, ...]]] = {
    "chain": (lambda x: fnp.sin((x + 1) * x) * x, (np.ones(3),)),
    "shared": (lambda x, y: (d := x - y) * d * fnp.exp(d) + d * y, (np.ones(3), np.ones(3))),
    "wide from narrow": (lambda x: ((x[:, None] - x[None]) ** 2).sum(1), (np.ones(4),)),
    "narrow from wide": (lambda x: fnp.sqrt((x * x).sum(0) + 1) ** 3, (np.ones((6, 2)),)),
    "product": (lambda x, w: fnp.tanh(w @ x), (np.ones(3), np.ones((3, 3)))),
    "dear": (lambda x: fnp.exp(fnp.sin(x)) * fnp.cos(x), (np.ones(3),)),
}


def cut_of(name: str) -> Split:
    function, arguments = PROGRAMS[name]
    program = fg.make_jaxpr(function)(*arguments)
    joint = vjp_program(program, (True,) * len(program.inputs))
    return split(joint, [k >= len(program.inputs) for k in range(len(joint.inputs))])


def cost(known: Program, needed: set[Var], kept: set[Var]) -> int:
    """What it costs to keep these values and compute the others again; `NEVER` where that cannot be."""
    total = sum(1 + KEEP * v.type.nbytes for v in kept)
    wanted = set(needed)
    for equation in reversed(known.equations):
        if any(v in wanted and v not in kept for v in equation.outputs):
            total += price(equation)
            wanted.update(a for a in equation.inputs if isinstance(a, Var))
    lost = any(v in wanted and v not in kept for v in known.inputs)
    return NEVER if lost else total


@pytest.mark.parametrize("name", PROGRAMS)
def test_no_other_choice_is_cheaper(name: str) -> None:
    cut = cut_of(name)
    known, first = cut.known, len(cut.known.outputs) - cut.residuals
    needed = {a for a in known.outputs[first:] if isinstance(a, Var)}
    new = economical(cut, [False] * len(known.inputs))
    kept = {a for a in new.known.outputs[len(new.known.outputs) - new.residuals :] if isinstance(a, Var)}
    values = [*known.inputs, *(v for e in known.equations for v in e.outputs)]
    choices = (set(c) for r in range(min(len(values), 4) + 1) for c in itertools.combinations(values, r))
    assert cost(known, needed, kept) <= min(cost(known, needed, c) for c in choices)


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_parts_still_make_the_whole(name: str) -> None:
    function, arguments = PROGRAMS[name]

    def looped(*xs: Any) -> Any:
        return fg.lax.fori_loop(0, 2, lambda i, s: function(*xs).sum() + 0.5 * s, 0.0)

    want = fg.grad(lambda *xs: 1.5 * function(*xs).sum())(*arguments)
    np.testing.assert_allclose(fg.jit(fg.grad(looped))(*arguments), want, rtol=1e-13)
