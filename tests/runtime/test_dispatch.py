"""Does a jitted function behave like the function?  Kinds of arguments, static ones, donated ones, threads, errors."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.errors import DonatedBufferError
from funcgrad.runtime import executable


class Counted:
    """A function that counts how often it is traced (or run)."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function, self.calls = function, 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        return self.function(*args, **kwargs)


def test_one_trace_for_each_combination_of_types() -> None:
    counted = Counted(lambda x, y: x * y + 1)
    function = fg.jit(counted)
    kinds = [
        (np.ones(3), np.ones(3)), (np.ones(4), np.ones(4)), (np.ones(3, "f4"), np.ones(3)),
        (np.ones(3), 2.0), (np.ones(3), 2), (2.0, 3.0), (2, 3), (np.float32(2), 3),
        (np.ones((3, 1)), np.ones(3)), (True, np.ones(3, bool)),
    ]  # fmt: skip
    for _ in range(3):
        for x, y in kinds:
            result, expected = function(x, y), counted.function(x, y)
            np.testing.assert_array_equal(result, expected)
            assert result.dtype == np.asarray(expected).dtype
    assert counted.calls == len(kinds)


SCALARS = [
    True,
    3,
    2.5,
    np.bool_(True),
    np.int8(3),
    np.uint8(200),
    np.int64(4),
    np.float16(1.5),
    np.float32(2.5),
    np.float64(0.1),
]


@pytest.mark.parametrize("second", SCALARS, ids=lambda x: type(x).__name__)
@pytest.mark.parametrize("dtype", ["b1", "i1", "u2", "i8", "f2", "f4", "f8"])
def test_dtypes_are_those_of_the_function(second: Any, dtype: str) -> None:
    function = fg.jit(lambda x, y: (x + y, y * x, np.where(x > 0, x, y)))
    x = np.arange(3).astype(dtype)
    for argument in (x, x[1]):
        with np.errstate(all="ignore"):
            expected = (argument + second, second * argument, np.where(argument > 0, argument, second))
        for result, value in zip(function(argument, second), expected, strict=True):
            assert result.dtype == np.asarray(value).dtype
            np.testing.assert_array_equal(result, value)


@pytest.mark.parametrize("x", [True, 3, -7, 2.5, float("nan"), 10**10])
def test_python_numbers_in(x: Any) -> None:
    result = fg.jit(lambda x: (x, x + 1, x * 0.5))(x)
    for value, expected in zip(result, (x, x + 1, x * 0.5), strict=True):
        assert type(value) is fg.Array
        assert value.shape == ()
        np.testing.assert_array_equal(value, expected)


class Sub(np.ndarray):
    """An array of a subclass."""


@pytest.mark.parametrize(
    "form",
    [
        lambda x: x[::2],
        lambda x: x[:, ::-1],
        lambda x: x.T,
        lambda x: np.asfortranarray(x),
        lambda x: x.astype(">f8"),
        lambda x: x.view(Sub),
        lambda x: np.broadcast_to(x[:1], (4, 6)),
        lambda x: np.frombuffer(b"\0" + x.tobytes(), np.float64, offset=1).reshape(4, 6),
    ],
)
def test_arrays_of_any_layout(form: Callable[[Any], Any]) -> None:
    x = form(np.arange(24.0).reshape(4, 6))
    x.flags.writeable = False
    function = fg.jit(lambda x: (np.sin(x), x.sum(0), x @ x.T))
    for _ in range(2):
        for result, expected in zip(function(x), (np.sin(x), x.sum(0), x @ x.T), strict=True):
            np.testing.assert_allclose(result, np.asarray(expected), rtol=1e-14)
            assert type(result) is fg.Array
            assert result.dtype.isnative


def test_results_own_their_memory() -> None:
    table = np.arange(6.0).reshape(2, 3)
    x, scalar = np.ones((2, 3)), 3.0

    def function(x: Any, s: Any) -> Any:
        return x, x, table, table, s, x.T, x.reshape(6), x[0], np.broadcast_to(x[0], (2, 3)), 7, x + 0 * table

    compiled = fg.jit(function)
    for _ in range(3):
        results = compiled(x, scalar)
        for k, result in enumerate(results):
            assert type(result) is fg.Array
            assert result.flags.owndata or result.base is not None
            assert result.flags.writeable
            assert result.flags.c_contiguous
            assert not np.shares_memory(result, x)
            assert not np.shares_memory(result, table)
            assert not any(np.shares_memory(result, other) for other in results[:k])
            np.testing.assert_array_equal(result, function(x, scalar)[k])
        for result in results:
            result[...] = -1  # the next call does not see it
    assert x.min() == 1
    assert table.max() == 5


def test_results_outlive_the_function() -> None:
    results = [fg.jit(lambda x, k=k: x * k)(np.ones(1000)) for k in range(20)]
    assert [r[999] for r in results] == list(range(20))


