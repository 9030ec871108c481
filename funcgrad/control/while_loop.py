"""How does a loop of unknown length look in a program?  The primitive ``while``, and ``while_pull``, its pullback.

`cond` is ``(its constants, carry) -> bool``, `body` is ``(its constants, carry) -> carry``. The number of iterations
is known only when the loop has ended, so its pullback is an operation by itself: it runs the loop again, keeps the
carry of every iteration on a tape that grows, and walks back along it.

With J the derivative of the loop, ``while_pull`` is (x, ct) -> Jᵀct. The loop over pairs (x, dx) computes J dx beside,
and *its* pullback of (dct, ct) has the components Jᵀct (by dx) and Jᵀdct + (dJ[dx])ᵀct (by x): the value and the
tangent of ``while_pull``. So the loop over pairs serves derivatives of every order.

With `snapshots` there is no tape: only so many carries are kept (see `funcgrad.control.revolve`).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad.control import revolve
from funcgrad.control.bodies import (
    Flags,
    batched_program,
    chosen,
    filled,
    placed,
    program_of,
    pulled,
    pushed,
    reached,
    same_types,
    settled,
    smooth,
    strong,
)
from funcgrad.control.cond import loop_over_examples
from funcgrad.control.scan import scan
from funcgrad.ir.interpret import interpret
from funcgrad.ir.primitive import Pullback, Values
from funcgrad.ir.program import Program
from funcgrad.ir.types import ArrayType
from funcgrad.ops.families import Operation, repeat
from funcgrad.trace.builder import evaluate
from funcgrad.trace.frame import bind, type_of
from funcgrad.trace.tracer import known
from funcgrad.transform.transpose import Loop, counted


class Parts(NamedTuple):
    """Operands of a loop by role; `cts` are the cotangents of the floats in the carry, for ``while_pull``."""

    cond: tuple[Any, ...]
    body: tuple[Any, ...]
    carry: tuple[Any, ...]
    cts: tuple[Any, ...] = ()


def parts(values: Sequence[Any], params: dict[str, Any]) -> Parts:
    """The operands by role."""
    values = tuple(values)
    first, second = params["cond_consts"], params["cond_consts"] + params["body_consts"]
    third = second + len(params["body"].outputs)
    return Parts(values[:first], values[first:second], values[second:third], values[third:])


def _check(given: Parts, cond: Program, body: Program) -> None:
    same_types("while", "the operands of cond", (*given.cond, *given.carry), cond.input_types)
    same_types("while", "the operands of body", (*given.body, *given.carry), body.input_types)
    same_types("while", "the carry after one iteration", body.output_types, given.carry)
    same_types("while", "the values of cond", cond.output_types, (ArrayType((), np.dtype(np.bool_)),))


def _infer(
    *types: ArrayType, cond: Program, body: Program, cond_consts: int, body_consts: int, snapshots: int = 0
) -> Any:
    given = parts(types, {"cond_consts": cond_consts, "body_consts": body_consts, "body": body})
    _check(given, cond, body)
    return strong(body.output_types)


def _reference(
    *inputs: Any, cond: Program, body: Program, cond_consts: int, body_consts: int, snapshots: int = 0
) -> Values:
    given = parts(inputs, {"cond_consts": cond_consts, "body_consts": body_consts, "body": body})
    state: list[Any] = list(given.carry)
    while interpret(cond, [*given.cond, *state])[0]:
        state = interpret(body, [*given.body, *state])
    return tuple(np.array(x) for x in state)


# Forward mode ---------------------------------------------------------------------------------------------------------


class _Dual(NamedTuple):
    """The loop over pairs: parameters, and which constants of the body and which part of the carry have tangents."""

    params: dict[str, Any]
    consts: Flags
    carry: Flags

    def operands(self, given: Parts, consts: Sequence[Any], carry: Sequence[Any]) -> tuple[Any, ...]:
        """The operands: the loop's, each role followed by its tangents."""
        return (*given.cond, *given.body, *consts, *given.carry, *carry)


def _dual(params: dict[str, Any], types: Parts, consts: Flags, carry: Flags) -> _Dual:
    """The loop that carries tangents along, of the flagged constants and of what of the carry they reach."""
    cond, body = params["cond"], params["body"]
    able = smooth(body.output_types)

    def step(flags: Flags) -> Sequence[bool]:
        return [a and b for a, b in zip(reached(body, (*consts, *flags)), able, strict=True)]

    moves = settled(step, carry)
    pair = pushed(body, (*consts, *moves))
    n, nc, nt = len(types.carry), params["body_consts"], sum(consts)

    def dual_body(*values: Any) -> list[Any]:
        c, tc = values[:nc], values[nc : nc + nt]
        s, ts = values[nc + nt : nc + nt + n], values[nc + nt + n :]
        results = evaluate(pair, [*c, *s, *tc, *ts], bind)
        return [*results[:n], *chosen(placed(results[n:], able), moves)]

    def dual_cond(*values: Any) -> list[Any]:
        return evaluate(cond, values[: len(cond.inputs)], bind)

    carry_types = strong(types.carry)
    tangents = chosen(carry_types, moves)
    const_types = strong(types.body)
    changed = {
        "body": program_of(dual_body, [*const_types, *chosen(const_types, consts), *carry_types, *tangents]),
        "cond": program_of(dual_cond, [*strong(types.cond), *carry_types, *tangents]),
        "body_consts": nc + nt,
    }
    return _Dual(params | changed, consts, moves)


