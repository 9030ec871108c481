"""How does a user give a function rules of its own?  `custom_jvp`, `custom_vjp`, `custom_gradient`, `custom_vmap`."""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad import tree
from funcgrad.array import as_array
from funcgrad.control.custom import (
    CLOSED_OVER,
    JvpAfter,
    Saved,
    VjpAfter,
    VmapAfter,
    custom_jvp_call,
    custom_vjp_call,
    custom_vmap_call,
)
from funcgrad.control.live import apply
from funcgrad.dtypes import is_inexact
from funcgrad.errors import UnexpectedTracerError, at_line
from funcgrad.ir.primitive import Primitive, Values
from funcgrad.ir.types import ArrayType
from funcgrad.trace.builder import evaluate, trace
from funcgrad.trace.frame import bind, type_of
from funcgrad.trace.tracer import Tracer
from funcgrad.transform.jvp import Forward, level_of
from funcgrad.transform.vjp import Tape


class SymbolicZero:
    """A tangent or cotangent that is zero, in rules with ``symbolic_zeros=True``; it has a shape and a dtype."""

    __slots__ = ("dtype", "shape")

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self.shape, self.dtype = shape, dtype

    def __repr__(self) -> str:
        return f"SymbolicZero(shape={self.shape}, dtype={self.dtype.name})"


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


class Split(NamedTuple):
    """A call's arguments: what rules see as values, the rest, and a function of the values."""

    leaves: list[Any]
    structure: tree.TreeDef
    fixed: tuple[Any, ...]
    function: Callable[..., Any]


