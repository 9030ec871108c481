"""What can be differentiated, and how?  A tour of the transformations, after the recipes of JAX's autodiff pages.

    python examples/autodiff_tour.py

Each stop is a function that computes something two ways and prints it; `main` runs them all.

Expected, in some ten seconds: lines in which both ways agree to the last digits, or to six by finite differences.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import funcgrad as fg

RNG = np.random.default_rng(0)
INPUTS = np.array([[0.52, 1.12, 0.77], [0.88, -1.08, 0.15], [0.52, 0.06, -1.30], [0.74, -2.49, 1.39]])
TARGETS = np.array([1.0, 1.0, 0.0, 1.0])
W, B = RNG.normal(size=3), RNG.normal()


def predict(w: Any, b: Any, inputs: Any = INPUTS) -> Any:
    """The probability that each example's label is 1."""
    return 0.5 * (np.tanh((inputs @ w + b) / 2) + 1)


def loss(w: Any, b: Any) -> Any:
    """The negative log-likelihood of the training examples."""
    p = predict(w, b)
    return -np.sum(np.log(p * TARGETS + (1 - p) * (1 - TARGETS)))


# Gradients -----------------------------------------------------------------------------------------------------------


def gradients() -> tuple[np.ndarray, float]:
    """The gradient along a random direction, and the difference quotient."""
    dw, db = fg.grad(loss, argnums=(0, 1))(W, B)
    step, along = 1e-4, RNG.normal(size=3)
    along /= np.sqrt(along @ along)
    quotient = (loss(W + step / 2 * along, B) - loss(W - step / 2 * along, B)) / step
    print(f"dw = {dw}, db = {db:.4f}; along a direction {dw @ along:.6f}, by differences {quotient:.6f}")
    return dw @ along, quotient


def nested_parameters() -> dict[str, np.ndarray]:
    """Parameters in a dict: the gradient is a dict; the value comes along."""

    def by_name(params: dict[str, Any]) -> Any:
        return loss(params["w"], params["b"])

    value, slopes = fg.value_and_grad(by_name)({"w": W, "b": B})
    print(f"loss {value:.4f}, gradient {slopes}")
    return slopes


def higher_derivatives() -> list[float]:
    """x³ + 2x² - 3x + 1, differentiated again and again at 1."""
    f: Any = lambda x: x**3 + 2 * x**2 - 3 * x + 1  # noqa: E731
    found = []
    for _ in range(4):
        f = fg.grad(f)
        found.append(float(f(1.0)))
    print(f"four derivatives of a cubic at 1: {found}")
    return found


def through_python() -> list[float]:
    """Control flow on values: the derivative is that of the branch taken."""

    def f(x: Any) -> Any:
        return 3.0 * x**2 if x < 3 else -4 * x

    slopes = [float(fg.grad(f)(x)) for x in (2.0, 4.0)]
    print(f"slopes of a function with two branches: {slopes}")
    return slopes


# Products with Jacobians ----------------------------------------------------------------------------------------------


def hvp(f: Callable[[Any], Any], x: Any, v: Any) -> Any:
    """The product of a Hessian and a vector, without the Hessian: forward over reverse mode."""
    return fg.jvp(fg.grad(f), (x,), (v,))[1]


def hvp_by_reverse_mode(f: Callable[[Any], Any], x: Any, v: Any) -> Any:
    """The same by reverse mode twice: needs more memory."""
    return fg.grad(lambda x: np.vdot(fg.grad(f)(x), v))(x)


def hessians() -> float:
    """The largest difference between three ways to a Hessian-vector product."""
    f, v = (lambda w: loss(w, B)), RNG.normal(size=3)
    whole = fg.hessian(f)(W) @ v
    ways = [hvp(f, W, v), hvp_by_reverse_mode(f, W, v), fg.jacrev(fg.jacfwd(f))(W) @ v]
    worst = max(float(np.max(np.abs(way - whole))) for way in ways)
    print(f"Hessian times vector: {whole}, four ways within {worst:.1e}")
    return worst


