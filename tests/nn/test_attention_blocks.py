"""Is attention block by block the same as all at once, with its derivatives, and how much memory does it take?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import funcgrad as fg
from funcgrad import nn
from funcgrad.compile import native
from funcgrad.lower import tiling
from funcgrad.nn import _attention, _blocks

RANDOM = np.random.default_rng(7)
B, T, S, N, K, H = 2, 23, 19, 4, 2, 3


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Slices of four queries, of one head at a time; a call says whether there are any."""
    monkeypatch.setattr(native, "multiplies_in_tiles", lambda: False)
    monkeypatch.setattr(_blocks, "PARTS", 2)
    for name, number in {"LARGE": 100, "GROWN": 1, "SLICE": 64, "LINES": 4}.items():
        monkeypatch.setattr(tiling, name, number)

    def chosen(blocks: bool) -> None:
        for name in ("LARGE", "LARGE_BOUNDED"):
            monkeypatch.setattr(_attention, name, 0 if blocks else 1 << 40)

    return chosen


def operands(dtype: Any = np.float64) -> list[np.ndarray]:
    shapes = ((B, T, N, H), (B, S, K, H), (B, S, K, H))
    return [RANDOM.standard_normal(shape).astype(dtype) for shape in shapes]


def masked(*shape: int) -> np.ndarray:
    return RANDOM.random(shape) < 0.5


MASK = masked(B, N, T, S)
MASK[0, 1, 2] = False  # a query that may look at nothing

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "scale": {"scale": 0.3},
    "causal": {"is_causal": True},
    "window": {"local_window_size": (2, 5)},
    "behind": {"local_window_size": (6, 0)},
    "nothing but later keys": {"local_window_size": (-1, 3)},
    "causal window": {"is_causal": True, "local_window_size": 3},
    "mask": {"mask": MASK},
    "mask of one example": {"mask": masked(1, N, T, S)},
    "mask of keys": {"mask": masked(B, 1, 1, S)},
    "mask of nothing": {"mask": np.zeros((1, 1, 1, 1), bool)},
    "mask and causal": {"mask": MASK, "is_causal": True},
    "lengths": {"query_seq_lengths": np.array([9, 23]), "key_value_seq_lengths": np.array([19, 4])},
}
BIASES = {
    "of all": (B, N, T, S),
    "of heads": (1, N, T, S),
    "of examples": (B, 1, T, S),
    "of positions": (T, S),
    "of keys": (B, N, 1, S),
    "of one key for all": (1, 1, 1, S),
    "of queries": (1, N, T, 1),
}


def both(small: Any, f: Callable[..., Any], *args: Any) -> tuple[Any, Any]:
    """The results in blocks and all at once, of functions that nobody has compiled yet."""
    results = []
    for blocks in (True, False):
        small(blocks)
        results.append(fg.jit(lambda *xs: f(*xs))(*args))
    return results[0], results[1]


def agree(pair: tuple[Any, Any], tolerance: float = 1e-12) -> None:
    for got, want in zip(*map(fg.tree_util.tree_leaves, pair), strict=True):
        assert got.dtype == want.dtype
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", OPTIONS)
def test_values_and_gradients(small: Any, name: str) -> None:
    weights = RANDOM.standard_normal((B, T, N, H))

    def f(*x: Any) -> Any:
        return np.sum(nn.dot_product_attention(*x, **OPTIONS[name]) * weights)

    agree(both(small, fg.value_and_grad(f, (0, 1, 2)), *operands()))


@pytest.mark.parametrize("name", ["causal", "mask", "lengths"])
def test_residuals(small: Any, name: str) -> None:
    agree(both(small, lambda *x: nn.dot_product_attention(*x, **OPTIONS[name], return_residual=True), *operands()))


