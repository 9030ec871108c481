"""Are special functions accurate, right at their edges, and differentiated?  Held against mpmath, SciPy and JAX."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
import scipy.special as sp

import funcgrad as fg
from funcgrad.scipy import special
from funcgrad.scipy.special import _ufuncs

mp = mpmath.mp
SPECIAL = np.array(
    [0.0, -0.0, 0.5, -0.5, 1, -1, 1.5, -1.5, 2, -2, 2.5, 3, -3, -2.5, 7.3, -7.3, 25.0, 30.0, -30.0, 0.3, 700.0, -700,
     1e-5, 1e-300, -1e-300, 0.9999, 1.0001, np.inf, -np.inf, np.nan]
)  # fmt: skip
FEW = np.array([0.5, -1.5, 2, 3])  # SciPy takes long over others
SINGLE_OF = {np.dtype("f8"): np.dtype("f4"), np.dtype("c16"): np.dtype("c8")}
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
TOLERANCE = {"kl_div": 1e-3, "boxcox": 1e-5, "boxcox1p": 1e-5, "betaln": 1e-10, "ndtr": 1e-11}


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", UFUNCS)
def test_traced_functions_agree_with_scipy_at_poles_zeros_and_ends(name: str, dtype: str) -> None:
    xs = operands(name, dtype)
    double = [x.astype(np.result_type(x, np.float64)) if x.dtype.kind in "fc" else x for x in xs]
    with np.errstate(over="ignore", under="ignore"):
        want = [w.astype(np.result_type(w, 0) if dtype == "f8" else SINGLE_OF[w.dtype]) for w in parts(getattr(sp, name)(*double))]
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


def test_scipys_own_functions_trace() -> None:
    assert fg.grad(lambda x: sp.gammaln(x))(3.0) == sp.psi(3.0)
    assert fg.jit(lambda x: np.sum(sp.ndtr(x) * 2))(np.zeros(3)) == 3.0


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


def test_importing_funcgrad_does_not_import_them() -> None:
    import subprocess
    import sys

    code = "import sys, funcgrad; assert not any(m.startswith('scipy') for m in sys.modules), 'scipy is loaded'"
    subprocess.run([sys.executable, "-c", code], check=True)


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
