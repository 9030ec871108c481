"""How does a compiled function report what went wrong in it?  `checkify`: errors as values.

``checkify(f)`` is a function that returns ``(err, out)``. It traces `f` and runs its program with one more value, the
error: a number, 0 as long as nothing has failed, else which check was the first to fail, and the arguments of its
message. Loops carry it, branches return it; what the program computes stays the same. Names and meaning are those of
`jax.experimental.checkify`.

Examples
--------
>>> import funcgrad as fg
>>> import numpy as np
>>> from funcgrad.experimental import checkify
>>> @fg.jit
... @checkify.checkify
... def root(x):
...     checkify.check(x >= 0, "x must not be negative, but is {}", x)
...     return np.sqrt(x)
>>> err, y = root(4.0)
>>> err.get(), y
(None, Array(2.))
>>> err, y = root(-4.0)
>>> print(err.get().splitlines()[0])
x must not be negative, but is -4.0 (`check` failed)
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.arguments import check_callable, owned
from funcgrad.control import check as control
from funcgrad.debug._printing import check_format
from funcgrad.errors import CheckError, at_line
from funcgrad.experimental._checked import Category, Entry, ErrorCategory, Run
from funcgrad.quiet import quiet
from funcgrad.trace.frame import bind, type_of
from funcgrad.trace.function import leaf_types, trace_function
from funcgrad.trace.tracer import Tracer
from funcgrad.tracebacks import boundary

JaxRuntimeError = CheckError
user_checks: Category = frozenset({ErrorCategory.USER})
nan_checks: Category = frozenset({ErrorCategory.NAN})
index_checks: Category = frozenset({ErrorCategory.INDEX})
div_checks: Category = frozenset({ErrorCategory.DIV})
float_checks: Category = nan_checks | div_checks
automatic_checks: Category = float_checks | index_checks
all_checks: Category = automatic_checks | user_checks


# Errors as values ----------------------------------------------------------------------------------------------------


class Error:
    """What a function under `checkify` returns beside its output: a pytree, which `jit` and `vmap` hand on.

    Examples
    --------
    >>> from funcgrad.experimental import checkify
    >>> def positive(x):
    ...     checkify.check(x > 0, "x is {}", x)
    ...     return x
    >>> err, _ = checkify.checkify(positive)(2.0)
    >>> err.get(), err.get_exception(), err.throw()
    (None, None, None)
    >>> err, _ = checkify.checkify(positive)(-2.0)
    >>> err
    Error(x is -2.0 (`check` failed)
      at ... (in positive))
    """

    def __init__(self, code: Any, payload: Sequence[Sequence[Any]], entries: Sequence[Entry]) -> None:
        self._code, self._payload, self._entries = code, tuple(map(tuple, payload)), tuple(entries)

    def __repr__(self) -> str:
        return f"Error({'traced' if type(self._code) is Tracer else self.get()})"

    def get(self) -> str | None:
        """What failed, in words.

        Returns
        -------
        str or None
            The message of the first check that failed, with the user's line; under `vmap` that of each example that
            failed, a message a line. None if none has.
        """
        code = np.asarray(self._code)
        messages = []
        for index in np.argwhere(code):
            place = tuple(map(int, index))
            number = int(code[place]) - 1
            text = self._entries[number].text([np.asarray(x)[place] for x in self._payload[number]])
            messages.append(f"at mapped index {', '.join(map(str, place))}: {text}" if place else text)
        return "\n".join(messages) or None

    def get_exception(self) -> CheckError | None:
        """The error as an exception, to be raised later.

        Returns
        -------
        CheckError or None
            With the message of `get`; None if no check has failed.
        """
        message = self.get()
        return None if message is None else CheckError(message)

    @boundary
    def throw(self) -> None:
        """Raise the error, if there is one; inside a function under `checkify`, hand it on to that.

        Raises
        ------
        CheckError
            A check has failed.
        """
        check_error(self)


def _made(entries: Any, children: tuple[Any, ...]) -> Error:
    code, payload = children
    return Error(code, payload, entries)


tree.register_pytree_node(
    Error,
    lambda e: ((e._code, e._payload), e._entries),
    lambda entries, children: _made(entries, tuple(children)),
)


@boundary
def check_error(error: Error) -> None:
    """Raise an error, if there is one; inside a function under `checkify`, hand it on to that.

    Raises
    ------
    CheckError
        A check has failed. See `checkify` for an example.
    ValueError
        It is no error of `checkify`.
    """
    if not isinstance(error, Error):
        raise ValueError(f"check_error takes an error that checkify returned, not {error!r}{at_line()}")
    if type(error._code) is not Tracer:
        found = error.get_exception()
        if found is not None:
            raise found
        return
    code: Any = error._code
    for number, entry in enumerate(error._entries, 1):
        message = entry.message._replace(source=entry.source)
        bind(control.check, code != number, *error._payload[number - 1], message=message, debug=False)


@boundary
def check(pred: Any, msg: str, *fmt_args: Any, debug: bool = False, **fmt_kwargs: Any) -> None:
    """Demand that something is true.

    Parameters
    ----------
    pred
        A boolean scalar.
    msg
        What to say if it is not: ``msg.format(*fmt_args, **fmt_kwargs)``.
    *fmt_args, **fmt_kwargs
        Arrays and numbers.
    debug
        Let it count under `checkify` only.

    Notes
    -----
    Under `checkify` it becomes part of the error. Anywhere else it raises `CheckError`: at once where the values are
    known, and in compiled code when the program runs there (JAX refuses to compile it).

    Raises
    ------
    TypeError
        `pred` is no boolean scalar, or an argument of the message is no array.
    ValueError
        The arguments do not fit the message.

    Examples
    --------
    >>> from funcgrad.experimental import checkify
    >>> checkify.check(2 > 1, "never seen")
    """
    try:
        kind = type_of(pred)
    except TypeError:
        kind = None
    if kind is None or kind.shape or kind.dtype != np.bool_:
        shown = kind or repr(pred)
        raise TypeError(f"check: the condition must be a boolean scalar (see numpy.all), not {shown}{at_line()}")
    check_format("check", msg, fmt_args, fmt_kwargs)
    values, structure = tree.flatten((fmt_args, fmt_kwargs))
    for x in values:
        try:
            type_of(x)
        except TypeError as error:
            raise TypeError(f"check: an argument of the message is no array: {error}{at_line()}") from None
    message = control.Message(f"{msg} (`check` failed)", structure)
    try:
        bind(control.check, pred if type(pred) is Tracer else np.bool_(pred), *values, message=message, debug=debug)
    except CheckError as error:
        error.args = (f"{error.args[0]}{at_line()}",)
        raise


@boundary
def debug_check(pred: Any, msg: str, *fmt_args: Any, **fmt_kwargs: Any) -> None:
    """`check`, which counts under `checkify` only; the parameters are those of `check`.

    >>> from funcgrad.experimental import checkify
    >>> checkify.debug_check(False, "not looked at here")
    """
    check(pred, msg, *fmt_args, debug=True, **fmt_kwargs)


@boundary
def checkify(f: Callable[..., Any], errors: Iterable[ErrorCategory] = user_checks) -> Callable[..., tuple[Error, Any]]:
    """The function that returns ``(err, f(*args, **kwargs))``.

    Parameters
    ----------
    f
        A function of arrays or pytrees of them. It is traced: Python's ``if`` sees no values.
    errors
        What is looked for: `user_checks` (`check`), `nan_checks`, `index_checks` (which read and write the nearest
        element then), `div_checks`, or unions of them: `float_checks`, `automatic_checks`, `all_checks`.

    Returns
    -------
    Callable
        ``err.get()`` is a message or None, ``err.throw()`` raises it as a `CheckError`.

    Raises
    ------
    ValueError
        `errors` is no set of categories.

    Notes
    -----
    ``checkify(grad(f))`` collects what is checked in both passes. ``grad(checkify(f))`` hands the error out before the
    backward pass begins: what `f`, rules of `custom_jvp` and forward rules of `custom_vjp` check is in it, and a check
    that fails in the backward pass raises `CheckError`. Errors have no derivatives.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad.experimental import checkify
    >>> err, _ = checkify.checkify(np.log, errors=checkify.float_checks)(-1.0)
    >>> print(err.get().splitlines()[0])
    nan generated by primitive: log.
    """
    check_callable(f, "checkify")
    try:
        wanted = frozenset(errors)
    except TypeError:
        wanted = frozenset({None})  # type: ignore[arg-type]
    if not all(isinstance(e, ErrorCategory) for e in wanted):
        raise ValueError(
            f"checkify: errors must be a set such as checkify.user_checks or checkify.float_checks, not "
            f"{errors!r}{at_line()}"
        )

    @boundary
    @functools.wraps(f)
    def checked(*args: Any, **kwargs: Any) -> tuple[Error, Any]:
        leaves, structure = tree.flatten((args, kwargs))
        types = leaf_types("checkify", leaves, structure)
        traced = trace_function(f, structure, types)
        pairs = zip(leaves, types, strict=True)
        values = [x if type(x) is Tracer else np.asarray(x, t.dtype) for x, t in pairs]
        run = Run(wanted)
        with quiet():
            outputs = run.outputs(traced.program, [*traced.captures, *values])
        flat, payload_structure = tree.flatten(run.payload)
        results = owned([*outputs, *flat, run.code], leaves)
        payload = tree.unflatten(payload_structure, results[len(outputs) : -1])
        return Error(results[-1], payload, run.entries), tree.unflatten(traced.out_structure, results[: len(outputs)])

    return checked


__all__ = [
    "Error",
    "ErrorCategory",
    "JaxRuntimeError",
    "all_checks",
    "automatic_checks",
    "check",
    "check_error",
    "checkify",
    "debug_check",
    "div_checks",
    "float_checks",
    "index_checks",
    "nan_checks",
    "user_checks",
]
