"""Are the functions of `compile.vecmath` accurate, right in special cases, and vectorised?  Held against mpmath."""

from __future__ import annotations

import ctypes
import functools
import math
import re
import struct
from collections.abc import Callable

import mpmath
import numpy as np
import pytest

from funcgrad.compile import cpus, engine, vecmath
from funcgrad.compile.vecmath import trigonometric

DTYPES = {"f2": np.float16, "f4": np.float32, "f8": np.float64}
TYPES = {"f2": "half", "f4": "float", "f8": "double"}
INF, NAN = math.inf, math.nan
UNARY = sorted(vecmath.FUNCTIONS.keys() - vecmath.BINARY)
mp = mpmath.mp


def loop(name: str, dtype: str, fma: bool = True) -> str:
    """A module with `kernel(n, out, x, y)`, which fills out[i] = f(x[i]) or f(x[i], y[i])."""
    t, binary = TYPES[dtype], name in vecmath.BINARY
    return f"""
{vecmath.definitions([(name, dtype)], fma=fma)}
define void @kernel(i64 %n, ptr noalias %out, ptr noalias %x, ptr noalias %y) {{
entry:
  %any = icmp sgt i64 %n, 0
  br i1 %any, label %body, label %done
body:
  %i = phi i64 [ 0, %entry ], [ %next, %body ]
  %px = getelementptr inbounds {t}, ptr %x, i64 %i
  %vx = load {t}, ptr %px
  %py = getelementptr inbounds {t}, ptr %y, i64 %i
  {f"%vy = load {t}, ptr %py" if binary else ""}
  %r = call {t} {vecmath.symbol(name, dtype)}({t} %vx{f", {t} %vy" if binary else ""})
  %po = getelementptr inbounds {t}, ptr %out, i64 %i
  store {t} %r, ptr %po
  %next = add nuw nsw i64 %i, 1
  %more = icmp slt i64 %next, %n
  br i1 %more, label %body, label %done, !llvm.loop !0
done:
  ret void
}}
!0 = distinct !{{!0, !1, !2}}
!1 = !{{!"llvm.loop.unroll.disable"}}
!2 = !{{!"llvm.loop.interleave.count", i32 1}}
"""


@functools.cache
def compiled(name: str, dtype: str, fma: bool = True) -> Callable[..., np.ndarray]:
    """The loop, as a function of arrays."""
    library = engine.load(engine.to_object(loop(name, dtype, fma), verify=True))
    pointer = ctypes.c_void_p
    native = ctypes.CFUNCTYPE(None, ctypes.c_int64, pointer, pointer, pointer)(library.address("kernel"))

    return functools.partial(_apply, library, native, DTYPES[dtype])


def _apply(
    library: engine.Library, native: Callable[..., None], dtype: type, x: np.ndarray, y: np.ndarray | None = None
) -> np.ndarray:
    """Call the loop; the library is an argument so that it lives as long as the function."""
    x = np.ascontiguousarray(x, dtype)
    y = x if y is None else np.ascontiguousarray(y, dtype)
    out = np.empty_like(x)
    native(x.size, out.ctypes.data, x.ctypes.data, y.ctypes.data)
    return out


# what the result should be --------------------------------------------------------------------------------------------


def _cbrt(x: mpmath.mpf) -> mpmath.mpf:
    return mpmath.sign(x) * mpmath.cbrt(abs(x))


def _logistic(x: mpmath.mpf) -> mpmath.mpf:
    return 1 / (1 + mpmath.exp(-x)) if x > 0 else mpmath.exp(x) / (1 + mpmath.exp(x))


def _careful(function: Callable[..., mpmath.mpf]) -> Callable[..., mpmath.mpf]:
    """The function at a precision that survives the cancellation near its zeros."""

    def call(*operands: mpmath.mpf) -> mpmath.mpf:
        with mp.workprec(140 + 2 * max(0, *(-mpmath.frexp(x)[1] for x in operands))):
            return function(*operands)

    return call


