"""Do loops and branches mean what JAX's do, under every transformation, nested, and with mistakes in them?"""

from __future__ import annotations

import operator
import signal
import threading
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad import lax
from tests.ops.numerics import assert_near, richardson

X = np.array([0.3, -0.7, 1.1])
A = np.array([[0.2, -0.5, 0.1], [0.7, 0.3, -0.2], [0.1, 0.4, 0.6]])


def recurrent(x: Any) -> Any:
    """A scan with constants, a carry in a pytree, slices and stacked results."""

    def step(carry: Any, u: Any) -> Any:
        h = np.tanh(A @ carry["h"] + u * x)
        return {"h": h, "n": carry["n"] + 1}, np.sum(h * x)

    last, ys = lax.scan(step, {"h": x, "n": 0}, np.linspace(0, 1, 6))
    return np.sum(last["h"]) + np.sum(ys * ys) * last["n"]


def halting(x: Any) -> Any:
    """A while loop whose count depends on the values."""
    return lax.while_loop(
        lambda s: np.sum(s[1] * s[1]) < 4, lambda s: (s[0] + 1, s[1] * 1.3 + 0.1 * np.sin(x)), (0, x)
    )[1].sum()


def counted(x: Any) -> Any:
    """A loop over numbers with a write into an array."""
    return np.sum(lax.fori_loop(1, 4, lambda i, a: a * 0.5 + np.sin(i * x), x) ** 2)


def branching(x: Any) -> Any:
    """A branch with different mathematics on either side."""
    return lax.cond(x[0] > 0.2, lambda x: np.sum(x**3), lambda x: np.sum(np.exp(x)), x)


def switching(x: Any) -> Any:
    """One of three."""
    number = fnp.asarray(np.round(x[2])).astype(np.int64)
    return lax.switch(number, [np.sum, lambda x: np.sum(x * x), lambda x: np.sum(np.cos(x))], x)


def nested(x: Any) -> Any:
    """A while loop in a branch in a scan."""

    def step(c: Any, u: Any) -> Any:
        grown = lax.while_loop(lambda v: v < 3, lambda v: v * 1.7 + 0.1 * u * u, c * c + 0.5)
        return lax.cond(u > 0, lambda: np.sin(grown) + u, lambda: c * u), grown

    last, ys = lax.scan(step, x[0], x)
    return last + np.sum(ys)


FUNCTIONS = [recurrent, halting, counted, branching, switching, nested]
every = pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)


@every
def test_compiled(function: Any) -> None:
    np.testing.assert_allclose(fg.jit(function)(X), function(X), rtol=1e-13)


@every
@pytest.mark.parametrize("compiled", [False, True])
def test_gradient(function: Any, compiled: bool) -> None:
    gradient = fg.grad(function)
    got = (fg.jit(gradient) if compiled else gradient)(X)
    want = [richardson(lambda x: np.asarray(function(x)), (X,), (e,)) for e in np.eye(3)]
    assert_near(got, np.array(want), 1e-8)


@every
def test_forward_agrees_with_reverse(function: Any) -> None:
    _, moved = fg.jvp(function, (X,), (X[::-1].copy(),))
    np.testing.assert_allclose(moved, fg.grad(function)(X) @ X[::-1], rtol=1e-10)


@every
def test_second_order(function: Any) -> None:
    gradient = fg.grad(function)
    forward = np.stack([fg.jvp(gradient, (X,), (e,))[1] for e in np.eye(3)])
    reverse = np.stack([fg.grad(lambda x, k=k: gradient(x)[k])(X) for k in range(3)])
    want = np.stack([richardson(lambda x: np.asarray(gradient(x)), (X,), (e,)) for e in np.eye(3)])
    assert_near(forward, want, 1e-7)
    assert_near(reverse, forward, 1e-9)


@every
@pytest.mark.parametrize("compiled", [False, True])
def test_batches_keep_each_examples_own_way(function: Any, compiled: bool) -> None:
    batch = np.stack([X, 0.5 * X, X[::-1], -X])
    for f in (function, fg.grad(function)):
        vectorised = fg.vmap(f)
        got = (fg.jit(vectorised) if compiled else vectorised)(batch)
        np.testing.assert_allclose(got, np.stack([f(x) for x in batch]), rtol=1e-11)


