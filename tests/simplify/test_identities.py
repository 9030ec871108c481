"""Does each identity apply where it is exact, and only there?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.ir.interpret import interpret
from funcgrad.ir.program import Program
from funcgrad.ops.indexing import scatter_add
from funcgrad.simplify import simplify
from funcgrad.simplify.inline import inline

X = np.array([[0.0, -0.0, np.nan], [np.inf, -np.inf, 3.7]])
I = np.array([[0, -1, 7], [-(2**63), 2**63 - 1, 5]])
B = np.array([[True, False, True], [False, False, True]])


def simplified(function: Callable[..., Any], *arguments: Any) -> Program:
    """The simplified program; its values are those of the program before, in every bit."""
    program = fg.make_jaxpr(function)(*arguments)
    after = simplify(program)
    work = [
        e for e in after.equations if e.primitive.name not in ("broadcast_in_dim", "iota", "reshape")
    ]  # what constants became
    assert len(work) <= max(len(inline(program).equations), 1)
    for old, new in zip(interpret(program, arguments), interpret(after, arguments), strict=True):
        old, new = np.asarray(old), np.asarray(new)
        assert (old.dtype, old.shape) == (new.dtype, new.shape)
        np.testing.assert_array_equal(new, old)
        if old.dtype.kind == "f":
            numbers = ~np.isnan(old)
            np.testing.assert_array_equal(np.signbit(new)[numbers], np.signbit(old)[numbers])
    return after


def names(program: Program) -> list[str]:
    return [equation.primitive.name for equation in program.equations]


@pytest.mark.parametrize(
    ("function", "argument", "left"),
    [
        (lambda x: x * 1.0, X, []),
        (lambda x: 1.0 * x, X, []),
        (lambda x: x * np.ones_like(X), X, []),
        (lambda x: x * 1, I, []),
        (lambda x: x * -1.0, X, ["neg"]),
        (lambda x: x * -1, I, ["neg"]),
        (lambda x: x * 0.0, X, ["mul"]),  # NaN and infinity
        (lambda x: x * 2.0, X, ["mul"]),
        (lambda x: x / 1.0, X, []),
        (lambda x: x / 4.0, X, ["mul"]),
        (lambda x: x / -0.5, X, ["mul"]),
        (lambda x: x / 3.0, X, ["div"]),
        (lambda x: x / 2.0**1000, X, ["div"]),  # the reciprocal is representable here, but near the end it is not
        (lambda x: 4.0 / x, X, ["div"]),
        (lambda x: x - 0.0, X, []),
        (lambda x: x - -0.0, X, ["sub"]),  # -0 - -0 is +0
        (lambda x: x - 0, I, []),
        (lambda x: 0.0 - x, X, ["sub"]),  # 0 - 0 is +0, but -(0) is -0
        (lambda x: x + 0.0, X, ["add"]),  # -0 + 0 is +0
        (lambda x: x + -0.0, X, []),
        (lambda x: x + 0, I, []),
        (lambda x: 0 + x, I, []),
        (lambda x: np.negative(-x), X, []),
        (lambda x: np.negative(-x), I, []),
        (lambda x: np.negative(np.negative(-x)), X, ["neg"]),
        (lambda x: fg.stop_gradient(x), X, []),
        (lambda x: x.astype(np.float64), X, []),
        (lambda x: x.astype(np.float32), X, ["convert_element_type"]),
        (lambda x: x.T.T, X, []),
        (lambda x: np.transpose(np.transpose(x[None], (1, 2, 0)), (1, 0, 2)), X, ["reshape", "transpose"]),
        (lambda x: x.reshape(6).reshape(2, 3), X, []),
        (lambda x: x.reshape(6).reshape(3, 2), X, ["reshape"]),
        (lambda x: np.broadcast_to(np.broadcast_to(x, (4, 2, 3)), (5, 4, 2, 3)), X, ["broadcast_in_dim"]),
        (lambda x: np.broadcast_to(x, (2, 3)), X, []),
        (lambda x: np.where(True, x, 0.0), X, []),
        (lambda x: np.where(np.zeros((2, 3), bool), x, x + 1), X, ["add"]),
        (lambda x: np.where(x > 0, x, x), X, []),
        (lambda x: np.where(x > 0, x, 0.0), X, ["gt", "select"]),
        (lambda x: np.sum(x[None], 0), X, ["add"]),  # 0 + x: the sum of -0 alone is 0
        (lambda x: np.max(x.reshape(2, 1, 3), 1), X, []),
        (lambda x: np.argmax(x[None], 0), X, ["broadcast_in_dim"]),
        (lambda x: np.sum(-x), X, ["neg", "reduce_sum"]),  # -sum(x) would be -0 for zeros
        (lambda x: np.logical_not(x), B, ["not"]),
    ],
)
def test_one_operand(function: Callable[..., Any], argument: np.ndarray, left: list[str]) -> None:
    assert names(simplified(function, argument)) == left


def test_a_division_of_numbers_stays() -> None:
    """One kernel for every batch size: 1 / 128 and 1 / 96 are written alike."""
    assert names(simplified(lambda x: x / 128.0, 3.5)) == ["div"]


@pytest.mark.parametrize("dtype", ["f4", "f2"])
def test_powers_of_two_divide_small_and_large_floats_exactly(dtype: str) -> None:
    info = np.finfo(dtype)
    x = np.array([info.tiny, info.smallest_subnormal, info.max, 1 / 3, -7, np.inf, np.nan], dtype)
    for k in range(-9, 10):
        simplified(lambda x, k=k: x / x.dtype.type(2.0**k), x)


def test_integer_division_by_one_stays_what_it_is() -> None:
    simplified(lambda x: x // 1, I)
    simplified(lambda x: x / 1, I)


def test_scalars_are_spread_to_the_shape_of_the_result() -> None:
    program = simplified(lambda x, s: (s * np.ones_like(X), x * s), X, 3.0)
    assert names(program) == ["broadcast_in_dim", "mul"]


def test_arrays_of_one_number_become_that_number() -> None:
    program = simplified(lambda x: x * np.full((2, 3), 2.5) + np.full((2, 3), 0.5), X)
    assert names(program) == ["mul", "add"]
    assert not program.constants


@pytest.mark.parametrize(
    ("constant", "left"),
    [
        (np.full((2, 3), 7.0), {"broadcast_in_dim"}),
        (np.full((2, 3), np.nan), set()),  # NaN is not equal to itself
        (np.array([[0.0, 0.0, 0.0], [0.0, -0.0, 0.0]]), set()),
        (np.full((2, 3), -0.0), {"broadcast_in_dim"}),
        (np.array([[0.0, 1.0, 2.0], [0.0, 1.0, 2.0]]), set()),  # a float is not counted
        (np.array([[0, 1, 2], [0, 1, 2]]), {"iota"}),
        (np.array([[0, 0, 0], [1, 1, 1]], np.uint8), {"iota"}),
        (np.array([[0, 1, 2], [0, 1, 3]]), set()),
        (np.zeros((2, 3), bool), {"broadcast_in_dim"}),
        (np.zeros((0, 3)), set()),
    ],
)
def test_constants_are_recognised(constant: np.ndarray, left: set[str]) -> None:
    program = fg.make_jaxpr(lambda: np.sin(constant) if constant.dtype.kind == "f" else constant + 0 * constant)()
    program = fg.make_jaxpr(lambda x: (np.where(x, constant, constant[:, ::-1]),))(np.ones(constant.shape, bool))
    after = simplify(program)
    for old, new in zip(
        interpret(program, [np.ones(constant.shape, bool)]),
        interpret(after, [np.ones(constant.shape, bool)]),
        strict=True,
    ):
        np.testing.assert_array_equal(new, old)
        assert np.asarray(new).tobytes() == np.asarray(old).tobytes()
    assert left <= set(names(after))
    if not left:
        assert after.constants


def test_common_subexpressions_are_merged_by_bits() -> None:
    assert names(simplified(lambda x: (np.sin(x), np.sin(x)), X)) == ["sin"]
    assert names(simplified(lambda x: (x + 0.0, x + -0.0, x - -0.0), X)) == ["add", "sub"]
    assert names(simplified(lambda x: (np.sum(x, 0), np.sum(x, 1), np.sum(x, 0)), I)) == ["reduce_sum"] * 2
    assert names(simplified(lambda x: (x + 2, x + 2.0), np.float32(3.0))) == ["add"]


def test_numbers_are_folded() -> None:
    def function(x: Any) -> Any:
        return x + fg.jit(lambda a: np.sin(a) * 2)(0.5)

    assert names(simplified(function, X)) == ["add"]


def test_dead_equations_go() -> None:
    def function(x: Any) -> Any:
        np.cos(x) @ x.T
        return x + 1

    program = simplified(function, X)
    assert names(program) == ["add"]
    assert not simplify(fg.make_jaxpr(lambda x: (x + np.arange(3.0) ** 2, x)[1])(X)).constants


def test_a_check_of_an_index_is_never_dead() -> None:
    program = simplified(lambda x, i: (x[i], x)[1], np.zeros(3), np.array([0, 2]))
    assert names(program) == ["check_index"]
    with pytest.raises(IndexError):
        interpret(program, [np.zeros(3), np.array([0, 3])])


def test_a_transposed_product_is_a_product_in_the_other_order() -> None:
    x, y = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4)
    program = simplified(lambda x, y: (x @ y).T, x, y)
    assert names(program) == ["dot_general"]
    assert program.equations[0].inputs == program.inputs[::-1]
    batched = simplified(lambda x, y: np.swapaxes(x @ y, 1, 2), np.ones((5, 2, 3)), np.ones((5, 3, 4)))
    assert names(batched) == ["dot_general"]
    assert (
        names(simplified(lambda x, y: np.transpose(x @ y, (1, 0, 2)), np.ones((5, 2, 3)), np.ones((5, 3, 4))))[-1]
        == "transpose"
    )


LOGITS, LABELS = np.arange(12.0).reshape(3, 4), np.array([0, 3, -1])


def test_the_gradient_of_picking_labels_is_a_comparison() -> None:
    def picked(z: Any, labels: Any) -> Any:
        return np.sum(z[np.arange(3), labels] * np.array([1.0, 2.0, 3.0]))

    program = simplified(fg.grad(picked), LOGITS, LABELS)
    assert "scatter_add" not in names(program)
    assert "eq" in names(program)
    assert "check_index" in names(program)


def test_the_sum_of_a_one_hot_row_is_its_element() -> None:
    def loss(z: Any, labels: Any) -> Any:
        return np.mean(fg.nn.log_softmax(z)[np.arange(3), labels])

    left = names(simplified_close(fg.grad(loss), LOGITS, LABELS))
    assert "scatter_add" not in left
    assert left.count("reduce_sum") == 1  # of the exponentials alone


def simplified_close(function: Callable[..., Any], *arguments: Any) -> Program:
    program = fg.make_jaxpr(function)(*arguments)
    after = simplify(program)
    for old, new in zip(interpret(program, arguments), interpret(after, arguments), strict=True):
        np.testing.assert_allclose(new, old, rtol=1e-14, atol=1e-16)
    return after


@pytest.mark.parametrize(
    "function",
    [
        lambda z, i: scatter_add(z, np.ones(3), np.arange(3), i, axes=(0, 1)),  # not onto zeros
        lambda z, i: scatter_add(0 * z, np.ones(3), i, i, axes=(0, 1)),  # rows may repeat
        lambda z, i: scatter_add(np.zeros((4, 3)), np.ones(3), np.arange(3), i, axes=(0, 1)),  # rows are left out
        lambda z, i: scatter_add(np.zeros((3, 4), int), np.ones(3, int), np.arange(3), i, axes=(0, 1)),
    ],
)
def test_other_scatters_stay(function: Callable[..., Any]) -> None:
    assert "scatter_add" in names(simplified(function, LOGITS[:, :3], np.array([0, 2, 2])))