class WithRules:
    """A function with rules of its own; the base of `custom_jvp`, `custom_vjp` and `custom_vmap`."""

    kind = ""

    def __init__(self, fun: Callable[..., Any], nondiff_argnums: Sequence[int], nondiff_argnames: Sequence[str]) -> None:
        if not callable(fun):
            raise TypeError(f"{self.kind} takes a function, not {fun!r} of type {type(fun).__name__}{at_line()}")
        functools.update_wrapper(self, fun)
        self.fun = fun
        try:
            self._signature: inspect.Signature | None = inspect.signature(fun)
        except (TypeError, ValueError):
            self._signature = None
        names = list(self._signature.parameters) if self._signature else []
        numbers = (nondiff_argnums,) if isinstance(nondiff_argnums, int) else tuple(nondiff_argnums)
        named = (nondiff_argnames,) if isinstance(nondiff_argnames, str) else tuple(nondiff_argnames)
        unknown = [name for name in named if name not in names]
        if unknown:
            raise ValueError(
                f"{self.kind}: nondiff_argnames has {unknown[0]!r}, but the arguments of {self.name} are "
                f"{names}{at_line()}"
            )
        self.nondiff_argnums = tuple(sorted({*map(operator.index, numbers), *map(names.index, named)}))

    @property
    def name(self) -> str:
        """The function's name."""
        return getattr(self.fun, "__name__", repr(self.fun))

    def __repr__(self) -> str:
        return f"<{self.kind} of {self.name}>"

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def _positional(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """All arguments by position, defaults included."""
        if self._signature is None:
            if kwargs:
                raise TypeError(f"{self.name} has no signature: pass its arguments by position{at_line()}")
            return args
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self.name}: {error}{at_line()}") from None
        bound.apply_defaults()
        if bound.kwargs:
            raise TypeError(
                f"The following keyword arguments could not be resolved to positions: {', '.join(bound.kwargs)}. "
                f"Rules of {self.name} take arguments by position.{at_line()}"
            )
        return bound.args

    def _split(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Split:
        args = self._positional(args, kwargs)
        count = len(args)
        for k in self.nondiff_argnums:
            if not -count <= k < count:
                raise ValueError(f"{self.kind}: nondiff_argnums={self.nondiff_argnums} does not fit {count} arguments{at_line()}")
        fixed = {k % count for k in self.nondiff_argnums} if count else set()
        values = tuple(x for k, x in enumerate(args) if k not in fixed)
        leaves, structure = tree.flatten(values)
        for path, leaf in zip(structure.paths(), leaves, strict=True):
            try:
                type_of(leaf)
            except TypeError as error:
                raise TypeError(
                    f"{self.name}: argument {[k for k in range(count) if k not in fixed][path[0]]}"
                    f"{tree.key_string(path[1:])}: {error}. Name arguments that are no arrays in "
                    f"nondiff_argnums.{at_line()}"
                ) from None

        def function(*given: Any) -> Any:
            rest = iter(given)
            return self.fun(*(args[k] if k in fixed else next(rest) for k in range(count)))

        return Split(leaves, structure, tuple(args[k] for k in sorted(fixed)), function)

    def _apply(self, primitive: Primitive, call: Split, make_rule: Callable[[Returned], Any]) -> Any:
        """Apply the function; differentiation by what it closes over is refused."""
        returned = Returned(self.name)

        def flat(*values: Any) -> list[Any]:
            return returned.leaves(call.function(*tree.unflatten(call.structure, values)), self.kind)

        with np.errstate(all="ignore"):
            outputs = apply(primitive, flat, call.leaves, make_rule(returned))
        level = level_of(call.leaves)
        for x in outputs:
            if type(x) is Tracer and x.frame.level > level and isinstance(x.frame, (Tape, Forward)):
                raise UnexpectedTracerError(CLOSED_OVER.format(self.kind, at_line()))
        assert returned.structure is not None
        return tree.unflatten(returned.structure, [x if type(x) is Tracer else as_array(np.array(x)) for x in outputs])


class Returned:
    """What a function with rules returns: the structure, which its rules must return too."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.structure: tree.TreeDef | None = None

    def leaves(self, output: Any, what: str) -> list[Any]:
        """The leaves of an output; the first one says what structure is right."""
        leaves, structure = tree.flatten(output)
        for path, leaf in zip(structure.paths(), leaves, strict=True):
            try:
                type_of(leaf)
            except TypeError as error:
                where = f" at {tree.key_string(path)}" if path else ""
                raise TypeError(f"{what} {self.name} must return arrays and numbers, but{where}: {error}{at_line()}") from None
        if self.structure is not None and structure != self.structure:
            raise TypeError(
                f"{what} for function {self.name} must produce the function's own output structure {self.structure}, but "
                f"it gave {structure}{at_line()}"
            )
        self.structure = structure
        return leaves


# custom_jvp ----------------------------------------------------------------------------------------------------------


class custom_jvp(WithRules):
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

    def __init__(
        self, fun: Callable[..., Any], nondiff_argnums: Sequence[int] = (), nondiff_argnames: Sequence[str] = ()
    ) -> None:
        super().__init__(fun, nondiff_argnums, nondiff_argnames)
        self.jvp: Callable[..., Any] | None = None
        self.symbolic_zeros = False

    def defjvp(self, jvp: Callable[..., Any], symbolic_zeros: bool = False) -> Callable[..., Any]:
        """Give the rule ``jvp(*nondiff_args, primals, tangents) -> (output, output tangent)``; it may be a decorator.

        With `symbolic_zeros`, tangents that are zero come as `SymbolicZero`, and may be returned as such.
        """
        self.jvp, self.symbolic_zeros = jvp, symbolic_zeros
        return jvp

    def defjvps(self, *jvps: Callable[..., Any] | None) -> None:
        """Give a rule for each argument: ``jvps[k](tangent, output, *primals)``, None for zero; they are added up.

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

        def jvp(primals: Any, tangents: Any) -> Any:
            output = self(*primals)
            terms = [rule(t, output, *primals) for rule, t in zip(jvps, tangents, strict=True) if rule is not None]
            zero = tree.map(lambda x: np.zeros(np.shape(x), type_of(x).dtype), output)
            return output, tree.map(lambda *xs: sum(xs[1:], xs[0]), *terms) if terms else zero

        self.defjvp(jvp)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The function's value."""
        call = self._split(args, kwargs)
        return self._apply(custom_jvp_call, call, lambda returned: _Jvp(self, call, returned))


class _Jvp:
    """The user's JVP rule, of flat values."""

    def __init__(self, owner: custom_jvp, call: Split, returned: Returned) -> None:
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
        outputs = self.returned.leaves(pair[0], rule)
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


def checked_type(
    rule: str, name: str, what: str, path: tuple[Any, ...], x: Any, kind: ArrayType, error: type[Exception]
) -> Any:
    """`x` if it has the type that is due, Python numbers converted; else an error that says where it stands."""
    try:
        have = type_of(x)
    except TypeError as reason:
        raise error(f"{rule} for function {name}: the {what}{_at(path)}: {reason}{at_line()}") from None
    if have.shape != kind.shape or (have.dtype != kind.dtype and not (have.weak or kind.weak)):
        strong = ArrayType(kind.shape, kind.dtype)
        raise error(
            f"{rule} for function {name} must produce a value of type {strong} as the {what}{_at(path)}, but it has type "
            f"{have}{at_line()}"
        )
    if have.dtype == kind.dtype and not have.weak:
        return x
    return x.astype(kind.dtype) if type(x) is Tracer else np.asarray(x, kind.dtype)[()]


def _at(path: tuple[Any, ...]) -> str:
    return f" at {tree.key_string(path)}" if path else ""


# custom_vjp ----------------------------------------------------------------------------------------------------------


class custom_vjp(WithRules):
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

    def __init__(
        self, fun: Callable[..., Any], nondiff_argnums: Sequence[int] = (), nondiff_argnames: Sequence[str] = ()
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
        """Give the rules ``fwd(*args) -> (output, residuals)``, ``bwd(*nondiff_args, residuals, ct) -> cotangents``.

        `bwd` returns a tuple with a cotangent per argument; None stands for zero. With `symbolic_zeros`, `fwd` gets
        `CustomVJPPrimal` leaves and `bwd` `SymbolicZero` for cotangents that are zero. `optimize_remat` changes nothing:
        nothing but residuals is ever computed twice.
        """
        for which, rule in (("fwd", fwd), ("bwd", bwd)):
            if not callable(rule):
                raise TypeError(f"defvjp takes two functions, but {which} is {rule!r}{at_line()}")
        self.fwd, self.bwd, self.symbolic_zeros = fwd, bwd, symbolic_zeros

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
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
        return self._apply(custom_vjp_call, call, lambda returned: _Vjp(self, call, full, returned))


class _Vjp:
    """The user's VJP rules, of flat values."""

    def __init__(self, owner: custom_vjp, call: Split, full: tuple[Any, ...], returned: Returned) -> None:
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
        outputs = self.returned.leaves(pair[0], rule)
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
        found = owner.bwd(*self.fixed, tree.unflatten(structure, residuals), tree.unflatten(self.returned.structure, cts))
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


def custom_gradient(fun: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: a function that returns its value together with its pullback.

    Parameters
    ----------
    fun
        Returns ``(output, vjp)``; ``vjp(cotangent)`` gives a tuple of cotangents, one per argument (or the only one).

    Examples
    --------
    >>> import funcgrad as fg
    >>> @fg.custom_gradient
    ... def square(x):
    ...     return x**2, lambda ct: (ct * 3 * x,)
    >>> square(2.0), fg.grad(square)(2.0)
    (Array(4.), Array(6.))
    """

    @functools.wraps(fun)
    def value(*args: Any) -> Any:
        return fun(*args)[0]

    wrapped = custom_vjp(value)

    def fwd(*args: Any) -> Any:
        output, rule = fun(*args)
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


# custom_vmap ---------------------------------------------------------------------------------------------------------


class custom_vmap(WithRules):
    """Decorator: a function with a batching rule of its own.

    Forward mode pushes tangents through the rule; reverse mode differentiates the function itself.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> @fg.custom_batching.custom_vmap
    ... def f(x):
    ...     return x + 1
    >>> @f.def_vmap
    ... def f_vmap(axis_size, in_batched, x):
    ...     return x + 100, in_batched[0]
    >>> fg.vmap(f)(np.zeros(2))
    Array([100., 100.])
    """

    kind = "custom_vmap"

    def __init__(self, fun: Callable[..., Any]) -> None:
        super().__init__(fun, (), ())
        self.vmap_rule: Callable[..., Any] | None = None

    def def_vmap(self, vmap_rule: Callable[..., Any]) -> Callable[..., Any]:
        """Give the rule ``vmap_rule(axis_size, in_batched, *args) -> (output, out_batched)``, batch axes in front."""
        self.vmap_rule = vmap_rule
        return vmap_rule

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The function's value."""
        call = self._split(args, kwargs)
        return self._apply(custom_vmap_call, call, lambda returned: _Vmap(self, call, returned))


class _Vmap:
    """The user's batching rule, of flat values."""

    def __init__(self, owner: custom_vmap, call: Split, returned: Returned) -> None:
        self.owner, self.structure, self.returned = owner, call.structure, returned

    def __repr__(self) -> str:
        return self.owner.name

    def after(self, count: int) -> VmapAfter:
        """The rule behind values that the function closes over."""
        return VmapAfter(self, count)

    def __call__(self, size: int, batched: Sequence[bool], inputs: Values) -> tuple[Values, Sequence[bool]]:
        owner = self.owner
        if owner.vmap_rule is None:
            raise AttributeError(f"No batching rule defined for custom_vmap function {owner.name} using def_vmap.{at_line()}")
        flags = list(tree.unflatten(self.structure, [bool(b) for b in batched]))
        pair = owner.vmap_rule(size, flags, *tree.unflatten(self.structure, inputs))
        rule = f"custom_vmap rule {getattr(owner.vmap_rule, '__name__', owner.vmap_rule)}"
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise TypeError(
                f"{rule} for function {owner.name} must produce a pair of the output and which parts of it are batched, "
                f"but got {pair!r}{at_line()}"
            )
        outputs = self.returned.leaves(pair[0], rule)
        spread, structure = tree.flatten(pair[1])
        if structure != self.returned.structure or any(type(b) is not bool for b in spread):
            raise ValueError(
                f"{rule} for function {owner.name}: out_batched must be bools in the structure of the output, "
                f"{self.returned.structure}, not {pair[1]!r}{at_line()}"
            )
        for path, x, b in zip(structure.paths(), outputs, spread, strict=True):
            shape = type_of(x).shape
            if b and shape[:1] != (size,):
                raise ValueError(
                    f"{rule} for function {owner.name}: the output{_at(path)} of shape {shape} has no batch axis of size "
                    f"{size} in front{at_line()}"
                )
        return tuple(outputs), spread