@pytest.mark.parametrize("name", BIASES)
def test_a_bias_and_its_gradient(small: Any, name: str) -> None:
    weights, bias = RANDOM.standard_normal((B, T, N, H)), RANDOM.standard_normal(BIASES[name])

    def f(*x: Any) -> Any:
        return np.sum(nn.dot_product_attention(*x, is_causal=name == "of heads") * weights)

    agree(both(small, fg.value_and_grad(f, (0, 1, 2, 3)), *operands(), bias))


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_narrow_floats(small: Any, dtype: Any) -> None:
    f = fg.grad(lambda *x: np.sum(nn.dot_product_attention(*x, is_causal=True).astype(np.float32) ** 2), (0, 1, 2))
    tolerance = {np.float32: 1e-5, np.float16: 5e-3}.get(dtype, 4e-2)
    for got, want in zip(*both(small, f, *operands(dtype)), strict=True):
        assert got.dtype == want.dtype == dtype
        np.testing.assert_allclose(got.astype("f4"), want.astype("f4"), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("bias", [(), (T, S)], ids=["no bias", "bias"])
def test_other_derivatives(small: Any, bias: Any) -> None:
    x = [*operands(), *([RANDOM.standard_normal(bias)] if bias else [])]
    t = [RANDOM.standard_normal(y.shape) for y in x]
    f = lambda *x: nn.dot_product_attention(*x, mask=MASK, is_causal=True)  # noqa: E731
    loss = lambda *x: np.sum(f(*x) ** 2)  # noqa: E731
    gradient = fg.grad(loss, tuple(range(len(x))))
    agree(both(small, lambda *x: fg.jvp(f, tuple(x), tuple(t)), *x))
    agree(both(small, lambda *x: fg.jvp(gradient, tuple(x), tuple(t)), *x), 1e-11)
    second = lambda *x: sum(np.sum(g * u) for g, u in zip(gradient(*x), t, strict=True))  # noqa: E731
    agree(both(small, fg.grad(second, tuple(range(len(x)))), *x), 1e-11)


@pytest.mark.parametrize("axes", [(0, 0, 0, 0), (0, None, None, None), (None, 0, 0, None), (None, None, None, 0)])
def test_batches(small: Any, axes: Any) -> None:
    shapes = [y.shape for y in operands()] + [(1, N, T, S)]
    x = [RANDOM.standard_normal(s if a is None else (3, *s)) for s, a in zip(shapes, axes, strict=True)]
    f = lambda *x: np.sum(nn.dot_product_attention(*x, mask=MASK) ** 2)  # noqa: E731
    agree(both(small, fg.vmap(fg.value_and_grad(f, (0, 1, 2, 3)), axes), *x))
    agree(both(small, fg.value_and_grad(lambda *x: np.sum(fg.vmap(f, axes)(*x)), (0, 1, 2, 3)), *x))


def test_eager_calls_and_gradients(small: Any) -> None:
    x = operands()
    f = lambda *x: np.sum(nn.dot_product_attention(*x, is_causal=True) ** 2)  # noqa: E731
    found = []
    for blocks in (True, False):
        small(blocks)
        found.append(fg.value_and_grad(f, (0, 1, 2))(*x))
    agree((found[0], found[1]))


@pytest.mark.parametrize(
    ("causal", "tiles", "short", "long"),
    [(False, False, 4096, 8192), (False, True, 1024, 2048), (True, False, 1024, 2048)],
)
def test_only_large_scores_are_computed_in_blocks(
    monkeypatch: pytest.MonkeyPatch, causal: bool, tiles: bool, short: int, long: int
) -> None:
    monkeypatch.setattr(native, "multiplies_in_tiles", lambda: tiles)
    f = lambda q: nn.dot_product_attention(q, q, q, is_causal=causal)  # noqa: E731
    found = ["attention" in str(fg.make_jaxpr(f)(np.zeros((1, t, 1, 1), np.float32))) for t in (short, long)]
    assert found == [False, True]


@pytest.mark.parametrize("causal", [False, True])
def test_memory_is_linear_in_the_sequence(causal: bool) -> None:
    def temporaries(length: int) -> int:
        x = np.zeros((1, length, 4, 64), np.float32)
        f = fg.value_and_grad(lambda *x: np.sum(nn.dot_product_attention(*x, is_causal=causal) ** 2), (0, 1, 2))
        return int(fg.jit(f).lower(x, x, x).memory_analysis()["temp_size_in_bytes"])

    scores = 4 * 8192**2 * 4
    assert temporaries(16384) < 2.3 * temporaries(8192) < scores / 2
