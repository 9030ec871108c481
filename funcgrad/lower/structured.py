"""What do loops and branches need beside their bodies?  `Structured`: plans within a plan, and buffers between them.

A body's buffers are places in the same frame: its arguments are the operands' buffers (or slices of them), its
temporaries lie in a part of the arena that is the step's. A carry has two buffers that change places after every
iteration; one of them is the result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from funcgrad.control import while_loop
from funcgrad.dtypes import is_inexact
from funcgrad.ir.program import Atom, Equation, Literal, Program, Var
from funcgrad.ir.types import ArrayType
from funcgrad.lower.calls import Call
from funcgrad.lower.updates import arranged
from funcgrad.simplify import simplify

BODIES: dict[str, Callable[[dict[str, Any]], tuple[Program, ...]]] = {
    "scan": lambda p: (p["program"],),
    "cond": lambda p: p["branches"],
    "while": lambda p: (p["cond"], p["body"]),
    "while_pull": lambda p: (p["cond"], p["body"], while_loop.backward(p["body"], p["body_consts"])),
}


@dataclass(frozen=True, slots=True)
class Tape:
    """How kernels of many iterations walk along a tape: the first runs the loop until a section of the tape is full,
    the second walks back along a section.

    Attributes
    ----------
    sections
        For each part of the carry, the buffer of its place in the section at hand.
    length
        How many iterations a section holds.
    count, holds
        How many it has, and whether the loop goes on.
    begin, turn
        What is copied where before the loop, and before the way back.
    """

    sections: tuple[Var, ...]
    length: int
    count: Var
    holds: Var
    begin: tuple[tuple[Var, Var], ...]
    turn: tuple[tuple[Var, Var], ...]


@dataclass(eq=False, slots=True)
class Structured:
    """A loop or a branch.

    Attributes
    ----------
    equation
        What is to be computed.
    operands
        The buffer of each operand.
    plans
        Of its bodies, in the order of `BODIES`.
    arenas
        For each plan, the place of its temporaries.
    spares
        Second buffers of the carry (for what is changed in place, the first again), and buffers of what is no result.
    constants
        Operands that are numbers.
    status
        The codes that tell of its own failures: from this one on.
    printed
        The plans of the bodies where `plans` are kernels of many iterations.
    tape
        For ``while_pull``: how it runs by such kernels.
    chunk
        How many iterations of a loop over examples are a piece that may run on another thread; 0 where there is but
        one.
    """

    equation: Equation
    operands: tuple[Var, ...]
    plans: tuple[Any, ...]
    arenas: tuple[Var, ...]
    spares: tuple[Var, ...]
    status: int
    constants: dict[Var, np.ndarray] = field(default_factory=dict)
    printed: tuple[Any, ...] = ()
    tape: Tape | None = None
    chunk: int = 0

    @property
    def buffers(self) -> tuple[Var, ...]:
        """The buffers that the step reads and writes, its bodies' arenas among them."""
        given = (v for v in self.operands if v not in self.constants)
        return (*given, *self.equation.outputs, *self.arenas, *self.spares)


Pairs = Sequence[tuple[int, int]]
OWN = 2  # codes of a loop's own failures
ANSWER = 64  # bytes: as temporaries are aligned


def structured(call: Call, make_plan: Callable[[Program, int, Pairs], Any], first_status: int) -> Structured:
    """The step of a loop or branch; `make_plan` lowers a body whose failures are counted from a status on."""
    equation = call.equation
    status = first_status + OWN
    plans = []
    bodies = BODIES[equation.primitive.name](dict(equation.params))
    for body, carry in zip(bodies, _carries(equation, call.inputs), strict=False):
        program = arranged(simplify(renamed(body)), carry)
        plans.append(make_plan(program, status, carry))
        status += len(plans[-1].failures)
    if equation.primitive.name in ("while", "while_pull"):
        _with_a_place_for_the_answer(plans[0])
    constants: dict[Var, np.ndarray] = {}
    operands = tuple(_buffer(a, constants) for a in (*call.inputs, *_zeros(equation)))
    arenas = tuple(Var(ArrayType((plan.arena_bytes,), np.dtype(np.uint8))) for plan in plans)
    spares = _spares(equation, plans)
    return Structured(equation, operands, tuple(plans), arenas, spares, first_status, constants)


