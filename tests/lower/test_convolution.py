"""Are convolutions by kernels those of the reference?  Drawn geometries, threads, layouts, and what is not copied."""

from __future__ import annotations

import functools
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


def both(x: Any, w: Any, ct: Any, **params: Any) -> Any:
    """A convolution of whatever layout, and its cotangents."""
    function = lambda x, w: lax.conv_general_dilated(x, w, **params)  # noqa: E731
    out, pull = fg.vjp(function, x, w)
    return out, *pull(ct)


def by_taps(image: Any, kernel: Any, dtype: str, **params: Any) -> list[bool]:
    """Which of a convolution and its cotangents go tap by tap, where the CPU has the registers."""
    x, w = np.ones(image, dtype), np.ones(kernel, dtype)
    ct = np.ones(fg.eval_shape(functools.partial(lax.conv_general_dilated, **params), x, w).shape, dtype)
    steps = [step for step in plan(functools.partial(both, **params), x, w, ct).steps if isinstance(step, Convolution)]
    return [part.taps is not None for step in steps for part in step.parts]


@st.composite
def networks(draw: Any) -> tuple[Any, ...]:
    """Shapes and parameters as networks have them: channels last, features and outputs that may fill registers."""
    rank, groups = draw(st.integers(1, 3)), draw(st.sampled_from([1, 1, 2]))
    batch, features, outs = (
        draw(st.integers(1, 3)),
        draw(st.sampled_from([15, 16, 33, 200])),
        draw(st.sampled_from([24, 31, 32, 72])),
    )
    extents = [draw(st.integers(1, {1: 80, 2: 19, 3: 6}[rank])) for _ in range(rank)]
    window = [draw(st.integers(1, 4)) for _ in range(rank)]
    params = {
        "window_strides": [draw(st.integers(1, 3)) for _ in range(rank)],
        "padding": [(draw(st.integers(0, 5)), draw(st.integers(4, 12))) for _ in range(rank)],
        "lhs_dilation": [draw(st.sampled_from([1, 1, 1, 2])) for _ in range(rank)],
        "rhs_dilation": [draw(st.integers(1, 4)) for _ in range(rank)],
        "feature_group_count": groups,
        "dimension_numbers": {1: ("NWC", "WIO", "NWC"), 2: NHWC, 3: ("NDHWC", "DHWIO", "NDHWC")}[rank],
    }
    dtype = draw(st.sampled_from(["f4", "f8"]))
    return (
        (batch, *extents, features * groups),
        (*window, features, outs * groups),
        params,
        draw(st.integers(0, 99)),
        dtype,
    )


@given(networks())
@drawn(20)
def test_networks_convolutions_are_the_references(geometry: tuple[Any, ...]) -> None:
    check(*geometry)


def check(x_shape: Any, w_shape: Any, params: dict[str, Any], seed: int, dtype: str) -> None:
    """Value and cotangents are those without compilation, bit for bit the same on one thread and on two."""
    rng = np.random.default_rng(seed)
    x, w = (rng.standard_normal(s).astype(dtype) for s in (x_shape, w_shape))
    function = functools.partial(both, **params)
    ct = rng.standard_normal(fg.eval_shape(functools.partial(lax.conv_general_dilated, **params), x, w).shape).astype(
        dtype
    )
    want = function(x, w, ct)
    before, found = fg.get_num_threads(), []
    try:
        for count in (1, 2):
            fg.set_num_threads(count)
            found.append(fg.jit(function)(x, w, ct))
    finally:
        fg.set_num_threads(before)
    for one, two, known in zip(*found, want, strict=True):
        np.testing.assert_array_equal(one, two)
        close(one, known, dtype)


CUT: dict[str, tuple[Any, ...]] = {
    "blocks one after the other, for each panel of a gradient": ((3, 33, 35, 32), (3, 3, 32, 256), {}),
    "blocks of groups": ((3, 33, 35, 64), (3, 3, 32, 64), {"feature_group_count": 2}),
    "pieces that are added up": ((3, 33, 35, 32), (3, 3, 32, 64), {}),
    "a block that a tap does not see": ((1, 60, 20, 200), (3, 1, 200, 32), {"rhs_dilation": (40, 1)}),
    "groups of taps": ((2, 12, 12, 48), (5, 5, 48, 64), {}),
    "taps that see nothing": ((2, 5, 5, 208), (3, 3, 208, 32), {"rhs_dilation": (5, 4)}),
}
"""Image, kernel and parameters."""


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", CUT)
def test_sizes_that_are_cut(name: str, dtype: str) -> None:
    image, kernel, params = CUT[name]
    params = {"window_strides": (1, 1), "padding": "SAME", "dimension_numbers": NHWC, **params}
    assert by_taps(image, kernel, dtype, **params) == [True, True, True]
    check(image, kernel, params, 0, dtype)


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


@pytest.mark.parametrize(
    ("image", "kernel", "numbers"),
    [
        ((2, 15, 6, 5), (32, 15, 3, 3), ("NCHW", "OIHW", "NCHW")),
        ((2, 6, 5, 15), (3, 3, 15, 32), NHWC),
        ((2, 6, 5, 16), (3, 3, 16, 10), NHWC),
    ],
    ids=["features apart", "few features", "few outputs"],
)
def test_what_fills_no_registers_goes_by_bands(image: Any, kernel: Any, numbers: Any) -> None:
    assert not by_taps(image, kernel, "f4", window_strides=(1, 1), padding="SAME", dimension_numbers=numbers)[0]


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
