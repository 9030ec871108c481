"""Does funcgrad behave in notebooks?  Cells are run again, modules loaded again, loops interrupted, values shown."""

from __future__ import annotations

import ctypes
import importlib
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.compile.native.hosts import host_address, host_integers
from funcgrad.runtime import executable
from funcgrad.runtime.calls import _KERNEL
from funcgrad.training import _progress

like = fg.ShapeDtypeStruct((), np.float64)
CELL = """
import funcgrad as fg
import numpy as np

def helper(x):
    return x * FACTOR

@fg.custom_jvp
def ruled(x):
    return x * 1.0

@ruled.defjvp
def ruled_jvp(primals, tangents):
    return ruled(*primals), tangents[0] * FACTOR

def plain(x):
    return np.sin(x) * FACTOR

def called(x):
    return fg.pure_callback(helper, fg.ShapeDtypeStruct((), np.float64), x)

def printed(x):
    fg.debug.callback(lambda v: seen.append(float(v) * FACTOR), x)
    return x

jitted = fg.jit(plain)
WAYS = {
    "jit": lambda x: jitted(x),
    "grad": lambda x: fg.jit(fg.grad(plain))(x),
    "scan": lambda x: fg.lax.scan(lambda c, v: (c, helper(v)), 0.0, x[None])[1][0],
    "cond": lambda x: fg.lax.cond(x > 0, helper, plain, x),
    "while": lambda x: fg.lax.while_loop(lambda c: c < 100, helper, x),
    "callback": called,
    "callback in jit": lambda x: fg.jit(called)(x),
    "callback in scan": lambda x: fg.lax.scan(lambda c, v: (c, called(v)), 0.0, x[None])[1][0],
    "callback in cond": lambda x: fg.lax.cond(x > 0, called, lambda x: x, x),
    "callback in while": lambda x: fg.lax.while_loop(lambda c: c < 100, called, x),
    "callback in vmap": lambda x: fg.vmap(lambda v: fg.pure_callback(
        helper, fg.ShapeDtypeStruct((), np.float64), v, vmap_method="sequential"))(x[None])[0],
    "effect in scan": lambda x: fg.lax.scan(lambda c, v: (c, printed(v)), 0.0, x[None])[1][0] + seen.pop(),
    "rule": lambda x: fg.grad(fg.jit(ruled))(x),
    "rule in scan": lambda x: fg.grad(lambda x: fg.lax.scan(lambda c, _: (ruled(c), None), x, None, 2)[0])(x),
    "checkpoint": lambda x: fg.grad(fg.checkpoint(plain))(x),
    "map": lambda x: fg.lax.map(helper, x[None])[0],
}
"""
X = np.float64(1.5)
TRUTH: dict[str, Callable[[float], float]] = {
    **dict.fromkeys(("jit",), lambda k: np.sin(1.5) * k),
    **dict.fromkeys(("grad", "checkpoint"), lambda k: np.cos(1.5) * k),
    **dict.fromkeys(("while", "callback in while"), lambda k: 1.5 * k ** np.ceil(np.log(100 / 1.5) / np.log(k))),
    "effect in scan": lambda k: 1.5 + 1.5 * k,
    "rule": lambda k: k,
    "rule in scan": lambda k: k * k,
}


def run_cell(factor: float) -> dict[str, Any]:
    """The cell, run under the same file name each time, as IPython may do."""
    names: dict[str, Any] = {"__name__": "__main__", "seen": []}
    exec(compile(CELL.replace("FACTOR", str(factor)), "<ipython-input-1>", "exec"), names)
    return names


@pytest.fixture(scope="module")
def runs() -> list[tuple[float, dict[str, Any]]]:
    found = []
    for factor in (2.0, 5.0, 3.0):  # each is used before the next one is defined
        names = run_cell(factor)
        found.append((factor, {way: float(f(X)) for way, f in names["WAYS"].items()}))
    return found


@pytest.mark.parametrize("way", run_cell(1.0)["WAYS"])
def test_a_cell_that_is_run_again_is_new_code(way: str, runs: list[tuple[float, dict[str, float]]]) -> None:
    for factor, values in runs:
        want = TRUTH.get(way, lambda k: 1.5 * k)(factor)
        np.testing.assert_allclose(values[way], want, rtol=1e-13)


def test_equal_loops_with_callbacks_are_compiled_once() -> None:
    def callback(v: Any) -> Any:
        return v + 1

    def step(c: Any, _: Any) -> Any:
        return fg.pure_callback(callback, like, c), None

    before = len(executable._regions)
    for start in (1.0, 2.0):
        assert float(fg.lax.scan(step, start, None, 3)[0]) == start + 3
    assert len(executable._regions) - before in (0, 1)


