"""Do the switches switch, in the thread and for as long as they should?"""

from __future__ import annotations

import logging
import threading
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import config
from funcgrad.ir.primitive import Primitive
from funcgrad.runtime.dispatch import JitFunction
from funcgrad.trace.tracer import Tracer


def test_a_switch_is_on_within_its_block_and_thread() -> None:
    switch = config.Switch("debug_nans")
    calls: list[bool] = []
    switch.changed = calls.append
    seen: list[bool] = []
    with switch():
        assert switch.value is True
        with switch(False):
            assert switch.value is False
        thread = threading.Thread(target=lambda: seen.append(switch.value))
        thread.start()
        thread.join()
    assert (switch.value, seen, calls) == (False, [False], [True, False])
    switch.update(True)
    switch.update(True)
    with switch(False):
        assert switch.value is False
    assert switch.value is True
    switch.update(False)
    assert calls == [True, False] * 2


@pytest.mark.parametrize(("text", "value"), [("1", True), ("true", True), ("0", False), ("", False)])
def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch, text: str, value: bool) -> None:
    monkeypatch.setenv("FUNCGRAD_DEBUG_INFS", text)
    assert config.Switch("debug_infs").value is value


def test_the_environment_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUNCGRAD_DEBUG_INFS", "maybe")
    with pytest.raises(ValueError, match="FUNCGRAD_DEBUG_INFS must be one of false, true, 0, 1, not 'maybe'"):
        config.Switch("debug_infs").value  # noqa: B018
    monkeypatch.setenv("FUNCGRAD_DEBUG_INFS", "1")
    switch, calls = config.Switch("debug_infs"), []
    switch.changed = calls.append
    switch.start()
    assert calls == [True]


def test_jax_names_are_understood() -> None:
    config.update("jax_debug_nans", True)
    assert config.read("debug_nans") is True
    config.update("jax_debug_nans", False)


def test_nothing_is_left_behind() -> None:
    before = (JitFunction.__call__, Primitive.compute, Tracer.__init__)
    with fg.debug_nans(), fg.debug_infs(), fg.checking_leaks(), fg.disable_jit():
        assert JitFunction.__call__ is not before[0]
    assert (JitFunction.__call__, Primitive.compute, Tracer.__init__) == before


# Logs ----------------------------------------------------------------------------------------------------------------


def test_compilations_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    f = fg.jit(lambda x: x * 3.25)
    with caplog.at_level(logging.WARNING, "funcgrad"), fg.log_compiles():
        f(np.ones(3))
        f(np.ones(3))
    first, second = (record.getMessage() for record in caplog.records)
    assert first.startswith("Traced <lambda> for (f64[3]) in ")
    assert second.startswith("Compiled <lambda> for (f64[3]) in ")
    assert "test_switches.py" in first


def misses(caplog: pytest.LogCaptureFixture) -> list[str]:
    found = [record.getMessage().partition("because ")[2].partition("\n")[0] for record in caplog.records]
    caplog.clear()
    return found


def test_misses_are_explained(caplog: pytest.LogCaptureFixture) -> None:
    f = fg.jit(lambda d, n: d["a"] * n, static_argnums=1)
    x = np.ones(3)
    with caplog.at_level(logging.WARNING, "funcgrad"), fg.explain_cache_misses():
        for d, n in (({"a": x}, 2), ({"a": x}, 2), ({"a": x}, 3), ({"a": x[:2]}, 3), ({"a": np.float32([1, 2])}, 3)):
            f(d, n)
        f({"a": x, "b": x}, 3)
        f({"a": 2.0}, 3)
        kind = "the kind of argument 0['a'] is new: a Python number, it was an array or NumPy scalar"
        assert misses(caplog) == [
            "it has not been called before",
            "the value of static argument 1 is new: 3, it was 2",
            "the shape of argument 0['a'] is new: (2,), it was (3,)",
            "the dtype of argument 0['a'] is new: float32, it was float64",
            "argument 0['b'] is new: f64[3], it was absent",
            "the shape of argument 0['a'] is new: (), it was (3,); " + kind,
        ]
        for k in range(2):
            fg.jit(lambda x: x * k)(2.0)  # noqa: B023
        assert misses(caplog)[1] == (
            "it is a new function object made by the same code, and programs belong to function objects (it closes "
            "over other values of k: make them arguments): call jit once, outside of the loop or function that calls "
            "it, and keep what it returns"
        )


