"""Attention written by hand: the same numbers, without the memory of its scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax, nn
from funcgrad import numpy as fnp
from funcgrad.lower import tiling
from funcgrad.simplify import simplify

Attention = Callable[..., Any]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small arrays are large."""
    monkeypatch.setattr(tiling, "LARGE", 1 << 9)
    monkeypatch.setattr(tiling, "SLICE", 1 << 7)
    monkeypatch.setattr(tiling, "LINES", 8)


def scores(q: Any, k: Any) -> Any:
    return np.einsum("bthd,bshd->bhts", q, k) / np.sqrt(q.shape[-1]).astype(q.dtype)


def weighted(p: Any, v: Any) -> Any:
    return np.einsum("bhts,bshd->bthd", p, v)


def plain(q: Any, k: Any, v: Any) -> Any:
    return weighted(nn.softmax(scores(q, k)), v)


def by_hand(q: Any, k: Any, v: Any) -> Any:
    """With a maximum that is differentiated."""
    s = scores(q, k)
    e = np.exp(s - np.max(s, -1, keepdims=True))
    return weighted(e / np.sum(e, -1, keepdims=True), v)


def causal(q: Any, k: Any, v: Any) -> Any:
    s = scores(q, k)
    seen = np.tril(np.ones(s.shape[-2:], bool))
    return weighted(nn.softmax(fnp.where(seen, s, -1e30)), v)


def counted(q: Any, k: Any, v: Any) -> Any:
    """A mask made of positions."""
    s = scores(q, k)
    rows, columns = (lax.broadcasted_iota(np.int32, s.shape, axis) for axis in (2, 3))
    return weighted(nn.softmax(fnp.where(columns <= rows + 3, s, -np.inf)), v)


def unnormalised(q: Any, k: Any, v: Any) -> Any:
    """A ratio of two products, without a softmax."""
    p = np.exp(scores(q, k))
    return weighted(p, v) / weighted(p, np.ones_like(v))


def turned(q: Any, k: Any, v: Any) -> Any:
    """Keys first: weights are columns of the product."""
    s = np.swapaxes(np.einsum("bshd,bthd->bhst", k, q), -1, -2)
    return weighted(nn.softmax(s), v)


KINDS: dict[str, Attention] = {
    f.__name__: f for f in (plain, by_hand, causal, counted, unnormalised, turned)
}  # each is a function of arrays (examples, positions, heads, features)
SHAPES = {"examples": (2, 40, 3, 4), "heads": (1, 45, 3, 4), "rows": (1, 43, 1, 4), "many_examples": (9, 40, 2, 4)}


def operands(shape: tuple[int, ...], dtype: Any = np.float64) -> list[Any]:
    r = np.random.default_rng(0)
    return [r.normal(size=shape).astype(dtype) for _ in range(3)]


def mixed(attention: Attention) -> Callable[..., Any]:
    """A loss that reads all positions of a result: what goes back waits for all that went forward."""

    def loss(*xs: Any) -> Any:
        out = attention(*xs)
        return np.sum(np.tanh(out - np.mean(out, 1, keepdims=True)) ** 2)

    return loss


def loops(function: Callable[..., Any], *xs: Any) -> int:
    program = tiling.tiled(simplify(fg.make_jaxpr(function)(*xs)))
    return sum(e.primitive.name == "scan" for e in program.equations)


