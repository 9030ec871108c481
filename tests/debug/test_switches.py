"""Do the switches switch, in the thread and for as long as they should?"""

from __future__ import annotations

import collections
import functools
import logging
import os
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import config
from funcgrad.errors import SettingError
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
    with pytest.raises(SettingError, match="FUNCGRAD_DEBUG_INFS must be one of false, true, 0, 1, not 'maybe'"):
        config.Switch("debug_infs").value  # noqa: B018
    monkeypatch.setenv("FUNCGRAD_DEBUG_INFS", "1")
    switch, calls = config.Switch("debug_infs"), []
    switch.changed = calls.append
    switch.start()
    assert calls == [True]


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        *((f"FUNCGRAD_{name.upper()}", "maybe") for name in config.switches),
        ("FUNCGRAD_TRACEBACK", "1"),
        *((config.NUM_THREADS, text) for text in ("0", "-1", "2.5", "two", "²", "1,2")),
        *((variable, text) for variable in (config.CACHE, config.DEBUG) for text in ("off", "2", "yes")),
    ],
)
def test_every_variable_is_checked(monkeypatch: pytest.MonkeyPatch, variable: str, text: str) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(SettingError, match=rf"^{variable} must be .*, not {text!r}\n"):
        config.check()
    monkeypatch.setenv(variable, "  ")
    config.check()


@pytest.mark.slow
def test_an_import_says_it_in_few_words() -> None:
    environment = {**os.environ, "FUNCGRAD_DEBUG_NANS": "maybe"}
    command = [sys.executable, "-c", "import funcgrad"]
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stderr
    assert shown.count("  File ") == 2  # the user's, and the one of the package
    assert shown.splitlines()[-2:] == [
        "funcgrad.errors.SettingError: FUNCGRAD_DEBUG_NANS must be one of false, true, 0, 1, not 'maybe'",
        "See docs/errors.md#settingerror",
    ]


def test_what_the_environment_may_say(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, texts in (
        (config.NUM_THREADS, {"3": 3, " 03 ": 3, "": None}),
        (config.CACHE, {"0": False, "False": False, "1 ": True, "true": True, "": True}),
        (config.DEBUG, {"0": False, "false": False, "TRUE": True, "": False}),
    ):
        read = {config.NUM_THREADS: config.num_threads, config.DEBUG: config.debug}.get(
            variable, lambda: config.cache_directory() is not None
        )
        for text, value in texts.items():
            monkeypatch.setenv(variable, text)
            assert read() == value


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


class Scaled:
    """An object that is called."""

    def __call__(self, x: Any) -> Any:
        return 2 * x


class Silent:
    """A static value whose class lets nobody look."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


def test_misses_of_odd_functions_and_values(caplog: pytest.LogCaptureFixture) -> None:
    def power(n: float, x: Any) -> Any:
        return x**n

    f = fg.jit(lambda xs, odd: xs, static_argnums=1)
    with caplog.at_level(logging.WARNING, "funcgrad"), fg.explain_cache_misses():
        for n in (2.0, 3.0):
            fg.jit(functools.partial(power, n))(1.0)
        fg.jit(Scaled())(1.0)
        f({"a": 1.0, "b": 2.0}, 0)
        f({"a": 1.0}, 0)
        titles = [record.getMessage().partition(" (")[0] for record in caplog.records]
        assert titles == ["jit of power", "jit of power", "jit of Scaled.__call__", *["jit of <lambda>"] * 2]
        _, second, _, _, last = misses(caplog)
        assert "it closes over other values of its partial arguments" in second
        assert last == "argument 0['b'] is left out, it was f64[]*"
        f(1.0, Silent())
        f(1.0, "x" * 1000)
        fg.clear_caches()
        f(1.0, 0)
        silent, long, cleared = misses(caplog)
        assert "the value of static argument 1 is new: <tests.debug.test_switches.Silent object at" in silent
        assert len(long) < 1000
        assert "x... (1,002 characters)" in long
        assert cleared == "its programs were cleared"


def test_functions_behind_transformations_are_told_apart(caplog: pytest.LogCaptureFixture) -> None:
    def square(x: Any) -> Any:
        return x * x

    def cube(x: Any) -> Any:
        return x**3

    with caplog.at_level(logging.WARNING, "funcgrad"), fg.explain_cache_misses():
        for f in (square, cube):
            fg.jit(fg.grad(f))(2.0)
            fg.jit(fg.vmap(fg.jit(f)))(np.ones(2))
        lines = [record.getMessage() for record in caplog.records]
        titles = [line.partition(")")[0] for line in lines]
        assert len(titles) == 6
        for f in (square, cube):
            assert titles.count(f"jit of {f.__name__} ({__file__}:{f.__code__.co_firstlineno}") == 3
        assert [why == "it has not been called before" for why in misses(caplog)] == [True] * 6


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

    seen: Any = None

    def step(self, x: Any) -> Any:
        self.last = x * 2
        return x


def found(message: str) -> Any:
    """Expect a leak."""
    return pytest.raises(fg.errors.LeakedTracerError, match=message)


class Slots:
    """Has no dictionary."""

    __slots__ = ("last",)


def holders() -> dict[str, tuple[Any, str]]:
    """Who may keep a value: something that does, and what is said of it."""
    slots, queue, box = Slots(), collections.deque[Any](), [None]

    def closed(x: Any) -> None:
        nonlocal box
        box = x

    def default(x: Any, seen: list[Any] = []) -> None:  # noqa: B006
        seen.append(x)

    found = {
        "a class": (lambda x: setattr(Model, "seen", x), "the attribute 'seen' of the class Model"),
        "a slot": (lambda x: setattr(slots, "last", x), "the attribute 'last' of a Slots"),
        "a queue": (lambda x: queue.append(x), "a deque in "),
        "a closure": (closed, r"the function holders.<locals>.closed \(a closure or default of it\)"),
        "a default": (default, r"a list in the function holders.<locals>.default \(a closure"),
        "a generator": (lambda x: kept.append(2 * v for v in (x,)), "a generator in a list in the global variable"),
    }
    found["a closure"][0].keep = lambda: box
    return found


HOLDERS = holders()


@pytest.mark.parametrize("name", HOLDERS)
def test_whatever_keeps_it_is_named(name: str) -> None:
    keeps, words = HOLDERS[name]
    with found(words), fg.checking_leaks():
        fg.jit(lambda x: (keeps(2 * x), x)[1])(1.0)
    kept.clear()
    keeps(None)
    Model.seen = None


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
