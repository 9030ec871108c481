"""Are numbers too small for all their digits kept, and zeros where somebody says so, on each thread that helps?"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.compile import native

pytestmark = pytest.mark.skipif(native.FLUSH == 0, reason="nobody knows how this CPU does it")
SMALL = {dtype: np.finfo(dtype).tiny * dtype(1.5) for dtype in (np.float32, np.float64)}


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = fg.get_num_threads()
    fg.set_num_threads(request.param)
    yield request.param
    fg.set_num_threads(before)


def halves(x: Any) -> tuple[Any, Any, Any]:
    """Of a result, of an operand, and of a product of matrices how many are not 0."""
    return (
        np.sum(x / 2 != 0),
        np.sum((x / 4) * 1e30 != 0),
        np.sum(x @ np.full((x.shape[1], 1), x.dtype.type(0.001)) != 0),
    )


@pytest.mark.parametrize("dtype", SMALL)
def test_they_are_zeros_within_the_block_and_kept_behind_it(dtype: type, threads: int) -> None:
    x = np.full((1000, 600), SMALL[dtype])
    counted = fg.jit(halves)
    for _ in range(3):
        assert tuple(counted(x)) == (600_000, 600_000, 1000)
        with fg.flush_subnormals():
            assert tuple(counted(x)) == (0, 0, 0)
            assert x[0, 0] / 2 == 0  # NumPy's, too
    assert x[0, 0] / 2 != 0


def test_gradients_of_loops_flush() -> None:
    gradient = fg.jit(fg.grad(lambda x: fg.lax.scan(lambda c, _: (0.1 * c, None), x, None, length=40)[0]))
    one = np.float32(1)
    assert gradient(one) > 0
    with fg.flush_subnormals():
        assert gradient(one) == 0


def test_an_error_ends_the_block_and_blocks_within_blocks_do_not() -> None:
    half, small = fg.jit(lambda x: x / 2), SMALL[np.float32]
    with pytest.raises(ZeroDivisionError), fg.flush_subnormals():
        raise ZeroDivisionError
    assert half(small) > 0
    with fg.flush_subnormals():
        with fg.flush_subnormals():
            assert half(small) == 0
        assert half(small) == 0
    assert half(small) > 0


def test_a_decorated_function_flushes() -> None:
    half = fg.flush_subnormals()(fg.jit(lambda x: x / 2))
    assert half(SMALL[np.float32]) == 0 == half(SMALL[np.float32])
    assert SMALL[np.float32] / 2 > 0


def test_other_threads_keep_them() -> None:
    half, found = fg.jit(lambda x: x / 2), []
    waiting, done = threading.Event(), threading.Event()

    def other() -> None:
        waiting.wait(10)
        found.append(half(SMALL[np.float64]))
        done.set()

    thread = threading.Thread(target=other)
    thread.start()  # outside: a thread begins with its parent's way
    with fg.flush_subnormals():
        waiting.set()
        assert done.wait(10)
        assert half(SMALL[np.float64]) == 0
    thread.join()
    assert found[0] > 0


def test_rounding_that_a_caller_chose_reaches_the_workers(threads: int) -> None:
    before = native.float_mode()
    x = np.full((2000, 300), 1.0)
    third = fg.jit(lambda x: x / 3)
    nearest = third(x)
    if native.FLUSH != 1 << 15 | 1 << 6:
        pytest.skip("the bits of rounding lie elsewhere")
    try:
        native.set_float_mode(before | 2 << 13)  # towards plus infinity
        up = third(x)
    finally:
        native.set_float_mode(before)
    assert (up > nearest).all()
    np.testing.assert_array_equal(third(x), nearest)