REFERENCE: dict[str, Callable[..., mpmath.mpf]] = {
    "exp": mpmath.exp,
    "exp2": lambda x: mpmath.power(2, x),
    "expm1": mpmath.expm1,
    "log": mpmath.log,
    "log2": lambda x: mpmath.log(x) / mp.ln2,
    "log10": mpmath.log10,
    "log1p": mpmath.log1p,
    "sin": mpmath.sin,
    "cos": mpmath.cos,
    "tan": mpmath.tan,
    "sinh": _careful(mpmath.sinh),
    "cosh": mpmath.cosh,
    "tanh": _careful(mpmath.tanh),
    "cbrt": _cbrt,
    "arcsin": _careful(mpmath.asin),
    "arccos": _careful(mpmath.acos),
    "arctan": mpmath.atan,
    "arcsinh": _careful(mpmath.asinh),
    "arccosh": _careful(mpmath.acosh),
    "arctanh": _careful(mpmath.atanh),
    "arctan2": mpmath.atan2,
    "pow": mpmath.power,
    "logistic": _logistic,
    "erf": mpmath.erf,
    "erfc": mpmath.erfc,
}
# Where a function's results are finite and not constant; exponents go on below.
DOMAIN: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    **dict.fromkeys(("log", "log2", "log10"), lambda x: x > 0),
    "log1p": lambda x: x > -1,
    **dict.fromkeys(("arcsin", "arccos"), lambda x: abs(x) <= 1),
    "arctanh": lambda x: abs(x) < 1,
    "arccosh": lambda x: x >= 1,
    **dict.fromkeys(("exp", "exp2", "expm1", "sinh", "cosh", "logistic", "tanh"), lambda x: abs(x) < 1200),
    "erf": lambda x: abs(x) < 40,
    "erfc": lambda x: abs(x) < 40,
}
INTERVALS = {
    "exp": [(-750, 715), (-105, 90), (-1, 1)],
    "exp2": [(-1080, 1030), (-152, 130), (-2, 2)],
    "expm1": [(-50, 715), (-25, 90), (-1.5, 1.5)],
    "logistic": [(-750, 50), (-105, 20), (-2, 2)],
    "sinh": [(-712, 712), (-91, 91), (-2, 2)],
    "cosh": [(-712, 712), (-91, 91), (-2, 2)],
    "tanh": [(-25, 25), (-1.5, 1.5)],
    "log1p": [(-1, 3), (-0.5, 0.5)],
    "erf": [(-7, 7), (-1.2, 1.2)],
    "erfc": [(-7, 28), (-1.2, 1.2), (0, 11)],
    "arccosh": [(1, 3), (1, 1.01)],
    "arcsinh": [(-3, 3)],
    "arctan": [(-4, 4)],
}


def samples(name: str, dtype: str, count: int) -> np.ndarray:
    """Values over all exponents, in the intervals where the function is hard, and beside multiples of pi/2."""
    t = DTYPES[dtype]
    rng = np.random.default_rng(7)
    info = np.finfo(t)
    exponents = rng.uniform(math.log2(info.smallest_subnormal), math.log2(info.max), count)
    sets = [np.exp2(exponents) * rng.choice([-1, 1], count)]
    sets += [np.exp2(rng.uniform(-8, 8, count)) * rng.choice([-1, 1], count)]
    for low, high in [*INTERVALS.get(name, [(-1, 1), (0.5, 2)])]:
        sets.append(rng.uniform(low, high, count))
    if name in ("sin", "cos", "tan"):
        turns = np.rint(np.exp2(rng.uniform(0, 0.9 * math.log2(info.max), count)))
        below = np.rint(np.exp2(rng.uniform(0, 1 + math.log2(trigonometric.FAR), count)))
        near = np.array([float(int(n) * mp.pi / 2) for n in (*turns[:200], *below, *TURNS)])
        border = trigonometric.FAR * (1 + np.array([-(2.0**-53), 0, 2.0**-52]))
        sets += [rng.integers(0, 2000, count) * (math.pi / 2), near, border, [HARDEST[dtype]]]
    with np.errstate(over="ignore"):
        x = np.concatenate(sets).astype(t)
        x = np.concatenate([x, np.nextafter(x[-count:], t(INF))])
    return x[np.isfinite(x) & (x != 0) & DOMAIN.get(name, np.isfinite)(x)]


