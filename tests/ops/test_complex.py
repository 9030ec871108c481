"""Are derivatives of complex functions those of JAX, and holomorphic functions complex differentiable?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from tests.ops.numerics import assert_near

RNG = np.random.default_rng(11)


def draw(*shape: int) -> np.ndarray:
    """Numbers off the axes and off the branch cuts."""
    size, angle = RNG.uniform(0.4, 1.6, shape), RNG.uniform(0.2, 1.3, shape) + RNG.integers(0, 4, shape) * (np.pi / 2)
    return np.asarray(size * np.exp(1j * angle))


Z, W = draw(3, 4), draw(3, 4)
X = RNG.normal(size=(3, 4))

# name: a function of the namespace (funcgrad.numpy or jax.numpy) and of one complex array
HOLOMORPHIC: dict[str, Callable[[Any, Any], Any]] = {
    **{
        name: lambda np, z, name=name: getattr(np, name)(z)
        for name in (
            "exp exp2 expm1 log log2 log10 log1p sqrt sin cos tan sinh cosh tanh arcsin arccos arctan arcsinh arccosh "
            "arctanh square negative reciprocal"
        ).split()
    },
    "cube": lambda np, z: z**3,
    "inverse square": lambda np, z: z**-2,
    "zeroth power": lambda np, z: z**0,
    "root": lambda np, z: z**0.3,
    "exponent": lambda np, z: (2 + 1j) ** z,
    "both": lambda np, z: z**z,
    "quotient": lambda np, z: (z + 1j) / (z * z - 3),
    "sum": lambda np, z: np.sum(z * z, axis=0),
    "mean": lambda np, z: np.mean(z * W),
    "prod": lambda np, z: np.prod(z, axis=1),
    "matmul": lambda np, z: z @ (z.T * 1j),
    "einsum": lambda np, z: np.einsum("ij,ij,kj->ik", z, W, z),
    "indices": lambda np, z: z[:, ::2] * z[1] [::2],
    "rows": lambda np, z: z[np.array([0, 2, 0])] * z,
    "shapes": lambda np, z: np.concatenate([z.T, np.flip(z).T], axis=1).reshape(4, 3, 2).transpose(2, 0, 1) ** 2,
    "where": lambda np, z: np.where(X > 0, z * z, W),
    "weights": lambda np, z: X @ z.T,
}  # fmt: skip

# not complex differentiable
OTHERS: dict[str, Callable[[Any, Any], Any]] = {
    "abs": lambda np, z: abs(z),
    "real": lambda np, z: np.real(z * z),
    "imag": lambda np, z: z.imag * z.real,
    "conj": lambda np, z: np.conj(z) * z,
    "conjugate": lambda np, z: z.conj() ** 2 / z,
    "angle": lambda np, z: np.angle(z * z),
    "norm": lambda np, z: np.sqrt(np.sum(np.abs(z) ** 2)),
    "energy": lambda np, z: np.real(np.vdot(z, z @ (W.T @ z))),
    "to float": lambda np, z: z.real.astype("f4").astype("c8") * z,
    "from floats": lambda np, z: (abs(z) + 1j * z.real) * z,
    "phase": lambda np, z: np.exp(1j * np.angle(z)),
    "modulus one": lambda np, z: z / np.abs(z),
    "choice": lambda np, z: np.where(z.real > z.imag, np.conj(z), z),
    "spectral": lambda np, z: np.sum(np.log(np.abs(1 - z @ W.T) ** 2)),
}
FUNCTIONS = HOLOMORPHIC | OTHERS
UNLIKE_JAX = {"arccosh"}  # JAX's derivative has the wrong sign in the left half of the plane: the differences tell


@pytest.fixture(scope="module")
def jax() -> Any:
    jax = pytest.importorskip("jax")
    with jax.enable_x64(True):
        yield jax


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jitted"])
@pytest.mark.parametrize("name", sorted(FUNCTIONS.keys() - UNLIKE_JAX))
def test_derivatives_are_those_of_jax(jax: Any, name: str, compiled: bool) -> None:
    ours = lambda z: FUNCTIONS[name](fnp, z)  # noqa: E731
    theirs = lambda z: FUNCTIONS[name](jax.numpy, z)  # noqa: E731

    def both(transforms: Any, function: Callable[..., Any], ct: Any) -> Any:
        out, pull = transforms.vjp(function, Z)
        return out, *transforms.jvp(function, (Z,), (W,)), *pull(ct)

    like = np.asarray(ours(Z))
    ct = (X.flat[0] * np.ones(like.shape) + (0.5j if like.dtype.kind == "c" else 0)).astype(like.dtype)
    run = (fg.jit if compiled else lambda f: f)(lambda ct: both(fg, ours, ct))
    expected = jax.jit(lambda ct: both(jax, theirs, ct))(ct)
    tolerance = 1e-5 if name == "to float" else 1e-12
    for got, want in zip(run(ct), expected, strict=True):
        assert got.dtype == want.dtype
        assert_near(got, np.asarray(want), tolerance)


@pytest.mark.parametrize("name", HOLOMORPHIC)
def test_cauchy_riemann(name: str) -> None:
    """The derivative along i is i times that along 1, and the pullback is its transpose without a conjugate."""
    function = lambda z: HOLOMORPHIC[name](fnp, z)  # noqa: E731
    out, along = fg.jvp(function, (Z,), (W,))
    _, across = fg.jvp(function, (Z,), (1j * W,))
    assert_near(across, 1j * along, 1e-12)
    ct = draw(*out.shape)
    (pulled,) = fg.vjp(function, Z)[1](ct)
    assert np.sum(pulled * W) == pytest.approx(np.sum(ct * along), rel=1e-11)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_directional_derivatives_by_differences(name: str) -> None:
    if name == "to float":
        return
    h = 1e-6
    for direction in (W, 1j * W):
        _, moved = fg.jvp(lambda z: FUNCTIONS[name](fnp, z), (Z,), (direction,))
        ahead, behind = (FUNCTIONS[name](np, Z + s * h * direction) for s in (1, -1))
        assert_near(moved, (ahead - behind) / (2 * h), 1e-7)


@pytest.mark.parametrize("name", sorted(HOLOMORPHIC.keys() - {"zeroth power"}))
def test_second_derivatives(name: str) -> None:
    def loss(z: Any) -> Any:
        return fnp.sum(HOLOMORPHIC[name](fnp, z) * (1 + 2j))

    gradient = fg.grad(loss, holomorphic=True)
    _, curvature = fg.jvp(gradient, (Z,), (W,))
    h = 1e-6
    assert_near(curvature, (gradient(Z + h * W) - gradient(Z - h * W)) / (2 * h), 1e-6)
    assert_near(fg.jit(lambda z, w: fg.jvp(gradient, (z,), (w,))[1])(Z, W), curvature, 1e-11)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_batches(name: str) -> None:
    batch = np.stack([Z, W, Z * W])
    function = lambda z: FUNCTIONS[name](fnp, z)  # noqa: E731
    want = np.stack([np.asarray(FUNCTIONS[name](np, z)) for z in batch])
    tolerance = 1e-5 if name == "to float" else 1e-12
    assert_near(fg.vmap(function)(batch), want, tolerance)
    assert_near(fg.jit(fg.vmap(function))(batch), want, tolerance)


def test_gradients_of_losses(jax: Any) -> None:
    def loss(np: Any, params: Any, x: Any) -> Any:
        hidden = np.tanh(x @ params["w"] + params["b"])
        return np.mean(np.abs(hidden @ params["v"] - 1j) ** 2)

    params = {"w": draw(4, 5), "b": draw(5), "v": draw(5).astype("c8"), "scale": 1.0}
    want = jax.grad(lambda p: loss(jax.numpy, p, X))(params)
    for transform in (fg.grad, lambda f: fg.jit(fg.grad(f))):
        got = transform(lambda p: loss(fnp, p, X))(params)
        for name in params:
            assert np.asarray(got[name]).dtype == want[name].dtype
            assert_near(got[name], np.asarray(want[name]), 1e-6 if name == "v" else 1e-13)


def test_descent_goes_along_the_conjugate() -> None:
    z = np.array([3 + 4j, -1j])
    loss = lambda z: np.sum(abs(z - 1) ** 2)  # noqa: E731
    for _ in range(60):
        z = z - 0.2 * np.conj(fg.grad(loss)(z))
    assert_near(z, np.ones(2, complex), 1e-12)


def test_edges() -> None:
    def slope(function: Callable[[Any], Any], z: complex) -> complex:
        return complex(fg.grad(function)(np.complex128(z)))

    assert slope(abs, 0) == 0
    assert slope(lambda z: abs(z) ** 2, 0) == 0
    assert slope(lambda z: (z * np.conj(z)).real, 0) == 0
    assert slope(lambda z: np.real(z**0), 0) == 0
    assert slope(lambda z: np.real(z**2), 0) == 0
    assert slope(lambda z: fnp.sign(z).real, 0) == 0
    assert slope(lambda z: fnp.sign(z).imag, 2) == pytest.approx(-0.5j)


def test_sign_has_the_derivative_of_a_phase() -> None:
    for z in (Z, Z[0, 0]):
        (_, moved), (_, want) = (fg.jvp(f, (z,), (np.ones_like(z),)) for f in (fnp.sign, lambda z: z / abs(z)))
        assert_near(moved, np.asarray(want), 1e-14)
