"""How are sin, cos and tan computed, for any finite x?  |x| = n*pi/2 + r with |r| < 1, and polynomials in r**2.

Payne and Hanek's observation: of 2/pi only the bits that meet the significand of x near the binary point matter, for
those before change n by multiples of 4.  Here no branch and no table is needed to find them:

- For floats, 2/pi times a power of two, modulo 4, as a sum of two doubles for each of four ranges of x.
- For large doubles, the 192 bits wanted are cut out of 1,216 by a shifter (four stages of selects, one funnel shift)
  and multiplied by the 53 bits of x in 32-bit limbs. Below 2**30, nearly always, pi/2 in three parts will do.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from funcgrad.compile.vecmath.builder import Builder, Value
from funcgrad.compile.vecmath.constants import HALF_PI, INFINITY, NAN, pair

# floor(2/pi * 2**1162): 2/pi behind 53 zeros, in 19 words of 64 bits
TWO_OVER_PI = int(
    "28BE60DB9391054A7F09D5F47D4D377036D8A5664F10E4107F9458EAF7AEF1586DC91B8E909374B801924BBA82746487"
    "3F877AC72C4A69CFBA208D7D4BAED1213A671C09AD17DF904E64758E60D4CE7D272117E2EF7E4A0EC7FE25FFF7816603"
    "FBCBC462D6829B47DB4D9FB3C9F2C26DD3D18FD9A797FA8B5D49EEB1FAF97C5ECF41CE7DE294A4BA9AFED7EC47E35742"
    "158",
    16,
)
WORD = (1 << 64) - 1
LIMB = (1 << 32) - 1
FAR = 2.0**30  # of larger doubles the multiple of pi/2 is found by 192 bits of 2/pi
THIRD_PART = -1.4973849048591698e-33  # of pi/2, behind the sum of `HALF_PI`
FLOAT_RANGES = range(50, 128, 26)  # exponents at which floats go to the next multiple of 2/pi


class Angle(NamedTuple):
    """|x| = quadrant*pi/2 + r + r_low; of the quadrant's bits the lowest two count."""

    quadrant: Value
    r: Value
    r_low: Value


class Turn(NamedTuple):
    """Of an angle the quadrant, and the sine and the cosine of the rest, each a sum of one number or two."""

    quadrant: Value
    sine: tuple[Value, ...]
    cosine: tuple[Value, ...]


def _reduced_float(f: Builder, a: Value) -> Angle:
    """For a double that holds a float."""
    bounds = [0, *FLOAT_RANGES]
    highs, lows = zip(*(_two_over_pi_from(bound) for bound in bounds), strict=True)
    high, low = f.constant(highs[0]), f.constant(lows[0])
    for i, bound in enumerate(bounds[1:], 1):
        beyond = a >= 2.0**bound
        high, low = f.select(beyond, highs[i], high), f.select(beyond, lows[i], low)
    if f.has_fma:
        n, k = f.nearest(a, high)
        fraction = f.fma(a, low, f.fma(a, high, -n))
    else:
        product, error = f.product2(a, high)
        n, k = f.nearest(product)
        fraction = (product - n) + (a * low + error)
    return Angle(k, fraction * HALF_PI["f8"][0], f.constant(0.0))


def _two_over_pi_from(exponent: int) -> tuple[float, float]:
    """2/pi less a number whose product with any float of at least this exponent is a multiple of 4, as a sum."""
    one = 1 << TWO_OVER_PI.bit_length()  # 2/pi lies in [1/2, 1)
    step = (4 * one) >> max(exponent - 23, 0)
    digits = TWO_OVER_PI % step
    # the nearer of two numbers, for its product to stay below 2**50: what the sum's second part adds is below 2**-4
    rest = digits - step if 2 * digits > step else digits
    high = rest / one
    p, q = high.as_integer_ratio()
    return high, (rest * q - p * one) / (one * q)  # quotients of integers are rounded once


