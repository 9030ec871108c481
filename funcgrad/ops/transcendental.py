"""Which operations on elements are transcendental?  Exponentials, logarithms, circular and hyperbolic functions, erf.

The derivatives are those of any table (NIST DLMF, chapters 4 and 7); where two forms are equal, the one that stays
accurate (and finite) over the whole range stands here.
"""

from __future__ import annotations

import importlib
import math
from typing import Any

import numpy as np

from funcgrad.dtypes import FLOATS, INEXACT
from funcgrad.ops.arithmetic import rsqrt, sqrt
from funcgrad.ops.families import Operation, elementwise

LN2, LN10, TWO_OVER_ROOT_PI = math.log(2.0), math.log(10.0), 2.0 / math.sqrt(math.pi)


def _special(name: str) -> Any:
    """A function of `scipy.special`, loaded when it is first called with an array (0.3 s); a single number is computed
    by `math`, where that has the function. float16, for which there are no loops, goes through float32.
    """

    def reference(x: Any) -> Any:
        if np.ndim(x) == 0 and hasattr(math, name):
            return np.result_type(x).type(getattr(math, name)(float(x)))
        function = getattr(importlib.import_module("scipy.special"), name)
        dtype = np.result_type(x)
        return function(np.asarray(x, np.float32)).astype(dtype) if dtype == np.float16 else function(x)

    return reference


exp = elementwise("exp", np.exp, INEXACT, (lambda t, out, x: t * out,), "exp")
exp2 = elementwise("exp2", np.exp2, INEXACT, (lambda t, out, x: t * (LN2 * out),), "exp2")
expm1 = elementwise("expm1", np.expm1, INEXACT, (lambda t, out, x: t * (out + 1),), "expm1")
log = elementwise("log", np.log, INEXACT, (lambda t, out, x: t / x,), "log")
log2 = elementwise("log2", np.log2, INEXACT, (lambda t, out, x: t / (LN2 * x),), "log2")
log10 = elementwise("log10", np.log10, INEXACT, (lambda t, out, x: t / (LN10 * x),), "log10")
log1p = elementwise("log1p", np.log1p, INEXACT, (lambda t, out, x: t / (x + 1),), "log1p")

sin = elementwise("sin", np.sin, INEXACT, (lambda t, out, x: t * cos(x),), "sin")
cos: Operation = elementwise("cos", np.cos, INEXACT, (lambda t, out, x: -(t * sin(x)),), "cos")
tan = elementwise("tan", np.tan, INEXACT, (lambda t, out, x: t * (1 + out * out),), "tan")
asin = elementwise("asin", np.arcsin, INEXACT, (lambda t, out, x: t * rsqrt((1 - x) * (1 + x)),), "arcsin")
acos = elementwise("acos", np.arccos, INEXACT, (lambda t, out, x: -(t * rsqrt((1 - x) * (1 + x))),), "arccos")
atan = elementwise("atan", np.arctan, INEXACT, (lambda t, out, x: t / (1 + x * x),), "arctan")
atan2 = elementwise(
    "atan2",
    np.arctan2,
    FLOATS,
    (lambda t, out, y, x: t * (x / (x * x + y * y)), lambda t, out, y, x: -(t * (y / (x * x + y * y)))),
    "arctan2",
)
sinh = elementwise("sinh", np.sinh, INEXACT, (lambda t, out, x: t * cosh(x),), "sinh")
cosh: Operation = elementwise("cosh", np.cosh, INEXACT, (lambda t, out, x: t * sinh(x),), "cosh")
tanh = elementwise("tanh", np.tanh, INEXACT, (lambda t, out, x: t * ((1 - out) * (1 + out)),), "tanh")
asinh = elementwise("asinh", np.arcsinh, INEXACT, (lambda t, out, x: t * rsqrt(x * x + 1),), "arcsinh")
acosh = elementwise("acosh", np.arccosh, INEXACT, (lambda t, out, x: t / (sqrt(x - 1) * sqrt(x + 1)),), "arccosh")
atanh = elementwise("atanh", np.arctanh, INEXACT, (lambda t, out, x: t / ((1 - x) * (1 + x)),), "arctanh")

logistic: Operation = elementwise(
    "logistic", _special("expit"), FLOATS, (lambda t, out, x: t * (out * logistic(-x)),), "logistic"
)
erf = elementwise("erf", _special("erf"), FLOATS, (lambda t, out, x: t * (TWO_OVER_ROOT_PI * exp(-(x * x))),), "erf")
erfc = elementwise(
    "erfc", _special("erfc"), FLOATS, (lambda t, out, x: t * (-TWO_OVER_ROOT_PI * exp(-(x * x))),), "erfc"
)
