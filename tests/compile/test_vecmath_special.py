"""Are the special functions of `compile.vecmath` accurate and vectorised?  Held against mpmath."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import mpmath
import numpy as np
import pytest

from funcgrad.compile import cpus, engine, vecmath
from funcgrad.compile.cpus import BASELINE
from tests.compile.test_vecmath import DTYPES, compiled, loop
from tests.scipy.test_special import _erf_inv, _ndtri

mp = mpmath.mp
INF, NAN = math.inf, math.nan
NAMES = sorted(vecmath.SPECIAL)
IN_DOUBLE = ("digamma", "lgamma", "log_ndtr", "trigamma")
Interval = tuple[float, float]
REFERENCE: dict[str, Callable[[mpmath.mpf], mpmath.mpf]] = {
    "lgamma": lambda x: mp.log(abs(mp.gamma(x))),
    "digamma": mp.digamma,
    "trigamma": mp.workdps(25)(lambda x: mp.psi(1, x)),  # at more digits it is slow
    "erf_inv": _erf_inv,
    "ndtri": _ndtri,
    "erfcx": lambda x: mp.exp(x * x) * mp.erfc(x),
    "log_ndtr": lambda x: mp.log1p(-mp.erfc(x / mp.sqrt(2)) / 2) if x > 0 else mp.log(mp.erfc(-x / mp.sqrt(2)) / 2),
    "i0e": lambda x: mp.besseli(0, x) * mp.exp(-abs(x)),
    "i1e": lambda x: mp.besseli(1, x) * mp.exp(-abs(x)),
}
# the intervals, and the units in the last place allowed in float64
RANGES: dict[str, tuple[tuple[Interval, ...], float]] = {
    "lgamma": (((0, 0.5), (0.5, 1.5), (1.5, 2.5), (2.5, 9), (9, 500)), 8),
    "digamma": (((0, 1), (1, 2), (2, 3.5), (3.5, 10), (10, 500)), 12),
    "trigamma": (((0, 1), (1, 8), (7.9, 8.1), (8, 500), (-30, 0)), 8),
    "erf_inv": (((-0.3, 0.3), (-1, 1), (0.99, 1), (0.999999, 1)), 8),
    "ndtri": (((0, 1), (0.49, 0.51), (0, 1e-3), (0, 1e-9), (0, 1e-30)), 8),
    "erfcx": (((-26, 0), (0, 0.6), (0.4, 5), (5, 60)), 8),
    "log_ndtr": (((-60, -1), (-1, 1), (1, 15)), 12),
    "i0e": (((-8, 8), (7, 9), (8, 900)), 8),
    "i1e": (((-8, 8), (7, 9), (8, 900)), 16),
}


def errors(name: str, dtype: str, count: int) -> tuple[float, float]:
    """The largest error in units in the last place, and where it is."""
    rng, info = np.random.default_rng(3), np.finfo(DTYPES[dtype])
    worst, place = 0.0, NAN
    for low, high in RANGES[name][0]:
        x = rng.uniform(low, high, count).astype(DTYPES[dtype])
        x = x[(np.abs(x) < 1) | (name not in ("erf_inv", "ndtri"))]
        with mp.workdps(110 if name == "log_ndtr" else 60):
            for at, got in zip(x.tolist(), compiled(name, dtype)(x).tolist(), strict=True):
                exact = REFERENCE[name](mp.mpf(at))
                if not info.tiny < abs(exact) < info.max:
                    continue
                unit = mp.ldexp(1, int(mp.frexp(exact)[1]) - 1 - info.nmant)
                error = float(abs(got - exact) / unit)
                worst, place = (error, at) if not error <= worst else (worst, place)
    return worst, place


@pytest.mark.parametrize("name", NAMES)
def test_double_precision(name: str) -> None:
    error, place = errors(name, "f8", 60)
    print(f"{name} f8: {error:.2f} ulp at {place}")
    assert error < RANGES[name][1]


@pytest.mark.parametrize("name", NAMES)
def test_single_precision(name: str) -> None:
    error, place = errors(name, "f4", 40)
    print(f"{name} f4: {error:.2f} ulp at {place}")
    assert error < (0.75 if name in IN_DOUBLE else 2)


# all floats between two positive ones are drawn from, evenly by their bits
SINGLE: dict[str, tuple[Interval, ...]] = {
    "erf_inv": ((1e-30, 0.1), (0.1, 0.9), (0.9, 0.99), (0.99, 0.999), (0.999, 1)),
    "ndtri": ((1e-45, 1e-20), (1e-20, 1e-6), (1e-6, 0.02), (0.02, 0.1), (0.1, 0.5), (0.5, 1)),
    "erfcx": ((1e-30, 0.01), (0.01, 0.5), (0.5, 10), (10, 3e38), (-0.5, -1e-9), (-9.38, -0.5)),
    "i0e": ((1e-30, 0.1), (0.1, 1), (1, 3), (3, 4), (4, 100), (100, 3e38)),
    "i1e": ((1e-30, 0.1), (0.1, 1), (1, 3), (3, 4), (4, 100), (-4, -0.1), (100, 3e38)),
}


@pytest.mark.parametrize("name", SINGLE)
def test_single_precision_everywhere(name: str) -> None:
    """Functions that compute in float, held against the double ones, which mpmath has been asked about."""
    rng, worst, place = np.random.default_rng(5), 0.0, NAN
    for interval in SINGLE[name]:
        low, high = np.sort(np.abs(interval)).astype(np.float32).view(np.int32)
        x = np.copysign(rng.integers(low, high, 50_000, np.int32).view(np.float32), np.float32(interval[0]))
        want = compiled(name, "f8")(x.astype(np.float64))
        unit = np.ldexp(1.0, np.maximum(np.frexp(want)[1], -125) - 24)
        error = np.abs(compiled(name, "f4")(x) - want) / unit
        if not error.max() <= worst:
            worst, place = float(error.max()), float(x[error.argmax()])
    print(f"{name} f4: {worst:.2f} ulp at {place}")
    assert worst <= 2


def test_negative_arguments_of_gamma_functions() -> None:
    """Away from the zeros, of which there is one between any two poles, the relative error is small."""
    x = np.random.default_rng(1).uniform(-40, 0, 300)
    for name in ("lgamma", "digamma"):
        with mp.workdps(40):
            exact = [REFERENCE[name](mp.mpf(v)) for v in x.tolist()]
            off = [
                float(abs(g - e) / max(abs(e), 1)) for g, e in zip(compiled(name, "f8")(x).tolist(), exact, strict=True)
            ]
        assert max(off) < 2e-14


SPECIAL: dict[str, list[tuple[float, float]]] = {
    "lgamma": [(0.0, INF), (-0.0, INF), (1.0, 0.0), (2.0, 0.0), (-1.0, INF), (-104.0, INF), (INF, INF), (-INF, -INF),
               (NAN, NAN), (1e307, INF)],
    "digamma": [(0.0, -INF), (-0.0, INF), (-1.0, NAN), (-104.0, NAN), (INF, INF), (-INF, NAN), (NAN, NAN)],
    "trigamma": [(0.0, INF), (-0.0, INF), (-1.0, INF), (-104.0, INF), (INF, 0.0), (-INF, NAN), (NAN, NAN),
                 (-1e-200, INF)],
    "erf_inv": [(0.0, 0.0), (-0.0, -0.0), (1.0, INF), (-1.0, -INF), (1.5, NAN), (-INF, NAN), (NAN, NAN)],
    "ndtri": [(0.0, -INF), (-0.0, -INF), (1.0, INF), (0.5, 0.0), (-0.5, NAN), (1.5, NAN), (INF, NAN), (NAN, NAN)],
    "erfcx": [(0.0, 1.0), (INF, 0.0), (-INF, INF), (-100.0, INF), (NAN, NAN)],
    "log_ndtr": [(INF, 0.0), (-INF, -INF), (NAN, NAN), (100.0, 0.0)],
    "i0e": [(0.0, 1.0), (-0.0, 1.0), (INF, 0.0), (-INF, 0.0), (NAN, NAN)],
    "i1e": [(0.0, 0.0), (-0.0, -0.0), (INF, 0.0), (-INF, -0.0), (NAN, NAN)],
}  # fmt: skip


@pytest.mark.parametrize("fma", [True, False])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", NAMES)
def test_special_values(name: str, dtype: str, fma: bool) -> None:
    with np.errstate(over="ignore"):
        x, want = (np.array(column, DTYPES[dtype]) for column in zip(*SPECIAL[name], strict=True))
    np.testing.assert_array_equal(compiled(name, dtype, fma)(x), want)


@pytest.mark.parametrize("name", NAMES)
def test_without_fused_multiply_add(name: str) -> None:
    assert "llvm.fma" not in vecmath.definitions([(name, "f8")], fma=False)
    low, high = RANGES[name][0][0]
    x = np.random.default_rng(2).uniform(low, high, 200)
    np.testing.assert_allclose(compiled(name, "f8", False)(x), compiled(name, "f8")(x), rtol=1e-13)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", NAMES)
def test_a_loop_becomes_vector_code_without_calls(name: str, dtype: str) -> None:
    text = loop(name, dtype, fma=cpus.has_fma())
    assert re.search(r"store <\d+ x (i\d+|float|double)>", engine.optimised(text))
    calls = set(re.findall(r"^\s*(?:callq?|blr?)\s+(\w+)", engine.assembly(text), re.MULTILINE))
    assert calls <= ({"rint", "rintf"} if cpus.target()[0] == BASELINE else set())  # before SSE4.1 x86 has none