@every
def test_against_jax(function: Any) -> None:
    jax = pytest.importorskip("jax")
    names = {"np": jax.numpy, "lax": jax.lax, "fnp": jax.numpy, "A": A}
    ported = type(function)(function.__code__, {**globals(), **names}, function.__name__)
    with jax.enable_x64(True):
        np.testing.assert_allclose(function(X), ported(X), rtol=1e-12)
        if function not in (halting, nested):  # JAX has no reverse mode through while_loop
            np.testing.assert_allclose(fg.grad(function)(X), jax.grad(ported)(X), rtol=1e-10)


# Each by itself -----------------------------------------------------------------------------------------------------


def test_scan_without_slices_and_backwards() -> None:
    last, ys = lax.scan(lambda c, _: (c * 2, c), 1, None, length=4)
    assert (int(last), ys.tolist()) == (16, [1, 2, 4, 8])
    last, ys = lax.scan(lambda c, x: (c * 10 + x, c), 0, np.arange(1, 4), reverse=True)
    assert (int(last), ys.tolist()) == (321, [32, 3, 0])
    last, ys = lax.scan(lambda c, x: (c + x, c), 0.5, np.zeros(0))
    assert (float(last), ys.shape) == (0.5, (0,))


def test_a_python_number_takes_the_dtype_that_the_body_gives() -> None:
    last, _ = lax.scan(lambda c, x: (c + x, None), 0.0, np.ones(3, np.float32))
    assert last.dtype == np.float32


def test_carries_of_other_dtypes_and_empty_ones() -> None:
    state = (np.int8(1), np.zeros((0, 2)), True, np.complex64(1j))
    count, empty, flag, z = lax.fori_loop(0, 3, lambda i, s: (s[0] + np.int8(1), s[1], ~s[2], s[3] * s[3]), state)
    assert (count.dtype, int(count), empty.shape, bool(flag), complex(z)) == (np.int8, 4, (0, 2), False, 1)


def test_what_does_not_change_is_not_copied_each_time() -> None:
    big = np.zeros(1_000_000)
    body = fg.jit(lambda big: lax.fori_loop(0, 5, lambda i, s: (s[0] + s[1][i], s[1]), (0.0, big)))
    count, same = body(big)
    assert (float(count), same.shape) == (0, big.shape)
    assert not np.shares_memory(same, big)
    assert body.lower(big).memory_analysis()["temp_size_in_bytes"] < 1000
    until = fg.jit(lambda big: lax.while_loop(lambda s: s[0] < 5 + s[1][0], lambda s: (s[0] + 1, s[1]), (0, big))[0])
    assert int(until(big)) == 5
    assert until.lower(big).memory_analysis()["temp_size_in_bytes"] < 1000


def test_map_in_batches() -> None:
    x = np.arange(14.0).reshape(7, 2)
    for size in (None, 1, 3, 7, 10):
        got = lax.map(lambda row: {"s": np.sum(row), "r": row * 2}, x, batch_size=size)
        assert got["s"].tolist() == x.sum(1).tolist()
        assert got["r"].tolist() == (2 * x).tolist()
        assert type(got["s"]) is type(got["r"]) is fg.Array
        assert not np.shares_memory(lax.map(lambda row: row, x, batch_size=size), x)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 8, 13])
@pytest.mark.parametrize("reverse", [False, True])
def test_associative_scan(n: int, reverse: bool) -> None:
    x = np.random.default_rng(n).normal(size=(2, n))
    got = lax.associative_scan(operator.add, x, reverse=reverse, axis=1)
    want = x[:, ::-1].cumsum(1)[:, ::-1] if reverse else x.cumsum(1)
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)
    matrices = np.random.default_rng(n).normal(size=(n, 2, 2))
    got = lax.associative_scan(lambda a, b: b @ a if reverse else a @ b, matrices, reverse=reverse)
    product = np.eye(2)
    for k in reversed(range(n)) if reverse else range(n):
        product = matrices[k] @ product if reverse else product @ matrices[k]
        np.testing.assert_allclose(got[k], product, rtol=1e-10)


