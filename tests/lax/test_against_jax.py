"""Are `lax`'s elementwise functions, shapes, dtypes and reductions JAX's?  Values, dtypes and mistakes alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax, tree
from funcgrad.lax import _elementwise
from tests.ops.numerics import assert_close

jax = pytest.importorskip("jax")
RNG = np.random.default_rng(5)

DTYPES = "b1 i4 u1 f4 c8".split()
POSITIVE = {"log", "sqrt", "rsqrt", "lgamma", "digamma", "acosh"}
INSIDE = {"acos", "asin", "atanh", "erf_inv"}
SKIPPED = {("c", name) for name in ("acos", "acosh", "asin", "asinh", "atan", "atanh", "digamma", "expm1", "log1p")}


def sample(dtype: str, name: str, shape: tuple[int, ...] = (2, 3)) -> np.ndarray:
    """Numbers that the function is defined for."""
    if dtype == "b1":
        return RNG.random(shape) < 0.5
    if dtype[0] in "iu":
        return RNG.integers(0 if dtype[0] == "u" else -40, 41, shape).astype(dtype)
    x = RNG.normal(0, 1.5, shape)
    x = np.abs(x) + (1 if name == "acosh" else 0.3) if name in POSITIVE else np.tanh(x) * 0.9 if name in INSIDE else x
    return np.asarray(x + 1j * RNG.normal(0, 1, shape) if dtype[0] == "c" else x).astype(dtype)


def both(function: str, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
    """JAX's result of a function and ours (or what is raised)."""
    with jax.enable_x64(True):
        want = outcome(lambda: jax.tree.map(np.asarray, getattr(jax.lax, function)(*args, **kwargs)))
    return outcome(lambda: getattr(lax, function)(*args, **kwargs)), want


def outcome(call: Callable[[], Any]) -> Any:
    try:
        with np.errstate(all="ignore"):
            return call()
    except (TypeError, ValueError, IndexError, OverflowError) as error:
        return error


def hold(function: str, *args: Any, ulps: float = 8, **kwargs: Any) -> None:
    """Hold a call, and its jitted form, against JAX."""
    got, want = both(function, *args, **kwargs)
    if isinstance(want, Exception):
        assert isinstance(got, (TypeError, ValueError)), f"JAX raises {want!r}; got {got!r}"
        return
    if isinstance(got, Exception):
        raise AssertionError(f"JAX gives {want!r}") from got
    where = [k for k, x in enumerate(args) if isinstance(x, np.ndarray)]

    def traced(*given: Any) -> Any:
        full = list(args)
        for k, x in zip(where, given, strict=True):
            full[k] = x
        return getattr(lax, function)(*full, **kwargs)

    compiles = all(args[k].dtype.str[1:] in ("i4", "f4", "c8") for k in where)
    compiled = fg.jit(traced)(*(args[k] for k in where)) if compiles else got
    for found in (got, compiled):
        for g, w in zip(tree.leaves(found), tree.leaves(want), strict=True):
            assert isinstance(g, fg.Array)
            assert_close(g, w, ulps if w.dtype.kind in "fc" else 0)


@pytest.mark.parametrize("name", sorted(_elementwise.UNARY))
def test_unary(name: str) -> None:
    for dtype in DTYPES:
        if (dtype[0], name) not in SKIPPED:
            loose = name in ("lgamma", "digamma", "erf_inv", "bessel_i0e", "bessel_i1e", "tan", "erfc")
            hold(name, sample(dtype, name), ulps=4000 if loose else 16)


@pytest.mark.parametrize("name", sorted(_elementwise.BINARY))
def test_binary(name: str) -> None:
    if name == "random_gamma_grad":
        return
    for dtype in DTYPES:
        x, y = sample(dtype, name), sample(dtype, name)
        if name in ("igamma", "igammac", "zeta") and dtype[0] == "f":
            x, y = (np.abs(x) + 1.5).astype(dtype), (np.abs(y) + 0.5).astype(dtype)
        if name.startswith("shift"):
            y = np.abs(y).astype(dtype)
        if name in ("max", "min") and dtype[0] == "c":
            continue
        loose = name in ("igamma", "igammac", "zeta")
        hold(name, x, y[:, :1], ulps=2000 if loose else 16)
        if dtype == "f4":
            hold(name, x, y[0, 0], ulps=2000 if loose else 16)
            hold(name, x, y[0])  # another rank
            hold(name, x, y.astype("f2"))  # another dtype


