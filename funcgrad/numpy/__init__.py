"""NumPy's functions, differentiable: ``import funcgrad.numpy as np``.

On arrays and numbers each function is NumPy's own, with its dtypes and warnings; on traced arrays it becomes
equations of primitives. ``import numpy as np`` works as well on traced arrays: NumPy's protocols lead here.
"""

from __future__ import annotations

from typing import Any

import numpy as _np
from numpy import (
    bool_,
    dtype,
    e,
    euler_gamma,
    finfo,
    float16,
    float32,
    float64,
    iinfo,
    inf,
    int8,
    int16,
    int32,
    int64,
    nan,
    ndarray,
    newaxis,
    pi,
    uint8,
    uint16,
    uint32,
    uint64,
)

from funcgrad.numpy import _creation, _indexing, _products, _reductions, _shapes, _ufuncs
from funcgrad.numpy._common import cast, dtype_of
from funcgrad.trace.tracer import functions, methods, ufuncs

_constants = (
    "bool_ dtype e euler_gamma finfo float16 float32 float64 iinfo inf int8 int16 int32 int64 nan ndarray newaxis pi "
    "uint8 uint16 uint32 uint64"
).split()
_modules = (_creation, _indexing, _products, _reductions, _shapes, _ufuncs)
globals().update(_ufuncs.namespace)
for _module in _modules:
    globals().update({name: f for name, f in vars(_module).items() if getattr(f, "__module__", "") == "funcgrad.numpy"})
globals().update(amax=_reductions.max, amin=_reductions.min, around=_ufuncs.round)
__all__ = sorted(  # noqa: PLE0605
    [*_constants, *(name for name, f in globals().items() if getattr(f, "__module__", "") == "funcgrad.numpy")]
)


def _astype(x: Any, dtype: Any, copy: bool = True) -> Any:  # noqa: F811
    return cast(x, dtype_of(dtype))


def _reshape_method(x: Any, *shape: Any, order: str = "C") -> Any:
    return _shapes.reshape(x, shape[0] if len(shape) == 1 else shape, order)


def _transpose_method(x: Any, *axes: Any) -> Any:
    return _shapes.transpose(x, None if not axes else axes[0] if len(axes) == 1 else axes)


def _install_methods() -> None:
    """Fill the tables behind the tracer's operators, methods and protocols."""
    methods.update(_ufuncs.operators)
    methods["true_divide"] = _ufuncs.operators[_np.true_divide.__name__]
    ufuncs[_np.matmul] = functions.pop(_np.matmul)
    names = (
        "all any argmax argmin clip copy diagonal dot max mean min prod ravel repeat round squeeze std sum swapaxes "
        "take trace var real imag"
    ).split()
    for name in names:
        methods[name] = functions[getattr(_np, name)]
    methods.update(
        getitem=_indexing.getitem,
        matmul=ufuncs[_np.matmul],
        matrix_transpose=_shapes.matrix_transpose,
        astype=_astype,
        reshape=_reshape_method,
        transpose=_transpose_method,
        flatten=_shapes.ravel,
        conj=_ufuncs.conjugate,
        conjugate=_ufuncs.conjugate,
    )


_install_methods()
_aliases: tuple[tuple[Any, Any], ...] = ((_np.amax, _np.max), (_np.amin, _np.min), (_np.around, _np.round))
for _alias, _function in _aliases:
    functions[_alias] = functions[_function]


def __getattr__(name: str) -> Any:
    if name.startswith("_") or not hasattr(_np, name):
        raise AttributeError(f"module 'funcgrad.numpy' has no attribute {name!r}")
    raise AttributeError(
        f"numpy.{name} is not in funcgrad.numpy yet; on arrays that are not traced NumPy's own function can be used"
    )
