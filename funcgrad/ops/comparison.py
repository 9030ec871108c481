"""Which operations on elements compare, choose, or work on bits?  And which change the dtype?"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.dtypes import ALL, BFLOAT16, BOOL, INTEGERS, DType, code, is_inexact
from funcgrad.ir.primitive import Pullback, Values
from funcgrad.ir.types import ArrayType
from funcgrad.ops.families import Operation, align_batched, collapse, elementwise, fill, to_bool
from funcgrad.trace.frame import bind, type_of

BITS = BOOL | INTEGERS


def _shift_left(x: Any, n: Any) -> Any:
    """``x << n``; a shift by the width or more gives 0."""
    width = np.result_type(x).itemsize * 8
    return np.where((n >= width) | (np.asarray(n) < 0), np.zeros_like(x), np.left_shift(x, np.clip(n, 0, width - 1)))


def _shift_right(x: Any, n: Any) -> Any:
    """``x >> n``, arithmetic for signed integers; a shift by the width or more leaves the sign."""
    width = np.result_type(x).itemsize * 8
    far = np.right_shift(x, width - 1) if np.result_type(x).kind == "i" else np.zeros_like(x)
    return np.where((n >= width) | (np.asarray(n) < 0), far, np.right_shift(x, np.clip(n, 0, width - 1)))


eq = elementwise("eq", np.equal, ALL, None, "eq", result=to_bool, operands=2)
ne = elementwise("ne", np.not_equal, ALL, None, "ne", result=to_bool, operands=2)
lt = elementwise("lt", np.less, ALL, None, "lt", result=to_bool, operands=2)
le = elementwise("le", np.less_equal, ALL, None, "le", result=to_bool, operands=2)
gt = elementwise("gt", np.greater, ALL, None, "gt", result=to_bool, operands=2)
ge = elementwise("ge", np.greater_equal, ALL, None, "ge", result=to_bool, operands=2)
and_ = elementwise("and", np.bitwise_and, BITS, None, "and", operands=2)
or_ = elementwise("or", np.bitwise_or, BITS, None, "or", operands=2)
xor = elementwise("xor", np.bitwise_xor, BITS, None, "xor", operands=2)
not_ = elementwise("not", np.invert, BITS, None, "not", operands=1)
shift_left = elementwise("shift_left", _shift_left, INTEGERS, None, "shl", operands=2)
shift_right = elementwise("shift_right", _shift_right, INTEGERS, None, "shr", operands=2)


# Choice: which is bool, the cases have a dtype of their own -----------------------------------------------------------


def _select_infer(which: ArrayType, false: ArrayType, true: ArrayType) -> ArrayType:
    if which.dtype != np.bool_:
        raise TypeError(f"select: the condition has dtype {which.dtype.name}; it must be bool")
    if false.dtype != true.dtype:
        raise TypeError(f"select: the cases have dtypes {false.dtype.name} and {true.dtype.name}; they must be equal")
    shapes = {t.shape for t in (which, false, true) if t.shape}
    if len(shapes) > 1:
        raise TypeError(f"select: operands have shapes {which.shape}, {false.shape} and {true.shape}")
    return ArrayType(next(iter(shapes), ()), false.dtype, false.weak and true.weak)


def _select_jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
    which, *_ = inputs
    out = bind(select, *inputs)
    _, t_false, t_true = tangents
    if t_false is None and t_true is None:
        return out, (None,)
    zero = type_of(out[0]).dtype.type(0)
    t = select(which, zero if t_false is None else t_false, zero if t_true is None else t_true)
    return out, (fill(t, type_of(out[0]).shape),)


def _select_vjp(inputs: Values, wanted: Values, params: dict[str, Any]) -> tuple[Values, Pullback]:
    which, false, true = inputs

    def pullback(cotangents: Values) -> Values:
        (ct,) = cotangents
        zero = type_of(ct).dtype.type(0)
        to_false = collapse(select(which, ct, zero), type_of(false).shape) if wanted[1] else None
        to_true = collapse(select(which, zero, ct), type_of(true).shape) if wanted[2] else None
        return None, to_false, to_true

    return bind(select, *inputs), pullback


def _select_batch(size: int, inputs: Values, batched: Any, params: dict[str, Any]) -> tuple[Values, tuple[bool, ...]]:
    return bind(select, *align_batched(size, inputs, batched)), (True,)


select = Operation(
    name="select",
    family="elementwise",
    reference=lambda which, false, true: np.where(which, true, false),
    infer=_select_infer,
    jvp=_select_jvp,
    vjp=_select_vjp,
    batch=_select_batch,
    scalar=lambda emit, dtype, which, false, true: emit("select", which, true, false),
    operands=3,
)


# Conversion ----------------------------------------------------------------------------------------------------------


def _convert(x: Any, *, dtype: DType, weak: bool | None = None) -> Any:
    """NumPy's cast; floats that an integer dtype cannot hold saturate, NaN becomes 0 (defined on every machine)."""
    x = np.asarray(x)
    if x.dtype.kind == "c" and dtype.kind != "c":
        x = x != 0 if dtype.kind == "b" else x.real
    if x.dtype == BFLOAT16:
        x = x.astype(np.float32)
    if x.dtype.kind == "f" and dtype.kind in "iu":
        limits = np.iinfo(dtype)
        wide = np.trunc(np.where(np.isnan(x), x.dtype.type(0), x))
        result = np.where(
            wide >= limits.max, x.dtype.type(0), np.where(wide <= limits.min, x.dtype.type(0), wide)
        ).astype(dtype)
        return np.where(wide >= limits.max, limits.max, np.where(wide <= limits.min, limits.min, result)).astype(dtype)
    return x.astype(dtype)


def _convert_infer(x: ArrayType, *, dtype: DType, weak: bool | None = None) -> ArrayType:
    return ArrayType(x.shape, dtype, bool(weak))


def _convert_jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
    smooth = is_inexact(params["dtype"]) and tangents[0] is not None
    return bind(convert, *inputs, **params), (convert(tangents[0], **params) if smooth else None,)


def _convert_vjp(inputs: Values, wanted: Values, params: dict[str, Any]) -> tuple[Values, Pullback]:
    source = type_of(inputs[0]).dtype

    def pullback(cotangents: Values) -> Values:
        (ct,) = cotangents
        return (ct if type_of(ct).dtype == source else convert(ct, dtype=source),)

    return bind(convert, *inputs, **params), pullback


def _convert_scalar(emit: Any, source: str, x: Any, *, dtype: DType, weak: bool | None = None) -> Any:
    if dtype.kind == "b":
        return emit("ne", x, emit.constant(0, source))
    return emit.cast(x, code(dtype))


convert: Operation = Operation(
    name="convert_element_type",
    family="linear",
    reference=_convert,
    infer=_convert_infer,
    jvp=_convert_jvp,
    vjp=_convert_vjp,
    batch=lambda size, inputs, batched, params: (bind(convert, *inputs, **params), (True,)),
    scalar=_convert_scalar,
    operands=1,
)


def in_dtype(x: Any, dtype: DType) -> Any:
    """`x` converted, if it has another dtype."""
    return x if type_of(x).dtype == dtype else convert(x, dtype=dtype)


# No derivative passes ------------------------------------------------------------------------------------------------

stop_gradient = elementwise("stop_gradient", lambda x: x, ALL, None, lambda emit, dtype, x: x, operands=1)
