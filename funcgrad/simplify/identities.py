"""Which equations are something simpler?  A table of exact identities, by primitive.

An identity is a function ``(rewriter, inputs, params, source) -> atom | None``: what stands for the equation's
output, or None when it does not apply.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from funcgrad.errors import SourceLocation
from funcgrad.ir.interpret import interpret
from funcgrad.ir.primitive import registry
from funcgrad.ir.program import Atom, Equation, Literal, Program, Var
from funcgrad.simplify.rewrite import Rewriter, literal

Params = Mapping[str, Any]
Identity = Callable[[Rewriter, Sequence[Atom], Params, SourceLocation | None], Atom | None]
INT64 = np.dtype(np.int64)


def _emit(r: Rewriter, name: str, inputs: Sequence[Atom], source: SourceLocation | None, **params: Any) -> Atom:
    """The output of an equation, itself simplified."""
    rule = IDENTITIES.get(name)
    found = rule(r, inputs, params, source) if rule else None
    return r.emit(registry[name], inputs, params, source)[0] if found is None else found


def _spread(r: Rewriter, atom: Atom, shape: tuple[int, ...], source: SourceLocation | None) -> Atom:
    """A scalar operand in the shape of the result."""
    if atom.type.shape == shape:
        return atom
    return _emit(r, "broadcast_in_dim", [atom], source, shape=shape, broadcast_dimensions=())


def _shape(inputs: Sequence[Atom]) -> tuple[int, ...]:
    return max((a.type.shape for a in inputs), key=len)


def _is(r: Rewriter, atom: Atom, number: float) -> bool:
    value = r.scalar(atom)
    return value is not None and bool(value == number)


# Arithmetic ----------------------------------------------------------------------------------------------------------


def _mul(r: Rewriter, inputs: Sequence[Atom], params: Params, source: SourceLocation | None) -> Atom | None:
    x, y = inputs
    for a, b in ((x, y), (y, x)):
        if _is(r, b, 1):
            return _spread(r, a, _shape(inputs), source)
        if _is(r, b, -1) and a.type.dtype.kind != "b":
            return _emit(r, "neg", [_spread(r, a, _shape(inputs), source)], source)
    return _scalars(r, "mul", x, y, source)


def _div(r: Rewriter, inputs: Sequence[Atom], params: Params, source: SourceLocation | None) -> Atom | None:
    x, y = inputs
    if _is(r, y, 1):
        return _spread(r, x, _shape(inputs), source)
    divisor = r.scalar(y)
    if (
        divisor is not None and x.type.dtype.kind == "f" and x.type.shape and _is_power_of_two(divisor)
    ):  # the reciprocal is exact
        return (
            _emit(r, "mul", [x, literal(1 / divisor, x.type.dtype)], source) if x.type.shape == _shape(inputs) else None
        )
    return _scalars(r, "div", x, y, source)


def _is_power_of_two(value: Any) -> bool:
    mantissa, exponent = np.frexp(value)
    return bool(abs(mantissa) == 0.5 and -10 < exponent < 10)


def _sub(r: Rewriter, inputs: Sequence[Atom], params: Params, source: SourceLocation | None) -> Atom | None:
    x, y = inputs
    value = r.scalar(y)
    if value is not None and value == 0 and not (np.signbit(value.real) or np.signbit(value.imag)):  # so for x = -0
        return _spread(r, x, _shape(inputs), source)
    return _scalars(r, "sub", x, y, source)


def _add(r: Rewriter, inputs: Sequence[Atom], params: Params, source: SourceLocation | None) -> Atom | None:
    x, y = inputs
    for a, b in ((x, y), (y, x)):
        value = r.scalar(b)
        kind = a.type.dtype.kind
        if value is not None and value == 0 and (kind in "iu" or (kind == "f" and np.signbit(value))):  # x + -0 is x
            return _spread(r, a, _shape(inputs), source)
    return _scalars(r, "add", x, y, source)


def _scalars(r: Rewriter, name: str, x: Atom, y: Atom, source: SourceLocation | None) -> Atom | None:
    """An array of one number as that number: the other operand's shape is enough."""
    for a, b, first in ((x, y, True), (y, x, False)):
        if b.type.shape and a.type.shape and isinstance(a, Var) and r.scalar(a) is not None:
            number = literal(r.scalar(a), a.type.dtype)
            return _emit(r, name, [number, b] if first else [b, number], source)
    return None


