"""Are special functions accurate, right at their edges, and differentiated?  Held against mpmath, SciPy and JAX."""

from __future__ import annotations

import functools
import inspect
import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
import scipy.special as sp

import funcgrad as fg
from funcgrad.ops import special as ops
from funcgrad.scipy import special
from funcgrad.scipy.special import _ufuncs
from tests.ops.numerics import richardson

mp = mpmath.mp
SPECIAL = np.array(
    [0.0, -0.0, 0.5, -0.5, 1, -1, 1.5, -1.5, 2, -2, 2.5, 3, -3, -2.5, 7.3, -7.3, 25.0, 30.0, -30.0, 0.3, 700.0, -700,
     1e-5, 1e-300, -1e-300, 0.9999, 1.0001, np.inf, -np.inf, np.nan]
)  # fmt: skip
FEW = np.array([0.5, -1.5, 2, 3])  # SciPy takes long over others
UFUNCS = sorted(_ufuncs.TABLE)


def parts(x: Any) -> tuple[Any, ...]:
    return x if isinstance(x, tuple) else (x,)


def operands(name: str, dtype: str) -> list[np.ndarray]:
    """Every combination of special values."""
    reference = getattr(sp, name)
    values = (FEW if name.startswith("hyp") else SPECIAL).astype(dtype)
    grids = [np.ascontiguousarray(g.ravel()) for g in np.meshgrid(*[values] * reference.nin)]
    if name == "wofz":
        return [g.astype(np.result_type(dtype, np.complex64)) for g in grids]
    if name == "expn":
        grids[0] = np.abs(np.nan_to_num(grids[0], posinf=3, neginf=2)).astype(int) % 20
    return grids


