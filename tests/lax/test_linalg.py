"""Is funcgrad.lax.linalg `jax.lax.linalg`?  Held against JAX where no test of scipy.linalg does it; and `lax.fft`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.lax import linalg

RNG = np.random.default_rng(2)
A = RNG.normal(size=(2, 4, 4)) + np.diag([2.0, 4, 6, 8])
S = A @ np.swapaxes(A, 1, 2) + np.eye(4)
B = RNG.normal(size=(2, 4, 3))
TALL = RNG.normal(size=(5, 3))
BAND = RNG.normal(size=(3, 5)) + [[0.0], [6], [0]]
HOUSE = np.tril(RNG.normal(size=(5, 3))), RNG.normal(size=3)

CASES: dict[str, tuple[Callable[[Any], Callable[..., Any]], tuple[Any, ...]]] = {
    "cholesky of a triangle": (lambda m: lambda s: m.cholesky(s, symmetrize_input=False), (S,)),
    "cholesky_update": (lambda m: m.cholesky_update, (np.swapaxes(np.linalg.cholesky(S[0]), 0, 1), B[0, :, 0])),
    "eig values": (
        lambda m: lambda a: m.eig(a, compute_left_eigenvectors=False, compute_right_eigenvectors=False)[0],
        (S,),
    ),
    "eig vectors": (lambda m: lambda a: [abs(x) for x in m.eig(a)[1:]], (S,)),
    "householder_product": (lambda m: m.householder_product, HOUSE),
    "ormqr": (lambda m: lambda a, t: m.ormqr(a, t, np.ones((5, 2)), transpose=True), HOUSE),
    "lu": (lambda m: m.lu, (A,)),
    "lu_pivots_to_permutation": (
        lambda m: lambda p: m.lu_pivots_to_permutation(p, 5),
        (np.array([3, 1, 4], np.int32),),
    ),
    "symmetric_product": (lambda m: lambda a, c: m.symmetric_product(a, c, alpha=2, beta=3), (A[0], S[0])),
    "triangular_solve": (lambda m: lambda a, b: m.triangular_solve(a, b, left_side=True, transpose_a=True), (A, B)),
    "triangular_solve right": (
        lambda m: lambda a, b: m.triangular_solve(a, b, lower=True, unit_diagonal=True),
        (A, np.swapaxes(B, 1, 2)),
    ),
    "triangular_solve of a vector": (
        lambda m: lambda a, b: m.triangular_solve(a, b, left_side=True),
        (A[0], B[0, :, 0]),
    ),
    "tridiagonal": (lambda m: lambda s: m.tridiagonal(s)[1:3], (S[0],)),
    "hessenberg": (lambda m: lambda a: abs(m.hessenberg(a)[1]), (A[0],)),
    "schur": (lambda m: lambda a: abs(m.schur(a)[0]), (S[0],)),
    "tridiagonal_solve": (lambda m: lambda d, b: m.tridiagonal_solve(d[0], d[1], d[2], b), (BAND, TALL)),
}
SMOOTH = ("eig values", "triangular_solve right", "tridiagonal_solve")


def leaves(x: Any) -> list[np.ndarray]:
    return [np.asarray(v) for v in x] if isinstance(x, (tuple, list)) else [np.asarray(x)]


@pytest.mark.parametrize("name", CASES)
def test_values_are_jaxs(name: str) -> None:
    jax = pytest.importorskip("jax")
    make, args = CASES[name]
    with jax.enable_x64(True):
        want = leaves(jax.jit(make(jax.lax.linalg))(*args))
    for got in (make(linalg)(*args), fg.jit(make(linalg))(*args)):
        for g, w in zip(leaves(got), want, strict=True):
            assert g.shape == w.shape
            np.testing.assert_allclose(g, w, rtol=1e-9, atol=1e-11 * np.abs(w).max(initial=1))


@pytest.mark.parametrize("name", SMOOTH)
def test_derivatives_are_jaxs(name: str) -> None:
    jax = pytest.importorskip("jax")
    make, args = CASES[name]

    def scalar(m: Any, xp: Any) -> Callable[..., Any]:
        def function(*args: Any) -> Any:
            parts = make(m)(*args)
            parts = parts if isinstance(parts, (tuple, list)) else [parts]
            weights = [np.cos(np.arange(x.size) + 1.0).reshape(x.shape) for x in parts]
            return sum(xp.sum(xp.real(x) * w) for x, w in zip(parts, weights, strict=True))

        return function

    which = tuple(range(len(args)))
    with jax.enable_x64(True):
        want = [np.asarray(g) for g in jax.jit(jax.grad(scalar(jax.lax.linalg, jax.numpy), which))(*args)]
    for g, w in zip(fg.jit(fg.grad(scalar(linalg, np), which))(*args), want, strict=True):
        np.testing.assert_allclose(g, w, rtol=1e-7, atol=1e-8 * np.abs(w).max(initial=1))


@pytest.mark.parametrize("kind", list(fg.lax.FftType))
def test_fft(kind: Any) -> None:
    x = RNG.normal(size=(2, 4, 6))
    z = x if kind is fg.lax.FftType.RFFT else x + 1j
    lengths = (4, 10) if kind is fg.lax.FftType.IRFFT else (4, 6)
    reference = getattr(np.fft, {"FFT": "fft2", "IFFT": "ifft2", "RFFT": "rfft2", "IRFFT": "irfft2"}[kind.name])
    want = reference(z, s=lengths, axes=(-2, -1))
    for given in (kind, kind.name):
        np.testing.assert_allclose(fg.jit(lambda z, k=given: fg.lax.fft(z, k, lengths))(z), want, atol=1e-13)
    with pytest.raises(ValueError, match="lengths"):
        fg.lax.fft(z, kind, (4, 5, 6, 7))


def test_factorizations_are_numpys() -> None:
    vectors, values = linalg.eigh(S)
    np.testing.assert_allclose(np.abs(vectors), np.abs(np.linalg.eigh(S)[1]), atol=1e-12)
    np.testing.assert_allclose(values, np.linalg.eigvalsh(S))
    np.testing.assert_allclose(linalg.cholesky(S), np.linalg.cholesky(S))
    np.testing.assert_allclose(linalg.svd(TALL, compute_uv=False), np.linalg.svdvals(TALL))
    assert [x.shape for x in linalg.svd(TALL)] == [(5, 5), (3,), (3, 3)]
    assert [x.shape for x in linalg.qr(TALL)] == [(5, 5), (5, 3)]


def test_refusals() -> None:
    with pytest.raises(TypeError, match="pivoting"):
        linalg.qr(TALL, pivoting=True)
    with pytest.raises(np.linalg.LinAlgError, match="positive definite"):
        fg.jit(linalg.cholesky)(-S)


def test_schur_without_vectors() -> None:
    (form,) = linalg.schur(S[0], compute_schur_vectors=False)
    np.testing.assert_array_equal(form, linalg.schur(S[0])[0])


def test_results_are_arrays_of_the_callers_own() -> None:
    for found in (linalg.cholesky(S), *linalg.qr(TALL), *linalg.eigh(S), fg.lax.fft(S, "FFT", S.shape[-1:])):
        assert type(found) is fg.Array
        assert found.flags.writeable
        assert not np.shares_memory(found, S)
