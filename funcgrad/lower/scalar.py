"""Which instructions does a kernel have?  One table: name, Python spelling, and the type of the result.

Each row gives the Python text of the instruction (what `lower.python` prints; NumPy scalars in, NumPy scalar out)
and how its result type follows from its operands.  `compile.llvm` has the machine's side of the same names.

Meaning: integers wrap; ``max`` and ``min`` return NaN when either operand is NaN; ``quotient`` and ``remainder``
truncate towards zero (C's ``/`` and ``%``/``fmod``; for integers a divisor of zero gives quotient -1 and remainder
the dividend, as in XLA); a shift by the width or more gives 0 (or the sign); ``cast`` of a float to an integer
saturates and sends NaN to 0; ``rint`` rounds halves to even.
"""

from __future__ import annotations

from typing import NamedTuple

SAME, BOOL, GIVEN = "same", "bool", "given"  # as the last operand, "b1", or as the instruction's result says


class Spelling(NamedTuple):
    """How an instruction reads in Python, and its result type (`SAME`, `BOOL` or `GIVEN`)."""

    python: str
    result: str = SAME


def _call(name: str, arity: int = 1, result: str = SAME) -> Spelling:
    return Spelling(f"{name}({', '.join(f'{{{i}}}' for i in range(arity))})", result)


# special functions, and how `scipy.special` is called for them
SPECIAL = {
    "lgamma": "gammaln({0})", "digamma": "psi({0})", "trigamma": "zeta(2, {0})", "erf_inv": "erfinv({0})",
    "ndtri": "ndtri({0})", "log_ndtr": "log_ndtr({0})", "erfcx": "erfcx({0})", "i0e": "i0e({0})", "i1e": "i1e({0})",
}  # fmt: skip
INSTRUCTIONS: dict[str, Spelling] = {
    # arithmetic
    "add": Spelling("{0} + {1}"),
    "sub": Spelling("{0} - {1}"),
    "mul": Spelling("{0} * {1}"),
    "div": Spelling("{0} / {1}"),
    "fma": Spelling("{0} * {1} + {2}"),  # rounded once: Python's twice
    "quotient": _call("quotient", 2),
    "remainder": _call("remainder", 2),
    "neg": Spelling("-{0}"),
    "abs": _call("abs"),
    "max": _call("np.maximum", 2),
    "min": _call("np.minimum", 2),
    "sqrt": _call("np.sqrt"),
    "floor": _call("np.floor"),
    "ceil": _call("np.ceil"),
    "rint": _call("np.rint"),
    "trunc": _call("np.trunc"),
    "copysign": _call("np.copysign", 2),
    # comparison and choice
    "eq": Spelling("{0} == {1}", BOOL),
    "ne": Spelling("{0} != {1}", BOOL),
    "lt": Spelling("{0} < {1}", BOOL),
    "le": Spelling("{0} <= {1}", BOOL),
    "gt": Spelling("{0} > {1}", BOOL),
    "ge": Spelling("{0} >= {1}", BOOL),
    "select": Spelling("{1} if {0} else {2}"),
    # bits
    "and": Spelling("{0} & {1}"),
    "or": Spelling("{0} | {1}"),
    "xor": Spelling("{0} ^ {1}"),
    "not": Spelling("~{0}"),
    "shl": Spelling("shift_left({0}, {1}, {bits})"),
    "shr": Spelling("shift_right({0}, {1}, {bits})"),  # arithmetic for signed types, logical for unsigned ones
    "popcount": Spelling("bit_count({0}, {bits})"),
    "cast": Spelling("{dtype}({0})", GIVEN),
    "bitcast": Spelling("{0}.view({dtype})", GIVEN),
    # mathematics, emitted as polynomials
    **{
        name: _call(f"np.{name}")
        for name in (
            "exp exp2 expm1 log log2 log10 log1p sin cos tan sinh cosh tanh cbrt arcsin arccos arctan arcsinh "
            "arccosh arctanh"
        ).split()
    },
    "arctan2": _call("np.arctan2", 2),
    "pow": _call("np.power", 2),
    "logistic": Spelling("{dtype}(logistic({0}))"),
    "erf": Spelling("{dtype}(math.erf({0}))"),
    "erfc": Spelling("{dtype}(math.erfc({0}))"),
    **{name: Spelling(f"{{dtype}}({call})") for name, call in SPECIAL.items()},
}
MATHEMATICS = frozenset(
    "exp exp2 expm1 log log2 log10 log1p sin cos tan sinh cosh tanh cbrt arcsin arccos arctan arcsinh arccosh arctanh "
    "arctan2 pow logistic erf erfc".split()
) | frozenset(SPECIAL)
