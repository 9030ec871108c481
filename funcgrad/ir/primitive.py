"""What is a primitive?  A name and everything that is known about the operation: its rule slots, and the registry.

`ops` fills the slots by family from one declaration per primitive; nothing else in funcgrad knows primitives by name,
except tables of identities in `simplify` and the library matches in `lower`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from funcgrad.ir.types import ArrayType

Values = tuple[Any, ...]  # arrays, or tracers of whatever frame a rule runs under
Pullback = Callable[[Values], Values]

registry: dict[str, Primitive] = {}


def _lookup(name: str) -> Primitive:
    return registry[name]


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
    scalar
        For elementwise primitives: how to compute one element, see `lower.scalar`.
    multiple
        Whether there is more than one output.
    effect
        Whether an equation must be kept although nothing reads its outputs.
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
    scalar: Any = None
    multiple: bool = False
    effect: bool = False
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
        """The types of the outputs, always a tuple."""
        inferred = self.infer(*types, **params)
        return inferred if self.multiple else (inferred,)

    def compute(self, inputs: Values, params: dict[str, Any]) -> Values:
        """The outputs for known arrays, always a tuple."""
        outputs = (self.evaluate or self.reference)(*inputs, **params)
        return outputs if self.multiple else (outputs,)
