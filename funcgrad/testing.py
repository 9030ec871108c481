"""Are a function's derivatives right?  `check_grads`, `check_jvp`, `check_vjp`: held against differences of the values.

They are `jax.test_util`'s, by name, argument order and meaning. A directional derivative along a random direction is
compared with a central difference of the function's values; a pullback with the same number by the other way:
⟨ȳ, f(x + εv) − f(x − εv)⟩ / 2ε = ⟨f'ᵀ ȳ, v⟩. Directions come from a fixed seed, so that a test always gives the same.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.api import jvp, vjp
from funcgrad.arguments import check_callable
from funcgrad.dtypes import BFLOAT16, is_inexact
from funcgrad.errors import at_line
from funcgrad.ir.types import type_of_value
from funcgrad.tracebacks import boundary

MODES = ("fwd", "rev")
# by dtype: how far a derivative may be off, relative to numbers near 1, and the step of the difference (JAX's figures)
TOLERANCE = {"bfloat16": 1e-1, "float16": 1e-2, "float32": 2e-3, "float64": 1e-5, "complex64": 1e-3, "complex128": 1e-5}
STEP = {"bfloat16": 1e-1, "float16": 1e-2, "float32": 1e-2, "float64": 1e-5, "complex64": 1e-2, "complex128": 1e-5}
Tree = Any


def _dtypes(values: Tree) -> list[str]:
    found = [type_of_value(x).dtype for x in tree.leaves(values)]
    return ["bfloat16" if d == BFLOAT16 else d.name for d in found if is_inexact(d)]


def _coarsest(table: dict[str, float], *values: Tree) -> float:
    return max((table[name] for value in values for name in _dtypes(value)), default=table["float64"])


def _direction(rng: np.random.Generator, x: Any) -> Any:
    """A random direction of the type of `x`; zeros where there are no derivatives."""
    kind = type_of_value(x)
    if not is_inexact(kind.dtype):
        return np.zeros(kind.shape, kind.dtype)
    drawn = rng.standard_normal(kind.shape)
    if kind.dtype.kind == "c":
        drawn = drawn + 1j * rng.standard_normal(kind.shape)
    return np.asarray(drawn).astype(kind.dtype)


def _wide(x: Any) -> np.ndarray:
    kind = type_of_value(x).dtype
    return np.asarray(x, np.complex128 if kind.kind == "c" else np.float64)


def _moved(values: Tree, direction: Tree, step: float) -> Tree:
    def move(x: Any, v: Any) -> Any:
        kind = type_of_value(x).dtype
        return (_wide(x) + step * _wide(v)).astype(kind) if is_inexact(kind) else x

    return tree.map(move, values, direction)


def _difference(f: Callable[..., Any], args: Tree, direction: Tree, step: float) -> Tree:
    """The central difference of `f` along a direction, in float64."""
    high, low = (f(*_moved(args, direction, sign * step)) for sign in (1, -1))
    return tree.map(lambda a, b: (_wide(a) - _wide(b)) / (2 * step), high, low)


def _product(one: Tree, two: Tree) -> Any:
    """⟨one, two⟩, without conjugation, over what has derivatives."""
    pairs = zip(tree.leaves(one), tree.leaves(two), strict=True)
    return sum((np.sum(_wide(a) * _wide(b)) for a, b in pairs if is_inexact(type_of_value(a).dtype)), start=0.0)


def _compare(what: str, found: Tree, expected: Tree, atol: float, rtol: float, err_msg: str) -> None:
    """Raise an `AssertionError` that names the leaf that is off most."""
    paths = tree.paths(expected)
    for path, a, b in zip(paths, tree.leaves(found), tree.leaves(expected), strict=True):
        one, two = _wide(a), _wide(b)
        if one.shape != two.shape:
            raise AssertionError(f"{what}: shapes {one.shape} and {two.shape} differ{_at(path)}{_more(err_msg)}")
        bad = ~np.isclose(one, two, rtol=rtol, atol=atol, equal_nan=True)
        if bad.any():
            index = np.unravel_index(int(np.argmax(np.where(bad, np.abs(one - two), -1))), one.shape)
            place = f" at index {[int(k) for k in index]}" if index else ""
            raise AssertionError(
                f"{what}: {int(bad.sum())} of {bad.size} numbers differ from the difference quotient by more than "
                f"atol={atol:g}, rtol={rtol:g}{_at(path)}; worst{place}: {one[index]:.8g}, where {two[index]:.8g} is "
                f"expected{_more(err_msg)}"
            )


def _at(path: tuple[Any, ...]) -> str:
    return f" of the output {tree.key_string(path)}" if path else ""


def _more(err_msg: str) -> str:
    return f" ({err_msg})" if err_msg else ""


@boundary
def check_jvp(
    f: Callable[..., Any],
    f_jvp: Callable[..., Any],
    args: Sequence[Any],
    atol: float | None = None,
    rtol: float | None = None,
    eps: float | None = None,
    err_msg: str = "",
) -> None:
    """Hold a forward derivative against a difference quotient.

    Parameters
    ----------
    f
        A function of arrays or pytrees of them.
    f_jvp
        ``f_jvp(primals, tangents) -> (output, output tangent)``.
    args
        Where: a sequence of arguments.
    atol, rtol
        How far it may be off; by default by the coarsest dtype of arguments and outputs (1e-5 for float64, 2e-3 for
        float32).
    eps
        The step; by default 1e-5 for float64 and 1e-2 for float32.
    err_msg
        Added to the message.

    Raises
    ------
    AssertionError
        It is off; the message names the output, the place, and both numbers.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.testing.check_jvp(np.sin, lambda p, t: fg.jvp(np.sin, p, t), (np.ones(3),))
    """
    check_callable(f, "check_jvp")
    check_callable(f_jvp, "check_jvp")
    args = tuple(args)
    rng = np.random.default_rng(0)
    direction = tree.map(functools.partial(_direction, rng), args)
    value, tangent = f_jvp(args, direction)
    expected = f(*args)
    atol = _coarsest(TOLERANCE, args, expected) if atol is None else atol
    rtol = _coarsest(TOLERANCE, args, expected) if rtol is None else rtol
    _compare("check_jvp: the value", value, expected, atol, rtol, err_msg)
    quotient = _difference(f, args, direction, _coarsest(STEP, args) if eps is None else eps)
    smooth = [is_inexact(type_of_value(x).dtype) for x in tree.leaves(expected)]
    found = [t for t, s in zip(tree.leaves(tangent), smooth, strict=True) if s]
    _compare(
        "check_jvp", found, [q for q, s in zip(tree.leaves(quotient), smooth, strict=True) if s], atol, rtol, err_msg
    )


@boundary
def check_vjp(
    f: Callable[..., Any],
    f_vjp: Callable[..., Any],
    args: Sequence[Any],
    atol: float | None = None,
    rtol: float | None = None,
    eps: float | None = None,
    err_msg: str = "",
) -> None:
    """Hold a pullback against a difference quotient; parameters and errors are those of `check_jvp`.

    ``f_vjp(*args) -> (output, pullback)``, as `vjp` gives it.

    Examples
    --------
    >>> import functools
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.testing.check_vjp(np.sin, functools.partial(fg.vjp, np.sin), (np.ones(3),))
    """
    check_callable(f, "check_vjp")
    check_callable(f_vjp, "check_vjp")
    args = tuple(args)
    rng = np.random.default_rng(0)
    value, pullback = f_vjp(*args)
    expected = f(*args)
    atol = _coarsest(TOLERANCE, args, expected) if atol is None else atol
    rtol = _coarsest(TOLERANCE, args, expected) if rtol is None else rtol
    _compare("check_vjp: the value", value, expected, atol, rtol, err_msg)
    direction = tree.map(functools.partial(_direction, rng), args)
    cotangent = tree.map(functools.partial(_direction, rng), expected)
    quotient = _difference(f, args, direction, _coarsest(STEP, args) if eps is None else eps)
    found = np.real(_product(pullback(cotangent), direction))
    _compare("check_vjp", found, np.real(_product(cotangent, quotient)), atol, rtol, err_msg)


@boundary
def check_grads(
    f: Callable[..., Any],
    args: Sequence[Any],
    order: int,
    modes: Sequence[str] | str = MODES,
    atol: float | None = None,
    rtol: float | None = None,
    eps: float | None = None,
) -> None:
    """Hold derivatives of `f`, of all orders up to `order`, against difference quotients.

    Parameters
    ----------
    f
        A function of arrays or pytrees of them.
    args
        Where: a sequence of arguments.
    order
        1 for first derivatives; 2 also checks derivatives of those, by every mix of the modes; and so on.
    modes
        ``"fwd"``, ``"rev"``, or both.
    atol, rtol, eps
        See `check_jvp`.

    Raises
    ------
    AssertionError
        One is off; the message says which, such as ``rev of fwd``.
    ValueError
        `order` is less than 1, or `modes` holds something else.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.testing.check_grads(lambda x, y: np.sum(np.tanh(x) * y), (np.ones(3), 2.0), order=2)

    A rule that is wrong:

    >>> f = fg.custom_jvp(lambda x: x * x)
    >>> f.defjvps(lambda t, out, x: 3 * x * t)
    >>> fg.testing.check_grads(f, (1.0,), order=1)
    Traceback (most recent call last):
    ...
    AssertionError: check_jvp: 1 of 1 numbers differ from the difference quotient by more than atol=1e-05, ...
    """
    check_callable(f, "check_grads")
    names = (modes,) if isinstance(modes, str) else tuple(modes)
    if not isinstance(order, int) or order < 1:
        raise ValueError(f"check_grads: order must be an integer of at least 1, not {order!r}{at_line()}")
    if not names or not set(names) <= set(MODES):
        raise ValueError(f"check_grads: modes must be some of {MODES}, not {modes!r}{at_line()}")
    _check_order(f, tuple(args), order, names, (atol, rtol, eps), "")


def _check_order(
    f: Callable[..., Any], args: tuple[Any, ...], order: int, modes: Sequence[str], limits: Any, of: str
) -> None:
    for mode in modes:
        name, (atol, rtol, eps) = f"{mode}{of}", limits
        if mode == "fwd":
            check_jvp(f, functools.partial(jvp, f), args, atol, rtol, eps, name)
        else:
            check_vjp(f, functools.partial(vjp, f), args, atol, rtol, eps, name)
        if order > 1:
            _check_order(_derivative(f, args, mode), args, order - 1, modes, limits, f" of {name}")


def _derivative(f: Callable[..., Any], args: tuple[Any, ...], mode: str) -> Callable[..., Any]:
    """The derivative of `f` along (or of) a fixed direction, as a function of the arguments."""
    rng = np.random.default_rng(1)
    if mode == "fwd":
        direction = tree.map(functools.partial(_direction, rng), args)
        return lambda *xs: jvp(f, xs, direction)[1]
    cotangent = tree.map(functools.partial(_direction, rng), f(*args))
    return lambda *xs: vjp(f, *xs)[1](cotangent)


__all__ = ["check_grads", "check_jvp", "check_vjp"]
