"""How does a user give a function a reverse derivative?  `custom_vjp`, `custom_gradient`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, ParamSpec, TypeVar

import numpy as np

from funcgrad import tree
from funcgrad.control.custom import (
    Saved,
    VjpAfter,
    custom_vjp_call,
)
from funcgrad.control.rules import Returned, Split, SymbolicZero, WithRules, checked_type
from funcgrad.dtypes import is_inexact
from funcgrad.errors import UnexpectedTracerError, at_line
from funcgrad.ir.primitive import Values
from funcgrad.ir.types import ArrayType
from funcgrad.trace.builder import evaluate, trace
from funcgrad.trace.frame import bind, type_of
from funcgrad.trace.tracer import Tracer
from funcgrad.tracebacks import boundary


class CustomVJPPrimal(NamedTuple):
    """An argument of a forward rule with ``symbolic_zeros=True``.

    Attributes
    ----------
    value
        The argument.
    perturbed
        Whether its cotangent is wanted.
    """

    value: Any
    perturbed: bool


P = ParamSpec("P")
R = TypeVar("R")


class custom_vjp(WithRules, Generic[P, R]):
    """Decorator: a function with a reverse derivative rule of its own.

    Parameters
    ----------
    fun
        A function of arrays, or pytrees of them.
    nondiff_argnums, nondiff_argnames
        Which arguments are no differentiable values; the forward rule gets them in their places, the backward rule
        first.

    Raises
    ------
    AttributeError
        When it is differentiated and has no rules.
    TypeError, ValueError
        For rules that return something of another structure, shape or dtype than is due; for forward mode.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> @fg.custom_vjp
    ... def clip_gradient(x):
    ...     return x
    >>> clip_gradient.defvjp(lambda x: (x, None), lambda residuals, ct: (np.clip(ct, -1, 1),))
    >>> fg.grad(lambda x: 100 * clip_gradient(x))(2.0)
    Array(1.)
    """

    kind = "custom_vjp"

    @boundary
    def __init__(
        self, fun: Callable[P, R], nondiff_argnums: Sequence[int] = (), nondiff_argnames: Sequence[str] = ()
    ) -> None:
        super().__init__(fun, nondiff_argnums, nondiff_argnames)
        self.fwd: Callable[..., Any] | None = None
        self.bwd: Callable[..., Any] | None = None
        self.symbolic_zeros = False

    def defvjp(
        self,
        fwd: Callable[..., Any],
        bwd: Callable[..., Any],
        symbolic_zeros: bool = False,
        optimize_remat: bool = False,
    ) -> None:
        """Give the rules of the forward and the backward pass.

        Parameters
        ----------
        fwd
            ``fwd(*args) -> (output, residuals)``: the output like the function's own, the residuals any pytree of
            arrays.
        bwd
            ``bwd(*nondiff_args, residuals, ct) -> cotangents``: a tuple with a cotangent for each differentiable
            argument, of its structure, shapes and dtypes; None stands for zero, in the place of any part.
        symbolic_zeros
            Whether `fwd` gets `CustomVJPPrimal` leaves, and `bwd` `SymbolicZero` for cotangents that are zero.
        optimize_remat
            Changes nothing: nothing but residuals is ever computed twice.

        Raises
        ------
        TypeError
            One of them is no function.
        """
        for which, rule in (("fwd", fwd), ("bwd", bwd)):
            if not callable(rule):
                raise TypeError(f"defvjp takes two functions, but {which} is {rule!r}{at_line()}")
        self.fwd, self.bwd, self.symbolic_zeros = fwd, bwd, symbolic_zeros

    @boundary
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The function's value."""
        call = self._split(args, kwargs)
        for x in tree.leaves(call.fixed, is_leaf=lambda x: not isinstance(x, (tuple, list, dict))):
            if type(x) is Tracer:
                raise UnexpectedTracerError(
                    f"Found a traced value among the nondiff_argnums of custom_vjp function {self.name}: they are for "
                    "Python values. Make it a differentiable argument, whose cotangent may be None in "
                    f"bwd.{at_line()}"
                )
        full = self._positional(args, kwargs)
        return self._apply(custom_vjp_call, call, lambda returned: _Vjp(self, call, full, returned))  # type: ignore[no-any-return]