def _neg(r: Rewriter, inputs: Sequence[Atom], params: Params, source: SourceLocation | None) -> Atom | None:
    inner = r.define(inputs[0], "neg")
    return inner.inputs[0] if inner else None


def _integer_pow(r: Rewriter, inputs: Sequence[Atom], params: Params, source: SourceLocation | None) -> Atom | None:
    if params["y"] == 1:
        return inputs[0]
    if params["y"] == 0:  # also of NaN
        one, shape = literal(1, inputs[0].type.dtype), inputs[0].type.shape
        spread = {"shape": shape, "broadcast_dimensions": ()}
        return r.emit(registry["broadcast_in_dim"], [one], spread, source)[0] if shape else one
    return _emit(r, "square", inputs, source) if params["y"] == 2 else None


def _convert(r: Rewriter, inputs: Sequence[Atom], params: Params, source: SourceLocation | None) -> Atom | None:
    return inputs[0] if inputs[0].type.dtype == params["dtype"] else None


def _same(r: Rewriter, inputs: Sequence[Atom], params: Params, source: SourceLocation | None) -> Atom | None:
    return inputs[0]


def _select(r: Rewriter, inputs: Sequence[Atom], params: Params, source: SourceLocation | None) -> Atom | None:
    which, false, true = inputs
    shape = _shape(inputs)
    known = r.scalar(which)
    if known is not None:
        return _spread(r, true if known else false, shape, source)
    if false is true:
        return _spread(r, true, shape, source)
    numbers = [
        literal(r.scalar(a), a.type.dtype) if a.type.shape and r.scalar(a) is not None else a for a in (false, true)
    ]
    if which.type.shape == shape and (numbers[0] is not false or numbers[1] is not true):
        return _emit(r, "select", [which, *numbers], source)
    return None


# Shape ---------------------------------------------------------------------------------------------------------------


def _broadcast(r: Rewriter, inputs: Sequence[Atom], params: Params, source: SourceLocation | None) -> Atom | None:
    (x,) = inputs
    shape, dims = params["shape"], params["broadcast_dimensions"]
    if x.type.shape == shape:
        return x
    inner = r.define(x, "broadcast_in_dim")
    if inner is None or any(n == 1 for n in x.type.shape):
        return None
    composed = tuple(dims[k] for k in inner.params["broadcast_dimensions"])
    return _emit(r, "broadcast_in_dim", inner.inputs, source, shape=shape, broadcast_dimensions=composed)


def _reshape(r: Rewriter, inputs: Sequence[Atom], params: Params, source: SourceLocation | None) -> Atom | None:
    (x,), shape = inputs, params["shape"]
    if x.type.shape == shape:
        return x
    inner = r.define(x, "reshape")
    if inner:
        return (
            _emit(r, "reshape", inner.inputs, source, shape=shape)
            if inner.inputs[0].type.shape != shape
            else inner.inputs[0]
        )
    value = r.scalar(x)
    if value is not None and shape:
        return _spread(r, literal(value, x.type.dtype), shape, source)
    return None


def _transpose(r: Rewriter, inputs: Sequence[Atom], params: Params, source: SourceLocation | None) -> Atom | None:
    (x,), permutation = inputs, params["permutation"]
    if permutation == tuple(range(len(permutation))):
        return x
    inner = r.define(x, "transpose")
    if inner:
        composed = tuple(inner.params["permutation"][k] for k in permutation)
        return _transpose(r, inner.inputs, {"permutation": composed}, source) or _emit(
            r, "transpose", inner.inputs, source, permutation=composed
        )
    return _turned(r, x, permutation, source)


