"""Which results of an iteration does nobody read but the last time?  Parts of a carry that the body writes and never
reads, such as the energy beside its gradient in a sampler's inner loop: the loop runs without them, once less, and the
last iteration follows it in full.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from funcgrad.ir.program import Atom, Equation, Literal, Program, Var
from funcgrad.simplify import simplify
from funcgrad.simplify.rewrite import live
from funcgrad.transform.residuals import NEVER, PRICES, price

SHORTEST = 4  # iterations: the body is compiled twice
LEAST = 1 << 15  # bytes whose computation is saved, over all iterations


def peeled(program: Program) -> Program:
    """A simplified program whose scans do not compute what is overwritten unread."""
    equations: list[Equation] = []
    constants = dict(program.constants)
    instead: dict[Var, Atom] = {}
    for equation in program.equations:
        e = equation.replace(inputs=_read(instead, equation.inputs)) if instead else equation
        found = _peeled(e) if e.primitive.name == "scan" else None
        if found is None:
            equations.append(e)
            continue
        loop, last, results = found
        equations += [loop, *last.equations]
        constants |= last.constants
        instead |= dict(zip(e.outputs, results, strict=True))
    if not instead:
        return program
    outputs = _read(instead, program.outputs)
    return simplify(program.replace(equations=tuple(equations), outputs=outputs, constants=constants))


def _read(instead: Mapping[Var, Atom], atoms: Iterable[Atom]) -> tuple[Atom, ...]:
    return tuple(instead.get(a, a) if isinstance(a, Var) else a for a in atoms)


def _peeled(scan: Equation) -> tuple[Equation, Program, tuple[Atom, ...]] | None:
    """The loop without its last iteration, that one, and its results; None for a loop that is left as it is."""
    params = scan.params
    n, carry, length = params["consts"], params["carry"], params["length"]
    if length < SHORTEST or len(scan.inputs) > n + carry or len(scan.outputs) > carry:
        return None
    body = simplify(params["program"])
    read = {*body.outputs, *(a for e in body.equations for a in e.inputs)}
    left = [k for k in range(carry) if body.inputs[n + k] in read or not isinstance(body.outputs[k], Var)]
    if len(left) == carry:
        return None
    short = live(
        body.replace(
            inputs=(*body.inputs[:n], *(body.inputs[n + k] for k in left)),
            outputs=tuple(body.outputs[k] for k in left),
        )
    )
    needed = {v for e in short.equations for v in e.outputs}
    spared = [e for e in body.equations if needed.isdisjoint(e.outputs)]
    if sum(map(_bytes, spared)) * length < LEAST:
        return None
    before = tuple(Var(scan.outputs[k].type) for k in left)
    loop = scan.replace(
        inputs=(*scan.inputs[:n], *(scan.inputs[n + k] for k in left)),
        outputs=before,
        params=dict(params) | {"program": short, "carry": len(left), "length": length - 1},
    )
    given = dict(zip(body.inputs[:n], scan.inputs[:n], strict=True))
    given |= dict(zip((body.inputs[n + k] for k in left), before, strict=True))
    last, results = _copy(body, given)
    return loop, last, results


def _bytes(equation: Equation) -> int:
    """The bytes of a result that takes mathematics, or a product or a loop."""
    size = sum(int(v.type.nbytes) for v in equation.outputs)
    cost = price(equation)
    dear = equation.primitive.scalar is not None or cost == NEVER
    return size if dear and cost >= PRICES["exp"] * size else 0


def _copy(body: Program, given: Mapping[Var, Atom]) -> tuple[Program, tuple[Atom, ...]]:
    """The equations of a body with variables of their own, for these values of its inputs, and its outputs."""
    env: dict[Any, Atom] = dict(given)

    def fresh(v: Var) -> Var:
        env[v] = new = Var(v.type)
        return new

    def read(a: Atom) -> Atom:
        return a if isinstance(a, Literal) else env[a]

    constants = {fresh(v): value for v, value in body.constants.items()}
    equations = tuple(
        e.replace(inputs=tuple(map(read, e.inputs)), outputs=tuple(map(fresh, e.outputs))) for e in body.equations
    )
    outputs = tuple(map(read, body.outputs))
    return Program((), equations, outputs, constants), outputs
