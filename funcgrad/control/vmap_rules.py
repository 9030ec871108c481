"""How does a user give a function a batching rule?  `custom_vmap`."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from funcgrad import tree
from funcgrad.control.custom import (
    VmapAfter,
    custom_vmap_call,
)
from funcgrad.control.rules import Returned, Split, WithRules, at_path, checked_type
from funcgrad.errors import NonConcreteBooleanIndexError, TracerError, at_line
from funcgrad.ir.primitive import Values
from funcgrad.ir.types import ArrayType
from funcgrad.trace.builder import trace
from funcgrad.trace.frame import type_of
from funcgrad.tracebacks import boundary


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

    @boundary
    def __init__(self, fun: Callable[..., Any]) -> None:
        super().__init__(fun, (), ())
        self.vmap_rule: Callable[..., Any] | None = None

    def def_vmap(self, vmap_rule: Callable[..., Any]) -> Callable[..., Any]:
        """Give the rule; it may be a decorator.

        Parameters
        ----------
        vmap_rule
            ``vmap_rule(axis_size, in_batched, *args) -> (output, out_batched)``: `in_batched` has a bool for each leaf
            of the arguments, in their structure, `out_batched` one for each leaf of the output; batch axes are in
            front.

        Returns
        -------
        Callable
            `vmap_rule` itself.
        """
        self.vmap_rule = vmap_rule
        return vmap_rule

    @boundary
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The function's value."""
        call = self._split(args, kwargs)
        return self._apply(custom_vmap_call, call, lambda returned: _Vmap(self, call, returned))


class _Vmap:
    """The user's batching rule, of flat values."""

    def __init__(self, owner: custom_vmap, call: Split, returned: Returned) -> None:
        self.owner, self.call, self.returned = owner, call, returned

    def __repr__(self) -> str:
        return self.owner.name

    def after(self, count: int) -> VmapAfter:
        """The rule behind values that the function closes over."""
        return VmapAfter(self, count)

    def __call__(self, size: int, batched: Sequence[bool], inputs: Values) -> tuple[Values, Sequence[bool]]:
        owner = self.owner
        if owner.vmap_rule is None:
            raise AttributeError(
                f"No batching rule defined for custom_vmap function {owner.name} using def_vmap.{at_line()}"
            )
        structure = self.call.structure
        flags = list(tree.unflatten(structure, [bool(b) for b in batched]))
        pair = owner.vmap_rule(size, flags, *tree.unflatten(structure, inputs))
        rule = f"custom_vmap rule {getattr(owner.vmap_rule, '__name__', owner.vmap_rule)}"
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise TypeError(
                f"{rule} for function {owner.name} must produce a pair of the output and which parts of it are "
                f"batched, but got {pair!r}{at_line()}"
            )
        if self.returned.types is None:
            self._run_example(batched, inputs)
        outputs = self.returned.leaves(pair[0], rule, ValueError)
        spread, structure = tree.flatten(pair[1])
        if structure != self.returned.structure or any(type(b) is not bool for b in spread):
            raise ValueError(
                f"{rule} for function {owner.name}: out_batched must be bools in the structure of the output, "
                f"{self.returned.structure}, not {pair[1]!r}{at_line()}"
            )
        paths = structure.paths()
        return tuple(map(functools.partial(self._checked, rule, size), paths, outputs, spread, self._wanted())), spread

    def _run_example(self, batched: Sequence[bool], inputs: Values) -> None:
        """Note what the function returns for one example, where that can be told without its values."""

        def example(*values: Any) -> list[Any]:
            given = iter(values)
            leaves = [next(given) if b else x for x, b in zip(inputs, batched, strict=True)]
            output = self.call.function(*tree.unflatten(self.call.structure, leaves))
            return self.returned.own(output, self.owner.kind)

        types = [type_of(x) for x, b in zip(inputs, batched, strict=True) if b]
        try:
            trace(example, [ArrayType(t.shape[1:], t.dtype, t.weak) for t in types])
        except (TracerError, NonConcreteBooleanIndexError):
            return  # only the rule can do without them

    def _wanted(self) -> Iterable[ArrayType | None]:
        """The types of the function's outputs for one example; None where they are not known."""
        return itertools.repeat(None) if self.returned.types is None else self.returned.types

    def _checked(self, rule: str, size: int, path: Any, x: Any, batched: bool, one: ArrayType | None) -> Any:
        """An output, if it is the function's, with a batch axis in front where the rule says so; else `ValueError`."""
        shape = type_of(x).shape
        if batched and shape[:1] != (size,):
            raise ValueError(
                f"{rule} for function {self.owner.name}: the output{at_path(path)} of shape {shape} has no batch axis "
                f"of size {size} in front{at_line()}"
            )
        if one is None:
            return x
        what = "batched output" if batched else "output that is not batched"
        kind = ArrayType((size, *one.shape) if batched else one.shape, one.dtype, one.weak)
        return checked_type(rule, self.owner.name, what, path, x, kind, ValueError)
