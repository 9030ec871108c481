"""Are products of scaled blocks right?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import nn

RANDOM = np.random.default_rng(0)
LHS, RHS = RANDOM.standard_normal((2, 3, 8)), RANDOM.standard_normal((2, 5, 8))
LEFT, RIGHT = RANDOM.random((2, 3, 4)), RANDOM.random((2, 5, 4))


def test_a_block_times_its_scale() -> None:
    want = np.einsum("bmk,bnk->bmn", LHS * np.repeat(LEFT, 2, -1), RHS * np.repeat(RIGHT, 2, -1))
    for f in (nn.scaled_matmul, fg.jit(nn.scaled_matmul)):
        got = f(LHS, RHS, LEFT, RIGHT)
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
    assert nn.scaled_matmul(LHS, RHS, LEFT, RIGHT, np.float16).dtype == np.float16


def test_gradients() -> None:
    def plain(lhs: Any, rhs: Any, left: Any, right: Any) -> Any:
        scaled = (fg.numpy.repeat(s, 2, -1) * x for x, s in ((lhs, left), (rhs, right)))
        return np.sum(np.einsum("bmk,bnk->bmn", *scaled) ** 2)

    operands = [x.astype(np.float32) for x in (LHS, RHS, LEFT, RIGHT)]
    got = fg.grad(lambda *x: np.sum(nn.scaled_matmul(*x) ** 2), (0, 1, 2, 3))(*operands)
    want = fg.grad(plain, (0, 1, 2, 3))(*operands)
    for g, w in zip(got, want, strict=True):
        np.testing.assert_allclose(g, w, rtol=1e-4, atol=1e-4)


def test_dot_general_without_scales() -> None:
    numbers = (((2,), (2,)), ((0,), (0,)))
    got = nn.scaled_dot_general(LHS, RHS, numbers, np.float64)
    np.testing.assert_allclose(got, np.einsum("bmk,bnk->bmn", LHS, RHS))
    with pytest.raises(NotImplementedError, match="no quantised formats"):
        nn.scaled_dot_general(LHS, RHS, numbers, configs=[])
    with pytest.raises(ValueError, match="implementation 'cudnn' is unknown"):
        nn.scaled_dot_general(LHS, RHS, numbers, implementation="cudnn")


BAD = {
    "axes": ((LHS[0], RHS, LEFT, RIGHT), "operands of three axes"),
    "contraction": ((LHS[:, :, :6], RHS, LEFT, RIGHT), r"lhs \(2, 3, 6\) and rhs \(2, 5, 8\) must agree"),
    "batch": ((LHS[:1], RHS, LEFT[:1], RIGHT), "must agree"),
    "scales": ((LHS, RHS, LEFT[:, :2], RIGHT), r"scales of shapes \(2, 2, 4\)"),
    "numbers of scales": ((LHS, RHS, LEFT[:, :, :2], RIGHT), "do not fit"),
    "blocks": ((LHS, RHS, LEFT[:, :, :3], RIGHT[:, :, :3]), "rows of 8 elements do not divide into 3 blocks"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_shapes(name: str) -> None:
    operands, message = BAD[name]
    with pytest.raises(ValueError, match=f"scaled_matmul: .*{message}"):
        nn.scaled_matmul(*operands)
