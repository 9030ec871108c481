"""Do `lax`'s extrema and cumulative functions take complex numbers as JAX's do?  By real part first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax

RNG = np.random.default_rng(0)
Z = RNG.normal(size=(4, 5)) * 300 + 1j * RNG.normal(size=(4, 5)) * 3
TIES = np.array([1 + 2j, 1 - 3j, 0.5 + 9j, 2 - 1j, complex(np.nan, 1)])


@pytest.mark.parametrize("axis", [0, -1])
@pytest.mark.parametrize("reverse", [False, True])
def test_cumulative_logarithms_of_sums(axis: int, reverse: bool) -> None:
    jax = pytest.importorskip("jax")
    function = lambda z: lax.cumlogsumexp(z, axis, reverse)  # noqa: E731
    with jax.enable_x64(True):
        want = np.asarray(jax.lax.cumlogsumexp(jax.numpy.asarray(Z), axis % 2, reverse))
    for form in (function, fg.jit(function)):
        np.testing.assert_allclose(form(Z), want, rtol=1e-12)
    assert function(Z.astype("c8")).dtype == np.complex64
    if axis == 0:
        each = fg.vmap(lambda z: lax.cumlogsumexp(z, 0, reverse), in_axes=1, out_axes=1)
        np.testing.assert_allclose(each(Z), want, rtol=1e-12)


def test_derivatives_of_cumulative_logarithms() -> None:
    direction = np.cos(np.arange(20)).reshape(4, 5) + 0.5j
    for form in (lambda f: f, fg.jit):
        _, slope = form(lambda z: fg.jvp(lax.cumlogsumexp, (z,), (direction,)))(Z / 300)
        h = 1e-5
        difference = (lax.cumlogsumexp(Z / 300 + h * direction) - lax.cumlogsumexp(Z / 300 - h * direction)) / (2 * h)
        np.testing.assert_allclose(slope, difference, rtol=1e-8)
    gradient = fg.grad(lambda z: np.sum(lax.cumlogsumexp(z).real))(np.array([complex(-np.inf, 0), 1 + 1j]))
    np.testing.assert_allclose(gradient, [0, 1], atol=1e-15)


def test_nothing_so_far() -> None:
    z = np.array([-np.inf, 1 + 1j, -np.inf])
    np.testing.assert_array_equal(lax.cumlogsumexp(z), [-np.inf, 1 + 1j, 1 + 1j])
    assert lax.cumlogsumexp(np.zeros(0, complex)).shape == (0,)
    with pytest.raises(ValueError, match=r"lax.cumlogsumexp: axis 2 is out of bounds for shape \(4, 5\)"):
        lax.cumlogsumexp(Z, 2)


CALLS: dict[str, tuple[Any, Any, Any]] = {  # the call, its result, and the gradient of the real parts' sum
    "reduce_max": (lambda z: lax.reduce_max(z, (0,)), TIES[3], [0, 0, 0, 1]),
    "reduce_min": (lambda z: lax.reduce_min(z, (0,)), TIES[2], [0, 0, 1, 0]),
    "clamp": (lambda z: lax.clamp(1 - 3j, z, 1.5 + 0j), [1 + 2j, 1 - 3j, 1 - 3j, 1.5], [1, 0.5, 0, 0]),
}


@pytest.mark.parametrize("name", CALLS)
def test_extrema(name: str) -> None:
    call, want, slopes = CALLS[name]
    gradient = fg.grad(lambda z: np.sum(call(z).real))
    for form in (lambda f: f, fg.jit):
        np.testing.assert_array_equal(form(call)(TIES[:4]), want)
        np.testing.assert_array_equal(form(gradient)(TIES[:4]), slopes)


def test_extrema_of_nothing_and_of_nan() -> None:
    assert np.isnan(lax.reduce_max(TIES, (0,)))
    assert lax.reduce_max(np.zeros((0,), complex), (0,)) == complex(-np.inf, -np.inf)
