"""Is a program well formed?  Single assignment, order, arity, and every type as its primitive infers it."""

from __future__ import annotations

import numpy as np

from funcgrad.errors import ProgramError, at_line
from funcgrad.ir.program import Equation, Literal, Program, Var
from funcgrad.ir.types import ArrayType


def check(program: Program) -> Program:
    """`program`, if it keeps the rules of the IR.

    Returns
    -------
    Program
        The argument itself.

    Raises
    ------
    ProgramError
        With the rule that is broken and the equation that breaks it.

    Examples
    --------
    >>> import funcgrad as fg
    >>> program = fg.make_jaxpr(lambda x: x * x + x)(2.0)
    >>> check(program) is program
    True
    """
    defined: set[Var] = set()
    for v in (*program.constants, *program.inputs):
        _define(v, defined, None)
    for v, value in program.constants.items():
        if value.shape != v.type.shape or value.dtype != v.type.dtype:
            raise ProgramError(f"constant of type {v.type} holds an array {value.shape} of {value.dtype}")
    for equation in program.equations:
        _check_equation(equation, defined)
    for atom in program.outputs:
        if isinstance(atom, Literal):
            _check_literal(atom, None)
        elif atom not in defined:
            raise ProgramError(f"an output of type {atom.type} is not defined in the program")
    return program


def _define(v: Var, defined: set[Var], equation: Equation | None) -> None:
    if v in defined:
        raise ProgramError(f"a variable of type {v.type} is defined twice{_place(equation)}")
    defined.add(v)


def _check_equation(equation: Equation, defined: set[Var]) -> None:
    for atom in equation.inputs:
        if isinstance(atom, Var) and atom not in defined:
            raise ProgramError(f"an operand of type {atom.type} is read before it is defined{_place(equation)}")
        if isinstance(atom, Literal):
            _check_literal(atom, equation)
    for param in equation.params.values():
        if isinstance(param, Program):
            check(param)
    inferred = _inferred(equation)
    declared = tuple(v.type for v in equation.outputs)
    if [(t.shape, t.dtype) for t in inferred] != [(t.shape, t.dtype) for t in declared]:
        raise ProgramError(f"outputs are declared {declared}, but their types are {inferred}{_place(equation)}")
    for v in equation.outputs:
        _define(v, defined, equation)


def _check_literal(atom: Literal, equation: Equation | None) -> None:
    if atom.type.shape or not isinstance(atom.value, np.generic) or atom.value.dtype != atom.type.dtype:
        raise ProgramError(f"{atom!r} is not a NumPy scalar of its type{_place(equation)}")


def _inferred(equation: Equation) -> tuple[ArrayType, ...]:
    primitive, count = equation.primitive, len(equation.inputs)
    if primitive.operands is not None and count != primitive.operands:
        raise ProgramError(f"{primitive.name} takes {primitive.operands} operands, not {count}{_place(equation)}")
    try:
        return primitive.output_types(tuple(atom.type for atom in equation.inputs), dict(equation.params))
    except (TypeError, ValueError) as error:
        raise ProgramError(f"{error}{_place(equation)}") from error


def _place(equation: Equation | None) -> str:
    return f", in an equation of {equation.primitive.name}{at_line(equation.source)}" if equation else ""
