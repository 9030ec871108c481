"""How does Numba learn of functions that are called inside `@njit`?  By a hook that waits until Numba is imported.

Neither package imports the other before it is needed: Numba's entry points would import funcgrad in every process that
uses Numba.
"""

from __future__ import annotations

import functools
import os
import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import FunctionType, ModuleType
from typing import Any

from funcgrad.errors import PACKAGES, SourceLocation, TracerArrayConversionError, at_line
from funcgrad.runtime.dispatch import JitFunction
from funcgrad.trace.tracer import Tracer

TYPEOF = "numba.core.typing.typeof"


class AfterImport:
    """A finder that finds nothing by itself: it has `register` run behind the module that it waits for."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """The specification of Numba's module, whose loader registers us behind it."""
        if name != TYPEOF:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def load_and_register(module: ModuleType) -> None:
                load(module)
                register(module)

            spec.loader.exec_module = load_and_register  # type: ignore[method-assign]
        return spec


def install() -> None:
    """Register with Numba, now or when it is imported."""
    if TYPEOF in sys.modules:
        register(sys.modules[TYPEOF])
    else:
        sys.meta_path.insert(0, AfterImport())


def register(typeof: ModuleType) -> None:
    """Tell Numba what type our functions have; code that it kept on the disk finds the runtime by name."""
    from funcgrad.interop import numba_runtime

    numba_runtime.publish()
    before = typeof.typeof_impl.dispatch(FunctionType)

    def type_of(function: FunctionType, context: Any) -> Any:
        return _type_of(function, context) if _is_ours(function) else before(function, context)

    typeof.typeof_impl.register(JitFunction)(_type_of)
    typeof.typeof_impl.register(FunctionType)(type_of)
    typeof.typeof_impl.register(Tracer)(_refuse)


def _refuse(value: Tracer, context: Any) -> None:
    raise TracerArrayConversionError(
        f"A traced value of type {value.type} was handed to a function that Numba compiles. Its Python body can be "
        "traced, if it is made of NumPy's operations: call f.py_func in the place of f. Or have the program call it "
        f"natively: fg.numba_call, and fg.numba_primitive for a derivative of its own.{at_line(_caller())}"
    )


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