def _turned(r: Rewriter, x: Atom, permutation: tuple[int, ...], source: SourceLocation | None) -> Atom | None:
    """The transpose of a product, or of a sum of products, as products in the other order."""
    product = r.define(x, "dot_general")
    if product:
        return _exchanged(r, product, permutation, source)
    total = r.define(x, "add", "sub")
    if total is None or any(a.type.shape != x.type.shape for a in total.inputs):
        return None
    parts = [_turned(r, a, permutation, source) for a in total.inputs]
    left, right = parts
    return None if left is None or right is None else _emit(r, total.primitive.name, [left, right], source)


def _exchanged(
    r: Rewriter, product: Equation, permutation: tuple[int, ...], source: SourceLocation | None
) -> Atom | None:
    """(x @ y).T = y.T @ x.T: a transpose that exchanges the free axes of a product is a product in the other order."""
    (contracted, batch), (x, y) = product.params["dimension_numbers"], product.inputs
    nb = len(batch[0])
    nx = x.type.ndim - nb - len(contracted[0])
    total = product.outputs[0].type.ndim
    if permutation != (*range(nb), *range(nb + nx, total), *range(nb, nb + nx)):
        return None
    numbers = (contracted[::-1], batch[::-1])
    return _emit(r, "dot_general", [y, x], source, dimension_numbers=numbers)


def _reduction(name: str) -> Identity:
    def identity(r: Rewriter, inputs: Sequence[Atom], params: Params, source: SourceLocation | None) -> Atom | None:
        (x,), axes = inputs, params["axes"]
        shape = x.type.shape
        if all(shape[k] == 1 for k in axes):
            if not axes:
                return x
            flat = _emit(r, "reshape", [x], source, shape=tuple(n for k, n in enumerate(shape) if k not in axes))
            return _from_zero(r, flat, source) if name == "reduce_sum" else flat
        return _sum_of_one_hot(r, x, axes, source) if name == "reduce_sum" else None

    return identity


def _from_zero(r: Rewriter, x: Atom, source: SourceLocation | None) -> Atom:
    """0 + x, as a sum of one term is: x itself, but 0 for -0."""
    return _emit(r, "add", [x, literal(0, x.type.dtype)], source) if x.type.dtype.kind in "fc" else x


def _sum_of_one_hot(r: Rewriter, x: Atom, axes: tuple[int, ...], source: SourceLocation | None) -> Atom | None:
    """The sum along a row that is 0 but for one element is that element
    (`_scatter` makes such rows, indices checked).
    """
    negated = r.define(x, "neg")
    chosen = r.define(negated.inputs[0] if negated else x, "select")
    if chosen is None or axes != (1,) or not _is(r, chosen.inputs[1], 0):
        return None
    hit, value = r.define(chosen.inputs[0], "eq"), _row_value(r, chosen.inputs[2], x.type.shape[0], source)
    if hit is None or value is None:
        return None
    column, wanted = r.define(hit.inputs[0], "iota"), r.define(hit.inputs[1], "broadcast_in_dim")
    if (
        column is None
        or wanted is None
        or column.params["dimension"] != 1
        or wanted.params["broadcast_dimensions"] != (0,)
    ):
        return None
    narrow = r.define(wanted.inputs[0], "convert_element_type")
    size = _places(r, narrow.inputs[0] if narrow else wanted.inputs[0])
    if size != x.type.shape[1]:
        return None
    return _from_zero(r, _emit(r, "neg", [value], source) if negated else value, source)


def _places(r: Rewriter, atom: Atom) -> int | None:
    """Below which number positions are, if they have been checked."""
    found = r.define(_through_reshape(r, atom), "check_index", "check_label")
    return found.params["size"] if found else None


def _check_index(r: Rewriter, inputs: Sequence[Atom], params: Params, source: SourceLocation | None) -> Atom | None:
    """What has been checked is within bounds."""
    size = _places(r, inputs[0])
    return inputs[0] if size is not None and size <= params["size"] else None


