"""Which of SciPy's universal functions are there?  A table from ufunc to what it becomes on traced arrays.

On plain arrays SciPy's own loop runs.  On traced ones the dtypes are those of the loop that NumPy would choose
(float16 and the smallest integers become float32), so that both agree.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special as sp

from funcgrad.errors import at_line
from funcgrad.numpy._common import broadcast, cast, has_tracer, operand, wrap
from funcgrad.numpy._results import of_ufunc, section
from funcgrad.numpy._ufunc import UFunc
from funcgrad.ops import arithmetic as ar
from funcgrad.ops import bessel as be
from funcgrad.ops import comparison as co
from funcgrad.ops import error_functions as er
from funcgrad.ops import special as ga
from funcgrad.ops import transcendental as tr
from funcgrad.ops.special import is_zero, number
from funcgrad.quiet import quiet
from funcgrad.scipy.special._examples import FUNCTIONS
from funcgrad.trace.frame import type_of
from funcgrad.trace.tracer import ufuncs
from funcgrad.tracebacks import shorten

Traced = Callable[..., Any]
ROOT_HALF = math.sqrt(0.5)
namespace: dict[str, Any] = {}
_WEAK: dict[str, type] = {"i": int, "f": float, "c": complex}


class SpecialFunction(UFunc):
    """A function of `scipy.special`: SciPy's on plain arrays, a program of primitives on traced ones."""

    def __init__(self, reference: np.ufunc, traced: Traced) -> None:
        super().__init__(reference, lambda *xs: traced(*fitting(reference, *xs)))
        name = reference.__name__
        example = FUNCTIONS.get(name)
        shown = f"\n\nExamples\n--------\n>>> from funcgrad.scipy import special\n>>> {example}\n" if example else ""
        self.__doc__ = (
            f"SciPy's `scipy.special.{name}`, differentiable and traceable.\n\n"
            "Takes arrays, scalars and traced arrays, and promotes dtypes as SciPy does; "
            f"see :func:`scipy.special.{name}` for the parameters."
            f"{section(*of_ufunc(reference))}{shown}"
        )
        self.__module__ = "funcgrad.scipy.special"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The function of every element; SciPy's own loops (1.17) overrun masks, so that known arrays get ours too."""
        try:
            if kwargs.get("where", True) is True or has_tracer(args) or has_tracer(tuple(kwargs.values())):
                return super().__call__(*args, **kwargs)
            with quiet():
                return wrap(self._with_keywords(args, kwargs))
        except BaseException as error:
            shorten(error)
            raise

    def __repr__(self) -> str:
        return f"<ufunc 'funcgrad.scipy.special.{self.__name__}'>"


def fitting(reference: np.ufunc, *xs: Any) -> list[Any]:
    """Operands in the dtypes of the loop that NumPy would run, and of one shape."""
    name = reference.__name__
    operands = [operand(x, name) for x in xs]
    kinds = [type_of(x) for x in operands]
    given = tuple(_WEAK[k.dtype.kind] if k.weak and k.dtype.kind in _WEAK else k.dtype for k in kinds)
    try:
        dtypes = reference.resolve_dtypes((*given, *[None] * reference.nout))
    except TypeError:
        listed = ", ".join(k.dtype.name for k in kinds)
        raise TypeError(f"scipy.special.{name} does not accept arrays of dtype {listed}{at_line()}") from None
    return broadcast(name, *(cast(x, dtype) for x, dtype in zip(operands, dtypes, strict=False)))


# Composed functions --------------------------------------------------------------------------------------------------


def _gammasgn(x: Any) -> Any:
    """The sign of Γ(x): that of x at 0, NaN at the other poles and at -inf."""
    floor = ar.floor(x)
    one = number(1, x)
    odd = co.ne(floor, 2 * ar.floor(0.5 * floor))
    sign = co.select(co.or_(x > 0, co.not_(odd)), -one, one)
    sign = co.select(is_zero(x), sign, co.select(1 / co.select(is_zero(x), one, x) < 0, one, -one))
    pole = co.and_(x < 0, co.eq(floor, x))
    return co.select(co.or_(pole, co.ne(x, x)), sign, number(np.nan, x))


def _loggamma(x: Any) -> Any:
    if type_of(x).dtype.kind == "c":
        return ga.loggamma(x)
    return co.select(x < 0, ga.lgamma(x), number(np.nan, x))


def _ndtr(x: Any) -> Any:
    return 0.5 * tr.erfc(x * -ROOT_HALF)


def _growth(x: Any) -> Any:
    """exp |x|, whose derivative at 0 is 0, as the scaled Bessel functions' rules have it."""
    return tr.exp(x * ar.sign(x))


def _i0(x: Any) -> Any:
    return _growth(x) * be.bessel_i0e(x)


def _i1(x: Any) -> Any:
    return _growth(x) * be.bessel_i1e(x)


def _exp1(x: Any) -> Any:
    """E1(x), which is NaN for x < 0 as in SciPy."""
    return er.expn(np.int64(1), x)


def _expn(n: Any, x: Any) -> Any:
    return er.expn(er.as_orders(n), x)


