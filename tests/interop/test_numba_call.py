"""Are functions of Numba's called by programs, in loops, batches and derivatives, as they would be by themselves?"""

from __future__ import annotations

import ctypes
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numba
import numpy as np
import pytest

import funcgrad as fg
from funcgrad.interop import numba_call


@numba.njit
def running(x):
    y = x.copy()
    for k in range(1, len(y)):
        y[k] = max(y[k], 0.5 * y[k - 1])
    return y


@numba.njit
def cube(x):
    return x * x * x


@numba.njit
def checked(x):
    if x < 0:
        raise ValueError("a negative number")
    if x > 100:
        raise OverflowError
    return np.sqrt(x)


class Pair(NamedTuple):
    low: Any
    high: Any


@numba.njit
def limits(x, pair, k):
    return Pair(x[k] * pair.low, x * pair.high), k + 1


X = np.random.default_rng(0).normal(size=(4, 5))
F8 = np.float64


def test_a_call_outside_of_traces_is_numbas():
    np.testing.assert_array_equal(fg.numba_call(running, X[0], X[0]), running(X[0]))
    found = fg.numba_call(cube, F8, 3.0)
    assert found == 27
    assert isinstance(found, fg.Array)


def test_a_function_that_writes_gets_copies():
    @numba.njit
    def first(x, pair):
        x[0] = pair[0][1]
        return x

    x = np.arange(3.0)
    f = fg.jit(lambda x: fg.numba_call(first, x, x, (x, 1.0)) + x)
    for function in (f, fg.vmap(f)):
        given = np.stack([x, x]) if function is not f else x
        np.testing.assert_array_equal(function(given), given * 2 + [1, 0, 0])
        np.testing.assert_array_equal(given[..., 0], 0)


def test_a_function_with_given_signatures():
    twice = numba.njit("f8[:](f8[:])")(lambda x: 2 * x)
    np.testing.assert_array_equal(fg.jit(lambda x: fg.numba_call(twice, x, x))(X[0]), 2 * X[0])
    with pytest.raises(TypeError, match=r"Numba compiled <lambda> for .*1, 'A'.*, not for"):
        fg.jit(lambda x: fg.numba_call(twice, x, x))(X)
    with pytest.raises(TypeError, match="cannot take or return float16: Numba does not have it"):
        fg.numba_call(twice, np.float16(1), np.float16(1))


@pytest.mark.parametrize("out_type", [X[0], fg.ShapeDtypeStruct((5,), F8), lambda x: x])
def test_a_program_calls_natively(out_type):
    f = fg.jit(lambda x: 2 * fg.numba_call(running, out_type, x + 1) + 1)
    np.testing.assert_array_equal(f(X[0]), 2 * running(X[0] + 1) + 1)
    assert fg.cfunc(f, (X[0],)).address  # which is refused where Python is called


@pytest.mark.parametrize("out_type", [float, F8, "f8", np.dtype("f8"), fg.ShapeDtypeStruct((), F8), 0.0 * X[0, 0]])
def test_a_number_is_promised_by_its_dtype(out_type):
    assert fg.jit(lambda x: fg.numba_call(cube, out_type, x))(2.0) == 8


def test_other_sizes_use_the_same_code():
    f = fg.jit(lambda x: fg.numba_call(running, x, x))
    f(X[0])
    before = len(running.nopython_signatures)
    for n in (1, 2, 7, 300):
        x = np.linspace(3, -3, n)
        np.testing.assert_array_equal(f(x), running(x))
    assert len(running.nopython_signatures) == before


def test_tuples_and_several_results():
    def f(x, k):
        pair, after = fg.numba_call(limits, lambda x, p, k: (Pair(F8, x), np.int64), x, Pair(2.0, x[0]), k)
        return pair.low + after, pair.high

    for run in (f, fg.jit(f)):
        low, high = run(X[0], np.int64(2))
        assert low == X[0, 2] * 2 + 3
        np.testing.assert_array_equal(high, X[0] * X[0, 0])


DTYPES = ["f4", "i1", "b1", "c16"]


@numba.njit
def turned(x, s):
    return x[::-1], s


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes(dtype):
    x = np.array([0, 1, 5]).astype(dtype)

    def f(x):
        return fg.numba_call(turned, (x, x.dtype), x, x[1])

    for run in (f, fg.jit(f)):
        y, s = run(x)
        np.testing.assert_array_equal(y, x[::-1])
        assert (y.dtype, s.dtype, s) == (x.dtype, x.dtype, x[1])


def test_known_numbers_and_constants_are_operands():
    f = fg.jit(lambda x: fg.numba_call(limits, (Pair(F8, x), np.int64), x, Pair(2.0, np.float64(3)), 1))
    pair, after = f(X[0])
    assert (pair.low, after) == (X[0, 1] * 2, 2)
    np.testing.assert_array_equal(pair.high, X[0] * 3)
    constant = np.arange(3.0)
    np.testing.assert_array_equal(fg.jit(lambda: fg.numba_call(running, constant, constant) + 1)(), constant + 1)


