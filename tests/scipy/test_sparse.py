"""Do the iterative solvers solve, differentiate and batch?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.scipy.sparse.linalg import bicgstab, cg, gmres

RNG = np.random.default_rng(3)
GENERAL = RNG.normal(size=(12, 12)) + 8 * np.eye(12)
DEFINITE = GENERAL @ GENERAL.T
B = RNG.normal(size=12)
SOLVERS = [(cg, DEFINITE), (bicgstab, GENERAL), (gmres, GENERAL)]
every = pytest.mark.parametrize(("solver", "matrix"), SOLVERS, ids=["cg", "bicgstab", "gmres"])


@every
@pytest.mark.parametrize("compiled", [False, True])
def test_solutions(solver: Any, matrix: np.ndarray, compiled: bool) -> None:
    solve = lambda a, b: solver(a, b, tol=1e-12)  # noqa: E731
    x, info = (fg.jit(solve) if compiled else solve)(matrix, B)
    assert info is None
    np.testing.assert_allclose(matrix @ x, B, atol=1e-10)


@every
def test_functions_pytrees_starts_and_preconditioners(solver: Any, matrix: np.ndarray) -> None:
    def product(x: Any) -> Any:
        y = matrix @ np.concatenate([x["a"], x["b"][0]])
        return {"a": y[:5], "b": y[5:][None]}

    b = {"a": B[:5], "b": B[5:][None]}
    start = {"a": np.ones(5), "b": np.ones((1, 7))}
    scale = np.diag(matrix)
    inverse = lambda x: {"a": x["a"] / scale[:5], "b": x["b"] / scale[5:]}  # noqa: E731
    x, _ = solver(product, b, start, tol=1e-12, M=inverse)
    np.testing.assert_allclose(matrix @ np.concatenate([x["a"], x["b"][0]]), B, atol=1e-10)


@every
@pytest.mark.parametrize("compiled", [False, True])
def test_gradients(solver: Any, matrix: np.ndarray, compiled: bool) -> None:
    loss = lambda a, b: np.sum(solver(a, b, tol=1e-13)[0] ** 2)  # noqa: E731
    gradient = fg.grad(loss, argnums=(0, 1))
    by_matrix, by_b = (fg.jit(gradient) if compiled else gradient)(matrix, B)
    x = np.linalg.solve(matrix, B)
    adjoint = np.linalg.solve(matrix.T, 2 * x)
    np.testing.assert_allclose(by_b, adjoint, atol=1e-10)
    np.testing.assert_allclose(by_matrix, -np.outer(adjoint, x), atol=1e-10)


@every
def test_batches(solver: Any, matrix: np.ndarray) -> None:
    batch = RNG.normal(size=(5, 12))
    x = fg.jit(fg.vmap(lambda b: solver(matrix, b, tol=1e-12)[0]))(batch)
    np.testing.assert_allclose(x @ matrix.T, batch, atol=1e-9)


@every
def test_the_tolerance_ends_it_and_so_do_the_iterations(solver: Any, matrix: np.ndarray) -> None:
    zero, _ = solver(matrix, B, atol=1e3)
    assert not np.any(zero)
    few, _ = solver(matrix, B, maxiter=0)
    assert not np.any(few)
    solved, _ = solver(matrix, 0 * B)
    assert not np.any(solved)


def test_restarts() -> None:
    x, _ = gmres(GENERAL, B, tol=1e-12, restart=4)
    np.testing.assert_allclose(GENERAL @ x, B, atol=1e-10)


def test_complex_systems() -> None:
    matrix = DEFINITE + 1j * (GENERAL - GENERAL.T)
    x, _ = cg(matrix, B * (1 + 2j), tol=1e-12)
    np.testing.assert_allclose(matrix @ x, B * (1 + 2j), atol=1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cg(np.ones((2, 3)), np.ones(2)), "square matrix"),
        (lambda: cg(np.eye(2), np.ones(2), np.ones(3)), "equal shapes"),
        (lambda: gmres(np.eye(2), np.ones(2), (np.ones(2),)), "same structure"),
        (lambda: gmres(np.eye(2), np.ones(2), solve_method="qr"), "solve_method"),
    ],
)
def test_mistakes(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "test_sparse.py" in str(caught.value)