def words(bits: int) -> np.ndarray:
    """Integers of all sizes."""
    return RNG.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1, 9)


def pairs(left: str, right: str) -> list[tuple[str, str]]:
    """All pairs of words."""
    return [(a, b) for a in left.split() for b in right.split()]


ODD = np.array([1.1, 1e30, 1e-30, -7.3, np.nan, np.inf, 65520.0, 6e-8])
FORMATS = [(5, 10), (8, 7), (8, 23), (4, 3), (11, 52)]
OTHERS: list[tuple[str, tuple[Any, ...]]] = [
    *(("abs", (sample(d, ""),)) for d in "i4 u1 f4 c8 b1".split()),
    *(("sign", (sample(d, ""),)) for d in "i4 u1 f4 c16 b1".split()),
    ("sign", (np.array([0.0, -0.0, np.nan, -np.inf]),)),
    ("round", (np.array([0.5, 1.5, -2.5, 0.49999999999999994, np.nan, np.inf, 1e300]),)),
    ("round", (np.array([0.5, 1.5, -2.5], np.float32), lax.RoundingMethod.TO_NEAREST_EVEN)),
    ("round", (np.array([1, 2]),)),
    ("reciprocal", (sample("f4", ""),)),
    ("integer_pow", (sample("f8", ""), 5)),
    ("integer_pow", (sample("f8", ""), -2)),
    ("integer_pow", (sample("i4", ""), 3)),
    ("integer_pow", (sample("i4", ""), -1)),
    ("pow", (np.abs(sample("f8", "")), sample("f8", ""))),
    ("pow", (sample("f8", ""), 3)),
    ("pow", (sample("f8", ""), sample("i4", "") % 4)),
    ("pow", (sample("i4", ""), sample("f8", ""))),
    *(("conj", (sample(d, ""),)) for d in "f4 c8 c16 i4".split()),
    ("betainc", tuple(np.array([a], np.float64) for a in (1.5, 2.5, 0.3))),
    ("polygamma", (np.array([1.0]), np.array([2.5]))),
    *(("shift_right_logical", (sample(d, ""), np.full((2, 3), 3, d))) for d in "i1 i4 u4 f4".split()),
    *(("mulhi", (words(32).astype(d), words(32).astype(d))) for d in "i4 u4".split()),
    *(("mulhi", (words(64).astype(d), words(64).astype(d))) for d in "i8 u8".split()),
    ("select", (np.array([True, False]), np.ones(2), np.zeros(2))),
    ("select", (np.array([True, False]), np.ones(2), np.zeros(3))),
    ("select_n", (np.array([0, 2, 1], np.int32), np.ones(3), np.zeros(3), np.full(3, 7.0))),
    ("select_n", (np.array([True]), np.ones(1), np.zeros(1), np.zeros(1))),
    ("clamp", (np.float64(0), sample("f8", ""), np.float64(1))),
    ("clamp", (sample("f8", "") - 1, sample("f8", ""), sample("f8", ""))),
    ("clamp", (np.zeros(2), sample("f8", ""), np.ones(2))),
    *(("convert_element_type", (sample(a, ""), np.dtype(b))) for a, b in pairs("f8 i4 b1", "f4 i8 b1 f2 c8")),
    *(("bitcast_convert_type", (sample(a, "", (2, 4)), np.dtype(b))) for a, b in pairs("f8 i4 f4 u1", "f4 i8 u1 f2")),
    *(("bitcast_convert_type", (sample(a, "", (3, 2)), np.dtype(b))) for a, b in (("f4", "f8"), ("u1", "i2"))),
    *(("reduce_precision", (ODD.astype(d), *form)) for d in ("f4", "f8") for form in FORMATS),
    ("iota", (np.int32, 4)),
    ("broadcasted_iota", (np.float64, (2, 3), 1)),
    ("full", ((2,), 3.0)),
    ("full", ((2,), 3, np.float32)),
    ("full_like", (sample("f4", ""), 2.0)),
    ("empty", ((2,), np.float32)),
    ("broadcast", (sample("f4", ""), (4,))),
    ("broadcast_in_dim", (sample("f4", ""), (2, 5, 3), (0, 2))),
    ("broadcast_in_dim", (sample("f4", ""), (2, 5), (0, 2))),
    ("broadcast_to_rank", (sample("f4", ""), 4)),
    ("reshape", (sample("f4", ""), (3, 2))),
    ("reshape", (sample("f4", ""), (3, 2), (1, 0))),
    ("expand_dims", (sample("f4", ""), (0, 2, -1))),
    ("squeeze", (sample("f4", "", (1, 3, 1)), (0, -1))),
    ("squeeze", (sample("f4", ""), (0,))),
    ("collapse", (sample("f4", "", (2, 3, 4)), 1)),
    ("collapse", (sample("f4", "", (2, 3, 4)), -3, -1)),
    ("transpose", (sample("f4", ""), (1, 0))),
    ("transpose", (sample("f4", ""), (0, 0))),
    ("rev", (sample("f4", ""), (1,))),
    ("concatenate", ([sample("f4", ""), sample("f4", "")], 1)),
    ("concatenate", ([sample("f4", ""), sample("f8", "")], 1)),
    ("concatenate", ([sample("f4", ""), sample("f4", "", (2,))], 0)),
    ("stack", ([sample("f4", ""), sample("f4", "")], 1)),
    ("unstack", (sample("f4", ""), 1)),
    ("split", (sample("f4", ""), (1, 2), 1)),
    ("tile", (sample("f4", ""), (2, 3))),
    ("pad", (sample("f4", ""), np.float32(7), [(1, 2, 0), (-1, 0, 2)])),
    ("pad", (sample("f4", ""), np.float64(7), [(1, 2, 0), (0, 0, 0)])),
    *((f"reduce_{name}", (sample(d, ""), (0,))) for name, d in pairs("sum prod max min and or xor", "b1 i4 u1 f8")),
    *((f"reduce_{name}", (sample("i4", ""), axes)) for name in ("sum", "max", "or", "xor") for axes in ((0, 1), ())),
    *((f"reduce_{name}", (np.zeros((0, 2), d), (0,))) for name, d in pairs("sum prod max min", "i4 f8")),
    ("argmax", (sample("f4", ""), 1, np.int32)),
    ("argmin", (sample("i4", ""), 0, np.int64)),
    ("argmax", (sample("f4", ""), -1, np.int32)),
    ("dot", (sample("f8", "", (3,)), sample("f8", "", (3,)))),
    ("dot", (sample("f8", "", (2, 3)), sample("f8", "", (3, 4)))),
    ("dot", (sample("f8", "", (2, 3)), sample("f8", "", (2, 4)))),
    ("dot_general", (sample("f8", "", (5, 2, 3)), sample("f8", "", (5, 3, 4)), (((2,), (1,)), ((0,), (0,))))),
    ("dot_general", (sample("i4", "", (2, 3)), sample("i4", "", (3, 4)), (((1,), (0,)), ((), ())))),
    ("dot_general", (sample("f8", "", (2, 3)), sample("f8", "", (2, 3)), (((1,), (0,)), ((), ())))),
    ("batch_matmul", (sample("f8", "", (5, 2, 3)), sample("f8", "", (5, 3, 4)))),
]  # fmt: skip