def whole(function: Callable[..., Any], *xs: Any) -> Any:
    """The results where nothing is cut."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiling, "LARGE", 1 << 60)
        return fg.jit(lambda *ys: function(*ys))(*xs)


def assert_close(found: Any, expected: Any) -> None:
    for x, y in zip(fg.tree.leaves(found), fg.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_value_and_gradient_are_those_of_the_stored_scores(small: None, kind: str, shape: tuple[int, ...]) -> None:
    xs = operands(shape)
    function = fg.value_and_grad(mixed(KINDS[kind]), argnums=(0, 1, 2))
    assert loops(function, *xs) >= 2
    assert_close(fg.jit(function)(*xs), whole(function, *xs))


def test_what_needs_nothing_of_other_rows_is_one_loop(small: None) -> None:
    xs = operands(SHAPES["rows"])
    function = fg.value_and_grad(lambda *ys: np.sum(plain(*ys) ** 2), argnums=(0, 1, 2))
    assert loops(function, *xs) == 1
    assert_close(fg.jit(function)(*xs), whole(function, *xs))


@pytest.mark.parametrize("kind", ["plain", "causal"])
def test_under_the_other_transformations(small: None, kind: str) -> None:
    xs = operands(SHAPES["rows"])
    loss = mixed(KINDS[kind])
    for function in (
        KINDS[kind],
        lambda *ys: fg.jvp(loss, ys, ys),
        lambda *ys: fg.grad(lambda q: np.sum(fg.grad(loss)(q, *ys[1:]) ** 2))(ys[0]),
        lambda *ys: fg.vmap(fg.grad(loss), in_axes=(0, None, None))(np.stack([ys[0], -ys[0]]), *ys[1:]),
    ):
        assert_close(fg.jit(function)(*xs), whole(function, *xs))


def test_two_layers(small: None) -> None:
    xs = operands(SHAPES["heads"])
    function = fg.value_and_grad(lambda q, k, v: mixed(plain)(plain(q, k, v), k, v))
    assert loops(function, *xs) >= 3
    assert_close(fg.jit(function)(*xs), whole(function, *xs))


def test_an_array_of_the_scores_shape_is_read_slice_by_slice(small: None) -> None:
    q, k, v = operands(SHAPES["heads"])
    bias = np.random.default_rng(1).normal(size=(1, 3, 45, 45))

    def loss(q: Any, bias: Any) -> Any:
        return np.sum(np.tanh(np.mean(weighted(nn.softmax(scores(q, k) + bias), v), 1)))

    assert loops(fg.grad(loss), q, bias) >= 2
    assert_close(fg.jit(fg.grad(loss))(q, bias), whole(fg.grad(loss), q, bias))


def distances(x: Any, y: Any) -> Any:
    return np.sum(x * x, 1)[:, None] - 2 * x @ y.T + np.sum(y * y, 1)


def test_a_sum_over_pairs_stores_no_pairs(small: None) -> None:
    """No attention: a Gaussian kernel's sum, and the nearest point."""
    r = np.random.default_rng(0)
    x, y = r.normal(size=(60, 3)), r.normal(size=(50, 3))
    for function in (
        lambda x, y: np.sum(np.exp(-distances(x, y))),
        fg.grad(lambda x, y: np.sum(np.log(np.sum(np.exp(-distances(x, y)), 1)))),
        lambda x, y: np.min(distances(x, y), 1),
    ):
        assert loops(function, x, y) >= 1
        assert_close(fg.jit(function)(x, y), whole(function, x, y))


@pytest.mark.parametrize(
    "function",
    [
        lambda x, y: x @ y.T,  # a result
        lambda x, y: np.sort(x @ y.T, 1)[:, 0],  # an operation that is not cut
        lambda x, y: np.sum(np.cumsum(x @ y.T, 1), 1),
        lambda x, y: np.linalg.norm((x @ y.T) @ (x @ y.T).T),  # each row with each other one
        lambda x, y: np.sum(np.tile(x, 100) @ np.tile(y, 100).T),  # each element takes long
    ],
)
def test_everything_else_is_left_as_it_is(small: None, function: Callable[..., Any]) -> None:
    r = np.random.default_rng(0)
    x, y = r.normal(size=(60, 3)), r.normal(size=(50, 3))
    program = simplify(fg.make_jaxpr(function)(x, y))
    assert tiling.tiled(program) is program
    np.testing.assert_allclose(fg.jit(function)(x, y), function(x, y), rtol=1e-10)


def test_what_is_printed_stays_in_order(small: None, capfd: pytest.CaptureFixture[str]) -> None:
    def function(*xs: Any) -> Any:
        out = plain(*xs)
        fg.debug.print("first {}", np.round(np.sum(out) * 0), ordered=True)
        fg.debug.print("second {}", np.sum(xs[0]) * 0, ordered=True)
        return out

    xs = operands(SHAPES["rows"])
    assert loops(function, *xs) == 1
    fg.jit(function)(*xs)
    printed = capfd.readouterr().out
    assert printed.index("first") < printed.index("second")


def test_memory_is_that_of_slices() -> None:
    """Scores of 8 heads for 1,024 positions take 32 MiB, and a gradient several such arrays."""
    xs = operands((1, 1024, 8, 16), np.float32)
    compiled = fg.jit(fg.grad(mixed(plain))).lower(*xs).compile()
    assert compiled.memory_analysis()["temp_size_in_bytes"] < 16 << 20


def test_the_same_bits_again(small: None) -> None:
    xs = operands(SHAPES["rows"], np.float32)
    function = fg.jit(fg.grad(mixed(causal)))
    first = function(*xs)
    np.testing.assert_array_equal(first, function(*xs))
