"""What can be differentiated, and how?  A tour of the transformations, after the recipes of JAX's autodiff pages.

    python examples/autodiff_tour.py

Each stop is a function that computes something two ways and prints it; `main` runs them all.
"""

from __future__ import annotations

from collections.abc import Callable
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
    *(gradients, through_python, hessians, jacobian_matrices, per_example, complex_numbers),
    *(own_rules, implicit, checkpoints, meta_learning, straight_through, sparse),
)


def main() -> None:
    for stop in STOPS:
        stop()


if __name__ == "__main__":
    main()
