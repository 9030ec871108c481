"""Do tracebacks end at the user's line, and show everything on request?"""

from __future__ import annotations

import contextlib
import io
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.tracebacks import HIDDEN, boundary, users_frames

X = np.ones(3)


def mistake(x: Any) -> Any:
    return x + np.ones(4)


def in_scan(x: Any) -> Any:
    return fg.lax.scan(lambda c, _: (mistake(c), None), x, length=2)[0]


def raising(x: Any) -> Any:
    raise KeyError("mine")


def called_back(x: Any) -> Any:
    return fg.pure_callback(raising, x, x)


def frames(error: BaseException) -> list[str]:
    """The functions of a traceback, from the test on."""
    return [entry.name for entry in traceback.extract_tb(error.__traceback__)][1:]


CASES: dict[str, tuple[Callable[[], Any], list[str]]] = {
    "jit": (lambda: fg.jit(mistake)(X), ["<lambda>", "mistake"]),
    "jit, inside jit": (lambda: fg.jit(lambda x: fg.jit(mistake)(x))(X), ["<lambda>", "<lambda>", "mistake"]),
    "grad": (lambda: fg.grad(mistake)(X), ["<lambda>", "mistake"]),
    "value_and_grad": (lambda: fg.value_and_grad(mistake)(X), ["<lambda>", "mistake"]),
    "vmap": (lambda: fg.vmap(mistake)(np.ones((2, 3))), ["<lambda>", "mistake"]),
    "vjp": (lambda: fg.vjp(mistake, X), ["<lambda>", "mistake"]),
    "jacfwd": (lambda: fg.jacfwd(mistake)(X), ["<lambda>", "mistake"]),
    "linearize": (lambda: fg.linearize(mistake, X), ["<lambda>", "mistake"]),
    "make_jaxpr": (lambda: fg.make_jaxpr(mistake)(X), ["<lambda>", "mistake"]),
    "lower": (lambda: fg.jit(mistake).lower(X), ["<lambda>", "mistake"]),
    "scan": (lambda: in_scan(X), ["<lambda>", "in_scan", "<lambda>", "mistake"]),
    "scan in grad in jit": (
        lambda: fg.jit(fg.grad(in_scan))(X),
        ["<lambda>", "in_scan", "<lambda>", "mistake"],
    ),
    "a callback": (lambda: called_back(X), ["<lambda>", "called_back", "raising"]),
    "a callback in jit": (lambda: fg.jit(called_back)(X), ["<lambda>", "raising"]),
    "compiled code": (lambda: fg.jit(lambda x, i: x[i])(X, 7), ["<lambda>"]),
    "an argument": (lambda: fg.jit(mistake)("a"), ["<lambda>"]),
    "a NumPy function": (lambda: fg.numpy.reshape(X, 4), ["<lambda>"]),
    "a function of lax": (lambda: fg.lax.reshape(X, (4,)), ["<lambda>"]),
    "an optimiser": (lambda: fg.optim.adamw(0.1).update(X, fg.optim.adamw(0.1).init(X)), ["<lambda>"]),
    "a layer": (lambda: fg.nn.layers.dense("a"), ["<lambda>"]),
}


@pytest.mark.parametrize("name", CASES)
def test_tracebacks_show_the_users_frames(name: str) -> None:
    call, expected = CASES[name]
    with pytest.raises(Exception, match=r".") as caught:
        call()
    found = frames(caught.value)
    assert found == expected
    with fg.config.traceback("full"), pytest.raises(Exception, match=r".") as whole:
        call()
    assert len(frames(whole.value)) > len(found)
    assert str(whole.value) == str(caught.value)


def test_causes_are_shortened_too() -> None:
    def chained(x: Any) -> Any:
        try:
            return mistake(x)
        except ValueError as error:
            raise RuntimeError("outer") from error

    with pytest.raises(RuntimeError) as caught:
        fg.jit(chained)(X)
    assert frames(caught.value) == ["chained"]
    cause = caught.value.__cause__
    assert cause is not None
    assert [entry.name for entry in traceback.extract_tb(cause.__traceback__)] == ["chained", "mistake"]


def test_what_is_hidden_is_said_where_the_message_names_no_line() -> None:
    def broken() -> None:
        {}["missing"]

    with pytest.raises(KeyError) as caught:
        boundary(broken)()
    assert not getattr(caught.value, "__notes__", ())  # it is the user's own
    program = fg.make_jaxpr(np.sin)(1.0)
    with pytest.raises(ValueError, match="zip") as inside:
        fg.linearize(np.sin, 1.0)[1].__wrapped__.__globals__["evaluate"](program, [], None)
    assert not getattr(inside.value, "__notes__", ())  # no boundary stands there
    with pytest.raises(ValueError, match="zip") as inside:
        boundary(inside_library)(program)
    assert inside.value.__notes__ == [HIDDEN]
    assert users_frames(None) is None


def inside_library(program: Any) -> Any:
    from funcgrad.ir.interpret import interpret

    return interpret(program, [])


def test_plain_python_prints_it() -> None:
    """What `python` and IPython write for an exception nobody catches."""
    out = io.StringIO()
    try:
        fg.jit(mistake)(X)
    except ValueError as error:
        traceback.print_exception(error, file=out)
    text = out.getvalue()
    assert "funcgrad/" not in text.replace(__file__, "")
    assert text.rstrip().endswith("(in mistake)")


def test_interruptions_pass() -> None:
    def interrupted(x: Any) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fg.jit(interrupted)(X)
    with contextlib.suppress(SystemExit):
        fg.grad(lambda x: exec("raise SystemExit"))(1.0)


def test_the_setting_is_checked() -> None:
    with pytest.raises(ValueError, match="'short' or 'full', not 'off'"):
        fg.config.update("traceback", "off")
    assert fg.config.read("traceback") == "short"
