"""Does the interpreter answer until a program is compiled, with the same results, and does nothing get in the way?"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax
from funcgrad.errors import CompilationWarning, DonatedBufferError
from funcgrad.runtime import background
from funcgrad.runtime.dispatch import JitFunction

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 3))


class Gate:
    """Lets compilations pass when it is opened."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.error: BaseException | None = None
        self.compile = background.executable_for

    def __call__(self, *args: Any) -> Any:
        self.opened.wait()
        if self.error is not None:
            raise self.error
        return self.compile(*args)

    def open(self, function: JitFunction) -> None:
        """Let pass what waits, and wait for it."""
        self.opened.set()
        for compilation in list(function._compilations.values()):
            compilation.wait()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate = Gate()
    monkeypatch.setattr(background, "executable_for", gate)
    yield gate
    gate.opened.set()


def behind(fun: Any, **options: Any) -> JitFunction:
    function: JitFunction = fg.jit(fun, compile="background", **options)
    return function


def is_compiled(function: JitFunction) -> bool:
    """Whether calls go to native entries."""
    return bool(function._direct or function._ready)


def mlp(params: Any, x: Any, *, scale: Any = 2.0) -> Any:
    hidden = np.tanh(x @ params["w"])
    return {"loss": np.sum(hidden**2) * scale, "hidden": hidden, "rows": np.sum(hidden, axis=1), "x": x}


CASES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "a pytree": (mlp, ({"w": RNG.normal(size=(3, 5))}, X)),
    "a gradient": (lambda p, x: fg.grad(lambda p: mlp(p, x)["loss"])(p), ({"w": RNG.normal(size=(3, 5))}, X)),
    "numbers": (lambda x, n, flag: (x * n, n + 1, flag, x), (2.5, 3, True)),
    "single precision": (lambda x: (np.exp(x), x.sum(), x > 0, x.argmax(axis=1)), (X.astype(np.float32),)),
    "complex": (lambda x: (np.exp(1j * x), np.abs(x + 1j)), (X,)),
    "a scan": (lambda x: lax.scan(lambda c, a: (np.sin(c) + a, c * 2), np.zeros(3), x), (X,)),
    "a while loop": (lambda x: lax.while_loop(lambda c: c[0] < 4, lambda c: (c[0] + 1, c[1] * 1.5), (0, x)), (X,)),
    "a branch": (lambda x: lax.cond(x[0, 0] > 9, np.sin, np.cos, x), (X,)),
    "nested": (lambda x: fg.jit(np.sin)(x) + behind(np.cos)(x), (X,)),
    "a batch": (fg.vmap(lambda row: row / np.linalg.norm(row)), (X,)),
    "views": (lambda x: (x.T, x[::-1], x, x), (X[:, ::2],)),
    "big-endian": (lambda x: x + 1, (X.astype(">f8"),)),
    "constants": (lambda: (np.arange(3), 1.5), ()),
    "nothing": (lambda x: x[:, :0] * 2, (X,)),
}


@pytest.mark.parametrize("name", CASES)
def test_the_same_before_and_after(gate: Gate, name: str) -> None:
    fun, args = CASES[name]
    function = behind(fun)
    first = function(*args)
    assert not is_compiled(function)
    gate.open(function)
    second, third = function(*args), fg.jit(fun)(*args)
    assert fg.tree.structure(first) == fg.tree.structure(second) == fg.tree.structure(third)
    for a, b, c in zip(*map(fg.tree.leaves, (first, second, third)), strict=True):
        assert type(a) is type(b) is type(c)
        assert (a.shape, a.dtype) == (b.shape, b.dtype) == (c.shape, c.dtype)
        assert a.flags.writeable
        assert a.flags.c_contiguous
        np.testing.assert_allclose(a, b, rtol=1e-6 if b.dtype == np.float32 else 1e-13, atol=1e-14)
        np.testing.assert_array_equal(b, c)


def test_it_switches(gate: Gate) -> None:
    function = behind(np.sin)
    for _ in range(3):
        function(X)
    assert len(function._compilations) == 1
    gate.open(function)
    assert not is_compiled(function)
    function(X)
    assert is_compiled(function)


def test_each_type_has_a_compilation_of_its_own(gate: Gate) -> None:
    function = behind(np.sin)
    function(X)
    gate.open(function)
    function(X)
    gate.opened.clear()
    assert function(X.astype(np.float32)).dtype == np.float32
    assert len(function._compilations) == 2
    assert len(function._direct) == 1


def test_results_are_the_callers_own(gate: Gate) -> None:
    x = X.copy()
    first, second = behind(lambda x: (x, x))(x)
    first += 1
    assert np.array_equal(second, X)
    assert np.array_equal(x, X)


def test_keywords_and_static_arguments(gate: Gate) -> None:
    function = behind(lambda x, n, *, power: (x * n) ** power, static_argnums=1, static_argnames="power")
    expected = (X * 3) ** 2
    np.testing.assert_allclose(function(X, 3, power=2), expected)
    np.testing.assert_allclose(function(X, 2, power=2), (X * 2) ** 2)
    gate.open(function)
    np.testing.assert_allclose(function(X, 3, power=2), expected)
    keywords = behind(mlp)
    params = {"w": np.ones((3, 2))}
    assert keywords(params, X, scale=4.0)["loss"] == pytest.approx(2 * keywords(params, X)["loss"])