def jacobian_matrices() -> np.ndarray:
    """Matrix-Jacobian products: one pullback applied to a batch of cotangents."""
    _, pull = fg.vjp(lambda w: predict(w, B), W)
    rows = fg.vmap(pull)(np.eye(len(INPUTS)))[0]
    print(f"the Jacobian has the shape {rows.shape}; jacrev agrees within", end=" ")
    print(f"{np.max(np.abs(rows - fg.jacrev(predict)(W, B))):.1e}")
    return rows


def products() -> float:
    """Forward and backward products with a Jacobian: ⟨u, J v⟩ = ⟨Jᵀ u, v⟩."""
    v, u = RNG.normal(size=3), RNG.normal(size=len(INPUTS))
    _, forwards = fg.jvp(lambda w: predict(w, B), (W,), (v,))
    _, pull = fg.vjp(lambda w: predict(w, B), W)
    gap = float(u @ forwards - pull(u)[0] @ v)
    print(f"the two products differ by {gap:.1e}")
    return gap


def jacobian_times_matrix() -> float:
    """Many forward products at once, which is how `jacfwd` works."""
    matrix = RNG.normal(size=(5, 3))
    _, push = fg.linearize(lambda w: predict(w, B), W)
    worst = float(np.max(np.abs(fg.vmap(push)(matrix) - matrix @ fg.jacfwd(predict)(W, B).T)))
    print(f"a batch of forward products, within {worst:.1e} of the Jacobian's")
    return worst


def vector_valued() -> np.ndarray:
    """A gradient of something that is no scalar: the pullback of ones."""
    x = np.array([1.0, 2.0, 3.0])
    y, pull = fg.vjp(lambda x: 3 * x**2, x)
    (slopes,) = pull(np.ones(y.shape))
    print(f"slopes of 3x² element by element: {slopes}")
    return slopes


def per_example() -> np.ndarray:
    """The gradient of each example's loss: reverse mode, batched."""

    def one(w: Any, x: Any, target: Any) -> Any:
        p = predict(w, B, x)
        return -np.log(p * target + (1 - p) * (1 - target))

    each = fg.jit(fg.vmap(fg.grad(one), in_axes=(None, 0, 0)))(W, INPUTS, TARGETS)
    worst = np.max(np.abs(each.sum(0) - fg.grad(loss)(W, B)))
    print(f"per-example gradients, whose sum is the gradient within {worst:.1e}")
    return each


def complex_numbers() -> complex:
    """The derivative of a holomorphic function."""
    slope = fg.grad(lambda z: np.sin(z) * z, holomorphic=True)(1.0 + 2.0j)
    print(f"d/dz z sin z at 1+2j: {complex(slope):.4f}")
    return complex(slope)


def complex_conventions() -> np.ndarray:
    """A function of complex numbers that is not holomorphic: u + iv of x + iy, by its real 2 × 2 Jacobian."""

    def f(z: Any) -> Any:
        x, y = np.real(z), np.imag(z)
        return x**2 - 3 * y + 1j * (x * y)

    z, columns = 2.0 + 1.0j, []
    for direction in (1.0 + 0.0j, 1.0j):
        _, moved = fg.jvp(f, (z,), (direction,))
        columns.append([np.real(moved), np.imag(moved)])
    jacobian = np.array(columns).T
    slope = fg.grad(lambda z: np.real(f(z)))(z)  # du/dx - i du/dy
    print(f"as a map of the plane its Jacobian is {jacobian.tolist()}; the gradient of its real part is {slope:.1f}")
    return jacobian


def complex_matrices() -> float:
    """Through a Cholesky factor of a Hermitian matrix."""
    a = np.array([[5.0, 2.0 + 3.0j, 5.0j], [2.0 - 3.0j, 7.0, 1.0 + 7.0j], [-5.0j, 1.0 - 7.0j, 12.0]])

    def f(a: Any) -> Any:
        return np.real(np.sum(np.abs(np.linalg.cholesky(a @ np.conj(a.T))) ** 2))

    step, along = 1e-5, RNG.normal(size=(3, 3)) + 1j * RNG.normal(size=(3, 3))
    slope = float(np.real(np.sum(fg.grad(f)(a) * along)))
    quotient = float((f(a + step * along) - f(a - step * along)) / (2 * step))
    print(f"through a complex Cholesky factor: {slope:.6f}, by differences {quotient:.6f}")
    return abs(slope - quotient) / abs(quotient)


