"""Do native functions give what the functions give, whoever calls them: ctypes, SciPy, C, many threads at once?"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import pytest
import scipy
from scipy import integrate, ndimage

import funcgrad as fg


def called(native: Any, *arguments: Any, dtypes: Any) -> list[np.ndarray]:
    """The results of a native function of form ``"status"``."""
    outs = [np.zeros(r.shape, dtype) for r, dtype in zip(native.results, dtypes, strict=True)]
    kept = [np.ascontiguousarray(x) for x in arguments]
    given = [x.item() if p.by_value else x.ctypes.data for p, x in zip(native.parameters, kept, strict=True)]
    native.check(native.ctypes(*given, *(out.ctypes.data for out in outs)))
    return outs


def regression(w: Any, x: Any, y: Any, scale: Any) -> Any:
    logits = x @ w
    return np.sum(np.logaddexp(0, logits) - y * logits) * scale


def loop(x: Any, n: Any) -> Any:
    return fg.lax.while_loop(lambda c: c[0] < n, lambda c: (c[0] + 1, np.sin(c[1]) + 1), (0, x))[1]


X = np.random.default_rng(0).normal(size=(50, 4))
Y = (X[:, 0] > 0) * 1.0
W = np.array([0.1, -0.2, 0.3, 0.5])


class Point(NamedTuple):
    x: Any
    y: Any


PROGRAMS = {
    "scalars": (lambda x, y: x * np.sin(y), (0.5, 2.0)),
    "gradients": (fg.value_and_grad(regression), (W, X, Y, 0.5)),
    "a jitted function": (fg.jit(fg.grad(regression)), (W, X, Y, 0.5)),
    "products": (lambda a, b: a @ b.T, (X, X * 2)),
    "float32": (lambda a: np.tanh(a) * 2, (X.astype(np.float32),)),
    "integers": (lambda a, k: a[::-1] + k, (np.arange(5), 3)),
    "small integers": (lambda a, k: a + k, (np.arange(5, dtype=np.int8), np.uint8(200))),
    "booleans": (lambda a, b: np.where(b, a > 1, a < 1), (np.arange(5.0), True)),
    "complex": (lambda z, w: z * np.exp(w), (np.array([1 + 2j, 3j]), np.complex128(1j))),
    "scan": (lambda x: fg.lax.scan(lambda c, v: (c * 0.5 + v, c), 0.0, x), (np.arange(20.0),)),
    "a loop with products": (lambda m: fg.lax.fori_loop(0, 5, lambda k, a: a @ m / 50, m), (np.tile(X[:40, :1], 40),)),
    "while": (loop, (0.5, 100)),
    "loops over examples": (fg.vmap(loop), (np.linspace(0, 1, 2000), np.arange(2000) % 50)),
    "tapes over examples": (fg.vmap(fg.grad(loop)), (np.linspace(0, 1, 2000), np.arange(2000) % 50)),
    "cond": (lambda x: fg.lax.cond(x[0] > 0, np.sin, np.cos, x), (np.arange(4.0),)),
    "solve": (lambda a, b: np.linalg.solve(a, b), (X[:4] + 3 * np.eye(4), np.ones(4))),
    "sort": (lambda a: np.sort(a), (np.array([3.0, 1.0, 2.0]),)),
    "a long running sum": (lambda a: np.cumsum(a, 1), ((np.arange(3 * 140_001.0) % 11).reshape(3, -1),)),
    "a permutation": (lambda key: fg.random.permutation(key, 10_000), (np.array([0, 7], np.uint32),)),
    "results that are arguments, constants, or equal": (lambda x: (x, x, x * 2, np.ones(3), x * 2), (np.arange(3.0),)),
    "trees": (lambda p, d: {"s": p.x + d["k"], "t": (p.y,)}, (Point(1.0, np.ones(2)), {"k": 2.0})),
    "nothing in": (lambda: np.arange(3.0), ()),
    "an empty array": (lambda a: np.sum(a), (np.zeros((0, 3)),)),
    "temporaries beyond the stack": (lambda a: np.sort(np.sin(a) @ np.cos(a)) @ a, (np.ones((90, 90)),)),
    "many pieces": (lambda a: np.sum(np.exp(np.sin(a)), 1), (np.ones((600, 700)),)),
    "many steps": (lambda a: [a := np.sort(np.sort(a) @ np.ones((4, 4))) for _ in range(40)][-1], (np.eye(4),)),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_native_function_gives_what_the_jitted_function_gives(name):
    fun, args = PROGRAMS[name]
    native = fg.cfunc(fun, args)
    strong = fg.tree.map(lambda a: np.asarray(a)[()], args)  # a C double is a float64, which is not weak
    expected = fg.tree.leaves(fg.jit(fun)(*strong))
    found = called(native, *fg.tree.leaves(args), dtypes=[e.dtype for e in expected])
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_signature_is_cs_declaration():
    def energy(x, w, *, unused=1):
        return x * np.sum(w["a"]), w["b"][0] > 0

    native = fg.cfunc(energy, (np.float32(1), {"a": np.zeros(3), "b": np.zeros(2, np.int16)}))
    assert native.signature == (
        "int64_t energy(float x, const double *w_a, const int16_t *w_b, double *out_0, uint8_t *out_1)"
    )
    assert [p.shape for p in native.parameters] == [(), (3,), (2,)]
    assert fg.cfunc(lambda double, out: double + out, (1.0, 2.0)).signature == (
        "int64_t f(double double_, double out, double *out_)"
    )
    assert fg.cfunc(lambda z: z, (1j,)).signature == "int64_t f(const double _Complex *z, double _Complex *out)"


def test_a_failure_is_a_status_and_check_raises_it():
    native = fg.cfunc(lambda x, k: x[k], (np.arange(3.0), 0))
    x, out = np.arange(3.0), np.zeros(())
    assert native.ctypes(x.ctypes.data, 2, out.ctypes.data) == 0
    assert out == 2
    status = native.ctypes(x.ctypes.data, 7, out.ctypes.data)
    assert status > 0
    with pytest.raises(IndexError, match=r"out of bounds.*\n.*test_native_function"):
        native.check(status)
    with pytest.raises(MemoryError):
        native.check(-1)
    native.check(0)


def test_python_in_a_program_is_refused_with_its_line():
    def f(x):
        return fg.pure_callback(np.sort, x, x)

    with pytest.raises(NotImplementedError, match=r"f: pure_callback has no native code.*\n.*test_native_function"):
        fg.cfunc(f, (np.zeros(3),))

    def inside(x):
        return fg.lax.fori_loop(0, 3, lambda k, c: fg.pure_callback(np.sort, c, c), x)

    with pytest.raises(NotImplementedError, match="pure_callback"):
        fg.cfunc(inside, (np.zeros(3),))


MISTAKES = {
    "not callable": (lambda: fg.cfunc(3, (1.0,)), TypeError, "cfunc"),
    "no tuple": (lambda: fg.cfunc(np.sin, 1.0), TypeError, r"tuple of arguments, not float: \(x,\)"),
    "no array": (lambda: fg.cfunc(np.sin, ("a",)), TypeError, "argument 0"),
    "form": (lambda: fg.cfunc(np.sin, (1.0,), form="c"), ValueError, "form must be one of 'status'"),
    "value of an array": (lambda: fg.cfunc(np.sin, (X,), form="value"), TypeError, r"returns double\[50, 4\]"),
    "vector of ints": (lambda: fg.cfunc(lambda x: x, (1,), form="vector"), TypeError, "takes int64_t and returns"),
    "filter of numbers": (lambda: fg.cfunc(lambda x: x, (1.0,), form="filter"), TypeError, "one float64 vector"),
    "no number": (lambda: fg.logp_and_grad_cfunc(lambda x: x, 2), TypeError, "scalar"),
    "no length": (
        lambda: fg.logp_and_grad_cfunc(np.sum, 3.0),
        ValueError,
        "an integer >= 0, not 3.0",
    ),
    "a negative length": (lambda: fg.logp_and_grad_cfunc(np.sum, -1), ValueError, "an integer >= 0, not -1"),
    "float32": (
        lambda: fg.logp_and_grad_cfunc(lambda x: np.sum(x).astype(np.float32), 2),
        TypeError,
        "logp_and_grad_cfunc: the form 'density' is that of a function with a log-density",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told(name):
    run, kind, message = MISTAKES[name]
    with pytest.raises(kind, match=message):
        run()


def test_parameters_are_named_by_position():
    native = fg.cfunc(lambda x, *rest, scale=2.0, **more: x * rest[0] * scale, (1.0, 2.0))
    assert native.signature == "int64_t f(double x, double x1, double *out)"


def test_quad_integrates_a_function_of_one_number():
    native = fg.cfunc(fg.grad(lambda x: np.exp(-x * x)), (1.0,), form="value")
    assert native.signature.startswith("double ")
    low = scipy.LowLevelCallable(native.ctypes)
    assert low.signature == "double (double)"
    assert integrate.quad(low, 0, 2)[0] == pytest.approx(np.exp(-4) - 1, rel=1e-12)


@pytest.mark.parametrize("example", [(1.0, 2.0), (np.zeros(2),)], ids=["numbers", "a vector"])
def test_quad_integrates_a_function_of_a_vector(example):
    def f(*xs):
        x, a = xs if len(xs) == 2 else (xs[0][0], xs[0][1])
        return np.cos(a * x)

    native = fg.cfunc(f, example, form="vector")
    low = scipy.LowLevelCallable(native.ctypes)
    assert low.signature == "double (int, double *)"
    assert integrate.quad(low, 0, 1, args=(3.0,))[0] == pytest.approx(np.sin(3) / 3, rel=1e-12)
    assert np.isnan(native.ctypes(1, (ctypes.c_double * 2)(1, 2)))  # another number of numbers


def test_a_failure_of_a_value_is_nan():
    native = fg.cfunc(lambda k: fg.numpy.take(np.arange(3.0), k), (0,), form="value")
    assert native.ctypes(2) == 2
    assert np.isnan(native.ctypes(5))


def test_generic_filter_runs_a_native_function():
    native = fg.cfunc(lambda x: np.max(x) - np.min(x), (np.zeros(9),), form="filter")
    low = scipy.LowLevelCallable(native.ctypes)
    expected = ndimage.maximum_filter(X, 3) - ndimage.minimum_filter(X, 3)
    np.testing.assert_array_equal(ndimage.generic_filter(X, low, size=3), expected)
    with pytest.raises(RuntimeError):
        ndimage.generic_filter(X, low, size=5)


def test_solve_ivp_calls_through_ctypes():
    rates = fg.cfunc(lambda t, y: np.stack([y[1], -y[0] + 0 * t]), (0.0, np.zeros(2)))
    out = np.empty(2)

    def fun(t, y):
        rates.check(rates.ctypes(t, y.ctypes.data, out.ctypes.data))
        return out.copy()

    solution = integrate.solve_ivp(fun, (0, 1), [0.0, 1.0], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(solution.y[:, -1], [np.sin(1), np.cos(1)], rtol=1e-8)


def test_a_log_density_with_its_gradient():
    native = fg.logp_and_grad_cfunc(lambda w: -regression(w, X, Y, 1.0), 4)
    value, gradient = np.zeros(()), np.zeros(4)
    data = (W.ctypes.data, gradient.ctypes.data, value.ctypes.data, None)
    assert native.ctypes(4, *data) == 0
    expected, slope = fg.value_and_grad(lambda w: -regression(w, X, Y, 1.0))(W)
    np.testing.assert_allclose(value, expected, rtol=1e-14)
    np.testing.assert_allclose(gradient, slope, rtol=1e-12)
    with pytest.raises(ValueError, match="another size"):
        native.check(native.ctypes(5, *data))


def test_a_log_density_that_fails():
    native = fg.logp_and_grad_cfunc(lambda w: fg.numpy.take(w, np.sum(w > 0)) ** 2, 4)
    value, gradient = np.zeros(()), np.zeros(4)
    data = (gradient.ctypes.data, value.ctypes.data, None)
    assert native.ctypes(4, W.ctypes.data, *data) == 0
    assert (value, gradient[3]) == (0.25, 1)
    status = native.ctypes(4, np.ones(4).ctypes.data, *data)
    assert status > 0
    with pytest.raises(IndexError):
        native.check(status)


@pytest.mark.parametrize("fun", [lambda a: np.sort(np.sin(a)) @ a, lambda a: np.sum(np.sort(a[:8, :8] * 2))])
def test_threads_do_not_share_memory(fun):
    native = fg.cfunc(fun, (np.zeros((100, 100)),))
    shape, dtype = native.results[0].shape, np.float64
    inputs = [np.random.default_rng(k).normal(size=(100, 100)) for k in range(8)]
    expected = [fg.jit(fun)(x) for x in inputs]

    def work(k):
        out = np.zeros(shape, dtype)
        for _ in range(20):
            out[...] = 0
            native.check(native.ctypes(inputs[k].ctypes.data, out.ctypes.data))
            np.testing.assert_array_equal(out, expected[k])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))


def test_the_code_lives_as_long_as_its_ctypes_function():
    function = fg.cfunc(lambda x: x * 3, (1.0,), form="value").ctypes
    fg.clear_caches()
    assert function(2.0) == 6


COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="there is no C compiler")

SOURCE = """
#include <pthread.h>
#include <stdint.h>
typedef int64_t loop_function(double x, int64_t n, double *out);
struct job { loop_function *f; double x; double out; int64_t status; };
static void *work(void *p) {
    struct job *j = p;
    for (int k = 0; k < 20; k++) j->status |= j->f(j->x, 100000, &j->out);
    return 0;
}
int64_t run(loop_function *f, double *outs) {
    pthread_t threads[4];
    struct job jobs[4];
    int64_t status = 0;
    for (int k = 0; k < 4; k++) {
        jobs[k] = (struct job){f, 0.1 * k, 0, 0};
        pthread_create(&threads[k], 0, work, &jobs[k]);
    }
    for (int k = 0; k < 4; k++) {
        pthread_join(threads[k], 0);
        outs[k] = jobs[k].out;
        status |= jobs[k].status;
    }
    return status;
}
"""

PROGRAM = """
import ctypes, sys
import numpy as np
import funcgrad as fg
from tests.interop.test_native_function import loop
def steps(x, n):
    step = lambda c: (c[0] + 1, np.sort(c[1]))
    return fg.lax.while_loop(lambda c: c[0] < n, step, (0, np.stack([x, x])))[1][0]
harness = ctypes.PyDLL(sys.argv[1])  # which keeps Python's lock while C's threads run
harness.run.argtypes, harness.run.restype = (ctypes.c_void_p, ctypes.c_void_p), ctypes.c_int64
for fun in (loop, steps):
    native, outs = fg.cfunc(fun, (0.0, 1)), np.zeros(4)
    assert harness.run(native.address, outs.ctypes.data) == 0
    expected = [fg.jit(fun)(0.1 * k, 100000) for k in range(4)]
    np.testing.assert_array_equal(outs, expected)
print("done")
"""


@needs_compiler
def test_threads_of_c_call_while_python_keeps_its_lock(tmp_path):
    source, library = tmp_path / "harness.c", tmp_path / "harness.so"
    source.write_text(SOURCE)
    subprocess.run([COMPILER, "-O1", "-shared", "-fPIC", "-pthread", source, "-o", library], check=True)
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM), library]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert run.stdout == "done\n", run.stderr
