"""Do calls go away at any depth, without recursion, and with what they captured?"""

from __future__ import annotations

from typing import Any

import numpy as np

import funcgrad as fg
from funcgrad.ir.check import check
from funcgrad.ir.interpret import interpret
from funcgrad.simplify.inline import inline


def test_a_call_is_replaced_by_what_it_calls() -> None:
    inner = fg.jit(lambda x, y: (x + y, x, 3.0))
    program = fg.make_jaxpr(lambda x: inner(x, inner(x, 2.0)[0]))(np.arange(3.0))
    assert {e.primitive.name for e in program.equations} == {"jit"}
    after = inline(program)
    check(after)
    assert [e.primitive.name for e in after.equations] == ["add", "add"]
    for old, new in zip(interpret(program, [np.arange(3.0)]), interpret(after, [np.arange(3.0)]), strict=True):
        np.testing.assert_array_equal(old, new)


def test_two_calls_of_one_program_do_not_share_variables() -> None:
    inner = fg.jit(lambda x: np.sin(x) * 2)
    after = inline(fg.make_jaxpr(lambda x: inner(x) + inner(inner(x)))(1.0))
    check(after)
    defined = [v for e in after.equations for v in e.outputs]
    assert len(defined) == len(set(defined))
    assert [e.primitive.name for e in after.equations].count("sin") == 3


def test_constants_and_captures_come_along() -> None:
    table = np.arange(4.0)

    def outer(x: Any) -> Any:
        return fg.jit(lambda y: y * x + table)(np.ones(4))

    program = fg.make_jaxpr(outer)(np.full(4, 2.0))
    after = inline(program)
    check(after)
    np.testing.assert_array_equal(interpret(after, [np.full(4, 2.0)])[0], 2 + table)


def test_nested_calls_of_any_depth() -> None:
    program = fg.make_jaxpr(lambda x: x + 1)(1.0)
    call = fg.make_jaxpr(lambda x: fg.jit(lambda y: y + 1)(x))(1.0).equations[0]
    for _ in range(5000):
        (x,) = program.inputs
        outer = call.replace(inputs=(x,), params={"program": program, "name": "f"})
        program = program.replace(equations=(outer,), outputs=outer.outputs, inputs=(x,))
        program = _fresh(program)
    after = inline(program)
    assert [e.primitive.name for e in after.equations] == ["add"]
    assert interpret(after, [1.0])[0] == 2.0


def _fresh(program: Any) -> Any:
    """The same program with variables of its own."""
    (old,) = program.inputs
    new, out = type(old)(old.type), type(old)(program.outputs[0].type)
    (equation,) = program.equations
    return program.replace(inputs=(new,), equations=(equation.replace(inputs=(new,), outputs=(out,)),), outputs=(out,))
