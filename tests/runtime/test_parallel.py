"""Do threads call, trace and compile at once without getting in each other's way, and does Python run meanwhile?"""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.compile.native import hosts, sorting

THREADS = 32
RNG = np.random.default_rng(0)


def at_once(work: Callable[[int], Any], threads: int = THREADS) -> list[Any]:
    """What each thread's work gives; all begin together, and none may fail."""
    start = threading.Barrier(threads)

    def begin(number: int) -> Any:
        start.wait()
        return work(number)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(begin, range(threads)))


def loss(w: Any, x: Any) -> Any:
    return np.sum(np.tanh(x @ w) ** 2) + np.sum(np.cumsum(w))


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = fg.get_num_threads()
    fg.set_num_threads(2)
    yield
    fg.set_num_threads(before)


def test_first_calls_of_one_function(two_threads: None) -> None:
    traced: list[int] = []

    def counted(w: Any, x: Any) -> Any:
        traced.append(threading.get_ident())
        return loss(w, x)

    function = fg.jit(fg.value_and_grad(counted))
    w, x = RNG.normal(size=(5, 3)), RNG.normal(size=(THREADS, 4, 5))
    found = at_once(lambda k: function(w, x[k]))
    count = len(traced)
    assert 1 <= count <= THREADS
    for k, (value, slope) in enumerate(found):
        expected, expected_slope = fg.value_and_grad(loss)(w, x[k])
        np.testing.assert_allclose(value, expected)
        np.testing.assert_allclose(slope, expected_slope)
    again = at_once(lambda k: function(w, x[k]))
    for (value, slope), (first, first_slope) in zip(again, found, strict=True):
        assert value == first
        np.testing.assert_array_equal(slope, first_slope)
    before = len(traced)
    function(w, x[0])
    assert len(traced) == before


def test_different_functions_transformed_at_once() -> None:
    ways = [
        lambda k, x: (fg.grad(lambda x: np.sum(np.sin(x * k)))(x), k * np.cos(x * k)),
        lambda k, x: (fg.vmap(lambda row: np.sum(row * k))(x), x.sum(axis=1) * k),
        lambda k, x: (fg.jvp(lambda x: x * x * k, (x,), (x,))[1], 2 * k * x * x),
        lambda k, x: (fg.lax.fori_loop(0, 3, lambda i, c: c + x * k, x * 0), 3 * k * x),
        lambda k, x: (fg.jit(fg.grad(fg.jit(lambda x: np.sum(x**2 * k))))(x), 2 * k * x),
    ]

    def work(number: int) -> None:
        x = np.random.default_rng(number).normal(size=(3, number % 5 + 2))
        for turn in range(len(ways)):
            found, expected = ways[(number + turn) % len(ways)](float(number), x)
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)

    at_once(work)


def test_large_calls_share_the_workers(two_threads: None) -> None:
    function = fg.jit(lambda x: (np.tanh(x) * 2, np.sum(x)))
    inputs = [RNG.normal(size=70_000) for _ in range(4)]
    alone = [function(x) for x in inputs]

    def work(number: int) -> None:
        for turn in range(6):
            k = (number + turn) % len(inputs)
            many, total = function(inputs[k])
            assert total == alone[k][1]
            np.testing.assert_array_equal(many, alone[k][0])

    at_once(work, 8)


def test_the_number_of_threads_changes_meanwhile(two_threads: None) -> None:
    function, x = fg.jit(lambda x: np.sum(np.sin(x))), np.linspace(0.0, 1.0, 100_000)
    expected = function(x)

    def work(number: int) -> None:
        for turn in range(8):
            if number == 0:
                fg.set_num_threads(turn % 4 + 1)
            assert function(x) == expected

    at_once(work, 6)


def test_everything_is_forgotten_meanwhile() -> None:
    function, x = fg.jit(fg.grad(lambda x: np.sum(np.sin(x) ** 2))), np.linspace(0.0, 1.0, 50)
    expected = function(x)

    def work(number: int) -> None:
        for turn in range(4):
            if number == turn:
                fg.clear_caches()
            np.testing.assert_array_equal(function(x), expected)

    at_once(work, 8)


def test_errors_stay_in_their_threads() -> None:
    function, x = fg.jit(lambda x, i: x[i]), np.arange(4.0)

    def work(number: int) -> None:
        for _ in range(10):
            if number % 2:
                with pytest.raises(IndexError):
                    function(x, 7)
            else:
                assert function(x, number % 4) == number % 4

    at_once(work)


def test_python_runs_during_a_call() -> None:
    x = np.full(1_000, 1e-3)

    def spin(n: Any) -> Any:
        return fg.lax.fori_loop(0, n, lambda i, c: np.sin(c) + x, x)

    function = fg.jit(spin)
    function(1)
    running = threading.Thread(target=function, args=(20_000,))
    running.start()
    turns = 0
    while running.is_alive():
        turns += 1
    assert turns > 1_000  # a call that held Python's lock would leave a turn or two


def test_a_function_called_from_another_ones_callback() -> None:
    inner = fg.jit(lambda x: x * 3)
    outer = fg.jit(lambda x: fg.pure_callback(inner, fg.ShapeDtypeStruct((), np.float64), x) + 1)
    assert at_once(lambda k: float(outer(float(k))), 8) == [3.0 * k + 1 for k in range(8)]


def test_code_that_a_program_calls_stays_when_threads_have_made_it_twice() -> None:
    for make in (hosts._library, sorting.sort_address):
        function = fg.jit(lambda x: np.sort(fg.pure_callback(np.negative, fg.ShapeDtypeStruct((3,), np.float64), x)))
        x = np.array([1.0, 3.0, 2.0])
        expected = function(x)
        make.cache_clear()  # as if another thread's had taken the place
        gc.collect()
        np.testing.assert_array_equal(function(x), expected)
