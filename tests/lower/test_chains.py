"""Do products and the kernels that follow take turns on bands where that saves a pass over memory, and only there?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.nn as nn
from funcgrad.lower.chains import Chain

RNG = np.random.default_rng(5)


def drawn(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


X, W, B = drawn(1024, 16), drawn(16, 512), drawn(512)
TAILS: dict[str, tuple[Any, tuple[Any, ...], bool]] = {
    "bias and activation": (lambda x, w, b: nn.relu(x @ w + b), (X, w := W, B), True),
    "activation alone": (lambda x, w: np.tanh(x @ w), (X, w), True),
    "two results": (lambda x, w, b: (x @ w + b, np.sin(x @ w)), (X, w, B), True),
    "a batch of products": (lambda x, w: np.exp(-(x @ w)), (drawn(4, 256, 16), w), True),
    "added to an array": (lambda x, w, b: nn.relu((b + x @ w) + 1), (X, w, drawn(1024, 512)), True),
    "added to a product": (lambda x, w, v: np.tanh((x @ w + x @ v) * 0.5), (X, w, drawn(16, 512)), True),
    "read transposed": (lambda x, w: np.tanh((x @ w).T), (X, w), True),
    "a sum over rows": (lambda x, w: np.sum(np.tanh(x @ w), axis=0), (X, w), False),
    "a long inner dimension": (lambda x, w: np.tanh(x @ w), (drawn(1024, 300), drawn(300, 512)), False),
    "a small result": (lambda x, w: np.tanh(x @ w), (drawn(64, 16), w), False),
}


@pytest.mark.parametrize("name", TAILS)
def test_tails(name: str) -> None:
    function, arguments, joined = TAILS[name]
    compiled = fg.jit(function)
    low = compiled.lower(*arguments)
    assert any(isinstance(step, Chain) for step in low.plan.steps) is joined
    want = function(*(a.astype(np.float64) for a in arguments))
    for got, expected in zip(fg.tree.leaves(compiled(*arguments)), fg.tree.leaves(want), strict=True):
        np.testing.assert_allclose(got, expected, rtol=2e-4, atol=2e-4)
    namespace: dict[str, Any] = {}
    exec(low.as_text("python").replace("range(first, last)", "range(first, min(last, 3))"), namespace)


def test_the_number_of_threads_changes_nothing() -> None:
    function = fg.jit(lambda x, w, b: nn.relu(x @ w + b))
    before = fg.get_num_threads()
    results = []
    for threads in (1, 2, 3):
        fg.set_num_threads(threads)
        results.append(function(X, W, B))
    fg.set_num_threads(before)
    assert np.array_equal(results[0], results[1])
    assert np.array_equal(results[0], results[2])
