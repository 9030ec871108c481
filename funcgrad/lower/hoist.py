"""What of a scan's body need not wait for the iteration before?  Mathematics and products of what is given: they are
computed for all iterations at once, in lanes and by large products, before the loop. And sums of products that nothing
in the loop reads: one product after the loop, over all iterations. Matrices that products read transposed in every
iteration are turned before the loop.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from funcgrad.control.bodies import batched_program
from funcgrad.control.call import call
from funcgrad.ir.primitive import registry
from funcgrad.ir.program import Atom, Equation, Program, Var
from funcgrad.ir.types import ArrayType
from funcgrad.lower.products import is_fold
from funcgrad.simplify import simplify
from funcgrad.transform.residuals import NEVER, PRICES, cheapest, price, recomputed

LEAST_PRODUCT = 128  # multiplications of a product that is worth it
MOST_BYTES = 1 << 26  # of what is computed before a loop
AMPLE = 1 << 22, 128  # multiplications, and terms of each sum, of products that gain nothing from being larger
LEAST_TURNS, MOST_ROWS = 8, 256  # iterations, and rows of products, for which a matrix is turned


def hoisted(program: Program) -> Program:
    """A simplified program in which scans read what they would compute."""
    equations: list[Equation] = []
    for equation in program.equations:
        if equation.primitive.name == "scan":
            *before, scan = _turned(equation)
            equations += [*before, *_sunk(_hoisted(scan))]
        else:
            equations.append(equation)
    if len(equations) == len(program.equations):
        return program
    return simplify(program.replace(equations=tuple(equations)))


def _hoisted(scan: Equation) -> list[Equation]:
    params, body = scan.params, simplify(scan.params["program"])
    n, m = params["consts"], params["consts"] + params["carry"]
    given = (*body.inputs[:n], *body.inputs[m:])
    early, late = _parted(body, given)
    if not any(map(_is_dear, early)):
        return [scan]
    made = {v for e in early for v in e.outputs}
    checks = [
        v for e in early if e.primitive.effect for v in e.outputs
    ]  # nothing may read them: they are made all the same
    read = [a for e in late for a in e.inputs] + list(body.outputs) + checks
    needed = [a for a in dict.fromkeys(read) if isinstance(a, Var) and a in made]
    known = Program(given, tuple(early), tuple(needed), body.constants)
    kept = cheapest(known, needed, {*given, *body.constants}, lambda e: NEVER if _is_dear(e) else 0)
    again, _ = recomputed(known, needed, kept)
    before = [v for e in early for v in e.outputs if v in kept and v not in _made_by(again)]
    work, _ = recomputed(known, before, set(given))
    if not before or sum(v.type.nbytes for e in work for v in e.outputs) * params["length"] > MOST_BYTES:
        return [scan]
    return _moved(scan, known, before, [*again, *late], body)


# Transposed matrices --------------------------------------------------------------------------------------------------


def _turned(scan: Equation) -> list[Equation]:
    """The loop, which reads the transposes of constant matrices whose rows it contracts, behind these: of few rows, the
    library takes as long to turn such a matrix as to multiply by it (32 x 128 x 512 in float32: 64 µs, else 40).
    """
    params = scan.params
    if params["length"] < LEAST_TURNS or all(e.primitive.name != "dot_general" for e in params["program"].equations):
        return [scan]
    body = simplify(params["program"])
    n = params["consts"]
    number = {v: k for k, v in enumerate(body.inputs[:n])}
    found: dict[Var, Var] = {}
    equations = []
    for e in body.equations:
        if _reads_rows(e) and e.inputs[1] in number:
            x, y = e.inputs
            turned = found.setdefault(y, Var(y.type.with_shape(y.type.shape[::-1])))  # type: ignore[arg-type]
            e = e.replace(inputs=(x, turned), params=dict(e.params) | {"dimension_numbers": (((1,), (0,)), ((), ()))})
        equations.append(e)
    if not found:
        return [scan]
    stored = {y: Var(turned.type) for y, turned in found.items()}
    before = [
        Equation(registry["transpose"], (scan.inputs[number[y]],), (v,), {"permutation": (1, 0)}, scan.source)
        for y, v in stored.items()
    ]
    body = body.replace(inputs=(*found.values(), *body.inputs), equations=tuple(equations))
    changed = dict(params) | {"program": body, "consts": n + len(found)}
    return [*before, scan.replace(inputs=(*stored.values(), *scan.inputs), params=changed)]


def _reads_rows(equation: Equation) -> bool:
    """Whether it is a product of matrices, of few rows, with the transpose of the second."""
    if equation.primitive.name != "dot_general" or equation.params["dimension_numbers"] != (((1,), (1,)), ((), ())):
        return False
    m, n = equation.outputs[0].type.shape if equation.outputs[0].type.ndim == 2 else (0, 0)
    return n > 1 and 1 < m <= MOST_ROWS and _is_dear(equation) and not is_fold(equation)


# Sums of products -----------------------------------------------------------------------------------------------------


class _Sum(NamedTuple):
    """A part of the carry to which every iteration adds a product: its number, the product, and the addition."""

    number: int
    product: Equation
    addition: Equation


def _sunk(equations: list[Equation]) -> list[Equation]:
    """The equations, of which the last is a scan, with products of all iterations behind it."""
    *before, scan = equations
    params, body = scan.params, simplify(scan.params["program"])
    sums = _sums(body, params["consts"], params["carry"])
    factors = dict.fromkeys(a for s in sums for a in s.product.inputs if isinstance(a, Var))
    inner = [a for a in factors if a not in body.inputs[params["consts"] + params["carry"] :]]
    if not sums or sum(a.type.nbytes for a in inner) * params["length"] > MOST_BYTES:
        return equations
    gone = {s.number for s in sums}
    left = [k for k in range(params["carry"]) if k not in gone]
    n, m = params["consts"], params["consts"] + params["carry"]
    dropped = {e for s in sums for e in (s.product, s.addition)}
    changed = dict(params) | {
        "program": body.replace(
            inputs=(*body.inputs[:n], *(body.inputs[n + k] for k in left), *body.inputs[m:]),
            equations=tuple(e for e in body.equations if e not in dropped),
            outputs=(*(body.outputs[k] for k in left), *body.outputs[params["carry"] :], *inner),
        ),
        "carry": len(left),
    }
    stacks = [Var(ArrayType((params["length"], *a.type.shape), a.type.dtype)) for a in inner]
    outputs = (*(scan.outputs[k] for k in left), *scan.outputs[params["carry"] :], *stacks)
    inputs = (*scan.inputs[:n], *(scan.inputs[n + k] for k in left), *scan.inputs[m:])
    given = dict(zip((*body.inputs[m:], *inner), (*scan.inputs[m:], *stacks), strict=True))
    new = scan.replace(inputs=inputs, outputs=outputs, params=changed)
    return [*before, new, *(e for s in sums for e in _after(s, scan, n, given))]


def _sums(body: Program, consts: int, carry: int) -> list[_Sum]:
    """The sums of products that nothing else in the body reads."""
    uses: Counter[Atom] = Counter(a for e in body.equations for a in e.inputs if isinstance(a, Var))
    uses.update(a for a in body.outputs if isinstance(a, Var))
    producers = {v: e for e in body.equations for v in e.outputs}
    fixed = {*body.inputs[:consts], *body.constants}
    found = []
    for k in range(carry):
        total, out = body.inputs[consts + k], body.outputs[k]
        addition = producers.get(out) if isinstance(out, Var) else None
        if addition is None or addition.primitive.name != "add" or uses[total] != 1 or uses[out] != 1:
            continue
        others = [a for a in addition.inputs if a is not total]
        product = producers.get(others[0]) if len(others) == 1 and isinstance(others[0], Var) else None
        if product is None or product.primitive.name != "dot_general" or uses[product.outputs[0]] != 1:
            continue
        moving = all(isinstance(a, Var) and a not in fixed for a in product.inputs)
        if moving and product.outputs[0].type == total.type and _is_dear(product) and not _is_ample(product):
            found.append(_Sum(k, product, addition))
    return found


def _after(total: _Sum, scan: Equation, consts: int, stacks: Mapping[Var, Atom]) -> list[Equation]:
    """The product over all iterations, and where the sum began."""
    (cx, cy), (bx, by) = total.product.params["dimension_numbers"]
    numbers = tuple(
        tuple(tuple(first + tuple(k + 1 for k in axes)) for axes in pair)
        for first, pair in (((0,), (cx, cy)), ((), (bx, by)))
    )
    (out,) = total.product.outputs
    inputs = tuple(stacks[a] for a in total.product.inputs if isinstance(a, Var))
    result = Var(ArrayType(out.type.shape, out.type.dtype))
    params = dict(total.product.params) | {"dimension_numbers": numbers}
    product = total.product.replace(inputs=inputs, outputs=(result,), params=params)
    start = scan.inputs[consts + total.number]
    return [product, total.addition.replace(inputs=(start, result), outputs=(scan.outputs[total.number],))]


def _made_by(equations: Sequence[Equation]) -> set[Var]:
    return {v for e in equations for v in e.outputs}


def _parted(body: Program, given: Sequence[Var]) -> tuple[list[Equation], list[Equation]]:
    """The equations that only read what is given, and the others."""
    known: set[Atom] = {*given, *body.constants}
    early: list[Equation] = []
    late: list[Equation] = []
    for e in body.equations:
        fits = e.primitive.name != "optimization_barrier" and (_is_dear(e) or price(e) < NEVER)
        fits = fits and all(a in known for a in e.inputs if isinstance(a, Var))
        (early if fits else late).append(e)
        if fits:
            known.update(e.outputs)
    return early, late


def _is_dear(equation: Equation) -> bool:
    """Whether an equation is worth computing for all iterations at once."""
    if equation.primitive.name == "dot_general":
        return _work(equation)[0] >= LEAST_PRODUCT
    if equation.primitive.scalar is None or equation.primitive.impure or equation.primitive.effect:
        return False
    return price(equation) >= PRICES["exp"] * int(equation.outputs[0].type.nbytes)


def _is_ample(product: Equation) -> bool:
    """Whether a product is as fast by itself as together with those of other iterations, which take memory."""
    return all(work >= least for work, least in zip(_work(product), AMPLE, strict=True))


def _work(product: Equation) -> tuple[int, int]:
    """Multiplications of a product, and terms of each of its sums."""
    (contracted, _), _ = product.params["dimension_numbers"]
    inner: int = math.prod(product.inputs[0].type.shape[k] for k in contracted)
    return int(product.outputs[0].type.size) * inner, inner


def _moved(
    scan: Equation, known: Program, before: Sequence[Var], rest: Sequence[Equation], body: Program
) -> list[Equation]:
    """What is computed before the loop, and the loop that reads it."""
    params, length = scan.params, scan.params["length"]
    n, m = params["consts"], params["consts"] + params["carry"]
    varying = {*known.inputs[n:]}
    for e in known.equations:
        if any(a in varying for a in e.inputs):
            varying.update(e.outputs)
    fixed = [v for v in before if v not in varying]
    moving = [v for v in before if v in varying]
    operands = (*scan.inputs[:n], *scan.inputs[m:])
    flags = [k >= n for k in range(len(operands))]
    equations = []
    once = [Var(v.type) for v in fixed]
    if fixed:
        alone = tuple(e for e in known.equations if varying.isdisjoint(e.outputs))  # checks of slices stay with those
        program = simplify(known.replace(equations=alone, outputs=tuple(fixed)))
        equations.append(_call(program, operands, once, scan, flags))
    stacked = [Var(ArrayType((length, *v.type.shape), v.type.dtype)) for v in moving]
    if moving:
        program = batched_program(simplify(known.replace(outputs=tuple(moving))), length, tuple(flags))
        equations.append(_call(program, operands, stacked, scan, None))
    inputs = (*body.inputs[:n], *fixed, *body.inputs[n:], *moving)
    changed = dict(params) | {
        "program": body.replace(inputs=inputs, equations=tuple(rest)),
        "consts": n + len(fixed),
    }
    given = (*scan.inputs[:n], *once, *scan.inputs[n:], *stacked)
    return [*equations, scan.replace(inputs=given, params=changed)]


def _call(
    program: Program, operands: Sequence[Atom], outputs: Sequence[Var], scan: Equation, flags: Sequence[bool] | None
) -> Equation:
    """A call of a program; where slices are flagged, its inputs for these are not there."""
    inputs = tuple(operands)
    if flags is not None:
        inputs = tuple(a for a, f in zip(operands, flags, strict=True) if not f)
        program = program.replace(inputs=tuple(v for v, f in zip(program.inputs, flags, strict=True) if not f))
    return Equation(call, inputs, tuple(outputs), {"program": program, "name": "hoisted"}, scan.source)
