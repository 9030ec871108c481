"""Do `scipy.integrate`, `cluster.vq`, `ndimage` and `interpolate` give SciPy's numbers, traced and derived?"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.cluster.vq
import scipy.integrate
import scipy.interpolate
import scipy.ndimage

import funcgrad as fg
from funcgrad.scipy import integrate, ndimage, special
from funcgrad.scipy.cluster.vq import vq
from funcgrad.scipy.interpolate import RegularGridInterpolator
from tests.ops.numerics import richardson

RNG = np.random.default_rng(3)


def both(function: Callable[..., Any], *operands: Any) -> tuple[Any, Any]:
    """Known and compiled, of equal dtypes."""
    known, compiled = function(*operands), fg.jit(function)(*operands)
    for a, b in zip(fg.tree.leaves(known), fg.tree.leaves(compiled), strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
    return known, compiled


def slope_is_right(function: Callable[[Any], Any], x: np.ndarray) -> None:
    """Of a scalar function, along a direction."""
    v = RNG.standard_normal(x.shape)
    want = richardson(function, [x], [v], h=1e-5)
    np.testing.assert_allclose(np.sum(fg.grad(function)(x) * v), want, rtol=1e-7, atol=1e-8)


# integrate, cluster ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, -1])
def test_trapezoid(axis: int) -> None:
    y, x = RNG.standard_normal((4, 5)), np.sort(RNG.standard_normal((4, 5)), axis)
    for got in both(lambda y, x: integrate.trapezoid(y, x, axis=axis), y, x):
        np.testing.assert_allclose(got, scipy.integrate.trapezoid(y, x, axis=axis), rtol=1e-14)
    slope_is_right(lambda x: integrate.trapezoid(y, x, axis=axis).sum(), x)


@pytest.mark.parametrize("shapes", [((7, 3), (4, 3)), ((7,), (4,)), ((0, 3), (4, 3)), ((5, 2), (1, 2))])
def test_nearest_codes(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    points, codes = (RNG.standard_normal(s) for s in shapes)
    for code, dist in both(vq, points, codes):
        if len(points):
            want = scipy.cluster.vq.vq(points, codes)
            np.testing.assert_array_equal(code, want[0])
            np.testing.assert_allclose(dist, want[1], rtol=1e-12)
        assert code.shape == dist.shape == shapes[0][:1]


def test_distances_have_derivatives() -> None:
    points, codes = RNG.standard_normal((7, 3)), RNG.standard_normal((4, 3))
    slope_is_right(lambda c: vq(points, c)[1].sum(), codes)
    at_code = fg.grad(lambda p: vq(p, codes)[1].sum())(codes[:1])
    np.testing.assert_array_equal(at_code, np.zeros((1, 3)))


def test_codes_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match=r"vq: observations of shape \(7, 3\) do not fit codes of shape \(4, 2\)"):
        vq(np.ones((7, 3)), np.ones((4, 2)))
    with pytest.raises(ValueError, match="the code book is empty"):
        vq(np.ones((7, 3)), np.ones((0, 3)))


# ndimage --------------------------------------------------------------------------------------------------------------

# our name: SciPy's
MODES = {
    "constant": "grid-constant",
    "nearest": "nearest",
    "wrap": "grid-wrap",
    "mirror": "mirror",
    "reflect": "reflect",
    "grid-wrap": "grid-wrap",
    "grid-mirror": "grid-mirror",
}


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", [(6,), (4, 5), (1, 3)])
def test_map_coordinates(shape: tuple[int, ...], mode: str, order: int) -> None:
    image = RNG.standard_normal(shape)
    places = [RNG.uniform(-2 * n, 3 * n, (8, 3)) for n in shape]
    want = scipy.ndimage.map_coordinates(image, places, order=order, mode=MODES[mode], cval=0.5)
    for got in both(lambda im, *p: ndimage.map_coordinates(im, p, order, mode, 0.5), image, *places):
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


def test_maps_of_integers_are_rounded() -> None:
    image, places = RNG.integers(0, 100, (4, 5)), [RNG.uniform(0, 3, 9), RNG.uniform(0, 4, 9)]
    exact = ndimage.map_coordinates(image.astype(float), places, 1)
    got = ndimage.map_coordinates(image, places, 1)
    assert got.dtype == image.dtype
    np.testing.assert_array_equal(got, np.round(exact))


def test_maps_have_derivatives() -> None:
    image, places = RNG.standard_normal((4, 5)), RNG.uniform(-1, 5, (2, 6))
    slope_is_right(lambda im: (ndimage.map_coordinates(im, places, 1, "reflect") ** 2).sum(), image)
    slope_is_right(lambda p: (ndimage.map_coordinates(image, p, 1, "wrap") ** 2).sum(), places)
    compiled = fg.jit(lambda p: ndimage.map_coordinates(image, p, 1))(places)  # of a known image
    np.testing.assert_allclose(compiled, ndimage.map_coordinates(image, places, 1), rtol=1e-14)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (([0.0], 1), ValueError, "1 coordinates for an array of 2 axes"),
        (([[0.0], [0.0]], 2), NotImplementedError, "order must be 0 or 1, not 2"),
        (([[0.0], [0.0]], 1, "same"), ValueError, "mode must be one of constant, nearest"),
        (([[0.0], [0.0, 1.0]], 1), ValueError, "the coordinates' shapes differ"),
        (([[0j], [0j]], 1), TypeError, "coordinates are real numbers"),
    ],
)
def test_maps_refuse(arguments: tuple[Any, ...], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        ndimage.map_coordinates(np.ones((2, 2)), *arguments)
    with pytest.raises(ValueError, match="has no elements"):
        ndimage.map_coordinates(np.ones((2, 0)), [[0.0], [0.0]], 1)


# interpolate ----------------------------------------------------------------------------------------------------------

GRID = tuple(np.sort(RNG.uniform(-1, 1, n)) for n in (4, 5))


@pytest.mark.parametrize("method", ["linear", "nearest"])
@pytest.mark.parametrize("fill", [None, np.nan, -1.0])
@pytest.mark.parametrize("more", [(), (2,)])
def test_grids(method: str, fill: float | None, more: tuple[int, ...]) -> None:
    values, points = RNG.standard_normal((4, 5, *more)), RNG.uniform(-1.2, 1.2, (3, 6, 2))
    points[0, 0] = GRID[0][0], GRID[1][-1]  # a corner is inside
    want = scipy.interpolate.RegularGridInterpolator(GRID, values, method, bounds_error=False, fill_value=fill)(points)
    for got in both(lambda v, p: RegularGridInterpolator(GRID, v, method, fill_value=fill)(p), values, points):
        np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-10)


def test_points_as_coordinates() -> None:
    values = RNG.standard_normal((4, 5))
    ours, theirs = RegularGridInterpolator(GRID, values), scipy.interpolate.RegularGridInterpolator(GRID, values)
    x, y = np.full((3, 1), GRID[0][1:3].mean()), np.full((1, 2), GRID[1][1:3].mean())
    np.testing.assert_allclose(ours((x, y)), theirs((x, y)), rtol=1e-12)
    np.testing.assert_allclose(ours([x[0, 0], y[0, 0]]), theirs([x[0, 0], y[0, 0]]), rtol=1e-12)
    line = RegularGridInterpolator(GRID[:1], values[:, 0])
    np.testing.assert_allclose(line([GRID[0][1], GRID[0][2]]), values[1:3, 0], rtol=1e-12)


def test_a_place_that_is_no_number() -> None:
    f = RegularGridInterpolator(([0.0, 1.0],), [1.0, 2.0], fill_value=-1.0)
    np.testing.assert_array_equal(f([[np.nan], [2.0]]), [np.nan, -1.0])


def test_grids_have_derivatives() -> None:
    values, points = RNG.standard_normal((4, 5)), RNG.uniform(-1.2, 1.2, (6, 2))
    slope_is_right(lambda v: (RegularGridInterpolator(GRID, v, fill_value=None)(points) ** 2).sum(), values)
    slope_is_right(lambda p: (RegularGridInterpolator(GRID, values, fill_value=None)(p) ** 2).sum(), points)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((GRID, np.ones((5, 4))), r"values of shape \(5, 4\) do not fit coordinates of shapes \(\(4,\), \(5,\)\)"),
        ((([1.0, 0.0],), np.ones(2)), "the coordinates of axis 0 do not ascend"),
        ((([1.0],), np.ones(1)), "axis 0 needs two coordinates at least"),
        ((([[1.0, 2.0]],), np.ones(1)), "each axis needs 1-d coordinates"),
        ((GRID, np.ones((4, 5)), "cubic"), "method must be 'linear' or 'nearest', not 'cubic'"),
    ],
)
def test_grids_refuse(arguments: tuple[Any, ...], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        RegularGridInterpolator(*arguments)


def test_points_outside_raise_on_request() -> None:
    f = RegularGridInterpolator(([0.0, 1.0],), [1.0, 2.0], bounds_error=True)
    with pytest.raises(ValueError, match="a point lies outside of axis 0 of the grid"):
        f([[2.0]])
    with pytest.raises(ValueError, match="bounds_error needs known points"):
        fg.jit(f)(np.array([[0.5]]))
    with pytest.raises(ValueError, match="points of 2 coordinates in a grid of 1 axes"):
        f([[0.5, 0.5]])


def test_functions_of_elements_show_their_parameters() -> None:
    assert list(inspect.signature(special.betainc).parameters)[:3] == ["x1", "x2", "x3"]
    assert list(inspect.signature(fg.numpy.sin).parameters)[:2] == ["x", "out"]