@pytest.mark.parametrize("case", range(len(OTHERS)), ids=lambda k: f"{k}-{OTHERS[k][0]}")
def test_others(case: int) -> None:
    name, args = OTHERS[case]
    hold(name, *args, ulps=64 if name in ("dot", "dot_general", "batch_matmul", "betainc", "polygamma") else 8)


def test_preferred_element_type() -> None:
    x = RNG.integers(-100, 100, (2, 3)).astype(np.int8)
    hold("dot_general", x, x.T.copy(), (((1,), (0,)), ((), ())), preferred_element_type=np.int32)
    y = RNG.normal(size=(2, 3)).astype(np.float32)
    hold("dot", y, y.T.copy(), preferred_element_type=np.float64)


COMPUTATIONS: dict[str, Callable[[Any], Callable[[Any, Any], Any]]] = {
    "add": lambda lib: lambda x, y: x + y,
    "mul": lambda lib: lambda x, y: x * y,
    "max": lambda lib: lib.max,
    "min": lambda lib: lib.min,
    "log-sum-exp": lambda lib: lambda x, y: lib.log(lib.exp(x) + lib.exp(y)),
}


@pytest.mark.parametrize("name", COMPUTATIONS)
def test_reduce(name: str) -> None:
    x = RNG.normal(size=(3, 5, 2))
    start = {"add": 0.0, "mul": 1.0, "max": -np.inf, "min": np.inf, "log-sum-exp": -np.inf}[name]
    make: Any = COMPUTATIONS[name]
    with jax.enable_x64(True):
        want = np.asarray(jax.lax.reduce(x, start, make(jax.lax), (0, 1)))
    for got in (lax.reduce(x, start, make(lax), (0, 1)), fg.jit(lambda x: lax.reduce(x, start, make(lax), (0, 1)))(x)):
        np.testing.assert_allclose(got, want, rtol=1e-14)
    listing = str(fg.make_jaxpr(lambda x: lax.reduce(x, start, make(lax), (0, 1)))(x))
    assert ("reduce_" in listing) == (name != "log-sum-exp")
    gradient = fg.grad(lambda x: np.sum(lax.reduce(x, start, make(lax), (0, 1))))(x)
    assert np.all(np.isfinite(gradient))


