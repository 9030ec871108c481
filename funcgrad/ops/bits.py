"""Which operations look at the bits of a number?
Counts of bits, the next number, reinterpretation, fewer digits; and the common divisor of integers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.dtypes import BOOL, INTEGERS, STANDARD_FLOATS, DType, code
from funcgrad.ir.types import ArrayType
from funcgrad.ops.families import Operation, align_batched, elementwise
from funcgrad.trace.frame import bind

MANTISSA = {2: 10, 4: 23, 8: 52}  # bits of the fraction, by the bytes of the float (IEEE 754-2019, table 3.5)


def unsigned(dtype: DType) -> DType:
    """The unsigned integers of the same width."""
    return np.dtype(f"u{dtype.itemsize}")


def _native(x: Any) -> Any:
    """An array in the byte order of the machine: the bits of another one's numbers stand elsewhere."""
    x = np.asarray(x)
    return x.astype(x.dtype.newbyteorder("="), copy=False)


# Counts --------------------------------------------------------------------------------------------------------------


def _population_count(x: Any) -> Any:
    x = _native(x)
    return np.bitwise_count(x.view(unsigned(x.dtype))).astype(x.dtype)


def _smeared(x: Any) -> Any:
    """All bits below the highest one set too."""
    step = 1
    while step < 8 * x.dtype.itemsize:
        x = x | (x >> x.dtype.type(step))
        step *= 2
    return x


def _clz(x: Any) -> Any:
    x = _native(x)
    bits = x.view(unsigned(x.dtype))
    return (8 * x.dtype.itemsize - np.bitwise_count(_smeared(bits)).astype(x.dtype)).astype(x.dtype)


def _clz_scalar(emit: Any, dtype: str, x: Any) -> Any:
    kind, width = f"u{dtype[1:]}", 8 * int(dtype[1:])
    bits, step = emit.bitcast(x, kind), 1
    while step < width:
        bits = emit("or", bits, emit("shr", bits, emit.constant(step, kind)))
        step *= 2
    return emit.bitcast(emit("sub", emit.constant(width, kind), emit("popcount", bits)), dtype)


population_count = elementwise("population_count", _population_count, INTEGERS, None, "popcount", operands=1)
clz = elementwise("clz", _clz, INTEGERS, None, _clz_scalar, operands=1)


# The same bits as another dtype of the same width --------------------------------------------------------------------


def _bitcast_infer(x: ArrayType, *, new_dtype: DType) -> ArrayType:
    if x.dtype.itemsize != new_dtype.itemsize or (x.dtype in BOOL) != (new_dtype in BOOL):
        raise TypeError(f"bitcast_convert_type: {x.dtype.name} and {new_dtype.name} have different widths")
    return ArrayType(x.shape, new_dtype)


bitcast: Operation = Operation(
    name="bitcast_convert_type",
    family="nondifferentiable",
    reference=lambda x, *, new_dtype: _native(x).view(new_dtype),
    infer=_bitcast_infer,
    batch=lambda size, inputs, batched, params: (bind(bitcast, *inputs, **params), (True,)),
    scalar=lambda emit, dtype, x, *, new_dtype: emit.bitcast(x, code(new_dtype)),
    operands=1,
)


# The next number -----------------------------------------------------------------------------------------------------


def _nextafter_scalar(emit: Any, dtype: str, x: Any, y: Any) -> Any:
    """One more or less in the bits, which are ordered as the magnitudes are; from zero, the smallest subnormal."""
    kind = f"i{dtype[1:]}"
    zero, one = emit.constant(0, dtype), emit.constant(1, kind)
    bits = emit.bitcast(x, kind)
    grows = emit("eq", emit("lt", x, y), emit("gt", x, zero))
    moved = emit.bitcast(emit("select", grows, emit("add", bits, one), emit("sub", bits, one)), dtype)
    smallest = emit("copysign", emit.constant(float(np.finfo(dtype).smallest_subnormal), dtype), y)
    stepped = emit("select", emit("eq", x, zero), smallest, moved)
    settled = emit("select", emit("eq", x, y), x if dtype == "f2" else y, stepped)  # of zeros, as NumPy's does
    unordered = emit("or", emit("ne", x, x), emit("ne", y, y))
    return emit("select", unordered, emit("add", x, y), settled)


nextafter = elementwise("nextafter", np.nextafter, STANDARD_FLOATS, None, _nextafter_scalar, operands=2)


