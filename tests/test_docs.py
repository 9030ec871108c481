"""Do the pages in docs/ show what the code does today?
Run with ``FUNCGRAD_UPDATE_DOCS=1`` to write the listings anew.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import funcgrad as fg

PAGE = Path(__file__).parents[1] / "docs" / "mlp_listing.md"


def loss(params: Any, x: Any, y: Any) -> Any:
    for w, b in params[:-1]:
        x = fg.nn.relu(x @ w + b)
    w, b = params[-1]
    log_p = fg.nn.log_softmax(x @ w + b)
    return -np.mean(np.take_along_axis(log_p, y[:, None], 1))


def lowered() -> Any:
    params = [
        (np.zeros((64, 32), np.float32), np.zeros(32, np.float32)),
        (np.zeros((32, 10), np.float32), np.zeros(10, np.float32)),
    ]
    x, y = np.zeros((20, 64), np.float32), np.zeros(20, np.int64)
    return fg.jit(fg.value_and_grad(loss)).lower(params, x, y)


@pytest.mark.parametrize("dialect", ["ir", "simplified", "python"])
def test_the_listings_of_the_network(dialect: str) -> None:
    text = lowered().as_text(dialect).rstrip()
    page = PAGE.read_text()
    pattern = re.compile(rf"(<!-- {dialect} -->\n```\w*\n)(.*?)(\n```)", re.DOTALL)
    found = pattern.search(page)
    assert found is not None
    if os.environ.get("FUNCGRAD_UPDATE_DOCS"):
        replace: Callable[[re.Match[str]], str] = lambda m: m[1] + text + m[3]  # noqa: E731
        PAGE.write_text(pattern.sub(replace, page))
        return
    assert found[2] == text
