"""Do our functions give inside `@njit` what they give outside, for every kind of argument, thread and process?"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numba
import numpy as np
import pytest
from numba.core import errors

import funcgrad as fg
from funcgrad.interop import numba_functions, numba_intrinsics


class State(NamedTuple):
    x: Any
    v: Any


X = np.random.default_rng(0).normal(size=(50, 4))
Y = (X[:, 0] > 0) * 1.0
W = np.array([0.1, -0.2, 0.3, 0.5])


def loss(w):
    logits = X @ w
    return np.sum(np.logaddexp(0, logits) - Y * logits)


FUNCTIONS = {
    "jit": (fg.jit(lambda x, y: x * np.sin(y)), (0.5, 2.0)),
    "grad": (fg.grad(lambda x: np.sin(x) * x), (0.5,)),
    "grad by two": (fg.grad(lambda x, w: np.sum(w * x), argnums=(0, 1)), (0.5, W)),
    "value_and_grad": (fg.value_and_grad(loss), (W,)),
    "jit of value_and_grad": (fg.jit(fg.value_and_grad(loss)), (W,)),
    "vmap": (fg.vmap(fg.grad(loss)), (np.stack([W, W * 2, W * 3]),)),
    "hessian": (fg.hessian(loss), (W,)),
    "jvp": (lambda x, t: fg.jvp(np.sin, (x,), (t,)), (W, W)),
    "linearized": (fg.linearize(np.sin, W)[1], (W,)),
    "float32": (fg.jit(lambda x, k: x * k), (np.float32(0.5), np.arange(3, dtype=np.float32))),
    "integers": (fg.jit(lambda x, k: x[::-1] * k), (np.arange(5), 3)),
    "int8": (fg.jit(lambda x, k: x * k), (np.arange(5, dtype=np.int8), np.int8(3))),
    "unsigned": (fg.jit(lambda x: x + 1), (np.uint32(7),)),
    "bool": (fg.jit(lambda x, b: (np.where(b, x, -x), x > 1)), (np.arange(5.0), True)),
    "a bool array": (fg.jit(lambda m: (~m, np.any(m))), (np.array([True, False]),)),
    "complex": (fg.jit(lambda z, w: (z * w, np.abs(w))), (np.array([1 + 2j, 3j]), 1 - 1j)),
    "complex64": (fg.jit(lambda z: z * 2), (np.complex64(1 - 1j),)),
    "0-d array": (fg.jit(lambda x: x * 2), (np.array(3.0),)),
    "Fortran order": (fg.jit(lambda a: a @ a.T), (np.asfortranarray(X),)),
    "strided": (fg.jit(lambda a: np.cumsum(a, 1)), (X[::3, ::-2],)),
    "read-only": (fg.jit(lambda a: a * 2), (np.broadcast_to(W, (3, 4)),)),
    "empty": (fg.jit(lambda a: (np.sum(a), a.T)), (np.zeros((0, 3)),)),
    "tuples": (fg.jit(lambda p: (p[0] + p[1][0], (p[1][1],))), ((1.0, (2.0, W)),)),
    "named tuples": (fg.jit(lambda s: State(s.x + s.v, (s.v,))), (State(W, 2.0),)),
    "None": (fg.jit(lambda x, y: (x * 2, y)), (W, None)),
    "sizes of results": (fg.jit(lambda x: (np.concatenate([x, x, np.ones(2)]), np.outer(x, x))), (W,)),
    "an index beyond small sizes": (fg.grad(lambda x: np.sum(x[:8] * np.arange(8)) * x[9]), (np.arange(12.0),)),
    "a product with what is closed over": (fg.jit(lambda x: X.T @ (X @ x)), (W,)),
    "a loop": (fg.jit(lambda x: fg.lax.fori_loop(0, 5, lambda k, c: np.sin(c) + k, x)), (W,)),
    "while": (fg.jit(lambda x: fg.lax.while_loop(lambda c: c < 100, lambda c: c * 2, x)), (1.5,)),
    "no arguments": (fg.jit(lambda: np.arange(3.0)), ()),
}
TRANSFORMED = [name for name in FUNCTIONS if name != "jvp"]  # a Python function that calls jvp is the user's own


@pytest.mark.parametrize("name", TRANSFORMED)
def test_a_function_gives_the_same_inside_njit(name):
    fun, args = FUNCTIONS[name]

    @numba.njit
    def call(args):
        return fun(*args)

    expected, found = fun(*fg.tree.map(lambda a: a if np.ndim(a) else np.asarray(a)[()], args)), call(args)
    assert fg.tree.structure(found) == fg.tree.structure(expected)
    for a, b in zip(fg.tree.leaves(found), fg.tree.leaves(expected), strict=True):
        assert np.shape(a) == np.shape(b)
        assert np.ndim(b) == 0 or a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-12 if np.asarray(b).dtype.itemsize > 4 else 1e-6)


slope = fg.value_and_grad(loss)
product = fg.jit(lambda a, b: a @ b)
pick = fg.jit(lambda x, k: fg.numpy.take(x, k))


@numba.njit
def products(a, b):
    return product(a, b)


@numba.njit
def picked(x, k):
    return pick(x, k)


def test_sizes_are_looked_up_at_run_time():
    for n, m in ((3, 4), (5, 2), (3, 4), (1, 1), (40, 50)):
        a, b = np.ones((n, m)) * n, np.ones((m, n))
        np.testing.assert_array_equal(products(a, b), a @ b)
    assert len(products.signatures) == 1


def test_many_sizes_are_found_again():
    total = fg.jit(lambda x, y: np.sum(x) + np.sum(y) * 0.5)

    @numba.njit
    def sums(n, m):
        out = np.zeros((n, m))
        for k in range(n):
            for j in range(m):
                out[k, j] = total(np.ones(k), np.ones(j))
        return out

    expected = np.arange(4)[:, None] + 0.5 * np.arange(4)
    for _ in range(2):  # in the second round all records are there, in the second table
        np.testing.assert_array_equal(sums(4, 4), expected)


def test_arguments_by_keyword():
    def f(x, /, a0=2.0, *, lookup=1.0, np=None):
        return x * a0 + (0 if np is None else np["k"] if isinstance(np, dict) else np) - lookup

    jitted, slope = fg.jit(f), fg.grad(f)

    @numba.njit
    def call(x, k):
        named = jitted(x, lookup=k, a0=3.0), jitted(x), jitted(x, np=k), jitted(x, 4.0, np=x, lookup=x * 0)
        return named, slope(x, a0=k), slope(x, k)

    x, k = 1.5, 2
    expected = (f(x, lookup=k, a0=3.0), f(x), f(x, np=k), f(x, 4.0, np=x, lookup=0.0)), 2.0, 2.0
    assert call(x, k) == expected
    with pytest.raises(errors.TypingError, match="unexpected keyword argument 'nope'"):
        numba.njit(lambda x: jitted(x, nope=x))(1.0)

    pair = fg.jit(lambda x, *, p, y: (x @ p[0] + y, p[1]))

    @numba.njit
    def nested(x, p):
        return pair(x, y=2.0, p=p)

    found = nested(X, (W, 3))
    np.testing.assert_allclose(found[0], X @ W + 2)
    assert found[1] == 3


def test_a_result_is_a_new_array_each_time():
    same = fg.jit(lambda x: x)

    @numba.njit
    def twice(x):
        return same(x), same(x)

    one, two = twice(W)
    one[0] = 9
    assert two[0] == W[0] == 0.1


def test_functions_are_passed_as_arguments():
    @numba.njit
    def descend(slope, w, n):
        for _ in range(n):
            value, gradient = slope(w)
            w = w - 0.01 * gradient
        return value, w

    expected = W
    for _ in range(10):
        value, gradient = slope(expected)
        expected = expected - 0.01 * gradient
    found = descend(slope, W, 10)
    assert found[0] == pytest.approx(value, rel=1e-13)
    np.testing.assert_allclose(found[1], expected, rtol=1e-12)
    other = fg.value_and_grad(lambda w: np.sum(w))
    np.testing.assert_allclose(descend(other, W, 3)[1], W - 0.03)


def test_errors_reach_the_caller_with_their_line():
    assert picked(np.arange(3.0), 2) == 2
    with pytest.raises(IndexError, match=r"out of bounds.*\n.*test_numba_functions"):
        picked(np.arange(3.0), 3)
    with pytest.raises(ValueError, match=r"shapes \(2, 3\) and \(2, 3\) do not fit.*\n.*test_numba_functions"):
        products(np.ones((2, 3)), np.ones((2, 3)))
    assert picked(np.arange(3.0), 0) == 0  # nothing is left behind


def test_errors_are_caught_inside_njit():
    """Native, and while new shapes are traced; the function names its sizes in a shape."""
    entry = fg.jit(lambda x, i: (x @ np.ones((4, 4)))[i])

    @numba.njit
    def entry_or(x, i, other):
        try:
            return entry(x, i)
        except Exception:
            return other

    assert entry_or(W, 1, 7.0) == entry(W, 1)
    assert entry_or(W, 5, 7.0) == 7.0
    assert entry_or(np.ones(3), 1, 8.0) == 8.0
    assert entry_or(W, 2, 7.0) == entry(W, 2)


def test_code_that_another_version_left_on_the_disk_says_so(monkeypatch):
    monkeypatch.setattr(numba_intrinsics, "FIND_SITE", (numba_intrinsics.FIND_SITE[0], "find_site_0"))
    double = fg.jit(lambda x: 2 * x)

    @numba.njit
    def call(x):
        return double(x)

    for _ in range(2):
        with pytest.raises(ImportError, match=r"of another version.*remove the files of Numba's cache"):
            call(W)


def test_python_in_a_program_is_refused():
    f = fg.jit(lambda x: fg.pure_callback(np.sort, x, x))

    @numba.njit
    def call(x):
        return f(x)

    with pytest.raises(NotImplementedError, match="pure_callback has no native code"):
        call(W)


class Thing:
    pass


REFUSED = {
    "static arguments": (
        lambda: numba.njit(lambda x: _powers(x, 3))(1.0),
        "called inside @njit with a static argument",
    ),
    "strings": (lambda: numba.njit(lambda: slope("a"))(), "it takes numbers, arrays, and tuples"),
    "dictionaries": (lambda: numba.njit(lambda x: _as_dict(x))(W), "returns a dict: inside @njit"),
    "float16": (lambda: numba.njit(lambda x: _as_bfloat16(x))(W), "bfloat16, a dtype that Numba does not have"),
    "what cannot be traced": (lambda: numba.njit(lambda x: _branches(x))(1.0), "cannot be traced for.*float64.*Bool"),
}
_powers = fg.jit(lambda x, n=2: x**n, static_argnums=1)
_as_dict = fg.jit(lambda x: {"a": x})
_as_bfloat16 = fg.jit(lambda x: x.astype(fg.numpy.bfloat16))
_branches = fg.jit(lambda x: x if x > 0 else -x)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_told(name):
    run, message = REFUSED[name]
    with pytest.raises(errors.TypingError, match=message):
        run()


def test_functions_that_are_not_ours_are_left_alone():
    def plain(x):
        return x

    with pytest.raises(errors.TypingError, match=r"Untyped|Cannot determine"):
        numba.njit(lambda: plain(1.0))()


def test_rows_in_parallel():
    @numba.njit(parallel=True)
    def rows(ws):
        values, gradients = np.zeros(len(ws)), np.zeros_like(ws)
        for k in numba.prange(len(ws)):
            values[k], gradients[k] = slope(ws[k])
        return values, gradients

    ws = np.random.default_rng(1).normal(size=(200, 4))
    expected = fg.vmap(slope)(ws)
    for a, b in zip(rows(ws), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11)


def test_shapes_that_appear_in_parallel_threads():
    total = fg.jit(lambda x: np.sum(x * 2))

    @numba.njit(parallel=True)
    def sums(n):
        out = np.zeros(n)
        for k in numba.prange(n):
            out[k] = total(np.ones(k % 7))
        return out

    np.testing.assert_array_equal(sums(40), 2.0 * (np.arange(40) % 7))


def test_threads_without_pythons_lock():
    @numba.njit(nogil=True)
    def work(x, n):
        out = 0.0
        for _ in range(n):
            out += slope(x)[0]
        return out

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda k: work(W * k, 50), range(4)))
    np.testing.assert_allclose(found, [50 * loss(W * k) for k in range(4)], rtol=1e-12)


def test_programs_outlive_the_caches():
    assert picked(np.arange(3.0), 2) == 2
    fg.clear_caches()
    assert picked(np.arange(3.0), 1) == 1
    assert picked(np.arange(4.0), 1) == 1


MODULE = """
import numba
import numpy as np
import funcgrad as fg

