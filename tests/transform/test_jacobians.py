"""Are Jacobians, Hessians, linearizations and transposes what their definitions say, and what do mistakes say?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from tests.ops.numerics import assert_near

X = np.array([0.3, -0.7, 1.1])
W = np.arange(6.0).reshape(2, 3) / 5
HERE = __file__.rsplit("/", 1)[-1]


def f(x: Any) -> Any:
    """From three numbers to two."""
    return np.sin(W @ x) * x[0]


def differences(function: Any, x: np.ndarray) -> np.ndarray:
    """Central differences, column by column."""
    h = 1e-6
    columns = [(function(x + h * e) - function(x - h * e)) / (2 * h) for e in np.eye(x.size).reshape(-1, *x.shape)]
    return np.stack(columns, axis=-1).reshape(*np.shape(function(x)), *x.shape)


@pytest.mark.parametrize("jacobian", [fg.jacfwd, fg.jacrev, fg.jacobian], ids=["fwd", "rev", "jacobian"])
@pytest.mark.parametrize("compiled", [False, True])
def test_jacobians(jacobian: Any, compiled: bool) -> None:
    whole = fg.jit(jacobian(f)) if compiled else jacobian(f)
    assert_near(whole(X), differences(f, X), 1e-8)
    assert_near(jacobian(fg.jit(f))(X), whole(X), 1e-14)
    matrix = jacobian(lambda m: m.T @ m)(W)
    assert matrix.shape == (3, 3, 2, 3)
    assert_near(matrix, differences(lambda m: m.T @ m, W), 1e-8)


@pytest.mark.parametrize("jacobian", [fg.jacfwd, fg.jacrev])
def test_trees_argnums_and_aux(jacobian: Any) -> None:
    def g(p: Any, y: Any, k: int) -> Any:
        return {"out": p["a"] * y, "sum": np.sum(y) * p["b"][0]}, ("aux", k)[1]

    p = {"a": X, "b": (2.0, None)}
    found, aux = jacobian(g, argnums=(0, 1), has_aux=True)(p, X + 1, 7)
    assert aux == 7
    assert_near(found["out"][0]["a"], np.diag(X + 1), 0)
    assert_near(found["out"][0]["b"][0], np.zeros(3), 0)
    assert_near(found["out"][1], np.diag(X), 0)
    assert_near(found["sum"][0]["b"][0], np.sum(X + 1), 1e-15)
    assert found["sum"][0]["b"][1] is None
    assert_near(found["sum"][1], np.full(3, 2.0), 0)
    assert jacobian(lambda x, y: x * y, argnums=-1)(X, X).shape == (3, 3)


def test_empty_and_mixed_dtypes() -> None:
    for jacobian in (fg.jacfwd, fg.jacrev):
        assert jacobian(lambda x: np.sin(x))(np.zeros(0)).shape == (0, 0)
        assert jacobian(lambda x: x[:0])(X).shape == (0, 3)
        found = jacobian(lambda x: x.astype(np.float32))(X)
        assert_near(found, np.eye(3), 0)
    assert fg.jacfwd(lambda x: x.astype(np.float32))(X).dtype == np.float32
    assert fg.jacrev(lambda x: x.astype(np.float32))(X).dtype == np.float64
    value = fg.jacrev(lambda x, n: x * n, argnums=(0, 1), allow_int=True)(X, 3)
    assert_near(value[0], 3 * np.eye(3), 0)
    assert value[1].shape == (3,)


def test_complex() -> None:
    z = X + 1j * X[::-1]
    for jacobian in (fg.jacfwd, fg.jacrev):
        assert_near(jacobian(lambda z: z * z, holomorphic=True)(z), np.diag(2 * z), 1e-15)
    assert_near(fg.jacfwd(lambda x: x * (1 + 2j))(X), (1 + 2j) * np.eye(3), 0)
    assert_near(fg.hessian(lambda z: np.sum(z**3), holomorphic=True)(z), np.diag(6 * z), 1e-14)


def test_hessians_of_trees() -> None:
    found = fg.hessian(lambda p: np.sum(p["a"] ** 2) * p["b"])({"a": X, "b": 2.0})
    assert_near(found["a"]["a"], 4 * np.eye(3), 1e-15)
    assert_near(found["a"]["b"], 2 * X, 1e-15)
    assert_near(found["b"]["a"], 2 * X, 1e-15)
    assert found["b"]["b"] == 0
    value, aux = fg.hessian(lambda x: (x**3, "no array" and 5), has_aux=True)(2.0)
    assert (value, aux) == (12, 5)


def test_python_control_flow() -> None:
    def branchy(x: Any) -> Any:
        seen.append(float(fg.lax.stop_gradient(x[0])))
        y = fg.jit(np.sin)(x) if x[0] > 0 else x
        return y * 2 if fg.jit(np.cos)(y)[0] > 0 else y

    seen: list[float] = []
    want = np.diag(2 * np.cos(X))
    assert_near(fg.jacfwd(branchy)(X), want, 1e-15)
    assert_near(fg.jacrev(branchy)(X), want, 1e-15)
    assert_near(fg.linearize(branchy, X)[1](X), want @ X, 1e-15)
    assert_near(fg.hessian(lambda x: np.sum(branchy(x) ** 2))(X), np.diag(8 * np.cos(2 * X)), 1e-14)
    assert set(seen) == {0.3}


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: fg.jacfwd(f)(np.arange(3)), TypeError, ("jacfwd", "argument 0", "int64")),
        (lambda: fg.jacrev(lambda p: p["w"])({"w": np.arange(3)}), TypeError, ("jacrev", "['w']", "int64")),
        (lambda: fg.jacfwd(lambda z: z)(X + 1j), TypeError, ("jacfwd", "complex128", "holomorphic")),
        (lambda: fg.jacrev(lambda x: x * 1j)(X), TypeError, ("jacrev", "real-valued outputs", "complex128")),
        (lambda: fg.jacrev(lambda x: np.argmax(x))(X), TypeError, ("jacrev", "int64")),
        (lambda: fg.jacfwd(lambda x: x, holomorphic=True)(X), TypeError, ("holomorphic", "float64")),
        (lambda: fg.jacfwd(f, argnums=2)(X), TypeError, ("argnums=2",)),
        (lambda: fg.jacrev(lambda x: "text")(X), TypeError, ("must return arrays", "'text'")),
        (lambda: fg.hessian(3), TypeError, ("hessian takes a function",)),
        (lambda: fg.linearize(f, np.arange(3))[1](np.arange(3)), TypeError, ("linearize", "[0]", "int64")),
        (lambda: fg.linearize(f, X)[1](X[:2]), ValueError, ("tangent", "f64[2]", "f64[3]")),
        (lambda: fg.linearize(f, X)[1](X, X), TypeError, ("tangents", "structure")),
        (lambda: fg.linear_transpose(np.sin, X), TypeError, ("sin is not linear", "depends on where")),
        (lambda: fg.linear_transpose(lambda x: x * x, X), TypeError, ("is not linear",)),
        (lambda: fg.linear_transpose(lambda x: 2 * x, X)(X[:2]), TypeError, ("cotangent", "f64[2]")),
        (lambda: fg.linear_transpose(lambda x: 2 * x, np.arange(3)), TypeError, ("argument 0", "int64")),
    ],
)
def test_mistakes(call: Any, error: type[Exception], says: tuple[str, ...]) -> None:
    with pytest.raises(error) as caught:
        call()
    for part in (*says, HERE):
        assert part in str(caught.value)


def test_linearize_is_jvp() -> None:
    out, push = fg.linearize(f, X)
    for t in (X, np.ones(3), np.zeros(3)):
        value, pushed = fg.jvp(f, (X,), (t,))
        assert_near(out, value, 0)
        assert_near(push(t), pushed, 1e-16)
    assert_near(fg.jit(push)(X), push(X), 1e-15)
    assert_near(fg.vmap(push)(np.eye(3)), fg.jacfwd(f)(X).T, 1e-15)
    assert_near(fg.linear_transpose(push, X)(np.ones(2))[0], fg.vjp(f, X)[1](np.ones(2))[0], 1e-15)
    out, push, aux = fg.linearize(lambda x: (x * x, {"n": 3}), 2.0, has_aux=True)
    assert (out, push(1.0), aux["n"]) == (4, 4, 3)
    assert_near(fg.grad(lambda x: fg.linearize(np.sin, x)[1](1.0))(0.5), -np.sin(0.5), 1e-15)
    out, push = fg.linearize(lambda x: (np.argmax(x), x), X)
    assert push(X)[0] == 0


def test_linearize_of_loops_keeps_the_value() -> None:
    def loop(x: Any) -> Any:
        return fg.lax.fori_loop(0, 3, lambda i, c: np.sin(c), x)

    out, push = fg.linearize(loop, X)
    assert_near(out, np.sin(np.sin(np.sin(X))), 1e-15)
    assert_near(push(X), fg.jvp(loop, (X,), (X,))[1], 1e-15)


def test_transposes() -> None:
    def linear(p: Any) -> Any:
        return W @ p["x"], np.sum(p["y"]) - p["x"][::-1]

    example = {"x": X, "y": np.float32(1) * X.astype(np.float32)}
    back = fg.linear_transpose(linear, example)
    ct = (np.array([1.0, 2.0]), X)
    (found,) = back(ct)
    assert_near(found["x"], W.T @ ct[0] - X[::-1], 1e-15)
    assert found["y"].dtype == np.float32
    again = fg.linear_transpose(lambda ct: back(ct)[0], ct)(example)[0]
    for a, b in zip(again, linear(example), strict=True):
        assert_near(a, b, 1e-15)
    shapes = fg.linear_transpose(np.sum, fg.ShapeDtypeStruct((4,), np.float32))
    assert shapes(np.float32(2))[0].dtype == np.float32


def test_closure_convert() -> None:
    def outer(x: Any) -> Any:
        converted, hoisted = fg.closure_convert(lambda y: y * x + np.sum(X), 1.0)
        assert len(hoisted) == 1
        return converted(2.0, *hoisted)

    assert fg.value_and_grad(outer)(3.0) == (6 + np.sum(X), 2)
    assert fg.custom_derivatives.closure_convert is fg.closure_convert


def test_ravel_pytree() -> None:
    p = {"w": W.astype(np.float32), "b": 2.0, "n": np.arange(2)}
    flat, unravel = fg.flatten_util.ravel_pytree(p)
    assert (flat.shape, flat.dtype) == ((9,), np.float64)
    back = unravel(flat)
    assert back["w"].dtype == np.float32
    assert back["n"].dtype == np.int64
    assert_near(back["w"], p["w"], 0)
    with pytest.raises(ValueError, match=r"expected type float64\[9\]"):
        unravel(flat[:3])
    hessian = fg.hessian(lambda v: np.sum(fg.flatten_util.ravel_pytree(unravel(v)["w"])[0] ** 2))(flat)
    assert np.trace(hessian) == 12
    empty, unravel = fg.flatten_util.ravel_pytree({})
    assert empty.shape == (0,)
    assert unravel(empty) == {}


def test_sparse_derivatives() -> None:
    rng = np.random.default_rng(0)
    banded, index = np.triu(np.tril(rng.normal(size=(9, 9)), 2), -1), np.array([3, 1, 4, 1])
    b = rng.normal(size=(3, 3))
    x = rng.normal(size=9)
    functions: list[tuple[Any, int]] = [  # and at most so many products
        (lambda x: banded @ x, 4),
        (lambda x: np.sin(x) * x[::-1], 2),
        (lambda x: x[index] ** 2, 1),
        (lambda x: np.concatenate([x[2:], x[:1] * x[-1]]), 2),
        (lambda x: np.sum(x.reshape(3, 3), axis=0) * x[:3], 1),
        (lambda x: (x.reshape(3, 3) @ b).T, 3),
        (lambda x: b @ x.reshape(3, 3), 3),
        (lambda x: x.reshape(3, 3) @ x.reshape(3, 3), 9),
        (lambda x: np.pad(x, 1)[1:] - np.pad(x, 1)[:-1], 2),
        (lambda x: np.where(x > 0, x, 2 * x[::-1]), 2),
        (lambda x: np.einsum("bi,bj->bij", x.reshape(3, 3), x.reshape(3, 3)), 3),
        (fg.jit(lambda x: x[1:] * x[:-1]), 2),
        (lambda x: np.zeros(4), 1),
        (np.sort, 9),
    ]
    for function, products in functions:
        jacobian = fg.sparse_jacobian(function)
        found = jacobian(x)
        dense = fg.jacfwd(function)(x).reshape(-1, 9)
        np.testing.assert_allclose(found.toarray(), dense, rtol=1e-12, atol=1e-14)
        (colours,) = jacobian._found.values()
        assert colours.number <= products
        assert found.nnz == jacobian.pattern(x).nnz
    second = fg.sparse_hessian(lambda x, s: s * np.sum((x[1:] - x[:-1] ** 2) ** 2))
    want = fg.hessian(lambda x: 2 * np.sum((x[1:] - x[:-1] ** 2) ** 2))(x)
    np.testing.assert_allclose(second(x, 2.0).toarray(), want, rtol=1e-12, atol=1e-12)
    assert second(np.ones(1000), 1.0).nnz <= 3000
    for bad, says in (
        (lambda: fg.sparse_jacobian(lambda x: x)(np.arange(3)), "int64"),
        (lambda: fg.sparse_jacobian(lambda x: (x, x))(X), "must return one array"),
        (lambda: fg.sparse_jacobian(lambda p: p["a"])({"a": X}), "one array"),
        (lambda: fg.jit(fg.sparse_jacobian(lambda x: x))(X), "known values"),
    ):
        with pytest.raises(TypeError, match=says):
            bad()
