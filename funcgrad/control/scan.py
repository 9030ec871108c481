"""How does a loop over the leading axis of arrays look in a program?  The primitive ``scan``.

Its operands are constants (the same in every iteration), a carry, and arrays whose slices each iteration reads; its
outputs are the last carry and the stacked results of the iterations. `program` is one iteration:
``(constants, carry, slices) -> (carry, results)``. With `snapshots`, reverse mode keeps only so many carries.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad.control import revolve
from funcgrad.control.bodies import (
    Flags,
    Parts,
    batched_program,
    chosen,
    filled,
    in_front,
    parts,
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
from funcgrad.control.sums import in_blocks
from funcgrad.ir.interpret import interpret
from funcgrad.ir.primitive import Pullback, Values
from funcgrad.ir.program import Program
from funcgrad.ir.types import ArrayType
from funcgrad.ops.families import Operation, operation, repeat, zero
from funcgrad.trace.builder import evaluate
from funcgrad.trace.frame import bind, type_of
from funcgrad.transform.partial import split
from funcgrad.transform.residuals import economical
from funcgrad.transform.vjp import instantiate


def _infer(
    *types: ArrayType, program: Program, consts: int, carry: int, length: int, reverse: bool, snapshots: int = 0
) -> Any:
    given = parts(types, {"consts": consts, "carry": carry})
    for t in given.xs:
        if t.shape[:1] != (length,):
            raise TypeError(f"scan: an array of type {t} does not have the {length} slices that the loop reads")
    slices = tuple(ArrayType(t.shape[1:], t.dtype) for t in given.xs)
    same_types("scan", "the operands", (*given.consts, *given.carry, *slices), program.input_types)
    outputs = program.output_types
    same_types("scan", "the carry after one iteration", outputs[:carry], given.carry)
    return (*strong(outputs[:carry]), *in_front(outputs[carry:], length))


def _reference(
    *inputs: Any, program: Program, consts: int, carry: int, length: int, reverse: bool, snapshots: int = 0
) -> Values:
    given = parts(inputs, {"consts": consts, "carry": carry})
    state: list[Any] = list(given.carry)
    types = in_front(program.output_types[carry:], length)
    stacks = [np.empty(t.shape, t.dtype) for t in types]
    for i in reversed(range(length)) if reverse else range(length):
        outputs = interpret(program, [*given.consts, *state, *(x[i] for x in given.xs)])
        state = outputs[:carry]
        for stack, y in zip(stacks, outputs[carry:], strict=True):
            stack[i] = y
    return (*(np.array(x) for x in state), *stacks)


# Forward mode: the tangents that move are more carry, constants and slices --------------------------------------------


def _moving_carry(program: Program, params: dict[str, Any], moving: Parts) -> Flags:
    """Which part of the carry moves sooner or later."""
    able = smooth(program.output_types)[: params["carry"]]

    def step(carry: Flags) -> Sequence[bool]:
        after = reached(program, (*moving.consts, *carry, *moving.xs))
        return [a and b for a, b in zip(after, able, strict=False)]

    return settled(step, moving.carry)


def _jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
    program: Program = params["program"]
    given, t = parts(inputs, params), parts(tangents, params)
    moving = Parts(*(tuple(x is not None for x in group) for group in t))
    carry_moves = _moving_carry(program, params, moving)
    flags = (*moving.consts, *carry_moves, *moving.xs)
    dual = pushed(program, flags)
    n, able = params["carry"], smooth(program.output_types)

    def body(*values: Any) -> list[Any]:
        rest = iter(values)

        def take(count: int) -> list[Any]:
            return [next(rest) for _ in range(count)]

        c, tc = take(params["consts"]), take(sum(moving.consts))
        s, ts = take(n), take(sum(carry_moves))
        x, tx = take(len(given.xs)), take(sum(moving.xs))
        results = evaluate(dual, [*c, *s, *x, *tc, *ts, *tx], bind)
        outputs, full = results[: len(able)], placed(results[len(able) :], able)
        return [
            *outputs[:n], *chosen(full[:n], carry_moves), *outputs[n:], *(y for y in full[n:] if y is not None),
        ]  # fmt: skip

    starts = [instantiate(x, y) for x, y, m in zip(t.carry, given.carry, carry_moves, strict=True) if m]
    operands = (
        *given.consts, *chosen(t.consts, moving.consts), *given.carry, *starts, *given.xs, *chosen(t.xs, moving.xs),
    )  # fmt: skip
    widths = (params["consts"] + sum(moving.consts), n + sum(carry_moves))
    outputs = _bind_body(body, operands, *widths, params)
    carried, rest = outputs[: widths[1]], list(outputs[widths[1] :])
    moved = iter(carried[n:])
    stacked = iter(rest[len(able) - n :])
    tangent_carry = [next(moved) if m else None for m in carry_moves]
    tangent_ys = [next(stacked) if a else None for a in able[n:]]
    return (*carried[:n], *rest[: len(able) - n]), (*tangent_carry, *tangent_ys)


def _bind_body(body: Any, operands: Sequence[Any], consts: int, carry: int, params: dict[str, Any]) -> Values:
    """A scan whose iteration is `body`, a function of flat values."""
    types = [type_of(x) for x in operands]
    slices = [ArrayType(t.shape[1:], t.dtype) for t in types[consts + carry :]]
    program = program_of(body, [*strong(types[: consts + carry]), *slices])
    changed = params | {"program": program, "consts": consts, "carry": carry}
    return bind(scan, *operands, **changed)


# Reverse mode: what the backward iterations read is stacked, unless it is the same in all of them ---------------------


class _Backward(NamedTuple):
    """What is known of the backward loop before the cotangents are.

    Attributes
    ----------
    program
        One iteration of the loop.
    unknown
        ``(residuals, cotangents of smooth outputs) -> cotangents``, of those inputs for which `found` says so.
    residuals
        What it reads, the values.
    fixed
        For each, whether it is the same in all iterations.
    want, carry_moves
        Which operands are differentiated by, and which part of the carry has cotangents.
    found
        For each input with a cotangent, whether it depends on the cotangents of the outputs; others are zero.
    """

    program: Program
    unknown: Program
    residuals: list[Any]
    fixed: list[bool]
    want: Parts
    carry_moves: Flags
    found: Flags


def _vjp(inputs: Values, wanted: Sequence[bool], params: dict[str, Any]) -> tuple[Values, Pullback]:
    program: Program = params["program"]
    want = parts(wanted, params)
    moves = _moving_carry(program, params, want)
    if 0 < params.get("snapshots", 0) < params["length"]:
        given = parts(inputs, params)
        return bind(scan, *inputs, **params), lambda cts: revolve.pull_scan(given, want, moves, params, cts)
    joint = pulled(program, (*want.consts, *moves, *want.xs))
    count, consts = len(program.outputs), params["consts"]
    at_hand = [not consts <= k < consts + params["carry"] for k in range(len(program.inputs))]
    cut = economical(split(joint, [k >= len(program.inputs) for k in range(len(joint.inputs))]), at_hand)
    numbers: dict[Any, int] = {v: k for k, v in enumerate(cut.known.inputs)}
    sources = [numbers.get(a) for a in cut.known.outputs[len(cut.known.outputs) - cut.residuals :]]
    again = [k is not None and at_hand[k] for k in sources]  # operands as they are
    first = len(cut.known.outputs) - cut.residuals
    kept = [*range(count), *(first + k for k, a in enumerate(again) if not a)]

    def forward(*values: Any) -> list[Any]:
        results = evaluate(cut.known, values, bind)
        return [results[k] for k in kept]

    outputs = _bind_body(forward, inputs, consts, params["carry"], params)
    stacks = iter(outputs[count:])
    residuals = [inputs[k] if a and k is not None else next(stacks) for k, a in zip(sources, again, strict=True)]
    fixed = [k is not None and k < consts for k in sources]
    backward = _Backward(program, cut.unknown, residuals, fixed, want, moves, cut.unknown_outputs[count:])
    return outputs[:count], lambda cotangents: _pull(backward, cotangents, params)


def _pull(b: _Backward, cotangents: Values, params: dict[str, Any]) -> Values:
    """Run the loop backwards: its carry is the sums of the constants' cotangents, and the cotangents of the carry."""
    n, types = params["carry"], b.program.output_types
    able = smooth(types)
    given_types = parts(b.program.input_types, params)
    totals = strong(chosen(given_types.consts, b.want.consts))
    carried = strong(chosen(given_types.carry, b.carry_moves))
    slices = strong(chosen(given_types.xs, b.want.xs))

    def body(*values: Any) -> list[Any]:
        rest = iter(values)
        constants = iter([next(rest) for f in b.fixed if f])
        sums = [next(rest) for _ in totals]
        state = iter([next(rest) for _ in carried])
        stacked = iter([next(rest) for f in b.fixed if not f])
        read = [next(constants) if f else next(stacked) for f in b.fixed]
        cts = [
            next(rest) if k >= n else next(state) if b.carry_moves[k] else zero(t)
            for k, t in enumerate(types)
            if able[k]
        ]
        found = iter(evaluate(b.unknown, [*read, *cts], bind))
        late = [next(found) if u else zero(t) for u, t in zip(b.found, (*totals, *carried, *slices), strict=True)]
        return [*(x + ct for x, ct in zip(sums, late, strict=False)), *late[len(totals) :]]

    outer = in_front(types[n:], params["length"])
    operands = (
        *chosen(b.residuals, b.fixed),
        *map(zero, totals),
        *filled(chosen(cotangents[:n], b.carry_moves), carried),
        *chosen(b.residuals, [not f for f in b.fixed]),
        *filled(chosen(cotangents[n:], able[n:]), chosen(outer, able[n:])),
    )
    backwards = params | {"reverse": not params["reverse"]}
    results = iter(_bind_body(body, operands, sum(b.fixed), len(totals) + len(carried), backwards))
    ct_consts, ct_carry, ct_xs = (placed(results, flags) for flags in (b.want.consts, b.carry_moves, b.want.xs))
    return (*ct_consts, *(ct if w else None for ct, w in zip(ct_carry, b.want.carry, strict=True)), *ct_xs)


# Batches: every iteration works on the whole batch --------------------------------------------------------------------


def _exchanged(x: Any) -> Any:
    """`x` with its first two axes exchanged: the batch's and the loop's."""
    order = (1, 0, *range(2, len(type_of(x).shape)))
    return operation("transpose")(x, permutation=order)


def _batch(size: int, inputs: Values, batched: Sequence[bool], params: dict[str, Any]) -> Any:
    given, flags = parts(inputs, params), parts(batched, params)
    program = batched_program(params["program"], size, (*flags.consts, *(True,) * len(flags.carry), *flags.xs))
    carry = [x if b else repeat(x, size) for x, b in zip(given.carry, flags.carry, strict=True)]
    xs = [_exchanged(x) if b else x for x, b in zip(given.xs, flags.xs, strict=True)]
    outputs = bind(scan, *given.consts, *carry, *xs, **params | {"program": program})
    n = params["carry"]
    return (*outputs[:n], *map(_exchanged, outputs[n:])), (True,) * len(outputs)


scan = Operation(
    name="scan",
    family="structured",
    reference=_reference,
    infer=_infer,
    jvp=_jvp,
    vjp=_vjp,
    batch=_batch,
    expand=in_blocks,
    multiple=True,
)
