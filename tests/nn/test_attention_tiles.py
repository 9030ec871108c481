"""Is attention by kernels of its own what it is all at once, whatever is not a multiple of a block?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import nn
from funcgrad.compile import native
from funcgrad.lower.attention import COLUMNS, ROWS
from funcgrad.nn import _attention
from funcgrad.ops import attention as ops
from tests.lower.test_listings import run_source

RANDOM = np.random.default_rng(11)
PRECISION = {np.float32: 1e-5, np.float64: 1e-13}


@pytest.fixture(autouse=True)
def _on_any_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "RANDOM", np.random.default_rng(11))  # the same numbers in any order of tests
    monkeypatch.setattr(native, "multiplies_in_tiles", lambda: True)
    for name in ("LARGE", "LARGE_BOUNDED"):
        monkeypatch.setattr(_attention, name, 0)


def drawn(
    examples: int, queries: int, keys: int, heads: tuple[int, int], features: int, dtype: Any
) -> list[np.ndarray]:
    """Queries, keys, values, and weights of the result."""
    shapes = [(examples, n, h, features) for n, h in ((queries, heads[0]), (keys, heads[1]))]
    return [RANDOM.standard_normal(shape).astype(dtype) for shape in (shapes[0], shapes[1], shapes[1], shapes[0])]


def loss(options: dict[str, Any]) -> Callable[..., Any]:
    return lambda q, k, v, weights: np.sum(nn.dot_product_attention(q, k, v, **options) * weights)


def both(options: dict[str, Any]) -> Callable[..., Any]:
    """The value and the gradients, of a function that nobody has compiled yet."""
    return fg.jit(fg.value_and_grad(loss(options), (0, 1, 2)))


def at_once(options: dict[str, Any], operands: list[np.ndarray]) -> Any:
    """The same in float64 from scores that are stored."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("LARGE", "LARGE_BOUNDED"):
            patch.setattr(_attention, name, 1 << 60)
        return both(options)(*(x.astype(np.float64) for x in operands))


def agree(found: Any, wanted: Any, tolerance: float) -> None:
    for got, want in zip(fg.tree.leaves(found), fg.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance * np.max(np.abs(want)))


CASES: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "one query and one key": ((1, 1, 1, (1, 1), 1), {}),
    "few": ((2, 5, 3, (1, 1), 7), {}),
    "all keys": ((1, 2 * ROWS + 3, COLUMNS + 70, (2, 2), 33), {}),
    "a block and a key": ((1, ROWS, COLUMNS + 1, (1, 1), 32), {}),
    "causal": ((2, 3 * ROWS + 1, 3 * ROWS + 1, (1, 1), 64), {"is_causal": True}),
    "causal, groups of heads": ((1, 200, 200, (6, 2), 16), {"is_causal": True, "scale": 0.3}),
    "fewer queries than keys": ((1, 100, 2 * COLUMNS, (1, 1), 24), {"is_causal": True}),
    "a window": ((1, 700, 700, (1, 1), 40), {"local_window_size": (37, 0)}),
    "a window on both sides": ((1, 300, 900, (2, 1), 8), {"local_window_size": (10, 400)}),
    "keys behind the last query": ((1, 150, 500, (9, 9), 8), {"local_window_size": (3, 5)}),
    "a negative scale": ((1, 130, 90, (1, 1), 48), {"scale": -2.0}),
}


@pytest.mark.parametrize("dtype", PRECISION)
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(name: str, dtype: Any) -> None:
    sizes, options = CASES[name]
    operands = drawn(*sizes, dtype)
    compiled = both(options).lower(*operands).compile()
    assert "attend_backward" in compiled.as_text("python")
    agree(compiled(*operands), at_once(options, operands), PRECISION[dtype])


def test_the_largest_score_and_the_sum_of_each_query() -> None:
    q, k, v, _ = drawn(1, 200, 450, (2, 2), 16, np.float64)
    _, sums = fg.jit(lambda *x: nn.dot_product_attention(*x, return_residual=True))(q, k, v)
    scores = np.einsum("bthd,bshd->bths", q, k) / 4
    np.testing.assert_allclose(sums, np.log(np.exp(scores).sum(-1)), rtol=1e-13)


def test_listings_compute_the_same() -> None:
    operands = drawn(1, 140, 150, (2, 1), 12, np.float64)
    function = both({"is_causal": True})
    agree(run_source(function.lower(*operands).as_text("python"), operands), function(*operands), 1e-12)