class Odd:
    """A static value without equality."""

    def __repr__(self) -> str:
        return "Odd()"


def test_static_values_without_equality_are_named(caplog: pytest.LogCaptureFixture) -> None:
    f = fg.jit(lambda x, odd: x, static_argnames="odd")
    with caplog.at_level(logging.WARNING, "funcgrad"), fg.explain_cache_misses():
        f(1.0, odd=Odd())
        f(1.0, odd=Odd())
    assert "does the class define __eq__ and __hash__?" in misses(caplog)[1]


# disable_jit ---------------------------------------------------------------------------------------------------------


def test_loops_and_branches_run_in_python() -> None:
    seen: list[Any] = []

    def body(c: Any, x: Any) -> Any:
        seen.append(float(c) if not isinstance(c, Tracer) else None)
        assert x >= 0
        return c + x, {"twice": 2 * c}

    def f(x: Any) -> Any:
        c, ys = fg.lax.scan(body, 0.0, x)
        c = fg.lax.fori_loop(0, 3, lambda i, c: c * 2 if i < 2 else c, c)
        c = fg.lax.while_loop(lambda c: c < 100, lambda c: c * 3 if c > 0 else c, c)
        return fg.lax.switch(1, [lambda c: -c, lambda c: c if c > 1 else -c], c) + np.sum(ys["twice"])

    x = np.arange(4.0)
    with fg.disable_jit():
        value, slope = f(x), fg.grad(f)(x)
    assert seen[:4] == [0, 0, 1, 3]
    assert value == 216 + 8
    np.testing.assert_array_equal(slope, 36 + np.array([6, 4, 2, 0]))
    with fg.disable_jit():  # an example's values are not known: the loop is a program
        doubled = fg.vmap(lambda x: fg.lax.while_loop(lambda c: c < 100, lambda c: c * 3, x))(np.array([1.0, 50.0]))
    np.testing.assert_array_equal(doubled, [243, 150])


# Leaks ---------------------------------------------------------------------------------------------------------------

kept: list[Any] = []


def keep(x: Any) -> Any:
    kept.append(x * 2)
    return x


class Model:
    """Keeps what it should return."""

    def step(self, x: Any) -> Any:
        self.last = x * 2
        return x


def found(message: str) -> Any:
    """Expect a leak."""
    return pytest.raises(fg.errors.LeakedTracerError, match=message)


def test_leaks_are_found() -> None:
    kept.clear()
    with found(r"(?s)a list in the global variable 'kept'.*in keep\)"), fg.checking_leaks():
        fg.jit(keep)(1.0)
    kept.clear()
    model = Model()
    with found("the attribute 'last' of a Model"), fg.checking_leaks():
        fg.grad(model.step)(1.0)
    model = Model()

    def next_one_notices() -> None:
        fg.vmap(model.step)(np.ones(3))
        fg.grad(np.sin)(1.0)

    with found("the attribute 'last' of a Model"), fg.checking_leaks():
        next_one_notices()


def test_what_is_no_leak() -> None:
    with fg.checking_leaks():
        _, pull = fg.vjp(lambda x: np.sin(x) * x, 2.0)
        pull(1.0)
        _, push = fg.linearize(np.sin, 1.0)
        push(1.0)
        fg.jit(fg.grad(lambda x: fg.lax.scan(lambda c, _: (np.sin(c), None), x, length=3)[0]))(1.0)
        with fg.check_tracer_leaks(False):
            fg.jit(keep)(1.0)
    kept.clear()
