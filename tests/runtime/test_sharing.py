"""Are loops over examples shared out over threads, with each piece's temporaries its own?"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad import lax
from funcgrad.lower.plan import make_plan
from funcgrad.lower.schedule import KernelStep
from funcgrad.lower.structured import Structured
from funcgrad.runtime import structured
from funcgrad.simplify import simplify

EXAMPLES = 600
RNG = np.random.default_rng(7)
X = RNG.uniform(0.2, 0.9, EXAMPLES)
COUNTS = RNG.integers(0, 60, EXAMPLES)
ROWS = RNG.normal(size=(EXAMPLES, 5))
SQUARES = RNG.normal(size=(EXAMPLES, 12, 12)) / 6


@pytest.fixture(params=[1, 2, 5])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = fg.get_num_threads()
    fg.set_num_threads(request.param)
    yield request.param
    fg.set_num_threads(before)


def chunks(function: Callable[..., Any], *args: Any) -> list[int]:
    """The pieces' lengths of the steps of a program, where they have memory of their own."""
    steps = make_plan(simplify(fg.make_jaxpr(function)(*args))).steps
    return [
        s.chunk for s in steps if (isinstance(s, KernelStep) and s.apart) or (isinstance(s, Structured) and s.chunk)
    ]


def ragged(x: Any, n: Any) -> Any:
    """Another number of steps for each example, through an array of its own."""
    step = lambda c: (c[0] + 1, fnp.roll(c[1], 1) * 0.9 + fnp.sin(c[1] * x))  # noqa: E731
    return lax.while_loop(lambda c: c[0] < n, step, (0, fnp.arange(24.0) * x))[1]


def branching(x: Any, n: Any) -> Any:
    return lax.cond(n % 3 == 0, lambda: ragged(x, n).sum(), lambda: lax.fori_loop(0, 20, lambda i, c: c * x + i, x))


def rounded(x: Any, n: Any) -> Any:
    """Complex numbers, integers and booleans in the carry."""

    def step(c: Any) -> Any:
        k, z, odd = c
        return k + 1, z * z + x, ~odd

    k, z, odd = lax.while_loop(lambda c: (c[0] < n) & (abs(c[1]) < 2), step, (0, x * 0j, False))
    return k * 1.0 + z.real - z.imag + odd


def squared(a: Any, n: Any) -> Any:
    """Products of a library, as often as the example says."""
    return lax.while_loop(lambda c: c[0] < n, lambda c: (c[0] + 1, fnp.tanh(c[1] @ a)), (0, a))[1]


CASES: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "ragged": (ragged, (X, COUNTS)),
    "gradient": (fg.grad(lambda x, n: ragged(x, n).sum()), (X, COUNTS)),
    "second": (fg.grad(fg.grad(lambda x, n: ragged(x, n).sum())), (X, COUNTS)),
    "branching": (branching, (X, COUNTS)),
    "complex": (rounded, (X - 1.1, COUNTS)),
    "products": (squared, (SQUARES, COUNTS % 7)),
    "products' gradient": (fg.grad(lambda a, n: squared(a, n).sum()), (SQUARES, COUNTS % 7)),
}


@pytest.mark.parametrize("name", CASES)
def test_every_number_of_threads_gives_the_same(name: str, threads: int) -> None:
    function, args = CASES[name]
    many = fg.jit(fg.vmap(function))
    assert any(chunks(fg.vmap(function), *args))
    found = [many(*args) for _ in range(3)]
    one = fg.jit(function)
    expected = np.stack([one(*example) for example in zip(*args, strict=True)])
    for again in found:
        np.testing.assert_array_equal(again, found[0])
    np.testing.assert_allclose(found[0], expected, rtol=1e-9, atol=1e-12)


def shared_weights(w: Any, x: Any, n: Any) -> Any:
    """One example of many that read the same weights."""
    step = lambda c: (c[0] + 1, fnp.tanh(c[1] * w["scale"] + w["rows"] @ c[1]))  # noqa: E731
    return lax.while_loop(lambda c: c[0] < n, step, (0, w["start"] * x))[1].sum()


@pytest.mark.parametrize("count", [1, 31, 32, 33, 200, EXAMPLES])
def test_sums_over_examples(count: int, threads: int) -> None:
    """The gradient by what all examples read adds up over blocks of them."""
    w = {"scale": np.float64(0.7), "rows": RNG.normal(size=(3, 3)) / 3, "start": RNG.normal(size=3)}
    x, counts = X[:count], COUNTS[:count]
    loss = lambda w, x, n: fnp.sum(fg.vmap(shared_weights, (None, 0, 0))(w, x, n) ** 2)  # noqa: E731
    slope = fg.jit(fg.value_and_grad(loss))
    assert len(chunks(fg.grad(loss), w, x, counts)) == 2 or count < 64
    value, found = slope(w, x, counts)
    each = fg.jit(fg.value_and_grad(lambda w, x, n: shared_weights(w, x, n) ** 2))
    values, slopes = zip(*(each(w, *example) for example in zip(x, counts, strict=True)), strict=True)
    np.testing.assert_allclose(value, sum(values), rtol=1e-13)
    for name in w:
        np.testing.assert_allclose(found[name], sum(s[name] for s in slopes), rtol=1e-11, atol=1e-13)
    again = slope(w, x, counts)[1]
    assert all(np.array_equal(found[name], again[name]) for name in w)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_loop_that_adds_up_keeps_its_results_in_order(reverse: bool) -> None:
    def body(total: Any, x: Any) -> Any:
        z = lax.while_loop(lambda z: z < 3, lambda z: z * 1.5, abs(x) + 0.1)
        return total + z, (z, x)

    run = fg.jit(lambda start, xs: lax.scan(body, start, xs, reverse=reverse))
    for xs in (ROWS[:, 0], ROWS[:100, 0], ROWS[:30, 0]):
        total, (z, same) = run(2.5, xs)
        expected = np.abs(xs) + 0.1
        while (expected < 3).any():
            expected = np.where(expected < 3, expected * 1.5, expected)
        np.testing.assert_array_equal(z, expected)
        np.testing.assert_array_equal(same, xs)
        np.testing.assert_allclose(total, 2.5 + expected.sum(), rtol=1e-14)


