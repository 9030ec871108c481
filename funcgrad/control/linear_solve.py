"""How is a linear solver differentiated?  The primitive ``custom_linear_solve``: by solving again.

With A x = b: A dx = db - dA x forwards; backwards, Aᵀ λ = ct(x), ct(b) = λ, and the cotangents of what A is made of are
those of -A(·) x at λ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from funcgrad.control.bodies import program_of
from funcgrad.errors import at_line
from funcgrad.ir.interpret import interpret
from funcgrad.ir.primitive import Pullback, Values
from funcgrad.ir.printer import record
from funcgrad.ir.program import Program
from funcgrad.ir.types import ArrayType
from funcgrad.ops.families import Operation, repeat
from funcgrad.trace.builder import evaluate, trace
from funcgrad.trace.frame import bind, type_of
from funcgrad.transform import transpose
from funcgrad.transform.jvp import jvp_values
from funcgrad.transform.vjp import instantiate, vjp_values
from funcgrad.transform.vmap import kept_program

Flags = tuple[bool, ...]


@record
class Part(NamedTuple):
    """A program and how many values it has closed over: its first inputs."""

    program: Program
    consts: int


@record
class Solvers(NamedTuple):
    """What a system is made of; `size` is the number of its unknowns (arrays)."""

    matvec: Part
    solve: Part
    vecmat: Part
    transpose_solve: Part | None
    size: int

    @property
    def parts(self) -> tuple[Part | None, ...]:
        """The four functions."""
        return self[:4]

    def constants(self, values: Sequence[Any]) -> list[Sequence[Any]]:
        """The values that each function closes over."""
        found, first = [], 0
        for part in self.parts:
            count = part.consts if part else 0
            found.append(values[first : first + count])
            first += count
        return found

    def swapped(self, values: Sequence[Any]) -> tuple[Solvers, list[Any]]:
        """The transposed system, and the values that its functions close over."""
        assert self.transpose_solve is not None
        a, s, v, t = self.constants(values)
        return Solvers(self.vecmat, self.transpose_solve, self.matvec, self.solve, self.size), [*v, *t, *a, *s]


def program_for(solvers: Solvers, types: Sequence[ArrayType]) -> Program:
    """What the primitive computes, as a program of all its operands."""

    def run(*values: Any) -> list[Any]:
        rest = values[sum(part.consts for part in solvers.parts if part) :]
        return evaluate(solvers.solve.program, [*solvers.constants(values)[1], *rest], bind)

    return program_of(run, [ArrayType(t.shape, t.dtype) for t in types])


def apply(solvers: Solvers, *values: Any) -> Values:
    """Solve for a right-hand side (and whatever comes with the solution)."""
    program = program_for(solvers, [type_of(x) for x in values])
    return bind(custom_linear_solve, *values, program=program, solvers=solvers)


def _jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
    solvers: Solvers = params["solvers"]
    outputs = bind(custom_linear_solve, *inputs, **params)
    n = solvers.size
    x = outputs[:n]
    consts, moved = solvers.constants(inputs), solvers.constants(tangents)
    rhs = [instantiate(t, b) for t, b in zip(tangents[len(tangents) - n :], inputs[len(inputs) - n :], strict=True)]
    if any(t is not None for t in moved[0]):
        _, turned = jvp_values(
            lambda *cs: evaluate(solvers.matvec.program, [*cs, *x], bind), list(consts[0]), list(moved[0])
        )
        rhs = [b if t is None else b - t for b, t in zip(rhs, turned, strict=True)]
    found = apply(solvers, *inputs[: len(inputs) - n], *rhs)
    return outputs, (*found[:n], *(None for _ in outputs[n:]))


def _vjp(inputs: Values, wanted: Sequence[bool], params: dict[str, Any]) -> tuple[Values, Pullback]:
    solvers: Solvers = params["solvers"]
    outputs = bind(custom_linear_solve, *inputs, **params)
    n, first = solvers.size, len(inputs) - solvers.size
    x = outputs[:n]

    def pullback(cotangents: Values) -> Values:
        if solvers.transpose_solve is None:
            raise TypeError(
                "transpose_solve required for backwards mode automatic differentiation of "
                f"custom_linear_solve{at_line()}"
            )
        given = [instantiate(ct, y) for ct, y in zip(cotangents[:n], x, strict=True)]
        system, consts = solvers.swapped(inputs[:first])
        found = apply(system, *consts, *given)[:n]
        count = solvers.matvec.consts
        flags = wanted[:count]
        results: list[Any] = [None] * first
        if any(flags):
            moving = [c for c, w in zip(inputs, flags, strict=False) if w]

            def turned(*cs: Any) -> tuple[list[Any], None]:
                own = iter(cs)
                full = [next(own) if w else c for c, w in zip(inputs, flags, strict=False)]
                return evaluate(solvers.matvec.program, [*full, *x], bind), None

            pulled = iter(vjp_values(turned, moving)[2]([-v for v in found]))
            results[:count] = [next(pulled) if w else None for w in flags]
        return (*results, *found)

    return outputs, pullback


def _batch(size: int, inputs: Values, batched: Sequence[bool], params: dict[str, Any]) -> Any:
    solvers: Solvers = params["solvers"]
    first = len(inputs) - solvers.size
    flags = solvers.constants(batched[:first])
    unknowns = (True,) * solvers.size

    def wide(part: Part | None, own: Sequence[bool]) -> Part | None:
        return part and Part(kept_program(part.program, size, (*own, *unknowns)), part.consts)

    matvec, solve, vecmat, transpose_solve = map(wide, solvers.parts, flags)
    assert matvec is not None
    assert solve is not None
    assert vecmat is not None
    full = [b if f else repeat(b, size) for b, f in zip(inputs[first:], batched[first:], strict=True)]
    program = kept_program(params["program"], size, (*batched[:first], *unknowns))
    changed = Solvers(matvec, solve, vecmat, transpose_solve, solvers.size)
    outputs = bind(custom_linear_solve, *inputs[:first], *full, program=program, solvers=changed)
    return outputs, (True,) * len(outputs)


custom_linear_solve = Operation(
    name="custom_linear_solve",
    family="structured",
    reference=lambda *inputs, program, solvers: tuple(interpret(program, inputs)),
    infer=lambda *types, program, solvers: program.output_types,
    jvp=_jvp,
    vjp=_vjp,
    batch=_batch,
    multiple=True,
)


def part_of(function: Callable[..., Sequence[Any]], types: Sequence[ArrayType]) -> tuple[Part, tuple[Any, ...]]:
    """A function's program, and what it closes over."""
    program, captures = trace(function, types)
    return Part(program, len(captures)), captures


def transposed(part: Part) -> Part:
    """The transpose of a program that is linear behind what it closes over."""
    return Part(transpose.transposed(part.program, part.consts), part.consts)
