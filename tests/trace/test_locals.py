"""Are values called what the user's functions call them?  In listings of whole programs and of those inside."""

from __future__ import annotations

import re
import weakref
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.ir.parser import parse_program
from funcgrad.trace.frame import running

X = np.ones(3)


def layer(w: Any, h: Any) -> Any:
    z = w * h
    out = np.tanh(z)
    return out


def stack(w: Any, x: Any) -> Any:
    h = x
    for _ in range(2):
        h = layer(w, h)
    total = np.sum(h)
    return total


def named(program: fg.ir.program.Program) -> list[str]:
    """The names of results in a listing, in order."""
    return re.findall(r"^ *(\w+):\S+ += ", program.as_text(), re.MULTILINE)


def test_values_have_the_names_of_variables_numbered_where_they_repeat() -> None:
    program = fg.make_jaxpr(stack)(X, X)
    assert named(program) == ["z", "h", "z_1", "h_1", "total"]
    assert str(parse_program(program.as_text(source=True))) == str(program)
    assert "h" not in str(program).replace("tanh", "")


def test_what_has_no_name_has_a_letter() -> None:
    def f(a: Any) -> Any:
        b = a * a + a
        return np.sin(b) * b

    assert named(fg.make_jaxpr(f)(X)) == ["c", "b", "d", "e"]


@pytest.mark.parametrize(
    "transform",
    [
        fg.vmap,
        lambda f: lambda *xs: fg.vjp(f, *xs)[0],
        lambda f: lambda *xs: fg.jvp(f, xs, xs)[0],
        lambda f: fg.value_and_grad(lambda *xs: np.sum(f(*xs))),
        lambda f: fg.vmap(fg.value_and_grad(lambda *xs: np.sum(f(*xs)))),
        fg.checkpoint,
    ],
)
def test_names_under_transformations(transform: Any) -> None:
    found = fg.make_jaxpr(transform(layer))(np.ones((2, 3)), np.ones((2, 3))).as_text()
    assert re.search(r"\bz:f64\[2,3\] += mul ", found)
    assert re.search(r"\bout:f64\[2,3\] += tanh z\b", found)


def test_programs_inside_have_names() -> None:
    def step(carry: Any, x: Any) -> Any:
        new = np.sin(carry) * x
        return new, carry

    text = fg.make_jaxpr(lambda xs: fg.lax.scan(step, np.float64(1), xs))(X).as_text()
    assert "program={ lambda ; carry:f64[] x:f64[]. let" in text
    assert re.search(r"new:f64\[\] = mul \w+ x\n +in \(new, carry\)", text)


def test_what_is_lowered_has_names_too() -> None:
    assert "total:f64[]" in repr(fg.jit(stack).lower(X, X).program)


def test_a_jitted_function_that_was_traced_before() -> None:
    jitted = fg.jit(layer)
    jitted(X, X)
    program = fg.make_jaxpr(lambda x: jitted(x, jitted(x, x)))(X)
    assert program.as_text().count("= mul w h\n") == 2
    assert program.equations[0].params["program"] is program.equations[1].params["program"]
    assert repr(fg.make_jaxpr(lambda x: jitted(x, x))(X)).count("tanh z") == 1


def test_nothing_is_kept_and_nothing_goes_on() -> None:
    class Thing:
        pass

    def f(x: Any) -> Any:
        thing = Thing()
        kept.append(weakref.ref(thing))
        return np.sin(x)

    kept: list[Any] = []
    fg.make_jaxpr(f)(X)
    assert kept[0]() is None
    with pytest.raises(ZeroDivisionError):
        fg.make_jaxpr(lambda x: np.sin(x) / (1 // 0))(X)
    assert running.locals is None


def test_programs_made_inside_of_others() -> None:
    def f(x: Any) -> Any:
        y = np.sin(x)
        inner.append(fg.make_jaxpr(layer)(X, X))
        z = np.cos(y)
        return z

    inner: list[Any] = []
    assert named(fg.make_jaxpr(f)(X)) == ["y", "z"]
    assert named(inner[0]) == ["z", "out"]
