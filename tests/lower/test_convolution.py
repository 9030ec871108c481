"""Are convolutions by kernels those of the reference?  Drawn geometries, threads, layouts, and what is not copied."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import funcgrad as fg
from funcgrad import lax
from funcgrad.lower.convolution import Convolution
from funcgrad.lower.plan import Plan
from funcgrad.ops.convolution import conv_general_dilated
from tests.effort import drawn
from tests.ops.numerics import assert_close

NHWC = ("NHWC", "HWIO", "NHWC")


def close(got: Any, want: Any, dtype: str) -> None:
    """Equal up to the rounding of sums, relative to the largest one."""
    largest = np.full(np.shape(want), np.max(np.abs(want), initial=0), dtype)
    assert_close(got, np.asarray(want), 64, largest)


def plan(function: Any, *args: Any) -> Plan:
    """How a function is lowered."""
    return fg.jit(function).lower(*args).plan  # type: ignore[attr-defined]


@st.composite
def geometries(draw: Any) -> tuple[Any, ...]:
    """Shapes and parameters in the primitive's order of axes; features and outputs around the sizes of vectors."""
    rank = draw(st.integers(0, 3))
    small, wide = st.integers(1, 3), st.sampled_from([1, 2, 3, 7, 8, 9, 16, 17, 40])
    extents = st.integers(1, {0: 1, 1: 40, 2: 12, 3: 6}[rank])
    groups, batch = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    features, outs = draw(wide), draw(wide)
    axes = [
        tuple(draw(s) for s in (extents, small, small, st.integers(-1, 3), st.integers(-1, 3), small, small))
        for _ in range(rank)
    ]
    params = {
        "window_strides": tuple(a[2] for a in axes),
        "padding": tuple((a[3], a[4]) for a in axes),
        "lhs_dilation": tuple(a[5] for a in axes),
        "rhs_dilation": tuple(a[6] for a in axes),
    }
    x = (groups, batch, *(a[0] for a in axes), features)
    w = (groups, *(a[1] for a in axes), features, outs)
    return x, w, params, draw(st.integers(0, 2**32 - 1)), draw(st.sampled_from(["f4", "f8"]))


@given(geometries())
@drawn(10)
def test_kernels_are_the_reference(geometry: tuple[Any, ...]) -> None:
    x_shape, w_shape, params, seed, dtype = geometry
    rng = np.random.default_rng(seed)
    x, w = (rng.standard_normal(s).astype(dtype) for s in (x_shape, w_shape))
    want = conv_general_dilated.reference(x, w, **params)
    ct = rng.standard_normal(want.shape).astype(dtype)

    def function(x: Any, w: Any, ct: Any) -> Any:
        out, pull = fg.vjp(lambda x, w: conv_general_dilated(x, w, **params), x, w)
        return out, *pull(ct)

    for got, known in zip(fg.jit(function)(x, w, ct), function(x, w, ct), strict=True):
        close(got, known, dtype)


def test_results_do_not_depend_on_threads() -> None:
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((8, 20, 20, 16)).astype("f4"), rng.standard_normal((3, 3, 16, 24)).astype("f4")

    def loss(x: Any, w: Any) -> Any:
        return (lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=NHWC) ** 2).sum()

    gradient = fg.jit(fg.grad(loss, argnums=(0, 1)))
    before = fg.get_num_threads()
    found = []
    try:
        for count in (1, 2, 3):
            fg.set_num_threads(count)
            found.append(gradient(x, w))
    finally:
        fg.set_num_threads(before)
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("numbers", [NHWC, ("NCHW", "OIHW", "NCHW"), ("CWNH", "WOHI", "HCNW")], ids=str)
def test_layouts_cost_no_copies(numbers: tuple[str, str, str]) -> None:
    sizes = {"N": 2, "C": 3, "H": 6, "W": 5}
    x = np.ones([sizes[k] for k in numbers[0]], "f4")
    w = np.ones([{"O": 4, "I": 3, "H": 3, "W": 2}[k] for k in numbers[1]], "f4")
    function = lambda x, w: lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=numbers)  # noqa: E731
    assert [type(step) for step in plan(function, x, w).steps] == [Convolution]


def test_groups_cost_no_copies() -> None:
    x, w = np.ones((2, 6, 5, 8), "f4"), np.ones((3, 3, 4, 10), "f4")
    function = lambda x, w: lax.conv_general_dilated(  # noqa: E731
        x, w, (1, 1), "SAME", dimension_numbers=NHWC, feature_group_count=2
    )
    assert sum(isinstance(step, Convolution) for step in plan(function, x, w).steps) == 1


def test_a_gradient_by_the_kernel_exchanges_the_roles() -> None:
    x, w = np.ones((4, 9, 9, 3), "f4"), np.ones((3, 3, 3, 8), "f4")

    def loss(w: Any, x: Any) -> Any:
        return (lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=NHWC) ** 2).sum()

    steps = [step for step in plan(fg.grad(loss), w, x).steps if isinstance(step, Convolution)]
    assert [part.geometry.backward for step in steps for part in step.parts] == [False, True]


def test_holes_are_left_out() -> None:
    x, w = np.ones((2, 4, 5, 3), "f4"), np.ones((3, 3, 3, 8), "f4")
    (step,) = plan(lambda x, w: lax.conv_transpose(x, w, (2, 2), "SAME"), x, w).steps
    assert isinstance(step, Convolution)
    assert step.flops == 2 * 8 * 3 * 9 * 2 * 4 * 5  # one for each element that a window meets, all windows together
    windows = [part.geometry.window for part in step.parts]
    assert sorted(windows) == [(1, 1, 1), (1, 1, 2), (1, 2, 1), (1, 2, 2)]


def test_a_window_of_one_element_is_a_product() -> None:
    x, w = np.ones((2, 4, 5, 3), "f4"), np.ones((1, 1, 3, 8), "f4")
    costs = fg.jit(lambda x, w: lax.conv_general_dilated(x, w, (1, 1), "VALID", dimension_numbers=NHWC)).lower(x, w)
    assert costs.cost_analysis()["products"] == 1  # type: ignore[attr-defined]