class _Vjp:
    """The user's VJP rules, of flat values."""

    def __init__(self, owner: custom_vjp[..., Any], call: Split, full: tuple[Any, ...], returned: Returned) -> None:
        self.owner, self.fixed, self.structure, self.returned = owner, call.fixed, call.structure, returned
        numbers = {k % len(full) for k in owner.nondiff_argnums} if full else set()
        self.places = [full[k] if k in numbers else _Value for k in range(len(full))]

    def __repr__(self) -> str:
        return self.owner.name

    def after(self, count: int) -> VjpAfter:
        """The rules behind values that the function closes over."""
        return VjpAfter(self, count)

    def forward(self, inputs: Values, wanted: Sequence[bool]) -> Saved:
        """What `fwd` gives."""
        owner = self.owner
        if owner.fwd is None:
            raise AttributeError(f"No VJP defined for custom_vjp function {owner.name} using defvjp.{at_line()}")
        leaves: list[Any] = list(inputs)
        if owner.symbolic_zeros:
            leaves = [_Leaf(CustomVJPPrimal(x, w)) for x, w in zip(inputs, wanted, strict=True)]
        values = iter(tree.unflatten(self.structure, leaves))
        args = [next(values) if x is _Value else x for x in self.places]
        if owner.symbolic_zeros:
            args = [tree.map(lambda leaf: leaf.item if isinstance(leaf, _Leaf) else leaf, x) for x in args]
        pair = owner.fwd(*args)
        rule = f"Custom VJP fwd rule {getattr(owner.fwd, '__name__', owner.fwd)}"
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise TypeError(
                f"{rule} for function {owner.name} must produce a pair (list or tuple of length two) of output and "
                f"residuals, but got {pair!r}{at_line()}"
            )
        outputs = self.returned.equal(pair[0], rule)
        residuals, structure = tree.flatten(pair[1])
        try:
            for x in residuals:
                type_of(x)
        except TypeError as error:
            raise TypeError(f"{rule} for function {owner.name}: residuals must be arrays: {error}{at_line()}") from None
        kinds = [type_of(x) for x in inputs]
        return Saved(tuple(outputs), tuple(residuals), (structure, kinds, [type_of(x) for x in outputs]))

    def backward(self, residuals: Values, state: Any, cotangents: Values) -> Values:
        """What `bwd` gives, checked."""
        owner = self.owner
        structure, kinds, out_kinds = state
        cts = [self._cotangent(ct, t) for ct, t in zip(cotangents, out_kinds, strict=True)]
        assert self.returned.structure is not None
        assert owner.bwd is not None
        found = owner.bwd(
            *self.fixed, tree.unflatten(structure, residuals), tree.unflatten(self.returned.structure, cts)
        )
        rule = f"Custom VJP bwd rule {getattr(owner.bwd, '__name__', owner.bwd)}"
        example = tree.unflatten(self.structure, [_Place(k) for k in range(len(kinds))])
        if not isinstance(found, (tuple, list)) or len(found) != len(example):
            got = f"a tuple of {len(found)}" if isinstance(found, (tuple, list)) else repr(found)
            raise TypeError(
                f"{rule} for function {owner.name} must produce a tuple of length equal to the number of arguments, "
                f"{len(example)}, but got {got}{at_line()}"
            )
        results: list[Any] = [None] * len(kinds)
        for number, (ct, like) in enumerate(zip(found, example, strict=True)):
            for place, path, leaf in self._matched(rule, number, ct, like):
                if is_inexact(kinds[place].dtype) and not isinstance(leaf, SymbolicZero):
                    results[place] = checked_type(
                        rule, owner.name, "cotangent", (number, *path), leaf, kinds[place], ValueError
                    )
        return tuple(results)

    def _cotangent(self, ct: Any, kind: ArrayType) -> Any:
        if ct is not None:
            return ct
        if self.owner.symbolic_zeros:
            return SymbolicZero(kind.shape, kind.dtype)
        return np.zeros(kind.shape, kind.dtype)[()]

    def _matched(self, rule: str, number: int, ct: Any, like: Any) -> list[tuple[int, tuple[Any, ...], Any]]:
        """Leaves of an argument's cotangent with their places; None may stand for any part."""
        if ct is None:
            return []
        places, paths = tree.leaves(like, none_is_leaf=True), tree.paths(like)
        try:
            spread = tree.broadcast_prefix(ct, like, none_is_leaf=True)
            whole = sum(x is not None for x in spread) == len(tree.leaves(ct))
        except (ValueError, TypeError):
            whole = False
        if not whole:
            raise TypeError(
                f"{rule} for function {self.owner.name}: the cotangent of argument {number} has the structure "
                f"{tree.structure(ct)}, the argument {tree.structure(like)}{at_line()}"
            )
        kept = [(p.number, x) for p, x in zip(places, spread, strict=True) if p is not None]
        return [(k, path, x) for (k, x), path in zip(kept, paths, strict=True) if x is not None]