def test_the_number_of_threads_changes_no_bit() -> None:
    operands = drawn(1, 700, 900, (3, 1), 32, np.float32)
    before, found = fg.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            fg.set_num_threads(threads)
            found.append([x.tobytes() for x in fg.tree.leaves(both({})(*operands))])
    finally:
        fg.set_num_threads(before)
    assert found[0] == found[1] == found[2]


def test_kernels_keep_to_their_memory() -> None:
    for sizes, options in CASES.values():
        operands = drawn(*sizes, np.float32)
        with fg.config.check_memory():
            found = both(options)(*operands)
        agree(found, both(options)(*operands), PRECISION[np.float32])


def test_a_query_without_a_number_has_no_result_and_others_keep_theirs() -> None:
    q, k, v, _ = drawn(1, 300, 300, (1, 1), 16, np.float32)
    q[0, 150] = np.nan
    out = fg.jit(lambda *x: nn.dot_product_attention(*x))(q, k, v)
    assert np.isnan(out[0, 150]).all()
    assert np.isfinite(np.delete(out[0], 150, 0)).all()


def test_a_key_without_a_number_is_seen_by_later_queries_only() -> None:
    q, k, v, _ = drawn(1, 300, 300, (1, 1), 16, np.float32)
    k[0, 200] = np.nan
    out = fg.jit(lambda *x: nn.dot_product_attention(*x, is_causal=True))(q, k, v)
    assert np.isfinite(out[0, :200]).all()
    assert np.isnan(out[0, 200:]).all()


@pytest.mark.parametrize("far", [1e3, 1e30])
def test_keys_far_below_the_largest_score_weigh_nothing(far: float) -> None:
    q, k, v, _ = drawn(1, 40, 500, (1, 1), 4, np.float32)
    q[:], k[:] = 1, -far
    k[0, 450] = 1
    out = fg.jit(lambda *x: nn.dot_product_attention(*x))(q, k, v)
    np.testing.assert_array_equal(out, np.broadcast_to(v[:, 450:451], out.shape))


def test_batches_and_second_derivatives() -> None:
    operands = drawn(3, 60, 60, (2, 2), 8, np.float64)
    options = {"is_causal": True}
    one = loss(options)
    many = fg.jit(fg.vmap(lambda *x: fg.value_and_grad(one, (0, 1, 2))(*(y[None] for y in x))))(*operands)
    value, gradients = at_once(options, operands)
    np.testing.assert_allclose(np.sum(many[0]), value, rtol=1e-12)
    agree([x[:, 0] for x in many[1]], gradients, 1e-12)
    t = [RANDOM.standard_normal(x.shape) for x in operands]

    def moved() -> Any:
        gradient = fg.grad(one, (0, 1, 2))
        return fg.jit(lambda *x: fg.jvp(gradient, x, tuple(t)))(*operands)

    found = moved()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_attention, "LARGE_BOUNDED", 1 << 60)
        agree(found, moved(), 1e-11)


@pytest.mark.parametrize("options", [{"mask": np.ones((1, 1, 9, 9), bool)}, {"local_window_size": (-1, 3)}], ids=str)
def test_masks_and_queries_that_see_nothing_are_left_to_slices(options: dict[str, Any]) -> None:
    operands = drawn(1, 9, 9, (1, 1), 4, np.float64)
    assert "attend" not in both(options).lower(*operands).as_text("python")


@pytest.mark.parametrize("name", ["attend", "attend_backward"])
def test_references_are_what_kernels_compute(name: str) -> None:
    q = RANDOM.standard_normal((2, 3, 50, 8))
    k, v = RANDOM.standard_normal((2, 60, 8)), RANDOM.standard_normal((2, 60, 5))
    params = {"left": 20, "right": 4}
    operands = [q, k, v]
    if name == "attend_backward":
        out, top, total = ops.attend(q, k, v, **params)
        ct = RANDOM.standard_normal(out.shape)
        operands += [top, total, np.sum(ct * out, -1), ct]
        params["runs"] = 3

    def function(*x: Any) -> Any:
        first, *others = getattr(ops, name)(*x, **params)
        return (np.sum(first, 0) if name == "attend_backward" else first, *others)

    agree(fg.jit(function)(*operands), function(*operands), 1e-13)
    stacks = [np.stack([x, x[::-1]]) for x in operands]
    agree(fg.jit(fg.vmap(function))(*stacks), [np.stack([x, x[::-1]]) for x in function(*operands)], 1e-13)
