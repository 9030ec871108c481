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


@every
def test_gradients_of_complex_systems(solver: Any, matrix: np.ndarray) -> None:
    matrix = matrix + 1j * (GENERAL - GENERAL.T)
    weights = np.arange(12.0) + 1j
    loss = lambda b: np.sum(np.real(solver(matrix, b, tol=1e-13)[0] * weights))  # noqa: E731
    np.testing.assert_allclose(fg.grad(loss)(B * (1 + 2j)), np.linalg.solve(matrix.T, weights), atol=1e-9)


@pytest.mark.parametrize("solver", [bicgstab, gmres])
@pytest.mark.parametrize("kind", ["matrix", "function", "not linear"])
def test_gradients_are_preconditioned_by_the_transpose(solver: Any, kind: str) -> None:
    triangle = np.triu(np.random.default_rng(0).normal(size=(12, 12)), 1) + 2 * np.eye(12)
    inverse = np.linalg.inv(triangle)
    preconditioner, most = {
        "matrix": (inverse, 2), "function": (lambda x: inverse @ x, 2), "not linear": (lambda x: x + 0 * x * x, 50)
    }[kind]  # fmt: skip
    weights = np.arange(12.0)
    solution = lambda b: solver(triangle, b, tol=1e-12, M=preconditioner, maxiter=most)[0]  # noqa: E731
    found = fg.grad(lambda b: np.sum(solution(b) * weights))(np.ones(12))
    np.testing.assert_allclose(found, np.linalg.solve(triangle.T, weights), rtol=1e-9, atol=1e-9)


KINDS = {
    "single": ("f4", "f4", "f4"), "half": ("f2", "f2", "f2"), "wider matrix": ("f8", "f4", "f8"),
    "wider vector": ("f4", "f8", "f8"), "integers": ("i4", "i8", "f8"), "complex matrix": ("c8", "f4", "c8"),
    "complex vector": ("f4", "c8", "c8"), "booleans": ("f4", "b1", "f4"),
}  # fmt: skip


@every
@pytest.mark.parametrize("kind", KINDS)
def test_dtypes(solver: Any, matrix: np.ndarray, kind: str) -> None:
    a, b, wanted = KINDS[kind]
    a, b = np.diag([2, 3, 4]).astype(a), np.array([1, 0, 1]).astype(b)
    for x, _ in (solver(a, b), solver(a.tolist(), b.tolist()), solver(a, b, np.zeros(3, "i1"))):
        np.testing.assert_allclose(x, [0.5, 0, 0.25], rtol=1e-3)
    assert solver(a, b)[0].dtype == wanted


@every
def test_edges(solver: Any, matrix: np.ndarray) -> None:
    assert solver(np.zeros((0, 0)), np.zeros(0))[0].shape == (0,)
    assert solver(lambda x: 2 * x, 3.0)[0] == 1.5
    assert np.all(np.isnan(solver(matrix, B * np.nan)[0]))
    assert np.all(np.isnan(solver(matrix * np.nan, B)[0]))
    np.testing.assert_allclose(solver(np.eye(3), np.ones(3))[0], 1)  # the first space has all of the solution
    several = RNG.normal(size=(12, 2))
    np.testing.assert_allclose(matrix @ solver(matrix, several, tol=1e-12)[0], several, atol=1e-10)


def test_small_residuals_need_no_squares_of_the_condition() -> None:
    matrix = np.diag(np.logspace(0, 9, 12))
    x, _ = gmres(matrix, np.ones(12), tol=1e-13, restart=12, maxiter=3)
    np.testing.assert_allclose(matrix @ x, 1, atol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cg(np.ones((2, 3)), np.ones(2)), "square matrix"),
        (lambda: cg(np.eye(2), np.ones(2), np.ones(3)), "equal shapes"),
        (lambda: gmres(lambda x: x, np.ones(2), (np.ones(2),)), "same structure"),
        (lambda: gmres(np.eye(2), np.ones(2), restart=0), "restart must be positive, not 0"),
        (lambda: gmres(np.eye(2), np.ones(2), solve_method="qr"), "solve_method"),
    ],
)
def test_mistakes(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "test_sparse.py" in str(caught.value)
