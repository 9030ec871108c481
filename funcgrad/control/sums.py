"""When does a loop that adds up become a loop over blocks?  When the terms take long, as in the gradient of a loss over
examples each of which runs a loop of its own: threads share the blocks, whose sums are added up at the end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from funcgrad.control.bodies import parts, program_of, strong
from funcgrad.dtypes import is_inexact
from funcgrad.ir.printer import all_equations
from funcgrad.ir.program import Program
from funcgrad.ir.types import ArrayType
from funcgrad.ops.families import operation, zero
from funcgrad.trace.frame import bind, type_of

BLOCK = 16  # iterations
MOST_BYTES = 1 << 25  # of the blocks' sums
ADDITIONS = ("add", "add_any")
LOOPS = ("while", "while_pull", "scan")


def in_blocks(types: Sequence[ArrayType], params: dict[str, Any]) -> Callable[..., Any] | None:
    """What computes a ``scan`` by blocks; None where it is better run as it is."""
    count, rest = divmod(params["length"], BLOCK)
    carried = strong(parts(types, params).carry)
    if count < 2 or not carried or count * sum(t.nbytes for t in carried) > MOST_BYTES:
        return None
    primitives = [e.primitive for e in all_equations(params["program"].equations)]
    if not any(p.name in LOOPS for p in primitives) or any(p.impure for p in primitives):
        return None  # the terms take no time, or their order can be told
    if not _adds_up(params["program"], params["consts"], len(carried)):
        return None

    def block(*values: Any) -> Any:
        given = parts(values, params | {"carry": 0})
        return _run(given.consts, [zero(t) for t in carried], given.xs, params, BLOCK)

    def function(*values: Any) -> list[Any]:
        given, split = parts(values, params), count * BLOCK
        pairs = [_cut(x, split) for x in given.xs]
        blocks = [_with_front(x, (count, BLOCK), 1) for x, _ in pairs]
        slices = [ArrayType(t.shape[1:], t.dtype) for t in map(type_of, blocks)]
        program = program_of(block, [*strong([type_of(x) for x in given.consts]), *slices])
        found = _run(given.consts, (), blocks, params | {"program": program, "carry": 0}, count)
        sums = [operation("reduce_sum")(x, axes=(0,)) for x in found[: len(carried)]]
        sums = [operation("add")(x, y) for x, y in zip(given.carry, sums, strict=True)]
        stacks = [_with_front(y, (split,), 2) for y in found[len(carried) :]]
        if not rest:
            return [*sums, *stacks]
        found = _run(given.consts, sums, [x for _, x in pairs], params, rest)
        joined = zip(stacks, found[len(carried) :], strict=True)
        return [*found[: len(carried)], *(operation("concatenate")(*pair, dimension=0) for pair in joined)]

    return function


def _run(consts: Sequence[Any], carry: Sequence[Any], xs: Sequence[Any], params: dict[str, Any], length: int) -> Any:
    return bind(operation("scan"), *consts, *carry, *xs, **params | {"length": length})


def _cut(x: Any, place: int) -> tuple[Any, Any]:
    """The first rows, and the others."""
    shape = type_of(x).shape
    zeros, ones = (0,) * len(shape), (1,) * len(shape)
    cut, behind = operation("slice"), (place, *zeros[1:])
    head = cut(x, start_indices=zeros, limit_indices=(place, *shape[1:]), strides=ones)
    return head, cut(x, start_indices=behind, limit_indices=shape, strides=ones)


def _with_front(x: Any, front: tuple[int, ...], axes: int) -> Any:
    """An array with other axes in the place of its first ones."""
    return operation("reshape")(x, shape=(*front, *type_of(x).shape[axes:]))


def _adds_up(program: Program, consts: int, count: int) -> bool:
    """Whether all that an iteration does with the carry is to add to it."""
    made = {v: e for e in program.equations for v in e.outputs}
    uses = Counter(id(a) for e in program.equations for a in e.inputs) + Counter(map(id, program.outputs))
    for before, after in zip(program.inputs[consts : consts + count], program.outputs, strict=False):
        equation = made.get(after)  # type: ignore[arg-type]
        if equation is None or equation.primitive.name not in ADDITIONS or not is_inexact(before.type.dtype):
            return False
        if not (any(a is before for a in equation.inputs) and uses[id(before)] == uses[id(after)] == 1):
            return False
    return True
