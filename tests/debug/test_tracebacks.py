"""Do tracebacks end at the user's line, and show everything on request?"""

from __future__ import annotations

import contextlib
import importlib
import io
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from docs import public
from funcgrad.errors import ROOT
from funcgrad.ir.parser import parse_program
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
    "a special function": (lambda: fg.scipy.special.erf("a"), ["<lambda>"]),
    "a distribution": (lambda: fg.scipy.stats.norm.pdf(), ["<lambda>"]),
    "a factorisation": (lambda: fg.lax.linalg.cholesky(X), ["<lambda>"]),
    "a function with JAX's keywords": (lambda: fg.numpy.unique(X, shape=3), ["<lambda>"]),
    "a new array": (lambda: fg.numpy.zeros("a"), ["<lambda>"]),
    "an object": (lambda: fg.ShapeDtypeStruct(3, float), ["<lambda>"]),
    "a picture": (lambda: fg.visualize(mistake)(X), ["<lambda>", "mistake"]),
    "a listing": (lambda: parse_program("{ lambda"), ["<lambda>"]),
    "a tree": (lambda: fg.tree.map_with_path(None, X), ["<lambda>"]),
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


class Odd:
    """An argument that nothing takes."""


# Not looked at: what ends or changes the process, or writes files; what is for people who make programs by hand; and
# ml_dtypes' type, which ends the process when it gets a text that is no number
SPARED = {"bfloat16", "breakpoint", "clear_caches", "pass_over", "savez", "savez_compressed", "set_num_threads"}
BY_HAND = {"Exported", "Size", "check", "finfo", "interpret", "print_program", "python_objects", "ufunc"}


def public_functions() -> dict[str, Callable[..., Any]]:
    """Every public function and class, under one of its names."""
    found: dict[int, tuple[str, Any]] = {}
    for module in public.MODULES:
        for name in public.names(module):
            value = getattr(importlib.import_module(module), name)
            if callable(value) and name not in SPARED | BY_HAND:
                found.setdefault(id(value), (f"{module}.{name}", value))
    return dict(found.values())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_every_public_function_hides_frames_of_the_library() -> None:
    functions, shown = public_functions(), []
    assert len(functions) > 1000
    for name, function in functions.items():
        for arguments in ((), (Odd(),), (Odd(), Odd()), ("x",), (lambda x: np.abs(x) if x > 0 else x, 1.0)):
            try:
                function(*arguments)
            except Exception as error:
                if ROOT in traceback.extract_tb(error.__traceback__)[-1].filename:
                    shown.append((name, arguments))
    assert shown == []


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