def _with_a_place_for_the_answer(cond: Any) -> None:
    """A condition's answer lies where its arena begins: no temporary may, which could be written after it."""
    cond.offsets = {v: ANSWER + offset for v, offset in cond.offsets.items()}
    cond.arena_bytes += ANSWER


def without_constants(equation: Equation) -> tuple[Equation, dict[Var, Atom]]:
    """A loop without the parts of the carry that its body hands on as they are, and what these outputs are."""
    if equation.primitive.name == "scan":
        return _scan_without_constants(equation)
    if equation.primitive.name == "while":
        return _while_without_constants(equation)
    return equation, {}


def _scan_without_constants(equation: Equation) -> tuple[Equation, dict[Var, Atom]]:
    params, program = equation.params, equation.params["program"]
    n, m = params["consts"], params["consts"] + params["carry"]
    same = [a is v for a, v in zip(program.outputs, program.inputs[n:m], strict=False)]
    if not any(same):
        return equation, {}
    order = [*range(n), *(n + k for k, s in enumerate(same) if s)]
    order += [n + k for k, s in enumerate(same) if not s]
    order += range(m, len(equation.inputs))
    fixed = sum(same)
    kept = [k for k in range(len(program.outputs)) if not (k < params["carry"] and same[k])]
    body = program.replace(
        inputs=tuple(program.inputs[k] for k in order), outputs=tuple(program.outputs[k] for k in kept)
    )
    changed = dict(params) | {"program": body, "consts": n + fixed, "carry": params["carry"] - fixed}
    outputs = tuple(equation.outputs[k] for k in kept)
    inputs = tuple(equation.inputs[k] for k in order)
    gone = {equation.outputs[k]: equation.inputs[n + k] for k, s in enumerate(same) if s}
    return equation.replace(inputs=inputs, outputs=outputs, params=changed), gone


def _while_without_constants(equation: Equation) -> tuple[Equation, dict[Var, Atom]]:
    params, cond, body = equation.params, equation.params["cond"], equation.params["body"]
    nc, nb = params["cond_consts"], params["body_consts"]
    same = [a is v for a, v in zip(body.outputs, body.inputs[nb:], strict=True)]
    if not any(same):
        return equation, {}
    carry = equation.inputs[nc + nb :]

    def chosen(values: Sequence[Any], flag: bool) -> tuple[Any, ...]:
        return tuple(x for x, s in zip(values, same, strict=True) if s is flag)

    def reordered(program: Program, consts: int, outputs: tuple[Atom, ...]) -> Program:
        own = program.inputs[consts:]
        return program.replace(
            inputs=(*program.inputs[:consts], *chosen(own, True), *chosen(own, False)), outputs=outputs
        )

    fixed = chosen(carry, True)
    inputs = (*equation.inputs[:nc], *fixed, *equation.inputs[nc : nc + nb], *fixed, *chosen(carry, False))
    changed = dict(params) | {
        "cond": reordered(cond, nc, cond.outputs),
        "body": reordered(body, nb, chosen(body.outputs, False)),
        "cond_consts": nc + len(fixed),
        "body_consts": nb + len(fixed),
    }
    gone = dict(zip(chosen(equation.outputs, True), fixed, strict=True))
    return equation.replace(inputs=inputs, outputs=chosen(equation.outputs, False), params=changed), gone


class TapeTooLong(MemoryError):
    """A tape with `each` bytes per iteration outgrew the memory."""

    def __init__(self, each: int) -> None:
        super().__init__(f"the tape of a while_loop under differentiation outgrew the memory ({each} bytes each)")
        self.each = each

    def __repr__(self) -> str:
        return f"MemoryError({str(self)!r})"  # for printed Python

    def after(self, count: int) -> MemoryError:
        """The error of a tape that had room for so many iterations."""
        return MemoryError(
            f"the tape of a while_loop under differentiation outgrew the memory: it keeps the carry of each iteration, "
            f"{self.each:,} bytes, and had grown to {count:,} iterations, {count * self.each:,} bytes in all. With "
            f'while_loop(..., checkpoint="binomial") few carries are kept and iterations run again; '
            f"scan and fori_loop with known bounds take checkpoint too"
        )