def test_a_module_that_is_loaded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    path = tmp_path / "model_of_mine.py"
    text = "import funcgrad as fg\nimport numpy as np\n\n@fg.jit\ndef f(x):\n    return np.sum(x * {})\n"

    def written(factor: int) -> ModuleType | None:
        path.write_text(text.format(factor))
        importlib.invalidate_caches()
        return sys.modules.get("model_of_mine")

    written(2)
    module = importlib.import_module("model_of_mine")
    old = module.f
    assert float(old(np.ones(3))) == 6
    written(7)
    importlib.reload(module)
    assert float(module.f(np.ones(3))) == 21
    np.testing.assert_array_equal(fg.grad(module.f)(np.ones(3)), [7, 7, 7])
    assert float(old(np.ones(3))) == 6  # who holds the old function has the old function
    del sys.modules["model_of_mine"]


# Interrupts -----------------------------------------------------------------------------------------------------------


def interrupted(call: Callable[[], Any], after: float) -> float:
    """Seconds from a Ctrl-C in the middle of a call to the `KeyboardInterrupt`."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    sent: list[float] = []

    def press() -> None:
        sent.append(time.perf_counter())
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    timer = threading.Timer(after, press)
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            call()
        return time.perf_counter() - sent[0]
    finally:
        timer.join()
        signal.signal(signal.SIGINT, handler)


def called_often(x: Any) -> Any:
    """A loop whose body calls Python; without an interrupt it takes minutes."""
    return fg.lax.scan(lambda c, _: (fg.pure_callback(np.sin, like, c), None), x, None, length=10**8)[0]


def counted(x: Any) -> Any:
    return fg.lax.fori_loop(0, 10**12, lambda i, c: np.cos(c), x)


def asleep(x: Any) -> Any:
    return fg.pure_callback(lambda v: [time.sleep(60), v][1], like, x)


def summed(x: Any) -> Any:
    return fg.lax.scan(lambda c, _: (np.tanh(c @ c), None), x * np.eye(20), None, length=10**9)[0][0, 0]


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no signals to threads here")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # ctypes tells of what it lost
@pytest.mark.parametrize("function", [called_often, counted, asleep, summed])
@pytest.mark.parametrize("compiled", [True, False])
def test_interrupts_end_loops_and_calls(function: Callable[[Any], Any], compiled: bool) -> None:
    f = fg.jit(function) if compiled else function
    taken = interrupted(lambda: f(np.float64(0.5)), 0.2)
    assert taken < 20  # a second on a machine that does nothing else; without a look it would be minutes
    assert float(fg.jit(lambda x: fg.lax.fori_loop(0, 3, lambda i, c: c + 1, x))(1.0)) == 4


def test_an_interrupt_that_python_lost_is_found() -> None:
    """What ctypes swallows before the callback's first line: the callback never sets its word."""
    status = ctypes.c_int64(0)
    buffers = (ctypes.c_void_p * 1)(ctypes.addressof(status))
    silent = _KERNEL(lambda bufs, done, first, last: None)
    integers = (ctypes.c_int64 * 2)(*host_integers(ctypes.cast(silent, ctypes.c_void_p).value or 0, 77))
    _KERNEL(host_address())(ctypes.addressof(buffers), ctypes.addressof(integers), 0, 1)
    assert status.value == 77


# What is shown --------------------------------------------------------------------------------------------------------


def test_reprs_are_short() -> None:
    big = fg.jit(lambda x: x + 1)(np.zeros(1000))
    assert len(repr(big).splitlines()) == 1
    assert repr(big).endswith("1.], shape=(1000,))")
    assert len(repr({"kernel": big, "bias": [big, big]})) < 400
    assert "..." not in repr(fg.jit(lambda x: x + 1)(np.zeros(200)))
    with np.printoptions(threshold=sys.maxsize):
        assert repr(big).count("1.") == 1000


def test_compiled_things_say_what_they_take() -> None:
    def model(weights: Any, x: Any) -> Any:
        return np.tanh(x @ weights)

    jitted = fg.jit(model)
    lowered = jitted.lower(np.ones((3, 2)), np.ones((4, 3)))
    assert repr(jitted) == "<jit of test_compiled_things_say_what_they_take.<locals>.model>"
    assert repr(lowered) == "<Lowered: weights:f64[3,2] x:f64[4,3] -> f64[4,2]; 2 equations>"
    assert repr(lowered.compile()) == "<Compiled: weights:f64[3,2] x:f64[4,3] -> f64[4,2]; 1 step>"
    assert "weights" in lowered._repr_html_()
    many = fg.jit(lambda xs: sum(xs)).lower([np.ones(2)] * 9)
    assert "xs_5:f64[2] ... (3 more) -> f64[2]; 9 equations>" in repr(many)
    assert repr(fg.jit(lambda: ()).lower()) == "<Lowered: () -> (); 0 equations>"


def test_progress_bars_are_widgets_in_notebooks(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tqdm")
    kernel = ModuleType("IPython")
    kernel.get_ipython = lambda: SimpleNamespace(config={"IPKernelApp": {}})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", kernel)
    found: list[str] = []
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: found.append(name) or object())
    assert _progress.in_notebook()
    assert found == ["ipywidgets"]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert not _progress.in_notebook()  # a line then, which every notebook can show
