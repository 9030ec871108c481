"""Do the laws hold for whole programs?  Hypothesis composes functions; all ways to run and transform them agree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad.ir.check import check
from funcgrad.ir.interpret import interpret
from tests.effort import drawn
from tests.ops.numerics import assert_near, richardson

Step = Callable[[list[Any]], Any]
ROWS, COLUMNS = 3, 4

# Smooth functions that keep numbers near 1, so that long compositions stay tame: of a value, and of two.
UNARY: dict[str, Callable[[Any], Any]] = {
    "sin": np.sin,
    "cos": np.cos,
    "tanh": np.tanh,
    "exp": lambda x: np.exp(-x * x),
    "log1p": lambda x: np.log1p(x * x),
    "sqrt": lambda x: np.sqrt(1 + x * x),
    "sigmoid": fg.nn.sigmoid,
    "softplus": fg.nn.softplus,
    "square": lambda x: np.tanh(x) ** 2,
    "cube": lambda x: np.sin(x) ** 3,
    "neg": lambda x: -x,
    "reciprocal": lambda x: 1 / (2 + np.cos(x)),
    "arctan": np.arctan,
    "half": lambda x: 0.5 * x + 1,
    "softmax": fg.nn.softmax,
    "log_softmax": fg.nn.log_softmax,
    "flip": np.flip,
    "cumulate": lambda x: np.tril(np.ones((x.shape[-1],) * 2)) @ (x if x.ndim == 1 else x.T) / 4 if x.ndim else x,
    "gelu": fg.nn.gelu,
    "standardize": lambda x: fg.nn.standardize(x, epsilon=0.5) if x.ndim else x,
    "logistic chain": lambda x: x / (1 + np.exp(-x)),
}
BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: np.sin(x) * np.cos(y),
    "div": lambda x, y: x / (2 + y * y),
    "hypot": lambda x, y: np.sqrt(x * x + y * y + 1),
    "logaddexp": np.logaddexp,
    "arctan2": lambda x, y: np.arctan2(x, 2 + y * y),
    "where": lambda x, y: np.where(np.sin(5 * x) > 2, x, y),
    "power": lambda x, y: (1 + x * x) ** np.tanh(y),
}
SHAPES: dict[str, Callable[[Any], Any]] = {
    "sum": lambda x: np.sum(x),
    "mean rows": lambda x: np.mean(x, axis=-1) if x.ndim else x,
    "transpose": lambda x: x.T,
    "ravel": lambda x: np.reshape(x, (-1,)),
    "slice": lambda x: x[1:] if x.ndim and x.shape[0] > 1 else x,
    "stride": lambda x: x[..., ::2] if x.ndim else x,
    "stack": lambda x: np.stack([x, 2 * x]) if x.ndim < 2 else x,
    "concatenate": lambda x: np.concatenate([x, x], axis=-1) if x.ndim > 0 and x.shape[-1] < 9 else x,
    "gather": lambda x: x[np.array([0, -1, 0])] if x.ndim else x,
    "outer": lambda x: x[:, None] * np.sin(x) if x.ndim == 1 and x.shape[0] < 9 else x,
    "gram": lambda x: x @ x.T / x.shape[-1] if x.ndim == 2 else x,
    "pad": lambda x: np.pad(x, 1) if x.ndim > 0 and x.size < 40 else x,
    "roll": lambda x: np.roll(x, 1) if x.ndim else x,
    "diagonal": lambda x: np.diagonal(x) if x.ndim == 2 else x,
    "broadcast": lambda x: x * np.ones((2, 1)) if x.ndim == 1 else x,
    "first": lambda x: x[0] if x.ndim else x,
}


def pulled_back(f: Callable[[Any], Any], x: Any) -> Any:
    """The cotangent of `x` for the output itself."""
    out, pull = fg.vjp(f, x)
    return pull(out)[0]


def half(x: Any) -> np.ndarray:
    """A tangent of `x`."""
    return np.full(x.shape, 0.5, x.dtype)


def with_jvp_rule(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """`f` with the rule that it has anyway."""
    function = fg.custom_jvp(f)
    function.defjvp(lambda primals, tangents: fg.jvp(f, primals, tangents))
    return function


def with_vjp_rule(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """`f` with the two halves of reverse mode that it has anyway."""
    function = fg.custom_vjp(f)
    function.defvjp(lambda x: (f(x), x), lambda x, ct: fg.vjp(f, x)[1](ct))
    return function


def twice(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A loop over two values; the last result."""

    def step(carry: Any, v: Any) -> Any:
        return 0.5 * carry, f(v) + np.sum(carry)

    return lambda x: fg.lax.scan(step, x, np.stack([x, np.cos(x)]))[1][1]


