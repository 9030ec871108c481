"""Which number did a check refuse?  Compiled code tells that there was one, and where; the interpreter finds it.

A check in a kernel leaves a bit, so that loops stay vector loops. When a call has failed, what its checks read, and
nothing else, is computed again by the primitives' references, whose messages have the number. Where it came from the
arguments unchanged, the message says from which.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from funcgrad.errors import LINE, at_line
from funcgrad.ir.interpret import interpret, patience
from funcgrad.ir.primitive import Values
from funcgrad.ir.printer import all_equations, inner_programs
from funcgrad.ir.program import Atom, Equation, Literal, Program, Var
from funcgrad.simplify import simplify

PATIENCE = 2.0  # seconds, after which the message goes without
LEAST: dict[str, Callable[[Any], int]] = {
    "check_index": lambda params: -params["size"],
    "check_label": lambda params: params["least"],
    "check_entry": lambda params: 0,
}  # the first number that checks of places let through
KEPT = frozenset(
    "reshape broadcast_in_dim transpose slice rev convert_element_type gather dynamic_slice stop_gradient name "
    "optimization_barrier".split()
)  # whose results are numbers of their first operands

Names = Callable[[], Sequence[str]]


def explained(error: BaseException, program: Program, leaves: Sequence[Any], names: Names | None) -> BaseException:
    """The error of a failed check with the number that it refused, or `error` where that cannot be found out.

    Parameters
    ----------
    error
        What compiled code could tell.
    program, leaves
        The program that failed, and its arguments.
    names
        Gives what the user calls the arguments, if somebody knows.
    """
    if not isinstance(error, (IndexError, ValueError)):
        return error
    needed = _needed(simplify(program))
    if not needed.equations or any(e.primitive.impure for e in all_equations(needed.equations)):
        return error
    types = [v.type for v in program.inputs]
    arrays = [x if isinstance(x, np.ndarray) else t.dtype.type(x) for x, t in zip(leaves, types, strict=True)]
    watch = _Watch()
    before, end = (patience.watch, patience.ended), time.monotonic() + PATIENCE
    patience.watch, patience.ended = watch, lambda: time.monotonic() > end
    try:
        with contextlib.suppress(Exception):  # `watch` has seen it
            interpret(needed, arrays)
    finally:
        patience.watch, patience.ended = before
    if type(watch.error) is not type(error) or not watch.path[-1].primitive.effect:
        return error
    number, dot, remedy = str(watch.error).split(LINE, 1)[0].partition(". ")
    where = _place(needed, watch, arrays, names) if names else ""
    return type(error)(f"{number}{where}{dot}{remedy}{at_line(watch.path[-1].source)}")


class _Watch:
    """Runs equations for the interpreter.

    Attributes
    ----------
    path
        The equation that failed, behind those that it stands in.
    inputs, error
        Its operands, and what it raised.
    """

    def __init__(self) -> None:
        self._around: list[Equation] = []
        self.path: list[Equation] = []
        self.inputs: Values = ()
        self.error: Exception | None = None

    def __call__(self, equation: Equation, inputs: Values) -> Values:
        """The outputs of an equation."""
        self._around.append(equation)
        try:
            return equation.primitive.refer(inputs, dict(equation.params))
        except Exception as error:
            if self.error is None:
                self.path, self.inputs, self.error = [*self._around], inputs, error
            raise
        finally:
            self._around.pop()


def _needed(program: Program) -> Program:
    """The program without results, but with its checks, at any depth, and all that they read."""
    needed: set[Atom] = set()
    kept = []
    for equation in reversed(program.equations):
        if any(e.primitive.effect for e in all_equations([equation])) or not needed.isdisjoint(equation.outputs):
            kept.append(equation)
            needed.update(equation.inputs)
    return Program(program.inputs, tuple(reversed(kept)), (), program.constants)


def _place(program: Program, watch: _Watch, arrays: Sequence[Any], names: Names) -> str:
    """Which element of which argument the number is, if it is one's."""
    (name, params), number = (watch.path[-1].primitive.name, watch.path[-1].params), _argument(program, watch.path)
    if number is None or name not in LEAST:
        return ""
    tested = np.asarray(watch.inputs[0])
    wrong = tested[(tested < LEAST[name](params)) | (tested >= params["size"])].flat[0]
    found = np.argwhere(np.asarray(arrays[number]) == wrong)
    if not len(found):
        return ""
    index = f"[{', '.join(map(str, found[0]))}]" if found.shape[1] else ""
    return f"; it is the argument {names()[number]}{index}"


def _argument(program: Program, path: Sequence[Equation]) -> int | None:
    """The number of the program's input whose elements the last equation of a path reads first."""
    programs = [program, *(_holder(outer, inner) for outer, inner in pairwise(path))]
    atom = path[-1].inputs[0]
    for level in reversed(range(len(path))):
        inside = programs[level]
        if inside is None:
            return None
        source = _source(inside, atom)
        if source not in inside.inputs:
            return None
        number = inside.inputs.index(source)
        if not level:
            return number
        if len(path[level - 1].inputs) != len(inside.inputs):
            return None
        atom = path[level - 1].inputs[number]
    return None


def _holder(outer: Equation, inner: Equation) -> Program | None:
    """The program among the parameters of an equation that another one stands in."""
    held = [p for _, _, p in inner_programs(outer.params) if any(e is inner for e in p.equations)]
    return held[0] if held else None


def _source(program: Program, atom: Atom) -> Atom:
    """The value whose elements `atom` is made of."""
    makers = {v: e for e in program.equations for v in e.outputs}
    while isinstance(atom, Var) and atom in makers:
        equation = makers[atom]
        if equation.primitive.name in KEPT:
            atom = equation.inputs[0]
        elif equation.primitive.name == "select" and len(others := _varied(equation, makers)) == 1:
            (atom,) = others
        else:
            break
    return atom


def _varied(choice: Equation, makers: dict[Var, Equation]) -> list[Atom]:
    """What a choice is made among, but for plain numbers."""

    def is_number(atom: Atom) -> bool:
        if isinstance(atom, Literal):
            return True
        maker = makers.get(atom)
        return maker is not None and maker.primitive.name == "broadcast_in_dim" and isinstance(maker.inputs[0], Literal)

    return [a for a in choice.inputs[1:] if not is_number(a)]