# Rules of one's own ---------------------------------------------------------------------------------------------------


@fg.custom_jvp
def log1pexp(x: Any) -> Any:
    """log(1 + e^x), whose derivative is stable for large x."""
    return np.logaddexp(x, 0.0)


log1pexp.defjvps(lambda t, out, x: t * (1 - 1 / (1 + np.exp(x))))


@fg.custom_vjp
def clip_gradient(x: Any, low: Any, high: Any) -> Any:
    """x, whose cotangent is clipped."""
    return x


clip_gradient.defvjp(lambda x, low, high: (x, (low, high)), lambda bounds, ct: (np.clip(ct, *bounds), None, None))


def own_rules() -> tuple[float, float]:
    """Numerical stability, and clipped gradients."""
    stable = float(fg.grad(log1pexp)(100.0))
    clipped = float(fg.jit(fg.grad(lambda t: np.sin(clip_gradient(5 * t, -0.75, 0.75))))(0.1))
    print(f"slope of log(1 + e^x) at 100: {stable}; a clipped slope: {clipped}")
    return stable, clipped


@fg.custom_jvp
def flat_start(x: Any) -> Any:
    """x / (1 + √x), whose derivative at 0 is 1 by definition, though √x has none there."""
    return x / (1 + np.sqrt(x))


@flat_start.defjvp
def flat_start_jvp(primals: Any, tangents: Any) -> Any:
    """The rule that says so."""
    (x,), (t,) = primals, tangents
    return flat_start(x), ((np.sqrt(x) + 2) / (2 * (np.sqrt(x) + 1) ** 2)) * t


@functools.partial(fg.custom_vjp, nondiff_argnums=(0,))
def applied(f: Any, point: dict[str, Any]) -> Any:
    """A function applied to the parts of a pytree; the function is no array."""
    return f(point["x"]) * point["y"]


def applied_fwd(f: Any, point: dict[str, Any]) -> Any:
    """Forwards: the value, and what backwards needs."""
    return applied(f, point), point


def applied_bwd(f: Any, point: dict[str, Any], ct: Any) -> Any:
    """Backwards: a cotangent for each leaf. Values are known here: print them, or set a breakpoint."""
    print(f"  on the way back: ct = {float(ct)}, point = {point}")
    return ({"x": ct * np.cos(point["x"]) * point["y"], "y": ct * f(point["x"])},)


applied.defvjp(applied_fwd, applied_bwd)


def conventions_and_trees() -> tuple[float, dict[str, Any]]:
    """A derivative by convention, and a rule for a pytree with an argument that is a function."""
    at_zero = float(fg.grad(flat_start)(0.0))
    slopes = fg.grad(applied, argnums=1)(np.sin, {"x": 0.5, "y": 2.0})
    print(f"the slope of x / (1 + √x) at 0: {at_zero}; slopes of a pytree: {slopes}")
    return at_zero, slopes


def implicit_by_hand() -> float:
    """The same theorem written as a `custom_vjp` around a `while_loop`, whose pullback is a fixed point again."""

    def iterate(f: Any, x: Any) -> Any:
        return fg.lax.while_loop(
            lambda pair: np.abs(pair[0] - pair[1]) > 1e-12, lambda pair: (pair[1], f(pair[1])), (x, f(x))
        )[1]

    def newton(a: Any, x: Any) -> Any:
        return 0.5 * (x + a / x)

    @fg.custom_vjp
    def root(a: Any) -> Any:
        return iterate(lambda x: newton(a, x), a)

    def backward(kept: Any, ct: Any) -> Any:
        a, x = kept
        _, by_x = fg.vjp(lambda x: newton(a, x), x)
        _, by_a = fg.vjp(lambda a: newton(a, x), a)
        return by_a(iterate(lambda u: ct + by_x(u)[0], ct))

    def forward(a: Any) -> Any:
        x = root(a)
        return x, (a, x)

    root.defvjp(forward, backward)
    slope = float(fg.grad(root)(2.0))
    print(f"the slope of a square root at 2, by a fixed point of cotangents: {slope:.12f}")
    return slope


