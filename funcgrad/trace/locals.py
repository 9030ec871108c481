"""What do people call the values of a program?  As the local variables that hold them while it is traced.

Whoever wants to know switches `Locals` on; nothing is looked at otherwise.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable
from types import FrameType
from typing import Any

from funcgrad.errors import is_internal
from funcgrad.ir.program import Var
from funcgrad.trace.frame import running
from funcgrad.trace.tracer import Tracer


class Locals:
    """A context in which variables of the user's functions are looked at, at each operation and at the end.

    Attributes
    ----------
    names
        What variables of the program were called first.
    """

    def __init__(self) -> None:
        self.names: dict[Var, str] = {}
        self._programs: dict[int, tuple[object, dict[Hashable, Any]]] = {}
        self._frames: dict[int, FrameType] = {}  # that have been on the stack; a frame that is kept keeps its variables
        self._outermost: FrameType | None = None

    def __enter__(self) -> Locals:
        self._outermost = sys._getframe(1)
        self._before, running.locals = running.locals, self
        return self

    def __exit__(self, *error: object) -> None:
        running.locals = self._before
        for frame in self._frames.values():
            self._read(frame)
        self._frames.clear()
        self._programs.clear()
        self._outermost = None

    def programs_of(self, jitted: object) -> dict[Hashable, Any]:
        """Those of a jitted function inside, which is traced here although it may have been before."""
        return self._programs.setdefault(id(jitted), (jitted, {}))[1]

    def look(self) -> None:
        """What the functions on the call stack have in their variables now."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame is not self._outermost:
            if not is_internal(frame.f_code.co_filename):
                self._frames[id(frame)] = frame
                self._read(frame)
            frame = frame.f_back

    def _read(self, frame: FrameType) -> None:
        if frame.f_locals is frame.f_globals:
            return
        for name, value in frame.f_locals.items():
            if type(value) is Tracer:
                var = _variable(value)
                if var is not None:
                    self.names.setdefault(var, name)


def _variable(value: Any) -> Var | None:
    """What stands for a traced value in the program that is being made; under `vmap`, for all examples."""
    while type(value) is Tracer:
        value = value.payload[0] if isinstance(value.payload, tuple) else value.payload
    return value if type(value) is Var else None