# Fewer digits --------------------------------------------------------------------------------------------------------


def _reduce_precision(x: Any, *, exponent_bits: int, mantissa_bits: int) -> Any:
    """`x` rounded to nearest even in a format with the given bits; too large becomes infinite, too small zero."""
    x = _native(x)
    kind, have = unsigned(x.dtype), MANTISSA[x.dtype.itemsize]
    bits = x.view(kind)
    drop = max(have - mantissa_bits, 0)
    if drop:
        last = (bits >> kind.type(drop)) & kind.type(1)
        bits = (bits + (kind.type((1 << (drop - 1)) - 1) + last)) & kind.type(
            ~((1 << drop) - 1) % (1 << 8 * kind.itemsize)
        )
    rounded = np.where(np.isfinite(x), bits.view(x.dtype), x)
    low, high = _range(x.dtype, exponent_bits)
    rounded = np.where(np.abs(rounded) >= high, np.copysign(x.dtype.type(np.inf), x), rounded) if high else rounded
    small = np.abs(rounded) < low if low else np.zeros(x.shape, bool)
    return np.where(np.isnan(x), x, np.where(small, np.copysign(x.dtype.type(0), x), rounded)).astype(x.dtype)


def _range(dtype: DType, exponent_bits: int) -> tuple[float, float]:
    """The smallest normal number of the format, and the first one beyond it; 0 where `dtype` has the same range."""
    have = 8 * dtype.itemsize - 1 - MANTISSA[dtype.itemsize]
    if exponent_bits >= have:
        return 0.0, 0.0
    bias = (1 << (exponent_bits - 1)) - 1
    return 2.0 ** (1 - bias), 2.0 ** (bias + 1)


def _reduce_precision_scalar(emit: Any, dtype: str, x: Any, *, exponent_bits: int, mantissa_bits: int) -> Any:
    kind, size = f"u{dtype[1:]}", int(dtype[1:])
    drop, bits = max(MANTISSA[size] - mantissa_bits, 0), emit.bitcast(x, kind)
    size_of_x, infinity = emit("abs", x), emit.constant(float("inf"), dtype)
    if drop:
        last = emit("and", emit("shr", bits, emit.constant(drop, kind)), emit.constant(1, kind))
        up = emit("add", emit.constant((1 << (drop - 1)) - 1, kind), last)
        bits = emit("and", emit("add", bits, up), emit("not", emit.constant((1 << drop) - 1, kind)))
    rounded = emit("select", emit("lt", size_of_x, infinity), emit.bitcast(bits, dtype), x)
    low, high = _range(np.dtype(dtype), exponent_bits)
    if high:
        beyond = emit("ge", emit("abs", rounded), emit.constant(high, dtype))
        rounded = emit("select", beyond, emit("copysign", infinity, x), rounded)
        small = emit("lt", emit("abs", rounded), emit.constant(low, dtype))
        rounded = emit("select", small, emit("copysign", emit.constant(0.0, dtype), x), rounded)
    return emit("select", emit("ne", x, x), x, rounded)


reduce_precision: Operation = elementwise(
    "reduce_precision",
    _reduce_precision,
    STANDARD_FLOATS,
    (lambda t, out, x, **formats: reduce_precision(t, **formats),),
    _reduce_precision_scalar,
)


# Common divisors and powers take as many steps as the operands say: they run as a whole -------------------------------


def _of_two_integers(name: str, reference: Any) -> Operation:
    def infer(x: ArrayType, y: ArrayType) -> ArrayType:
        if x.dtype != y.dtype or x.dtype not in INTEGERS:
            raise TypeError(
                f"{name}: operands have dtypes {x.dtype.name} and {y.dtype.name}; equal integers are needed"
            )
        if x.shape and y.shape and x.shape != y.shape:
            raise TypeError(f"{name}: operands have shapes {x.shape} and {y.shape}; they must be equal, or ()")
        return ArrayType(x.shape or y.shape, x.dtype, x.weak and y.weak)

    def batch(size: int, inputs: Any, batched: Any, params: Any) -> Any:
        return bind(primitive, *align_batched(size, inputs, batched)), (True,)

    primitive = Operation(name=name, family="nondifferentiable", reference=reference, infer=infer, batch=batch)
    return primitive


gcd = _of_two_integers("gcd", np.gcd)
lcm = _of_two_integers("lcm", np.lcm)
integer_power = _of_two_integers("integer_power", np.power)  # a negative exponent is a ValueError
