"""Is funcgrad.scipy.linalg SciPy's, traced?  Values held against SciPy, derivatives against JAX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.linalg as reference

import funcgrad as fg
from funcgrad.scipy import linalg

RNG = np.random.default_rng(5)
A = RNG.normal(size=(4, 4)) + np.diag([2.0, 4, 6, 8])
B = RNG.normal(size=(4, 4))
S = A @ A.T + np.eye(4)
P = B @ B.T + np.eye(4)
Z = A + 1j * B
TALL, VECTOR = RNG.normal(size=(5, 3)), RNG.normal(size=4)
SIDES = RNG.normal(size=(4, 2))
TRIANGLE = np.tril(A)


def _lu_solve(module: Any, trans: int) -> Callable[..., Any]:
    return lambda a, b: module.lu_solve(module.lu_factor(a), b, trans=trans)


def _same(name: str, *args: Any, **kwargs: Any) -> tuple[str, Callable[[Any], Callable[..., Any]], tuple[Any, ...]]:
    label = f"{name} {' '.join(f'{k}={v}' for k, v in kwargs.items())}"
    return label, lambda module: lambda *xs: getattr(module, name)(*xs, **kwargs), args


CASES: list[tuple[str, Callable[[Any], Callable[..., Any]], tuple[Any, ...]]] = [
    _same("cholesky", S),
    _same("cholesky", S, lower=True),
    _same("solve", A, SIDES),
    _same("solve", A, VECTOR),
    _same("solve", S, VECTOR, assume_a="pos"),
    _same("solve", Z, SIDES),
    *(_same("solve_triangular", TRIANGLE, SIDES, lower=True, trans=trans) for trans in (0, 1, "C")),
    _same("solve_triangular", A, VECTOR, unit_diagonal=True),
    _same("solve_triangular", Z, VECTOR, trans=2),
    ("cho_solve", lambda m: lambda s, b: m.cho_solve(m.cho_factor(s), b), (S, SIDES)),
    ("cho_solve lower", lambda m: lambda s, b: m.cho_solve(m.cho_factor(s, lower=True), b), (S, VECTOR)),
    *((f"lu_solve {trans}", lambda m, trans=trans: _lu_solve(m, trans), (A, SIDES)) for trans in (0, 1)),
    ("lu_solve conjugate", lambda m: _lu_solve(m, 2), (Z, VECTOR)),
    _same("lu", TALL),
    _same("lu", TALL.T),
    _same("lu", A, permute_l=True),
    _same("inv", A),
    _same("det", A),
    _same("det", A[:2, :2]),
    _same("qr", TALL),
    _same("qr", TALL, mode="economic"),
    _same("svd", TALL, full_matrices=False),
    ("eigh", lambda m: lambda s: [m.eigh(s)[0], m.eigh(s)[1] ** 2], (S,)),
    _same("eigh", S, lower=False, eigvals_only=True),
    *(_same("eigh", S, P, type=kind, eigvals_only=True) for kind in (1, 2, 3)),
    ("eigh vectors", lambda m: lambda s, p: abs(m.eigh(s, p, type=3)[1]), (S, P)),
    _same("eigh_tridiagonal", VECTOR, VECTOR[:3] + 3, eigvals_only=True),
    _same("expm", B),
    _same("expm_frechet", B, A),
    _same("solve_sylvester", A, B[:2, :2], SIDES),
    ("polar", lambda m: lambda a: m.polar(a), (A,)),
    ("polar left", lambda m: lambda a: m.polar(a, side="left"), (TALL.T,)),
    _same("hessenberg", A, calc_q=True),
    _same("schur", B),
    _same("schur", B, output="complex"),
    _same("toeplitz", VECTOR),
    _same("toeplitz", VECTOR, TALL[:, 0]),
    _same("hankel", VECTOR),
    _same("hankel", VECTOR, TALL[:, 1]),
    _same("circulant", VECTOR),
    _same("companion", VECTOR),
    _same("fiedler", VECTOR),
    *(_same("fiedler_companion", RNG.normal(size=n)) for n in (3, 4, 6, 7)),
    _same("leslie", VECTOR, VECTOR[:3]),
    *((f"convolution_matrix {mode}", lambda m, mode=mode: lambda a: m.convolution_matrix(a, 6, mode), (VECTOR,))
      for mode in ("full", "same", "valid")),
    _same("block_diag", A, TALL, VECTOR),
]  # fmt: skip
AGAINST_JAX = (  # one of each kind: JAX compiles every operation by itself, which takes a second for each
    "cholesky ", "solve ", "solve_triangular lower=True trans=C", "cho_solve", "lu ", "lu_solve conjugate",
    "qr mode=economic", "svd full_matrices=False", "eigh", "expm ",
)  # fmt: skip
NAMES = [f"{k} {label}" for k, (label, _, _) in enumerate(CASES)]


def _leaves(x: Any) -> list[np.ndarray]:
    return [np.asarray(v) for v in x] if isinstance(x, (tuple, list)) else [np.asarray(x)]


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_values_are_scipys(case: Any) -> None:
    _, make, args = case
    want = _leaves(make(reference)(*args))
    for got in (make(linalg)(*args), fg.jit(make(linalg))(*args)):
        assert len(_leaves(got)) == len(want)
        for g, w in zip(_leaves(got), want, strict=True):
            assert g.shape == w.shape
            np.testing.assert_allclose(g, w, rtol=1e-9, atol=1e-11 * np.abs(w).max(initial=1))


def _scalar(function: Callable[..., Any], np_: Any, hermitian: bool) -> Callable[..., Any]:
    """A real function of all results, the same for both libraries."""

    def combined(*args: Any) -> Any:
        # JAX's derivatives by a Hermitian matrix are those by one triangle of it: along Hermitian ones both agree
        args = (args[0] + args[0].T, *args[1:]) if hermitian else args
        total = 0.0
        for k, x in enumerate(_parts(function(*args))):
            weights = np.cos(np.arange(x.size) + k).reshape(x.shape)
            total = total + np_.sum(np_.real(x) * weights) + np_.sum(np_.imag(x) * weights)
        return total

    return combined


def _parts(x: Any) -> list[Any]:
    return list(x) if isinstance(x, (tuple, list)) else [x]


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=name) for case, name in zip(CASES, NAMES, strict=True) if case[0] in AGAINST_JAX],
)
def test_derivatives_are_jaxs(case: Any) -> None:
    jax = pytest.importorskip("jax")
    _, make, args = case
    which, hermitian = tuple(range(len(args))), args[0] is S
    with jax.enable_x64(True):
        want = jax.jit(jax.grad(_scalar(make(jax.scipy.linalg), jax.numpy, hermitian), which))(*args)
        want = [np.asarray(w) for w in want]
    got = fg.grad(_scalar(make(linalg), np, hermitian), which)(*args)
    compiled = fg.jit(fg.grad(_scalar(make(linalg), np, hermitian), which))(*args)
    for g, c, w in zip(got, compiled, want, strict=True):
        np.testing.assert_allclose(g, w, rtol=1e-7, atol=1e-8 * np.abs(w).max(initial=1))
        np.testing.assert_allclose(c, w, rtol=1e-7, atol=1e-8 * np.abs(w).max(initial=1))


@pytest.mark.parametrize("name", ["hilbert", "invhilbert", "pascal", "invpascal", "hadamard", "helmert", "dft"])
def test_constant_matrices(name: str) -> None:
    got = getattr(linalg, name)(4)
    assert type(got) is fg.Array
    np.testing.assert_array_equal(got, getattr(reference, name)(4))


def test_sqrtm_and_funm() -> None:
    for got in (linalg.sqrtm(S), fg.jit(linalg.sqrtm)(S), linalg.funm(S, np.sqrt)):
        np.testing.assert_allclose(got, reference.sqrtm(S), rtol=1e-9, atol=1e-9)
    moved = fg.jvp(lambda s: np.real(linalg.sqrtm(s)), (S,), (P,))[1]
    ahead, behind = (reference.sqrtm(S + h * P) for h in (1e-4, -1e-4))
    np.testing.assert_allclose(moved, (ahead - behind) / 2e-4, rtol=1e-6, atol=1e-7)


def test_generalized_eigenvectors_have_derivatives() -> None:
    def spread(s: Any) -> Any:
        w, v = linalg.eigh(s, P)
        return np.sum(w[:2] * np.sum((P @ v)[:, :2] ** 2, axis=0))

    h = 1e-5
    direction = B + B.T
    ahead, behind = (float(spread(S + step * direction)) for step in (h, -h))
    np.testing.assert_allclose(np.sum(fg.grad(spread)(S) * direction), (ahead - behind) / (2 * h), rtol=1e-6)


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (linalg.solve_triangular, (np.diag([1.0, 0.0]), np.ones(2))),
        (linalg.solve, (np.ones((2, 2)), np.ones(2))),
        (linalg.cholesky, (-np.eye(2),)),
        (linalg.inv, (np.zeros((9, 9)),)),
    ],
)
def test_what_lapack_refuses_raises(function: Any, args: Any) -> None:
    for call in (function, fg.jit(function), fg.grad(lambda *xs: np.sum(function(*xs)))):
        with pytest.raises(np.linalg.LinAlgError, match=r"(?i)singular|definite"):
            call(*args)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: linalg.solve(np.ones((2, 3)), np.ones(2)), "solve: a square matrix is needed, not one of shape"),
        (lambda: linalg.solve(np.eye(2), np.ones(3)), r"solve: shapes \(2, 2\) and \(3,\)"),
        (lambda: linalg.solve_triangular(np.eye(2), np.ones(2), trans=3), "trans must be"),
        (lambda: linalg.qr(np.eye(2), mode="thin"), "mode must be"),
        (lambda: linalg.eigh_tridiagonal(np.ones(3), np.ones(3)), "do not fit"),
        (lambda: linalg.expm(np.ones(3)), "expm: a matrix is needed"),
    ],
)
def test_mistakes(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_no_derivative_is_an_error() -> None:
    with pytest.raises(TypeError, match="schur has no derivative"):
        fg.grad(lambda a: np.sum(linalg.schur(a)[0]))(A)


def test_batches() -> None:
    stack = np.stack([S, P, S + P])
    for function in (linalg.cholesky, linalg.expm, linalg.inv, lambda s: linalg.lu(s)[1]):
        np.testing.assert_allclose(fg.jit(fg.vmap(function))(stack), np.stack([function(s) for s in stack]), rtol=1e-10)
        np.testing.assert_allclose(function(stack), np.stack([function(s) for s in stack]), rtol=1e-10)
    got = fg.vmap(lambda b: linalg.solve_triangular(TRIANGLE, b, lower=True))(np.stack([SIDES, 2 * SIDES]))
    np.testing.assert_allclose(TRIANGLE @ got, np.stack([SIDES, 2 * SIDES]), rtol=1e-12, atol=1e-12)