@pytest.mark.parametrize("reverse", [False, True])
def test_what_is_told_of_a_loop_that_adds_up_comes_in_order(reverse: bool) -> None:
    seen: list[float] = []

    def body(total: Any, x: Any) -> Any:
        fg.debug.callback(lambda x: seen.append(float(x)), x, ordered=True)
        return total + lax.while_loop(lambda z: z < 3, lambda z: z * 1.5, x), None

    xs = np.linspace(0.1, 2, 50)
    fg.jit(lambda xs: lax.scan(body, 0.0, xs, reverse=reverse)[0])(xs)
    assert seen == list(xs[::-1] if reverse else xs)


def test_few_examples_are_not_shared() -> None:
    assert not any(chunks(fg.vmap(ragged), X[:3], COUNTS[:3]))
    assert not chunks(lambda x: lax.scan(lambda c, x: (c + x, c * 2), 0.0, x)[1], np.zeros(100_000))


def test_loops_over_examples_in_a_loop(threads: int) -> None:
    def repeated(x: Any, n: Any) -> Any:
        return lax.fori_loop(0, 3, lambda i, x: fg.vmap(ragged)(x, n).mean(axis=1) * 0.01 + x, x)

    found = fg.jit(repeated)(np.tile(X, 20), np.tile(COUNTS, 20))
    x = np.tile(X, 20)
    for _ in range(3):
        x = fg.jit(fg.vmap(ragged))(x, np.tile(COUNTS, 20)).mean(axis=1) * 0.01 + x
    np.testing.assert_allclose(found, x, rtol=1e-12)


def test_map_backwards_and_in_nests(threads: int) -> None:
    def inner(row: Any) -> Any:
        return lax.map(lambda x: lax.while_loop(lambda c: c < 40, lambda c: c * 1.5 + abs(x), 1.0 + abs(x)), row)

    found = fg.jit(lambda rows: lax.scan(lambda c, row: (c, inner(row)), None, rows, reverse=True)[1])(ROWS)
    expected = np.zeros_like(ROWS)
    for place in itertools.product(*map(range, ROWS.shape)):
        c = 1.0 + abs(ROWS[place])
        while c < 40:
            c = c * 1.5 + abs(ROWS[place])
        expected[place] = c
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_tape_beyond_memory_on_any_thread(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(structured, "memory_limit", lambda: 1 << 20)
    slope = fg.jit(fg.vmap(fg.grad(lambda x, n: ragged(x * 1.0625, n).sum())))
    counts = COUNTS.copy()
    counts[-1] = 10_000_000
    with pytest.raises(MemoryError, match="the tape of a while_loop under differentiation outgrew the memory"):
        slope(X, counts)
    counts[-1] = 3
    assert slope(X, counts).shape == X.shape


@pytest.fixture
def heeded() -> Iterator[None]:
    """Ctrl-C raises, in processes of the background too, which are born to ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("endless", [slice(0, 1), slice(-1, None), slice(None)], ids=["the first", "the last", "all"])
@pytest.mark.parametrize("steps", ["kernel", "table"])
def test_ctrl_c_while_any_thread_is_busy(endless: slice, steps: str, heeded: None) -> None:
    """The caller may have done its pieces, and waits for a thread that will never have done its own."""
    before = fg.get_num_threads()
    fg.set_num_threads(2)
    function, args = {"kernel": (ragged, X), "table": (squared, SQUARES)}[steps]
    many = fg.jit(fg.vmap(function))
    counts = COUNTS % 7
    expected = many(args, counts)
    forever = counts.copy()
    forever[endless] = np.iinfo(np.int64).max
    alarm = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    alarm.start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt, match="a loop was interrupted"):
        many(args, forever)
    alarm.join()
    assert time.monotonic() - began < 30
    np.testing.assert_array_equal(many(args, counts), expected)
    fg.set_num_threads(before)


def test_steps_of_a_body_alone_start_the_threads() -> None:
    """A training loop in `scan` ran on one thread, unless another program had started them."""
    source = """
import threading
import numpy as np
import funcgrad as fg
fg.set_num_threads(2)
x = np.ones(400_000)
fg.jit(lambda x: x + 1)(np.ones(3))
assert not [t for t in threading.enumerate() if t.name == "funcgrad-1"]
fg.jit(lambda x: fg.lax.fori_loop(0, 2, lambda i, x: np.sin(np.cos(np.tanh(x))), x))(x)
assert [t for t in threading.enumerate() if t.name == "funcgrad-1"]
"""
    subprocess.run([sys.executable, "-c", source], check=True)