def _types(values: Parts) -> Parts:
    return Parts(*(tuple(map(type_of, group)) for group in values))


def _jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
    given, t = parts(inputs, params), parts(tangents, params)
    able = smooth(_types(given).carry)
    moving = [a and x is not None for a, x in zip(able, t.carry, strict=True)]
    dual = _dual(params, _types(given), tuple(x is not None for x in t.body), tuple(moving))
    starts = filled(chosen(t.carry, dual.carry), chosen(_types(given).carry, dual.carry))
    outputs = bind(while_, *dual.operands(given, [x for x in t.body if x is not None], starts), **dual.params)
    n = len(given.carry)
    return outputs[:n], tuple(placed(outputs[n:], dual.carry))


# A loop whose operands are known can be counted: as a scan of that length, it leaves residuals ------------------------


def _counted(inputs: Values, params: dict[str, Any]) -> Loop | None:
    """The loop as a scan, where the number of iterations can be found out now, without effects that the scan has."""
    values = [known(x) for x in inputs]
    if any(x is None for x in values):
        return None
    body, index = params["body"], ArrayType((), np.dtype(np.int64))
    read = {a for equation in body.equations for a in equation.inputs} | set(body.outputs)
    quiet = body.replace(equations=tuple(e for e in body.equations if not e.primitive.impure or read & {*e.outputs}))

    def cond(*values: Any) -> list[Any]:
        return evaluate(params["cond"], values[:-1], bind)

    def step(*values: Any) -> list[Any]:
        return [*evaluate(quiet, values[:-1], bind), values[-1] + 1]

    counting = {
        "cond": program_of(cond, [*params["cond"].input_types, index]),
        "body": program_of(step, [*body.input_types, index]),
    }
    length = int(while_.compute((*values, np.int64(0)), params | counting)[-1])
    taken = {"program": body, "consts": params["body_consts"], "carry": len(body.outputs), "length": length}
    snapshots = revolve.enough(length) if params.get("snapshots") else 0
    return scan, inputs[params["cond_consts"] :], {**taken, "reverse": False, "snapshots": snapshots}


counted["while"] = _counted


# Reverse mode ---------------------------------------------------------------------------------------------------------


def _vjp(inputs: Values, wanted: Sequence[bool], params: dict[str, Any]) -> tuple[Values, Pullback]:
    given, want = parts(inputs, params), parts(wanted, params)
    outputs = bind(while_, *inputs, **params)
    types = _types(given)
    able = smooth(types.carry)

    def pullback(cotangents: Values) -> Values:
        if params.get("snapshots"):
            sums = revolve.pull_while(given, params, cotangents)
        else:
            cts = filled(chosen(cotangents, able), chosen(types.carry, able))
            sums = list(bind(while_pull, *inputs, *cts, **params))
        found = placed(sums, (*smooth(types.body), *able))
        wanted_ones = zip(found, (*want.body, *want.carry), strict=True)
        return (*(None for _ in given.cond), *(ct if w else None for ct, w in wanted_ones))

    return outputs, pullback


@functools.lru_cache(maxsize=512)
def backward(body: Program, consts: int) -> Program:
    """One iteration backwards: ``(constants, carry, sums, cotangents) -> (sums, cotangents)``, where the sums are
    those of the cotangents of smooth constants, and the other cotangents are the smooth carry's.
    """
    able = smooth(body.input_types)
    pull, count, n = pulled(body, able), len(body.outputs), len(body.inputs)
    types = strong(body.input_types)
    totals, cts = chosen(types[:consts], able[:consts]), chosen(types[consts:], able[consts:])

    def step(*values: Any) -> list[Any]:
        inputs, sums, given = values[:n], values[n : n + len(totals)], values[n + len(totals) :]
        found = evaluate(pull, [*inputs, *given], bind)[count:]
        return [*(x + ct for x, ct in zip(sums, found, strict=False)), *found[len(totals) :]]

    return program_of(step, [*types, *totals, *cts])


def _pull_infer(*types: ArrayType, cond: Program, body: Program, cond_consts: int, body_consts: int) -> Any:
    given = parts(types, {"cond_consts": cond_consts, "body_consts": body_consts, "body": body})
    _check(given, cond, body)
    able = chosen(given.carry, smooth(given.carry))
    same_types("while_pull", "the cotangents", given.cts, able)
    return strong((*chosen(given.body, smooth(given.body)), *able))


def _pull_reference(*inputs: Any, cond: Program, body: Program, cond_consts: int, body_consts: int) -> Values:
    given = parts(inputs, {"cond_consts": cond_consts, "body_consts": body_consts, "body": body})
    tape: list[list[Any]] = []
    state: list[Any] = list(given.carry)
    while interpret(cond, [*given.cond, *state])[0]:
        tape.append(state)
        state = interpret(body, [*given.body, *state])
    back = backward(body, body_consts)
    found: list[Any] = [np.zeros_like(x) for x in chosen(given.body, smooth(_types(given).body))]
    found += given.cts
    for before in reversed(tape):
        found = interpret(back, [*given.body, *before, *found])
    return tuple(np.array(x) for x in found)