# A traced result may be farther off where it is a difference: kl_div near its zero, powers of large exponents.
TOLERANCE = {"kl_div": 1e-3, "boxcox": 1e-5, "boxcox1p": 1e-5, "betaln": 1e-10, "ndtr": 1e-11, "gammaln": 1e-9,
    "loggamma": 1e-9, "log_ndtr": 1e-11,
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", UFUNCS)
def test_traced_functions_agree_with_scipy_at_poles_zeros_and_ends(name: str, dtype: str) -> None:
    xs = operands(name, dtype)
    double = [x.astype(np.result_type(x, np.float64)) if x.dtype.kind in "fc" else x for x in xs]
    kinds = [w.dtype for w in parts(getattr(sp, name)(*xs))]
    with np.errstate(over="ignore", under="ignore"):
        want = [w.astype(k) for w, k in zip(parts(getattr(sp, name)(*double)), kinds, strict=True)]
    got = parts(fg.jit(getattr(special, name))(*xs))
    tolerance = max(2e-6 if dtype == "f4" else 2e-14, TOLERANCE.get(name, 0) * (1 if dtype == "f4" else 1e-2))
    for g, w in zip(got, want, strict=True):
        assert g.dtype == w.dtype
        np.testing.assert_allclose(g, w, rtol=tolerance, atol=0)


@pytest.mark.parametrize("name", [n for n in UFUNCS if n not in ("wofz", "expn")])
def test_dtypes_are_scipys(name: str) -> None:
    reference = getattr(sp, name)
    for kinds in ("f2", "f4", "f8", "i1", "i8", "b1"):
        xs = [np.ones(2, kinds)] * reference.nin
        want = [w.dtype for w in parts(reference(*xs))]
        assert [g.dtype for g in parts(fg.jit(getattr(special, name))(*xs))] == want
        assert [g.dtype for g in parts(getattr(special, name)(*xs))] == want
    mixed = [np.ones(2, "f4"), *[0.5] * (reference.nin - 1)]
    assert parts(fg.jit(getattr(special, name))(*mixed))[0].dtype == parts(reference(*mixed))[0].dtype


def test_masks() -> None:
    """SciPy 1.17 itself gives other numbers here, and writes beyond the array."""
    x, mask = np.linspace(-1, 1, 6).reshape(2, 3), np.array([[True, False, True], [False, False, True]])
    for name in ("erf", "gammaln", "sici"):
        function = getattr(special, name)
        want = [np.where(mask, w, 0) for w in parts(getattr(sp, name)(x))]
        for form in (function, fg.jit(function)):
            np.testing.assert_allclose(parts(form(x, where=mask)), want, rtol=1e-14)


def test_scipys_own_functions_trace() -> None:
    assert fg.grad(lambda x: sp.gammaln(x))(3.0) == sp.psi(3.0)
    assert fg.jit(lambda x: np.sum(sp.ndtr(x) * 2))(np.zeros(3)) == 3.0


def test_scipys_own_functions_trace_without_any_import_of_ours() -> None:
    code = "import scipy.special as sp, funcgrad as fg; assert abs(fg.grad(lambda x: sp.erf(x))(0.0) - 1.128379) < 1e-6"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_function_without_a_counterpart_is_named() -> None:
    with pytest.raises(TypeError, match=r"<ufunc 'airy'> has no counterpart for traced arrays"):
        fg.jit(lambda x: sp.airy(x))(1.0)


def test_what_jax_has_is_there_with_its_parameters() -> None:
    jax_special = pytest.importorskip("jax.scipy.special")
    names = {n for n in dir(jax_special) if not n.startswith("_")}
    assert names <= set(special.__all__)
    for name in names - set(UFUNCS) - {"digamma"}:
        parameters = [
            [(p.name, p.default) for p in inspect.signature(getattr(m, name)).parameters.values()]
            for m in (special, jax_special)
        ]
        assert parameters[0] == parameters[1], name


# Accuracy ------------------------------------------------------------------------------------------------------------


def _digits(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, at a precision that survives cancellation."""

    @functools.wraps(function)
    def call(*xs: Any) -> Any:
        with mp.workdps(60):
            return function(*xs)

    return call


def _i(order: int, x: Any) -> Any:
    return mp.besseli(order, x) * mp.exp(-abs(x))


def _log_ndtr(x: Any) -> Any:
    return mp.log(mp.erfc(-x / mp.sqrt(2)) / 2)


def _erf_inv(y: Any) -> Any:
    with mp.workdps(30):
        return mp.erfinv(y)


def _ndtri(p: Any) -> Any:
    """By Newton's method on the smaller tail's logarithm."""
    q = min(p, 1 - p)
    x = -mp.sqrt(-2 * mp.log(q)) if q < mp.mpf("0.4") else (q - mp.mpf("0.5")) * mp.sqrt(2 * mp.pi)
    for _ in range(60):
        tail = mp.erfc(-x / mp.sqrt(2)) / 2
        step = tail * mp.log(tail / q) * mp.sqrt(2 * mp.pi) * mp.exp(x * x / 2)
        x -= step
        if abs(step) < mp.mpf(10) ** -40 * max(1, abs(x)):
            break
    return x if p < mp.mpf("0.5") else -x


Interval = tuple[float, float]
# function: mpmath's, the intervals of the arguments, the error allowed in float64 (1e-13 unless it is SciPy's own)
ACCURACY: dict[str, tuple[Callable[..., Any], tuple[Interval, ...], float]] = {
    "gammaln": (_digits(lambda x: mp.log(abs(mp.gamma(x)))), ((0.01, 60),), 1e-13),
    "gamma": (mp.gamma, ((-20.0, 170),), 1e-13),
    "digamma": (_digits(mp.digamma), ((-8.0, 60),), 1e-13),
    "loggamma": (_digits(mp.loggamma), ((0.01, 60),), 1e-13),
    "beta": (mp.beta, ((0.1, 60), (0.1, 60)), 1e-13),
    "betaln": (_digits(lambda a, b: mp.log(mp.beta(a, b))), ((0.1, 5e4), (0.1, 5e4)), 1e-13),
    "betainc": (
        _digits(lambda a, b, x: mp.betainc(a, b, 0, x, regularized=True)),
        ((0.3, 30), (0.3, 30), (0, 1)),
        1e-13,
    ),
    "gammainc": (_digits(lambda a, x: mp.gammainc(a, 0, x, regularized=True)), ((0.1, 60), (0.1, 90)), 1e-13),
    "gammaincc": (_digits(lambda a, x: mp.gammainc(a, x, mp.inf, regularized=True)), ((0.1, 60), (0.1, 90)), 1e-13),
    "erf": (mp.erf, ((-6, 6),), 1e-15),
    "erfc": (mp.erfc, ((-6, 26),), 1e-15),
    "erfcx": (_digits(lambda x: mp.exp(x * x) * mp.erfc(x)), ((-20, 30),), 1e-13),
    "erfinv": (_erf_inv, ((-1, 1),), 1e-13),
    "ndtr": (_digits(lambda x: mp.erfc(-x / mp.sqrt(2)) / 2), ((-37, 8),), 2e-13),  # x/√2 is rounded, in SciPy too
    "ndtri": (_digits(_ndtri), ((0, 1),), 1e-13),
    "log_ndtr": (_digits(_log_ndtr), ((-50, 8),), 1e-13),
    "dawsn": (_digits(lambda x: mp.sqrt(mp.pi) / 2 * mp.exp(-x * x) * mp.erfi(x)), ((-30, 30),), 1e-13),
    "expi": (_digits(mp.ei), ((0.5, 60),), 1e-13),
    "exp1": (_digits(mp.e1), ((0.01, 60),), 1e-13),
    "spence": (_digits(lambda x: mp.polylog(2, 1 - x).real), ((0.01, 20),), 1e-13),
    "i0": (mp.besseli_0 if hasattr(mp, "besseli_0") else (lambda x: mp.besseli(0, x)), ((-60, 60),), 1e-13),
    "i1": (lambda x: mp.besseli(1, x), ((-60, 60),), 1e-13),
    "i0e": (_digits(functools.partial(_i, 0)), ((-90, 90),), 1e-13),
    "i1e": (_digits(functools.partial(_i, 1)), ((-90, 90),), 1e-13),
    "zeta": (_digits(mp.zeta), ((1.1, 20), (0.2, 30)), 1e-13),
    "expit": (_digits(lambda x: 1 / (1 + mp.exp(-x))), ((-50, 50),), 1e-15),
    "logit": (_digits(lambda x: mp.log(x / (1 - x))), ((0, 1),), 1e-14),
    "log_expit": (_digits(lambda x: -mp.log1p(mp.exp(-x))), ((-50, 50),), 1e-15),
    "xlogy": (_digits(lambda x, y: x * mp.log(y)), ((0.1, 9), (0.01, 9)), 1e-15),
    "xlog1py": (_digits(lambda x, y: x * mp.log1p(y)), ((0.1, 9), (-0.9, 9)), 1e-15),
    "entr": (_digits(lambda x: -x * mp.log(x)), ((0.001, 9),), 1e-15),
    "rel_entr": (_digits(lambda p, q: p * mp.log(p / q)), ((0.001, 9), (0.001, 9)), 1e-13),
    "owens_t": (
        lambda h, a: mp.quad(lambda t: mp.exp(-h * h * (1 + t * t) / 2) / (1 + t * t), [0, a]) / (2 * mp.pi),
        ((0.1, 4), (0.1, 1)),
        1e-13,
    ),
    "hyp1f1": (_digits(mp.hyp1f1), ((0.5, 5), (0.5, 5), (0.1, 30)), 1e-12),  # SciPy's own error
    "hyp2f1": (_digits(mp.hyp2f1), ((0.5, 3), (0.5, 3), (1, 5), (-0.9, 0.9)), 1e-12),  # SciPy's own error
    "poch": (_digits(mp.rf), ((0.5, 20), (0.5, 20)), 2e-13),  # SciPy's own error
}


def drawn(name: str, dtype: type, count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(11)
    return [rng.uniform(low, high, count).astype(dtype) for low, high in ACCURACY[name][1]]


def worst(name: str, dtype: type, got: np.ndarray, xs: list[np.ndarray]) -> tuple[float, tuple[float, ...]]:
    """The largest relative error, and where; where the function is near a zero, of a hundredth instead."""
    with mp.workdps(25):
        exact = [ACCURACY[name][0](*(mp.mpf(float(v)) for v in at)) for at in zip(*xs, strict=True)]
        off = [float(abs((mp.mpf(float(g)) - w) / max(abs(w), mp.mpf("0.01")))) if abs(w) < 0.01 and name in CROSSING
               else float(abs((mp.mpf(float(g)) - w) / w)) for g, w in zip(got, exact, strict=True)]  # fmt: skip
    limits = np.finfo(dtype)
    off = [e if limits.tiny < abs(w) < limits.max else 0.0 for e, w in zip(off, exact, strict=True)]
    place = int(np.argmax(off))
    return off[place], tuple(float(x[place]) for x in xs)


CROSSING = ("gammaln", "digamma", "loggamma", "betaln", "spence", "rel_entr", "logit", "entr", "expi", "gamma")


@pytest.mark.parametrize("name", sorted(ACCURACY))
def test_double_precision_is_accurate(name: str) -> None:
    xs = drawn(name, np.float64, 40)
    for kind, form in (("plain", getattr(special, name)), ("jitted", fg.jit(getattr(special, name)))):
        error, place = worst(name, np.float64, np.asarray(form(*xs)), xs)
        print(f"{name} {kind}: {error:.2e} at {place}")
        if kind == "jitted" or name not in BETTER_THAN_SCIPY:
            assert error <= (ACCURACY[name][2] if kind == "jitted" else max(2e-13, ACCURACY[name][2]))


BETTER_THAN_SCIPY = ("betaln",)


@pytest.mark.parametrize("name", sorted(set(ACCURACY) - {"hyp1f1", "hyp2f1", "poch", "owens_t", "gamma"}))
def test_single_precision_is_accurate_to_a_few_units(name: str) -> None:
    xs = drawn(name, np.float32, 40)
    error, place = worst(name, np.float32, np.asarray(fg.jit(getattr(special, name))(*xs)), xs)
    print(f"{name}: {error / 2**-23:.2f} units of 2**-23 at {place}")
    assert error <= SINGLE.get(name, 4) * 2**-23


# compositions whose rounding errors the last step magnifies
SINGLE = {"ndtr": 128, "rel_entr": 16, "i0": 8, "i1": 8}


# Derivatives ---------------------------------------------------------------------------------------------------------

POINTS: dict[str, tuple[float, ...]] = {  # where derivatives are held against differences; elsewhere at 0.4, 0.6, 0.8
    "gammaln": (-1.4,), "gamma": (-1.4,), "psi": (-1.4,), "erfcx": (-0.7,), "spence": (1.4,), "expn": (2, 0.6),
    "poch": (0.7, 1.3),
    "gammainc": (45.0, 43.0), "gammaincc": (0.3, 4.0), "hyp1f1": (0.7, 1.3, -6.0), "hyp2f1": (0.7, 1.3, 1.1, -3.0),
    "betainc": (7.0, 3.0, 0.8), "boxcox": (0.4, -0.3), "i1": (-3.0,), "kl_div": (0.4, 0.41), "beta": (0.4, 20.0),
}  # fmt: skip
FLAT = ("gammasgn", "wofz")


@pytest.mark.parametrize("name", [n for n in UFUNCS if n not in FLAT])
def test_derivatives(name: str) -> None:
    function = getattr(special, name)
    xs = POINTS.get(name, (0.4, 0.6, 0.8, 0.5)[: getattr(sp, name).nin])
    moving = [np.float64(x) for x in xs if isinstance(x, float)]
    orders = [x for x in xs if not isinstance(x, float)]

    def f(*given: Any) -> Any:
        return sum(parts(function(*orders, *given)))

    tangents = [np.float64(t) for t in np.linspace(0.3, 0.1, len(moving))]
    _, slope = fg.jvp(f, tuple(moving), tuple(tangents))
    np.testing.assert_allclose(slope, richardson(f, moving, tangents), rtol=2e-9, atol=1e-11)
    gradient = fg.jit(fg.grad(f, argnums=tuple(range(len(moving)))))(*moving)
    np.testing.assert_allclose(np.dot(gradient, tangents), slope, rtol=1e-11, atol=1e-14)


EDGES: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    # function: the point, and the derivatives there
    "xlogy": ((0.0, 2.0), (math.log(2.0), 0.0)),
    "xlog1py": ((0.0, 1.0), (math.log(2.0), 0.0)),
    "entr": ((0.0,), (np.inf,)),
    "i1e": ((0.0,), (0.5,)),
    "i1": ((0.0,), (0.5,)),
    "spence": ((1.0,), (-1.0,)),
    "gammainc": ((1.0, 0.0), (0.0, 1.0)),
    "betainc": ((1.0, 2.0, 0.0), (0.0, 0.0, 2.0)),
    "boxcox": ((2.0, 0.0), (0.5, 0.5 * math.log(2.0) ** 2)),
    "boxcox1p": ((1.0, 0.0), (0.5, 0.5 * math.log(2.0) ** 2)),
    "erfinv": ((1.0,), (np.inf,)),
    "ndtri": ((0.0,), (np.inf,)),
    "logit": ((0.0,), (np.inf,)),
    "log_ndtr": ((-1e6,), (1e6,)),
    "erfcx": ((1e8,), (-1 / math.sqrt(math.pi) / 1e16,)),
    "dawsn": ((-1e8,), (-0.5e-16,)),
    "expn": ((1, 1.0), (-math.exp(-1.0),)),
    "kl_div": ((0.0, 2.0), (0.0, 1.0)),
    "rel_entr": ((2.0, 2.0), (1.0, -1.0)),
}


@pytest.mark.parametrize("name", EDGES)
def test_derivatives_at_the_edges(name: str) -> None:
    at, want = EDGES[name]
    numbers = tuple(k for k, x in enumerate(at) if isinstance(x, float))
    for form in (lambda f: f, fg.jit):
        got = form(fg.grad(getattr(special, name), argnums=numbers))(*at)
        np.testing.assert_allclose(np.array(got), want, rtol=1e-11, atol=1e-300)


def test_sine_integral_and_zeta_at_the_edges() -> None:
    assert fg.grad(lambda x: special.sici(x)[0])(0.0) == 1.0
    assert special.zeta(1.0, 2.0) == np.inf
    got = fg.grad(special.zeta, argnums=(0, 1))(3.0, 1.5)
    want = [mp.diff(lambda s: mp.zeta(s, 1.5), 3), -3 * mp.zeta(4, 1.5)]
    np.testing.assert_allclose(got, [float(w) for w in want], rtol=1e-14)


def test_complex_functions_are_holomorphic() -> None:
    z = np.array([0.7 + 0.4j, 1.5 - 2j, -0.4 + 1.3j])
    for name in ("wofz", "loggamma", "gamma"):
        function = getattr(special, name)
        _, slope = fg.jvp(function, (z,), (np.ones_like(z),))
        h = 1e-5
        np.testing.assert_allclose(slope, (function(z + h) - function(z - h)) / (2 * h), rtol=1e-8)
        np.testing.assert_allclose(fg.jit(function)(z), getattr(sp, name)(z), rtol=1e-15)


@pytest.mark.parametrize(
    ("a", "x"), [(0.1, 0.01), (0.5, 2.0), (3.0, 2.9), (29.0, 31.0), (31.0, 29.0), (40.0, 90.0), (2e3, 2e3)]
)
def test_derivatives_by_the_shape(a: float, x: float) -> None:
    """Of the incomplete gamma function, and of gamma variates at a fixed probability."""
    with mp.workdps(60):
        by_shape = mp.diff(lambda s: mp.gammainc(s, 0, x, regularized=True), mp.mpf(a))
        density = mp.exp((mp.mpf(a) - 1) * mp.log(mp.mpf(x)) - x - mp.loggamma(a))
    np.testing.assert_allclose(fg.grad(special.gammainc)(a, x), float(by_shape), rtol=2e-12)
    np.testing.assert_allclose(fg.grad(special.gammaincc)(a, x), -float(by_shape), rtol=2e-12)
    np.testing.assert_allclose(ops.random_gamma_grad(np.array(a), np.array(x)), float(-by_shape / density), rtol=1e-12)


def test_a_derivative_does_not_depend_on_its_neighbours() -> None:
    a, x = np.linspace(0.1, 60, 50), np.linspace(0.2, 55, 50)
    together = ops.igamma_grad_a(a, x)
    np.testing.assert_allclose(together, [ops.igamma_grad_a(u, v) for u, v in zip(a, x, strict=True)], rtol=1e-14)


# The other functions -------------------------------------------------------------------------------------------------


def test_logsumexp() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(0, 300, (3, 4, 5)), rng.normal(size=(4, 5))
    a[0, 0, 0] = -np.inf
    for options in ({}, {"axis": 1}, {"axis": (0, 2), "keepdims": True}, {"axis": -1, "b": np.abs(b)},
                    {"axis": 1, "b": b, "return_sign": True}):  # fmt: skip
        with np.errstate(all="ignore"):
            want = sp.logsumexp(a, **options)
        for got in (special.logsumexp(a, **options), fg.jit(lambda a: special.logsumexp(a, **options))(a)):  # noqa: B023
            for g, w in zip(parts(got), parts(want), strict=True):
                np.testing.assert_allclose(g, w, rtol=1e-13)
    masked = special.logsumexp(a, axis=2, where=a > 0)
    np.testing.assert_allclose(masked, sp.logsumexp(np.where(a > 0, a, -np.inf), axis=2), rtol=1e-13)
    assert np.isnan(special.logsumexp([0.0, 0.0], b=[1.0, -2.0]))


def test_logsumexp_at_the_edges() -> None:
    for a in (np.full(3, -np.inf), np.array([1.0, -np.inf])):
        got = fg.jit(fg.value_and_grad(special.logsumexp))(a)
        assert got[0] == np.max(a)
        np.testing.assert_array_equal(got[1], np.isfinite(a) * 1.0)
    assert special.logsumexp([np.inf, 0.0]) == np.inf
    assert special.logsumexp([1.0, 2.0], b=[0.0, 0.0]) == -np.inf
    assert special.logsumexp(np.zeros(0)) == -np.inf
    np.testing.assert_array_equal(special.logsumexp(np.zeros((2, 0)), axis=1), [-np.inf, -np.inf])
    assert special.logsumexp(np.float32([1, 2])).dtype == np.float32


def test_softmax() -> None:
    x = np.random.default_rng(3).normal(0, 300, (3, 4))
    for axis in (None, 0, (0, 1)):
        np.testing.assert_allclose(special.softmax(x, axis=axis), sp.softmax(x, axis=axis), rtol=1e-13)
        traced = fg.jit(lambda x: special.log_softmax(x, axis=axis))(x)  # noqa: B023
        np.testing.assert_allclose(traced, sp.log_softmax(x, axis=axis), rtol=1e-12)


def test_polygamma() -> None:
    n, x = np.arange(6)[:, None], np.array([-1.5, 0.0, 0.3, 1.0, 30.0, np.inf])
    np.testing.assert_allclose(fg.jit(special.polygamma)(n, x), sp.polygamma(n, x), rtol=1e-13)
    assert special.polygamma(1, np.float32(2)).dtype == np.float32
    assert np.isnan(special.polygamma(-1, 2.0))
    np.testing.assert_allclose(fg.grad(fg.grad(special.digamma))(2.5), sp.polygamma(2, 2.5), rtol=1e-14)
    for known in (0, np.int64(1), 1.0):
        traced = fg.jit(lambda x: special.polygamma(known, x))(x)  # noqa: B023
        np.testing.assert_allclose(traced, sp.polygamma(int(known), x), rtol=1e-13)
    for run in (lambda f: f, fg.jit):  # SciPy adds up 1e10 terms there
        assert run(fg.grad(special.digamma))(-1e10 - 0.5) == pytest.approx(np.pi**2, rel=1e-9)
    with pytest.raises(TypeError, match="orders must be integers, not complex128"):
        special.polygamma(1j, 2.0)


def test_factorials_and_combinations() -> None:
    n, k = np.array([0, 1, 5, 20, 5, 5]), np.array([0, 2, 2, 10, -1, 6])
    np.testing.assert_allclose(fg.jit(special.factorial)(n), sp.factorial(n), rtol=1e-14)
    assert special.factorial(-1) == special.comb(-1, 0) == 0
    assert special.factorial(25, exact=True) == math.factorial(25)
    for repetition in (False, True):
        got = fg.jit(lambda n, k: special.comb(n, k, repetition=repetition))(n, k)  # noqa: B023
        np.testing.assert_allclose(got, sp.comb(n, k, repetition=repetition), rtol=1e-14)
    with pytest.raises(NotImplementedError, match="exact=True"):
        fg.jit(lambda n: special.factorial(n, exact=True))(3)


def test_multigammaln_and_bernoulli() -> None:
    a = np.array([2.5, 8.0])
    np.testing.assert_allclose(
        fg.jit(lambda a: special.multigammaln(a, 4))(a), [sp.multigammaln(v, 4) for v in a], rtol=1e-13
    )
    for n in (0, 1, 2, 20):
        np.testing.assert_allclose(special.bernoulli(n), sp.bernoulli(max(n, 2))[: n + 1], rtol=1e-15)
    with pytest.raises(ValueError, match="must not be negative, but is -1"):
        special.bernoulli(-1)
    with pytest.raises(TypeError, match="must be an integer"):
        special.multigammaln(a, 1.5)


def test_bessel_functions_of_integer_order() -> None:
    z = np.array([[-3.0, 0.0], [0.5, 40.0]])
    want = np.stack([sp.jv(k, z) for k in range(5)])
    np.testing.assert_allclose(fg.jit(lambda z: special.bessel_jn(z, v=4))(z), want, rtol=1e-13)
    slope = fg.vmap(fg.grad(lambda z: special.bessel_jn(z, v=3)[3]))(z.ravel())
    np.testing.assert_allclose(slope, sp.jvp(3, z.ravel()), rtol=1e-12)


def test_spherical_harmonics() -> None:
    n, m = np.array([0, 1, 3, 3, 5]), np.array([0, -1, 2, -3, 0])
    theta, phi = np.linspace(0, np.pi, 5), np.linspace(0, 6, 5)
    want = sp.sph_harm_y(n, m, theta, phi) if hasattr(sp, "sph_harm_y") else sp.sph_harm(m, n, phi, theta)
    np.testing.assert_allclose(fg.jit(special.sph_harm_y)(n, m, theta, phi), want, rtol=1e-13, atol=1e-16)
    np.testing.assert_allclose(special.sph_harm_y(n, m, theta, phi, n_max=5), want, rtol=1e-13, atol=1e-16)
    real = lambda t, p: np.real(special.sph_harm_y(3, 2, t, p))  # noqa: E731
    np.testing.assert_allclose(fg.grad(real)(0.7, 0.4), richardson(lambda t: real(t, 0.4), [0.7], [1.0]), rtol=1e-9)
    with pytest.raises(NotImplementedError, match="diff_n"):
        special.sph_harm_y(n, m, theta, phi, diff_n=1)


def test_what_is_wrong_is_told_with_the_line() -> None:
    with pytest.raises(
        TypeError, match=r"(?s)scipy.special.erfinv does not accept arrays of dtype complex128.*test_special"
    ):
        fg.jit(special.erfinv)(1j)
    with pytest.raises(ValueError, match=r"(?s)betaln: operands could not be broadcast .* \(2,\) \(3,\)"):
        fg.jit(special.betaln)(np.ones(2), np.ones(3))
    with pytest.raises(TypeError, match="not accept"):
        fg.jit(lambda x: special.xlogy(x, "2"))(1.0)


JAXS = {
    **dict.fromkeys(("gammaln", "digamma", "expi", "i1e", "ndtri", "log_ndtr"), (0.6,)),
    "betaln": (1.7, 0.6),
    "hyp1f1": (0.7, 1.3, 0.6),
}


@pytest.mark.parametrize("name", JAXS)
def test_values_and_slopes_are_jaxs(name: str) -> None:
    jax = pytest.importorskip("jax")
    theirs, ours = getattr(pytest.importorskip("jax.scipy.special"), name), getattr(special, name)
    at, count = [np.float64(v) for v in JAXS[name]], tuple(range(len(JAXS[name])))
    with jax.enable_x64(True):
        want = jax.value_and_grad(theirs, argnums=count)(*at)
    got = fg.jit(fg.value_and_grad(ours, argnums=count))(*at)
    np.testing.assert_allclose(got[0], want[0], rtol=1e-12)
    np.testing.assert_allclose(got[1], want[1], rtol=1e-9)


def test_the_slope_of_a_sigmoid_in_the_middle() -> None:
    assert fg.grad(special.log_expit)(0.0) == fg.grad(special.log_expit)(-0.0) == 0.5
