"""How does a debugger stop in a function that is compiled?  `breakpoint`.

While the function is traced, the user's frames are noted: lines, names, and which values are traced. A callback gets
those values whenever the program runs there, puts them in their places, and opens a pdb on frames that look like those
of the trace: same file, line, function and globals, with numbers in place of tracers.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any, NamedTuple

from funcgrad import tree
from funcgrad.control import callback as control
from funcgrad.errors import at_line, is_internal
from funcgrad.trace.frame import running
from funcgrad.trace.tracer import Tracer
from funcgrad.tracebacks import boundary

if TYPE_CHECKING:
    import pdb

BACKENDS = (None, "cli", "pdb")
GO_ON = "__funcgrad_go_on__"
STARRED = (inspect.CO_VARARGS, inspect.CO_VARKEYWORDS)


class _Shot(NamedTuple):
    """A frame as it was: its code and line, its globals, and its locals, each made from the traced values."""

    code: CodeType
    line: int
    globals: dict[str, Any]
    locals: dict[str, Callable[[Sequence[Any]], Any]]


@boundary
def breakpoint(
    *,
    backend: str | None = None,
    filter_frames: bool = True,
    num_frames: int | None = None,
    ordered: bool = False,
    token: Any = None,
    **kwargs: Any,
) -> None:
    """Stop in a pdb each time that the program comes here, with the values of the function's variables.

    It works inside `jit`, loops and branches, under derivatives (with values) and under `vmap` (one example after the
    other). ``p``, ``pp``, ``a``, ``l``, ``ll``, ``w``, ``u``, ``d``, ``interact`` and expressions work as ever; ``c``
    goes on, as do ``n`` and ``s``, since compiled code has no next line; ``q`` ends the call with `bdb.BdbQuit`.
    Assignments in the debugger change nothing in the program. As for Python's own `breakpoint`, the environment
    variable ``PYTHONBREAKPOINT=0`` switches it off.

    Parameters
    ----------
    backend
        None, ``"cli"`` or ``"pdb"``, which mean the same.
    filter_frames
        Leave out frames of funcgrad and NumPy.
    num_frames
        How many frames to show, from the innermost one; None: those of the traced functions, and their caller's.
    ordered
        Keep the order with other ordered effects; calls are always in the order of the program.
    token
        Accepted as JAX does, and without effect.
    **kwargs
        Handed to `pdb.Pdb`: ``stdin``, ``stdout``, ``skip``, ...

    Raises
    ------
    ValueError
        `backend` or `num_frames` is something else.

    Examples
    --------
    >>> import io
    >>> import funcgrad as fg
    >>> @fg.jit
    ... def f(x):
    ...     y = 2 * x
    ...     fg.debug.breakpoint(stdin=io.StringIO("p y\\nc\\n"), stdout=out)
    ...     return y
    >>> out = io.StringIO()
    >>> f(3.0)
    Array(6.)
    >>> "Array(6.)" in out.getvalue()
    True
    """
    if backend not in BACKENDS:
        raise ValueError(f"debug.breakpoint: backend must be None, 'cli' or 'pdb', not {backend!r}{at_line()}")
    if num_frames is not None and num_frames < 1:
        raise ValueError(f"debug.breakpoint: num_frames must be None or at least 1, not {num_frames!r}{at_line()}")
    if os.environ.get("PYTHONBREAKPOINT") == "0":
        return
    tracers: list[Tracer] = []
    shots = [_shot(frame, tracers) for frame in _frames(filter_frames, num_frames)]

    def stop(*values: Any) -> None:
        _Stop(shots, values, kwargs).run()

    control.call(control.debug_callback, stop, (), None, tuple(tracers), {}, ordered=ordered)


def _frames(filtered: bool, count: int | None) -> list[FrameType]:
    """The frames of the call stack to show, outermost first."""
    found: list[FrameType] = []
    frame = sys._getframe(1)
    while frame.f_back is not None and is_internal(frame.f_code.co_filename):  # our own way in
        frame = frame.f_back
    last = 0  # how many to keep: up to the caller of the outermost transformation
    at: FrameType | None = frame
    while at is not None:
        internal = is_internal(at.f_code.co_filename)
        if not (internal and filtered):
            found.append(at)
        if internal:
            last = len(found) + 1
        at = at.f_back
    wanted = count or (max(last, 1) if running.level else len(found))
    return found[:wanted][::-1]


def _shot(frame: FrameType, tracers: list[Tracer]) -> _Shot:
    """A frame's picture; its traced values are appended to `tracers`."""
    if frame.f_locals is frame.f_globals:
        named: dict[str, Callable[[Sequence[Any]], Any]] = {}
    else:
        named = {name: _maker(value, tracers) for name, value in frame.f_locals.items()}
    return _Shot(frame.f_code, frame.f_lineno, frame.f_globals, named)


