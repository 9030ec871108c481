"""How do a primitive's rules follow from its family?  One declaration in, typing, JVP, VJP and batching out.

Rules read like mathematics: they are ordinary functions of arrays, applied to whatever the transformation holds.

=================  =====================================================  ===========================================
family             declared                                               derived
=================  =====================================================  ===========================================
elementwise        ``partials``: for each operand ``(t, out, *operands)   JVP, VJP, batching, kernels
                   -> t * d out / d operand``
linear             ``transpose``: cotangent to cotangent                  JVP (the primitive itself), VJP
bilinear           two transposes                                         the product rule, both ways
nondifferentiable  by name                                                zero
=================  =====================================================  ===========================================
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.dtypes import BFLOAT16, DType
from funcgrad.errors import at_line
from funcgrad.ir.primitive import Primitive, Pullback, Values, registry
from funcgrad.ir.types import ArrayType
from funcgrad.trace.frame import bind, running, type_of
from funcgrad.trace.tracer import Tracer

Partial = Callable[..., Any]


class Operation(Primitive):
    """A primitive that is called like the function it is: ``sin(x)`` binds it and gives its only output."""

    __slots__ = ()

    def __call__(self, *inputs: Any, **params: Any) -> Any:
        """The output for arrays, scalars or tracers (their shapes and dtypes must fit; nothing is promoted)."""
        frame, plain = None, self.evaluate is None
        for x in inputs:
            if type(x) is Tracer:
                if frame is None or x.frame.level > frame.level:
                    frame = x.frame
            elif getattr(x, "dtype", None) is BFLOAT16:
                plain = False
        if frame is None:
            if plain:
                return self.reference(*inputs, **params)
            outputs = self.compute(inputs, params)
        elif frame.active and (not running.builders or running.builders[-1].level <= frame.level):
            outputs = frame.process(self, inputs, params)
        else:
            outputs = bind(self, *inputs, **params)  # of values from further out, or it raises
        return outputs if self.multiple else outputs[0]


def operation(name: str) -> Operation:
    """The operation registered under `name`: for rules that stand above its declaration."""
    return registry[name]  # type: ignore[return-value]


# Elementwise ---------------------------------------------------------------------------------------------------------


def elementwise(
    name: str,
    reference: Callable[..., Any],
    dtypes: frozenset[DType],
    partials: Sequence[Partial | None] | None,
    scalar: Any,
    *,
    result: Callable[[DType], DType] | None = None,
    operands: int | None = None,
) -> Operation:
    """Declare an operation on elements.

    Parameters
    ----------
    name, reference
        See `Primitive`.
    dtypes
        What the operands may be; they all have the same dtype.
    partials
        One function for each operand, ``(t, out, *operands, **params) -> t * d out / d operand`` (None: zero
        everywhere); or None: nondifferentiable.
    scalar
        The instruction of `lower.scalar` that computes one element, or a function
        ``(emit, dtype, *operands, **params) -> value`` that composes several, ``emit(name, *operands)`` being the
        value of an instruction.
    result
        The dtype of the result, from the operands' (default: the same).
    operands
        Their number, where `partials` does not tell.

    Returns
    -------
    Operation
        The primitive, registered under its name; calling it applies it.
    """

    def infer(*types: ArrayType, **params: Any) -> ArrayType:
        first = types[0]
        shape, dtype, weak = first.shape, first.dtype, first.weak
        for t in types:
            if t.shape != shape or t.dtype is not dtype:
                shape, dtype = _common_shape(name, types), _common_dtype(name, types)
                break
        if dtype not in dtypes:
            raise TypeError(f"{name} does not accept dtype {dtype.name}, but {_kinds(dtypes)}{at_line()}")
        out = result(dtype) if result else dtype
        if weak:
            weak = out.kind != "b" and all(t.weak for t in types)
        same = out is first.dtype and weak is first.weak and shape is first.shape
        return first if same else ArrayType(shape, out, weak)

    return Operation(
        name=name,
        family="elementwise" if partials else "nondifferentiable",
        reference=reference,
        infer=infer,
        jvp=_elementwise_jvp(name, partials) if partials else None,
        vjp=_elementwise_vjp(name, partials) if partials else None,
        batch=_elementwise_batch(name),
        partials=tuple(partials) if partials else None,
        scalar=scalar,
        operands=len(partials) if partials else operands,
    )


def _elementwise_jvp(name: str, partials: Sequence[Partial | None]) -> Callable[..., tuple[Values, Values]]:
    def jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
        (out,) = bind(registry[name], *inputs, **params)
        total = None
        for partial, t in zip(partials, tangents, strict=True):
            if partial is not None and t is not None:
                term = partial(fill(t, type_of(out).shape), out, *inputs, **params)
                total = term if total is None else total + term
        return (out,), (total,)

    return jvp


def _elementwise_vjp(name: str, partials: Sequence[Partial | None]) -> Callable[..., tuple[Values, Pullback]]:
    def vjp(inputs: Values, wanted: Sequence[bool], params: dict[str, Any]) -> tuple[Values, Pullback]:
        (out,) = bind(registry[name], *inputs, **params)

        def pullback(cotangents: Values) -> Values:
            (ct,) = cotangents
            found: list[Any] = []
            for partial, x, w in zip(partials, inputs, wanted, strict=True):
                term = partial(ct, out, *inputs, **params) if w and partial else None
                found.append(term if term is None or x.shape == ct.shape else collapse(term, x.shape))
            return tuple(found)

        return (out,), pullback

    return vjp


def _elementwise_batch(name: str) -> Callable[..., tuple[Values, tuple[bool, ...]]]:
    def batch(
        size: int, inputs: Values, batched: Sequence[bool], params: dict[str, Any]
    ) -> tuple[Values, tuple[bool, ...]]:
        return bind(registry[name], *align_batched(size, inputs, batched), **params), (True,)

    return batch


def _kinds(dtypes: frozenset[DType]) -> str:
    """Dtypes in words."""
    names = {"b": "bool", "i": "integers", "u": "unsigned integers", "f": "floats", "c": "complex numbers"}
    found = [word for kind, word in names.items() if any(d.kind == kind for d in dtypes)]
    return " and ".join(found) + ": convert with x.astype"


def _common_shape(name: str, types: Sequence[ArrayType]) -> tuple[int, ...]:
    shape: tuple[int, ...] = ()
    for t in types:
        if t.shape and shape and t.shape != shape:
            raise TypeError(f"{name}: operands have shapes {shape} and {t.shape}; they must be equal, or ()")
        shape = t.shape or shape
    return shape


def _common_dtype(name: str, types: Sequence[ArrayType]) -> DType:
    dtype = types[0].dtype
    if any(t.dtype != dtype for t in types):
        raise TypeError(f"{name}: operands have dtypes {', '.join(t.dtype.name for t in types)}; they must be equal")
    return dtype


# Shapes of operands --------------------------------------------------------------------------------------------------


def fill(x: Any, shape: tuple[int, ...]) -> Any:
    """A scalar as an array of `shape`; an array as it is."""
    have = type_of(x).shape
    return x if have == shape else operation("broadcast_in_dim")(x, shape=shape, broadcast_dimensions=())


def collapse(ct: Any, shape: tuple[int, ...]) -> Any:
    """The transpose of `fill`: a cotangent summed to a scalar where the operand was one."""
    have = type_of(ct).shape
    return ct if have == shape else operation("reduce_sum")(ct, axes=tuple(range(len(have))))


def align_batched(size: int, inputs: Values, batched: Sequence[bool]) -> list[Any]:
    """Operands of an elementwise primitive with the batch axis in front:
    equal shapes, or scalars that are not batched.
    """
    shapes = [type_of(x).shape[1:] if b else type_of(x).shape for x, b in zip(inputs, batched, strict=True)]
    full = (size, *max(shapes, key=len))
    aligned = []
    for x, b, shape in zip(inputs, batched, shapes, strict=True):
        if type_of(x).shape == full or not (b or shape):
            aligned.append(x)
        else:
            kept = (0, *range(1, len(shape) + 1)) if b else tuple(range(1, len(shape) + 1))
            aligned.append(operation("broadcast_in_dim")(x, shape=full, broadcast_dimensions=kept))
    return aligned


# Linear --------------------------------------------------------------------------------------------------------------


def linear(
    name: str,
    reference: Callable[..., Any],
    infer: Callable[..., ArrayType],
    transpose: Callable[..., Any],
    batch: Callable[..., Any],
) -> Operation:
    """Declare an operation of one operand (or several alike, as in concatenate) that is linear.

    Parameters
    ----------
    name, reference, infer
        See `Primitive`.
    transpose
        ``transpose(ct, *input_types, **params) -> cotangent`` (a tuple for several operands).
    batch
        ``batch(size, x, **params) -> array``, x with the batch axis in front (for several operands: all of them
        batched).

    Returns
    -------
    Operation
        The primitive, registered under its name; calling it applies it.
    """

    def jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
        out = bind(primitive, *inputs, **params)
        if all(t is None for t in tangents):
            return out, (None,)
        filled = [zeros_like(x) if t is None else t for x, t in zip(inputs, tangents, strict=True)]
        return out, bind(primitive, *filled, **params)

    def vjp(inputs: Values, wanted: Sequence[bool], params: dict[str, Any]) -> tuple[Values, Pullback]:
        types = tuple(map(type_of, inputs))

        def pullback(cotangents: Values) -> Values:
            result = transpose(cotangents[0], *types, **params)
            return result if isinstance(result, tuple) else (result,)

        return (primitive(*inputs, **params),), pullback

    primitive = Operation(
        name=name, family="linear", reference=reference, infer=infer, jvp=jvp, vjp=vjp, batch=batched_by(batch)
    )
    return primitive


def batched_by(rule: Callable[..., Any]) -> Callable[..., Any]:
    """A batching rule for a primitive whose operands must all be batched: those that are not are repeated."""

    def batch(
        size: int, inputs: Values, batched: Sequence[bool], params: dict[str, Any]
    ) -> tuple[Values, tuple[bool, ...]]:
        full = [x if b else repeat(x, size) for x, b in zip(inputs, batched, strict=True)]
        found = rule(size, *full, **params)
        outputs = found if isinstance(found, tuple) else (found,)
        return outputs, (True,) * len(outputs)

    return batch


def repeat(x: Any, size: int) -> Any:
    """`x` with a new axis of `size` in front."""
    shape = type_of(x).shape
    dims = tuple(range(1, len(shape) + 1))
    return operation("broadcast_in_dim")(x, shape=(size, *shape), broadcast_dimensions=dims)


def zero(t: ArrayType) -> Any:
    """Zeros of a type, as a broadcast scalar: no memory until somebody needs it."""
    return np.broadcast_to(t.dtype.type(0), t.shape)


def zeros_like(x: Any) -> Any:
    """Zeros of the type of `x`; see `zero`."""
    return zero(type_of(x))


# Bilinear and nondifferentiable --------------------------------------------------------------------------------------


def bilinear(
    name: str,
    reference: Callable[..., Any],
    infer: Callable[..., ArrayType],
    transposes: tuple[Callable[..., Any], Callable[..., Any]],
    batch: Callable[..., Any],
) -> Operation:
    """Declare a product: linear in each of two operands.

    Parameters
    ----------
    name, reference, infer, batch
        See `Primitive`.
    transposes
        ``transposes[k](ct, other, types, **params)`` is the cotangent of operand k.

    Returns
    -------
    Operation
        The primitive, registered under its name; calling it applies it.
    """

    def jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
        (x, y), (tx, ty) = inputs, tangents
        terms = [bind(primitive, tx, y, **params)[0]] if tx is not None else []
        terms += [bind(primitive, x, ty, **params)[0]] if ty is not None else []
        total = None if not terms else terms[0] if len(terms) == 1 else terms[0] + terms[1]
        return bind(primitive, x, y, **params), (total,)

    def vjp(inputs: Values, wanted: Sequence[bool], params: dict[str, Any]) -> tuple[Values, Pullback]:
        x, y = inputs
        types = (type_of(x), type_of(y))

        def pullback(cotangents: Values) -> Values:
            (ct,) = cotangents
            left = transposes[0](ct, y, types, **params) if wanted[0] else None
            right = transposes[1](ct, x, types, **params) if wanted[1] else None
            return left, right

        return (primitive(x, y, **params),), pullback

    primitive = Operation(name=name, family="bilinear", reference=reference, infer=infer, jvp=jvp, vjp=vjp, batch=batch)
    return primitive


def nondifferentiable(
    name: str,
    reference: Callable[..., Any],
    infer: Callable[..., Any],
    batch: Callable[..., Any],
    *,
    multiple: bool = False,
) -> Operation:
    """Declare an operation through which no derivative flows.

    Parameters
    ----------
    name, reference, infer, multiple
        See `Primitive`.
    batch
        ``batch(size, *operands, **params) -> output`` (with `multiple` a tuple), all operands with the batch axis in
        front.

    Returns
    -------
    Operation
        The primitive, registered under its name; calling it applies it.
    """
    return Operation(
        name=name,
        family="nondifferentiable",
        reference=reference,
        infer=infer,
        batch=batched_by(batch),
        multiple=multiple,
    )


def to_bool(dtype: DType) -> DType:
    """The dtype of comparisons."""
    return np.dtype(np.bool_)