def test_traced_bounds_under_every_transformation() -> None:
    def power(x: Any, n: Any) -> Any:
        return lax.fori_loop(0, n, lambda i, y: y * x, 1.0)

    assert float(fg.jit(power)(1.5, 4)) == 1.5**4
    assert float(fg.jit(fg.grad(power))(1.5, 4)) == pytest.approx(4 * 1.5**3)
    counts = np.array([0, 1, 5])
    assert fg.vmap(power, in_axes=(None, 0))(2.0, counts).tolist() == [1, 2, 32]
    assert fg.jit(fg.vmap(fg.grad(power), in_axes=(None, 0)))(2.0, counts).tolist() == [0, 1, 80]


def test_counting_far_takes_no_memory() -> None:
    fg.make_jaxpr(lambda x: lax.fori_loop(5, 1 << 45, lambda i, c: c + i, x))(1)
    n = (1 << 20) + 5
    assert lax.fori_loop(3, n, lambda i, c: c + i, 0) == sum(range(3, n))
    assert lax.fori_loop(np.uint8(3), 5, lambda i, c: i, np.uint8(0)).dtype == np.uint8

    def decayed(x: Any) -> Any:
        return lax.fori_loop(0, n, lambda i, c: c * (1 - 1e-6) + x * (i < 3), 0.0 * x)

    assert_near(fg.jit(fg.grad(decayed))(2.0), sum((1 - 1e-6) ** (n - 1 - i) for i in range(3)), 1e-9)


def test_switch_clamps_its_index() -> None:
    branches = [lambda: 10, lambda: 20, lambda: 30]
    assert [int(lax.switch(k, branches)) for k in (-5, 0, 1, 2, 9)] == [10, 10, 20, 30, 30]
    assert [int(fg.jit(lambda k: lax.switch(k, branches))(k)) for k in (-5, 1, 9)] == [10, 20, 30]


def test_a_loop_called_with_new_lambdas_compiles_once() -> None:
    from funcgrad.runtime import executable

    for k in range(3):
        assert int(lax.fori_loop(0, 3, lambda i, x: x + 7, k)) == k + 21
    before = executable.executables.cache_info().misses
    lax.fori_loop(0, 3, lambda i, x: x + 7, 5)
    assert executable.executables.cache_info().misses == before


def test_an_index_out_of_bounds_ends_the_loop() -> None:
    x = np.arange(3.0)
    function = fg.jit(lambda n: lax.fori_loop(0, n, lambda i, s: s + fnp.take(x, i), 0.0))
    assert float(function(3)) == 3
    with pytest.raises(IndexError, match=r"out of bounds for axis with size 3\n  at .*test_control.py"):
        function(4)


def endless(x: Any) -> Any:
    return lax.while_loop(lambda x: x[0] < 5, lambda x: (x + 1) % 4 if x.shape[0] > 1 else x % 4, x)


def nearly(x: Any) -> Any:
    """A loop of known length that nobody lives to see the end of, in another one."""

    def once(x: Any, _: Any) -> Any:
        return x % 4 if x.shape[0] == 1 else (x + 1) % 4, None

    def both(x: Any, _: Any) -> Any:
        return lax.scan(once, x, None, length=10**9)[0], None

    return lax.cond(x[0] < 5, lambda x: lax.scan(both, x, None, length=10**5)[0], lambda x: x, x)


def pulled(x: Any) -> Any:
    """The way along a tape and back."""
    return fg.grad(lambda x: lax.while_loop(lambda s: s[1][0] < 5, lambda s: (s[0] % 4, s[1]), (x, x))[0][0])(x) * x


@pytest.mark.parametrize(
    ("function", "size"),
    [(endless, 1), (endless, 5000), (nearly, 1), (nearly, 50000), (pulled, 1)],
    ids=["while", "while of steps", "scans", "scans of steps", "tape"],
)
def test_an_endless_loop_can_be_interrupted(function: Any, size: int) -> None:
    loop = fg.jit(function)
    start = np.zeros(size)
    assert float(loop(start + 7)[0]) == 7  # compiled
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background process ignores the signal
    timer = threading.Timer(0.2, signal.raise_signal, (signal.SIGINT,))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            loop(start)
    finally:
        timer.join()
        signal.signal(signal.SIGINT, handler)
    assert float(loop(start + 9)[0]) == 9


