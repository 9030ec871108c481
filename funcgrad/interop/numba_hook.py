"""How does Numba learn of functions of ours inside `@njit`, and of traced values?  By a hook behind its own import.

Neither package imports the other before it is needed: Numba's entry points would import funcgrad in every process that
uses Numba.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterable
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import FunctionType, ModuleType
from typing import Any

from funcgrad.errors import PACKAGES, SourceLocation, TracerArrayConversionError, TracerError, at_line
from funcgrad.runtime.dispatch import JitFunction
from funcgrad.trace.tracer import Tracer

TYPEOF, DISPATCHER = "numba.core.typing.typeof", "numba.core.dispatcher"
PARALLEL = "numba.parfors.parfor_lowering"  # which the dispatcher imports
SITE = "funcgrad.site"
"""How the names of global variables begin that code has which calls a function of ours."""


class AfterImport:
    """A finder that finds nothing by itself: it has `register` run behind the module that it waits for."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """The specification of Numba's module, whose loader registers us behind it."""
        if name != DISPATCHER:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def load_and_register(module: ModuleType) -> None:
                load(module)
                register(sys.modules[TYPEOF], module)

            spec.loader.exec_module = load_and_register  # type: ignore[method-assign]
        return spec


def install() -> None:
    """Register with Numba, now or when it is imported."""
    if DISPATCHER in sys.modules:
        register(sys.modules[TYPEOF], sys.modules[DISPATCHER])
    else:
        sys.meta_path.insert(0, AfterImport())


def register(typeof: ModuleType, dispatcher: ModuleType) -> None:
    """Tell Numba what type our functions have, and what to do with tracers."""
    before = typeof.typeof_impl.dispatch(FunctionType)

    def type_of(function: FunctionType, context: Any) -> Any:
        return _type_of(function, context) if _is_ours(function) else before(function, context)

    typeof.typeof_impl.register(JitFunction)(_type_of)
    typeof.typeof_impl.register(FunctionType)(type_of)
    traced = sys.modules["numba.core.types"].Opaque("a traced value")
    typeof.typeof_impl.register(Tracer)(lambda value, context: traced)
    kind = dispatcher.Dispatcher
    kind._compile_for_args = _or_trace(kind._compile_for_args)
    kind._explain_matching_error = _or_refuse(kind._explain_matching_error)
    parallel = sys.modules[PARALLEL]
    parallel.call_parallel_gufunc = _or_watch(parallel.call_parallel_gufunc)  # type: ignore[attr-defined]


def _or_trace(compile_for_args: Any) -> Any:
    """What Numba asks for code for arguments whose types it has not seen: with tracers it is the Python body."""

    @functools.wraps(compile_for_args)
    def code_for(self: Any, *args: Any, **kwargs: Any) -> Any:
        found = _tracer_in((*args, *kwargs.values()))
        return compile_for_args(self, *args, **kwargs) if found is None else _body(self.py_func)

    return code_for


def _or_refuse(explain: Any) -> Any:
    """What Numba asks why a function has no code for some arguments, and may have none but that for its signatures."""

    @functools.wraps(explain)
    def explained(self: Any, *args: Any, **kwargs: Any) -> Any:
        found = _tracer_in((*args, *kwargs.values()))
        if found is not None:
            name = self.py_func.__name__
            raise TracerArrayConversionError(
                f"A traced value of type {found.type} was handed to {name}, which Numba compiled for given signatures. "
                f"Its Python body can be traced: call {name}.py_func in its place. {_natively(name)}"
                f"{at_line(_caller())}"
            )
        return explain(self, *args, **kwargs)

    return explained


def _or_watch(call_gufunc: Any) -> Any:
    """What emits the code of a `prange` loop: with functions of ours in its body, a look at their errors behind it."""

    @functools.wraps(call_gufunc)
    def emitted(lowerer: Any, body: Any, *rest: Any) -> None:
        body.library._ensure_finalized()
        if any(v.name.startswith(SITE) for v in body.library._final_module.global_variables):
            from funcgrad.interop import numba_regions

            numba_regions.watched(call_gufunc, lowerer, body, *rest)
        else:
            call_gufunc(lowerer, body, *rest)

    return emitted


def _tracer_in(values: Iterable[Any]) -> Tracer | None:
    """A tracer among values and tuples of them."""
    for value in values:
        found = _tracer_in(value) if isinstance(value, tuple | list) else value
        if isinstance(found, Tracer):
            return found
    return None


def _body(function: FunctionType) -> Any:
    """The Python body of a function of Numba's, which says whose it is where it cannot be traced."""

    @functools.wraps(function)
    def traced(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*(getattr(a, "value", a) if type(a).__name__ == _OMITTED else a for a in args), **kwargs)
        except (TypeError, ValueError, NotImplementedError) as error:
            kind, message = type(error), str(error)
            ours = isinstance(error, TracerError) or kind in (TypeError, NotImplementedError)
            if isinstance(error.__cause__, TracerError):  # NumPy's where a tracer is written into an array
                ours, message = True, str(error.__cause__)
            if not ours or _EXPLAINED in message:
                raise
            name = function.__name__
            raise kind(
                f"{message}\nThat was in {_EXPLAINED}, {name}: called with traced values it is traced, which works for "
                f"NumPy's operations without writes into arrays and branches on values. {_natively(name)}"
            ) from error

    return traced


_EXPLAINED = "the Python body of a function of Numba's"
_OMITTED = "OmittedArg"  # Numba's mark of a default


def _natively(name: str) -> str:
    return f"A program calls {name} natively by fg.numba_call, and by fg.numba_primitive with derivatives of its own."


def _caller() -> SourceLocation | None:
    """The line that called Numba's function."""
    between = (*PACKAGES, os.path.dirname(sys.modules["numba"].__file__ or ""), functools.__file__)
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(between):
        frame = frame.f_back
    return SourceLocation(frame.f_code, frame.f_lineno)


def _is_ours(function: FunctionType) -> bool:
    """Whether some transformation returned the function."""
    return str(function.__globals__.get("__name__", "")).startswith("funcgrad.")


def _type_of(function: Any, context: Any) -> Any:
    """Numba's type of a jitted function, or of one that a transformation returned."""
    from funcgrad.interop import numba_functions

    return numba_functions.type_of(function)