def test_donated_arguments_are_given_away(gate: Gate) -> None:
    function = behind(lambda x: x + 1, donate_argnums=0)
    for _ in range(2):
        x = fg.jit(lambda: np.ones((600, 600)))()
        assert np.array_equal(function(x), np.full((600, 600), 2.0))
        with pytest.raises(DonatedBufferError):
            _ = x + 1
        gate.open(function)
    assert is_compiled(function)


def test_under_transformations_it_is_jit(gate: Gate) -> None:
    function = behind(lambda x: np.sum(x**3))
    np.testing.assert_allclose(fg.grad(function)(X), 3 * X**2)
    np.testing.assert_allclose(fg.vmap(function)(X), np.sum(X**3, axis=1))
    assert not function._compilations


def test_a_failure_is_told_once(gate: Gate) -> None:
    function = behind(np.sin)
    gate.error = MemoryError("no room")
    np.testing.assert_array_equal(function(X), np.sin(X))
    gate.open(function)
    with pytest.warns(CompilationWarning, match=r"jit of sin cannot be compiled, .*: MemoryError: no room") as caught:
        np.testing.assert_array_equal(function(X), np.sin(X))
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(function(X), np.sin(X))
    assert not is_compiled(function)


def test_errors_of_the_users_function_are_raised_at_once(gate: Gate) -> None:
    with pytest.raises(ValueError, match="broadcast"):
        behind(lambda x: x + np.ones(7))(X)
    with pytest.raises(TypeError, match="argument 0"):
        behind(lambda x: x)("text")


def test_what_an_equation_raises_has_the_users_line(gate: Gate) -> None:
    function = behind(lambda x: np.linalg.inv(x))
    gate.opened.set()
    with pytest.raises(np.linalg.LinAlgError) as expected:
        fg.jit(lambda x: np.linalg.inv(x))(np.zeros((9, 9)))
    with pytest.raises(np.linalg.LinAlgError) as found:
        function(np.zeros((9, 9)))
    assert str(found.value).split("\n")[0] == str(expected.value).split("\n")[0]
    assert "test_background.py" in str(found.value)


def test_side_effects_happen_once_a_call(gate: Gate) -> None:
    seen: list[float] = []

    def fun(x: Any) -> Any:
        fg.io_callback(lambda v: seen.append(float(v)), None, x)
        return x + 1

    function = behind(fun)
    assert function(1.0) == 2.0
    gate.open(function)
    assert function(2.0) == 3.0
    assert seen == [1.0, 2.0]


def test_an_interpretation_gives_way_to_the_compiled_program(gate: Gate) -> None:
    count = []

    def note(v: Any) -> Any:
        count.append(1)
        if len(count) == 1:  # in the middle of the first interpretation
            gate.open(function)
        return v

    def fun(x: Any) -> Any:
        def body(c: Any, _: Any) -> Any:
            return fg.pure_callback(note, fg.ShapeDtypeStruct((), np.float64), c) * 1.5, None

        return lax.scan(body, x, None, length=5)[0]

    function = behind(fun)
    assert function(1.0) == pytest.approx(1.5**5)
    assert len(count) == 1 + 5
    assert is_compiled(function)


def test_clearing_and_switching_off(gate: Gate) -> None:
    function = behind(np.sin)
    function(X)
    function.clear_cache()
    assert not function._compilations
    with fg.disable_jit():
        np.testing.assert_array_equal(function(X), np.sin(X))
    assert not function._compilations


def test_many_threads(gate: Gate) -> None:
    function = behind(lambda x: np.cumsum(np.sin(x), axis=0))
    expected = np.cumsum(np.sin(X), axis=0)
    wrong: list[Any] = []

    def work() -> None:
        for k in range(20):
            if k == 5:
                gate.opened.set()
            result = function(X)
            if not np.allclose(result, expected, rtol=1e-13):
                wrong.append(result)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(function._compilations) == 1


def test_as_a_decorator_and_mistakes() -> None:
    @fg.jit(compile="background")
    def function(x: Any) -> Any:
        return x * 2

    assert function(3.0) == 6.0
    with pytest.raises(ValueError, match="compile must be one of 'at once', 'background', not 'later'"):
        fg.jit(np.sin, compile="later")


def run(script: str) -> str:
    """What a process of its own prints; it must end by itself, and complain of nothing."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"FUNCGRAD_CACHE": "0"},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_process_ends_in_the_middle_of_compilations() -> None:
    shown = run(
        """
        import numpy as np
        import funcgrad as fg

        functions = [fg.jit(lambda x, k=k: np.sum(np.sin(x * k) ** k), compile="background") for k in range(2, 30)]
        print(len([f(np.ones(3)) for f in functions]))
        """
    )
    assert shown == "28\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot fork here")
def test_a_forked_process_goes_on() -> None:
    shown = run(
        """
        import os
        import numpy as np
        import funcgrad as fg

        functions = [fg.jit(lambda x, k=k: np.sum(np.sin(x * k)), compile="background") for k in range(2, 5)]
        for f in functions:
            f(np.ones(3))
        child = os.fork()
        for f in functions:
            for compilation in f._compilations.values():
                compilation.wait()
            f(np.ones(3))
            assert f._direct
        if child:
            print(os.waitpid(child, 0)[1])
        """
    )
    assert shown == "0\n"
