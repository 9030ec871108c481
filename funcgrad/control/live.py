"""What does a primitive with rules of the user's hold?  A program where one is made, the Python function elsewhere.

Under `grad`, `vjp`, `jvp` and `vmap` outside of traces a rule runs as Python code, on values that are known; where the
innermost trace makes a program, the function becomes an inner program, and the rule stays with the equation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from funcgrad.errors import UnexpectedTracerError
from funcgrad.ir.primitive import Primitive, Values
from funcgrad.ir.program import Program
from funcgrad.ir.types import ArrayType
from funcgrad.trace.builder import Builder, evaluate, trace
from funcgrad.trace.frame import Frame, bind, handed_to, type_of
from funcgrad.trace.tracer import Tracer, leak_message

Flat = Callable[..., Sequence[Any]]


class Live:
    """A Python function of flat values in the place of a program."""

    def __init__(self, function: Flat) -> None:
        self.function = function


def run(program: Program | Live, inputs: Sequence[Any]) -> Values:
    """The outputs of what a primitive holds."""
    if isinstance(program, Live):
        return tuple(program.function(*inputs))
    return tuple(evaluate(program, inputs, bind))


def infer(*types: ArrayType, program: Program | Live, **params: Any) -> tuple[ArrayType, ...]:
    """The types of the outputs, none of them weak (of a Python function they are not known, and not needed)."""
    if isinstance(program, Live):
        return ()
    return tuple(ArrayType(t.shape, t.dtype) for t in program.output_types)


def highest(values: Sequence[Any]) -> Frame | None:
    """The innermost frame among values."""
    frame: Frame | None = None
    for x in values:
        if type(x) is Tracer and (frame is None or x.frame.level > frame.level):
            frame = x.frame
    return frame


def apply(primitive: Primitive, function: Flat, inputs: Sequence[Any], rule: Any) -> Values:
    """Apply a primitive that stands for `function` with a rule of its own.

    Where a program is made the values that the function closes over become the first operands, and the rule is told.
    """
    frame = highest(inputs)
    if frame is None:
        return tuple(function(*inputs))
    if not frame.active:
        raise UnexpectedTracerError(leak_message(primitive.name))
    if not isinstance(frame, Builder):
        return handed_to(frame, primitive, tuple(inputs), {"program": Live(function), "rule": rule})
    program, captures = trace(function, [type_of(x) for x in inputs])
    skipped = rule.after(len(captures)) if captures else rule
    return bind(primitive, *captures, *inputs, program=program, rule=skipped)
