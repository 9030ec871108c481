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
