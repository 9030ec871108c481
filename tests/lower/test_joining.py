"""How large do kernels become?  What a program computes decides how many there are, not how long one is."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg

LONGEST = 4000  # lines of LLVM IR of one kernel


def rows(x: Any, k: int) -> Any:
    """A fold of each row, which the next step needs."""
    return x - 0.1 * np.log(np.sum(np.exp(x), axis=1, keepdims=True))


def elements(x: Any, k: int) -> Any:
    return np.maximum(x * 0.99, 0.1) + x * x / (1000 + k)


@pytest.mark.parametrize(("step", "times"), [(rows, 30), (elements, 150)])
def test_kernels_of_long_programs_are_bounded(step: Callable[[Any, int], Any], times: int) -> None:
    def value(x: Any) -> Any:
        for k in range(times):
            x = step(x, k)
        return np.sum(x)

    text = fg.jit(fg.grad(value)).lower(np.ones((40, 40))).as_text("llvm")
    kernels = [kernel.count("\n") for kernel in re.split("(?=define void @kernel)", text)]
    assert max(kernels) < LONGEST
    assert sum(kernels) < 500 * times
