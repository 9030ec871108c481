"""What do `custom_jvp`, `custom_vjp` and `custom_vmap` share?  Arguments by position, checks of what rules return."""

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
)
from funcgrad.control.live import apply
from funcgrad.errors import UnexpectedTracerError, at_line
from funcgrad.ir.primitive import Primitive
from funcgrad.ir.types import ArrayType
from funcgrad.quiet import quiet
from funcgrad.trace.frame import type_of
from funcgrad.trace.outputs import checked_leaves
from funcgrad.trace.tracer import Tracer
from funcgrad.tracebacks import boundary
from funcgrad.transform.jvp import Forward, level_of
from funcgrad.transform.vjp import Tape


class SymbolicZero:
    """A tangent or cotangent that is zero, in rules with ``symbolic_zeros=True``; it has a shape and a dtype."""

    __slots__ = ("dtype", "shape")

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self.shape, self.dtype = shape, dtype

    def __repr__(self) -> str:
        return f"SymbolicZero(shape={self.shape}, dtype={self.dtype.name})"


class Split(NamedTuple):
    """A call's arguments: what rules see as values, the rest, and a function of the values."""

    leaves: list[Any]
    structure: tree.TreeDef
    fixed: tuple[Any, ...]
    function: Callable[..., Any]


class WithRules:
    """A function with rules of its own; the base of `custom_jvp`, `custom_vjp` and `custom_vmap`."""

    kind = ""

    @boundary
    def __init__(
        self, fun: Callable[..., Any], nondiff_argnums: Sequence[int], nondiff_argnames: Sequence[str]
    ) -> None:
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

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The function's value."""
        raise NotImplementedError

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
        named = bound.kwargs
        bound.apply_defaults()  # parameters that only have a name keep theirs
        if named:
            raise TypeError(
                f"The following keyword arguments could not be resolved to positions: {', '.join(named)}. "
                f"Rules of {self.name} take arguments by position.{at_line()}"
            )
        return bound.args

    def _split(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Split:
        args = self._positional(args, kwargs)
        count = len(args)
        for k in self.nondiff_argnums:
            if not -count <= k < count:
                raise ValueError(
                    f"{self.kind}: nondiff_argnums={self.nondiff_argnums} does not fit {count} arguments{at_line()}"
                )
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
            return returned.own(call.function(*tree.unflatten(call.structure, values)), self.kind)

        with quiet():
            outputs = apply(primitive, flat, call.leaves, make_rule(returned))
        level = level_of(call.leaves)
        for x in outputs:
            if type(x) is Tracer and x.frame.level > level and isinstance(x.frame, (Tape, Forward)):
                raise UnexpectedTracerError(CLOSED_OVER.format(self.kind, at_line()))
        assert returned.structure is not None
        return tree.unflatten(returned.structure, [x if type(x) is Tracer else as_array(np.array(x)) for x in outputs])


class Returned:
    """What a function with rules returns: the structure, which its rules must return too, and the types, if it ran."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.structure: tree.TreeDef | None = None
        self.types: list[ArrayType] | None = None

    def leaves(self, output: Any, what: str, error: type[Exception] = TypeError) -> list[Any]:
        """The leaves of an output; the first one says what structure is right."""
        leaves, structure = checked_leaves(f"{what} {self.name} must return arrays and numbers", output)
        if self.structure is not None and structure != self.structure:
            raise error(
                f"{what} for function {self.name} must produce the function's own output structure {self.structure}, "
                f"but it gave {structure}{at_line()}"
            )
        self.structure = structure
        return leaves

    def equal(self, output: Any, rule: str) -> list[Any]:
        """The leaves of an output that a derivative rule gave in the function's place."""
        leaves = self.leaves(output, rule)
        if self.types is None or self.structure is None:
            return leaves
        triples = zip(self.structure.paths(), leaves, self.types, strict=True)
        return [self._equal(rule, path, x, kind) for path, x, kind in triples]

    def _equal(self, rule: str, path: tuple[Any, ...], x: Any, kind: ArrayType) -> Any:
        have = type_of(x)
        if have.shape == kind.shape and have.dtype == kind.dtype:
            return x
        return checked_type(rule, self.name, "output", path, x, kind, TypeError)

    def own(self, output: Any, what: str) -> list[Any]:
        """The leaves of what the function itself returned."""
        leaves = self.leaves(output, what)
        self.types = [type_of(x) for x in leaves]
        return leaves


RANKS = {"b": 0, "u": 1, "i": 1, "f": 2, "V": 2, "c": 3}  # of dtypes' kinds, bfloat16 among the floats


def _rank(kind: ArrayType) -> int:
    """A Python number becomes what has at least its rank."""
    return RANKS[kind.dtype.kind]


def checked_type(
    rule: str, name: str, what: str, path: tuple[Any, ...], x: Any, kind: ArrayType, error: type[Exception]
) -> Any:
    """`x` if it has the type that is due, Python numbers converted; else an error that says where it stands."""
    try:
        have = type_of(x)
    except TypeError as reason:
        raise error(f"{rule} for function {name}: the {what}{at_path(path)}: {reason}{at_line()}") from None
    fits = have.dtype == kind.dtype or ((kind.weak or have.weak) and _rank(have) <= _rank(kind))
    if have.shape != kind.shape or not fits:
        strong = ArrayType(kind.shape, kind.dtype)
        raise error(
            f"{rule} for function {name} must produce a value of type {strong} as the {what}{at_path(path)}, but it "
            f"has type {have}{at_line()}"
        )
    if have.dtype == kind.dtype and not have.weak:
        return x
    return x.astype(kind.dtype) if type(x) is Tracer else np.asarray(x, kind.dtype)[()]


def at_path(path: tuple[Any, ...]) -> str:
    """Where a leaf stands, in messages."""
    return f" at {tree.key_string(path)}" if path else ""
