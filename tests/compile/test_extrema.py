"""Is a maximum of floats that is folded as one of integers what that of floats is?"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.compile import engine
from funcgrad.compile.extrema import EXTREMA, as_integers, sizes
from funcgrad.compile.llvm import print_kernel
from funcgrad.lower.loops import Constant, Kernel, Loop, Operand, Value
from funcgrad.lower.nest import neutral
from tests.compile.builder import Builder, run

FOLDS: dict[str, Callable[..., np.ndarray]] = {"max": np.maximum.reduce, "min": np.minimum.reduce}
HERE = [f"f{size}" for size in (4, 8) if size in sizes()]
here = pytest.mark.skipif(not HERE, reason="this CPU has maxima of floats")


def extremum(fold: str, dtype: str, seen: bool = False) -> Kernel:
    """``out[0] = fold(x[first:last])``, and what it is so far for each element, if that is `seen`."""
    b = Builder()
    source, target = b.buffer(dtype), b.buffer(dtype, written=True)

    def step(i: Value, before: Value) -> list[Operand]:
        after = b.op(fold, before, b.load(source, i))
        if seen:
            b.store(target, b.op("add", i, i), after)
        return [after]

    (result,) = b.loop(b.first, b.last, step, [(Constant(neutral(fold, dtype), dtype), fold)])
    b.store(target, Constant(0, "i8"), result)
    return b.kernel()


def loop_of(kernel: Kernel) -> Loop:
    (loop,) = (i for i in kernel.body if isinstance(i, Loop))
    return loop


@here
@pytest.mark.parametrize("dtype", HERE)
@pytest.mark.parametrize("fold", EXTREMA)
def test_every_length_and_every_kind_of_number(fold: str, dtype: str) -> None:
    rng = np.random.default_rng(0)
    library = engine.load(engine.to_object(print_kernel(extremum(fold, dtype), "kernel"), verify=True))
    tiny = np.finfo(dtype).smallest_subnormal
    odd = np.array([np.inf, -np.inf, 0.0, -0.0, tiny, -tiny, np.finfo(dtype).max, np.finfo(dtype).min], dtype)
    for n in (*range(40), 63, 64, 65, 127, 128, 1000):
        for numbers in (rng.normal(size=n).astype(dtype), -rng.random(n).astype(dtype), rng.choice(odd, n)):
            out = np.full(1, 7, dtype)
            run(library.address("kernel"), [numbers, out], [], 0, n)
            want = FOLDS[fold](numbers, initial=neutral(fold, dtype))
            np.testing.assert_array_equal(out[0], want)


@here
@pytest.mark.parametrize("dtype", HERE)
@pytest.mark.parametrize("fold", EXTREMA)
def test_nan_of_either_sign_is_the_result_wherever_it_stands(fold: str, dtype: str) -> None:
    library = engine.load(engine.to_object(print_kernel(extremum(fold, dtype), "kernel")))
    for place, sign in itertools.product((0, 1, 31, 64, 99), (1.0, -1.0)):
        x, out = np.arange(-50.0, 50.0).astype(dtype), np.zeros(1, dtype)
        x[place] = np.copysign(np.nan, sign)
        x[(place + 50) % 100] = np.inf * sign
        run(library.address("kernel"), [x, out], [], 0, 100)
        assert np.isnan(out[0])


@here
@pytest.mark.parametrize("dtype", HERE)
def test_of_zeros_the_maximum_has_no_sign_and_the_minimum_has_one(dtype: str) -> None:
    for fold, n in itertools.product(EXTREMA, (2, 5, 64, 101)):
        library = engine.load(engine.to_object(print_kernel(extremum(fold, dtype), "kernel")))
        for place in range(n):
            x, out = np.full(n, -0.0 if fold == "max" else 0.0, dtype), np.ones(1, dtype)
            x[place] = -x[place]
            run(library.address("kernel"), [x, out], [], 0, n)
            assert out[0] == 0
            assert np.signbit(out[0]) == (fold == "min")


@here
def test_the_chain_is_one_instruction() -> None:
    assert "llvm.smax.v" in engine.optimised(print_kernel(extremum("max", HERE[0]), "kernel"))
    assert "maximum" not in print_kernel(extremum("max", HERE[0]), "kernel")


def test_loops_that_stay_as_they_are() -> None:
    numbers = itertools.count(-10, -1)
    for dtype in ("f2", "i4", "u8"):
        assert as_integers(loop_of(extremum("max", dtype)), numbers) is None
    assert as_integers(loop_of(extremum("max", "f4", seen=True)), numbers) is None  # what it is so far is seen
    short = loop_of(extremum("max", "f4"))._replace(start=Constant(0, "i8"), stop=Constant(3, "i8"))
    assert as_integers(short, numbers) is None
    b = Builder()
    source = b.buffer("f4")
    b.loop(b.first, b.last, lambda i, c: [b.op("add", c, b.load(source, i))], [(Constant(0.0, "f4"), "add")])
    assert as_integers(loop_of(b.kernel()), numbers) is None


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_extrema_of_programs(dtype: str) -> None:
    x = np.random.default_rng(1).normal(size=(37, 301)).astype(dtype)
    x[5, 7], x[6, 300], x[9, 0] = np.nan, np.inf, -np.inf
    functions: list[Callable[[Any], Any]] = [
        lambda x: np.max(x, axis=1),
        lambda x: np.min(x, axis=1),
        lambda x: np.max(x[9:]),
        lambda x: np.max(np.abs(x), axis=1) - np.min(x * 2, axis=1),
        lambda x: np.max(x, axis=0, initial=-3.0),
    ]
    for function in functions:
        np.testing.assert_array_equal(fg.jit(function)(x), function(x))


def test_maxima_of_rows_whose_places_are_checked() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(5, 70)), rng.normal(size=5)
    with fg.config.check_memory():  # its instructions, too, are of no kernel
        found = fg.jit(lambda x, y: (x * y[:, None]).max(1))(x, y)
    np.testing.assert_array_equal(found, (x * y[:, None]).max(1))
