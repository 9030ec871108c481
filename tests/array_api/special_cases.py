"""What are functions at zeros, infinities and NaN?  Tables of the Array API standard (those of C99, Annexes F and G).

A row holds operands and results. A letter stands for numbers: P positive, N negative, F finite and not 0, Z a zero,
O an odd integer, E another number above 1, B above 1 and S below 1 in magnitude, ``*`` any number. A result may be an
operand (``x``, ``-x``, ``y``), a multiple of pi, or have a sign that is not specified (``+-``). For complex numbers
the rows give f(a + bi) for b >= 0; f(conj(z)) is conj(f(z)), and odd and even functions are known to be so.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

nan, inf, pi = math.nan, math.inf, math.pi
CLASSES = {
    "P": (2.5, 0.5, 3.0), "N": (-2.5, -0.5, -3.0), "F": (2.5, -0.5, 1.0, -3.0), "Z": (0.0, -0.0), "O": (3.0, 1.0),
    "E": (2.0, 2.5), "B": (2.5, -2.5), "S": (0.5, -0.5), "*": (nan, inf, -inf, 0.0, -0.0, 1.0, -2.5),
}  # fmt: skip
CONSTANTS = {"pi": pi, "pi/2": pi / 2, "pi/4": pi / 4, "3pi/4": 3 * pi / 4}

ONE = {
    "abs": "nan nan | Z 0 | -inf inf | inf inf",
    "acos": "nan nan | B nan | inf nan | -inf nan | 1 0",
    "acosh": "nan nan | 0.5 nan | N nan | -inf nan | 1 0 | inf inf",
    "asin": "nan nan | B nan | inf nan | Z x",
    "asinh": "nan nan | Z x | inf inf | -inf -inf",
    "atan": "nan nan | Z x | inf pi/2 | -inf -pi/2",
    "atanh": "nan nan | B nan | inf nan | -inf nan | -1 -inf | 1 inf | Z x",
    "ceil": "inf inf | -inf -inf | Z x | nan nan | -0.5 -0 | 2.5 3 | 3 x",
    "cos": "nan nan | Z 1 | inf nan | -inf nan",
    "cosh": "nan nan | Z 1 | inf inf | -inf inf",
    "exp": "nan nan | Z 1 | inf inf | -inf 0",
    "expm1": "nan nan | Z x | inf inf | -inf -1",
    "floor": "inf inf | -inf -inf | Z x | nan nan | -0.5 -1 | 0.5 0 | 3 x",
    "log": "nan nan | N nan | -inf nan | Z -inf | 1 0 | inf inf",
    "log10": "nan nan | N nan | -inf nan | Z -inf | 1 0 | inf inf",
    "log1p": "nan nan | -2.5 nan | -inf nan | -1 -inf | Z x | inf inf",
    "log2": "nan nan | N nan | -inf nan | Z -inf | 1 0 | inf inf",
    "negative": "nan nan | 0 -0 | -0 0 | inf -inf",
    "reciprocal": "nan nan | 0 inf | -0 -inf | inf 0 | -inf -0",
    "round": "inf inf | -inf -inf | Z x | nan nan | 0.5 0 | -0.5 -0 | 1.5 2 | 2.5 2 | -2.5 -2 | 3 x",
    "sign": "N -1 | -inf -1 | Z 0 | P 1 | inf 1 | nan nan",
    "signbit": "0 0 | -0 1 | inf 0 | -inf 1 | P 0 | N 1 | nan 0",
    "sin": "nan nan | Z x | inf nan | -inf nan",
    "sinh": "nan nan | Z x | inf inf | -inf -inf",
    "sqrt": "nan nan | N nan | -inf nan | Z x | inf inf",
    "square": "nan nan | Z 0 | inf inf | -inf inf",
    "tan": "nan nan | Z x | inf nan | -inf nan",
    "tanh": "nan nan | Z x | inf 1 | -inf -1",
    "trunc": "inf inf | -inf -inf | Z x | nan nan | -0.5 -0 | 0.5 0 | -2.5 -2",
    "isfinite": "inf 0 | -inf 0 | nan 0 | F 1 | Z 1",
    "isinf": "inf 1 | -inf 1 | nan 0 | F 0",
    "isnan": "nan 1 | inf 0 | F 0",
}  # fmt: skip

UNKNOWN = "nan * nan | * nan nan"
SIGNS = "inf P inf | inf N -inf | -inf P -inf | -inf N inf"
TWO = {
    "add": f"{UNKNOWN} | inf -inf nan | -inf inf nan | inf inf inf | -inf -inf -inf | inf F inf | -inf F -inf"
    " | F inf inf | F -inf -inf | -0 -0 -0 | -0 0 0 | 0 -0 0 | 0 0 0 | Z F y | F Z x | 2.5 -2.5 0",
    "subtract": f"{UNKNOWN} | inf inf nan | -inf -inf nan | inf -inf inf | -inf inf -inf | 0 0 0 | -0 0 -0 | 0 -0 0"
    " | -0 -0 0 | F Z x | F inf -inf",
    "multiply": f"{UNKNOWN} | inf Z nan | -inf Z nan | Z inf nan | Z -inf nan | {SIGNS} | inf inf inf | inf -inf -inf"
    " | -inf -inf inf | P 0 0 | N 0 -0 | 0 N -0 | 0 P 0 | -0 P -0 | -0 N 0 | -0 -0 0",
    "divide": f"{UNKNOWN} | inf inf nan | inf -inf nan | -inf inf nan | -inf -inf nan | Z Z nan | 0 P 0 | 0 N -0"
    f" | -0 P -0 | -0 N 0 | P 0 inf | P -0 -inf | N 0 -inf | N -0 inf | {SIGNS} | P inf 0 | P -inf -0 | N inf -0"
    " | N -inf 0",
    # the standard allows NaN for infinite dividends, and Python's -1 beside infinite divisors
    "floor_divide": f"{UNKNOWN} | inf inf nan | inf -inf nan | -inf inf nan | -inf -inf nan | Z Z nan | 0 P 0 | 0 N -0"
    " | -0 P -0 | -0 N 0 | P 0 inf | P -0 -inf | N 0 -inf | N -0 inf | inf F nan | -inf F nan | P inf 0 | N -inf 0"
    " | P -inf -1 | N inf -1",
    "remainder": f"{UNKNOWN} | inf * nan | -inf * nan | F Z nan | Z Z nan | 0 P 0 | -0 P 0 | 0 N -0 | -0 N -0 | P inf x"
    " | P -inf y | N inf y | N -inf x | 3 -0.5 -0 | -3 0.5 0",
    "pow": "B nan nan | N nan nan | * Z 1 | nan F nan | 1 * 1 | B inf inf | B -inf 0 | -1 inf 1 | -1 -inf 1"
    " | S inf 0 | S -inf inf | inf P inf | inf N 0 | -inf O -inf | -inf E inf | -inf -3 -0 | -inf -2 0"
    " | -inf -2.5 0 | 0 P 0 | 0 N inf | -0 O -0 | -0 E 0 | -0 -3 -inf | -0 -2 inf | -0 -2.5 inf | -2.5 0.5 nan"
    " | 0 inf 0 | 0 -inf inf",
    "atan2": f"{UNKNOWN} | P Z pi/2 | 0 P 0 | 0 0 0 | 0 -0 pi | 0 N pi | -0 P -0 | -0 0 -0 | -0 -0 -pi | -0 N -pi"
    " | N Z -pi/2 | P inf 0 | P -inf pi | N inf -0 | N -inf -pi | inf F pi/2 | -inf F -pi/2 | inf inf pi/4"
    " | inf -inf 3pi/4 | -inf inf -pi/4 | -inf -inf -3pi/4",
    "hypot": "inf * inf | -inf * inf | * inf inf | * -inf inf | nan F nan | F nan nan | Z Z 0 | Z P y | P Z x | N Z -x",
    "copysign": "-0 P 0 | -0 0 0 | 0 N -0 | 0 -0 -0 | P N -x | N P -x | P -0 -x | N 0 -x | P 0 x | inf N -inf"
    " | -inf inf inf | nan F nan",
    "logaddexp": f"{UNKNOWN} | inf F inf | F inf inf | inf inf inf | -inf -inf -inf | -inf F y | F -inf x"
    " | inf -inf inf",
    "maximum": f"{UNKNOWN} | inf F inf | -inf F y | inf -inf inf | P N x",
    "minimum": f"{UNKNOWN} | inf F y | -inf F -inf | inf -inf -inf | P N y",
    "nextafter": f"{UNKNOWN} | -0 0 0 | 0 -0 -0 | inf inf inf | 3 3 3 | -inf -inf -inf",
    "equal": "nan * 0 | * nan 0 | inf inf 1 | -inf inf 0 | 0 -0 1 | F inf 0",
    "not_equal": "nan * 1 | * nan 1 | inf inf 0 | 0 -0 0",
    "less": "nan * 0 | * nan 0 | -inf F 1 | F inf 1 | -0 0 0 | inf inf 0",
    "less_equal": "nan * 0 | * nan 0 | -inf F 1 | 0 -0 1 | inf inf 1",
    "greater": "nan * 0 | * nan 0 | inf F 1 | 0 -0 0",
    "greater_equal": "nan * 0 | * nan 0 | inf F 1 | -0 0 1",
}

# f(a + bi), b >= 0: "a b re im"; cis: the signs of cos b and sin b
COMPLEX = {
    "acos": "Z 0 pi/2 -0 | Z nan pi/2 nan | F inf pi/2 -inf | F nan nan nan | -inf P pi -inf | inf P 0 -inf"
    " | -inf inf 3pi/4 -inf | inf inf pi/4 -inf | inf nan nan +-inf | -inf nan nan +-inf | nan P nan nan"
    " | nan inf nan -inf | nan nan nan nan",
    "acosh": "Z 0 0 pi/2 | F inf inf pi/2 | 0 nan nan +-pi/2 | F nan nan nan | -inf P inf pi | inf P inf 0"
    " | -inf inf inf 3pi/4 | inf inf inf pi/4 | inf nan inf nan | -inf nan inf nan | nan P nan nan | nan inf inf nan"
    " | nan nan nan nan",
    "asinh": "0 0 0 0 | P inf inf pi/2 | F nan nan nan | inf P inf 0 | inf inf inf pi/4 | inf nan inf nan | nan 0 nan 0"
    " | nan P nan nan | nan inf +-inf nan | nan nan nan nan",
    "atanh": "0 0 0 0 | 0 nan 0 nan | 1 0 inf 0 | P inf 0 pi/2 | F nan nan nan | inf P 0 pi/2 | inf inf 0 pi/2"
    " | inf nan 0 nan | nan P nan nan | nan inf +-0 pi/2 | nan nan nan nan",
    "cosh": "0 0 1 0 | 0 inf nan +-0 | 0 nan nan +-0 | F inf nan nan | F nan nan nan | inf 0 inf 0"
    " | inf P infcis infcis | inf inf +-inf nan | inf nan inf nan | nan 0 nan +-0 | nan P nan nan | nan nan nan nan",
    "sinh": "0 0 0 0 | 0 inf +-0 nan | 0 nan +-0 nan | F inf nan nan | F nan nan nan | inf 0 inf 0"
    " | inf P infcis infcis | inf inf +-inf nan | inf nan +-inf nan | nan 0 nan 0 | nan P nan nan | nan nan nan nan",
    "tanh": "0 0 0 0 | 0 nan 0 nan | F inf nan nan | F nan nan nan | inf P 1 +-0 | inf inf 1 +-0 | inf nan 1 +-0"
    " | nan 0 nan 0 | nan P nan nan | nan nan nan nan",
    "exp": "Z 0 1 0 | F inf nan nan | F nan nan nan | inf 0 inf 0 | -inf P 0cis 0cis | inf P infcis infcis"
    " | -inf inf +-0 +-0 | inf inf +-inf nan | -inf nan +-0 +-0 | inf nan +-inf nan | nan 0 nan 0 | nan P nan nan"
    " | nan nan nan nan",
    # with an infinite real part only where NumPy, which is called for known arrays, has what the standard has
    "expm1": "Z 0 +-0 0 | F inf nan nan | F nan nan nan | -inf 0 -1 0 | -inf P -1 0cis | inf P infcis infcis"
    " | nan P nan nan | nan inf nan nan | nan nan nan nan",
    "log1p": "-1 0 -inf 0 | F inf inf pi/2 | F nan nan nan | -inf P inf pi | inf P inf 0 | -inf inf inf 3pi/4"
    " | inf inf inf pi/4 | inf nan inf nan | -inf nan inf nan | nan Z nan nan | nan P nan nan | nan inf inf nan"
    " | nan nan nan nan",
    "log": "-0 0 -inf pi | 0 0 -inf 0 | F inf inf pi/2 | F nan nan nan | -inf P inf pi | inf P inf 0"
    " | -inf inf inf 3pi/4 | inf inf inf pi/4 | inf nan inf nan | -inf nan inf nan | nan P nan nan"
    " | nan inf inf nan | nan nan nan nan",
    "sqrt": "Z 0 0 0 | * inf inf inf | F nan nan nan | -inf P 0 inf | inf P inf 0 | -inf nan nan +-inf"
    " | inf nan inf nan | nan P nan nan | nan nan nan nan",
    "sign": "0 0 0 +-0 | nan P nan nan | nan nan nan nan | inf P 1 +-0 | -inf P -1 +-0 | F inf 0 1",
}
ODD, EVEN = ("asinh", "atanh", "sinh", "tanh"), ("cosh",)
ROTATED = {"sin": "sinh", "cos": "cosh", "tan": "tanh", "asin": "asinh", "atan": "atanh"}  # f(-iw) = -i g(w), or g(w)
Pair = tuple[float, float]


def number(token: str) -> float:
    sign, token = (-1, token[1:]) if token.startswith("-") else (1, token)
    return sign * CONSTANTS[token] if token in CONSTANTS else sign * float(token)


def numbers(token: str) -> tuple[float, ...]:
    return CLASSES[token] if token in CLASSES else (number(token),)


def rows(table: str, operands: int) -> Iterator[tuple[tuple[float, ...], tuple[str, ...]]]:
    """The operands of each row, every number of a class once, and what the results are called."""
    for row in table.split("|"):
        tokens = row.split()
        for xs in itertools.product(*map(numbers, tokens[:operands])):
            yield xs, tuple(tokens[operands:])


def real_rows(table: str, operands: int) -> Iterator[tuple[tuple[float, ...], float]]:
    """Operands and the result."""
    for xs, (token,) in rows(table, operands):
        named = dict(zip("xy", xs, strict=False))
        named |= {f"-{k}": -v for k, v in named.items()}
        yield xs, named[token] if token in named else number(token)


def _part(token: str, angle: float) -> tuple[float, bool]:
    """A part of a complex result, and whether its sign is specified."""
    if token.endswith("cis"):
        return math.copysign(float(token[:-3]), angle), True
    return (number(token[2:]), False) if token.startswith("+-") else (number(token), True)


Result = tuple[Pair, Pair, tuple[bool, bool]]


def complex_rows(name: str) -> Iterator[Result]:
    """The operand, the result, and of which of its parts the sign is specified."""
    for (a, b), tokens in rows(COMPLEX[ROTATED.get(name, name)], 2):
        cis = (math.cos(b), math.sin(b)) if math.isfinite(b) else (nan, nan)
        (c, re), (d, im) = (_part(t, angle) for t, angle in zip(tokens, cis, strict=True))
        for row in _mirrored(ROTATED.get(name, name), ((a, b), (c, d), (re, im))):
            yield _turned(name, row)


def _mirrored(name: str, row: Result) -> Iterator[Result]:
    (a, b), (c, d), signs = row
    images = [row, ((a, -b), (c, -d), signs)]
    if name in ODD:
        images += [((-x, -y), (-u, -v), signs) for (x, y), (u, v), _ in images]
    if name in EVEN:
        images += [((-x, -y), value, signs) for (x, y), value, _ in images]
    return iter(images)


def _turned(name: str, row: Result) -> Result:
    if name not in ROTATED:
        return row
    (a, b), (c, d), (re, im) = row
    return ((b, -a), (c, d), (re, im)) if name == "cos" else ((b, -a), (d, -c), (im, re))