def _log_expit(x: Any) -> Any:
    """-log(1 + exp(-x)), as min(x, 0) - log1p(exp(-max(x, -x))): ties share the derivative, which is 1/2 at 0."""
    return ar.min_(x, number(0, x)) - tr.log1p(tr.exp(-ar.max_(x, -x)))


def _entr(x: Any) -> Any:
    """-x log x; 0 at 0, -inf below."""
    below = x < 0
    inside = co.select(below, x, number(1, x))  # a logarithm of what is not taken would make derivatives NaN
    return co.select(below, 0 - ga.xlogy(inside, inside), number(-np.inf, x))


def _with_logarithm(p: Any, q: Any, rest: Callable[[Any, Any], Any]) -> Any:
    """p log(p/q) + rest for p, q > 0, by log1p where the quotient is near 1; `rest` for p = 0 <= q; else inf."""
    one, zero = number(1, p), number(0, p)
    both = co.and_(p > 0, q > 0)
    a, b = co.select(both, one, p), co.select(both, one, q)
    near = co.and_(a < 2 * b, b < 2 * a)
    close = tr.log1p(co.select(near, zero, a - b) / b)
    far = tr.log(a) - tr.log(b)
    void = co.and_(is_zero(p), q >= 0)
    outside = co.select(void, number(np.inf, p), rest(zero, co.select(void, zero, q)))
    outside = co.select(co.or_(co.ne(p, p), co.ne(q, q)), outside, number(np.nan, p))
    return co.select(both, outside, a * co.select(near, far, close) + rest(p, q))


def _rel_entr(p: Any, q: Any) -> Any:
    return _with_logarithm(p, q, lambda p, q: number(0, q))


def _kl_div(p: Any, q: Any) -> Any:
    return _with_logarithm(p, q, lambda p, q: q - p)


def _power_transform(log: Any, lmbda: Any) -> Any:
    """(exp(λ l) - 1) / λ, by its series where λ l is small, so that it has derivatives at λ = 0."""
    exponent = lmbda * log
    void = ar.abs_(lmbda) < 1e-19  # as good as 0
    small = co.or_(void, ar.abs_(exponent) < 1e-4)
    u = co.select(small, number(0, log), exponent)
    series = log * (1 + u * (0.5 + u * (1 / 6 + u / 24)))
    safe = co.select(small, lmbda, number(1, lmbda))
    large = exponent > 80.0  # where the exponential may overflow before it is divided
    high = ar.sign(safe) * tr.exp(exponent - tr.log(ar.abs_(safe))) - 1 / safe
    finite = co.select(large, tr.expm1(co.select(large, exponent, number(0, log))) / safe, high)
    return co.select(void, co.select(small, finite, series), co.select(ar.is_finite(log), log, series))


def _boxcox(x: Any, lmbda: Any) -> Any:
    return _power_transform(tr.log(x), lmbda)


def _boxcox1p(x: Any, lmbda: Any) -> Any:
    return _power_transform(tr.log1p(x), lmbda)


TABLE: dict[str, Traced] = {
    # gamma and beta
    "gamma": ga.gamma, "gammaln": ga.lgamma, "gammasgn": _gammasgn, "loggamma": _loggamma,
    "psi": ga.digamma, "poch": ga.poch, "binom": ga.binom, "beta": ga.beta, "betaln": ga.lbeta,
    "betainc": ga.betainc, "gammainc": ga.igamma, "gammaincc": ga.igammac,
    # error functions and the normal distribution
    "erf": tr.erf, "erfc": tr.erfc, "erfcx": er.erfcx, "erfinv": er.erf_inv, "dawsn": er.dawsn, "wofz": er.wofz,
    "ndtr": _ndtr, "ndtri": er.ndtri, "log_ndtr": er.log_ndtr, "owens_t": er.owens_t,
    # integrals
    "expi": er.expi, "exp1": _exp1, "expn": _expn, "spence": er.spence,
    "sici": lambda x: (er.sine_integral(x), er.cosine_integral(x)),
    "fresnel": lambda x: (er.fresnel_sin(x), er.fresnel_cos(x)),
    # Bessel and hypergeometric functions
    "i0": _i0, "i0e": be.bessel_i0e, "i1": _i1, "i1e": be.bessel_i1e, "hyp1f1": be.hyp1f1, "hyp2f1": be.hyp2f1,
    # logarithms and entropies
    "expit": tr.logistic, "log_expit": _log_expit, "logit": er.logit, "xlogy": ga.xlogy, "xlog1py": ga.xlog1py,
    "entr": _entr, "rel_entr": _rel_entr, "kl_div": _kl_div, "boxcox": _boxcox, "boxcox1p": _boxcox1p,
}  # fmt: skip


def _install() -> None:
    for name, traced in TABLE.items():
        reference = inspect.unwrap(getattr(sp, name))  # with SCIPY_ARRAY_API=1 functions stand before the ufuncs
        namespace[name] = ufuncs[reference] = SpecialFunction(reference, traced)
    namespace["digamma"] = namespace["psi"]


_install()
