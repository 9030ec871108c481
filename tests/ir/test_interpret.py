"""Does the interpreter compute what a program says, and forget what nobody reads any more?"""

from __future__ import annotations

import numpy as np

import funcgrad as fg
from funcgrad.ir.interpret import interpret, last_uses
from tests.ops.numerics import assert_close


def test_values() -> None:
    x = np.linspace(-1, 1, 5)
    program = fg.make_jaxpr(lambda x: (np.sin(x) * 2.0, np.sum(x)))(x)
    first, second = interpret(program, [x])
    assert_close(first, np.sin(x) * 2.0, 0)
    assert_close(second, np.sum(x), 0)


def test_outputs_may_be_inputs_literals_and_constants() -> None:
    table = np.arange(3.0)
    program = fg.make_jaxpr(lambda x: (x, 2.0, table, x))(1.5)
    one, two, three, four = interpret(program, [np.float64(1.5)])
    assert (one, two, four) == (1.5, 2.0, 1.5)
    np.testing.assert_array_equal(three, table)


def test_division_by_zero_is_silent() -> None:
    (out,) = interpret(fg.make_jaxpr(lambda x: 1 / x)(np.zeros(2)), [np.zeros(2)])
    assert np.all(np.isinf(out))


def test_every_value_dies_after_its_last_use() -> None:
    program = fg.make_jaxpr(lambda x: np.sum(np.exp(np.sin(x)) + np.sin(x)))(np.ones(3))
    dying = last_uses(program)
    gone = [v for vs in dying.values() for v in vs]
    assert len(gone) == len(set(gone)) == len(program.equations) - 1  # all but the output
    for index, variables in dying.items():
        for equation in program.equations[index + 1 :]:
            assert not set(variables) & set(equation.inputs)


def test_long_programs_keep_few_values() -> None:
    def chain(x: np.ndarray) -> np.ndarray:
        for _ in range(1000):
            x = np.sin(x)
        return x

    program = fg.make_jaxpr(chain)(np.ones(3))
    dying = last_uses(program)
    alive, most = 0, 0
    for index, equation in enumerate(program.equations):
        alive += len(equation.outputs) - len(dying.get(index, ()))
        most = max(most, alive)
    assert most == 1