def test_constants_are_those_of_the_trace() -> None:
    table = np.ones(3)
    function = fg.jit(lambda x: x + table)
    np.testing.assert_array_equal(function(np.zeros(3)), 1)
    table[:] = 5
    np.testing.assert_array_equal(function(np.zeros(3)), 1)
    function.clear_cache()
    np.testing.assert_array_equal(function(np.zeros(3)), 5)


def test_pytrees_and_keywords() -> None:
    @fg.jit
    def function(tree: Any, *, scale: Any = 2.0, offset: Any = None) -> Any:
        out = {name: value * scale for name, value in tree.items()}
        return out if offset is None else (out, [offset])

    tree = {"b": np.ones(2), "a": (1.0)}
    assert list(function(tree)) == list(fg.tree.map(lambda x: x, tree))
    np.testing.assert_array_equal(function(tree)["b"], [2, 2])
    np.testing.assert_array_equal(function(tree, scale=3)["b"], [3, 3])
    _, (offset,) = function(tree, offset=1, scale=np.ones(2))
    assert offset == 1
    assert function({}) == {}
    assert fg.jit(lambda: None)() is None
    assert fg.jit(lambda: (1.5, ()))() == (1.5, ())


def test_static_arguments() -> None:
    counted = Counted(lambda x, n, mode="sum": getattr(np, mode)(x, axis=n))
    by_number = fg.jit(lambda x, n, mode="sum": counted(x, n, mode), static_argnums=(1, 2))
    by_name = fg.jit(lambda x, n, mode="sum": counted(x, n, mode), static_argnames=("n", "mode"))
    x = np.arange(6.0).reshape(2, 3)
    for function in (by_number, by_name):
        counted.calls = 0
        for _ in range(2):
            np.testing.assert_array_equal(function(x, 0), x.sum(0))
            np.testing.assert_array_equal(function(x, 1), x.sum(1))
            np.testing.assert_array_equal(function(x, 1, "max"), x.max(1))
            np.testing.assert_array_equal(function(x, mode="max", n=0), x.max(0))
            np.testing.assert_array_equal(function(x, n=-1), x.sum(-1))
        assert 5 <= counted.calls <= 8 * 5  # no lock is held while user code runs: threads may trace the same sizes
    np.testing.assert_array_equal(fg.jit(lambda x, n: x * len(n), static_argnums=-1)(x, "abc"), 3 * x)


def test_static_values_of_other_types_are_others() -> None:
    function = fg.jit(lambda x, v: x + (10 if v is True else 20 if isinstance(v, int) else 30), static_argnums=1)
    assert [int(function(0, v)) for v in (True, 1, 1.0, True)] == [10, 20, 30, 10]


def test_static_arguments_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="static_argnums"):
        fg.jit(lambda x: x, static_argnums=3)
    with pytest.raises(ValueError, match=r"'n'.*\['x'\]"):
        fg.jit(lambda x: x, static_argnames="n")
    with pytest.raises(TypeError, match="static_argnums"):
        fg.jit(lambda x: x, static_argnums="x")
    with pytest.raises(ValueError, match=r"not hashable.*list"):
        fg.jit(lambda x, n: x, static_argnums=1)(1.0, [2])


def test_methods_and_decorators() -> None:
    class Model:
        def __init__(self, w: float) -> None:
            self.w = w

        def __hash__(self) -> int:
            return hash(self.w)

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Model) and self.w == other.w

        @fg.jit(static_argnums=0)
        def apply(self, x: Any) -> Any:
            """Weigh."""
            return self.w * x

        @staticmethod
        @fg.jit
        def double(x: Any) -> Any:
            return 2 * x

    assert Model(2.0).apply(3.0) == 6
    assert Model(5.0).apply(3.0) == 15
    assert Model.double(3.0) == 6
    assert Model.apply.__doc__ == "Weigh."
    assert "apply" in repr(Model.apply)


def test_jit_of_jit() -> None:
    inner = fg.jit(lambda x, y: np.sin(x) * y)
    outer = fg.jit(lambda x: fg.jit(inner)(x, 2.0) + inner(x, 1.0))
    np.testing.assert_allclose(outer(np.ones(3)), 3 * np.sin(1), rtol=1e-15)
    np.testing.assert_allclose(fg.grad(outer)(0.5), 3 * np.cos(0.5), rtol=1e-15)
    np.testing.assert_allclose(
        fg.jit(fg.grad(fg.jit(fg.grad(inner))), static_argnums=())(0.5, 2.0), -2 * np.sin(0.5), rtol=1e-15
    )


def test_a_jitted_function_closes_over_a_tracer() -> None:
    def outer(x: Any) -> Any:
        return fg.jit(lambda y: y * x)(np.arange(3.0)).sum()

    assert fg.grad(outer)(2.0) == 3
    assert fg.jit(outer)(2.0) == 6
    assert fg.grad(fg.jit(outer))(2.0) == 3


