"""Are kernels the same for every batch size, learning rate and layer width?"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.compile.compiler import canonical
from tests.lower.programs import cross_entropy, floats, labels

Params = list[tuple[Any, Any]]


def loss(params: Params, x: Any, y: Any) -> Any:
    for w, b in params[:-1]:
        x = np.maximum(x @ w + b, 0)
    w, b = params[-1]
    return cross_entropy(x @ w + b, y)


def step(params: Params, x: Any, y: Any, rate: float = 0.1) -> tuple[Any, Params]:
    value, grads = fg.value_and_grad(loss)(params, x, y)
    moved = [
        (w - np.float32(rate) * dw, b - np.float32(rate) * db) for (w, b), (dw, db) in zip(params, grads, strict=True)
    ]
    return value, moved


def arguments(batch: int, widths: tuple[int, ...]) -> tuple[Any, ...]:
    params = [(floats(m, n), floats(n)) for m, n in itertools.pairwise(widths)]
    return params, floats(batch, widths[0]), labels(batch, widths[-1])


def kernels(function: Any, *arguments: Any) -> set[str]:
    steps = fg.jit(function).lower(*arguments).plan.steps
    return {canonical(step.kernel) for step in steps if hasattr(step, "kernel")}


@pytest.mark.parametrize("batch", [96, 200, 32, 37, 29])
def test_a_new_batch_size_compiles_nothing(batch: int) -> None:
    widths = (784, 512, 256, 10)
    assert kernels(step, *arguments(batch, widths)) <= kernels(step, *arguments(128, widths))


def test_another_learning_rate_compiles_nothing() -> None:
    widths = (64, 32, 10)
    other = kernels(lambda *a: step(*a, rate=0.003), *arguments(128, widths))
    assert other == kernels(step, *arguments(128, widths))


def test_other_widths_compile_nothing() -> None:
    assert kernels(step, *arguments(100, (70, 40, 10))) == kernels(step, *arguments(100, (90, 50, 10)))


@pytest.mark.parametrize(
    ("function", "first", "second"),
    [
        (lambda x: np.tanh(x) * 0.3, (1000,), (77, 31, 20)),
        (lambda x: x - x.mean(1, keepdims=True), (30, 40), (70, 90)),
        (lambda x: x.sum(), (3000,), (5000,)),
        (lambda x: x.sum(0), (100, 20), (10_000, 1000)),
        (lambda x: np.transpose(x) + 1, (30, 40), (70, 90)),
        (lambda x: x[::-1, 20:], (30, 40), (70, 90)),
        (lambda x: np.argmax(x, 1), (30, 40), (70, 90)),
    ],
)
def test_shapes_do_not_matter(function: Any, first: tuple[int, ...], second: tuple[int, ...]) -> None:
    assert kernels(function, np.ones(first)) <= kernels(function, np.ones(second))


def test_numbers_are_parameters_with_all_their_bits() -> None:
    for dtype in ("f4", "f8", "f2"):
        numbers = [np.dtype(dtype).type(v) for v in (1 / 3, -1e-7, 3e4, 0.1, np.pi, 5e-8)]
        results = fg.jit(lambda x, numbers=numbers: [x * v for v in numbers])(np.ones(3, dtype))
        for result, value in zip(results, numbers, strict=True):
            np.testing.assert_array_equal(result, np.full(3, value))
