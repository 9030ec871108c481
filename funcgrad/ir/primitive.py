"""What is a primitive?  A name and everything that is known about the operation: its rule slots, and the registry.

`ops` fills the slots by family from one declaration per primitive; nothing else in funcgrad knows primitives by name,
except tables of identities in `simplify` and the library matches in `lower`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from funcgrad.dtypes import BFLOAT16
from funcgrad.ir.types import ArrayType, type_of_value

Values = tuple[Any, ...]  # arrays, or tracers of whatever frame a rule runs under
Pullback = Callable[[Values], Values]

registry: dict[str, Primitive] = {}


def _lookup(name: str) -> Primitive:
    return registry[name]


OF_USERS = frozenset(("structured", "custom", "callback"))  # programs and functions, which take bfloat16 as it is


@dataclass(eq=False, slots=True, kw_only=True)
class Primitive:
    """An operation of the IR.

    Attributes
    ----------
    name
        As in listings; JAX's name where JAX has the operation.
    family
        ``"elementwise"``, ``"linear"``, ``"bilinear"``, ``"reduction"``, ``"nondifferentiable"`` or ``"structured"``.
    reference
        ``reference(*arrays, **params) -> array`` (a tuple of arrays when `multiple`): the meaning, in NumPy.
    infer
        ``infer(*types, **params) -> type`` (a tuple when `multiple`): checks and types.
    jvp
        ``jvp(inputs, tangents, params) -> (outputs, output tangents)``; an absent tangent (zero) is None.
    vjp
        ``vjp(inputs, wanted, params) -> (outputs, pullback)``; ``pullback(cotangents)`` gives one cotangent per
        input, None for zero and for those not `wanted`.  None in this slot: the outputs do not depend smoothly on the
        inputs.
    batch
        ``batch(size, inputs, batched, params) -> (outputs, batched)`` with every batch axis at 0.
    partials
        For elementwise primitives, which `vjp` and `jvp` follow from: for each operand
        ``(t, out, *operands, **params) -> t * d out / d operand``, None where that is zero.
    scalar
        For elementwise primitives: how to compute one element, see `lower.scalar`.
    multiple
        Whether there is more than one output.
    effect
        For checks, which are kept although nothing reads their outputs: ``effect(**params) -> exception`` is what a
        failure raises.
    into
        ``into(outputs, inputs, params)``: as the reference, but writes into given arrays (in C order): programs that
        call it whole need no copy of a large result then.
    impure
        Whether it does something besides computing its outputs, so that its equations are neither dropped nor merged.
    evaluate
        Replaces `reference` for calls on known arrays (structured primitives run compiled).
    expand
        ``expand(types, params) -> function | None``: how kernels compute the operation where that is better than
        running it as a whole: a function of the operands that returns the outputs (a tuple), made of other primitives.
    """

    name: str
    family: str
    reference: Callable[..., Any]
    infer: Callable[..., Any]
    jvp: Callable[..., tuple[Values, Values]] | None = None
    vjp: Callable[..., tuple[Values, Pullback]] | None = None
    batch: Callable[..., tuple[Values, tuple[bool, ...]]] | None = None
    partials: tuple[Callable[..., Any] | None, ...] | None = None
    scalar: Any = None
    multiple: bool = False
    effect: Callable[..., Exception] | None = None
    into: Callable[[Values, Values, dict[str, Any]], None] | None = None
    impure: bool = False
    evaluate: Callable[..., Any] | None = None
    expand: Callable[..., Callable[..., Values] | None] | None = None
    operands: int | None = field(default=None)

    def __post_init__(self) -> None:
        if self.name in registry:
            raise ValueError(f"a primitive named {self.name!r} is registered already")
        if self.family != "nondifferentiable" and (self.jvp is None or self.vjp is None):
            raise ValueError(f"primitive {self.name!r} is not declared nondifferentiable, but has no derivative")
        registry[self.name] = self

    def __repr__(self) -> str:
        return self.name

    def __reduce__(self) -> tuple[Any, ...]:
        return (_lookup, (self.name,))

    def output_types(self, types: tuple[ArrayType, ...], params: dict[str, Any]) -> tuple[ArrayType, ...]:
        """The types of the outputs.

        Parameters
        ----------
        types
            Of the operands.
        params
            The equation's parameters.

        Returns
        -------
        tuple of ArrayType
            Also where there is one output.

        Raises
        ------
        TypeError, ValueError
            The operands do not fit: whatever the primitive's own rule raises.

        Examples
        --------
        >>> from funcgrad.ir.primitive import registry
        >>> from funcgrad.ir.types import type_of_value
        >>> print(*registry["neg"].output_types((type_of_value(np.zeros(2)),), {}))
        f64[2]
        """
        inferred = self.infer(*types, **params)
        return inferred if self.multiple else (inferred,)

    def refer(self, inputs: Values, params: dict[str, Any]) -> Values:
        """The outputs by the reference; bfloat16 is computed in float32 and rounded.

        Parameters
        ----------
        inputs
            Arrays.
        params
            The equation's parameters.

        Returns
        -------
        tuple
            The outputs, also where there is one.

        Examples
        --------
        >>> from funcgrad.ir.primitive import registry
        >>> registry["neg"].refer((np.ones(2),), {})
        (array([-1., -1.]),)
        """
        for x in inputs:
            if getattr(x, "dtype", None) is BFLOAT16 and not (self.family in OF_USERS or "new_dtype" in params):
                return self._refer_in_single(inputs, params)
        outputs = self.reference(*inputs, **params)
        return outputs if self.multiple else (outputs,)

    def _refer_in_single(self, inputs: Values, params: dict[str, Any]) -> Values:
        types = self.output_types(tuple(map(type_of_value, inputs)), params)
        wide = (np.asarray(x, np.float32) if getattr(x, "dtype", None) is BFLOAT16 else x for x in inputs)
        outputs = self.reference(*wide, **in_single(params))
        pairs = zip(outputs if self.multiple else (outputs,), types, strict=True)
        return tuple(x if x.dtype == t.dtype else x.astype(t.dtype) for x, t in pairs)

    def compute(self, inputs: Values, params: dict[str, Any]) -> Values:
        """The outputs for known arrays: by `evaluate` where there is one, else by the reference.

        Parameters
        ----------
        inputs
            Arrays.
        params
            The equation's parameters.

        Returns
        -------
        tuple
            The outputs, also where there is one.

        Examples
        --------
        >>> from funcgrad.ir.primitive import registry
        >>> registry["neg"].compute((np.ones(2),), {})
        (array([-1., -1.]),)
        """
        if self.evaluate is None:
            return self.refer(inputs, params)
        outputs = self.evaluate(*inputs, **params)
        return outputs if self.multiple else (outputs,)


def in_single(params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters with float32 for bfloat16."""
    return {name: np.dtype(np.float32) if value is BFLOAT16 else value for name, value in params.items()}