def branch(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """One of two branches."""
    return lambda x: fg.lax.cond(np.sum(np.sin(x)) > 0.1, f, lambda x: 0.5 * f(np.cos(x)), x)


NESTED: dict[str, Callable[[Callable[[Any], Any]], Callable[[Any], Any]]] = {
    "jit": lambda f: fg.jit(f),
    "vmap": lambda f: lambda x: fg.vmap(f)(x) if x.ndim else f(x),
    "grad": lambda f: lambda x: fg.grad(lambda y: np.sum(f(y)))(x),
    "jvp": lambda f: lambda x: fg.jvp(f, (x,), (half(x),))[1],
    "vjp": lambda f: lambda x: pulled_back(f, x),
    "linearize": lambda f: lambda x: fg.linearize(f, x)[1](half(x)),
    "checkpoint": lambda f: fg.checkpoint(f),
    "scan": twice,
    "cond": branch,
    "map": lambda f: lambda x: fg.lax.map(f, np.stack([x, np.cos(x)]))[1],
}
RULES = {"custom_jvp": with_jvp_rule, "custom_vjp": with_vjp_rule}  # these may not close over traced values
BOTH_MODES = (*NESTED, "custom_jvp")
REVERSE_MODE = (*(name for name in NESTED if name not in ("jvp", "linearize")), "custom_vjp")


def common(x: Any, y: Any) -> Any:
    """Two values brought to shapes that go together."""
    if x.shape == y.shape or not x.ndim or not y.ndim:
        return x, y
    return x, np.mean(y)


@st.composite
def steps(draw: Any, nested: tuple[str, ...] = BOTH_MODES, depth: int = 0) -> list[tuple[Any, ...]]:
    """A random program: each step applies a function to earlier values, by number."""
    found: list[tuple[Any, ...]] = []
    for k in range(draw(st.integers(1, 5 if depth else 7))):
        kind = draw(st.sampled_from(["unary", "unary", "binary", "shape", *(["nested"] if depth < 2 else [])]))
        where = draw(st.integers(0, k + 1))
        if kind == "unary":
            found.append((draw(st.sampled_from(sorted(UNARY))), where))
        elif kind == "shape":
            found.append((draw(st.sampled_from(sorted(SHAPES))), where))
        elif kind == "binary":
            found.append((draw(st.sampled_from(sorted(BINARY))), where, draw(st.integers(0, k + 1))))
        else:
            inside = draw(steps(nested, depth + 1))
            found.append((draw(st.sampled_from(nested)), where, inside, draw(st.integers(0, k + 1))))
    return found


def run(program: list[tuple[Any, ...]], x: Any, y: Any) -> Any:
    """The last value of a random program of two arguments."""
    values = [x, y]
    for name, where, *rest in program:
        value = values[where]
        if name in UNARY:
            values.append(UNARY[name](value))
        elif name in SHAPES:
            values.append(SHAPES[name](value))
        elif name in BINARY:
            values.append(BINARY[name](*common(value, values[rest[0]])))
        elif name in RULES:
            values.append(RULES[name](inner(rest[0]))(value))
        else:
            values.append(NESTED[name](inner(rest[0], values[rest[1]]))(value))
    return values[-1]


def inner(program: list[tuple[Any, ...]], outer: Any = None) -> Callable[[Any], Any]:
    """A random program as a function of one argument, which closes over a value from outside if there is one."""
    return lambda x: run(program, x, np.sin(x) if outer is None else outer)


def arguments(seed: int, shape: tuple[int, ...], dtype: Any = np.float64) -> tuple[np.ndarray, np.ndarray]:
    """Two arrays of one shape."""
    rng = np.random.default_rng(seed)
    return tuple(np.asarray(rng.uniform(-1.5, 1.5, shape)).astype(dtype) for _ in range(2))  # type: ignore[return-value]


shapes = st.sampled_from([(), (COLUMNS,), (ROWS, COLUMNS), (1,), (19,)])
seeds = st.integers(0, 2**16)


def scalar(program: list[tuple[Any, ...]]) -> Callable[[Any, Any], Any]:
    """A random program as a scalar function."""
    return lambda x, y: np.sum(np.sin(run(program, x, y)))


@given(steps(), shapes, seeds)
@drawn(12)
def test_eager_interpreted_compiled(program: Any, shape: Any, seed: int) -> None:
    x, y = arguments(seed, shape)

    def f(x: Any, y: Any) -> Any:
        return run(program, x, y)

    traced = check(fg.make_jaxpr(f)(x, y))
    (want,) = interpret(traced, [x, y])
    assert_near(fg.jit(f)(x, y), want, 1e-12)
    assert_near(fg.vjp(f, x, y)[0], want, 1e-12)
    assert_near(f(fnp.asarray(x), fnp.asarray(y)), want, 1e-12)
    assert traced.output_types[0].dtype == fg.jit(f)(x, y).dtype == np.float64


@given(steps(), shapes, seeds)
@drawn(12)
def test_gradients(program: Any, shape: Any, seed: int) -> None:
    x, y = arguments(seed, shape)
    f = scalar(program)
    gradients = fg.grad(f, (0, 1))(x, y)
    compiled = fg.jit(fg.grad(f, (0, 1)))(x, y)
    direction = arguments(seed + 1, shape)
    slope = fg.jvp(f, (x, y), direction)[1]
    assert_near(sum(np.sum(g * d) for g, d in zip(gradients, direction, strict=True)), slope, 1e-11)  # adjointness
    for g, c in zip(gradients, compiled, strict=True):
        assert_near(c, g, 1e-11)
    differences = richardson(lambda *xs: np.asarray(fg.jit(f)(*xs)), [x, y], direction, h=4e-3)
    assert_near(slope, differences, 3e-7)


@given(steps(REVERSE_MODE), shapes, seeds)
@drawn(8)
def test_gradients_with_rules_for_reverse_mode_alone(program: Any, shape: Any, seed: int) -> None:
    x, y = arguments(seed, shape)
    f = scalar(program)
    gradients = fg.grad(f, (0, 1))(x, y)
    direction = arguments(seed + 1, shape)
    for g, c in zip(gradients, fg.jit(fg.grad(f, (0, 1)))(x, y), strict=True):
        assert_near(c, g, 1e-11)
    slope = sum(np.sum(g * d) for g, d in zip(gradients, direction, strict=True))
    assert_near(slope, richardson(lambda *xs: np.asarray(fg.jit(f)(*xs)), [x, y], direction, h=4e-3), 3e-7)


@given(steps(), shapes, seeds)
@drawn(8)
def test_batches(program: Any, shape: Any, seed: int) -> None:
    f = scalar(program)
    batch = [arguments(seed + k, shape) for k in range(3)]
    xs, ys = (np.stack(column) for column in zip(*batch, strict=True))
    gradient = fg.value_and_grad(f)
    value, slope = fg.jit(fg.vmap(gradient))(xs, ys)
    each = [gradient(x, y) for x, y in batch]
    assert_near(value, np.stack([v for v, _ in each]), 1e-11)
    assert_near(slope, np.stack([g for _, g in each]), 1e-11)
    mixed = fg.vmap(gradient, in_axes=(0, None))(xs, ys[0])
    assert_near(mixed[1], np.stack([gradient(x, ys[0])[1] for x in xs]), 1e-11)


@given(steps(), shapes, seeds, st.sampled_from([np.float32, np.float16]))
@drawn(8)
def test_lower_precision(program: Any, shape: Any, seed: int, dtype: Any) -> None:
    x, y = arguments(seed, shape, dtype)
    f = scalar(program)
    value, slope = fg.jit(fg.value_and_grad(f))(x, y)
    eager_value, eager_slope = fg.value_and_grad(f)(x, y)
    assert (value.dtype, slope.dtype) == (eager_value.dtype, eager_slope.dtype)
    assert slope.dtype == dtype
    wide = fg.value_and_grad(f)(x.astype(np.float64), y.astype(np.float64))
    if (
        dtype == np.float32 and np.max(np.abs(wide[1]), initial=0) < 1e3
    ):  # few digits of float16 survive half a dozen functions
        assert_near(value, wide[0], 1e-4)
        assert_near(slope, wide[1], 1e-4)


# JAX as an oracle: ties, edges, infinities ----------------------------------------------------------------------------

EDGES: list[tuple[str, Callable[[Any, Any], Any], Any]] = [
    ("ties of max", lambda np, x: np.max(x), [1.0, 3.0, 3.0]),
    ("ties of min", lambda np, x: np.min(x), [1.0, 1.0, 3.0]),
    ("ties of maximum", lambda np, x: np.maximum(x[0], x[1]), [1.0, 1.0]),
    ("ties of minimum", lambda np, x: np.minimum(x[0], x[1]), [1.0, 1.0]),
    ("maximum with a number", lambda np, x: np.maximum(x, 0.0), 0.0),
    ("abs at 0", lambda np, x: np.abs(x), 0.0),
    ("sign at 0", lambda np, x: np.sign(x), 0.0),
    ("x ** 0 at 0", lambda np, x: x**0, 0.0),
    ("x ** 1 at 0", lambda np, x: x**1, 0.0),
    ("x ** 2 at 0", lambda np, x: x**2, 0.0),
    ("x ** 2.0 at 0", lambda np, x: x**2.0, 0.0),
    ("x ** 0.5 at 0", lambda np, x: x**0.5, 0.0),
    ("0 ** x at 0", lambda np, x: np.power(0.0, x), 0.0),
    ("0 ** x at 2", lambda np, x: np.power(0.0, x), 2.0),
    ("x ** y at (0, 1)", lambda np, x: np.power(x[0], x[1]), [0.0, 1.0]),
    ("x ** y at (-2, 3)", lambda np, x: np.power(x[0], 3.0), [-2.0, 3.0]),
    ("a branch that is NaN", lambda np, x: np.where(x > 0, np.log(np.where(x > 0, x, 1.0)), 0.0), -1.0),
    ("a NaN that flows back", lambda np, x: np.where(x > 0, np.sqrt(x), 0.0), 0.0),
    ("sqrt at 0", lambda np, x: np.sqrt(x), 0.0),
    ("log at 0", lambda np, x: np.log(x), 0.0),
    ("clip at an end", lambda np, x: np.clip(x, 0.0, 1.0), 0.5),
    ("clip outside", lambda np, x: np.clip(x, 0.0, 1.0), 2.0),
    ("prod with a zero", lambda np, x: np.prod(x), [2.0, 0.0, 3.0]),
    ("prod with two zeros", lambda np, x: np.prod(x), [2.0, 0.0, 0.0]),
    ("sinc at 0", lambda np, x: np.sinc(x), 0.0),
    ("logaddexp of equals", lambda np, x: np.logaddexp(x[0], x[1]), [2.0, 2.0]),
    ("logaddexp of -inf", lambda np, x: np.logaddexp(x[0], x[1]), [-np.inf, 1.0]),
    ("arctan2 on the axis", lambda np, x: np.arctan2(x[0], x[1]), [0.0, -1.0]),
    ("mod", lambda np, x: np.mod(x[0], x[1]), [5.5, -2.0]),
    ("fmod", lambda np, x: np.fmod(x[0], x[1]), [-5.5, 2.0]),
    ("tanh far out", lambda np, x: np.tanh(x), 400.0),
    ("exp to infinity", lambda np, x: np.exp(x), 800.0),
    ("floor", lambda np, x: np.floor(x) * x, 2.5),
    ("std", lambda np, x: np.std(x), [1.0, 2.0, 4.0]),
    ("var of one", lambda np, x: np.var(x), [1.0]),
    ("cbrt", lambda np, x: np.cbrt(x), -8.0),
    ("max along an axis", lambda np, x: np.sum(np.max(np.reshape(x, (2, 2)), axis=0)), [1.0, 2.0, 1.0, 3.0]),
]
NETWORK_EDGES: list[tuple[str, Callable[[Any], Any], Any]] = [
    ("relu at 0", lambda nn: nn.relu, 0.0),
    ("relu6 at 6", lambda nn: nn.relu6, 6.0),
    ("leaky_relu at 0", lambda nn: nn.leaky_relu, 0.0),
    ("elu at 0", lambda nn: nn.elu, 0.0),
    ("softplus at 0", lambda nn: nn.softplus, 0.0),
    ("softplus far out", lambda nn: nn.softplus, -800.0),
    ("sigmoid far out", lambda nn: nn.sigmoid, -800.0),
    ("silu at 0", lambda nn: nn.silu, 0.0),
    ("gelu", lambda nn: nn.gelu, -2.0),
    ("logsumexp with -inf", lambda nn: nn.logsumexp, [-np.inf, 1.0]),
    ("logsumexp of -inf alone", lambda nn: nn.logsumexp, [-np.inf, -np.inf]),
    ("log_softmax far apart", lambda nn: lambda x: nn.log_softmax(x)[0], [0.0, 2000.0]),
]


@pytest.fixture(scope="module")
def jax() -> Any:
    """JAX in double precision."""
    found = pytest.importorskip("jax")
    found.config.update("jax_enable_x64", True)
    return found


def agree(ours: Any, theirs: Any) -> None:
    """Equal values and gradients, NaN and infinities included."""
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, np.asarray(other), rtol=1e-13, atol=1e-300)