def _window(f: Builder, exponent: Value) -> list[Value]:
    """The three words of 2/pi that start `exponent` bits into it, the most significant first."""
    words = [f.integer(_signed((TWO_OVER_PI >> (64 * (18 - i))) & WORD)) for i in range(19)]
    for stage in (8, 4, 2, 1):
        chosen = (exponent & (64 * stage)).differs(0)
        words = [f.select(chosen, words[i + stage], words[i]) for i in range(stage + 3)]
    shift = exponent & 63
    # two shifts for one by 64 - shift, which would be out of range for shift = 0
    return [(words[i] << shift) | ((words[i + 1] >> 1) >> (shift ^ 63)) for i in range(3)]


def _signed(word: int) -> int:
    return word - (1 << 64) if word >> 63 else word


def _reduced_double(f: Builder, a: Value) -> Angle:
    """For any double."""
    if not f.has_fma:
        return _reduced_far(f, a)
    return Angle(*f.rarely(a >= FAR, lambda: _reduced_far(f, a), _reduced_near(f, a)))


def _reduced_near(f: Builder, a: Value) -> Angle:
    """Below `FAR`, where n has few bits (Cody and Waite): both the first difference and the first product are exact."""
    n, quadrant = f.nearest(a, 2 / math.pi)
    product, error = f.product2(n, HALF_PI["f8"][1])
    high, low = f.sum2(f.fma(n, -HALF_PI["f8"][0], a), -product)
    return Angle(quadrant, *f.sum2_ordered(high, f.fma(n, -THIRD_PART, low - error)))


def _reduced_far(f: Builder, a: Value) -> Angle:
    """For any double (Payne and Hanek); n = 0 below 1."""
    bits = f.bits(a)
    window = _window(f, (bits >> 52) - 1023)
    significand = (bits & ((1 << 52) - 1)) | (1 << 52)
    low, high = significand & LIMB, significand >> 32
    limbs = [part for word in reversed(window) for part in (word & LIMB, word >> 32)]
    # the product's lowest limb is too small to matter; terms i of both lists belong into the same column
    by_low = [low * limb for limb in limbs[1:]]
    by_high = [high * limb for limb in limbs[:5]]
    column = (by_low[0] >> 32) + (by_high[0] >> 32)
    digits = []
    for first_term, second_term in zip(by_low[1:], by_high[1:], strict=True):
        column = column + (first_term & LIMB) + (second_term & LIMB)
        digits.append(column & LIMB)
        column = (column >> 32) + (first_term >> 32) + (second_term >> 32)
    d0, d1, d2, d3 = digits
    quadrant = (d3 + (1 << 29)) >> 30
    # the fraction in units of 2**-30, as three numbers that fit a double's significand
    first = f.from_natural((d3 - (quadrant << 30)) + (1 << 31)) - 2.0**31
    second = f.from_natural((d2 << 20) | (d1 >> 12)) * 2.0**-52
    third = f.from_natural(((d1 & 0xFFF) << 32) | d0) * 2.0**-96
    total, error = f.sum2(first, second)
    fraction, fraction_low = f.sum2_ordered(total, error + third)
    high_factor, low_factor = (half * 2.0**-30 for half in pair(f, HALF_PI))
    r, r_low = f.product2(fraction, high_factor)
    r_low = r_low + f.fma(fraction, low_factor, fraction_low * high_factor)
    small = a < 1.0
    return Angle(f.select(small, 0, quadrant), f.select(small, a, r), f.select(small, 0.0, r_low))


def _sin_terms(f: Builder, angle: Angle) -> tuple[Value, Value]:
    """sin(r + r_low) as a sum."""
    r, z = angle.r, angle.r * angle.r
    rest = r * z * f.polynomial(z, "sin")
    return r, rest if f.precision != "f8" else rest + angle.r_low * f.fma(z, -0.5, 1.0)


def _cos_terms(f: Builder, angle: Angle) -> tuple[Value, Value]:
    """cos(r + r_low) as a sum."""
    z = angle.r * angle.r
    half = 0.5 * z
    high, low = f.sum2_ordered(1.0, -half)
    rest = f.fma(z * z, f.polynomial(z, "cos"), low)
    return high, rest if f.precision != "f8" else rest - angle.r * angle.r_low