def _pull_dual(
    inputs: Values, consts: Sequence[Any], carry: Sequence[Any], cts: Sequence[Any], params: dict[str, Any]
) -> tuple[list[Any], list[Any]]:
    """``(Jᵀct, tangent)``, each for the smooth constants and the smooth carry (see the module); None is zero."""
    given = parts(inputs, params)
    types = _types(given)
    able_consts, able = smooth(types.body), smooth(types.carry)
    dual = _dual(params, types, able_consts, able)

    consts, carry = filled(consts, chosen(types.body, able_consts)), filled(carry, chosen(types.carry, able))
    operands = dual.operands(given, consts, carry)
    found = bind(while_pull, *operands, *filled(cts, types.cts), *given.cts, **dual.params)
    nc, n = len(consts), len(carry)
    by_x, by_dx = [*found[:nc], *found[2 * nc : 2 * nc + n]], [*found[nc : 2 * nc], *found[2 * nc + n :]]
    return by_dx, by_x


def _pull_jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
    given, t = parts(inputs, params), parts(tangents, params)
    types = _types(given)
    consts, carry = chosen(t.body, smooth(types.body)), chosen(t.carry, smooth(types.carry))
    values, moved = _pull_dual(inputs, consts, carry, t.cts, params)
    return tuple(values), tuple(moved)


def _pull_vjp(inputs: Values, wanted: Sequence[bool], params: dict[str, Any]) -> tuple[Values, Pullback]:
    given = parts(inputs, params)
    types = _types(given)
    able_consts, able = smooth(types.body), smooth(types.carry)
    outputs = bind(while_pull, *inputs, **params)
    nc = sum(able_consts)

    def pullback(cotangents: Values) -> Values:
        full = filled(cotangents, [type_of(x) for x in outputs])
        _, by_x = _pull_dual(inputs, full[:nc], full[nc:], [None] * len(given.cts), params)
        _, moved = _jvp(
            (*given.cond, *given.body, *given.carry),
            (*(None for _ in given.cond), *placed(full, (*able_consts, *able))),
            params,
        )
        to_cts = filled(chosen(moved, able), types.cts)
        found = (*(None for _ in given.cond), *placed(by_x, (*able_consts, *able)), *to_cts)
        return tuple(ct if w else None for ct, w in zip(found, wanted, strict=True))

    return outputs, pullback


# Batches: a condition that differs from example to example ends each example's own loop -------------------------------


def _batch_of(primitive: str) -> Any:
    def batch(size: int, inputs: Values, batched: Sequence[bool], params: dict[str, Any]) -> Any:
        operation = {"while": while_, "while_pull": while_pull}[primitive]
        flags, given = parts(batched, params), parts(inputs, params)
        body = params["body"]
        carry = settled(lambda c: reached(body, (*flags.body, *c)), flags.carry)
        if any(reached(params["cond"], (*flags.cond, *carry))):
            outputs = loop_over_examples(operation, size, inputs, batched, params)
            return outputs, (True,) * len(outputs)
        outputs = _whole(operation, size, given, flags, params)
        return outputs, (True,) * len(outputs)

    return batch


def _whole(operation: Operation, size: int, given: Parts, flags: Parts, params: dict[str, Any]) -> Values:
    """One loop for the whole batch, whose condition looks at the first example: it is the same for all."""
    body = batched_program(params["body"], size, (*flags.body, *(True,) * len(flags.carry)))
    cond = params["cond"]
    count = params["cond_consts"]

    def first(*values: Any) -> list[Any]:
        return evaluate(cond, [*values[:count], *(x[0] for x in values[count:])], bind)

    def full(values: Sequence[Any], batched: Sequence[bool]) -> list[Any]:
        return [x if b else repeat(x, size) for x, b in zip(values, batched, strict=True)]

    carry = full(given.carry, flags.carry)
    changed = {"body": body, "cond": program_of(first, [*map(type_of, given.cond), *strong(list(map(type_of, carry)))])}
    consts = full(given.body, flags.body) if given.cts else list(given.body)
    if given.cts:  # cotangents of constants are each example's own
        changed["body"] = batched_program(params["body"], size, (True,) * len(params["body"].inputs))
    return bind(operation, *given.cond, *consts, *carry, *full(given.cts, flags.cts), **params | changed)


while_ = Operation(
    name="while",
    family="structured",
    reference=_reference,
    infer=_infer,
    jvp=_jvp,
    vjp=_vjp,
    batch=_batch_of("while"),
    multiple=True,
)
while_pull = Operation(
    name="while_pull",
    family="structured",
    reference=_pull_reference,
    infer=_pull_infer,
    jvp=_pull_jvp,
    vjp=_pull_vjp,
    batch=_batch_of("while_pull"),
    multiple=True,
)