MISTAKES: dict[str, tuple[Any, type[Exception], str]] = {
    "carry dtype": (lambda: lax.scan(lambda c, x: (c * 1.5, x), np.int64(1), np.ones(3)), TypeError, "carry"),
    "carry shape": (
        lambda: lax.scan(lambda c, x: (c[None], x), np.ones(2), np.ones(3)),
        TypeError,
        r"f64\[2\] before .* f64\[1,2\] after",
    ),
    "carry structure": (
        lambda: lax.while_loop(lambda c: c[0] < 3, lambda c: [c[0]], (np.int64(1),)),
        TypeError,
        r"has the structure \[i64\[\]\], where \(i64\[\],\) was passed in\n",
    ),
    "carry leaf": (
        lambda: lax.scan(lambda c, x: ({"a": c["a"], "b": x}, x), {"a": np.int32(1), "c": np.float32(1)}, np.ones(3)),
        TypeError,
        r"{'a': i32\[\], 'b': f64\[\]}, where {'a': i32\[\], 'c': f32\[\]} was .*; \['c'\] is gone; \['b'\] is new",
    ),
    "leaf by its path": (
        lambda: lax.fori_loop(
            0, 2, lambda i, c: {"a": c["a"], "b": c["b"] + 0.5}, {"a": np.int32(1), "b": np.int32(1)}
        ),
        TypeError,
        r"b.* is i32\[\] before and f64\[\] after one iteration: {'a': i32.*'b': i32.*} became {'a': i32.*'b': f64",
    ),
    "unroll": (lambda: lax.scan(lambda c, x: (c, x), 1.0, np.ones(3), unroll=-1), ValueError, "unroll .*not -1"),
    "batches": (lambda: lax.map(lambda x: x, np.ones(3), batch_size=-1), ValueError, "batch_size .*is -1"),
    "operands twice": (lambda: lax.cond(True, lambda x: x, lambda x: x, 1, operand=2), TypeError, "not both"),
    "predicate of text": (lambda: lax.cond("yes", lambda: 1, lambda: 2), TypeError, "cond: the predicate .*'yes'"),
    "no pair": (lambda: lax.scan(lambda c, x: c, 1.0, np.ones(3)), TypeError, r"pair \(carry, y\)"),
    "no length": (lambda: lax.scan(lambda c, x: (c, x), 1.0), ValueError, "length="),
    "lengths": (lambda: lax.scan(lambda c, x: (c, x[0]), 1.0, (np.ones(3), np.ones(4))), ValueError, r"\[3, 4\]"),
    "0-d xs": (lambda: lax.scan(lambda c, x: (c, x), 1.0, 2.0), ValueError, "leading axis"),
    "condition": (lambda: lax.while_loop(lambda x: x * 2, lambda x: x, 1.0), TypeError, "boolean scalar"),
    "predicate": (lambda: lax.cond(np.ones(2) > 0, lambda: 1, lambda: 2), TypeError, "numpy.where"),
    "branch types": (lambda: lax.cond(True, lambda: 1, lambda: 2.0), TypeError, "different types"),
    "branch structures": (lambda: lax.cond(True, lambda: (1,), lambda: 1), TypeError, "different structures"),
    "no branches": (lambda: lax.switch(0, []), ValueError, "at least one branch"),
    "bounds": (lambda: lax.fori_loop(0, 2.5, lambda i, x: x, 1), TypeError, "upper must be an integer"),
    "not a function": (lambda: lax.scan(3, 1.0, np.ones(2)), TypeError, "function"),
    "leaf": (lambda: lax.while_loop(lambda x: True, lambda x: x, "text"), TypeError, "while_loop"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name: str) -> None:
    call, error, message = MISTAKES[name]
    with pytest.raises(error, match=message) as caught:
        call()
    assert "test_control.py" in str(caught.value)
