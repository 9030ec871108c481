"""Is every function of funcgrad.numpy NumPy's own, traced?  Same dtype, shape, values, or the same exception."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad import tree
from funcgrad.ir.check import check
from funcgrad.ir.interpret import interpret
from tests.effort import drawn
from tests.numpy.calls import CALLS
from tests.numpy.strategies import FLOATS, REFERENCES, arrays
from tests.ops.numerics import assert_close

CONSTANTS = {name for name in fnp.__all__ if getattr(getattr(fnp, name), "__module__", "") != "funcgrad.numpy"}
KNOWN_ONLY = set(
    (
        "arange empty eye identity ones tri zeros bartlett blackman hamming hanning kaiser indices fromfunction "
        "frombuffer fromiter fromstring can_cast iscomplexobj isrealobj isscalar shape ndim size result_type"
    ).split()
)
UNINITIALISED = {"empty", "empty_like"}
ELSEWHERE = {  # in test_surface
    "einsum_path": "its result is a text",
    "common_type": "its result is a type",
    "polydiv": "NumPy drops coefficients of the remainder that are nearly 0",
    "roots": "NumPy's dtype depends on the values",
    # in test_sorting
    "partition": "NumPy leaves the order on both sides open",
    "argpartition": "NumPy leaves the order on both sides open",
    "histogramdd": "its result is nested",
    "unique_values": "NumPy's are in no order",
    "unique_all": "places left over",
    "unique_counts": "places left over",
    "unique_inverse": "places left over",
}
EXACT = set(
    (
        "all any argmax argmin array array_split asarray atleast_1d atleast_2d broadcast_arrays broadcast_to "
        "ceil clip column_stack concat concatenate copy count_nonzero diagonal equal expand_dims fabs flip "
        "floor fmax fmin full full_like greater greater_equal heaviside hstack imag invert isfinite isinf "
        "isnan less less_equal logical_and logical_not logical_or logical_xor matrix_transpose max maximum "
        "min minimum moveaxis nan_to_num negative not_equal ones_like pad permute_dims positive real repeat "
        "reshape rint roll sign signbit split squeeze stack swapaxes take take_along_axis tile transpose tril "
        "triu trunc vstack where zeros_like absolute abs add subtract multiply divide true_divide sqrt square "
        "copysign ravel isclose allclose array_equal array_equiv iscomplex isreal isneginf isposinf frexp ldexp modf "
        "spacing nextafter gcd lcm bitwise_count packbits unpackbits atleast_3d dstack hsplit vsplit dsplit unstack "
        "sort searchsorted nanmax nanmin unique isin fliplr flipud rot90 rollaxis block resize apply_along_axis astype"
    ).split()
)

SUMS = set("polyval average dot einsum inner matmul mean prod std sum tensordot trace var vdot".split())
SUMS |= set(
    "convolve correlate cumsum cumulative_sum nancumsum nansum nanmean nanvar nanstd trapezoid cov gradient".split()
)

# What is refused although NumPy does it, and why: the message must say so
REFUSALS = {
    "where": "out of bounds for",  # NumPy wraps the number
}


def leaf_is_traced(x: Any) -> bool:
    """Arrays are traced, and Python numbers that stand for data (not axes, shapes, sizes)."""
    return isinstance(x, np.ndarray)


def outcome(function: Callable[[], Any]) -> Any:
    """What a call gives: a value, or an exception."""
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy warns of means of nothing
            return function()
    except (TypeError, ValueError, IndexError, OverflowError, ZeroDivisionError) as error:
        return error


def split(call: Any, numbers_too: bool) -> tuple[list[Any], Callable[..., Any]]:
    """The leaves of a call to be traced, and how to put others in their place."""
    leaves, structure = tree.flatten(call)
    traced = [leaf_is_traced(x) or (numbers_too and isinstance(x, (int, float))) for x in leaves]

    def rebuild(*given: Any) -> Any:
        rest = iter(given)
        return tree.unflatten(structure, [next(rest) if t else x for x, t in zip(leaves, traced, strict=True)])

    return [x for x, t in zip(leaves, traced, strict=True) if t], rebuild


def magnitude(name: str, call: Any, want: np.ndarray) -> np.ndarray:
    """What rounding errors are relative to: the largest result, for sums that of the magnitudes of their operands."""
    size = np.max(np.abs(want[np.isfinite(want)]), initial=0)
    if name in SUMS:
        positive = outcome(
            lambda: getattr(np, name)(*(np.abs(x) if isinstance(x, np.ndarray) else x for x in call[0]), **call[1])
        )
        square = max((float(np.max(np.abs(x), initial=0)) for x in call[0] if isinstance(x, np.ndarray)), default=0.0)
        size = max(
            size, np.max(np.abs(positive), initial=0), square if name in ("var", "std", "mean", "average") else 0
        )
    return np.full(want.shape, size, want.dtype)


def compare(name: str, got: Any, want: Any, call: Any) -> None:
    """The same values, or the same kind of exception."""
    if isinstance(want, Exception):
        assert isinstance(got, Exception), f"NumPy raises {want!r}; traced: {got!r}"
        alike = {TypeError, ValueError} | ({IndexError} if name == "tensordot" else set())
        assert isinstance(got, type(want)) or isinstance(want, type(got)) or {type(got), type(want)} <= alike, (
            got,
            want,
        )
        return
    if isinstance(got, Exception):
        if name in REFUSALS and REFUSALS[name] in str(got):
            return
        raise AssertionError(f"NumPy gives {want!r}") from got
    got_leaves, want_leaves = (
        [np.asarray(x) for x in (v if isinstance(v, (tuple, list)) else [v])] for v in (got, want)
    )
    assert len(got_leaves) == len(want_leaves)
    for g, w in zip(got_leaves, want_leaves, strict=True):
        if w.dtype.kind == "f" and name not in EXACT:
            assert_close(g, w, 16 if w.dtype != np.float16 else 4, magnitude(name, call, w))
        else:
            assert g.dtype == w.dtype
            assert g.shape == w.shape
            np.testing.assert_array_equal(g, w)


@functools.cache
def is_operator_like(name: str) -> bool:
    """Whether all numbers of its calls are data, so that Python numbers can be traced too."""
    function = getattr(np, name, None)
    return isinstance(function, np.ufunc) and function.signature is None


def run(name: str, call: Any, execute: Callable[..., Any]) -> None:
    """Hold one call of one function against NumPy."""
    args = call[0]
    below = any(isinstance(x, int) and x < 0 for x in args) and any(
        isinstance(x, np.ndarray) and x.dtype == np.uint64 for x in args
    )
    leaves, rebuild = split(call, is_operator_like(name) and not below)  # a traced -3 wraps where the dtype is unsigned
    function, reference = getattr(fnp, name), REFERENCES.get(name) or getattr(np, name)
    want = outcome(lambda: reference(*call[0], **call[1]))

    def traced(*given: Any) -> Any:
        args, kwargs = rebuild(*given)
        return function(*args, **kwargs)

    if isinstance(want, OverflowError):  # a traced number has no value yet: it wraps
        return
    compare(name, outcome(lambda: execute(traced, leaves)), want, call)


def interpreted(function: Callable[..., Any], leaves: list[Any]) -> Any:
    """The value of the traced function's program, by the interpreter."""
    result: list[Any] = []

    def flat(*given: Any) -> Any:
        out = function(*given)
        result.append(type(out) if isinstance(out, (list, tuple)) else None)
        return out

    out = check_static(flat, leaves)
    if out is not None:
        return out
    program = check(fg.make_jaxpr(flat)(*leaves))
    values = interpret(program, [np.asarray(x) for x in leaves])
    return values if result[-1] else values[0]


