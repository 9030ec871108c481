"""Settings, checks, tests of derivatives, pytrees, native functions."""
# ruff: noqa: E501 - a row of the table is a line

from __future__ import annotations

from typing import Any

import numpy as np

import funcgrad as fg
from funcgrad import errors
from funcgrad.experimental import checkify
from tests.misuse.rows import Row, in_jit

X = np.arange(6.0).reshape(2, 3)
V = np.arange(1.0, 4.0)


class Pair:
    """A class to register."""


def registered_twice() -> None:
    for _ in range(2):
        fg.tree_util.register_pytree_node(Pair, lambda p: ((), None), lambda aux, children: Pair())


def negative(x: Any) -> Any:
    checkify.check(x > 0, "x must be positive, but is {}", x)
    return np.log(x)


def logarithm(x: Any) -> Any:
    with fg.debug_nans():
        return fg.jit(np.log)(x)


def logarithm_of_gradient(x: Any) -> Any:
    with fg.debug_nans():
        return fg.grad(lambda x: np.sqrt(x) * 0.0)(x)


def wrong() -> Any:
    f = fg.custom_jvp(lambda x: x * x)
    f.defjvps(lambda t, out, x: 3 * x * t)
    return f


ROWS = [
    Row("a setting that is none", lambda: fg.config.update("debug_everything", True), AttributeError, ("'debug_everything'", "debug_nans"), line=False),
    Row("JAX's flag for float64", lambda: fg.config.update("jax_enable_x64", True), AttributeError, ("float64 is the default",), line=False),
    Row("a setting with another value", lambda: fg.config.update("debug_nans", "yes"), ValueError, ("True", "'yes'"), line=False),
    Row("nan under debug_nans", lambda: logarithm(-1.0), errors.NonFiniteError, ("nan", "log", "-1")),
    Row("nan in a gradient under debug_nans", lambda: logarithm_of_gradient(0.0), errors.NonFiniteError, ("nan", "sqrt", "backward")),
    Row("nan in an argument under debug_nans", lambda: logarithm(np.nan), errors.NonFiniteError, ("argument 0", "already")),
    Row("a check that fails", lambda: negative(-1.0), errors.CheckError, ("must be positive, but is -1.0",)),
    Row("a check that fails in jit", in_jit(negative, -1.0), errors.CheckError, ("must be positive, but is -1.0",)),
    Row("an error that is thrown", lambda: checkify.checkify(negative)(-1.0)[0].throw(), errors.CheckError, ("must be positive",)),
    Row("a check of an array", lambda: checkify.check(V > 0, "no"), TypeError, ("boolean scalar", "numpy.all")),
    Row("a check of a number", lambda: checkify.check(1, "no"), TypeError, ("boolean scalar",)),
    Row("a check that does not fit its message", lambda: checkify.check(True, "{}"), ValueError, ("'{}'", "fit")),
    Row("checkify of a string", lambda: checkify.checkify(np.log, errors="nan"), ValueError, ("checkify.float_checks", "'nan'")),
    Row("checkify of no function", lambda: checkify.checkify(3), TypeError, ("takes a function", "3")),
    Row("an error that is none", lambda: checkify.check_error(None), ValueError, ("checkify", "None")),
    Row("a rule that is wrong", lambda: fg.testing.check_grads(wrong(), (1.0,), 1), AssertionError, ("check_jvp", "is expected"), line=False),
    Row("check_grads of no order", lambda: fg.testing.check_grads(np.sin, (1.0,), 0), ValueError, ("order", "0")),
    Row("check_grads in another mode", lambda: fg.testing.check_grads(np.sin, (1.0,), 1, modes="forward"), ValueError, ("'fwd'", "'rev'", "'forward'")),
    Row("a class registered twice", registered_twice, ValueError, ("Pair", "already registered"), line=False),
    Row("trees of different structures", lambda: fg.tree.map(np.add, {"a": 1.0}, {"b": 1.0}), ValueError, ("'a'",), line=False),
    Row("unflatten with too few leaves", lambda: fg.tree.unflatten(fg.tree.structure((1, 2)), [1]), ValueError, ("leaves",), line=False),
    Row("cfunc of no types", lambda: fg.cfunc(np.sin), TypeError, ("argument",), line=False),
    Row("a native function of Python code", lambda: fg.cfunc(lambda x: fg.pure_callback(np.sin, x, x), (1.0,)), NotImplementedError, ("calls Python",)),
    Row("threads that are none", lambda: fg.set_num_threads(0), ValueError, ("0",), line=False),
    Row("a name that funcgrad lacks", lambda: fg.pmap, AttributeError, ("pmap",), line=False),
    Row("a check without a message", lambda: checkify.check(True, 3), TypeError, ("the format must be a string", "3 of type int")),
    Row("a print of a value alone", in_jit(lambda x: fg.debug.print(x)), TypeError, ("the format must be a string",)),
    Row("a picture of many operations", lambda: fg.visualize(np.sin, limit="all"), TypeError, ("limit must be an integer", "'all'")),
]  # fmt: skip
