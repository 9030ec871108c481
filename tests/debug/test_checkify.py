"""Does `checkify` collect every kind of error, under every transformation?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.errors import CheckError
from funcgrad.experimental import checkify
from funcgrad.experimental.checkify import check

GOOD, BAD = np.array([1.0, 2.0]), np.array([1.0, -2.0])


def message(err: checkify.Error) -> str | None:
    """The first line of each message."""
    text = err.get()
    return None if text is None else "\n".join(row for row in text.splitlines() if not row.startswith("  at "))


def f(x: Any) -> Any:
    check(np.all(x > 0), "x is {low}", low=np.min(x))
    return np.sum(np.log(np.abs(x)))


WAYS: dict[str, Callable[[Any], Any]] = {
    "plain": checkify.checkify,
    "jit outside": lambda f: fg.jit(checkify.checkify(f)),
    "jit inside": lambda f: checkify.checkify(fg.jit(f)),
    "grad inside": lambda f: checkify.checkify(fg.grad(f)),
    "grad and jit inside": lambda f: fg.jit(checkify.checkify(fg.jit(fg.grad(f)))),
    "checkpoint": lambda f: checkify.checkify(fg.grad(fg.checkpoint(f))),
    "all checks": lambda f: checkify.checkify(f, errors=checkify.all_checks),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_check(way: str) -> None:
    checked = WAYS[way](f)
    err, value = checked(GOOD)
    assert err.get() is None
    assert err.get_exception() is None
    err.throw()
    np.testing.assert_allclose(value, 1 / GOOD if "grad" in way or way == "checkpoint" else np.log(2))
    err, _ = checked(BAD)
    assert message(err) == "x is -2.0 (`check` failed)"
    assert f"test_checkify.py:{f.__code__.co_firstlineno + 1} (in f)" in str(err.get())
    with pytest.raises(CheckError, match="x is -2"):
        err.throw()
    assert "x is -2" in repr(err)


def test_batches() -> None:
    batch = np.array([GOOD, BAD, 3 * BAD])
    err, _ = fg.vmap(checkify.checkify(f))(batch)
    assert (
        message(err) == "at mapped index 1: x is -2.0 (`check` failed)\nat mapped index 2: x is -6.0 (`check` failed)"
    )
    err, _ = checkify.checkify(fg.vmap(f))(batch)
    assert message(err) == "x is -2.0 (`check` failed)"


def test_derivatives_pass_through() -> None:
    gradient = fg.grad(lambda x: checkify.checkify(f, errors=checkify.all_checks)(x)[1])(BAD)
    np.testing.assert_allclose(gradient, 1 / BAD)
    gradient = fg.jit(fg.grad(lambda x: fg.jit(checkify.checkify(f))(x)[1]))(GOOD)
    np.testing.assert_allclose(gradient, 1 / GOOD)


def errors_of_gradient(f: Any) -> Any:
    """``(error, gradient)`` of a function under `checkify`."""
    return lambda x: fg.grad(lambda x: checkify.checkify(f)(x)[::-1], has_aux=True)(x)[::-1]


def by_jvp(calls_itself: bool) -> Any:
    square: Any = fg.custom_jvp(lambda x: x * x)

    @square.defjvp
    def rule(primals: Any, tangents: Any) -> Any:
        (x,), (t,) = primals, tangents
        check(x > 0, "the rule got {}", x)
        return square(x) if calls_itself else x * x, 2 * x * t

    return lambda x: square(x)


def by_vjp() -> Any:
    square: Any = fg.custom_vjp(lambda x: x * x)

    def forward(x: Any) -> Any:
        check(x > 0, "the rule got {}", x)
        return x * x, x

    square.defvjp(forward, lambda x, ct: (2 * x * ct,))
    return lambda x: square(x)


def by_root() -> Any:
    def root(x: Any) -> Any:  # of y / x = x
        def equation(y: Any) -> Any:
            check(x > 0, "the rule got {}", x)
            return y / x - x

        def newton(f: Any, y: Any) -> Any:
            return y - f(y) / fg.grad(f)(y)

        return fg.lax.custom_root(equation, x, newton, lambda g, y: y / g(1.0))

    return root


SQUARES = {
    "jvp": by_jvp(False),
    "jvp of itself": by_jvp(True),
    "vjp": by_vjp(),
    "checkpoint": fg.checkpoint(by_jvp(False)),
    "jit": fg.jit(by_vjp()),
    "scan": lambda x: fg.lax.scan(lambda c, _: (SQUARES["jvp"](c), None), x, None, length=1)[0],
    "root": by_root(),
}
DERIVATIVES: dict[str, Any] = {
    "inside": lambda f: checkify.checkify(fg.grad(f)),
    "outside": errors_of_gradient,
    "jit": lambda f: fg.jit(errors_of_gradient(f)),
}


@pytest.mark.parametrize("way", ["inside", "outside", "jit"])
@pytest.mark.parametrize("square", SQUARES)
def test_checks_in_derivative_rules_are_collected(square: str, way: str) -> None:
    both = DERIVATIVES[way](SQUARES[square])
    err, slope = both(-3.0)
    assert message(err) == "the rule got -3.0 (`check` failed)"
    np.testing.assert_allclose(slope, -6)
    err, slope = both(3.0)
    assert err.get() is None
    np.testing.assert_allclose(slope, 6)


def test_checks_in_rules_of_examples_and_of_second_derivatives() -> None:
    square = SQUARES["jvp of itself"]
    err, slopes = fg.vmap(errors_of_gradient(square))(np.array([1.0, -2.0]))
    assert message(err) == "at mapped index 1: the rule got -2.0 (`check` failed)"
    np.testing.assert_array_equal(slopes, [2, -4])

    def slope(x: Any) -> Any:
        return errors_of_gradient(square)(x)[::-1]

    twice, err = fg.grad(slope, has_aux=True)(-2.0)
    assert (twice, message(err)) == (2, "the rule got -2.0 (`check` failed)")
    value, tangent, err = fg.jvp(lambda x: checkify.checkify(square)(x)[::-1], (-2.0,), (1.0,), has_aux=True)
    assert (value, tangent, message(err)) == (4, -4, "the rule got -2.0 (`check` failed)")


def test_checks_that_come_too_late_to_be_returned_raise() -> None:
    """The backward rule runs when the error has been returned; a rule that cannot be traced is left alone."""

    def backward(x: Any, ct: Any) -> Any:
        check(x > 0, "backward got {}", x)
        return (2 * x * ct,)

    late: Any = fg.custom_vjp(lambda x: x * x)
    late.defvjp(lambda x: (x * x, x), backward)
    untraceable: Any = fg.custom_jvp(lambda x: x * x)

    @untraceable.defjvp
    def rule(primals: Any, tangents: Any) -> Any:
        (x,), (t,) = primals, tangents
        check(bool(x > 0), "forward got {}", x)
        return x * x, 2 * x * t

    for square, says in ((late, "backward"), (untraceable, "forward")):
        assert errors_of_gradient(square)(3.0)[1] == 6
        with pytest.raises(CheckError, match=rf"{says} got -3\.0"):
            errors_of_gradient(square)(-3.0)
    with pytest.raises(CheckError, match="backward got"):
        fg.jit(errors_of_gradient(late))(-3.0)


def test_checks_in_linear_solvers() -> None:
    def solution(b: Any, x: Any) -> Any:
        def solve(matvec: Any, b: Any) -> Any:
            check(b > 0, "b is {}", b)
            return b / matvec(1.0)

        return fg.lax.custom_linear_solve(lambda y: x * y, b, solve, symmetric=True)

    err, y = fg.vmap(checkify.checkify(solution), (0, None))(np.array([4.0, -4.0]), 2.0)
    assert message(err) == "at mapped index 1: b is -4.0 (`check` failed)"
    np.testing.assert_array_equal(y, [2, -2])

    def both(x: Any) -> Any:
        return checkify.checkify(solution)(4.0, x)[::-1]

    with pytest.raises(CheckError, match=r"b is -2"):  # the tangent's own system
        fg.jvp(both, (2.0,), (1.0,), has_aux=True)


def test_what_runs_once_more_for_its_error_prints_once(capsys: pytest.CaptureFixture[str]) -> None:
    def loud(x: Any) -> Any:
        fg.debug.print("x = {}", x)
        return f(x)

    kept = fg.custom_jvp(lambda x: fg.jit(loud)(x) + fg.custom_batching.custom_vmap(loud)(x))
    for checked in (checkify.checkify(kept), fg.jit(checkify.checkify(kept))):
        err, _ = checked(BAD)
        assert message(err) == "x is -2.0 (`check` failed)"
        assert capsys.readouterr().out == 2 * "x = [ 1. -2.]\n"


def test_a_custom_rule_is_kept() -> None:
    g = fg.custom_jvp(f)
    g.defjvps(lambda t, out, x: np.sum(7 * t))
    err, slope = checkify.checkify(fg.grad(lambda x: g(x)))(BAD)
    assert message(err) == "x is -2.0 (`check` failed)"
    np.testing.assert_array_equal(slope, [7, 7])
    err, _ = checkify.checkify(lambda x: g(x))(BAD)
    assert message(err) == "x is -2.0 (`check` failed)"
    np.testing.assert_array_equal(fg.grad(lambda x: checkify.checkify(lambda x: g(x))(x)[1])(GOOD), [7, 7])


# Loops and branches --------------------------------------------------------------------------------------------------


def scan(x: Any) -> Any:
    def body(c: Any, i: Any) -> Any:
        check(c < 5, "c is {} at {}", c, i)
        return c * x, c

    return fg.lax.scan(body, 1.0, np.arange(6))[0]


def loop(x: Any) -> Any:
    def body(c: Any) -> Any:
        check(c < 50, "body {}", c)
        return c * 2

    def cond(c: Any) -> Any:
        check(c < 80, "cond {}", c)
        return c < 100

    return fg.lax.while_loop(cond, body, x)


def branch(x: Any) -> Any:
    def positive(x: Any) -> Any:
        check(x < 3, "positive {}", x)
        return x

    def negative(x: Any) -> Any:
        check(x > -3, "negative {}", x)
        return -x

    return fg.lax.cond(x > 0, positive, negative, x)


def several(x: Any) -> Any:
    check(x < 100, "first")
    check(x < 10, "second {}", x)
    return fg.lax.switch(1, [lambda x: x, branch], x)


CASES = [
    (scan, 2.0, 64.0, "c is 8.0 at 3"),
    (scan, 1.0, 1.0, None),
    (loop, 1.0, 128.0, "body 64.0"),
    (loop, 90.0, 180.0, "cond 90.0"),
    (branch, 1.0, 1.0, None),
    (branch, 5.0, 5.0, "positive 5.0"),
    (branch, -5.0, 5.0, "negative -5.0"),
    (several, 20.0, 20.0, "second 20.0"),
    (several, 200.0, 200.0, "first"),
    (several, 4.0, 4.0, "positive 4.0"),
]
NAMES = [f"{function.__name__}-{x}" for function, x, _, _ in CASES]


@pytest.mark.parametrize(("function", "x", "value", "says"), CASES, ids=NAMES)
def test_loops_and_branches(function: Any, x: float, value: float, says: str | None) -> None:
    expected = None if says is None else f"{says} (`check` failed)"
    err, out = fg.jit(checkify.checkify(function))(x)
    assert (message(err), out) == (expected, value)
    for derivative in (checkify.checkify(fg.grad(function)), errors_of_gradient(function)):
        assert message(derivative(x)[0]) == expected
    err, outs = fg.vmap(checkify.checkify(function))(np.array([x, 1.0]))
    assert outs[0] == value
    assert (message(err) or "").startswith(f"at mapped index 0: {expected}" if expected else ("", "at mapped index 1"))


# Automatic checks ----------------------------------------------------------------------------------------------------


def reads(x: Any, i: Any) -> Any:
    return x[i]


def test_indices() -> None:
    checked = fg.jit(checkify.checkify(reads, errors=checkify.index_checks))
    err, value = checked(GOOD, 5)
    assert message(err) == "out-of-bounds indexing: index 5 is out of bounds for axis with size 2"
    assert f"test_checkify.py:{reads.__code__.co_firstlineno + 1} " in str(err.get())
    assert value == 2  # the nearest element
    err, values = checked(GOOD, np.array([0, -1, -7]))
    assert "index -7" in str(err.get())
    np.testing.assert_array_equal(values, [1, 2, 1])
    assert checked(GOOD, -2)[0].get() is None
    with pytest.raises(IndexError):  # not asked for
        fg.jit(checkify.checkify(reads))(GOOD, 5)
    err, _ = checkify.checkify(lambda x, i: x.at[i].set(0.0), errors=checkify.index_checks)(GOOD, 2)
    assert "index 2" in str(err.get())


@pytest.mark.parametrize(
    "held", [fg.checkpoint, fg.custom_jvp, fg.custom_batching.custom_vmap], ids=lambda f: f.__name__
)
def test_indices_in_what_holds_a_function(held: Any) -> None:
    err, value = checkify.checkify(lambda x, i: held(reads)(x, i), errors=checkify.index_checks)(GOOD, 5)
    assert message(err) == "out-of-bounds indexing: index 5 is out of bounds for axis with size 2"
    assert value == 2


def test_checks_that_are_not_looked_for_do_not_count() -> None:
    for way in (lambda f: f, fg.jit, lambda f: fg.grad(fg.checkpoint(f)), lambda f: fg.custom_jvp(f)):
        assert checkify.checkify(way(f), errors=checkify.index_checks)(BAD)[0].get() is None


def test_floats() -> None:
    err, _ = checkify.checkify(lambda x, y: x / y, errors=checkify.float_checks)(GOOD, 0 * GOOD)
    assert message(err) == "division by zero"
    err, _ = checkify.checkify(lambda x: x % 0, errors=checkify.div_checks)(np.arange(3.0))
    assert message(err) == "division by zero"
    err, _ = fg.jit(checkify.checkify(lambda x: fg.lax.map(np.log, x), errors=checkify.nan_checks))(BAD)
    assert message(err) == "nan generated by primitive: log."
    err, _ = checkify.checkify(fg.grad(lambda x: np.sqrt(x) * 0), errors=checkify.nan_checks)(0.0)
    assert "nan generated" in str(err.get())
    assert checkify.checkify(f, errors=checkify.float_checks)(BAD)[0].get() is None  # the user's do not count
    assert checkify.all_checks == checkify.user_checks | checkify.automatic_checks


# Elsewhere -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", [lambda f: f, fg.jit, fg.grad, lambda f: fg.vmap(lambda x: f(x[None]))])
def test_checks_that_nobody_collects_raise(way: Any) -> None:
    way(f)(GOOD)
    with pytest.raises(CheckError, match=r"(?s)x is -2.*in f\)"):
        way(f)(BAD)


def test_debug_checks_count_under_checkify_only() -> None:
    def g(x: Any) -> Any:
        checkify.debug_check(x > 0, "not positive")
        return x

    assert g(-1.0) == -1
    assert fg.jit(g)(-1.0) == -1
    assert message(checkify.checkify(g)(-1.0)[0]) == "not positive (`check` failed)"


def test_errors_are_handed_on() -> None:
    def outer(x: Any) -> Any:
        err, value = checkify.checkify(f)(x)
        checkify.check_error(err)
        return value

    err, _ = fg.jit(checkify.checkify(outer))(BAD)
    assert message(err) == "x is -2.0 (`check` failed)"
    assert f"test_checkify.py:{f.__code__.co_firstlineno + 1} (in f)" in str(err.get())
    with pytest.raises(CheckError, match="x is -2"):
        fg.jit(outer)(BAD)
    assert fg.jit(checkify.checkify(outer))(GOOD)[0].get() is None


def test_captured_values_and_pytrees() -> None:
    def outer(y: Any) -> Any:
        err, out = checkify.checkify(lambda d: {"sum": f(d["x"]) + y})({"x": GOOD})
        return err, out["sum"]

    err, value = fg.jit(outer)(1.0)
    assert err.get() is None
    np.testing.assert_allclose(value, np.log(2) + 1)