def check_static(function: Callable[..., Any], leaves: list[Any]) -> Any:
    """Functions whose results are no arrays (a shape, a dtype) run under `eval_shape`."""
    found: list[Any] = []

    def keep(*given: Any) -> Any:
        found.append(function(*given))
        return 0

    fg.eval_shape(keep, *leaves)
    flat = tree.leaves(found[0])
    static = all(isinstance(x, (int, np.dtype)) for x in flat) and found
    return found[0] if static else None


def test_every_function_is_called() -> None:
    assert set(CALLS) | UNINITIALISED | set(ELSEWHERE) == set(fnp.__all__) - CONSTANTS


@pytest.mark.parametrize("name", sorted(set(CALLS) - UNINITIALISED))
@given(st.data())
@drawn(12)
def test_traced_is_numpy(name: str, data: Any) -> None:
    run(name, data.draw(CALLS[name]), interpreted)


@pytest.mark.parametrize("name", sorted(set(CALLS) - UNINITIALISED - KNOWN_ONLY))
@given(st.data())
@drawn(2)
def test_compiled_is_numpy(name: str, data: Any) -> None:
    run(name, data.draw(CALLS[name]), lambda f, leaves: fg.jit(f)(*leaves))


@pytest.mark.parametrize("name", sorted(set(CALLS) - UNINITIALISED))
@given(st.data())
@drawn(4)
def test_untraced_is_numpy(name: str, data: Any) -> None:
    args, kwargs = data.draw(CALLS[name])
    reference = REFERENCES.get(name) or getattr(np, name)
    want = outcome(lambda: reference(*args, **kwargs))
    got = outcome(lambda: getattr(fnp, name)(*args, **kwargs))
    compare(name, got, want, (args, kwargs))
    for x in tree.leaves(got):
        if isinstance(x, np.ndarray):
            assert type(x) is fg.Array
            assert not any(np.shares_memory(x, a) for a in tree.leaves((args, kwargs)) if isinstance(a, np.ndarray))


@given(arrays(dtypes=FLOATS, special=False))
def test_empty_like(x: np.ndarray) -> None:
    got = fg.jit(fnp.empty_like)(x)
    assert (got.shape, got.dtype) == (x.shape, x.dtype)