X = np.arange(12.0).reshape(3, 4)
slope = fg.value_and_grad(lambda w: np.sum(np.sin(X @ w)))

@numba.njit(cache=True)
def descend(w, n):
    for _ in range(n):
        w = w - 0.01 * slope(w)[1]
    return w

@numba.njit(cache=True)
def applied(f, x):
    return f(x)

def scaled(k):
    f = fg.jit(lambda x: x * k)
    return lambda x: applied(f, x)

double = fg.jit(lambda x: x * 2)
if __name__ == "__main__":
    print(descend(np.ones(4), 5).tobytes().hex(), sum(descend.stats.cache_hits.values()))
"""


def _runs(tmp_path):
    """A function that runs Python beside the module, with a cache of its own, and returns what it prints."""
    (tmp_path / "descent.py").write_text(MODULE)
    env = dict(os.environ, NUMBA_CACHE_DIR=str(tmp_path / "cache"), PYTHONPATH=os.pathsep.join([".", *sys.path]))

    def run(*options):
        command = [sys.executable, "-W", "ignore", *options]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=env, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    return run


def test_numbas_cache_keeps_the_callers(tmp_path):
    run = _runs(tmp_path)
    as_module = textwrap.dedent("""
        import descent as d, numpy as np
        print(d.descend(np.ones(4), 5).tobytes().hex(), sum(d.descend.stats.cache_hits.values()))
    """)
    first, hits = run("descent.py")
    assert hits == "0"
    assert run("descent.py") == [first, "1"]
    assert run("-c", as_module) == [first, "1"]  # where the main program of the first one is a module


def test_types_of_functions_that_are_not_there_keep_their_names():
    kind = numba_functions.type_of(fg.jit(lambda x: x))
    assert pickle.loads(pickle.dumps(kind)) is kind
    elsewhere = numba_functions._type_named("session:3:module:module.py:f")
    again = pickle.loads(pickle.dumps(elsewhere))
    assert again != elsewhere != kind
    assert again.label == elsewhere.label == "session:3:module:module.py:f"


@pytest.mark.slow
def test_numbas_cache_keeps_what_another_process_finds(tmp_path):
    run = _runs(tmp_path)
    known = "import descent as d; print(d.applied(d.double, 3.0), sum(d.applied.stats.cache_hits.values()))"
    local = "import descent as d; print(d.scaled(5)(3.0), d.scaled(7)(3.0))"
    assert [run("-c", known), run("-c", known)] == [["6.0", "0"], ["6.0", "1"]]
    assert run("-c", local) == ["15.0", "21.0"]
    assert len(list((tmp_path / "cache").rglob("*.nbc"))) == 1


def test_numba_is_imported_only_when_asked_for():
    code = "import sys, funcgrad as fg; fg.jit(fg.grad(lambda x: x * x))(2.0); print('numba' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"


@pytest.mark.parametrize("order", ["import numba; import funcgrad as fg", "import funcgrad as fg; import numba"])
def test_the_order_of_imports_does_not_matter(order):
    code = f"{order}\nf = fg.grad(lambda x: x * x)\nprint(numba.njit(lambda x: f(x))(2.0))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "4.0\n"
