"""How does a rule of the user's hand on its error?  As outputs behind the function's own.

A derivative rule runs in the place of the function when somebody differentiates, which may be long after the errors of
a program have got their places. So it is traced when the program is checked; what is checked in it then comes out of
the call beside its outputs, and is no error where the function itself runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from funcgrad.control.bodies import chosen, placed, smooth, strong
from funcgrad.control.custom import DerivedJvp, Flags, JvpAfter, Saved, VjpAfter
from funcgrad.ir.primitive import Values
from funcgrad.ir.program import Program
from funcgrad.ir.types import ArrayType
from funcgrad.trace.builder import evaluate, trace
from funcgrad.trace.frame import bind, type_of
from funcgrad.transform.vjp import instantiate


class Traced(NamedTuple):
    """A rule as a program.

    Attributes
    ----------
    program
        ``inputs, tangents -> outputs, tangents`` or ``inputs -> outputs, residuals``.
    with_error
        The rule, of that program with its error behind the other outputs.
    """

    program: Program
    with_error: Callable[[Program], Any]


def traced(kind: str, rule: Any, types: Sequence[ArrayType]) -> Traced | None:
    """The rule of a ``custom_jvp_call`` or ``custom_vjp_call``; None for one that cannot be traced.

    That one stays as it is: its checks, and whatever it has against being traced, are raised when it runs.
    """
    able = [s and k >= _closed_over(rule) for k, s in enumerate(smooth(types))]
    try:
        return KINDS[kind](rule, strong(types), able)
    except Exception:  # of the user's code, at a time when nobody has asked for a derivative
        return None


def _closed_over(rule: Any) -> int:
    """How many operands in front are values that the function closes over."""
    own = rule.count if isinstance(rule, JvpAfter | VjpAfter) else 0
    return own + (_closed_over(rule.rule) if hasattr(rule, "rule") else 0)


def _traced_jvp(rule: Any, types: Sequence[ArrayType], able: Flags) -> Traced | None:
    count, found = len(types), []

    def function(*values: Any) -> list[Any]:
        outputs, moved = rule(values[:count], tuple(placed(values[count:], able)))
        found.append(smooth([type_of(x) for x in outputs]))
        return [*outputs, *chosen(list(map(instantiate, moved, outputs)), found[0])]

    program, captures = trace(function, [*types, *chosen(types, able)])
    return None if captures else Traced(program, lambda checked: CheckedJvp(rule, checked, able, found[0]))


def _traced_vjp(rule: Any, types: Sequence[ArrayType], able: Flags) -> Traced | None:
    found = []

    def forward(*values: Any) -> list[Any]:
        saved = rule.forward(values, tuple(able))
        found.append(saved)
        return [*saved.outputs, *saved.residuals]

    program, captures = trace(forward, types)
    return None if captures else Traced(program, lambda checked: CheckedVjp(rule, checked, able, found[0]))


KINDS = {"custom_jvp_call": _traced_jvp, "custom_vjp_call": _traced_vjp}


class CheckedJvp(DerivedJvp):
    """A JVP rule that hands out its error behind the function's outputs."""

    def __init__(self, rule: Any, program: Program, able: Flags, moves: Flags) -> None:
        super().__init__(rule)
        self.program, self.able, self.moves = program, able, moves

    def __call__(self, inputs: Values, tangents: Values) -> tuple[Values, Values]:
        if any(t is not None and not able for t, able in zip(tangents, self.able, strict=True)):
            return self.rule(inputs, tangents)  # which refuses that
        given = [instantiate(t, x) for t, x, able in zip(tangents, inputs, self.able, strict=True) if able]
        results = evaluate(self.program, [*inputs, *given], bind)
        own = len(self.moves)
        end = own + sum(self.moves)
        error = results[end:]
        return (*results[:own], *error), (*placed(results[own:end], self.moves), *(None for _ in error))


class CheckedVjp:
    """A VJP rule whose forward part hands out its error behind the function's outputs."""

    def __init__(self, rule: Any, program: Program, able: Flags, saved: Saved) -> None:
        self.rule, self.program, self.able, self.state = rule, program, able, saved.state
        self.own, self.residuals = len(saved.outputs), len(saved.residuals)
        self.both_modes = getattr(rule, "both_modes", False)

    def __repr__(self) -> str:
        return repr(self.rule)

    def after(self, count: int) -> VjpAfter:
        """The rule behind values that the function closes over."""
        return VjpAfter(self, count)

    def forward(self, inputs: Values, wanted: Flags) -> Saved:
        """The rule's outputs, its error and its residuals."""
        if any(w and not able for w, able in zip(wanted, self.able, strict=True)):
            return self.rule.forward(inputs, wanted)  # type: ignore[no-any-return]  # which refuses that
        results = evaluate(self.program, inputs, bind)
        end = self.own + self.residuals
        return Saved((*results[: self.own], *results[end:]), tuple(results[self.own : end]), self.state)

    def backward(self, residuals: Values, state: Any, cotangents: Values) -> Values:
        """The rule's own: the error has no cotangent."""
        return self.rule.backward(residuals, state, cotangents[: self.own])  # type: ignore[no-any-return]
