"""How does a user give a function a forward derivative?  `custom_jvp`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, ParamSpec, TypeVar

import numpy as np

from funcgrad import tree
from funcgrad.control.custom import (
    JvpAfter,
    custom_jvp_call,
)
from funcgrad.control.rules import Returned, Split, SymbolicZero, WithRules, checked_type
from funcgrad.dtypes import is_inexact
from funcgrad.errors import at_line
from funcgrad.ir.primitive import Values
from funcgrad.ir.types import ArrayType
from funcgrad.trace.frame import type_of
from funcgrad.tracebacks import boundary

P = ParamSpec("P")
R = TypeVar("R")
Rule = TypeVar("Rule", bound=Callable[..., Any])


class custom_jvp(WithRules, Generic[P, R]):
    """Decorator: a function with a forward derivative rule of its own, which serves reverse mode too.

    Parameters
    ----------
    fun
        A function of arrays, or pytrees of them.
    nondiff_argnums, nondiff_argnames
        Which arguments are no differentiable values (functions, numbers, strings); rules get them first.

    Raises
    ------
    AttributeError
        When it is differentiated and has no rule.
    TypeError
        For a rule that does not return a pair of outputs and tangents of equal structures, shapes and dtypes.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> @fg.custom_jvp
    ... def log1pexp(x):
    ...     return np.log(1 + np.exp(x))
    >>> @log1pexp.defjvp
    ... def log1pexp_jvp(primals, tangents):
    ...     (x,), (t,) = primals, tangents
    ...     return log1pexp(x), (1 - 1 / (1 + np.exp(x))) * t
    >>> fg.grad(log1pexp)(100.0)
    Array(1.)
    """

    kind = "custom_jvp"

    @boundary
    def __init__(
        self, fun: Callable[P, R], nondiff_argnums: Sequence[int] = (), nondiff_argnames: Sequence[str] = ()
    ) -> None:
        super().__init__(fun, nondiff_argnums, nondiff_argnames)
        self.jvp: Callable[..., Any] | None = None
        self.symbolic_zeros = False

    def defjvp(self, jvp: Rule, symbolic_zeros: bool = False) -> Rule:
        """Give the rule; it may be a decorator.

        Parameters
        ----------
        jvp
            ``jvp(*nondiff_args, primals, tangents) -> (output, output tangent)``: `primals` and `tangents` are tuples,
            an entry for each differentiable argument; a tangent has the structure, shapes and dtypes of what it belongs
            to.
        symbolic_zeros
            Whether tangents that are zero come as `SymbolicZero`, which may be returned too; else they are arrays of
            zeros.

        Returns
        -------
        Callable
            `jvp` itself.
        """
        self.jvp, self.symbolic_zeros = jvp, symbolic_zeros
        return jvp

    def defjvps(self, *jvps: Callable[..., Any] | None) -> None:
        """Give a rule for each argument; what they return is added up.

        Parameters
        ----------
        *jvps
            ``jvps[k](tangent, output, *primals) -> output tangent``, where `tangent` is that of argument `k`; None for
            an argument that the output does not depend on differentiably.

        Raises
        ------
        TypeError
            The function has `nondiff_argnums`.

        Examples
        --------
        >>> import funcgrad as fg
        >>> f = fg.custom_jvp(lambda x, y: x * y)
        >>> f.defjvps(lambda t, out, x, y: t * y, None)
        >>> fg.grad(f, (0, 1))(2.0, 3.0)
        (Array(3.), Array(0.))
        """
        if self.nondiff_argnums:
            raise TypeError(f"Can't use defjvps with nondiff_argnums: use defjvp{at_line()}")

        call: Callable[..., Any] = self

        def jvp(primals: Any, tangents: Any) -> Any:
            output = call(*primals)
            terms = [rule(t, output, *primals) for rule, t in zip(jvps, tangents, strict=True) if rule is not None]
            zero = tree.map(lambda x: np.zeros(np.shape(x), type_of(x).dtype), output)
            return output, tree.map(lambda *xs: sum(xs[1:], xs[0]), *terms) if terms else zero

        self.defjvp(jvp)

    @boundary
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The function's value."""
        call = self._split(args, kwargs)
        return self._apply(custom_jvp_call, call, lambda returned: _Jvp(self, call, returned))  # type: ignore[no-any-return]


class _Jvp:
    """The user's JVP rule, of flat values."""

    def __init__(self, owner: custom_jvp[..., Any], call: Split, returned: Returned) -> None:
        self.owner, self.fixed, self.structure, self.returned = owner, call.fixed, call.structure, returned

    def __repr__(self) -> str:
        return self.owner.name

    def after(self, count: int) -> JvpAfter:
        """The rule behind values that the function closes over."""
        return JvpAfter(self, count)

    def __call__(self, inputs: Values, tangents: Values) -> tuple[Values, Values]:
        owner = self.owner
        if owner.jvp is None:
            raise AttributeError(f"No JVP defined for custom_jvp function {owner.name} using defjvp.{at_line()}")
        moved = [self._tangent(t, type_of(x)) for x, t in zip(inputs, tangents, strict=True)]
        pair = owner.jvp(*self.fixed, tree.unflatten(self.structure, inputs), tree.unflatten(self.structure, moved))
        rule = f"Custom JVP rule {getattr(owner.jvp, '__name__', owner.jvp)}"
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise TypeError(
                f"{rule} for function {owner.name} must produce a pair (list or tuple of length two) of outputs and "
                f"output tangents, but got {pair!r}{at_line()}"
            )
        outputs = self.returned.equal(pair[0], rule)
        found, structure = tree.flatten(pair[1])
        if structure != self.returned.structure:
            raise TypeError(
                f"{rule} for function {owner.name} must produce outputs and tangents of one structure, but got "
                f"{self.returned.structure} and {structure}{at_line()}"
            )
        paths = structure.paths()
        checked = [self._checked(rule, path, t, type_of(x)) for path, t, x in zip(paths, found, outputs, strict=True)]
        return tuple(outputs), tuple(checked)

    def _tangent(self, t: Any, kind: ArrayType) -> Any:
        if t is None and self.owner.symbolic_zeros:
            return SymbolicZero(kind.shape, kind.dtype)
        return np.zeros(kind.shape, kind.dtype)[()] if t is None else t

    def _checked(self, rule: str, path: tuple[Any, ...], t: Any, kind: ArrayType) -> Any:
        """A tangent of the output's type; None for zero."""
        if isinstance(t, SymbolicZero) or not is_inexact(kind.dtype):
            return None
        return checked_type(rule, self.owner.name, "output tangent", path, t, kind, TypeError)