def _maker(value: Any, tracers: list[Tracer]) -> Callable[[Sequence[Any]], Any]:
    """What makes a variable's value from those of the `tracers`."""
    try:
        leaves, structure = tree.flatten(value)
    except (TypeError, ValueError):  # an odd dictionary: shown as it is
        return lambda values: value
    places: dict[int, int] = {}
    for k, leaf in enumerate(leaves):
        if type(leaf) is Tracer and leaf.frame.active:
            places[k] = len(tracers)
            tracers.append(leaf)
    if not places:
        return lambda values: value
    return lambda values: tree.unflatten(
        structure, [values[places[k]] if k in places else x for k, x in enumerate(leaves)]
    )


class _Stop:
    """One stop: frames like those of the shots, each running inside the one before, and a debugger on top."""

    def __init__(self, shots: Sequence[_Shot], values: Sequence[Any], options: dict[str, Any]) -> None:
        self.shots, self.values, self.options = shots, values, options
        self.codes: dict[CodeType, CodeType] = {}  # of the frames that run, and those they look like

    def run(self, depth: int = 0) -> None:
        """Enter the frame at `depth`, or the debugger."""
        if depth == len(self.shots):
            self._interact(sys._getframe(1))
            return
        shot = self.shots[depth]
        names = {name: make(self.values) for name, make in shot.locals.items()}
        first = min(shot.code.co_firstlineno, shot.line)
        code = compile("\n" * (shot.line - first) + f"{GO_ON}()", shot.code.co_filename, "exec")
        code = code.replace(co_name=shot.code.co_name, co_qualname=shot.code.co_qualname, co_firstlineno=max(first, 1))
        self.codes[code] = shot.code
        spaces = (shot.globals, names) if shot.locals else (dict(shot.globals),)

        def go_on() -> None:
            spaces[-1].pop(GO_ON)
            self.run(depth + 1)

        spaces[-1][GO_ON] = go_on
        exec(code, *spaces)

    def _interact(self, frame: FrameType) -> None:
        import bdb

        debugger = _debugger(self.codes, self.options)
        debugger.reset()
        debugger.interaction(frame, None)
        if debugger.quitting:
            raise bdb.BdbQuit


def _debugger(codes: Mapping[CodeType, CodeType], options: dict[str, Any]) -> pdb.Pdb:
    """A pdb that shows the frames of these codes only, as if they were of the codes that they stand for, and traces
    nothing.
    """
    import pdb

    class Debugger(pdb.Pdb):
        """A pdb on frames of a program that runs natively."""

        def get_stack(self, f: FrameType | None, t: Any) -> tuple[list[tuple[FrameType, int]], int]:
            """The frames, and the number of the innermost one."""
            stack, _ = super().get_stack(f, t)
            found = [(frame, line) for frame, line in stack if frame.f_code in codes]
            return found, len(found) - 1

        def do_args(self, arg: str) -> None:
            """The arguments of the function."""
            frame: Any = self.curframe
            code = codes[frame.f_code]
            count = code.co_argcount + code.co_kwonlyargcount + sum(bool(code.co_flags & flag) for flag in STARRED)
            for name in code.co_varnames[:count]:
                self.message(f"{name} = {frame.f_locals[name]!r}" if name in frame.f_locals else f"{name} is deleted")

        do_a = do_args

        def set_continue(self) -> None:
            """Go on."""

        def set_step(self) -> None:
            """Go on: there is no next line."""

        def set_next(self, frame: FrameType) -> None:
            """Go on: there is no next line."""

        def set_return(self, frame: FrameType) -> None:
            """Go on: there is no next line."""

        def set_until(self, frame: FrameType, lineno: int | None = None) -> None:
            """Go on: there is no next line."""

        def set_quit(self) -> None:
            """End the call."""
            self.quitting = True

    return Debugger(nosigint=True, **options)