def test_loops_and_branches():
    def scanned(xs):
        return fg.lax.scan(lambda c, x: (fg.numba_call(running, c, c + x), c[0]), np.zeros(5), xs)

    carry, firsts = fg.jit(scanned)(X)
    expected = np.zeros(5)
    for k in range(4):
        assert firsts[k] == expected[0]
        expected = running(expected + X[k])
    np.testing.assert_array_equal(carry, expected)
    loop = fg.jit(lambda x: fg.lax.while_loop(lambda c: c < 1e6, lambda c: fg.numba_call(cube, float, c), x))
    assert loop(2.0) == 2.0**27
    branch = fg.jit(lambda x: fg.lax.cond(x > 0, lambda x: fg.numba_call(cube, float, x), lambda x: x, x))
    assert (branch(2.0), branch(-2.0)) == (8, -2)


@numba.njit
def mixed(x, y, s):
    return x * y[0] + s


def batches(run):
    twice = fg.vmap(fg.vmap(lambda x: fg.numba_call(running, x, x)))
    deep = np.random.default_rng(1).normal(size=(3, 4, 5))
    np.testing.assert_array_equal(run(twice)(deep), [[running(x) for x in part] for part in deep])

    def one(x, y, s):
        return fg.numba_call(mixed, x, x, y, s)

    ys, ss = np.arange(6.0).reshape(3, 2), np.arange(4.0)
    outer = fg.vmap(fg.vmap(one, (0, None, 0)), (None, 0, None))
    expected = [[mixed(x, y, s) for x, s in zip(X, ss, strict=True)] for y in ys]
    np.testing.assert_array_equal(run(outer)(X, ys, ss), expected)
    other = fg.vmap(fg.vmap(one, (None, None, 0)), (0, None, None))
    np.testing.assert_array_equal(run(other)(X, ys[1], ss), [[mixed(x, ys[1], s) for s in ss] for x in X])
    assert run(fg.vmap(lambda x: fg.numba_call(running, x, x)))(np.zeros((0, 5))).shape == (0, 5)


@pytest.mark.parametrize("run", [lambda f: f, fg.jit], ids=["eager", "compiled"])
def test_a_batch_is_a_loop(run):
    batches(run)


# Failures ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("run", [lambda f: f, fg.jit], ids=["eager", "compiled"])
def test_what_it_raises_reaches_the_caller(run):
    f = run(lambda x: fg.numba_call(checked, float, x))
    assert f(4.0) == 2
    with pytest.raises(ValueError, match="a negative number"):
        f(-1.0)
    with pytest.raises(OverflowError):
        f(101.0)
    assert f(9.0) == 3


def test_a_failure_has_the_users_line_also_in_loops_and_from_c():
    def loop(x):
        return fg.lax.fori_loop(0, 5, lambda k, c: fg.numba_call(checked, float, c) - 1, x)

    with pytest.raises(ValueError, match=r"a negative number\n.*test_numba_call"):
        fg.jit(loop)(4.0)
    native = fg.cfunc(loop, (4.0,))
    out = ctypes.c_double()
    with pytest.raises(ValueError, match=r"a negative number\n.*test_numba_call"):
        native.check(native.ctypes(4.0, ctypes.addressof(out)))
    assert native.ctypes(100.0, ctypes.addressof(out)) > 0


def test_threads_have_errors_of_their_own():
    named = numba.njit(lambda x: np.zeros(2)[int(x) :][0] if x < 2 else np.ones(3).reshape(int(x), 9)[0, 0])
    f = fg.jit(lambda x: fg.numba_call(named, float, x))
    f(0.0)

    def work(k):
        with pytest.raises(ValueError, match="total size of new array"):
            f(float(k + 2))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(20)))


@pytest.mark.parametrize("run", [lambda f: f, fg.jit], ids=["eager", "compiled"])
def test_another_shape_than_promised(run):
    f = run(lambda x: fg.numba_call(running, fg.ShapeDtypeStruct((4,), F8), x))
    with pytest.raises(ValueError, match="running returned another shape than out_type promises"):
        f(X[0])


