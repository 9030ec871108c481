"""Do random programs compute natively what NumPy computes, and does their printed source?"""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import funcgrad as fg
from tests.effort import drawn
from tests.lower.random_programs import Choose, draw_program
from tests.lower.test_listings import run_source


def chooser(data: st.DataObject) -> Choose:
    return lambda options: data.draw(st.sampled_from(list(options)))


@given(st.data(), st.integers(0, 2**32 - 1))
@drawn(12)
def test_native(data: st.DataObject, seed: int) -> None:
    drawn = draw_program(chooser(data), seed, 14)
    drawn.compare(fg.jit(drawn)(*drawn.arguments), "native")


@given(st.data(), st.integers(0, 2**32 - 1))
@drawn(12)
def test_printed_source(data: st.DataObject, seed: int) -> None:
    drawn = draw_program(chooser(data), seed, 9)
    source = fg.jit(drawn).lower(*drawn.arguments).as_text("python")
    drawn.compare(run_source(source, drawn.arguments), "source")


@pytest.mark.parametrize("seed", range(8))
def test_long_rows_and_several_pieces(seed: int) -> None:
    drawn = draw_program(random.Random(seed).choice, seed, 5, (1, 3, 130, 2500), 300_000)
    drawn.compare(fg.jit(drawn)(*drawn.arguments), "native")


@pytest.mark.parametrize("seed", range(3))
def test_numba(seed: int) -> None:
    drawn = draw_program(random.Random(seed).choice, seed, 6)
    if any(node.value.dtype == np.float16 for node in drawn.nodes):  # numba has no float16 on CPUs
        return
    source = fg.jit(drawn).lower(*drawn.arguments).as_text("python")
    drawn.compare(run_source(source, drawn.arguments, compile_kernels=True), "numba")


@pytest.mark.parametrize("seed", range(100, 125))
def test_gradients(seed: int) -> None:
    """The compiled gradient is the gradient by NumPy, also where views, gathers and products are transposed."""
    drawn = draw_program(random.Random(seed).choice, seed, 8)
    numbers = tuple(k for k, a in enumerate(drawn.arguments) if a.dtype == np.float64)
    if not numbers or any(node.value.dtype in ("f2", "f4") for node in drawn.nodes):
        return

    def loss(*arguments: object) -> object:
        floating = [y for y in drawn(*arguments) if y.dtype == np.float64]
        return sum((np.sum(np.tanh(y) * 1.25) for y in floating), 0.0)

    expected = fg.grad(loss, argnums=numbers)(*drawn.arguments)
    for result, value in zip(fg.jit(fg.grad(loss, argnums=numbers))(*drawn.arguments), expected, strict=True):
        np.testing.assert_allclose(result, value, rtol=1e-11, atol=1e-11 * max(1, np.abs(value).max(initial=0)))