def _single(f: Builder, x: Value) -> tuple[Value, Value, Value]:
    """The quadrant of a float, and the sine and the cosine of the rest."""
    wide = f.wide()
    quadrant, rest, _ = _reduced_float(wide, wide.abs(f.widen(x)))
    r = f.narrow(rest)
    z = r * r
    sine = f.fma(r * z, f.polynomial(z, "sin"), r)
    cosine = f.fma(z, f.fma(z, f.polynomial(z, "cos"), -0.5), 1.0)
    return f.emit(f"trunc i64 {quadrant.text} to i32", "i32"), sine, cosine


def _turn(f: Builder, x: Value) -> Turn:
    """Of |x|."""
    if f.single:
        quadrant, sine, cosine = _single(f, x)
        return Turn(quadrant, (sine,), (cosine,))
    angle = _reduced_double(f, f.abs(x))
    return Turn(angle.quadrant, _sin_terms(f, angle), _cos_terms(f, angle))


def _of_quadrant(f: Builder, x: Value, turn: Turn, advance: int) -> Value:
    """sin(|x| + advance*pi/2)."""
    quadrant = turn.quadrant + advance if advance else turn.quadrant
    odd = (quadrant << (f.format.width - 1)) < 0
    result, *low = (f.select(odd, cosine, sine) for sine, cosine in zip(turn.sine, turn.cosine, strict=True))
    for term in low:
        result = result + term
    sign = (quadrant & 2) << (f.format.width - 2)
    result = f.from_bits(f.bits(result) ^ sign)
    # for floats, infinity minus infinity has taken care of this
    return result if f.single else f.select(f.abs(x) < INFINITY, result, NAN)


def _sin(f: Builder, x: Value, turn: Turn) -> Value:
    sign = f.bits(x) & -(1 << (f.format.width - 1))
    return f.from_bits(f.bits(_of_quadrant(f, x, turn, 0)) ^ sign)


def sin(f: Builder, x: Value) -> Value:
    return _sin(f, x, _turn(f, x))


def cos(f: Builder, x: Value) -> Value:
    return _of_quadrant(f, x, _turn(f, x), 1)


def sincos(f: Builder, x: Value) -> tuple[Value, Value]:
    turn = _turn(f, x)
    return _sin(f, x, turn), _of_quadrant(f, x, turn, 1)


def tan(f: Builder, x: Value) -> Value:
    if f.single:
        wide = f.wide()
        y = f.widen(x)
        return f.narrow(_tan(wide, y, _reduced_float(wide, wide.abs(y))))
    return _tan(f, x, _reduced_double(f, f.abs(x)))


def _tan(f: Builder, x: Value, angle: Angle) -> Value:
    odd = (angle.quadrant & 1).differs(0)
    sine, cosine = f.sum2_ordered(*_sin_terms(f, angle)), f.sum2_ordered(*_cos_terms(f, angle))
    top, top_low = (f.select(odd, c, s) for s, c in zip(sine, cosine, strict=True))
    bottom, bottom_low = (f.select(odd, s, c) for s, c in zip(sine, cosine, strict=True))
    inverse = 1.0 / bottom
    quotient = top * inverse
    if f.precision == "f8":
        rest = f.fma(-quotient, bottom, top) + (top_low - quotient * bottom_low)
        quotient = f.fma(rest, inverse, quotient)
    flip = (angle.quadrant & 1) << 63
    sign = f.bits(x) & -(1 << 63)
    result = f.from_bits(f.bits(quotient) ^ (flip ^ sign))
    return f.select(f.abs(x) < INFINITY, result, NAN)


FUNCTIONS: dict[str, Callable[..., Value]] = {"sin": sin, "cos": cos, "tan": tan}
PAIRS: dict[str, Callable[..., tuple[Value, ...]]] = {"sincos": sincos}