MISTAKES = {
    "not Numba's": (lambda: fg.numba_call(np.sin, float, 1.0), "takes a function decorated with numba.njit"),
    "a primitive of something else": (lambda: fg.numba_primitive(np.sin, out_type=float), "decorated with numba.njit"),
    "no type": (lambda: fg.numba_call(cube, "nonsense", 1.0), "out_type takes arrays"),
    "another dtype": (
        lambda: fg.numba_call(cube, np.int64, 1.0),
        "cube returns float64, where out_type promises int64",
    ),
    "another rank": (lambda: fg.numba_call(running, float, X[0]), r"running returns array\(float64, 1d"),
    "another structure": (lambda: fg.numba_call(cube, (float, float), 1.0), r"cube returns float64 at \[0\]"),
    "an argument": (lambda: fg.numba_call(cube, float, {"a": 1.0}), "tuples of them, not dict"),
    "what Numba cannot do": (lambda: fg.numba_call(running, float, 1.0), "Numba cannot compile running"),
    "a dtype": (lambda: fg.numba_call(running, X[0], np.ones(2).astype(fg.numpy.bfloat16)), "Numba does not have it"),
    "rules": (lambda: fg.numba_primitive(cube, out_type=float).defvjp(1), "defvjp takes functions"),
    "a rule": (lambda: fg.numba_primitive(cube, out_type=float).defjvp(1), "defjvp takes a function"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told(name):
    run, message = MISTAKES[name]
    with pytest.raises(TypeError, match=message):
        run()


# Derivatives ---------------------------------------------------------------------------------------------------------


def test_a_call_has_no_derivative():
    def f(x):
        return fg.numba_call(cube, float, x)

    for run in (fg.grad(f), fg.grad(fg.jit(f)), lambda x: fg.jvp(f, (x,), (x,))):
        with pytest.raises(ValueError, match="wrap cube with numba_primitive"):
            run(1.0)
    assert fg.grad(lambda x: x * f(fg.stop_gradient(x)))(2.0) == 8


def slope(x):
    return 3 * x * x


def traced_rules(p):
    p.defvjp(lambda x: (p(x), x), lambda x, ct: (3 * x * x * ct,))


def traced_pullback(p):
    p.defvjp(lambda ct, y, x: 3 * x * x * ct)


def numba_pullback(p):
    p.defvjp(numba.njit(lambda ct, y, x: 3 * x * x * ct))


def traced_push(p):
    p.defjvp(lambda primals, tangents: (p(*primals), 3 * primals[0] ** 2 * tangents[0]))


REVERSE = [traced_rules, traced_pullback, numba_pullback, traced_push]


@pytest.mark.parametrize("define", REVERSE)
def test_reverse_rules_in_either_style(define):
    p = fg.numba_primitive(cube, out_type=float)
    define(p)

    def f(x):
        return np.sin(p(x) * 2)

    expected = np.cos(2 * 1.5**3) * 2 * 3 * 1.5**2
    assert f(1.5) == np.sin(2 * 1.5**3)
    for run in (fg.grad(f), fg.jit(fg.grad(f)), fg.grad(fg.jit(f))):
        assert run(1.5) == pytest.approx(expected, rel=1e-14)
    xs = np.array([0.5, 1.0, 1.5])
    np.testing.assert_allclose(fg.jit(fg.vmap(fg.grad(p)))(xs), slope(xs), rtol=1e-14)

    def loop(x):
        return fg.lax.fori_loop(0, 3, lambda k, c: p(c) * 0.9, x)

    assert fg.jit(fg.grad(loop))(1.01) == pytest.approx(fg.grad(lambda x: _loop(x))(1.01), rel=1e-12)


def _loop(x):
    for _ in range(3):
        x = x * x * x * 0.9
    return x


@pytest.mark.parametrize("define", [traced_push, lambda p: p.defjvp(numba.njit(lambda t, y, x: 3 * x * x * t))])
def test_forward_rules_in_either_style(define):
    p = fg.numba_primitive(cube, out_type=float)
    define(p)
    for run in (fg.jvp, fg.jit(lambda f, *a: fg.jvp(f, *a), static_argnums=0)):
        y, t = run(p, (1.5,), (2.0,))
        assert (y, t) == (1.5**3, 2 * slope(1.5))


def test_several_arguments_and_integers():
    @fg.numba_primitive(out_type=float)
    @numba.njit
    def weighted(x, k, w):
        return x[k] * w

    @numba.njit
    def pullback(ct, y, x, k, w):
        out = np.zeros_like(x)
        out[k] = ct * w
        return out, ct * x[k]

    weighted.defvjp(pullback)
    f = fg.jit(fg.grad(lambda x, w: weighted(x, 2, w) ** 2, argnums=(0, 1)))
    gx, gw = f(X[0], 3.0)
    np.testing.assert_allclose(gx, [0, 0, 2 * X[0, 2] * 9, 0, 0])
    assert gw == pytest.approx(2 * X[0, 2] ** 2 * 3)


def test_numba_calls_a_program_that_calls_numba():
    p = fg.numba_primitive(cube, out_type=float)
    numba_pullback(p)
    step = fg.value_and_grad(lambda x: np.sin(p(x)))

    @numba.njit
    def descend(x):
        for _ in range(5):
            x -= 0.1 * step(x)[1]
        return x

    x = 0.7
    for _ in range(5):
        x -= 0.1 * np.cos(x**3) * 3 * x * x
    assert descend(0.7) == pytest.approx(x, rel=1e-13)


def test_threads_that_make_a_kernel_at_once_get_the_same_one(monkeypatch):
    """A kernel that nobody keeps would be unloaded, while a program has its address."""
    both = threading.Barrier(2, timeout=20)

    class Kernel:
        def __init__(self, *args: Any) -> None:
            both.wait()

    monkeypatch.setattr(numba_call, "NumbaKernel", Kernel)
    callee = numba_call.Callee(cube, fg.tree.structure((0.0,)), fg.tree.structure(0.0))
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: callee.kernel((), ()), range(2))
    assert first is second
