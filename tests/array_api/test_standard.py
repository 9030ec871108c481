"""Is `funcgrad.numpy` a namespace of the Array API standard (2025.12)?  Every function with the standard's signature.

Each call is written as the standard writes it, positional-only arguments by position, keyword-only ones by keyword; it
is made with known arrays, and inside `jit`, through ``x.__array_namespace__()``, and held against NumPy's, which
conforms.  In-place writes, and results whose shape depends on values, are for known arrays only.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad import tree

X = np.array([[1.5, -2.0, 0.5], [3.0, 0.25, -1.0]])
Y = np.array([[0.5, 2.0, 1.5], [-3.0, 1.25, 2.0]])
I, J = np.array([[6, 3, -5], [1, 0, 7]]), np.array([[1, 2, 3], [2, 1, 1]])
B = np.array([[True, False, True], [False, False, True]])
S = X[:, :2] @ X[:, :2].T + 3 * np.eye(2)  # symmetric, positive
Calls = dict[str, Callable[..., Any]]

ELEMENTWISE_1 = (
    "abs acos acosh asin asinh atan atanh ceil conj cos cosh exp expm1 floor imag isfinite isinf isnan log log1p log2 "
    "log10 negative positive real reciprocal round sign signbit sin sinh square sqrt tan tanh trunc"
).split()
ELEMENTWISE_2 = (
    "add atan2 copysign divide equal floor_divide greater greater_equal hypot less less_equal logaddexp maximum "
    "minimum multiply nextafter not_equal pow remainder subtract"
).split()
BITWISE = "bitwise_and bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift".split()
LOGICAL = "logical_and logical_or logical_xor".split()
COMPLEX = "abs conj imag real sign exp sqrt square isfinite isnan negative positive".split()

CALLS: Calls = {
    "clip": lambda xp, x: xp.clip(x, 0, 1.5),
    "clip, by keyword": lambda xp, x: xp.clip(x, min=0.0),
    "bitwise_invert": lambda xp, x: xp.bitwise_invert(xp.asarray(I)),
    "logical_not": lambda xp, x: xp.logical_not(x > 0),
    # creation
    "arange": lambda xp, x: xp.arange(1, 7, 2, dtype=xp.float32, device="cpu"),
    "asarray": lambda xp, x: xp.asarray(x, dtype=xp.float32, device="cpu", copy=True),
    "empty_like": lambda xp, x: xp.empty_like(x, dtype=xp.int64, device="cpu") * 0,
    "eye": lambda xp, x: xp.eye(2, 3, k=1, dtype=xp.float32, device="cpu") + x[0, 0],
    "full": lambda xp, x: xp.full((2, 2), 3.0, dtype=xp.float32, device="cpu"),
    "full, traced": lambda xp, x: xp.full((2, 2), x[0, 0]),
    "full_like": lambda xp, x: xp.full_like(x, 7, dtype=xp.int32, device="cpu"),
    "linspace": lambda xp, x: xp.linspace(0.0, 2.0, num=5, dtype=xp.float32, device="cpu", endpoint=False),
    "linspace, traced": lambda xp, x: xp.linspace(x[0, 1], x[0, 0], num=4),
    "meshgrid": lambda xp, x: xp.meshgrid(x[0], x[1], indexing="ij"),
    "ones": lambda xp, x: xp.ones((2,), dtype=xp.float32, device="cpu"),
    "ones_like": lambda xp, x: xp.ones_like(x, dtype=xp.bool, device="cpu"),
    "tril": lambda xp, x: xp.tril(x, k=-1),
    "triu": lambda xp, x: xp.triu(x, k=1),
    "zeros": lambda xp, x: xp.zeros(3, dtype=xp.int8, device="cpu"),
    "zeros_like": lambda xp, x: xp.zeros_like(x, dtype=xp.float32, device="cpu"),
    # dtypes
    "astype": lambda xp, x: xp.astype(x, xp.int32, copy=False, device="cpu"),
    # indexing
    "take": lambda xp, x: xp.take(x, xp.asarray([2, 0]), axis=1),
    "take_along_axis": lambda xp, x: xp.take_along_axis(x, xp.asarray([[2, 0], [1, 1]]), axis=-1),
    # linear algebra
    "matmul": lambda xp, x: xp.matmul(x, xp.matrix_transpose(x)),
    "tensordot": lambda xp, x: xp.tensordot(x, x, axes=((1,), (1,))),
    "vecdot": lambda xp, x: xp.vecdot(x, x, axis=-1),
    # manipulation
    "broadcast_arrays": lambda xp, x: xp.broadcast_arrays(x, x[:1]),
    "broadcast_to": lambda xp, x: xp.broadcast_to(x, (4, 2, 3)),
    "concat": lambda xp, x: xp.concat([x, x], axis=None),
    "expand_dims": lambda xp, x: xp.expand_dims(x, axis=-1),
    "flip": lambda xp, x: xp.flip(x, axis=(0, 1)),
    "moveaxis": lambda xp, x: xp.moveaxis(x, 0, -1),
    "permute_dims": lambda xp, x: xp.permute_dims(x, (1, 0)),
    "repeat": lambda xp, x: xp.repeat(x, 2, axis=1),
    "reshape": lambda xp, x: xp.reshape(x, (3, 2), copy=True),
    "roll": lambda xp, x: xp.roll(x, (1, -1), axis=(0, 1)),
    "squeeze": lambda xp, x: xp.squeeze(x[:1], axis=0),
    "stack": lambda xp, x: xp.stack([x, x], axis=1),
    "tile": lambda xp, x: xp.tile(x, (2, 1, 2)),
    "unstack": lambda xp, x: xp.unstack(x, axis=1),
    # searching, sorting
    "argmax": lambda xp, x: xp.argmax(x, axis=1, keepdims=True),
    "argmin": lambda xp, x: xp.argmin(x),
    "count_nonzero": lambda xp, x: xp.count_nonzero(x, axis=0, keepdims=True),
    "searchsorted": lambda xp, x: xp.searchsorted(xp.sort(x[0]), x[1], side="right", sorter=None),
    "where": lambda xp, x: xp.where(x > 0, x, 0.0),
    "argsort": lambda xp, x: xp.argsort(x, axis=0, stable=True),
    "sort": lambda xp, x: xp.sort(x, axis=-1, stable=True),
    # statistics, utilities
    "cumulative_prod": lambda xp, x: xp.cumulative_prod(x, axis=1, dtype=xp.float64, include_initial=True),
    "cumulative_sum": lambda xp, x: xp.cumulative_sum(x, axis=0, include_initial=False),
    "max": lambda xp, x: xp.max(x, axis=(0, 1), keepdims=True),
    "mean": lambda xp, x: xp.mean(x, axis=0, keepdims=False),
    "min": lambda xp, x: xp.min(x),
    "prod": lambda xp, x: xp.prod(x, axis=1, dtype=xp.float32, keepdims=True),
    "std": lambda xp, x: xp.std(x, axis=1, correction=1.0, keepdims=False),
    "sum": lambda xp, x: xp.sum(x, axis=0, dtype=xp.float32),
    "var": lambda xp, x: xp.var(x, axis=1, correction=0.5, keepdims=True),
    "all": lambda xp, x: xp.all(x > 0, axis=1, keepdims=True),
    "any": lambda xp, x: xp.any(x > 0),
    "diff": lambda xp, x: xp.diff(x, axis=1, n=2, prepend=x[:, :1], append=x[:, -1:]),
    # linalg
    "linalg.cholesky": lambda xp, x: xp.linalg.cholesky(gram(x), upper=False),
    "linalg.cross": lambda xp, x: xp.linalg.cross(x, x[::-1, :], axis=-1),
    "linalg.det": lambda xp, x: xp.linalg.det(gram(x)),
    "linalg.diagonal": lambda xp, x: xp.linalg.diagonal(x, offset=1),
    "linalg.eigvalsh": lambda xp, x: xp.linalg.eigvalsh(gram(x)),
    "linalg.inv": lambda xp, x: xp.linalg.inv(gram(x)),
    "linalg.matmul": lambda xp, x: xp.linalg.matmul(gram(x), x),
    "linalg.matrix_norm": lambda xp, x: xp.linalg.matrix_norm(x, keepdims=True, ord="nuc"),
    "linalg.matrix_power": lambda xp, x: xp.linalg.matrix_power(gram(x), -2),
    "linalg.matrix_rank": lambda xp, x: xp.linalg.matrix_rank(gram(x), rtol=1e-9),
    "linalg.matrix_transpose": lambda xp, x: xp.linalg.matrix_transpose(x),
    "linalg.outer": lambda xp, x: xp.linalg.outer(x[0], x[1]),
    "linalg.pinv": lambda xp, x: xp.linalg.pinv(x, rtol=1e-9),
    "linalg.slogdet": lambda xp, x: tuple(xp.linalg.slogdet(gram(x))),
    "linalg.solve": lambda xp, x: xp.linalg.solve(gram(x), x),
    "linalg.svdvals": lambda xp, x: xp.linalg.svdvals(x),
    "linalg.tensordot": lambda xp, x: xp.linalg.tensordot(x, x, axes=2),
    "linalg.trace": lambda xp, x: xp.linalg.trace(x, offset=1, dtype=xp.float64),
    "linalg.vecdot": lambda xp, x: xp.linalg.vecdot(x, x, axis=-1),
    "linalg.vector_norm": lambda xp, x: xp.linalg.vector_norm(x, axis=1, keepdims=True, ord=3),
    # fft (more below)
    "fft.fftshift": lambda xp, x: xp.fft.ifftshift(xp.fft.fftshift(x, axes=0), axes=1),
    "fft.fftfreq": lambda xp, x: xp.fft.fftfreq(5, d=0.5, device="cpu") + xp.fft.rfftfreq(8, d=0.5, device="cpu"),
}  # fmt: skip


def gram(x: Any) -> Any:
    """A symmetric positive matrix."""
    xp = x.__array_namespace__()
    return xp.matmul(x, xp.matrix_transpose(x)) + 2 * xp.eye(2)


def calling(name: str, arguments: Callable[..., tuple[Any, ...]], **options: Any) -> Callable[..., Any]:
    """The call of the function with a (dotted) name."""
    return lambda xp, x: operator.attrgetter(name)(xp)(*arguments(xp, x), **options)


def _many() -> Calls:
    calls = {n: calling(n, lambda xp, x: (xp.abs(x) * 0.3,)) for n in ELEMENTWISE_1}
    calls["acosh"] = calling("acosh", lambda xp, x: (xp.abs(x) + 1,))
    calls |= {n: calling(n, lambda xp, x: (xp.abs(x), xp.asarray(Y))) for n in ELEMENTWISE_2}
    calls |= {n: calling(n, lambda xp, x: (xp.astype(x, xp.int64), xp.asarray(J))) for n in BITWISE}
    calls |= {n: calling(n, lambda xp, x: (x > 0, xp.asarray(B))) for n in LOGICAL}
    calls |= {f"{n}, complex": calling(n, lambda xp, x: (x + 1j * xp.asarray(Y),)) for n in COMPLEX}
    for n in "fft.fft fft.ifft fft.rfft fft.irfft fft.hfft fft.ihfft".split():
        calls[n] = calling(n, lambda xp, x: (x,), n=4, axis=-1, norm="ortho")
    for n in "fft.fftn fft.ifftn fft.rfftn fft.irfftn".split():
        calls[n] = calling(n, lambda xp, x: (x,), s=(2, 4), axes=(0, 1), norm="forward")
    return calls


CALLS |= _many()

KNOWN_ONLY: Calls = {  # the shape of the result depends on values
    "nonzero": lambda xp, x: xp.nonzero(x),
    "unique_all": lambda xp, x: tuple(xp.unique_all(x)),
    "unique_counts": lambda xp, x: tuple(xp.unique_counts(x)),
    "unique_inverse": lambda xp, x: tuple(xp.unique_inverse(x)),
    "unique_values": lambda xp, x: xp.unique_values(x),
    "from_dlpack": lambda xp, x: xp.from_dlpack(x, device=None, copy=None),
    "empty": lambda xp, x: xp.empty((2,), dtype=xp.float32, device="cpu") * 0,
}


def hold(got: Any, want: Any) -> None:
    got, want = tree.leaves(got), tree.leaves(want)
    assert len(got) == len(want)
    for g, w in zip(got, want, strict=True):
        g, w = np.asarray(g), np.asarray(w)
        assert (g.shape, g.dtype) == (w.shape, w.dtype)
        np.testing.assert_allclose(g, w, rtol=1e-5 if w.dtype == np.float32 else 1e-12, atol=1e-12)


def array(x: np.ndarray) -> Any:
    return fnp.asarray(x)


@pytest.mark.parametrize("name", sorted({**CALLS, **KNOWN_ONLY}))
def test_known(name: str) -> None:
    call = CALLS.get(name) or KNOWN_ONLY[name]
    x = array(X)
    assert x.__array_namespace__() is fnp
    hold(call(fnp, x), call(np, X))


@pytest.mark.parametrize("name", sorted(CALLS))
def test_traced(name: str) -> None:
    call = CALLS[name]
    hold(fg.jit(lambda x: call(x.__array_namespace__(), x))(X), call(np, X))


# Operators, attributes, constants, dtypes -----------------------------------------------------------------------------

ATTRIBUTES = "T device dtype mT ndim shape size".split()
METHODS = (
    "abs add and array_namespace bool complex dlpack eq float floordiv ge getitem gt index int invert le lshift lt "
    "matmul mod mul ne neg or pos pow rshift setitem sub truediv xor radd rand rfloordiv rlshift rmatmul rmod rmul ror "
    "rpow rrshift rsub rtruediv rxor"
).split()


def test_array_objects_have_the_standards_attributes() -> None:
    def look(x: Any) -> Any:
        for name in (*ATTRIBUTES, "to_device"):
            getattr(x, name)
        assert all(callable(getattr(x, f"__{name}__")) for name in METHODS)
        assert x.device == "cpu"
        return x.to_device("cpu")

    fg.jit(look)(X)
    look(array(X))
    with pytest.raises(ValueError, match="Unsupported device"):
        fg.jit(lambda x: x.to_device("gpu"))(X)
    with pytest.raises(ValueError, match=r"Version '1999\.01'"):
        fg.jit(lambda x: x.__array_namespace__(api_version="1999.01").sum(x))(X)
    with pytest.raises(BufferError, match="no memory"):
        fg.jit(lambda x: np.from_dlpack(x))(X)


def test_namespace() -> None:
    assert fnp.__array_api_version__ == "2025.12"
    for name in "e inf nan newaxis pi".split():
        assert getattr(fnp, name) is getattr(np, name) or getattr(fnp, name) == getattr(np, name) or name == "nan"
    for name in "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 complex64 complex128".split():
        assert np.dtype(getattr(fnp, name)) == np.dtype(getattr(np, name))
    assert fnp.can_cast(fnp.int8, fnp.int16)
    assert fnp.isdtype(fnp.float32, "real floating")
    assert fnp.result_type(fnp.int8, fnp.float32) == np.float32
    assert fnp.finfo(fnp.float32).bits == 32
    assert fnp.iinfo(fnp.int8).max == 127


def test_inspection() -> None:
    info = fnp.__array_namespace_info__()
    assert info.default_device() == "cpu"
    assert info.devices() == ("cpu",)
    assert set(info.capabilities()) == {"boolean indexing", "data-dependent shapes", "max dimensions"}
    assert info.default_dtypes(device="cpu")["integral"] == fnp.arange(1).dtype
    assert info.dtypes(kind="bool") == {"bool": np.dtype(bool)}
    assert set(info.dtypes(kind=("signed integer", "complex floating"))) == {
        *("int8", "int16", "int32", "int64"),
        *("complex64", "complex128"),
    }
    with pytest.raises(ValueError, match="Only"):
        info.dtypes(device="gpu")


def test_results_are_of_the_namespace() -> None:
    for result in (fnp.sum(X), fnp.add(X, 1), fnp.linalg.inv(S), fnp.fft.fft(X)):
        assert result.__array_namespace__() is fnp
