"""Does `debug.breakpoint` open a pdb on the traced function's frames, with values?"""

from __future__ import annotations

import bdb
import io
from typing import Any

import numpy as np
import pytest

import funcgrad as fg

out = io.StringIO()


def stop(commands: str, **options: Any) -> None:
    """A breakpoint that reads its commands from a text."""
    fg.debug.breakpoint(stdin=io.StringIO(commands), stdout=out, **options)


@pytest.fixture(autouse=True)
def empty() -> None:
    out.seek(0)
    out.truncate()


def seen() -> list[str]:
    """What the debugger wrote, line by line."""
    return out.getvalue().replace("(Pdb) ", "").splitlines()


def nested(x: Any) -> Any:
    tree = {"twice": 2 * x, "number": 3}
    local = x + 1
    fg.debug.breakpoint(stdin=io.StringIO(COMMANDS), stdout=out, num_frames=2)
    return local * tree["twice"]


def outer(x: Any) -> Any:
    before = x * 10
    return nested(x) + before


COMMANDS = "p tree, local\nw\nu\np before\nd\np np.sum(tree['twice'] + 1)\nc\n"


def test_values_frames_and_expressions() -> None:
    assert fg.jit(outer)(3.0) == 54
    text = seen()
    line = nested.__code__.co_firstlineno + 3
    assert text[0] == f"> {__file__}({line})nested()"
    assert text[1].startswith("-> fg.debug.breakpoint(")  # the source
    assert "({'twice': Array(6.), 'number': 3}, Array(4.))" in text
    assert f"  {__file__}({outer.__code__.co_firstlineno + 2})outer()" in text
    assert "Array(30.)" in text
    assert text[-1] in ("7.0", "np.float64(7.0)", "Array(7.)")
    assert not any("funcgrad/" in row.replace(__file__, "") for row in text)


def test_arguments_and_the_whole_function_are_told() -> None:
    def g(x: Any, *rest: Any, scale: float = 2.0, **more: Any) -> Any:
        del more
        fg.debug.breakpoint(stdin=io.StringIO("a\nll\nc\n"), stdout=out)
        return x * scale

    assert fg.jit(lambda x: g(x, 1, y=x))(3.0) == 6
    text = seen()
    assert text[2:6] == ["x = Array(3.)", "scale = 2.0", "rest = (1,)", "more is deleted"]
    first = g.__code__.co_firstlineno
    assert [int(row.split()[0]) for row in text[6:]] == list(range(first, first + 4))
    assert text[8].split()[1] == "->"


def f(x: Any) -> Any:
    y = x * x
    stop("u\np y\nc\n")
    return y


def test_under_every_transformation() -> None:
    assert fg.grad(f)(3.0) == 6
    assert fg.jit(fg.grad(f))(2.0) == 4
    assert f(5.0) == 25
    assert fg.jvp(f, (1.5,), (1.0,))[1] == 3
    values = [row for row in seen() if row.startswith(("Array", "25"))]
    assert values == ["Array(9.)", "Array(4.)", "25.0", "Array(2.25)"]


def test_one_example_after_the_other_and_in_loops() -> None:
    def each(x: Any) -> Any:
        stop("u\np x\nn\nu\np x\nc\n")
        return x

    fg.vmap(each)(np.array([1.0, 2.0]))

    def body(c: Any, x: Any) -> Any:
        stop("u\np c, x\ns\nu\np c, x\nc\n")
        return c + x, None

    fg.jit(lambda x: fg.lax.scan(body, 0.0, x)[0])(np.array([1.0, 2.0]))
    values = [row for row in seen() if row.startswith(("Array", "(Array"))]
    assert values == ["Array(1.)", "Array(2.)", "(Array(0.), Array(1.))", "(Array(1.), Array(2.))"]


def test_quit_ends_the_call() -> None:
    def g(x: Any) -> Any:
        stop("q\n")
        return x

    with pytest.raises(bdb.BdbQuit):
        fg.jit(g)(1.0)


def test_it_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONBREAKPOINT", "0")
    assert fg.jit(f)(3.0) == 9
    assert seen() == []


def test_all_frames_and_all_arguments() -> None:
    def g(x: Any) -> Any:
        stop("w\nc\n", filter_frames=False, backend="cli", ordered=True, token=None, num_frames=3)
        return x

    fg.jit(g)(1.0)
    assert any("funcgrad/trace/" in row for row in seen())
    for wrong in ({"backend": "web"}, {"num_frames": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            fg.debug.breakpoint(**wrong)  # type: ignore[arg-type]
