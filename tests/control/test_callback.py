"""Is Python called from programs as often, in the order, and with the values that it should?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from tests.ops.numerics import assert_near

X = np.array([3.0, 1.0, 2.0])
HERE = __file__.rsplit("/", 1)[-1]


def like(*shape: int) -> Any:
    return fg.ShapeDtypeStruct(shape, np.float64)


def sine(x: Any, method: str | None = "sequential") -> Any:
    """A function that only NumPy knows."""
    return fg.pure_callback(lambda v: np.sin(v), like(*np.shape(x)), x, vmap_method=method)


def test_pure() -> None:
    assert_near(sine(X), np.sin(X), 0)
    assert_near(fg.jit(lambda x: sine(x) + 1)(X), np.sin(X) + 1, 1e-15)
    both = fg.pure_callback(
        lambda a, *, k, tag: {"a": a + k, "n": len(tag)}, {"a": X, "n": np.int64(0)}, X, k=2.0, tag="xy"
    )
    assert_near(both["a"], X + 2, 0)
    assert both["n"] == 2
    loop = fg.jit(lambda x: fg.lax.scan(lambda c, _: (sine(c), c), x, None, length=3)[0])
    assert_near(loop(0.5), np.sin(np.sin(np.sin(0.5))), 1e-15)


@pytest.mark.parametrize("method", ["sequential", "sequential_unrolled", "expand_dims", "broadcast_all"])
def test_batches(method: str) -> None:
    def f(x: Any, y: Any) -> Any:
        return fg.pure_callback(lambda a, b: a * b, like(), x, y, vmap_method=method)

    for outer in (lambda g: g, fg.jit):
        assert_near(outer(fg.vmap(f, in_axes=(0, None)))(X, 2.0), 2 * X, 0)
        assert_near(outer(fg.vmap(fg.vmap(f, (0, None)), (None, 0)))(X, X), np.outer(X, X), 0)


def test_derivatives_by_a_rule() -> None:
    f = fg.custom_jvp(sine)
    f.defjvps(lambda t, out, x: t * np.cos(x), None)
    g = fg.custom_jvp(lambda x: sine(x))
    g.defjvps(lambda t, out, x: t * np.cos(x))
    assert_near(fg.grad(lambda x: np.sum(g(x)))(X), np.cos(X), 0)
    assert_near(fg.jit(fg.vmap(fg.grad(g)))(X), np.cos(X), 1e-15)
    assert_near(fg.grad(lambda x: np.sum(sine(fg.stop_gradient(x)) * x))(X), np.sin(X), 0)


def test_arrays_are_the_callbacks_own() -> None:
    kept: list[Any] = []

    def keep(v: Any) -> Any:
        kept.append(v)
        v[0] = -1
        return v

    f = fg.jit(lambda x: (fg.pure_callback(keep, X, x) * 2, x))
    first, same = f(X)
    assert_near(same, [3.0, 1.0, 2.0], 0)
    assert first[0] == -2
    f(X + 1)
    assert_near(kept[0], [-1.0, 1.0, 2.0], 0)


def test_effects_happen_once_per_run_and_in_order() -> None:
    log: list[Any] = []

    def note(tag: str) -> Any:
        return lambda *v: log.append((tag, *map(float, v)))

    @fg.jit
    def f(x: Any) -> Any:
        fg.debug.callback(note("start"))
        fg.io_callback(note("square"), None, x * x, ordered=True)
        fg.debug.callback(note("end"), x)
        return x

    f(2.0)
    assert log == [("start",), ("square", 4.0), ("end", 2.0)]
    log.clear()
    fg.jit(lambda x: f(x) + f(x))(3.0)
    assert log == [("start",), ("square", 9.0), ("end", 3.0)] * 2
    counter = iter(range(10))
    tick = fg.jit(lambda: fg.io_callback(lambda: next(counter), np.int64(0)))
    assert [int(tick()) for _ in range(3)] == [0, 1, 2]


def test_debugging_under_transformations(capsys: pytest.CaptureFixture[str]) -> None:
    def f(x: Any) -> Any:
        fg.debug.print("here")
        fg.debug.print("x = {x}", x=x)
        return x * x

    def printed(call: Any) -> list[str]:
        call()
        return capsys.readouterr().out.split("\n")[:-1]

    once = ["here", "x = 1.5"]
    for call in (
        lambda: fg.grad(f)(1.5),
        lambda: fg.jit(fg.grad(f))(1.5),
        lambda: fg.grad(fg.jit(f))(1.5),
        lambda: fg.jvp(f, (1.5,), (1.0,)),
        lambda: fg.linearize(f, 1.5)[1](2.0),
        lambda: fg.grad(fg.checkpoint(f))(1.5),
        lambda: fg.jit(fg.grad(fg.checkpoint(f)))(1.5),
    ):
        assert printed(call) == once
    for call in (lambda: fg.vmap(f)(X), lambda: fg.jit(fg.vmap(f))(X), lambda: fg.vmap(fg.jit(f))(X)):
        assert printed(call) == ["here", "x = 3.0", "x = 1.0", "x = 2.0"]
    assert printed(
        lambda: fg.jit(lambda n: fg.lax.fori_loop(0, 3, lambda i, c: (fg.debug.print("{}", i), c)[1], n))(0)
    ) == ["0", "1", "2"]


def raising(v: Any) -> Any:
    raise KeyError("the callback's own")


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (
            lambda x: fg.pure_callback(lambda v: {"a": np.ones(3)}, {"a": like(2)}, x),
            ValueError,
            ("['a']", "f64[3]", "f64[2]"),
        ),
        (lambda x: fg.pure_callback(lambda v: np.float32(1), like(), x), ValueError, ("f32[]", "f64[]")),
        (lambda x: fg.pure_callback(lambda v: 1.0, {"a": like()}, x), TypeError, ("structure", "'a'")),
        (
            lambda x: fg.pure_callback(lambda v: "text", like(), x),
            TypeError,
            ("something else than an array", "'text'"),
        ),
        (lambda x: fg.pure_callback(np.sin, "f8", x), TypeError, ("result_shape_dtypes", "'f8'")),
        (lambda x: fg.pure_callback(np.sin, like(), x, vmap_method="fast"), ValueError, ("vmap_method", "'fast'")),
        (lambda x: fg.pure_callback(3, like(), x), TypeError, ("takes a function",)),
        (lambda x: fg.pure_callback(np.sin, like(), x, sharding=1), NotImplementedError, ("sharding",)),
        (lambda x: fg.vmap(lambda v: sine(v, None))(np.stack([x, x])), NotImplementedError, ("vmap_method",)),
        (
            lambda x: fg.vmap(lambda v: fg.io_callback(print, None, v, ordered=True))(np.stack([x, x])),
            ValueError,
            ("ordered",),
        ),
        (lambda x: fg.grad(sine)(x), ValueError, ("do not support derivatives", "custom_jvp")),
        (lambda x: fg.jvp(lambda v: fg.io_callback(np.sin, like(), v), (x,), (x,)), ValueError, ("do not support",)),
        (lambda x: fg.debug.print("{} {}", x), ValueError, ("'{} {}'",)),
        (lambda x: fg.debug.print("{y}", x=x), ValueError, ("'{y}'",)),
    ],
)
@pytest.mark.parametrize("compiled", [False, True])
def test_mistakes(call: Any, error: type[Exception], says: tuple[str, ...], compiled: bool) -> None:
    with pytest.raises(error) as caught:
        (fg.jit(call) if compiled else call)(1.0)
    for part in (*says, HERE):
        assert part in str(caught.value)


def test_what_a_callback_raises_is_raised() -> None:
    for call in (
        lambda x: fg.pure_callback(raising, like(), x),
        fg.jit(lambda x: fg.pure_callback(raising, like(), x)),
    ):
        with pytest.raises(KeyError, match="the callback's own"):
            call(1.0)


def test_options_of_print(capsys: Any) -> None:
    def f(x: Any) -> Any:
        fg.debug.print(ordered=True)("x = {}", x)
        fg.debug.print("y = {}", x, partitioned=True)
        fg.debug.callback(partitioned=True)(lambda v: print("z =", v))(x)
        return x

    fg.jit(f)(1.0)
    assert capsys.readouterr().out == "x = 1.0\ny = 1.0\nz = 1.0\n"
    with pytest.raises(IndexError):
        fg.jit(lambda x: fg.debug.print("{} {}", x, skip_format_check=True))(1.0)
