"""Which operations are written out before kernels are made?  Those whose primitive has an `expand` rule that says so.

Derivatives and batches see one primitive (a solve, a window's maximum); kernels see what it is made of, where its
sizes are such that this is faster than running it as a whole.
"""

from __future__ import annotations

from funcgrad.control.call import call
from funcgrad.ir.program import Equation, Program
from funcgrad.simplify import simplify
from funcgrad.trace.builder import trace
from funcgrad.trace.frame import running


def expand(program: Program) -> Program:
    """A simplified program with operations written out, at any depth."""
    while any(equation.primitive.expand for equation in program.equations):
        equations = tuple(map(_expanded, program.equations))
        if equations == program.equations:
            break
        program = simplify(Program(program.inputs, equations, program.outputs, program.constants))
    return program


def _expanded(equation: Equation) -> Equation:
    """The equation, or a call of what it is made of."""
    rule = equation.primitive.expand
    if rule is None:
        return equation
    types = tuple([a.type for a in equation.inputs])
    function = rule(types, equation.params)
    if function is None:
        return equation
    before = running.source
    running.source = equation.source or before
    try:
        inner, _ = trace(function, types)
    finally:
        running.source = before
    return equation.replace(primitive=call, params={"program": inner, "name": equation.primitive.name})
