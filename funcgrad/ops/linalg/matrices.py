"""What do the rules of linear algebra share?  Matrix notation on stacks of matrices, and batching over leading axes.

Cotangents pair with tangents as ``Re(ct t)``, without a conjugate (see `ops.complex`). The literature's gradients G
have ``Re tr(G^H dX)`` instead; rules of functions that are not holomorphic are written for ``G = conj(ct)``, and
conjugate what they return. For real matrices both are the same.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.dtypes import INEXACT
from funcgrad.ir.primitive import Values, registry
from funcgrad.ir.types import ArrayType
from funcgrad.ops import complex as cx
from funcgrad.ops.comparison import and_, convert, eq, select
from funcgrad.ops.extensions import extension
from funcgrad.ops.families import repeat, zeros_like
from funcgrad.ops.indexing import gather, scatter_add
from funcgrad.ops.shape import broadcast_in_dim, iota, transpose
from funcgrad.trace.frame import bind, type_of

Shape = tuple[int, ...]
INT64 = np.dtype(np.int64)
MATRICES = INEXACT - {np.dtype(np.float16)}
LETTERS = {"f": "s", "d": "d", "F": "c", "D": "z"}  # of dtypes, with which the names of routines begin


def scipy_linalg() -> Any:
    """SciPy's module, imported when a reference first needs it."""
    return importlib.import_module("scipy.linalg")


def lapack(dtype: np.dtype, *names: str) -> Any:
    """SciPy's wrappers of LAPACK routines."""
    return _wrappers("lapack", dtype, names)


def blas(dtype: np.dtype, *names: str) -> Any:
    """SciPy's wrappers of BLAS routines."""
    return _wrappers("blas", dtype, names)


def _wrappers(library: str, dtype: np.dtype, names: tuple[str, ...]) -> Any:
    """Those of the extension module by itself; else SciPy's package finds them."""
    module, letter = extension(f"scipy.linalg._f{library}"), LETTERS.get(dtype.char, "")
    found = [getattr(module, letter + name, None) for name in names]
    return getattr(scipy_linalg(), f"get_{library}_funcs")(names, dtype=dtype) if None in found else found


# Notation ------------------------------------------------------------------------------------------------------------


def real(x: Any) -> Any:
    """The real part."""
    return cx.real(x) if cx.is_complex(x) else x


def conj(x: Any) -> Any:
    """The complex conjugate (real numbers as they are)."""
    return cx.conj(x) if cx.is_complex(x) else x


def like(x: Any, y: Any) -> Any:
    """A real `x` in the dtype of `y`."""
    dtype = type_of(y).dtype
    return x if type_of(x).dtype == dtype else convert(x, dtype=dtype)


def T(x: Any) -> Any:
    """The transposed matrices."""
    n = type_of(x).ndim
    return transpose(x, permutation=(*range(n - 2), n - 1, n - 2))


def H(x: Any) -> Any:
    """The conjugate transposed matrices."""
    return conj(T(x))


def hermitian(x: Any) -> Any:
    """The Hermitian part."""
    return (x + H(x)) * type_of(x).dtype.type(0.5)


def masked(mask: np.ndarray, x: Any) -> Any:
    """Matrices where the mask (one matrix) is true, zeros elsewhere."""
    t = type_of(x)
    return select(np.broadcast_to(mask, t.shape), t.dtype.type(0), x)


def tril(x: Any, k: int = 0) -> Any:
    """The lower triangles."""
    rows, columns = type_of(x).shape[-2:]
    return masked(np.tri(rows, columns, k, dtype=np.bool_), x)


def triu(x: Any, k: int = 0) -> Any:
    """The upper triangles."""
    rows, columns = type_of(x).shape[-2:]
    return masked(~np.tri(rows, columns, k - 1, dtype=np.bool_), x)


def eye(shape: Shape, dtype: np.dtype) -> np.ndarray:
    """Ones on the diagonals."""
    return np.broadcast_to(np.eye(*shape[-2:], dtype=dtype), shape)


def diagonal(x: Any) -> Any:
    """The diagonals of matrices, as rows."""
    return np.diagonal(x, 0, -2, -1)


def from_diagonal(d: Any) -> Any:
    """The square matrices with these diagonals."""
    shape = (*type_of(d).shape, type_of(d).shape[-1])
    return masked(np.eye(shape[-1], dtype=np.bool_), rows_of(d, shape))


def rows_of(d: Any, shape: Shape) -> Any:
    """``d[..., None, :]`` in `shape`: a number for each column."""
    return broadcast_in_dim(d, shape=shape, broadcast_dimensions=(*range(len(shape) - 2), len(shape) - 1))