@pytest.mark.parametrize(("function", "at"), [pytest.param(f, x, id=name) for name, f, x in EDGES])
def test_edges_as_in_jax(jax: Any, function: Any, at: Any) -> None:
    x = np.asarray(at, np.float64)
    theirs = jax.value_and_grad(lambda x: function(jax.numpy, x))(x)
    for transform in (lambda f: f, fg.jit):
        agree(transform(fg.value_and_grad(lambda x: function(np, x)))(x), theirs)
    push = jax.jvp(lambda x: function(jax.numpy, x), (x,), (np.ones_like(x),))
    agree(fg.jvp(lambda x: function(np, x), (x,), (np.ones_like(x),)), push)


@pytest.mark.parametrize(("function", "at"), [pytest.param(f, x, id=name) for name, f, x in NETWORK_EDGES])
def test_network_edges_as_in_jax(jax: Any, function: Any, at: Any) -> None:
    x = np.asarray(at, np.float64)
    theirs = jax.value_and_grad(function(jax.nn))(x)
    for transform in (lambda f: f, fg.jit):
        agree(transform(fg.value_and_grad(function(fg.nn)))(x), theirs)


def test_powers_of_zero_where_jax_has_nan() -> None:
    # x**0 is 1 for every x; JAX 0.10 gives NaN, because it forms 0 * 0**-1
    assert fg.grad(lambda x: x**0.0)(0.0) == 0
    np.testing.assert_array_equal(fg.jit(fg.grad(lambda x: np.power(x[0], x[1])))(np.zeros(2)), [0, 0])