def own_failures(equation: Equation) -> tuple[BaseException, ...]:
    """What a loop can fail with by itself: `OWN` codes."""
    interrupted = KeyboardInterrupt("a loop was interrupted")
    if "body" not in equation.params:
        return interrupted, MemoryError("there is no memory for the temporaries of a loop over examples on a thread")
    return interrupted, TapeTooLong(sum(t.nbytes for t in equation.params["body"].output_types))


def failures_of(step: Structured) -> list[tuple[Any, Any]]:
    """What a step and its bodies can fail with, in the order of their codes."""
    own = [(error, step.equation.source) for error in own_failures(step.equation)]
    return [*own, *(failure for plan in step.printed or step.plans for failure in plan.failures)]


def _buffer(atom: Atom, constants: dict[Var, np.ndarray]) -> Var:
    if isinstance(atom, Var):
        return atom
    var = Var(atom.type)
    constants[var] = np.asarray(atom.value, atom.type.dtype)
    return var


def _zeros(equation: Equation) -> list[Literal]:
    """From where the sums of ``while_pull`` start: behind the operands."""
    if equation.primitive.name != "while_pull":
        return []
    sums = len(equation.outputs) - sum(is_inexact(t.dtype) for t in equation.params["body"].output_types)
    types = [v.type for v in equation.outputs[:sums]]
    return [Literal(np.zeros(t.shape, t.dtype), t) for t in types]  # type: ignore[arg-type]


def _carries(equation: Equation, operands: Sequence[Atom] = ()) -> Iterator[Pairs]:
    """For each body, the inputs and outputs that are a part of the carry before and after an iteration; of branches,
    those that share a buffer.
    """
    name, params = equation.primitive.name, equation.params
    if name == "scan":
        yield [(params["consts"] + k, k) for k in range(params["carry"])]
    elif name == "while":
        yield from ((), [(params["body_consts"] + k, k) for k in range(len(equation.outputs))])
    elif name == "while_pull":
        first = params["body_consts"] + len(params["body"].outputs)
        yield from ((), (), [(first + k, k) for k in range(len(equation.outputs))])
    else:
        same = [(j, k) for k, v in enumerate(equation.outputs) for j, a in enumerate(operands[1:]) if a is v]
        yield from (same,) * len(params["branches"])


def _spares(equation: Equation, plans: Sequence[Any]) -> tuple[Var, ...]:
    """The second buffers of the carry; the first one again for what is changed in place."""
    name, params = equation.primitive.name, equation.params
    if name == "cond":
        return ()
    *_, carry = _carries(equation)
    inputs, results = plans[-1].program.inputs, plans[-1].outputs
    pairs = zip(carry, equation.outputs, strict=False)
    spares = [out if results[k] is inputs[i] else Var(out.type) for (i, k), out in pairs]
    if name == "while_pull":  # the carry of the loop, twice, before that of the way back
        types = [ArrayType(t.shape, t.dtype) for t in params["body"].output_types]
        return (*(Var(t) for t in (*types, *types)), *spares)
    return tuple(spares)


def renamed(program: Program) -> Program:
    """The program with variables of its own: bodies are shared by equations, buffers are not."""
    env: dict[Any, Atom] = {}

    def fresh(v: Var) -> Var:
        env[v] = new = Var(v.type)
        return new

    def read(a: Atom) -> Atom:
        return a if isinstance(a, Literal) else env[a]

    inputs = tuple(map(fresh, program.inputs))
    constants = {fresh(v): value for v, value in program.constants.items()}
    equations = tuple(
        Equation(e.primitive, tuple(map(read, e.inputs)), tuple(map(fresh, e.outputs)), e.params, e.source)
        for e in program.equations
    )
    return Program(inputs, equations, tuple(map(read, program.outputs)), constants)
