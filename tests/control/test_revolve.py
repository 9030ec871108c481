"""Do loops that keep a few carries have the same derivatives, with the memory and the work that is promised?"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax
from funcgrad.control import revolve

W = np.array([[0.2, -0.5, 0.1], [0.7, 0.3, -0.2], [0.1, 0.4, 0.6]])
X = np.array([0.3, -0.7, 1.1])
WAYS = [1, 5, 100, "sqrt", "binomial"]


def recurrent(n: int, checkpoint: Any, reverse: bool = False) -> Any:
    """A scan with a constant, slices, results, and a carry of which a part is an integer."""

    def f(w: Any, x: Any, u: Any) -> Any:
        def step(carry: Any, u: Any) -> Any:
            k, c = carry
            c = np.tanh(w @ c + u * np.sin(k))
            return (k + 1, c), c[0] * u

        (_, last), ys = lax.scan(step, (0, x), u, reverse=reverse, checkpoint=checkpoint)
        return np.sum(last) + np.sum(ys * ys)

    return f, (W, X, np.random.default_rng(n).normal(size=n))


def growing(checkpoint: Any) -> Any:
    """A while loop whose count depends on its argument."""

    def f(w: Any, x: Any) -> Any:
        state = lax.while_loop(
            lambda s: np.sum(s[1] * s[1]) < 50,
            lambda s: (s[0] + 1, s[1] * 1.1 + 0.05 * np.sin(w @ s[1])),
            (0, x),
            checkpoint=checkpoint,
        )
        return np.sum(np.cos(state[1])) * state[0]

    return f, (W, X)


def counted(checkpoint: Any) -> Any:
    """A fori_loop whose bound is traced."""

    def f(w: Any, x: Any) -> Any:
        bound = (x[0] * 40).astype(np.int64)
        return np.sum(lax.fori_loop(1, bound, lambda i, c: np.tanh(w @ c + i), x, checkpoint=checkpoint) ** 2)

    return f, (W, X)


def same(one: Any, other: Any) -> None:
    for a, b in zip(fg.tree.leaves(one), fg.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(("n", "reverse"), [(0, False), (1, False), (2, True), (13, False), (13, True), (100, False)])
def test_scans_have_the_same_values_and_gradients(n: int, reverse: bool) -> None:
    f, args = recurrent(n, None, reverse)
    want = fg.jit(fg.value_and_grad(f, (0, 1, 2)))(*args)
    for way in WAYS:
        g, _ = recurrent(n, way, reverse)
        same(fg.jit(fg.value_and_grad(g, (0, 1, 2)))(*args), want)
        assert float(g(*args)) == float(f(*args))


@pytest.mark.parametrize("make", [lambda way: recurrent(11, way), growing, counted], ids=["scan", "while", "fori"])
def test_under_every_transformation(make: Any) -> None:
    (f, args), (g, _) = make(None), make("binomial")
    w, x, *rest = args

    def results(h: Any) -> Any:
        slope = fg.grad(h, 1)
        batch, axes = np.stack([X, 0.5 * X, 0.9 * X]), (None, 0, *(None for _ in rest))
        return (
            fg.jvp(h, args, args),
            fg.jvp(lambda x: slope(w, x, *rest), (x,), (X[::-1].copy(),)),
            fg.grad(lambda x: slope(w, x, *rest)[0])(x),
            fg.vmap(fg.value_and_grad(h), axes)(w, batch, *rest),
            fg.grad(lambda x: np.sum(fg.vmap(h, axes)(w, x, *rest)))(batch),
        )

    same(fg.jit(lambda: results(g))(), fg.jit(lambda: results(f))())
    same(fg.grad(g, 1)(*args), fg.grad(f, 1)(*args))


def test_mixed_with_checkpoint_and_nested() -> None:
    def nested(way: Any) -> Any:
        def inner(x: Any) -> Any:
            return lax.scan(lambda c, u: (np.sin(c) * u, None), x, np.linspace(0.5, 1, 9), checkpoint=way)[0]

        return lambda x: np.sum(lax.fori_loop(0, 5, lambda i, c: fg.checkpoint(inner)(c) + 1, x, checkpoint=way))

    want = fg.grad(nested(None))(X)
    for way in (2, "sqrt", "binomial"):
        same(fg.jit(fg.grad(nested(way)))(X), want)


def temporaries(n: int, way: Any) -> int:
    """Bytes of the buffers of a gradient through `n` iterations that carry 200 numbers."""

    def f(x: Any) -> Any:
        return np.sum(lax.scan(lambda c, _: (np.sin(c) * 0.9 + c, None), x, length=n, checkpoint=way)[0])

    return int(fg.jit(fg.grad(f)).lower(np.ones(200)).memory_analysis()["temp_size_in_bytes"])


def test_memory_grows_as_the_root_or_the_logarithm() -> None:
    carry = 200 * 8
    assert temporaries(10_000, None) > 10_000 * carry
    assert temporaries(10_000, "sqrt") < 6 * 100 * carry
    assert temporaries(10_000, 1000) < 3 * 1000 * carry
    few = [temporaries(n, "binomial") for n in (100, 10_000, 1_000_000)]
    assert few[2] < 60 * carry
    assert few[1] - few[0] < 3 * math.log2(100) * carry
    assert few[2] - few[1] < 3 * math.log2(100) * carry


def test_what_is_saved_for_the_backward_pass() -> None:
    f, args = recurrent(1000, None)
    g, _ = recurrent(1000, "binomial")
    inputs = sum(np.asarray(a).nbytes for a in args)
    assert fg.debug.saved_residuals(f)(*args).bytes > 1000 * X.nbytes
    assert fg.debug.saved_residuals(g)(*args).bytes < inputs + 1000 * 8 + 1000  # the results, which f squares


def test_each_iteration_is_run_no_more_often_than_promised() -> None:
    runs: list[int] = []

    def f(x: Any) -> Any:
        def step(c: Any, i: Any) -> Any:
            fg.debug.callback(lambda i: runs.append(int(i)), i)
            return np.sin(c) + i, None

        return lax.scan(step, x, np.arange(64), checkpoint="binomial")[0]

    fg.jit(fg.grad(f))(0.5)
    kept = revolve.enough(64)
    rounds = next(r for r in range(64) if math.comb(kept + r, kept) >= 64)
    counts = np.bincount(runs, minlength=64)
    assert counts.max() <= rounds + 1  # once forward
    assert counts.min() >= 1
    assert len(runs) < 64 * (rounds + 1)


def test_the_table_is_the_binomials() -> None:
    table = revolve.reach(3, 20)
    assert table[3].tolist() == [0, 1, 4, 10, 20]
    assert table[1].tolist() == [0, 1, 2, 3, 4]
    assert revolve.reach(2, revolve.MANY).shape == (3, revolve.MOST_ROUNDS + 1)  # and does not grow without end


def test_a_few_carries_for_many_iterations() -> None:
    def f(x: Any, n: Any, way: Any) -> Any:
        return lax.fori_loop(0, n, lambda i, c: c + 0.01 * np.sin(c), x, checkpoint=way)

    gradient = fg.jit(fg.grad(f), static_argnums=2)
    for n in (0, 1, 31, 33, 5000):
        same(gradient(0.7, n, "binomial"), gradient(0.7, n, None))


@pytest.mark.parametrize("way", [0, -1, "all", 1.5, True, "sqrt2"])
def test_mistakes(way: Any) -> None:
    with pytest.raises(ValueError, match=r"scan: checkpoint must be None, a number of iterations.*not"):
        lax.scan(lambda c, x: (c, None), 1.0, np.ones(3), checkpoint=way)
    with pytest.raises(ValueError, match=r'while_loop: checkpoint must be None or "binomial", not'):
        lax.while_loop(lambda c: c < 3, lambda c: c + 1, 1.0, checkpoint=way)
