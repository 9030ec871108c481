"""Are the slopes of negative powers, which are made of the powers themselves, those of the formula?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import funcgrad as fg

EDGES = np.array([0.0, -0.0, 5e-324, 1e-300, 0.3, 1.0, 7.0, 1e200, np.inf, -np.inf, -2.0, np.nan])


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("y", [-0.5, -1.5, -2.0, -0.1, -40.0])
def test_slopes_of_negative_powers_at_the_edges(y: float, order: int) -> None:
    def slope(x: Any) -> Any:
        return x**y

    factor = 1.0
    for k in range(order):
        slope = fg.grad(slope)
        factor *= y - k
    with np.errstate(all="ignore"):
        expected = factor * EDGES ** (y - order)
    for f in (slope, fg.jit(slope)):
        np.testing.assert_allclose([f(x) for x in EDGES], expected, rtol=1e-13, atol=5e-320)  # y - 1 is rounded


def test_the_slope_of_a_negative_power_takes_no_second_power() -> None:
    text = str(fg.make_jaxpr(fg.value_and_grad(lambda x: x**-1.5))(2.0))
    assert text.count(" pow ") == 1
    assert " div " in text


def test_a_power_that_is_differentiated_by_its_exponent_has_both_slopes() -> None:
    by_x, by_y = fg.grad(lambda x, y: x**y, (0, 1))(2.0, -1.5)
    np.testing.assert_allclose([by_x, by_y], [-1.5 * 2.0**-2.5, 2.0**-1.5 * np.log(2.0)], rtol=1e-15)
