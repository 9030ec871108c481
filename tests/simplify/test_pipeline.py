"""Does `simplify` keep every value, and never grow a program?"""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import funcgrad as fg
from funcgrad.ir.check import check
from funcgrad.ir.interpret import interpret
from funcgrad.ir.primitive import registry
from funcgrad.ir.program import Equation, Literal, Program, Var
from funcgrad.ir.types import ArrayType
from funcgrad.simplify import simplify
from tests.effort import drawn
from tests.lower.random_programs import draw_program

F8 = ArrayType((), np.dtype("f8"))


def chain(length: int) -> Program:
    """x + 1 + 1 + ..., each followed by work that simplifies away."""
    x = last = Var(F8)
    one = Literal(np.float64(1.0), F8)
    equations = []
    for _ in range(length // 4):
        for name, inputs in (("add", (last, one)), ("mul", None), ("neg", None), ("neg", None)):
            out = Var(F8)
            operands = inputs or ((last, one) if name == "mul" else (last,))
            equations.append(Equation(registry[name], operands, (out,), {}))
            last = out
    return Program((x,), tuple(equations), (last,))


def test_a_hundred_thousand_equations() -> None:
    after = simplify(chain(100_000))
    assert [e.primitive.name for e in after.equations] == ["add"] * 25_000


def test_the_work_is_linear() -> None:
    """Counted in calls, not in seconds."""
    counts = []
    for length in (400, 800):
        asked = 0
        program = chain(length)
        original = registry["add"].infer

        def counting(*args: object, original: object = original, **params: object) -> object:
            nonlocal asked
            asked += 1
            return original(*args, **params)  # type: ignore[operator]

        registry["add"].infer = counting
        try:
            simplify(program)
        finally:
            registry["add"].infer = original
        counts.append(asked)
    assert counts[1] == 2 * counts[0]


@given(st.data(), st.integers(0, 2**32 - 1))
@drawn(10)
def test_random_programs_keep_their_values(data: st.DataObject, seed: int) -> None:
    drawn = draw_program(lambda options: data.draw(st.sampled_from(list(options))), seed, 8)
    program = fg.make_jaxpr(drawn)(*drawn.arguments)
    after = simplify(program)
    check(after)
    assert len(after.equations) <= len(program.equations) + len(program.constants)  # a constant may become an iota
    drawn.compare([np.asarray(x) for x in interpret(after, drawn.arguments)], "simplified")
