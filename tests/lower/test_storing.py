"""Are cheap values stored where many kernels would compute them anew, and not where few would?"""

from __future__ import annotations

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp


def diffusion(steps):
    """Explicit steps on a periodic grid."""

    def step(x):
        return x + 0.2 * (fnp.roll(x, 1, 0) + fnp.roll(x, -1, 0) + fnp.roll(x, 1, 1) + fnp.roll(x, -1, 1) - 4 * x)

    def last(x):
        for _ in range(steps):
            x = step(x)
        return x

    return last


@pytest.mark.parametrize("transform", [lambda f: f, lambda f: fg.grad(lambda x: fnp.sum(f(x) ** 2))])
def test_work_is_linear_in_the_number_of_steps(transform):
    x = np.zeros((256, 256), np.float32)
    flops = [fg.jit(transform(diffusion(n))).lower(x).cost_analysis()["flops"] for n in (5, 10, 20)]
    assert flops[2] - flops[1] < 2.2 * (flops[1] - flops[0])


def test_values():
    x = np.random.default_rng(0).standard_normal((256, 200))
    loss = lambda x: fnp.sum(diffusion(4)(x) ** 3)  # noqa: E731
    np.testing.assert_allclose(fg.jit(fg.grad(loss))(x), fg.grad(loss)(x), rtol=1e-10, atol=1e-12)


def test_few_cheap_operations_are_computed_twice():
    x = np.zeros((512, 512), np.float32)

    def f(x):
        y = 2 * x + 1
        return fnp.sum(y, axis=0), y.T @ x

    analysis = fg.jit(lambda x: (fnp.sum(2 * x + 1, axis=0), fnp.sum(2 * x + 1, axis=1))).lower(x).cost_analysis()
    assert analysis["bytes accessed"] < 3 * x.nbytes
    assert fg.jit(f).lower(x).cost_analysis()["kernels"] <= 3


def test_what_is_searched_through_is_stored_if_it_takes_mathematics():
    """A search goes from element to element: what it waits for is better computed in lanes, by a loop of its own."""
    x = np.random.default_rng(0).standard_normal((64, 100)).astype(np.float32)
    dear, cheap = (fg.jit(f) for f in (lambda x: fnp.argmax(fnp.exp(-x), -1), lambda x: fnp.argmax(2 - x, -1)))
    assert dear.lower(x).cost_analysis()["kernels"] == 2
    assert cheap.lower(x).cost_analysis()["kernels"] == 1
    np.testing.assert_array_equal(dear(x), x.argmin(-1))
    np.testing.assert_array_equal(cheap(x), x.argmin(-1))
    both = fg.jit(lambda x: (fnp.exp(x), fnp.argmax(fnp.exp(x), -1), fnp.argmin(fnp.exp(x))))(x)
    np.testing.assert_array_equal(both[1], x.argmax(-1))
    assert both[2] == x.argmin()
    few = fg.jit(lambda x: fnp.argmax(fnp.exp(x)))
    assert few.lower(x[0, :10]).cost_analysis()["kernels"] == 1