def test_reduce_of_pairs() -> None:
    values, places = RNG.normal(size=7), np.arange(7)

    def later(lib: Any) -> Any:
        def choose(a: Any, b: Any) -> Any:
            first = a[0] >= b[0]
            return lib.select(first, a[0], b[0]), lib.select(first, a[1], b[1])

        return choose

    with jax.enable_x64(True):
        want = jax.lax.reduce((values, places), (-np.inf, 0), later(jax.lax), (0,))
    for got in (
        lax.reduce((values, places), (-np.inf, 0), later(lax), (0,)),
        fg.jit(lambda v, p: lax.reduce((v, p), (-np.inf, 0), later(lax), (0,)))(values, places),
    ):
        assert [float(g) for g in got] == [float(w) for w in want]


def test_reduce_begins_with_the_initial_value() -> None:
    x = np.arange(4.0)
    assert lax.reduce(x, 10.0, lambda a, b: a + b, (0,)) == 16
    assert fg.jit(lambda x, s: lax.reduce(x, s, lax.max, (0,)))(x, 10.0) == 10
    assert lax.reduce(np.zeros((0, 2)), 0.0, lambda a, b: a + b, (0,)).tolist() == [0, 0]


def test_mistakes_teach() -> None:
    x = np.ones(3, np.float32)
    with pytest.raises(TypeError, match=r"lax\.add requires arguments of the same dtype.*funcgrad\.numpy\.add"):
        lax.add(x, np.ones(3))
    with pytest.raises(TypeError, match=r"float32, int64 \(a Python number\)"):
        fg.jit(lambda x: lax.max(x, 0))(x)
    with pytest.raises(TypeError, match=r"shapes \(3,\), \(1, 3\), which do not fit"):
        lax.mul(x, np.ones((1, 3), np.float32))
    with pytest.raises(TypeError, match="does not accept dtype int64: it takes floats"):
        lax.sin(1)
    with pytest.raises(TypeError, match="takes arrays and numbers, not"):
        lax.sin([1.0])
    assert lax.max(x, 0.0).dtype == np.float32  # a Python float beside floats


def test_stop_gradient_of_pytrees() -> None:
    gradient = fg.grad(lambda x: x * lax.stop_gradient({"a": x})["a"])(3.0)
    assert gradient == 3.0


def test_derivatives_by_name() -> None:
    a, x = np.array([1.0, 2.5]), np.array([2.0, 0.7])
    hold("igamma_grad_a", a, x, ulps=4096)
    assert fg.jit(lambda x: lax.optimization_barrier((x, x))[0])(a).tolist() == a.tolist()