def test_donated_arrays() -> None:
    function = fg.jit(lambda n, state, x: ({"w": state["w"] + x * n}, x), static_argnums=0, donate_argnums=1)
    plain = np.zeros(3)
    state, _ = function(2, {"w": plain}, 1.0)
    np.testing.assert_array_equal(plain, 0)  # NumPy's arrays stay
    old = state["w"]
    state, _ = function(2, state, 1.0)
    np.testing.assert_array_equal(state["w"], 4)
    for use in (
        lambda: old + 1,
        lambda: old[0],
        lambda: np.sum(old),
        lambda: repr(old),
        lambda: function(2, {"w": old}, 1.0),
        lambda: fg.grad(np.sum)(old),
    ):
        with pytest.raises((DonatedBufferError, ValueError), match="donate_argnums"):
            use()


def test_eight_threads_trace_and_call_at_once() -> None:
    counted = Counted(lambda x, w: np.tanh(x @ w).sum(1))
    function = fg.jit(counted)
    start, failures = threading.Barrier(8), []

    def work(number: int) -> None:
        rng = np.random.default_rng(number)
        start.wait()
        try:
            for k in range(60):
                n = 3 + (k + number) % 5
                x, w = rng.normal(size=(n, 4)), rng.normal(size=(4, 200))
                np.testing.assert_allclose(function(x, w), np.tanh(x @ w).sum(1), rtol=1e-12, atol=1e-12)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert 5 <= counted.calls <= 8 * 5  # no lock is held while user code runs: threads may trace the same sizes


def test_an_exception_while_tracing_leaves_nothing_behind() -> None:
    fail = True

    @fg.jit
    def function(x: Any) -> Any:
        y = np.sin(x)
        if fail:
            raise KeyError("mine")
        return y

    for _ in range(2):
        with pytest.raises(KeyError, match="mine"):
            function(1.0)
        with pytest.raises(KeyError, match="mine"):
            fg.grad(function)(1.0)
    fail = False
    assert function(0.0) == 0
    assert fg.grad(function)(0.0) == 1


def test_an_index_error_names_the_line_and_harms_no_later_call() -> None:
    def pick(x: Any, i: Any) -> Any:
        y = x * 2
        return y[i]  # here

    line = pick.__code__.co_firstlineno + 2
    function = fg.jit(pick)
    x = np.arange(5.0)
    for _ in range(2):
        np.testing.assert_array_equal(function(x, np.array([0, -5, 4])), [0, 0, 8])
        for bad in ([5], [0, -6], [2**62]):
            with pytest.raises(
                IndexError, match=rf"index .* with size 5; it is the argument i\[.\]\n  at .*test_dispatch\.py:{line} "
            ):
                function(x, np.array(bad))
    assert function(x, 3) == 6


@pytest.mark.parametrize(
    "function",
    [
        lambda x, i: x[i],
        lambda x, i: x[i][:1],
        lambda x, i: x[i][:1].sum() + x[i][2:].sum(),
        lambda x, i: np.concatenate([x[i][:1], x]),
        lambda x, i: x[i][:1] @ x.T,
        lambda x, i: x[i][:, :0],
        lambda x, i: (x[i], x)[1],
        lambda x, i: np.where(x[:, 0] > 1e9, x[i][:, 0], 0),
        lambda x, i: fg.grad(lambda x: x[i].sum())(x),
        lambda x, i: fg.vmap(lambda k: x[k])(i),
        lambda x, i: x[:, i],
    ],
)
def test_every_element_of_an_index_is_checked(function: Callable[..., Any]) -> None:
    x = np.arange(9.0).reshape(3, 3)
    compiled = fg.jit(function)
    compiled(x, np.array([0, 2, -1]))
    for bad in ([0, 3, 1], [0, 1, 7], [-4, 0, 0]):
        with pytest.raises(IndexError, match="axis with size 3"):
            compiled(x, np.array(bad))


def test_two_checks_tell_which_failed() -> None:
    function = fg.jit(lambda x, i, j: x[i, :4][..., 0] + x[:, j][0])
    x = np.zeros((3, 5))
    with pytest.raises(IndexError, match="size 3"):
        function(x, np.array([3]), np.array([0]))
    with pytest.raises(IndexError, match="size 5"):
        function(x, np.array([0]), np.array([5]))


def test_complex_programs_run_by_numpy() -> None:
    function = fg.jit(lambda z: (z * 2, z))
    z = np.array([1 + 2j, 3 - 1j])
    doubled, same = function(z)
    np.testing.assert_array_equal(doubled, 2 * z)
    assert type(same) is fg.Array
    assert not np.shares_memory(same, z)
    np.testing.assert_array_equal(function(2j)[0], 4j)


def test_strided_arguments_are_copied_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """SciPy hands columns of matrices over: calls that neither stop garbage collection nor leave the native entry."""
    double = fg.jit(lambda x, k: x * k)
    columns = np.arange(12.0).reshape(4, 3)
    double(columns[:, 0], 2.0)

    def never(*args: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr(gc, "disable", never)
    monkeypatch.setattr(executable, "slow_call", never)
    for given in (columns[:, 1], columns[::-1, 1], columns[:, 1].astype(">f8")):
        np.testing.assert_array_equal(double(given, 2.0), np.asarray(given) * 2)
