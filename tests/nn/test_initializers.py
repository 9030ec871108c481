"""Do initialisers have the moments that they promise, and JAX's numbers?"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.nn import initializers

KEY = fg.random.key(7)
KERNEL = (3, 3, 40, 60)
IN, OUT = 9 * 40, 9 * 60
VARIANCES = {
    "glorot_uniform": 2 / (IN + OUT),
    "glorot_normal": 2 / (IN + OUT),
    "lecun_uniform": 1 / IN,
    "lecun_normal": 1 / IN,
    "he_uniform": 2 / IN,
    "he_normal": 2 / IN,
}
ALIASES = {
    "xavier_uniform": "glorot_uniform",
    "xavier_normal": "glorot_normal",
    "kaiming_uniform": "he_uniform",
    "kaiming_normal": "he_normal",
}
DRAWN = (*VARIANCES, "uniform", "normal", "truncated_normal", "orthogonal")


@pytest.mark.parametrize("dtype", ["f4", "f8", "c8"])
@pytest.mark.parametrize("name", VARIANCES)
def test_moments(name: str, dtype: str) -> None:
    w = getattr(initializers, name)(dtype=dtype)(KEY, KERNEL)
    assert w.shape == KERNEL
    assert w.dtype == dtype
    variance = VARIANCES[name]
    n = math.prod(KERNEL)
    assert abs(np.mean(w)) < 4 * math.sqrt(variance / n)
    assert abs(np.mean(np.abs(w) ** 2) / variance - 1) < 8 / math.sqrt(n)
    if dtype != "c8":
        bound = math.sqrt(3 * variance) if "uniform" in name else 2 * math.sqrt(variance) / initializers.CUT_REAL
        assert 0.99 * bound < np.max(np.abs(w)) <= bound * (1 + 1e-6)


@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg", "fan_geo_avg"])
def test_modes_and_axes(mode: str) -> None:
    n = {"fan_in": 50, "fan_out": 200, "fan_avg": 125, "fan_geo_avg": 100}[mode]
    plain = initializers.variance_scaling(1.0, mode, "normal")(KEY, (50, 200))
    assert abs(np.var(plain) * n - 1) < 0.1
    turned = initializers.variance_scaling(1.0, mode, "normal", in_axis=(2, 0), out_axis=-1, batch_axis=1)
    assert abs(np.var(turned(KEY, (5, 7, 10, 200))) * n - 1) < 0.1


def test_plain_distributions() -> None:
    uniform = initializers.uniform(0.5)(KEY, (10_000,))
    assert 0 <= uniform.min() < 0.001
    assert 0.499 < uniform.max() < 0.5
    assert abs(initializers.normal(0.5)(KEY, (10_000,)).std() - 0.5) < 0.02
    cut = initializers.truncated_normal(0.5, lower=-1.0, upper=2.0)(KEY, (10_000,))
    assert -0.5 <= cut.min() < -0.49
    assert 0.9 < cut.max() <= 1


def test_constants() -> None:
    np.testing.assert_array_equal(initializers.zeros(KEY, (2, 3), "f4"), np.zeros((2, 3), "f4"))
    np.testing.assert_array_equal(initializers.ones(None, (2,)), np.ones(2))
    rows = initializers.constant([1, 2], "f4")(KEY, (3, 2))
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, [[1, 2]] * 3)
    assert initializers.constant(1.0)(KEY, (2,), "f2").dtype == np.float16
    assert isinstance(initializers.zeros, initializers.Initializer)


@pytest.mark.parametrize("shape", [(4, 4), (6, 3), (3, 6), (2, 3, 4)], ids=str)
def test_orthogonal(shape: tuple[int, ...]) -> None:
    q = initializers.orthogonal(2.0)(KEY, shape).reshape(-1, shape[-1])
    product = q.T @ q if q.shape[0] >= q.shape[1] else q @ q.T
    np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-13)
    first = initializers.orthogonal(column_axis=0)(KEY, shape).reshape(shape[0], -1)
    product = first @ first.T if first.shape[0] <= first.shape[1] else first.T @ first
    np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-13)
    assert initializers.orthogonal()(KEY, (0, 3)).shape == (0, 3)


@pytest.mark.parametrize("space", [(3,), (3, 4), (2, 3, 5)], ids=str)
def test_delta_orthogonal(space: tuple[int, ...]) -> None:
    kernel = initializers.delta_orthogonal()(KEY, (*space, 3, 4))
    middle = tuple((n - 1) // 2 for n in space)
    np.testing.assert_allclose(kernel[middle] @ kernel[middle].T, np.eye(3), atol=1e-13)
    assert np.count_nonzero(kernel) == np.count_nonzero(kernel[middle]) == 12


@pytest.mark.parametrize("name", ALIASES)
def test_other_names(name: str) -> None:
    np.testing.assert_array_equal(
        getattr(initializers, name)()(KEY, (3, 4)), getattr(initializers, ALIASES[name])()(KEY, (3, 4))
    )


@pytest.mark.parametrize("name", [*DRAWN, "delta_orthogonal"])
def test_under_jit(name: str) -> None:
    init = getattr(initializers, name)(dtype="f4")
    shape = (3, 4, 5)
    np.testing.assert_allclose(fg.jit(lambda key: init(key, shape))(KEY), init(KEY, shape), rtol=1e-5, atol=1e-6)


# From jax.nn.initializers, JAX 0.10.2, key 7: shape (3, 2), float32.
RECORDED: dict[str, list[float]] = {
    "glorot_uniform": [0.38141188, 1.0398335, -0.43194813, -0.12278073, 0.50584716, 0.28685236],
    "glorot_normal": [0.30871093, 1.2042518, -0.35282624, -0.09669744, 0.41988057, 0.22905079],
    "lecun_uniform": [0.34817982, 0.9492338, -0.39431286, -0.11208296, 0.46177316, 0.26185918],
    "lecun_normal": [0.28181323, 1.0993264, -0.3220848, -0.08827229, 0.38329676, 0.2090938],
    "he_uniform": [0.49240062, 1.3424193, -0.5576426, -0.15850924, 0.65304583, 0.3703248],
    "he_normal": [0.39854413, 1.5546824, -0.45549676, -0.12483587, 0.54206353, 0.29570332],
    "uniform": [0.006740899, 0.009746169, 0.0030284356, 0.004439585, 0.0073088654, 0.0063092955],
    "normal": [0.0045123515, 0.01953451, -0.0051623946, -0.0014094029, 0.006154967, 0.003343165],
    "truncated_normal": [0.0042935833, 0.016748857, -0.004907144, -0.001344878, 0.0058397423, 0.003185662],
    "orthogonal": [0.48973513, 0.869762, -0.5602856, 0.3672174, 0.66801167, -0.32964438],
}  # fmt: skip


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_numbers_of_jax(name: str) -> None:
    got = getattr(initializers, name)(dtype="f4")(KEY, (3, 2)).ravel()
    np.testing.assert_allclose(got, RECORDED[name], rtol=5e-6)


def test_complex_numbers_are_those_of_jax() -> None:
    jax = pytest.importorskip("jax")
    key = jax.random.PRNGKey(7)
    for name in ("he_uniform", "he_normal"):
        want = getattr(jax.nn.initializers, name)(dtype="c8")(key, (3, 4))
        got = getattr(initializers, name)(dtype="c8")(np.asarray(key), (3, 4))
        np.testing.assert_allclose(got, want, rtol=5e-6, atol=1e-6)


def test_every_name_of_jax_is_there() -> None:
    jax = pytest.importorskip("jax")
    assert {name for name in dir(jax.nn.initializers) if not name.startswith("_")} <= set(dir(initializers))


BAD: dict[str, tuple[Any, str]] = {
    "mode": (lambda: initializers.variance_scaling(1.0, "fan", "normal"), "invalid mode 'fan'"),
    "distribution": (lambda: initializers.variance_scaling(1.0, "fan_in", "flat"), "invalid distribution 'flat'"),
    "vector": (lambda: initializers.he_normal()(KEY, (3,)), r"the inputs from the outputs of an array of shape \(3,\)"),
    "orthogonal vector": (lambda: initializers.orthogonal()(KEY, (3,)), "a shape of two axes or more is needed"),
    "delta matrix": (lambda: initializers.delta_orthogonal()(KEY, (3, 3)), "a shape of 3, 4 or 5 axes is needed"),
    "delta features": (
        lambda: initializers.delta_orthogonal()(KEY, (3, 5, 4)),
        "5 features in are more than 4 features out",
    ),
    "axis": (lambda: initializers.he_normal(in_axis=2)(KEY, (3, 4)), "axis 2 is out of bounds"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name: str) -> None:
    call, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        call()
