"""Which operations take complex numbers apart and put them together?  real, imag, conj, complex; pairs of parts.

They are linear over the real numbers, not over the complex ones, so derivatives need a convention. It is JAX's: a
cotangent c of a complex value and a tangent t of it are paired as Re(c t), without a conjugate. Holomorphic functions
then have the same rule both ways, ``t f'(z)``, and the gradient of a real function of z = x + iy is df/dx - i df/dy.

In the rules below the dtype of `t` tells tangents from cotangents: what is real for one is complex for the other.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.dtypes import COMPLEX, DType
from funcgrad.ir.types import ArrayType
from funcgrad.ops.families import Operation, elementwise, linear
from funcgrad.trace.frame import type_of

PARTS = frozenset(map(np.dtype, ("f4", "f8")))


def to_real(dtype: DType) -> DType:
    """The dtype of the parts of a complex number, and of its absolute value."""
    return np.dtype(f"f{dtype.itemsize // 2}") if dtype.kind == "c" else dtype


def to_complex(dtype: DType) -> DType:
    """The dtype of a complex number with parts of `dtype`."""
    return np.dtype(f"c{2 * dtype.itemsize}")


def is_complex(x: Any) -> bool:
    """Whether a value has a complex dtype."""
    return type_of(x).dtype.kind == "c"


def _join(re: Any, im: Any) -> Any:
    """re + i im, without the arithmetic (in which i times infinity has a real part that is NaN)."""
    re, im = np.asarray(re), np.asarray(im)
    out = np.empty(np.broadcast_shapes(re.shape, im.shape), to_complex(re.dtype))
    out.real, out.imag = re, im
    return out[()]


def _zero(x: Any) -> Any:
    return to_real(type_of(x).dtype).type(0)


real: Operation = elementwise(
    "real", np.real, COMPLEX, (lambda t, out, z: real(t) if is_complex(t) else complex_(t, _zero(t)),), None,
    result=to_real,
)  # fmt: skip
imag: Operation = elementwise(
    "imag", np.imag, COMPLEX, (lambda t, out, z: imag(t) if is_complex(t) else complex_(_zero(t), -t),), None,
    result=to_real,
)  # fmt: skip
conj: Operation = elementwise("conj", np.conjugate, COMPLEX, (lambda t, out, z: conj(t),), None)
complex_: Operation = elementwise(
    "complex",
    _join,
    PARTS,
    (
        lambda t, out, re, im: real(t) if is_complex(t) else complex_(t, _zero(t)),
        lambda t, out, re, im: -imag(t) if is_complex(t) else complex_(_zero(t), t),
    ),
    None,
    result=to_complex,
)


# A complex array as it lies in memory: real numbers with one more axis, of size 2 -------------------------------------


def _to_parts(z: Any) -> Any:
    z = np.ascontiguousarray(z).reshape(np.shape(z))
    return z.reshape(*z.shape, 1).view(to_real(z.dtype))


def _from_parts(x: Any) -> Any:
    return np.ascontiguousarray(x).view(to_complex(np.result_type(x)))[..., 0]


def _to_parts_infer(z: ArrayType) -> ArrayType:
    if z.dtype not in COMPLEX:
        raise TypeError(f"complex_to_parts does not accept dtype {z.dtype.name}")
    return ArrayType((*z.shape, 2), to_real(z.dtype))


def _from_parts_infer(x: ArrayType) -> ArrayType:
    if x.dtype not in PARTS or x.shape[-1:] != (2,):
        raise TypeError(f"complex_from_parts takes floats with a last axis of size 2, not {x}")
    return ArrayType(x.shape[:-1], to_complex(x.dtype))


to_parts: Operation = linear(
    "complex_to_parts", _to_parts, _to_parts_infer, lambda ct, z: conj(from_parts(ct)), lambda size, z: to_parts(z)
)
from_parts: Operation = linear(
    "complex_from_parts",
    _from_parts,
    _from_parts_infer,
    lambda ct, x: to_parts(conj(ct)),
    lambda size, x: from_parts(x),
)
