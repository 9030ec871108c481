"""How does reverse mode go back through a loop with memory for a few carries only?  It keeps some, and runs the loop
again between them, as Griewank & Walther (2000), "Revolve", have it.

With S kept carries and every iteration run again at most r times, C(S + r, S) iterations can be gone back through: 20
carries and 8 times are enough for three million. The carries lie in a stack, the latest on top, with the numbers of the
iterations that they belong to. To go back through iteration i, the stack is filled up towards i as the formula
says, the rest of the way is run without keeping anything, and i is differentiated.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad.control.bodies import Flags, chosen, filled, in_front, placed, program_of, pulled, smooth, strong
from funcgrad.ir.primitive import Values
from funcgrad.ir.program import Program
from funcgrad.ir.types import ArrayType
from funcgrad.ops.dynamic import dynamic_slice, dynamic_update_slice
from funcgrad.ops.families import operation, repeat, zero
from funcgrad.ops.shape import reshape
from funcgrad.trace.builder import evaluate, trace
from funcgrad.trace.frame import bind, type_of

INT64 = np.dtype(np.int64)
MANY = 1 << 62  # iterations: no loop has more
MOST_ROUNDS = 64  # of the table: a few carries for very many iterations are not shared out at best
Advance = Callable[[Any, Sequence[Any]], Sequence[Any]]


def enough(length: int) -> int:
    """A number of kept carries for a loop of `length` iterations: its logarithm, so that each is run a few times."""
    return max(2, length.bit_length())


@functools.cache
def reach(snapshots: int, length: int) -> np.ndarray:
    """``[s, r + 1]``: through how many iterations s kept carries lead if each is run r times more; r from -1 on."""
    rows: list[list[int]] = [[0] for _ in range(snapshots + 1)]
    r = 0
    while rows[snapshots][-1] < length and r < MOST_ROUNDS:
        for s, row in enumerate(rows):
            row.append(min(math.comb(s + r, s), MANY))
        r += 1
    return np.array(rows, np.int64)


class Stack(NamedTuple):
    """Kept carries.

    Attributes
    ----------
    top
        The number of the last one.
    numbers
        The iteration that each belongs to.
    slots
        For each leaf of the carry, the stack of its values.
    """

    top: Any
    numbers: Any
    slots: tuple[Any, ...]

    @classmethod
    def of(cls, values: Sequence[Any]) -> Stack:
        """The stack that `flat` took apart."""
        return cls(values[0], values[1], tuple(values[2:]))

    @classmethod
    def start(cls, carry: Sequence[Any], snapshots: int) -> Stack:
        """A stack with the first carry."""
        return cls(np.int64(0), np.zeros(snapshots, INT64), tuple(repeat(x, snapshots) for x in carry))

    @property
    def flat(self) -> tuple[Any, ...]:
        """The values in order."""
        return (self.top, self.numbers, *self.slots)

    @property
    def number(self) -> Any:
        """The iteration of the last kept carry."""
        return item(self.numbers, self.top)

    @property
    def carry(self) -> list[Any]:
        """The last kept carry."""
        return [item(x, self.top) for x in self.slots]

    def pushed(self, number: Any, carry: Sequence[Any]) -> Stack:
        """With one more."""
        top = self.top + 1
        slots = tuple(written(x, top, y) for x, y in zip(self.slots, carry, strict=True))
        return Stack(top, written(self.numbers, top, number), slots)


def item(x: Any, i: Any) -> Any:
    """``x[i]``."""
    shape = type_of(x).shape[1:]
    starts = (i, *(np.int64(0) for _ in shape))
    return reshape(dynamic_slice(x, *starts, slice_sizes=(1, *shape)), shape=shape)


def written(x: Any, i: Any, value: Any) -> Any:
    """`x` with `value` at `i`."""
    starts = (i, *(np.int64(0) for _ in type_of(value).shape))
    return dynamic_update_slice(x, reshape(value, shape=(1, *type_of(value).shape)), *starts)


def repeated(test: Callable[..., Any], step: Callable[..., Sequence[Any]], state: Sequence[Any]) -> Values:
    """A loop of unknown length on flat values; what the functions use from outside are tracers."""
    types = strong([type_of(x) for x in state])
    cond, cond_consts = trace(lambda *xs: [test(*xs)], types)
    body, body_consts = trace(lambda *xs: list(step(*xs)), types)
    sizes = {"cond_consts": len(cond_consts), "body_consts": len(body_consts)}
    return bind(operation("while"), *cond_consts, *body_consts, *state, cond=cond, body=body, **sizes)


def run(advance: Advance, start: Any, stop: Any, carry: Sequence[Any]) -> Sequence[Any]:
    """The carry of iteration `stop`, from that of iteration `start`."""

    def step(i: Any, *carry: Any) -> list[Any]:
        return [i + 1, *advance(i, carry)]

    return repeated(lambda i, *_: i < stop, step, (start, *carry))[1:]


def onwards(advance: Advance, stack: Stack, i: Any, length: int) -> tuple[Sequence[Any], Stack]:
    """The carry of iteration `i`, and the stack with what was kept on the way there."""
    snapshots = type_of(stack.numbers).shape[0]
    table = reach(snapshots, length)
    rounds = table.shape[1]

    def more(top: Any, numbers: Any, *_: Any) -> Any:
        return (top < snapshots - 1) & (item(numbers, top) < i)

    def keep(*values: Any) -> tuple[Any, ...]:
        stack = Stack.of(values)
        first, left = stack.number, snapshots - stack.top
        way = i + 1 - first

        def entry(s: Any, r: Any) -> Any:
            window = dynamic_slice(table, s, r, slice_sizes=(1, 1))
            return reshape(window, shape=())

        row = reshape(dynamic_slice(table, left, np.int64(0), slice_sizes=(1, rounds)), shape=(rounds,))
        short = operation("reduce_sum")((row < way).astype(INT64), axes=(0,))
        column = operation("min")(short, np.int64(rounds - 1))  # of the fewest rounds that suffice
        far = operation("max")(entry(left, column - 2), way - entry(left - 1, column))
        after = first + operation("min")(operation("max")(far, np.int64(1)), way - 1)
        return stack.pushed(after, run(advance, first, after, stack.carry)).flat

    stack = Stack.of(repeated(more, keep, stack.flat))
    return run(advance, stack.number, i, stack.carry), stack


def popped(stack: Stack, i: Any) -> Stack:
    """Without the carry of iteration `i`, which is done with."""
    return stack._replace(top=stack.top - ((stack.number == i) & (stack.top > 0)).astype(INT64))


# scan -----------------------------------------------------------------------------------------------------------------


def pull_scan(given: Any, want: Any, moves: Flags, params: dict[str, Any], cotangents: Values) -> Values:
    """The cotangents of the operands of a scan that keeps ``params["snapshots"]`` carries.

    `given` are its operands by role, `want` says by which of them it is differentiated, `moves` which part of the
    carry has cotangents.
    """
    n, length, types = params["carry"], params["length"], params["program"].output_types
    able, outer = smooth(types), in_front(types[n:], length)
    stack = Stack.start(given.carry, params["snapshots"])
    totals = strong(chosen([type_of(x) for x in given.consts], want.consts))
    carried = strong(chosen([type_of(x) for x in given.carry], moves))
    fixed = (*given.consts, *given.xs)
    state = (np.int64(length), *stack.flat, *map(zero, totals), *filled(chosen(cotangents[:n], moves), carried))
    stacked = (*given.xs, *filled(chosen(cotangents[n:], able[n:]), chosen(outer, able[n:])))
    kinds = [type_of(x) for x in (*fixed, *state)]
    slices = [ArrayType(type_of(x).shape[1:], type_of(x).dtype) for x in stacked]
    body = _scan_body(given, want, moves, params, len(stack.flat))
    sizes = {"consts": len(fixed), "carry": len(state), "length": length, "reverse": not params["reverse"]}
    step = program_of(body, strong([*kinds, *slices]))
    results = iter(bind(operation("scan"), *fixed, *state, *stacked, program=step, **sizes)[1 + len(stack.flat) :])
    ct_consts, ct_carry, ct_xs = (placed(results, flags) for flags in (want.consts, moves, want.xs))
    return (*ct_consts, *(ct if w else None for ct, w in zip(ct_carry, want.carry, strict=True)), *ct_xs)


def _scan_body(given: Any, want: Any, moves: Flags, params: dict[str, Any], depth: int) -> Callable[..., list[Any]]:
    """One iteration backwards: ``(constants, whole xs; iterations left, stack, sums, cotangents; slices, cotangents of
    results) -> (iterations left, stack, sums, cotangents; cotangents of slices)``.
    """
    program: Program = params["program"]
    n, length, types = params["carry"], params["length"], program.output_types
    able, consts, xs = smooth(types), len(given.consts), len(given.xs)
    pull = pulled(program, (*want.consts, *moves, *want.xs))

    def body(*values: Any) -> list[Any]:
        rest = iter(values)

        def take(count: int) -> list[Any]:
            return [next(rest) for _ in range(count)]

        same, whole, (left,), kept = take(consts), take(xs), take(1), Stack.of(take(depth))
        sums, state, slices = take(sum(want.consts)), iter(take(sum(moves))), take(xs)

        def advance(j: Any, carry: Sequence[Any]) -> Sequence[Any]:
            place = length - 1 - j if params["reverse"] else j
            return evaluate(program, [*same, *carry, *(item(x, place) for x in whole)], bind)[:n]

        i = left - 1
        carry, kept = onwards(advance, kept, i, length)
        roles = [(k, t) for k, t in enumerate(types) if able[k]]
        cts = [next(rest) if k >= n else next(state) if moves[k] else zero(t) for k, t in roles]
        found = evaluate(pull, [*same, *carry, *slices, *cts], bind)[len(types) :]
        late = [x + ct for x, ct in zip(sums, found, strict=False)]
        return [i, *popped(kept, i).flat, *late, *found[len(sums) :]]

    return body


# while ----------------------------------------------------------------------------------------------------------------


def pull_while(given: Any, params: dict[str, Any], cotangents: Values) -> list[Any]:
    """The cotangents of the smooth constants of the body and of the smooth carry of a ``while``, whose iterations are
    counted first.
    """
    cond, body = params["cond"], params["body"]
    flags = smooth(body.input_types)
    pull, outputs = pulled(body, flags), len(body.outputs)
    consts, tests = len(given.body), len(given.cond)
    totals = strong(chosen(body.input_types[:consts], flags[:consts]))
    able = flags[consts:]

    def function(*values: Any) -> Values:
        rest = iter(values)

        def take(count: int) -> list[Any]:
            return [next(rest) for _ in range(count)]

        same_test, same, carry, cts = take(tests), take(consts), take(outputs), list(rest)
        stack = Stack.start(carry, params["snapshots"])
        depth = len(stack.flat)

        def advance(_: Any, carry: Sequence[Any]) -> Sequence[Any]:
            return evaluate(body, [*same, *carry], bind)

        def back(left: Any, *values: Any) -> list[Any]:
            i, kept, sums = left - 1, Stack.of(values[:depth]), values[depth : depth + len(totals)]
            carry, kept = onwards(advance, kept, i, MANY)
            state = values[depth + len(totals) :]
            found = evaluate(pull, [*same, *carry, *state], bind)[outputs:]
            late = [x + ct for x, ct in zip(sums, found, strict=False)]
            return [i, *popped(kept, i).flat, *late, *found[len(totals) :]]

        def going(_: Any, *carry: Any) -> Any:
            return evaluate(cond, [*same_test, *carry], bind)[0]

        count = repeated(going, lambda i, *carry: [i + 1, *advance(i, carry)], (np.int64(0), *carry))[0]
        state = (count, *stack.flat, *(np.zeros(t.shape, t.dtype) for t in totals), *cts)
        return repeated(lambda left, *_: left > 0, back, state)[1 + depth :]

    able_types = strong(chosen(body.output_types, able))
    operands = (*given.cond, *given.body, *given.carry, *filled(chosen(cotangents, able), able_types))
    whole = program_of(function, strong([type_of(x) for x in operands]))
    return list(bind(operation("jit"), *operands, program=whole, name="revolve"))