def columns_of(d: Any, shape: Shape) -> Any:
    """``d[..., :, None]`` in `shape`: a number for each row."""
    return broadcast_in_dim(d, shape=shape, broadcast_dimensions=tuple(range(len(shape) - 1)))


def times(factor: Any, x: Any) -> Any:
    """Each matrix times its number."""
    t = type_of(x)
    return broadcast_in_dim(like(factor, x), shape=t.shape, broadcast_dimensions=tuple(range(t.ndim - 2))) * x


def trace(x: Any) -> Any:
    """The sums of the diagonals."""
    return np.sum(diagonal(x), axis=-1)


def ratio(x: Any, y: Any) -> Any:
    """``x / y`` elementwise for arrays of one shape; 0 where both are 0."""
    zero = type_of(y).dtype.type(0)
    nothing = and_(eq(x, type_of(x).dtype.type(0)), eq(y, zero))
    return x / like(select(nothing, y, zero + 1), x)


# Permutations of rows ------------------------------------------------------------------------------------------------


def _row_indices(permutation: Any) -> tuple[list[Any], Shape]:
    """Index arrays that address row ``permutation[..., i]`` of each matrix, and the axes that they stand for."""
    t = type_of(permutation)
    leading = [iota(dtype=INT64, shape=t.shape, dimension=k) for k in range(t.ndim - 1)]
    return [*leading, convert(permutation, dtype=INT64)], tuple(range(t.ndim))


def permute_rows(x: Any, permutation: Any) -> Any:
    """``x[..., permutation, :]`` for each matrix."""
    indices, axes = _row_indices(permutation)
    return gather(x, *indices, axes=axes)


def unpermute_rows(x: Any, permutation: Any) -> Any:
    """The inverse (and transpose) of `permute_rows`."""
    indices, axes = _row_indices(permutation)
    return scatter_add(zeros_like(x), x, *indices, axes=axes)


# Declarations --------------------------------------------------------------------------------------------------------


def batched_over_leading(name: str) -> Callable[..., Any]:
    """The batching rule of an operation on stacks of matrices: a batch is one more leading axis."""

    def batch(
        size: int, inputs: Values, batched: Sequence[bool], params: dict[str, Any]
    ) -> tuple[Values, tuple[bool, ...]]:
        out = bind(
            registry[name], *(x if b else repeat(x, size) for x, b in zip(inputs, batched, strict=True)), **params
        )
        return out, (True,) * len(out)

    return batch


def need_matrices(name: str, *types: ArrayType, square: Sequence[int] = ()) -> None:
    """Check that operands are stacks of matrices of one dtype that has linear algebra; which of them are square."""
    shapes = ", ".join(str(t.shape) for t in types)
    if any(t.dtype != types[0].dtype for t in types) or types[0].dtype not in MATRICES:
        raise TypeError(f"{name} does not accept dtypes {', '.join(t.dtype.name for t in types)}")
    if any(t.ndim < 2 or t.shape[:-2] != types[0].shape[:-2] for t in types):
        raise TypeError(f"{name}: operands of shapes {shapes} are no stacks of matrices with the same leading axes")
    if any(types[k].shape[-1] != types[k].shape[-2] for k in square):
        raise TypeError(f"{name}: among operands of shapes {shapes}, one that must be square is not")


def over_stack(function: Callable[..., tuple[Any, ...]], *stacks: Any) -> tuple[np.ndarray, ...]:
    """Results of a function of single matrices (it must take zeros), stacked as its operands are."""
    stacks = tuple(np.asarray(x, np.asarray(x).dtype.newbyteorder("=")) for x in stacks)
    lead = stacks[0].shape[:-2]
    count = int(np.prod(lead, dtype=int))
    one = [np.zeros((1, *x.shape[-2:]), x.dtype) for x in stacks]  # of an empty stack: for shapes and dtypes
    flat = [x.reshape(count, *x.shape[-2:]) for x in stacks] if count else one
    results = [function(*matrices) for matrices in zip(*flat, strict=True)]
    shaped = [np.stack(parts) for parts in zip(*results, strict=True)]
    return tuple(x[:count].reshape(*lead, *x.shape[1:]) for x in shaped)


def underivable(name: str, why: str) -> Callable[..., Any]:
    """A rule for derivatives that there are none of: an error that says why."""

    def refuse(*given: Any) -> Any:
        raise TypeError(f"{name} has no derivative: {why}")

    return refuse
