"""Do programs come out right: captures, constants, nested traces, sources, long functions?"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.ir.check import check
from funcgrad.ir.interpret import interpret
from funcgrad.ir.primitive import registry
from funcgrad.ir.program import Program
from funcgrad.ir.types import ArrayType
from funcgrad.simplify import simplify
from funcgrad.trace.builder import evaluate, trace
from funcgrad.trace.frame import bind
from funcgrad.transform.jvp import jvp_program
from funcgrad.transform.vjp import vjp_program
from funcgrad.transform.vmap import vmap_program

F8 = ArrayType((), np.dtype("f8"))


def chain(length: int) -> Program:
    """A program of `length` equations."""

    def f(x: Any) -> Any:
        for _ in range(length):
            (x,) = bind(registry["sin"], x)
        return [x]

    return trace(f, [F8])[0]


def test_captures_are_the_first_inputs() -> None:
    inner: list[Any] = []

    def outer(x: Any, y: Any) -> Any:
        program, captures = trace(lambda z: [z * y + x + y], [F8])
        inner.append((program, [c is y or c is x for c in captures]))
        return [x]

    trace(outer, [F8, F8])
    program, flags = inner[0]
    assert flags == [True, True]
    assert [str(v.type) for v in program.inputs] == ["f64[]"] * 3
    assert interpret(check(program), [np.float64(v) for v in (2, 3, 4)]) == [4 * 2 + 3 + 2]  # y is met first


def test_constants_are_copied_and_kept_once() -> None:
    table = np.arange(3.0)
    program = fg.make_jaxpr(lambda x: x * table + table)(np.ones(3))
    assert len(program.constants) == 1
    table[:] = 7
    np.testing.assert_array_equal(next(iter(program.constants.values())), [0, 1, 2])


def test_broadcast_scalars_are_no_constants() -> None:
    program = fg.make_jaxpr(lambda x: x + np.broadcast_to(2.0, (1000,)))(np.ones(1000))
    assert not program.constants
    assert [e.primitive.name for e in program.equations] == ["broadcast_in_dim", "add"]


@pytest.mark.parametrize(
    "table", [np.arange(3.0)[::-1], np.arange(6.0)[::2], np.arange(3.0, dtype=">f8"), np.array(2.0)], ids=str
)
def test_constants_in_any_layout(table: np.ndarray) -> None:
    program = check(fg.make_jaxpr(lambda x: x * table)(np.ones(3)))
    np.testing.assert_array_equal(interpret(program, [np.ones(3)])[0], np.ones(3) * table)


def test_nested_transformations_capture_through_all_levels() -> None:
    x = np.array([0.5, 1.5])

    def f(x: Any) -> Any:
        return fg.jit(lambda y: fg.grad(lambda z: np.sum(np.sin(z * y) * x))(y))(x * 2)

    y = 2 * x
    np.testing.assert_allclose(fg.jit(f)(x), np.cos(y * y) * x * y, rtol=1e-14)


def test_a_function_that_fails_leaves_nothing_behind() -> None:
    def fails(x: Any) -> Any:
        raise RuntimeError("mine")

    for transform in (fg.jit, fg.grad, fg.vmap):
        with pytest.raises(RuntimeError, match="mine"):
            transform(fails)(np.ones(2) if transform is fg.vmap else 1.0)
        assert fg.grad(lambda x: x * x)(3.0) == 6
        assert fg.jit(lambda x: x + 1)(1.0) == 2


def test_sources_are_the_users_lines() -> None:
    def f(x: Any) -> Any:
        y = np.sin(x)
        return np.mean(y * fg.nn.relu(x))

    _, first = inspect.getsourcelines(f)
    program = fg.make_jaxpr(f)(np.ones(3))
    for equation in program.equations:
        assert equation.source is not None
        assert equation.source.code is f.__code__
        assert equation.source.line == first + (1 if equation.primitive.name == "sin" else 2)


def test_evaluate_runs_equations_on_anything() -> None:
    program = fg.make_jaxpr(lambda x: np.sin(x) * 2.0)(1.0)
    seen: list[str] = []

    def apply(primitive: Any, *inputs: Any, **params: Any) -> Any:
        seen.append(primitive.name)
        return primitive.compute(inputs, params)

    assert evaluate(program, [np.float64(1.0)], apply) == [np.sin(1.0) * 2.0]
    assert seen == [e.primitive.name for e in program.equations]


@pytest.mark.parametrize("n", [5_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_long_programs(n: int) -> None:
    program = chain(n)
    assert len(program.equations) == n
    assert str(program).count("\n") == n + 1
    check(program)
    (value,) = interpret(program, [np.float64(1.0)])
    assert 0 < value < 1
    assert len(simplify(program).equations) == n
    backward = vjp_program(program, [True])
    assert len(backward.equations) == 3 * n  # sin, cos, mul
    same, slope = interpret(backward, [np.float64(1.0), np.float64(1.0)])
    assert same == value
    assert 0 < slope < 1


def test_long_programs_forwards_and_in_batches() -> None:
    n = 10_000
    program = chain(n)
    assert len(jvp_program(program, [True]).equations) == 3 * n
    assert len(vmap_program(program, 2, [True]).equations) == n


def test_transforms_keep_sources() -> None:
    def f(x: Any) -> Any:
        y = np.sin(x)
        return np.sum(y * y)

    program = fg.make_jaxpr(f)(np.ones(3))
    lines = {e.source for e in program.equations}
    backward = vjp_program(program, [True])
    for transformed in (backward, jvp_program(program, [True]), vmap_program(backward, 2, [True, True])):
        found = [e.source for e in transformed.equations if e.source is not None]
        assert {source._replace(backward=False) for source in found} == lines
    assert {e.source.backward for e in backward.equations if e.source is not None} == {False, True}


def test_long_functions_differentiate_eagerly() -> None:
    def f(x: Any) -> Any:
        for _ in range(20_000):
            x = x + 1.0
        return x

    assert fg.grad(f)(1.0) == 1


def test_wide_sums_differentiate() -> None:
    def f(x: Any) -> Any:
        return sum(x * float(k) for k in range(20_000))

    assert fg.grad(f)(1.0) == sum(range(20_000))
