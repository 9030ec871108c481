"""Do `debug_nans` and `debug_infs` name the operation, the line and the direction?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.errors import NonFiniteError

X = np.array([1.0, 4.0, 0.25])


def f(x: Any) -> Any:
    y = np.sqrt(x)
    return np.sum(np.log(y - 1))


def body(c: Any, x: Any) -> Any:
    return c + np.log(x), c


def summed(x: Any) -> Any:
    return fg.lax.scan(body, 0.0, x)[0]


def product(x: Any) -> Any:
    return fg.lax.scan(lambda c, x: (c * np.sqrt(x), None), 0.0, x)[0]


def masked(x: Any) -> Any:
    return np.sum(np.where(x > 0, np.sqrt(x), 0))


def branches(x: Any) -> Any:
    return fg.lax.cond(x > 0, lambda x: np.sqrt(x), lambda x: np.log(x), x)


def repeated(x: Any) -> Any:
    return fg.lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, np.log(s[1])), (0, x))[1]


@fg.custom_jvp
def ruled(x: Any) -> Any:
    return np.log(x)


ruled.defjvps(lambda t, out, x: t / x)
Z = np.array([0.0, 1.0])
# (call, operation, function whose line it is, backward)
CASES: dict[str, tuple[Callable[[], Any], str, Callable[..., Any], bool]] = {
    "jit": (lambda: fg.jit(f)(X), "log", f, False),
    "grad": (lambda: fg.grad(f)(X), "log", f, False),
    "jvp": (lambda: fg.jvp(f, (X,), (X,)), "log", f, False),
    "vmap": (lambda: fg.vmap(lambda x: f(x[None]))(X), "log", f, False),
    "grad of jit": (lambda: fg.grad(fg.jit(f))(X), "log", f, False),
    "jit of value_and_grad": (lambda: fg.jit(fg.value_and_grad(f))(X), "log", f, False),
    "backward": (lambda: fg.grad(masked)(Z), "the derivative of sqrt", masked, True),
    "backward, jit": (lambda: fg.jit(fg.grad(masked))(Z), "div", masked, True),
    "backward, grad of jit": (lambda: fg.grad(fg.jit(masked))(Z), "div", masked, True),
    "scan": (lambda: summed(np.array([1.0, -1.0])), "log", body, False),
    "scan in jit": (lambda: fg.jit(summed)(np.array([1.0, -1.0])), "log", body, False),
    "scan in grad": (lambda: fg.grad(summed)(np.array([1.0, -1.0])), "log", body, False),
    "backward in a scan": (lambda: fg.jit(fg.grad(product))(np.array([1.0, 0.0])), "div", product, True),
    "cond": (lambda: fg.jit(branches)(-1.0), "log", branches, False),
    "while_loop": (lambda: fg.jit(repeated)(2.0), "log", repeated, False),
    "a custom rule": (lambda: fg.jit(lambda x: ruled(x))(-1.0), "log", ruled.fun, False),
    "donated": (lambda: fg.jit(f, donate_argnums=0)(fg.numpy.array(X)), "log", f, False),
    "donated, and a static argument": (
        lambda: fg.jit(lambda x, n: f(x), donate_argnums=0, static_argnums=1)(fg.numpy.array(X), "n"),
        "log",
        f,
        False,
    ),
    "a static argument": (lambda: fg.jit(lambda x, n: f(x) * n, static_argnums=1)(X, 2), "log", f, False),
    "keywords": (lambda: fg.jit(lambda *, x: f(x))(x=X), "log", f, False),
}


@pytest.mark.parametrize("name", CASES)
def test_the_operation_and_the_line_are_named(name: str) -> None:
    call, operation, function, backward = CASES[name]
    with pytest.raises(NonFiniteError) as caught, fg.debug_nans():
        call()
    message = str(caught.value)
    assert f"debug_nans: invalid value (nan) encountered in {operation}" in message
    assert ("backward" in message) == backward
    lines = range(function.__code__.co_firstlineno, function.__code__.co_firstlineno + 4)
    assert any(f"test_nans.py:{line} " in message for line in lines), message
    with np.errstate(all="ignore"):
        call()  # nothing is left behind


def test_infinities() -> None:
    g = fg.jit(lambda x: 1 / x)
    with fg.debug_nans():
        g(np.zeros(2))
    with fg.debug_infs(), pytest.raises(NonFiniteError, match=r"debug_infs: .*\(inf\) .* in div, at index \[0\]"):
        g(np.zeros(2))


def test_a_bad_argument_is_named() -> None:
    with fg.debug_nans(), pytest.raises(NonFiniteError, match=r"argument 0\['a'\] holds nan already, at index \[1\]"):
        fg.jit(lambda d: d["a"] + 1)({"a": np.array([1.0, np.nan])})


def test_nan_that_does_not_reach_a_result_is_fine_in_jit() -> None:
    with fg.debug_nans():
        assert fg.jit(lambda x: np.where(x > 0, np.log(x), 0.0))(-1.0) == 0


def test_prints_are_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    def g(x: Any) -> Any:
        fg.debug.print("once")
        return np.log(x)

    with fg.debug_nans(), pytest.raises(NonFiniteError):
        fg.jit(g)(-1.0)
    assert capsys.readouterr().out == "once\n"


def test_good_programs_pass() -> None:
    with fg.debug_nans(), fg.debug_infs():
        assert fg.jit(fg.grad(f))(X + 2).shape == (3,)
        assert fg.grad(f)(X + 2).shape == (3,)
        assert fg.jit(lambda x: (x, 3, {"a": x > 0}))(1.0)[1] == 3
        fg.jit(lambda: np.ones(3))()


def test_bfloat16_is_looked_at() -> None:
    x = np.array([-1.0], fg.numpy.bfloat16)
    with fg.debug_nans(), pytest.raises(NonFiniteError, match="in log"):
        fg.jit(np.log)(x)