# How often pi/2 goes into numbers that are nearly whole (the denominators of its convergents).
TURNS = (1, 2, 7, 219, 226, 32989, 33215, 165849, 364913, 3085153, 3450066, 23785549, 27235615, 78256779, 340262731)
# The numbers of each format that come closest to a multiple of pi/2 (Muller, Elementary Functions, chapter 11).
HARDEST = {"f2": 11.0, "f4": 16367173.0 * 2.0**72, "f8": 6381956970095103.0 * 2.0**797}


def pairs(name: str, dtype: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Operands of a function of two."""
    t = DTYPES[dtype]
    rng = np.random.default_rng(11)
    info = np.finfo(t)
    wide = np.exp2(rng.uniform(math.log2(info.smallest_subnormal), math.log2(info.max), count))
    if name == "arctan2":
        with np.errstate(over="ignore"):
            y = wide * np.exp2(rng.uniform(-4, 4, count)) * rng.choice([-1, 1], count)
        x = wide * rng.choice([-1, 1], count)
        y[: count // 4] = np.exp2(rng.uniform(-60, 60, count // 4))
        x[: count // 4] = np.exp2(rng.uniform(-60, 60, count // 4)) * rng.choice([-1, 1], count // 4)
    else:
        # results over the whole range of the format, from bases over the whole range and from bases near 1
        result = rng.uniform(math.log2(info.smallest_subnormal) - 2, math.log2(info.max) + 1, count)
        x = wide
        x[: count // 3] = rng.uniform(0.5, 2, count // 3)
        x[: count // 6] = 1 + rng.uniform(-1, 1, count // 6) * np.exp2(rng.uniform(-info.nmant, -1, count // 6))
        x = x.astype(t).astype(float)
        x[x == 1] = 2
        y = result / np.log2(x)
        y[-100:] = rng.integers(-6, 6, 100)
        x[-100:] = -rng.uniform(0, 9, 100)
        x, y = y, x  # so that the first operand returned below is the base
    with np.errstate(over="ignore"):
        y, x = y.astype(t), x.astype(t)
    keep = np.isfinite(y) & np.isfinite(x) & (y != 0) & (x != 0)
    return y[keep], x[keep]


def worst_error(name: str, dtype: str, got: np.ndarray, *operands: np.ndarray) -> tuple[float, tuple[float, ...]]:
    """The largest error in units in the last place, subnormal ones included, and where it is."""
    info = np.finfo(DTYPES[dtype])
    # The finite number after the largest one, if there were one: the rounding boundary of overflow lies in between.
    overflow = mpmath.ldexp(1, info.maxexp) - mpmath.ldexp(1, info.maxexp - info.nmant - 2)
    worst, place = 0.0, ()
    for result, *at in zip(got.tolist(), *(o.tolist() for o in operands), strict=True):
        exact = REFERENCE[name](*(mpmath.mpf(v) for v in at))
        exponent = max(mpmath.frexp(exact)[1] - 1, info.minexp) if exact else info.minexp
        unit = mpmath.ldexp(1, int(exponent) - info.nmant)
        if math.isinf(result):
            error = 0.0 if abs(exact) >= overflow - 2 * unit and (exact > 0) == (result > 0) else INF
        else:
            error = float(abs(result - exact) / unit)
        if not error <= worst:
            worst, place = error, tuple(at)
    return worst, place


def check(name: str, dtype: str, count: int, fma: bool = True) -> float:
    with mp.workprec(140):
        operands = pairs(name, dtype, count) if name in vecmath.BINARY else (samples(name, dtype, count),)
        error, place = worst_error(name, dtype, compiled(name, dtype, fma)(*operands), *operands)
    print(f"{name} {dtype}: {error:.3f} ulp at {place}, {operands[0].size} points")
    return error


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", sorted(vecmath.FUNCTIONS))
def test_errors_stay_below_two_units_in_the_last_place(name: str, dtype: str) -> None:
    assert check(name, dtype, 400) < 2.0


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", sorted(vecmath.FUNCTIONS))
def test_errors_stay_below_two_units_in_the_last_place_densely(name: str, dtype: str) -> None:
    assert check(name, dtype, 50_000) < 2.0


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", sorted(vecmath.FUNCTIONS))
def test_errors_stay_below_three_units_without_fused_multiply_add(name: str, dtype: str) -> None:
    assert "llvm.fma" not in vecmath.definitions([(name, dtype)], fma=False)
    assert check(name, dtype, 100, fma=False) < 3.0


@pytest.mark.parametrize("name", sorted(vecmath.FUNCTIONS))
def test_half_precision_is_rounded_from_single(name: str) -> None:
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    x, y = every, every[::-1]
    with np.errstate(all="ignore"):
        expected = compiled(name, "f4")(x, y).astype(np.float16)
    np.testing.assert_array_equal(compiled(name, "f2")(x, y), expected)


# special values -------------------------------------------------------------------------------------------------------

SPECIAL: dict[str, list[tuple[float, ...]]] = {
    "exp": [(0.0, 1.0), (-0.0, 1.0), (INF, INF), (-INF, 0.0), (NAN, NAN), (1e4, INF), (-1e4, 0.0)],
    "exp2": [(0.0, 1.0), (INF, INF), (-INF, 0.0), (NAN, NAN), (3.0, 8.0), (-10.0, 2.0**-10), (1e4, INF), (-1e4, 0.0)],
    "expm1": [(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -1.0), (NAN, NAN), (1e4, INF), (-1e4, -1.0)],
    "logistic": [(0.0, 0.5), (-0.0, 0.5), (INF, 1.0), (-INF, 0.0), (NAN, NAN), (1e4, 1.0), (-1e4, 0.0)],
    "log": [(1.0, 0.0), (0.0, -INF), (-0.0, -INF), (-1.0, NAN), (INF, INF), (-INF, NAN), (NAN, NAN)],
    "log2": [(1.0, 0.0), (8.0, 3.0), (0.5, -1.0), (-0.0, -INF), (-1.0, NAN), (INF, INF), (-INF, NAN), (NAN, NAN)],
    "log10": [(1.0, 0.0), (1000.0, 3.0), (-0.0, -INF), (-1.0, NAN), (INF, INF), (-INF, NAN), (NAN, NAN)],
    "log1p": [(0.0, 0.0), (-0.0, -0.0), (-1.0, -INF), (-2.0, NAN), (INF, INF), (-INF, NAN), (NAN, NAN)],
    "sin": [(0.0, 0.0), (-0.0, -0.0), (INF, NAN), (-INF, NAN), (NAN, NAN)],
    "cos": [(0.0, 1.0), (-0.0, 1.0), (INF, NAN), (-INF, NAN), (NAN, NAN)],
    "tan": [(0.0, 0.0), (-0.0, -0.0), (INF, NAN), (-INF, NAN), (NAN, NAN)],
    "sinh": [(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -INF), (NAN, NAN), (1e4, INF), (-1e4, -INF)],
    "cosh": [(0.0, 1.0), (-0.0, 1.0), (INF, INF), (-INF, INF), (NAN, NAN), (-1e4, INF)],
    "tanh": [(0.0, 0.0), (-0.0, -0.0), (INF, 1.0), (-INF, -1.0), (NAN, NAN), (1e4, 1.0)],
    "cbrt": [(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -INF), (NAN, NAN), (-27.0, -3.0)],
    "arcsin": [(0.0, 0.0), (-0.0, -0.0), (1.5, NAN), (-INF, NAN), (NAN, NAN)],
    "arccos": [(1.0, 0.0), (1.5, NAN), (-1.5, NAN), (INF, NAN), (-INF, NAN), (NAN, NAN)],
    "arctan": [(0.0, 0.0), (-0.0, -0.0), (INF, math.pi / 2), (-INF, -math.pi / 2), (NAN, NAN)],
    "arcsinh": [(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -INF), (NAN, NAN)],
    "arccosh": [(1.0, 0.0), (0.5, NAN), (-1.0, NAN), (INF, INF), (-INF, NAN), (NAN, NAN)],
    "arctanh": [(0.0, 0.0), (-0.0, -0.0), (1.0, INF), (-1.0, -INF), (1.5, NAN), (-INF, NAN), (NAN, NAN)],
    "erf": [(0.0, 0.0), (-0.0, -0.0), (INF, 1.0), (-INF, -1.0), (NAN, NAN)],
    "erfc": [(0.0, 1.0), (-0.0, 1.0), (INF, 0.0), (-INF, 2.0), (NAN, NAN)],
}


@pytest.mark.parametrize("fma", [True, False])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", UNARY)
def test_special_values_of_one_operand(name: str, dtype: str, fma: bool) -> None:
    x, expected = (np.array(column, DTYPES[dtype]) for column in zip(*SPECIAL[name], strict=True))
    _assert_same(compiled(name, dtype, fma)(x), expected)


@pytest.mark.parametrize("fma", [True, False])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", sorted(vecmath.BINARY))
def test_special_values_of_two_operands_are_those_of_the_c_library(name: str, dtype: str, fma: bool) -> None:
    t = DTYPES[dtype]
    info = np.finfo(t)
    sizes = [0.0, info.smallest_subnormal, info.tiny, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 2.0**53, 2.0**53 - 1, info.max, INF]
    values = np.array([s * size for size in sizes for s in (1, -1)] + [NAN], t)
    x, y = (grid.ravel() for grid in np.meshgrid(values, values))
    with np.errstate(all="ignore"):
        expected = {"pow": np.power, "arctan2": np.arctan2}[name](x, y)
    got = compiled(name, dtype, fma)(x, y)
    exact = ~np.isfinite(expected) | (expected == 0) | (abs(expected) == 1)
    _assert_same(got[exact], expected[exact])
    np.testing.assert_array_max_ulp(got[~exact], expected[~exact], 2)
    np.testing.assert_array_equal(np.signbit(got[~exact]), np.signbit(expected[~exact]))


def _assert_same(got: np.ndarray, expected: np.ndarray) -> None:
    """Equal values, with NaN equal to NaN and the signs of zeros told apart."""
    np.testing.assert_array_equal(got, expected)
    number = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(got[number]), np.signbit(expected[number]))


# vectorisation --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", sorted(vecmath.FUNCTIONS))
def test_a_loop_becomes_vector_code_without_calls(name: str, dtype: str) -> None:
    text = loop(name, dtype, fma=cpus.has_fma())
    # a sign flipped in the bits may leave the result an integer until it is stored
    assert re.search(rf"store <\d+ x (i\d+|{TYPES[dtype]})>", engine.optimised(text))
    assembly = engine.assembly(text)
    assert not re.search(r"^\s*(callq?|blr?)\s", assembly, re.MULTILINE)
    if "+avx2" in cpus.features():
        assert re.search(r"\bv(mul|fm\w+)p[sd]\b.*%[yz]mm", assembly)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", sorted({*vecmath.FUNCTIONS, *vecmath.SPECIAL, *vecmath.PAIRS}))
def test_no_product_has_a_subnormal_factor_for_which_intel_would_need_150_cycles(name: str, dtype: str) -> None:
    least = {"float": 2.0**-126, "double": 2.0**-1022}
    products = [line for line in vecmath.definitions([(name, dtype)]).splitlines() if re.search("fmul|llvm.fma", line)]
    for line in products:
        kind = re.search(r"\b(float|double)\b", line)
        assert kind is not None, line
        numbers = [struct.unpack(">d", bytes.fromhex(digits))[0] for digits in re.findall("0x([0-9A-F]{16})", line)]
        assert all(abs(x) >= least[kind[0]] for x in numbers if x), line


def test_definitions_are_given_once_and_in_terms_of_each_other() -> None:
    text = vecmath.definitions([("exp", "f2"), ("exp", "f4"), ("tanh", "f4"), ("tanh", "f4")])
    lines = [line for line in text.splitlines() if line.startswith(("define", "declare"))]
    assert len(lines) == len(set(lines))
    assert [line.split("@")[1].split("(")[0] for line in lines if line.startswith("define")] == [
        "fg.exp.f4",
        "fg.exp.f2",
        "fg.tanh.f4",
    ]


def test_an_unknown_function_is_refused() -> None:
    with pytest.raises(KeyError, match="gamma"):
        vecmath.definitions([("gamma", "f4")])
