"""Does each scalar instruction mean what `lower.scalar` says, for every dtype and for special values?"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from funcgrad.compile import engine
from funcgrad.compile.emitters import EMITTERS, literal
from funcgrad.compile.llvm import print_kernel
from funcgrad.lower.loops import Constant
from funcgrad.lower.scalar import INSTRUCTIONS, MATHEMATICS
from tests.compile.builder import elementwise, index, run

SIGNED, UNSIGNED, FLOATS = ("i1", "i2", "i4", "i8"), ("u1", "u2", "u4", "u8"), ("f2", "f4", "f8")
INTEGERS = SIGNED + UNSIGNED
NUMBERS = INTEGERS + FLOATS
ALL = ("b1", *NUMBERS)


def samples(dtype: str) -> np.ndarray:
    """Values of `dtype` where instructions have their corners."""
    kind = np.dtype(dtype)
    if dtype == "b1":
        return np.array([False, True])
    if dtype in INTEGERS:
        limits = np.iinfo(kind)
        values = {limits.min, limits.min + 1, limits.max - 1, limits.max, 0, 1, 2, 3, 7, 8, 15, 16, 31, 32, 63, 64, 100}
        values |= {-value for value in values if limits.min < 0 and -value >= limits.min}
        return np.array([value for value in sorted(values) if value <= limits.max], kind)
    limits = np.finfo(kind)
    positive = [0.0, limits.smallest_subnormal, limits.tiny, 0.3, 0.5, 1.0, 1.5, 2.5, 3.0, 127.5, 255.0, 300.0, 1e4]
    positive += [limits.max, math.inf] + ([] if dtype == "f2" else [2.0**31, 2.0**32, 2.0**63, 2.0**64, 1e30])
    return np.array([*positive, *(-value for value in positive), math.nan], kind)


def pairs(dtype: str, other: str | None = None) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.meshgrid(samples(dtype), samples(other or dtype))
    return a.ravel().copy(), b.ravel().copy()


def compute(name: str, arrays: tuple[np.ndarray, ...], result: str) -> np.ndarray:
    """``name(*arrays)`` by a compiled kernel."""
    kernel = elementwise(
        lambda b, *xs: b.op(name, *xs, dtype=result), [a.dtype.str[1:].replace("?", "b1") for a in arrays], result
    )
    library = engine.load(engine.to_object(print_kernel(kernel, "kernel"), verify=True))
    out = np.zeros(arrays[0].size, result)
    assert run(library.address("kernel"), [*arrays, out], [], 0, out.size) == 0
    return out


def expect(name: str, expected: np.ndarray, *arrays: np.ndarray) -> None:
    got = compute(name, arrays, expected.dtype.str[1:].replace("?", "b1"))
    np.testing.assert_array_equal(got, expected)
    if expected.dtype.kind == "f":
        numbers = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(got[numbers]), np.signbit(expected[numbers]))


BINARY = {
    "add": (np.add, ALL),
    "sub": (np.subtract, NUMBERS),
    "mul": (np.multiply, ALL),
    "div": (np.divide, FLOATS),
    "max": (np.maximum, ALL),
    "min": (np.minimum, ALL),
    "copysign": (np.copysign, FLOATS),
    "eq": (np.equal, ALL),
    "ne": (np.not_equal, ALL),
    "lt": (np.less, ALL),
    "le": (np.less_equal, ALL),
    "gt": (np.greater, ALL),
    "ge": (np.greater_equal, ALL),
    "and": (np.bitwise_and, ("b1", *INTEGERS)),
    "or": (np.bitwise_or, ("b1", *INTEGERS)),
    "xor": (np.bitwise_xor, ("b1", *INTEGERS)),
}


@pytest.mark.parametrize(("name", "dtype"), [(n, d) for n, (_, dtypes) in BINARY.items() for d in dtypes])
def test_binary(name: str, dtype: str) -> None:
    a, b = pairs(dtype)
    if name in ("max", "min"):  # NumPy leaves open which zero it returns
        a, b = a[(a != 0) | (b != 0)], b[(a != 0) | (b != 0)]
    with np.errstate(all="ignore"):
        expect(name, BINARY[name][0](a, b), a, b)


UNARY = {
    "neg": (np.negative, NUMBERS),
    "abs": (np.abs, ALL),
    "sqrt": (np.sqrt, FLOATS),
    "floor": (np.floor, NUMBERS),
    "ceil": (np.ceil, NUMBERS),
    "rint": (np.rint, FLOATS),
    "trunc": (np.trunc, NUMBERS),
    "not": (np.invert, ("b1", *INTEGERS)),
}


@pytest.mark.parametrize(("name", "dtype"), [(n, d) for n, (_, dtypes) in UNARY.items() for d in dtypes])
def test_unary(name: str, dtype: str) -> None:
    a = samples(dtype)
    with np.errstate(all="ignore"):
        expect(name, UNARY[name][0](a).astype(dtype), a)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integer_division_never_traps(dtype: str) -> None:
    a, b = pairs(dtype)
    wide, divisor = a.astype(object), b.astype(object)
    signs = [(-1 if (x < 0) != (y < 0) else 1) for x, y in zip(wide, divisor, strict=True)]
    quotients = [s * (abs(x) // abs(y)) if y else -1 for s, x, y in zip(signs, wide, divisor, strict=True)]
    remainders = [x - q * y if y else x for x, y, q in zip(wide, divisor, quotients, strict=True)]
    bits = 1 << (8 * a.dtype.itemsize)
    wrap = [(np.array([v % bits for v in values], "u8").astype(dtype)) for values in (quotients, remainders)]
    expect("quotient", wrap[0], a, b)
    expect("remainder", wrap[1], a, b)


@pytest.mark.parametrize("dtype", FLOATS)
def test_float_division_truncates(dtype: str) -> None:
    a, b = pairs(dtype)
    with np.errstate(all="ignore"):
        if dtype == "f2":  # the rounding of the quotient comes after the truncation
            expect("quotient", np.trunc(a.astype("f4") / b.astype("f4")).astype("f2"), a, b)
        else:
            expect("quotient", np.trunc(a / b), a, b)
        expect("remainder", np.fmod(a, b), a, b)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_shifts_by_the_width_or_more(dtype: str) -> None:
    a, count = pairs(dtype)
    width = 8 * a.dtype.itemsize
    mask = (1 << width) - 1
    counts = [int(c) & mask for c in count]  # a negative count is a large one
    left = [(int(x) << min(c, width)) & mask for x, c in zip(a, counts, strict=True)]
    right = [(int(x) >> min(c, width)) & mask for x, c in zip(a, counts, strict=True)]
    expect("shl", np.array(left, "u8").astype(dtype), a, count)
    expect("shr", np.array(right, "u8").astype(dtype), a, count)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_popcount_counts_the_bits_of_twos_complement(dtype: str) -> None:
    a = samples(dtype)
    bits = a.view(f"u{a.dtype.itemsize}")
    expect("popcount", np.bitwise_count(bits).astype(dtype), a)


@pytest.mark.parametrize(("source", "result"), [(s, r) for s in ALL for r in ALL])
def test_cast(source: str, result: str) -> None:
    a = samples(source)
    with np.errstate(all="ignore"):
        if source in FLOATS and result in INTEGERS:  # saturates, and NaN becomes 0: NumPy leaves it undefined
            limits = np.iinfo(result)
            exact = [0 if math.isnan(x) else int(np.clip(float(x), -1e20, 1e20)) for x in a]
            expect("cast", np.array([min(max(x, limits.min), limits.max) for x in exact], result), a)
        else:
            expect("cast", a.astype(result), a)


def test_cast_of_a_double_to_half_rounds_once() -> None:
    """The middle between two halves and a bit more: by way of single precision it would round down to even."""
    halves = np.arange(0x7C00, dtype="u2").view("f2").astype("f8")
    middle = (halves[:-1] + halves[1:]) / 2
    nearby = np.concatenate([middle, np.nextafter(middle, np.inf), np.nextafter(middle, 0), [65519.999999, 65520.0]])
    values = np.concatenate([nearby, -nearby, [np.inf, -np.inf, np.nan, 1e300, 5e-324]])
    with np.errstate(all="ignore"):
        expect("cast", values.astype("f2"), values)


@pytest.mark.parametrize(
    ("source", "result"), [(s, r) for s, r in itertools.product(ALL, ALL) if s[1] == r[1] and "b1" not in (s, r)]
)
def test_bitcast(source: str, result: str) -> None:
    a = samples(source)
    assert compute("bitcast", (a,), result).tobytes() == a.tobytes()


def test_bitcast_of_a_bool() -> None:
    a = samples("b1")
    expect("bitcast", a.view("i1"), a)
    expect("bitcast", a, a.view("u1"))


@pytest.mark.parametrize("dtype", ALL)
def test_select(dtype: str) -> None:
    a, b = pairs(dtype)
    condition = np.arange(a.size) % 3 == 0
    expect("select", np.where(condition, a, b), condition, a, b)


@pytest.mark.parametrize("dtype", ALL)
def test_every_constant_is_exact(dtype: str) -> None:
    for value in samples(dtype):
        constant = Constant(value.item(), dtype)
        kernel = elementwise(lambda b, x, c=constant: c, [dtype], dtype)
        library = engine.load(engine.to_object(print_kernel(kernel, "kernel"), verify=True))
        out = np.zeros(1, dtype)
        run(library.address("kernel"), [out, out], [], 0, 1)
        assert out.tobytes() == np.array([value]).tobytes()


def test_constants_out_of_range_wrap_or_round_to_infinity() -> None:
    assert literal(300, "u1") == "44"
    assert literal(-129, "i1") == "127"
    assert literal(1e39, "f4") == literal(math.inf, "f4")
    assert literal(-65520.0, "f2") == literal(-math.inf, "f2")
    assert index(-1).value == -1


def test_every_instruction_has_an_emitter() -> None:
    assert EMITTERS.keys() | MATHEMATICS == INSTRUCTIONS.keys()
