"""Are cosine transforms SciPy's?  And their derivatives their transposes?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.fft as reference

import funcgrad as fg
from funcgrad.scipy import fft

X = np.random.default_rng(0).normal(size=(4, 7))


@pytest.mark.parametrize("norm", [None, "ortho", "forward"])
@pytest.mark.parametrize("kind", [1, 2, 3])
@pytest.mark.parametrize("name", ["dct", "idct", "dctn", "idctn"])
def test_values_are_scipys(name: str, kind: int, norm: Any) -> None:
    extra: list[dict[str, Any]] = [{}, {"axis": 0, "n": 6}] if name[-1] == "t" else [{}, {"axes": (0,)}, {"s": (3, 8)}]
    for options in extra:
        want = getattr(reference, name)(X, kind, norm=norm, **options)
        for x, dtype in ((X, "f8"), (X.astype("f4"), "f4")):
            got = fg.jit(lambda x, o=options: getattr(fft, name)(x, kind, norm=norm, **o))(x)
            assert got.dtype == dtype
            np.testing.assert_allclose(got, want, atol=50 * np.finfo(dtype).eps * np.abs(want).max())
    z = X + 1j * X[::-1]
    np.testing.assert_allclose(getattr(fft, name)(z, kind, norm=norm), getattr(reference, name)(z, kind, norm=norm))


@pytest.mark.parametrize("kind", [1, 2, 3])
def test_derivatives_are_transposes(kind: int) -> None:
    matrix = reference.dct(np.eye(7), kind, axis=0)
    w = np.arange(7.0)
    got = fg.jit(fg.grad(lambda x: np.sum(w * fft.dct(x, kind))))(X[0])
    np.testing.assert_allclose(got, matrix.T @ w, atol=1e-13)


def test_mistakes() -> None:
    wrong: list[dict[str, Any]] = [{"type": 4}, {"norm": "bad"}, {"type": 1, "n": 1}]
    for function in (fft.dct, fft.idct):
        for options in wrong:
            with pytest.raises(ValueError, match="dct: "):
                function(X, **options)
    with pytest.raises(ValueError, match="2 lengths do not fit 1 axes"):
        fft.dctn(X, s=(2, 2), axes=(0,))


def test_the_others_are_numpys() -> None:
    np.testing.assert_allclose(fft.rfft2(X), reference.rfft2(X), atol=1e-13)
