"""Do the checks of derivatives accept what is right and find what is wrong?"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.testing import check_grads, check_jvp, check_vjp

X = np.array([0.3, 1.2, 2.0])


def right(x: Any, y: Any) -> Any:
    return {"a": np.tanh(x) * y["scale"], "b": np.sum(x @ x) ** 2}


@pytest.mark.parametrize("modes", [("fwd",), ("rev",), ("fwd", "rev"), "rev"])
def test_right_derivatives_pass(modes: Any) -> None:
    check_grads(right, (X, {"scale": 2.0, "count": 3}), order=2, modes=modes)


def test_dtypes() -> None:
    check_grads(np.sin, (X.astype(np.float32),), order=1)
    check_grads(lambda z: z * z, (X + 1j,), order=1)
    check_grads(fg.jit(lambda x: np.sin(x) * x), (0.5,), order=1)
    with pytest.raises(AssertionError, match="differ"):
        check_grads(lambda x: np.sin(100 * x), (X.astype(np.float32),), order=1, eps=0.5)


@fg.custom_jvp
def wrong(x: Any) -> Any:
    return x**3


wrong.defjvps(lambda t, out, x: t * (3 * x**2 + (x > 1)))


@fg.custom_vjp
def swapped(x: Any, y: Any) -> Any:
    return x * y * y


swapped.defvjp(lambda x, y: (x * y * y, (x, y)), lambda r, ct: (2 * ct * r[0] * r[1], ct * r[1] ** 2))


@fg.custom_jvp
def wrong_later(x: Any) -> Any:
    return x**3


wrong_later.defjvps(lambda t, out, x: t * fg.stop_gradient(3 * x**2))


def test_wrong_derivatives_are_found() -> None:
    with pytest.raises(AssertionError, match=r"2 of 3 numbers .* worst at index \[[12]\].*\(fwd\)"):
        check_grads(wrong, (X,), order=1)
    with pytest.raises(AssertionError, match=r"check_vjp: .*\(rev\)"):
        check_grads(swapped, (1.5, 2.5), order=1, modes="rev")
    check_grads(wrong_later, (2.0,), order=1)
    with pytest.raises(AssertionError, match=r"fwd of fwd|rev of fwd"):
        check_grads(wrong_later, (2.0,), order=2)
    with pytest.raises(AssertionError, match="the value"):
        check_jvp(np.sin, lambda p, t: (np.cos(*p), t[0]), (X,))
    with pytest.raises(AssertionError, match="mine"):
        check_vjp(np.sin, functools.partial(fg.vjp, np.cos), (X,), err_msg="mine")
