"""How is a function of Numba's differentiated that programs call?  By rules of its own: `numba_primitive`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba.core.dispatcher import Dispatcher

from funcgrad import tree
from funcgrad.control.jvp_rules import custom_jvp
from funcgrad.control.vjp_rules import custom_vjp
from funcgrad.dtypes import is_inexact
from funcgrad.errors import at_line
from funcgrad.interop.numba_call import numba_call
from funcgrad.trace.frame import type_of
from funcgrad.trace.function import ShapeDtypeStruct


class NumbaPrimitive:
    """A function of Numba's that programs call natively; made by `numba_primitive`."""

    def __init__(self, function: Any, out_type: Any) -> None:
        self.function, self.out_type = function, out_type
        self.__name__ = getattr(function, "__name__", "function")
        self.__doc__ = getattr(function, "__doc__", None)
        self._call: Callable[..., Any] = self._plain

    def __repr__(self) -> str:
        return f"<Numba primitive {self.__name__}>"

    def __call__(self, *args: Any) -> Any:
        """The function's value."""
        return self._call(*args)

    def _plain(self, *args: Any) -> Any:
        return numba_call(self.function, self.out_type, *args)

    def defvjp(self, *rules: Any) -> None:
        """Give a reverse derivative.

        Parameters
        ----------
        *rules
            Two functions as for `custom_vjp`: ``fwd(*args) -> (output, residuals)`` and
            ``bwd(residuals, cotangent) -> (cotangent of each argument)``; or one, which returns a tuple of cotangents,
            one for each argument that is not an integer (or only that one): ``pullback(cotangent, output, *args)``.
            They are traced; the second kind may also be a function of Numba's.

        Examples
        --------
        >>> import funcgrad as fg
        >>> import numba
        >>> @fg.numba_primitive(out_type=float)
        ... @numba.njit
        ... def cube(x):
        ...     return x * x * x
        >>> cube.defvjp(numba.njit(lambda ct, y, x: 3 * x * x * ct))
        >>> fg.grad(fg.jit(cube))(2.0)
        Array(12.)
        """
        if len(rules) not in (1, 2) or not all(map(callable, rules)):
            raise TypeError(f"defvjp takes functions: fwd and bwd, or one pullback, not {rules!r}{at_line()}")
        fwd, bwd = rules if len(rules) == 2 else self._from_pullback(rules[0])
        ruled = custom_vjp(self._plain)
        ruled.defvjp(fwd, bwd)
        self._call = ruled

    def defjvp(self, rule: Any) -> None:
        """Give a forward derivative, which serves reverse mode too.

        Parameters
        ----------
        rule
            As for `custom_jvp`: ``rule(primals, tangents) -> (output, tangent of the output)``, linear in the tangents.
            It is traced; reverse mode transposes it, which needs a rule that is made of NumPy's functions. Or a
            function of Numba's, ``rule(tangent, ..., output, argument, ...) -> tangent of the output``, with a tangent
            for each argument that is not an integer, for forward mode alone.
        """
        if not callable(rule):
            raise TypeError(f"defjvp takes a function, not {rule!r}{at_line()}")
        ruled = custom_jvp(self._plain)
        ruled.defjvp(self._from_push(rule) if isinstance(rule, Dispatcher) else rule)
        self._call = ruled

    def _from_pullback(self, pullback: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
        def fwd(*args: Any) -> Any:
            output = self._plain(*args)
            return output, (args, output)

        def bwd(residuals: Any, ct: Any) -> Any:
            args, output = residuals
            smooth = [k for k, x in enumerate(args) if _is_smooth(x)]
            if isinstance(pullback, Dispatcher):
                types = tuple(tree.map(_type_struct, args[k]) for k in smooth)
                found = numba_call(pullback, types[0] if len(types) == 1 else types, ct, output, *args)
            else:
                found = pullback(ct, output, *args)
            alone = len(smooth) == 1 and (isinstance(args[smooth[0]], tuple) or not isinstance(found, tuple))
            each = (found,) if alone else found
            given = dict(zip(smooth, each, strict=True))
            return tuple(given.get(k) for k in range(len(args)))

        return fwd, bwd

    def _from_push(self, push: Any) -> Callable[..., Any]:
        def rule(primals: Any, tangents: Any) -> Any:
            output = self._plain(*primals)
            moving = [t for x, t in zip(primals, tangents, strict=True) if _is_smooth(x)]
            types = tree.map(_type_struct, output)
            return output, numba_call(push, types, *moving, output, *primals)

        return rule


def _type_struct(x: Any) -> ShapeDtypeStruct:
    kind = type_of(x)
    return ShapeDtypeStruct(kind.shape, kind.dtype)


def _is_smooth(x: Any) -> bool:
    """Whether all of an argument can be differentiated by."""
    return all(is_inexact(type_of(leaf).dtype) for leaf in tree.leaves(x))


def numba_primitive(function: Any = None, *, out_type: Any) -> Any:
    """Decorator: a function of Numba's that functions under transformation call, with derivatives of its own.

    Parameters
    ----------
    function
        What `numba.njit` returned.
    out_type
        What it returns: see `numba_call`.

    Returns
    -------
    NumbaPrimitive
        It is called like the function; `NumbaPrimitive.defvjp` and `NumbaPrimitive.defjvp` give it derivatives.

    Raises
    ------
    TypeError
        The function is not one of `numba.njit`.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numba
    >>> import numpy as np
    >>> @fg.numba_primitive(out_type=lambda x: x)
    ... @numba.njit
    ... def decayed(x):
    ...     y = x.copy()
    ...     for k in range(1, len(y)):
    ...         y[k] += 0.5 * y[k - 1]
    ...     return y
    >>> @numba.njit
    ... def pullback(ct, y, x):
    ...     out = ct.copy()
    ...     for k in range(len(out) - 2, -1, -1):
    ...         out[k] += 0.5 * out[k + 1]
    ...     return out
    >>> decayed.defvjp(pullback)
    >>> fg.jit(fg.grad(lambda x: np.sum(decayed(x))))(np.ones(3))
    Array([1.75, 1.5 , 1.  ])
    """
    if function is None:
        return lambda given: numba_primitive(given, out_type=out_type)
    if not isinstance(function, Dispatcher):
        raise TypeError(f"numba_primitive takes a function decorated with numba.njit, not {function!r}{at_line()}")
    return NumbaPrimitive(function, out_type)
