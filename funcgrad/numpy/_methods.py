"""What do a traced array's operators and methods do?  This fills the tables of `trace.tracer`."""

from __future__ import annotations

import builtins
import sys
from typing import Any

import numpy as np

from funcgrad.array import indexing
from funcgrad.errors import at_line
from funcgrad.numpy import _indexing, _shapes, _ufuncs
from funcgrad.numpy._common import cast, dtype_of
from funcgrad.ops.bits import bitcast
from funcgrad.ops.complex import imag, real
from funcgrad.trace.frame import type_of
from funcgrad.trace.tracer import functions, methods, ufuncs

SAME_NAME = (
    "all any argmax argmin choose clip copy diagonal dot max mean min prod ravel repeat round squeeze std sum swapaxes "
    "take trace var real imag"
)
PRODUCTS = (np.matmul, np.vecdot, np.matvec, np.vecmat)
API_VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12", "2025.12")


def _astype(
    x: Any, dtype: Any, order: str = "K", casting: str = "unsafe", subok: bool = True, copy: bool = True
) -> Any:
    wanted = dtype_of(dtype)
    have = type_of(x).dtype
    if casting != "unsafe" and not np.can_cast(have, wanted, casting):  # type: ignore[arg-type]
        raise TypeError(
            f"Cannot cast array data from {have!r} to {wanted!r} according to the rule {casting!r}{at_line()}"
        )
    return cast(x, wanted)


def _reshape(x: Any, *shape: Any, order: str = "C", copy: bool | None = None) -> Any:
    return _shapes.reshape(x, shape[0] if len(shape) == 1 else shape, order)


def _transpose(x: Any, *axes: Any) -> Any:
    return _shapes.transpose(x, None if not axes else axes[0] if len(axes) == 1 else axes)


def _compress(x: Any, condition: Any, axis: int | None = None, out: None = None) -> Any:
    return functions[np.compress](condition, x, axis=axis, out=out)


def _view(x: Any, dtype: Any = None, type: Any = None) -> Any:
    """The same bits as another dtype of the same width."""
    if type is not None or (isinstance(dtype, builtins.type) and issubclass(dtype, np.ndarray)):
        return x
    if dtype is None:
        return x
    have, wanted = type_of(x).dtype, dtype_of(dtype)
    if have == wanted:
        return x
    if have.kind == "c" and wanted == real(np.zeros((), have)).dtype:  # the parts stand side by side
        shape = type_of(x).shape
        if not shape:
            raise ValueError(
                f"Changing the dtype of a 0d array is only supported if the itemsize is unchanged{at_line()}"
            )
        pairs = _shapes.concatenate([_shapes.expand_dims(part, -1) for part in (real(x), imag(x))], -1)
        return _shapes.reshape(pairs, (*shape[:-1], 2 * shape[-1]))
    if have.itemsize != wanted.itemsize or "c" in (have.kind, wanted.kind) or "b" in (have.kind, wanted.kind):
        raise TypeError(
            f"x.view({wanted.name}) of a traced array of {have.name}: dtypes of one width can be viewed; use "
            f"funcgrad.lax.bitcast_convert_type for others, or x.astype to convert{at_line()}"
        )
    return bitcast(x, new_dtype=wanted)


def array_namespace(api_version: str | None = None) -> Any:
    """The module `funcgrad.numpy`, as a namespace of the Array API standard."""
    if api_version is not None and api_version not in API_VERSIONS:
        raise ValueError(f"Version {api_version!r} of the Array API standard is not supported{at_line()}")
    return sys.modules["funcgrad.numpy"]


def install() -> None:
    """Fill the tables behind the tracer's operators, methods and protocols."""
    methods.update(_ufuncs.operators)
    methods["true_divide"] = _ufuncs.operators[np.true_divide.__name__]
    for product in PRODUCTS:  # NumPy's protocol calls them ufuncs
        ufuncs[product] = functions.pop(product, ufuncs.get(product))  # type: ignore[arg-type]
    methods.update((name, functions[getattr(np, name)]) for name in SAME_NAME.split() if getattr(np, name) in functions)
    methods.update(
        array_namespace=array_namespace,
        getitem=_indexing.getitem,
        matmul=ufuncs[np.matmul],
        matrix_transpose=_shapes.matrix_transpose,
        astype=_astype,
        compress=_compress,
        reshape=_reshape,
        transpose=_transpose,
        flatten=_shapes.ravel,
        conj=_ufuncs.conjugate,
        conjugate=_ufuncs.conjugate,
        view=_view,
    )
    indexing["array_namespace"] = array_namespace
