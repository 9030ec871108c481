"""Are `lax`'s convolutions JAX's?  Values and derivatives against JAX, layouts, groups, padding, mistakes."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax
from tests.ops.numerics import assert_close

jax = pytest.importorskip("jax")

Ints = tuple[int, ...]
RNG = np.random.default_rng(3)


def normal(*shape: int, dtype: str = "f4") -> np.ndarray:
    """Numbers of a shape."""
    return RNG.standard_normal(shape).astype(dtype)


def close(got: Any, want: Any, ulps: float = 32) -> None:
    """Equal up to rounding, relative to the largest element."""
    want = np.asarray(want)
    assert_close(got, want, ulps, np.full(want.shape, np.max(np.abs(want), initial=0), want.real.dtype))


CASES: dict[str, tuple[Ints, Ints, tuple[Any, ...], dict[str, Any]]] = {
    "plain": ((2, 3, 6, 5), (4, 3, 3, 2), ((1, 1), "VALID"), {}),
    "same": ((2, 3, 6, 5), (4, 3, 3, 2), ((2, 1), "SAME"), {}),
    "same lower": ((2, 3, 6, 5), (4, 3, 2, 2), ((2, 1), "SAME_LOWER"), {}),
    "numbers": ((2, 3, 6, 5), (4, 3, 3, 2), ((2, 1), [(1, 2), (-1, 3)]), {}),
    "dilations": ((2, 3, 6, 5), (4, 3, 3, 2), ((2, 1), [(4, 2), (1, 3)], (1, 2), (2, 3)), {}),
    "same, dilated": ((2, 3, 6, 9), (4, 3, 3, 2), ((2, 1), "SAME", None, (2, 3)), {}),
    "channels last": (
        (2, 6, 5, 3),
        (3, 2, 3, 4),
        ((1, 1), "SAME"),
        {"dimension_numbers": ("NHWC", "HWIO", "NHWC")},
    ),
    "any order": (
        (5, 2, 3, 6),
        (4, 3, 2, 3),
        ((1, 2), "VALID"),
        {"dimension_numbers": ("WNCH", "OHWI", "CWHN")},
    ),
    "space in another order": (
        (2, 5, 6, 3),
        (3, 2, 3, 4),
        ((1, 2), "VALID"),
        {"dimension_numbers": ("NWHC", "HWIO", "NHWC")},
    ),
    "feature groups": ((2, 6, 6, 5), (4, 3, 3, 2), ((1, 2), "SAME"), {"feature_group_count": 2}),
    "depthwise": (
        (2, 6, 5, 3),
        (3, 2, 1, 6),
        ((1, 1), "SAME"),
        {"dimension_numbers": ("NHWC", "HWIO", "NHWC"), "feature_group_count": 3},
    ),
    "batch groups": ((4, 3, 6, 5), (6, 3, 3, 2), ((1, 1), [(1, 1), (0, 0)]), {"batch_group_count": 2}),
    "line": ((2, 3, 9), (4, 3, 4), ((2,), "SAME"), {}),
    "solid": ((2, 3, 4, 5, 3), (4, 3, 2, 3, 2), ((1, 2, 1), "SAME"), {}),
    "no space": ((2, 3), (4, 3), ((), "VALID"), {}),
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_derivatives_are_those_of_jax(name: str) -> None:
    left, right, args, options = CASES[name]
    x, w = normal(*left), normal(*right)

    def own(x: Any, w: Any) -> Any:
        return lax.conv_general_dilated(x, w, *args, **options)

    def peer(x: Any, w: Any) -> Any:
        return jax.lax.conv_general_dilated(x, w, *args, precision="highest", **options)

    want, pull = jax.vjp(peer, x, w)
    close(own(x, w), want)
    close(fg.jit(own)(x, w), want)
    ct = normal(*want.shape)
    for got, expected in zip(fg.jit(lambda x, w, ct: fg.vjp(own, x, w)[1](ct))(x, w, ct), pull(ct), strict=True):
        close(got, expected, 64)


@pytest.mark.parametrize("axes", [(0, 0), (0, None), (None, 0), (2, 1)], ids=str)
@pytest.mark.parametrize("name", ["same", "feature groups", "batch groups"])
def test_batches(name: str, axes: Any) -> None:
    left, right, args, options = CASES[name]
    x, w = (
        normal(*shape) if axis is None else np.moveaxis(normal(3, *shape), 0, axis)
        for shape, axis in zip((left, right), axes, strict=True)
    )
    own = fg.vmap(lambda x, w: lax.conv_general_dilated(x, w, *args, **options), in_axes=axes)
    parts = [
        lax.conv_general_dilated(
            x if axes[0] is None else np.take(x, k, axes[0]),
            w if axes[1] is None else np.take(w, k, axes[1]),
            *args,
            **options,
        )
        for k in range(3)
    ]
    close(own(x, w), np.stack(parts))
    close(fg.jit(own)(x, w), np.stack(parts))


@pytest.mark.parametrize("dtype", ["i4", "u1", "f2", "f8", "c8", "c16"])
def test_dtypes(dtype: str) -> None:
    x, w = (RNG.integers(0, 5, s).astype(dtype) for s in ((1, 2, 5, 4), (3, 2, 2, 2)))
    if dtype[0] == "c":
        x, w = x + (1j * RNG.integers(0, 5, x.shape)).astype(dtype), w * w.dtype.type(1 + 2j)
    got = fg.jit(lambda x, w: lax.conv(x, w, (1, 1), "VALID"))(x, w)
    want = np.zeros((1, 3, 4, 3), dtype)
    for i in range(2):
        for j in range(2):
            want += np.einsum("nchw,oc->nohw", x[:, :, i : i + 4, j : j + 3], w[:, :, i, j])
    close(got, want)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_halves_are_summed_in_single_precision(dtype: Any) -> None:
    x, w = (normal(*s).astype(dtype) for s in ((2, 3, 6, 5), (4, 3, 3, 2)))
    f = lambda x, w: lax.conv(x, w, (1, 1), "SAME")  # noqa: E731
    want = f(x.astype("f4"), w.astype("f4")).astype(dtype)
    for got in (f(x, w), fg.jit(f)(x, w)):
        assert got.dtype == dtype
        np.testing.assert_array_equal(got.astype("f4"), want.astype("f4"))


def test_preferred_element_type() -> None:
    x, w = np.full((1, 1, 4), 100, "i1"), np.ones((1, 1, 2), "i1")
    assert lax.conv(x, w, (1,), "VALID", preferred_element_type=np.int32).tolist() == [[[200, 200, 200]]]


@pytest.mark.parametrize("padding", ["SAME", "VALID", [(1, 2), (0, 1)]], ids=str)
@pytest.mark.parametrize("flip", [False, True])
def test_transposed(padding: Any, flip: bool) -> None:
    for strides, dilation in (((2, 3), None), ((2, 1), (2, 1)), ((3, 4), (1, 1))):
        x, w = normal(2, 4, 5, 3), normal(3, 2, 4, 3) if flip else normal(3, 2, 3, 4)
        options = {"rhs_dilation": dilation, "transpose_kernel": flip}
        want = jax.lax.conv_transpose(x, w, strides, padding, precision="highest", **options)
        close(lax.conv_transpose(x, w, strides, padding, **options), want)
    close(fg.jit(lambda x, w: lax.conv_transpose(x, w, strides, padding, **options))(x, w), want)


def test_transposed_with_consistent_padding() -> None:
    x, w = normal(2, 4, 5, 3), normal(3, 2, 3, 4)
    arguments = ((2, 3), [(1, 2), (0, 1)])
    want = jax.lax.conv_transpose(x, w, *arguments, precision="highest", use_consistent_padding=True)
    close(lax.conv_transpose(x, w, *arguments, use_consistent_padding=True), want)


def test_patches() -> None:
    x = normal(2, 3, 7, 6)
    arguments = ((3, 2), (2, 1), [(1, 0), (2, -1)], (1, 2), (2, 1))
    want = jax.lax.conv_general_dilated_patches(x, *arguments)
    close(lax.conv_general_dilated_patches(x, *arguments), want, 0)
    numbers = ("NCHW", "OIHW", "NHWC")
    want = jax.lax.conv_general_dilated_patches(x, (3, 2), (1, 1), "SAME", dimension_numbers=numbers)
    close(lax.conv_general_dilated_patches(x, (3, 2), (1, 1), "SAME", dimension_numbers=numbers), want, 0)


def test_a_kernel_for_each_place() -> None:
    x, w = normal(2, 3, 7, 6), normal(4, 18, 5, 5)
    want = jax.lax.conv_general_dilated_local(x, w, (1, 1), "VALID", (3, 2))
    close(lax.conv_general_dilated_local(x, w, (1, 1), "VALID", (3, 2)), want)


def test_padding_in_numbers() -> None:
    for kind in ("SAME", "VALID", "SAME_LOWER"):
        for arguments in (((5, 6), (2, 3), (1, 2)), ((7, 1), (4, 5), (3, 2))):
            assert lax.padtype_to_pads(*arguments, kind) == jax.lax.padtype_to_pads(*arguments, kind)


def test_numbers_of_dimensions() -> None:
    arguments = ((5, 2, 3, 6), (4, 3, 2, 3), ("WNCH", "OHWI", "CWHN"))
    assert tuple(lax.conv_dimension_numbers(*arguments)) == tuple(jax.lax.conv_dimension_numbers(*arguments))


MISTAKES: dict[str, tuple[Ints, Ints, tuple[Any, ...], dict[str, Any], type[Exception], str]] = {
    "features": ((1, 3, 5), (2, 4, 2), ((1,), "VALID"), {}, ValueError, r"\(1, 3, 5\) and \(2, 4, 2\)"),
    "axes": ((1, 3, 5), (2, 3, 2, 2), ((1,), "VALID"), {}, TypeError, "equally many axes"),
    "strides": ((1, 3, 5), (2, 3, 2), ((1, 1), "VALID"), {}, ValueError, "window_strides .* length 1"),
    "stride 0": ((1, 3, 5), (2, 3, 2), ((0,), "VALID"), {}, ValueError, "window_strides must be positive"),
    "padding": ((1, 3, 5), (2, 3, 2), ((1,), "FULL"), {}, ValueError, "'FULL'"),
    "pairs": ((1, 3, 5), (2, 3, 2), ((1,), [(1, 1)] * 2), {}, ValueError, "one pair"),
    "no pairs": ((1, 3, 5), (2, 3, 2), ((1,), [1]), {}, TypeError, "pairs of integers"),
    "words for holes": ((1, 3, 5), (2, 3, 2), ((1,), "SAME", (2,)), {}, ValueError, "conv_transpose"),
    "groups": ((1, 4, 5), (3, 2, 2), ((1,), "VALID"), {"feature_group_count": 2}, ValueError, "feature_group_count 2"),
    "letters": (
        (1, 3, 5),
        (2, 3, 2),
        ((1,), "VALID"),
        {"dimension_numbers": ("NCH", "OIW", "NCH")},
        ValueError,
        "the same ones",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
@pytest.mark.parametrize("traced", [False, True])
def test_mistakes(name: str, traced: bool) -> None:
    left, right, args, options, kind, message = MISTAKES[name]
    function = lambda x, w: lax.conv_general_dilated(x, w, *args, **options)  # noqa: E731
    with pytest.raises(kind, match=message):
        (fg.jit(function) if traced else function)(np.ones(left), np.ones(right))


def test_dtypes_must_agree() -> None:
    with pytest.raises(TypeError, match=r"one dtype, not f32\[1,1,3\] and f64\[1,1,2\]"):
        lax.conv(np.ones((1, 1, 3), "f4"), np.ones((1, 1, 2)), (1,), "VALID")
