"""Who handles an operation?  The frame of the innermost transformation among its operands.

Each running transformation has a `Frame`.  A `Tracer` belongs to one frame and stands for a value of the frame
below: an array, or a tracer of an outer frame.  `bind` applies a primitive: to arrays at once, by NumPy; to
tracers, as the highest frame among them says (the builder appends an equation, reverse mode also notes a pullback,
`vmap` applies a batching rule, ...), whereby the frame below is asked in turn.  So transformations nest to any depth,
in any order, and a perturbation of one is never taken for another's.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from funcgrad.dtypes import WEAK
from funcgrad.errors import SourceLocation, UnexpectedTracerError
from funcgrad.ir.primitive import Primitive, Values
from funcgrad.ir.types import ArrayType, type_of_value
from funcgrad.trace.tracer import Tracer, leak_message

if TYPE_CHECKING:
    from funcgrad.trace.locals import Locals

P = ParamSpec("P")
T = TypeVar("T")


class Running(threading.local):
    """What goes on in this thread.

    Attributes
    ----------
    level
        How many transformations are active.
    source
        The user's line that the operations at hand stem from, where a program is being transformed; None: the call
        stack tells.
    builders
        The frames that make whole programs, innermost last: what has side effects belongs into the last one's.
    locals
        Who looks at the names of the user's variables, if anybody does.
    """

    level = 0
    source: SourceLocation | None = None
    locals: Locals | None = None

    def __init__(self) -> None:
        self.builders: tuple[Frame, ...] = ()


running = Running()


def undisturbed(function: Callable[P, T]) -> Callable[P, T]:
    """A function that leaves the frames that it enters, whatever interrupts it.

    Ctrl-C may raise before the first line of a frame's `__exit__`, but not in a line that calls nothing.
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        outer = running.builders, running.level, running.locals
        try:
            return function(*args, **kwargs)
        finally:
            running.builders, running.level, running.locals = outer

    return call


class Frame:
    """One running transformation; a context manager, active inside its ``with`` block."""

    __slots__ = ("active", "level")

    def __init__(self) -> None:
        self.active = False
        self.level = 0

    def __enter__(self) -> Self:
        running.level += 1
        self.level = running.level
        self.active = True
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        running.level -= 1
        self.active = False

    def process(self, primitive: Primitive, inputs: Values, params: dict[str, Any]) -> Values:
        """The outputs of `primitive` as this frame sees them; some of `inputs` are its tracers."""
        raise NotImplementedError

    def below(self, tracer: Tracer) -> Any:
        """The value of the frame below that `tracer` stands for, or None when it is not known."""
        raise NotImplementedError

    def differentiates(self, tracer: Tracer) -> bool:
        """Whether `tracer` carries a derivative beside its value."""
        return False

    def explain(self) -> str:
        """What to do instead, when a known value was needed; ends an error message."""
        raise NotImplementedError


def bind(primitive: Primitive, *inputs: Any, **params: Any) -> Values:
    """Apply a primitive; the outputs are always a tuple."""
    frame = None
    for x in inputs:
        if type(x) is Tracer and (frame is None or x.frame.level > frame.level):
            frame = x.frame
    if frame is None:
        return primitive.compute(inputs, params)
    if not frame.active:
        raise UnexpectedTracerError(leak_message(primitive.name))
    return handed_to(frame, primitive, inputs, params)


def handed_to(frame: Frame, primitive: Primitive, inputs: Values, params: dict[str, Any]) -> Values:
    """The outputs of a primitive as a frame sees them.

    What its rules make (positions in a batch, say) is no part of a program further in, which only closes over values.
    """
    builders = running.builders
    if not builders or builders[-1].level <= frame.level:
        return frame.process(primitive, inputs, params)
    try:
        running.builders = tuple(b for b in builders if b.level <= frame.level)
        return frame.process(primitive, inputs, params)
    finally:
        running.builders = builders


def weak_outputs(primitive: Primitive, inputs: Values, params: dict[str, Any]) -> tuple[bool, ...] | None:
    """Which outputs are weak (see `ArrayType`); None when none can be."""
    for x in inputs:
        if x.type.weak if type(x) is Tracer else type(x) in WEAK:
            return tuple([t.weak for t in primitive.output_types(tuple(map(type_of, inputs)), params)])
    return None


def type_of(value: Any) -> ArrayType:
    """The type of a tracer, an array or a Python scalar."""
    return value.type if type(value) is Tracer else type_of_value(value)