def _row_value(r: Rewriter, atom: Atom, rows: int, source: SourceLocation | None) -> Atom | None:
    """What a matrix (or number) holds in every column, for each of its rows."""
    number = r.scalar(atom)
    if number is not None:
        return _spread(r, literal(number, atom.type.dtype), (rows,), source)
    spread = r.define(atom, "broadcast_in_dim")
    return spread.inputs[0] if spread and spread.params["broadcast_dimensions"] == (0,) else None


def _arg(r: Rewriter, inputs: Sequence[Atom], params: Params, source: SourceLocation | None) -> Atom | None:
    (x,), k = inputs, params["axis"]
    if x.type.shape[k] != 1:
        return None
    return _spread(r, literal(0, params["index_dtype"]), (*x.type.shape[:k], *x.type.shape[k + 1 :]), source)


def _scatter(r: Rewriter, inputs: Sequence[Atom], params: Params, source: SourceLocation | None) -> Atom | None:
    """One element added to each row of zeros: a comparison with the column's number, which fuses with what reads it."""
    operand, updates, *indices = inputs
    if params["axes"] != (0, 1) or operand.type.ndim != 2 or not _is(r, operand, 0) or operand.type.dtype.kind != "f":
        return None
    shape = operand.type.shape
    flat = [_emit(r, "reshape", [a], source, shape=(a.type.size,)) for a in indices]
    rows = flat[0]
    counting = r.define(_through_reshape(r, rows), "iota")
    if (
        counting is None
        or rows.type.size != shape[0]
        or counting.params["shape"][counting.params["dimension"]] != shape[0]
    ):
        return None
    number = np.dtype(np.int32) if shape[1] < 2**31 else INT64  # as many lanes as float32 has
    column = _emit(r, "iota", [], source, dtype=number, shape=shape, dimension=1)
    narrow = _emit(r, "convert_element_type", [flat[1]], source, dtype=number)
    wanted = _emit(r, "broadcast_in_dim", [narrow], source, shape=shape, broadcast_dimensions=(0,))
    hit = _emit(r, "eq", [column, wanted], source)
    line = _emit(r, "reshape", [updates], source, shape=(shape[0],))
    value = _emit(r, "broadcast_in_dim", [line], source, shape=shape, broadcast_dimensions=(0,))
    return _emit(r, "select", [hit, literal(0, operand.type.dtype), value], source)


def _through_reshape(r: Rewriter, atom: Atom) -> Atom:
    inner = r.define(atom, "reshape")
    return inner.inputs[0] if inner else atom


IDENTITIES: dict[str, Identity] = {
    "mul": _mul,
    "div": _div,
    "sub": _sub,
    "add": _add,
    "neg": _neg,
    "integer_pow": _integer_pow,
    "convert_element_type": _convert,
    "stop_gradient": _same,
    "check_index": _check_index,
    "name": _same,
    "optimization_barrier": lambda r, inputs, params, source: inputs[0] if isinstance(inputs[0], Literal) else None,
    "select": _select,
    "broadcast_in_dim": _broadcast,
    "reshape": _reshape,
    "transpose": _transpose,
    "scatter_add": _scatter,
    "argmax": _arg,
    "argmin": _arg,
    **{f"reduce_{name}": _reduction(f"reduce_{name}") for name in ("sum", "prod", "max", "min", "and", "or")},
}


def fold(equation: Equation, inputs: Sequence[Atom]) -> Atom | None:
    """The number that an operation on numbers is."""
    if equation.primitive.scalar is None:
        return None
    out = equation.outputs[0]
    if out.type.shape or not all(isinstance(a, Literal) for a in inputs):
        return None
    if equation.primitive.effect:
        return None
    program = Program((), (equation.replace(inputs=tuple(inputs)),), equation.outputs)
    return literal(interpret(program, [])[0], out.type.dtype)