def fixed_point(f: Callable[[Any, Any], Any], a: Any, guess: Any) -> Any:
    """x with f(a, x) = x, differentiable by a: by the implicit function theorem, in constant memory."""

    def solve(g: Any, x: Any) -> Any:
        return fg.lax.while_loop(
            lambda pair: np.abs(pair[0] - pair[1]) > 1e-12, lambda pair: (pair[1], f(a, pair[1])), (x, f(a, x))
        )[1]

    return fg.lax.custom_root(lambda x: f(a, x) - x, guess, solve, lambda g, y: y / g(1.0))


def implicit() -> tuple[float, float, float]:
    """A square root by Newton's iteration, and its first two derivatives."""

    def root(a: Any) -> Any:
        return fixed_point(lambda a, x: 0.5 * (x + a / x), a, a)

    found = tuple(float(f(2.0)) for f in (root, fg.grad(root), fg.grad(fg.grad(root))))
    print(f"the square root of 2 and its derivatives: {found}")
    return found  # type: ignore[return-value]


# Memory ---------------------------------------------------------------------------------------------------------------


def checkpoints() -> tuple[int, int]:
    """What reverse mode keeps of a deep function, without and with `checkpoint`."""

    def layer(x: Any) -> Any:
        return np.sin(np.cos(np.tanh(x)))

    def deep(layer: Any) -> Callable[[Any], Any]:
        def f(x: Any) -> Any:
            for _ in range(8):
                x = layer(x)
            return np.sum(x)

        return f

    x = np.ones(1000)
    kept = [fg.debug.saved_residuals(deep(g))(x).bytes for g in (layer, fg.checkpoint(layer))]
    print(f"reverse mode keeps {kept[0]:,} bytes; with checkpoint {kept[1]:,}")
    return kept[0], kept[1]


# Algorithms -----------------------------------------------------------------------------------------------------------


def meta_learning() -> float:
    """The derivative of a loss after one step of gradient descent, by the rate of the step (Finn et al. 2017)."""
    slope = float(fg.grad(lambda rate: loss(W - rate * fg.grad(loss)(W, B), B))(0.1))
    print(f"how the loss after a step depends on its rate: {slope:.4f}")
    return slope


def temporal_difference() -> np.ndarray:
    """The update TD(0) of a value function: the target is held fixed (Sutton 1988)."""
    theta, state, after, reward = np.array([0.1, -0.1, 0.0]), np.array([1.0, 2.0, -1.0]), np.array([2.0, 1.0, 0.0]), 1.0

    def value(theta: Any, s: Any) -> Any:
        return theta @ s

    def semi_loss(theta: Any) -> Any:
        target = reward + value(theta, after)
        return -0.5 * (fg.stop_gradient(target) - value(theta, state)) ** 2

    update = fg.grad(semi_loss)(theta)
    print(f"a temporal-difference update: {update}")
    return update


def straight_through() -> float:
    """The slope of rounding, taken to be 1."""
    slope = float(fg.grad(lambda x: x + fg.stop_gradient(np.round(x) - x))(1.3))
    print(f"a straight-through slope of round: {slope}")
    return slope


def sparse() -> int:
    """A tridiagonal Hessian of 1,000 unknowns from three products."""
    second = fg.sparse_hessian(lambda x: np.sum((x[1:] - x[:-1] ** 2) ** 2))(np.ones(1000))
    print(f"a sparse Hessian: {second.nnz} of {1000 * 1000:,} entries")
    return second.nnz


STOPS: tuple[Callable[[], Any], ...] = (
    *(gradients, nested_parameters, higher_derivatives, through_python, hessians, products, jacobian_matrices),
    *(jacobian_times_matrix, vector_valued, per_example, complex_numbers, complex_conventions, complex_matrices),
    *(own_rules, conventions_and_trees, implicit_by_hand, implicit, checkpoints),
    *(meta_learning, temporal_difference, straight_through, sparse),
)


def main(arguments: Sequence[str] | None = None) -> None:
    argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0], allow_abbrev=False).parse_args(arguments)
    for stop in STOPS:
        stop()


if __name__ == "__main__":
    main()