class _Value:
    """Marks an argument that is a value."""


class _Place:
    """Marks a leaf."""

    def __init__(self, number: int) -> None:
        self.number = number


class _Leaf:
    """A named tuple as one leaf."""

    def __init__(self, item: Any) -> None:
        self.item = item


class Static:
    """A node of pytrees without leaves: something that residuals carry and transformations leave alone."""

    def __init__(self, item: Any) -> None:
        self.item = item


tree.register_pytree_node(Static, lambda node: ((), node.item), lambda item, children: Static(item))


def custom_gradient(fun: Callable[P, tuple[R, Callable[..., Any]]]) -> Callable[P, R]:
    """Decorator: a function that returns its value together with its pullback.

    Parameters
    ----------
    fun
        Returns ``(output, vjp)``; ``vjp(cotangent)`` gives a tuple of cotangents, one per argument (or the only one).

    Returns
    -------
    callable
        A function with the parameters of `fun`, which returns the first of what that returns.

    Examples
    --------
    >>> import funcgrad as fg
    >>> @fg.custom_gradient
    ... def square(x):
    ...     return x**2, lambda ct: (ct * 3 * x,)
    >>> square(2.0), fg.grad(square)(2.0)
    (Array(4.), Array(6.))
    """

    called: Callable[..., Any] = fun

    def both(*args: Any) -> tuple[Any, Callable[[Any], Any]]:
        result = called(*args)
        if not isinstance(result, (tuple, list)) or len(result) != 2 or not callable(result[1]):
            raise TypeError(
                f"custom_gradient: {getattr(fun, '__name__', fun)!s} must return a pair (output, vjp), vjp a function "
                f"of a cotangent, but returned {result!r}{at_line()}"
            )
        output, rule = result
        return output, rule

    @functools.wraps(fun)
    def value(*args: Any) -> Any:
        return both(*args)[0]

    wrapped: custom_vjp[P, R] = custom_vjp(value)  # type: ignore[arg-type]

    def fwd(*args: Any) -> Any:
        output, rule = both(*args)
        leaves, structure = tree.flatten(output)
        found: list[tree.TreeDef] = []

        def flat(*cotangents: Any) -> list[Any]:
            cts, out_structure = tree.flatten(rule(tree.unflatten(structure, cotangents)))
            found.append(out_structure)
            return cts

        program, captures = trace(flat, [ArrayType(t.shape, t.dtype) for t in map(type_of, leaves)])
        return output, (list(captures), Static((program, found[0], len(args))))

    def bwd(residuals: Any, cotangent: Any) -> Any:
        captures, static = residuals
        program, structure, count = static.item
        cts = tree.unflatten(structure, evaluate(program, [*captures, *tree.leaves(cotangent)], bind))
        return (cts,) if count == 1 and not (isinstance(cts, (tuple, list)) and len(cts) == 1) else tuple(cts)

    wrapped.defvjp(fwd, bwd)
    return wrapped
