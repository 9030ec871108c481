"""Tracers and arrays that are used too late."""
# ruff: noqa: E501 - a row of the table is a line

from __future__ import annotations

from typing import Any

import numpy as np

import funcgrad as fg
from funcgrad import errors
from tests.misuse.rows import Row

X = np.arange(6.0).reshape(2, 3)
V = np.arange(1.0, 4.0)

leaks: list[Any] = []


class Model:
    """Something with a state."""

    def __init__(self) -> None:
        self.last: Any = None

    def step(self, x: Any) -> Any:
        """Keeps what it should return."""
        self.last = x * 2
        return x


def leak() -> Any:
    leaks.clear()
    fg.jit(lambda x: leaks.append(x) or x)(2.0)
    return leaks[0]


def leaked_from_grad() -> Any:
    leaks.clear()
    fg.grad(lambda x: (leaks.append(x * 1.0), x * x)[1])(2.0)
    return leaks[0]


def leaked_from(transformation: Any, *args: Any) -> Any:
    leaks.clear()
    transformation(lambda x: (leaks.append(x * 1.0), x * x)[1])(*args)
    return leaks[0]


def leaked_from_scan() -> Any:
    leaks.clear()
    fg.lax.scan(lambda c, x: (leaks.append(x) or c, None), 0.0, V)
    return leaks[0]


def attribute() -> Any:
    model = Model()
    fg.jit(model.step)(1.0)
    return model.last


def donated() -> Any:
    function = fg.jit(lambda x: x + 1, donate_argnums=0)
    x = function(np.ones(3))
    function(x)
    return x


def checked(function: Any) -> None:
    with fg.checking_leaks():
        function()


ROWS = [
    Row("a leaked tracer", lambda: leak() + 1, errors.UnexpectedTracerError, ("ended", "Return")),
    Row("a leaked tracer in another trace", lambda: fg.jit(lambda y: y + leaks[0])(1.0) if leak() is not None else 0, errors.UnexpectedTracerError, ("ended", "Return")),
    Row("a leaked tracer as a condition", lambda: bool(leak()), errors.UnexpectedTracerError, ("ended",)),
    Row("a leaked tracer of grad", lambda: leaked_from_grad() + 1, errors.UnexpectedTracerError, ("ended",)),
    Row("a leaked tracer as an argument", lambda: fg.jit(lambda x: x)(leak()), errors.UnexpectedTracerError, ("ended",)),
    Row("a donated array", lambda: donated() + 1, errors.DonatedBufferError, ("given away", "donate_argnums", "result")),
    Row("a donated array in jit", lambda: fg.jit(np.sin)(donated()), errors.DonatedBufferError, ("given away", "donate_argnums")),
    Row("a leaked tracer of vmap", lambda: leaked_from(fg.vmap, V) + 1, errors.UnexpectedTracerError, ("ended", "Return")),
    Row("a leaked tracer of jacfwd", lambda: leaked_from(fg.jacfwd, 1.0) + 1, errors.UnexpectedTracerError, ("ended", "Return")),
    Row("a leaked tracer of a scan", lambda: leaked_from_scan() + 1, errors.UnexpectedTracerError, ("ended", "Return")),
    Row("a leaked tracer in an attribute", lambda: np.sin(attribute()), errors.UnexpectedTracerError, ("ended", "attribute")),
    Row("a leaked tracer in fg.numpy", lambda: fg.numpy.sin(leak()), errors.UnexpectedTracerError, ("ended", "Return")),
    Row("a leaked tracer as a number", lambda: float(leak()), errors.UnexpectedTracerError, ("ended", "Return")),
    Row("a leaked tracer indexed", lambda: leaked_from(fg.vmap, X)[0], errors.UnexpectedTracerError, ("ended", "Return")),
    Row("a leak that is looked for", lambda: checked(leak), errors.LeakedTracerError, ("list", "'leaks'", "Return")),
    Row("a leak in an attribute that is looked for", lambda: checked(attribute), errors.UnexpectedTracerError, ("Return",)),
    Row("a donated array read", lambda: donated()[0], errors.DonatedBufferError, ("given away", "donate_argnums", "result")),
    Row("a donated array printed", lambda: repr(donated()), errors.DonatedBufferError, ("given away", "result")),
    Row("a donated array in NumPy", lambda: np.sum(donated()), errors.DonatedBufferError, ("given away", "result")),
    Row("a donated array given again", lambda: fg.jit(lambda x: x, donate_argnums=0)(donated()), errors.DonatedBufferError, ("given away", "result")),
]  # fmt: skip
