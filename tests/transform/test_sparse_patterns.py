"""Are sparse patterns as sparse as the Jacobian, through loops, branches and sums along lines?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg

X = np.linspace(0.4, 1.7, 8)


def chain(x: Any) -> Any:
    """Each element of the result reads the one before: a recurrence without memory."""
    return fg.lax.scan(lambda before, v: (v, before * v), 1.0, x)[1]


def diffusion(x: Any) -> Any:
    """Three steps of neighbours' means: seven diagonals."""
    return fg.lax.fori_loop(0, 3, lambda i, u: u + 0.1 * (np.roll(u, 1) - 2 * u + np.roll(u, -1)) * u, x)


def written(x: Any) -> Any:
    """A loop that writes at a place that counts."""
    return fg.lax.fori_loop(0, 8, lambda i, y: y.at[i].set(x[i] * x[7 - i]), fg.numpy.zeros(8))


def halved(x: Any) -> Any:
    """A loop of unknown length on elements by themselves."""
    return fg.lax.while_loop(lambda u: np.max(u) > 0.5, lambda u: u * u / 2, x)


def spread(x: Any) -> Any:
    """A loop of unknown length in which neighbours meet: everything may depend on everything."""
    return fg.lax.while_loop(lambda u: np.sum(u) < 1e3, lambda u: u + np.roll(u, 1) * u, x)


def blocks(x: Any) -> Any:
    """Sums along the lines of a table, forwards and backwards."""
    table = np.reshape(x, (2, 4))
    return np.cumsum(table, axis=1) * fg.lax.cumprod(table, axis=1, reverse=True)


def sorted_lines(x: Any) -> Any:
    """Sorted line by line."""
    return np.sort(np.sin(3 * np.reshape(x, (2, 4))), axis=1)


def branches(x: Any) -> Any:
    """What either branch reads."""
    return fg.lax.cond(np.sum(x) > 100, lambda x: x[::-1] * x, lambda x: x * x, x)


# the function, and how many entries its pattern has
PATTERNS: dict[str, tuple[Callable[[Any], Any], int]] = {
    "cumsum": (lambda x: np.cumsum(x * x), 36),
    "reverse cumsum": (lambda x: fg.lax.cumsum(x, reverse=True), 36),
    "lines of a table": (blocks, 2 * 16),
    "sort": (sorted_lines, 2 * 16),
    "scan": (chain, 15),
    "steps of diffusion": (diffusion, 7 * 8),
    "writes that count": (written, 2 * 8),
    "unknown length": (halved, 8),
    "unknown length, all meet": (spread, 64),
    "branches": (branches, 16),
    "map": (lambda x: fg.lax.map(lambda v: np.sin(v) * v, x), 8),
}


@pytest.mark.parametrize("name", PATTERNS)
def test_patterns(name: str) -> None:
    function, entries = PATTERNS[name]
    jacobian = fg.sparse_jacobian(function)
    dense = np.reshape(np.asarray(fg.jacfwd(function)(X)), (-1, 8))
    assert jacobian.pattern(X).nnz == entries
    np.testing.assert_allclose(jacobian(X).toarray(), dense, rtol=1e-12, atol=1e-15)


def test_few_colours_through_a_loop() -> None:
    x = np.linspace(0.1, 1.0, 300)
    found = fg.sparse_jacobian(diffusion)(x)
    assert found.nnz == 7 * 300
    direction = np.cos(x)
    np.testing.assert_allclose(found @ direction, fg.jvp(diffusion, (x,), (direction,))[1], rtol=1e-11)


def test_long_loops_are_taken_for_dense() -> None:
    jacobian = fg.sparse_jacobian(lambda x: fg.lax.fori_loop(0, 30_000, lambda i, u: u * 0.9999, x))
    assert jacobian.pattern(X).nnz == 64
    np.testing.assert_allclose(jacobian(X).toarray(), np.eye(8) * 0.9999**30_000, rtol=1e-10)
