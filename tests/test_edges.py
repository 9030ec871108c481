"""What are derivatives where there is none, or where formulas break down?  A table of edges, eager and compiled.

Where JAX documents a convention (ties are shared, abs has the slope 1 at 0, roots are infinitely steep), it is ours.
Where its formulas give NaN although there is a derivative, or a subgradient that any user would take, ours give that;
those rows say so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad import nn
from funcgrad.scipy import special

INF, NAN = np.inf, np.nan


def vector(*values: float) -> np.ndarray:
    """An array of float64."""
    return np.array(values, np.float64)


class Edge(NamedTuple):
    """A function, where to look at it, and its gradient there (one for each argument)."""

    name: str
    function: Callable[..., Any]
    point: tuple[Any, ...]
    gradient: tuple[Any, ...]


class Better(Edge):
    """An edge at which JAX gives NaN, or another number."""

    __slots__ = ()


def at(*values: Any) -> tuple[Any, ...]:
    """A point, or a gradient there."""
    return values


ROOT2 = np.sqrt(0.5)
EDGES: tuple[Edge, ...] = (
    # ties are shared
    Edge("max", lambda np, x: np.max(x), at(vector(1, 3, 3)), at(vector(0, 0.5, 0.5))),
    Edge("max along an axis", lambda np, x: np.sum(np.max(x, axis=0)), at(np.ones((3, 2))), at(np.full((3, 2), 1 / 3))),
    Edge("min", lambda np, x: np.min(x), at(vector(1, 1, 3)), at(vector(0.5, 0.5, 0))),
    Edge("max with initial", lambda np, x: np.max(x, initial=1.0), at(vector(1, 0)), at(vector(0.5, 0))),
    Edge("ptp of equal numbers", lambda np, x: np.ptp(x), at(vector(2, 2)), at(vector(0, 0))),
    Edge("maximum", lambda np, x, y: np.maximum(x, y), at(1.0, 1.0), at(0.5, 0.5)),
    Edge("minimum", lambda np, x, y: np.minimum(x, y), at(1.0, 1.0), at(0.5, 0.5)),
    Edge("maximum with a number", lambda np, x: np.maximum(x, 0), at(0.0), at(0.5)),
    Better("fmax", lambda np, x, y: np.fmax(x, y), at(1.0, 1.0), at(0.5, 0.5)),
    Edge("fmax beside NaN", lambda np, x, y: np.fmax(x, y), at(NAN, 1.0), at(0.0, 1.0)),
    Edge("maximum beside NaN", lambda np, x, y: np.maximum(x, y), at(NAN, 1.0), at(0.0, 0.0)),
    Edge("max beside NaN", lambda np, x: np.max(x), at(vector(1, NAN)), at(vector(NAN, NAN))),
    Edge("clip at the lower bound", lambda np, x: np.clip(x, 0.0, 1.0), at(0.0), at(0.5)),
    Edge("clip at the upper bound", lambda np, x: np.clip(x, 0.0, 1.0), at(1.0), at(0.5)),
    Edge("clip outside", lambda np, x: np.clip(x, 0.0, 1.0), at(2.0), at(0.0)),
    Edge("bounds of clip", lambda np, x, a, b: np.clip(x, a, b), at(0.0, 0.0, 1.0), at(0.5, 0.5, 0.0)),
    # kinks
    Edge("abs", lambda np, x: np.abs(x), at(0.0), at(1.0)),
    Edge("abs of -0", lambda np, x: np.abs(x), at(-0.0), at(1.0)),
    Edge("abs of -inf", lambda np, x: np.abs(x), at(-INF), at(-1.0)),
    Edge("sign", lambda np, x: np.sign(x), at(0.0), at(0.0)),
    Edge("floor", lambda np, x: np.floor(x), at(1.0), at(0.0)),
    Edge("round to places", lambda np, x: np.round(x, 2), at(1.234), at(0.0)),
    Edge("copysign", lambda np, x, y: np.copysign(x, y), at(0.0, -1.0), at(-1.0, 0.0)),
    Edge("heaviside", lambda np, x, y: np.heaviside(x, y), at(0.0, 0.5), at(0.0, 1.0)),
    Edge("relu", lambda np, x: nn.relu(x), at(0.0), at(0.0)),
    Edge("leaky relu", lambda np, x: nn.leaky_relu(x), at(0.0), at(1.0)),
    Edge("elu", lambda np, x: nn.elu(x), at(0.0), at(1.0)),
    # roots and powers
    Edge("sqrt", lambda np, x: np.sqrt(x), at(0.0), at(INF)),
    Edge("sqrt of a negative number", lambda np, x: np.sqrt(x), at(-1.0), at(NAN)),
    Edge("cbrt", lambda np, x: np.cbrt(x), at(0.0), at(INF)),
    Edge("x**0 at 0", lambda np, x: x**0, at(0.0), at(0.0)),
    Better("x**0.0 at 0", lambda np, x: x**0.0, at(0.0), at(0.0)),
    Edge("x**1.0 at 0", lambda np, x: x**1.0, at(0.0), at(1.0)),
    Edge("x**2 at 0", lambda np, x: x**2, at(0.0), at(0.0)),
    Edge("x**0.5 at 0", lambda np, x: x**0.5, at(0.0), at(INF)),
    Edge("x**-1 at 0", lambda np, x: x**-1, at(0.0), at(-INF)),
    Better("0**0", lambda np, x, y: x**y, at(0.0, 0.0), at(0.0, 0.0)),
    Edge("0**2", lambda np, x, y: x**y, at(0.0, 2.0), at(0.0, 0.0)),
    Edge("0**-1", lambda np, x, y: x**y, at(0.0, -1.0), at(-INF, NAN)),
    Edge("a negative base", lambda np, x: x**2.0, at(-2.0), at(-4.0)),
    Edge("a negative base, the exponent's", lambda np, x, y: x**y, at(-2.0, 2.0), at(-4.0, NAN)),
    Edge("a negative base, an odd power", lambda np, x: x**3, at(-2.0), at(12.0)),
    Edge("a root of a negative base", lambda np, x: x**0.5, at(-2.0), at(NAN)),
    Edge("reciprocal", lambda np, x: np.reciprocal(x), at(0.0), at(-INF)),
    Edge("quotient", lambda np, x, y: x / y, at(0.0, 0.0), at(INF, NAN)),
    # lengths: a subgradient at the origin
    Better("norm", lambda np, x: np.linalg.norm(x), at(vector(0, 0, 0)), at(vector(0, 0, 0))),
    Edge("sqrt of a sum of squares", lambda np, x: np.sqrt(np.sum(x * x)), at(vector(0, 0)), at(vector(NAN, NAN))),
    Edge("hypot", lambda np, x, y: np.hypot(x, y), at(0.0, 0.0), at(0.5, 0.5)),
    Edge("hypot on an axis", lambda np, x, y: np.hypot(x, y), at(3.0, 0.0), at(1.0, 0.0)),
    Edge("hypot of equal numbers", lambda np, x, y: np.hypot(x, y), at(3.0, 3.0), at(ROOT2, ROOT2)),
    Better("hypot of large numbers", lambda np, x, y: np.hypot(x, y), at(3e200, 4e200), at(0.6, 0.8)),
    Edge("var of equal numbers", lambda np, x: np.var(x), at(vector(2, 2, 2)), at(vector(0, 0, 0))),
    Better("std of equal numbers", lambda np, x: np.std(x), at(vector(2, 2, 2)), at(vector(0, 0, 0))),
    # logarithms and exponentials
    Edge("log", lambda np, x: np.log(x), at(0.0), at(INF)),
    Edge("log1p", lambda np, x: np.log1p(x), at(-1.0), at(INF)),
    Edge("x log x", lambda np, x: x * np.log(x), at(0.0), at(NAN)),
    Edge("exp beyond its range", lambda np, x: np.exp(x), at(800.0), at(INF)),
    Edge("exp of -inf", lambda np, x: np.exp(x), at(-INF), at(0.0)),
    Edge("expm1 far left", lambda np, x: np.expm1(x), at(-800.0), at(0.0)),
    Edge("logsumexp with -inf", lambda np, x: nn.logsumexp(x), at(vector(-INF, 0, 0)), at(vector(0, 0.5, 0.5))),
    Edge("logsumexp of nothing but -inf", lambda np, x: nn.logsumexp(x), at(vector(-INF, -INF)), at(vector(NAN, NAN))),
    Edge("softmax with -inf", lambda np, x: nn.softmax(x)[1], at(vector(-INF, 1)), at(vector(0, 0))),
    Edge("logaddexp with -inf", lambda np, x, y: np.logaddexp(x, y), at(-INF, 1.0), at(0.0, 1.0)),
    Better("logaddexp with inf", lambda np, x, y: np.logaddexp(x, y), at(INF, 1.0), at(1.0, 0.0)),
    Edge("logaddexp of equal numbers", lambda np, x, y: np.logaddexp(x, y), at(1.0, 1.0), at(0.5, 0.5)),
    # saturation
    Edge("tanh", lambda np, x: np.tanh(x), at(100.0), at(0.0)),
    Edge("sigmoid, right", lambda np, x: nn.sigmoid(x), at(800.0), at(0.0)),
    Edge("sigmoid, left", lambda np, x: nn.sigmoid(x), at(-800.0), at(0.0)),
    Better("sigmoid keeps its tail", lambda np, x: nn.sigmoid(x), at(40.0), at(np.exp(-40.0))),
    Edge("softplus, right", lambda np, x: nn.softplus(x), at(800.0), at(1.0)),
    Edge("softplus, left", lambda np, x: nn.softplus(x), at(-800.0), at(0.0)),
    Edge("softplus", lambda np, x: nn.softplus(x), at(0.0), at(0.5)),
    Edge("log of sigmoid", lambda np, x: nn.log_sigmoid(x), at(-800.0), at(1.0)),
    Edge("silu", lambda np, x: nn.silu(x), at(-800.0), at(0.0)),
    Edge("elu, right", lambda np, x: nn.elu(x), at(800.0), at(1.0)),
    # angles
    Edge("arctan2", lambda np, y, x: np.arctan2(y, x), at(0.0, 0.0), at(NAN, NAN)),
    Edge("arctan", lambda np, x: np.arctan(x), at(INF), at(0.0)),
    Edge("arcsin", lambda np, x: np.arcsin(x), at(1.0), at(INF)),
    Edge("arccos", lambda np, x: np.arccos(x), at(1.0), at(-INF)),
    Edge("arccosh", lambda np, x: np.arccosh(x), at(1.0), at(INF)),
    Edge("arctanh", lambda np, x: np.arctanh(x), at(1.0), at(INF)),
    Edge("sinc", lambda np, x: np.sinc(x), at(0.0), at(0.0)),
    # remainders
    Edge("mod", lambda np, x, y: np.mod(x, y), at(-5.5, 2.0), at(1.0, 3.0)),
    Edge("mod of a multiple", lambda np, x, y: np.mod(x, y), at(6.0, 2.0), at(1.0, -3.0)),
    Edge("fmod", lambda np, x, y: np.fmod(x, y), at(-5.5, 2.0), at(1.0, 2.0)),
    Edge("divmod", lambda np, x, y: np.divmod(x, y)[1], at(5.5, -2.0), at(1.0, 3.0)),
    Edge("floor_divide", lambda np, x, y: np.floor_divide(x, y), at(5.5, 2.0), at(0.0, 0.0)),
    # products and sums of nothing, and with zeros
    Edge("prod with a zero", lambda np, x: np.prod(x), at(vector(0, 2, 3)), at(vector(6, 0, 0))),
    Edge("prod with two zeros", lambda np, x: np.prod(x), at(vector(0, 0, 3)), at(vector(0, 0, 0))),
    Edge("sum of nothing", lambda np, x: np.sum(x), at(vector()), at(vector())),
    Edge("prod of nothing", lambda np, x: np.prod(x), at(vector()), at(vector())),
    Edge("mean of nothing", lambda np, x: np.mean(x), at(vector()), at(vector())),
    Edge("max of nothing, with initial", lambda np, x: np.max(x, initial=1.0), at(vector()), at(vector())),
    # the branch that is not taken: its NaN reaches the derivative, unless its argument is made safe as well
    Edge("where", lambda np, x: np.where(x > 0, np.log(x), x), at(-1.0), at(1.0)),
    Edge("where with an infinite branch", lambda np, x: np.where(x > 0, np.sqrt(x), 0.0), at(0.0), at(NAN)),
    Edge(
        "where twice",
        lambda np, x: np.where(x > 0, np.sqrt(np.where(x > 0, x, 1.0)), 0.0),
        at(0.0),
        at(0.0),
    ),
    Edge("nan_to_num", lambda np, x: np.nan_to_num(x), at(NAN), at(0.0)),
)


XLOGY: tuple[tuple[tuple[float, float], tuple[float, float]], ...] = (
    ((0.0, 0.0), (-INF, 0.0)),  # JAX: NaN for the second one
    ((0.0, 2.0), (np.log(2.0), 0.0)),
    ((2.0, 0.0), (-INF, INF)),
)


@pytest.mark.parametrize(("point", "gradient"), XLOGY)
def test_xlogy(point: tuple[float, float], gradient: tuple[float, float]) -> None:
    for run in (lambda f: f, fg.jit):
        found = run(fg.grad(special.xlogy, argnums=(0, 1)))(*point)
        np.testing.assert_allclose(found, gradient)


def names(edge: Edge) -> str:
    return edge.name


def gradient_of(edge: Edge) -> Callable[..., Any]:
    """The gradient by every argument."""
    return fg.grad(lambda *point: edge.function(fnp, *point), argnums=tuple(range(len(edge.point))))


@pytest.mark.parametrize("way", ["eager", "compiled", "batched", "compiled batched"])
@pytest.mark.parametrize("edge", EDGES, ids=names)
def test_gradient(edge: Edge, way: str) -> None:
    gradient, point = gradient_of(edge), edge.point
    if "batched" in way:
        gradient, point = fg.vmap(gradient), tuple(np.stack([x, x]) for x in point)
    if "compiled" in way:
        gradient = fg.jit(gradient)
    with np.errstate(all="ignore"):
        found = gradient(*point)
    for got, want in zip(found, edge.gradient, strict=True):
        wanted = np.stack([want, want]) if "batched" in way else np.asarray(want)
        assert got.shape == wanted.shape
        np.testing.assert_allclose(got, wanted, rtol=1e-15)


@pytest.mark.parametrize("edge", EDGES, ids=names)
def test_single_precision(edge: Edge) -> None:
    if edge.name in ("hypot of large numbers", "sigmoid keeps its tail"):
        return
    point = tuple(np.asarray(x, np.float32) for x in edge.point)
    for got, want in zip(fg.jit(gradient_of(edge))(*point), edge.gradient, strict=True):
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, want, rtol=1e-6)


@pytest.mark.parametrize("edge", EDGES, ids=names)
def test_jax_says_the_same(edge: Edge) -> None:
    jax = pytest.importorskip("jax")
    if edge.function.__code__.co_names[:1] == ("nn",):
        return  # the table's functions call funcgrad.nn
    with jax.enable_x64(True):
        function = jax.grad(lambda *x: edge.function(jax.numpy, *x), argnums=tuple(range(len(edge.point))))
        found = function(*edge.point)
    same = all(np.allclose(a, b, rtol=1e-12, equal_nan=True) for a, b in zip(found, edge.gradient, strict=True))
    assert same is not isinstance(edge, Better)


def test_second_derivatives() -> None:
    assert fg.grad(fg.grad(np.sinc))(0.0) == pytest.approx(-(np.pi**2) / 3)
    assert fg.grad(fg.grad(lambda x: x**2))(0.0) == 2
    assert fg.grad(fg.grad(lambda x: x**1))(0.0) == 0
    assert fg.grad(fg.grad(nn.softplus))(800.0) == 0
    assert fg.grad(fg.grad(nn.relu))(0.0) == 0


def test_extrema_of_nothing_are_refused() -> None:
    for function in (np.max, np.min, np.argmax):
        for run in (fg.jit(function), fg.vmap(function)):
            with pytest.raises(ValueError, match=r"empty|zero-size"):
                run(np.zeros((2, 0)) if function is np.max else np.zeros((1, 0)))


# Arrays without axes, or without elements, through every transformation -----------------------------------------------

SHAPES: tuple[tuple[int, ...], ...] = ((), (0,), (3, 0), (0, 4))
FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "elementwise": lambda x: np.sin(x) * x + 1,
    "sum": lambda x: np.sum(x, axis=-1) if np.ndim(x) else np.sum(x),
    "reshape": lambda x: np.reshape(x, (-1,)) if np.size(x) else np.reshape(x, (0, 5)),
    "transpose": lambda x: np.transpose(x) * 2,
    "where": lambda x: np.where(x > 0, x, -x),
    "concatenate": lambda x: np.concatenate([np.ravel(x), np.ravel(x)]),
    "stack": lambda x: np.stack([x, x * x]),
    "matmul": lambda x: x @ np.transpose(x) if np.ndim(x) else x * x,
    "broadcast": lambda x: np.broadcast_to(x, (2, *np.shape(x))) * 3.0,
    "prod": lambda x: np.prod(x),
    "mean": lambda x: np.sum(x) / (np.size(x) + 1),
    "complex": lambda x: np.real((x + 1j) * x),
}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_axes_and_no_elements(name: str, shape: tuple[int, ...]) -> None:
    function, x = FUNCTIONS[name], np.full(shape, 0.5)
    want = np.asarray(function(x))
    out, pull = fg.vjp(function, x)
    (pulled,) = pull(np.ones(want.shape))
    _, pushed = fg.jvp(function, (x,), (np.ones(shape),))
    total = fg.value_and_grad(lambda x: np.sum(function(x)))
    batch = np.stack([x, x])
    for got, expected in (
        (fg.jit(function)(x), want),
        (out, want),
        (fg.vmap(function)(batch), np.stack([want, want])),
        (fg.jit(fg.vmap(function))(batch), np.stack([want, want])),
        (fg.vmap(function)(np.zeros((0, *shape))), np.zeros((0, *want.shape))),
        (total(x)[0], np.sum(want)),
        (total(x)[1], pulled),
        (fg.jit(total)(x)[1], pulled),
        (fg.jit(fg.vmap(fg.grad(lambda x: np.sum(function(x)))))(batch), np.stack([pulled, pulled])),
        (fg.jit(lambda x: fg.jvp(function, (x,), (np.ones(shape),))[1])(x), pushed),
    ):
        assert np.shape(got) == np.shape(expected)
        np.testing.assert_allclose(got, expected, rtol=1e-15)
    assert pulled.shape == shape
    assert pushed.shape == want.shape


# Powers that are roots and products -----------------------------------------------------------------------------------

HALVES = (0.5, 1.5, 2.5, -0.5, -1.5, -2.5)


@pytest.mark.parametrize("exponent", HALVES)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_half_powers_are_accurate(dtype: str, exponent: float) -> None:
    x = np.exp(np.random.default_rng(0).uniform(-20, 20, 200_000)).astype(dtype)
    exact = np.power(x.astype(np.longdouble), np.longdouble(exponent))
    errors = np.abs(fg.jit(lambda x: x**exponent)(x) - exact) / np.spacing(exact.astype(dtype)).astype(np.longdouble)
    worst = np.argmax(errors)
    assert errors[worst] <= 1.6, f"{x[worst]} ** {exponent} is {errors[worst]} ulp off"


@pytest.mark.parametrize("exponent", HALVES)
def test_half_powers_at_the_ends(exponent: float) -> None:
    x = vector(0, -0.0, 1, INF, NAN, -1, 5e-324, 1e-310, 1e300, 1e-200, 2e205, 1e-130, 1.7e308)
    with np.errstate(all="ignore"):
        expected = np.power(x, exponent)
    np.testing.assert_allclose(fg.jit(lambda x: x**exponent)(x), expected, rtol=1e-15)
    assert fg.jit(lambda x: x**exponent)(-INF) == (INF if exponent > 0 else 0)  # as C's pow says
