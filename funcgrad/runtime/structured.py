"""How does a native program run loops and branches?  Steps that hold the steps of their bodies (`native.loops`)."""

from __future__ import annotations

import contextlib
import functools
import math
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from funcgrad.compile import native
from funcgrad.compile.engine import Address
from funcgrad.compile.native import Step, loop_words
from funcgrad.compile.native.hosts import POLL
from funcgrad.ir.program import Var
from funcgrad.lower.calls import Call
from funcgrad.lower.plan import Plan
from funcgrad.lower.products import Product
from funcgrad.lower.schedule import KernelStep
from funcgrad.lower.structured import Structured, Tape

Slots = dict[Var, int]
Steps = Callable[[Plan], list[Step]]


def regions(plan: Plan) -> Iterator[Structured]:
    """The loops and branches of a plan, those within them not included."""
    return (step for step in plan.steps if isinstance(step, Structured))


def everywhere(plan: Plan) -> Iterator[Plan]:
    """A plan and the plans of its loops and branches, at any depth."""
    yield plan
    for region in regions(plan):
        for inner in region.plans:
            yield from everywhere(inner)


def add_slots(plan: Plan, slots: Slots, template: list[Any], base: int = 0) -> None:
    """Number the buffers of the bodies in a plan whose arena begins at `base`."""
    for region in regions(plan):
        for v, value in region.constants.items():
            slots[v] = len(template)
            template.append(np.ascontiguousarray(value))
        for inner, arena in zip(region.plans, region.arenas, strict=True):
            start = base + plan.offsets[arena]
            for v in (*inner.program.inputs, *inner.outputs):
                slots[v] = len(template)
                template.append(start)  # anything: the loop sets it
            for v, value in inner.program.constants.items():
                slots[v] = len(template)
                template.append(np.ascontiguousarray(value))
            for v, offset in inner.offsets.items():
                slots[v] = len(template)
                template.append(start + offset)
            add_slots(inner, slots, template, start)


def patience(plan: Plan) -> int:
    """How many iterations of a body may pass between two looks at pending signals: a power of two."""
    work = sum(_work(step) for step in plan.steps)
    return 1 << max(0, min(14, 24 - work.bit_length()))


def _work(step: Any) -> int:
    """About how many operations a step takes."""
    if isinstance(step, KernelStep):
        return math.prod(step.group.domain) if step.group else step.points
    if isinstance(step, Product):
        return step.batch * step.m * step.n * step.k // 8
    if isinstance(step, Structured):
        rounds = int(step.equation.params.get("length", 64))
        return rounds * sum(_work(inner) for plan in step.plans for inner in plan.steps)
    return 1 << 12 if isinstance(step, Call) else _work(step.product) + _work(step.tail)


def _full(region: Structured, length: int) -> loop_words.Full:
    """When the tape of a loop is full, where a part of it holds so many iterations: before the machine is."""
    each = sum(t.nbytes for t in region.equation.params["body"].output_types)
    return loop_words.Full(memory_limit() // max(each * length, 1), region.status + 1)


@functools.cache
def memory_limit() -> int:
    """How many bytes a tape may have: nine tenths of the machine's memory, or of what a container may use of it.

    Systems promise more memory than there is, and end the process that takes it.
    """
    limits = [1 << 60]
    with contextlib.suppress(AttributeError, ValueError, OSError):
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for path in ("memory.max", "memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            limits.append(int(Path("/sys/fs/cgroup", path).read_text()))
    return min(limit for limit in limits if limit > 0) // 10 * 9


class Regions:
    """Makes the steps of loops and branches; keeps the tables that they point to.

    With `polls`, loops look at pending signals now and then, for which they take the GIL.

    Attributes
    ----------
    parallel
        Whether threads share a step of some body.
    """

    def __init__(self, slots: Slots, template: Sequence[Any], steps_of: Steps, polls: bool = True) -> None:
        self.slots = slots
        self.template = template
        self.steps_of = steps_of
        self.polls = polls
        self.parallel = False
        self.kept: list[np.ndarray] = []

    def step(self, region: Structured) -> Step:
        """One loop or branch."""
        name = region.equation.primitive.name
        if region.chunk:
            return self._shared(region)
        if region.tape:
            return Step(native.loop_address("fg_while_tape"), self._tape(region, region.tape), 1, 0)
        integers = {"scan": self._scan, "while": self._while, "while_pull": self._pull, "cond": self._cond}[name]
        total = region.equation.params["length"] if name == "scan" else 1
        return Step(native.loop_address(f"fg_{name}"), integers(region), total, 0)

    def _shared(self, region: Structured) -> Step:
        """A loop over examples in pieces, each with all temporaries of the body for itself."""
        (plan,), length = region.plans, region.equation.params["length"]
        own = [v for inner in everywhere(plan) for v in (*inner.program.inputs, *inner.outputs, *inner.offsets)]
        places = {self.slots[v]: self.template[self.slots[v]] for v in own}
        start = min((place for place in places.values() if isinstance(place, int)), default=0)
        rows = [(slot, place - start) for slot, place in places.items() if isinstance(place, int)]
        whole = Step(native.loop_address("fg_scan"), self._scan(region), length, 0)
        return self.apart(whole, region.chunk, region.status, rows, plan.arena_bytes)

    def apart(self, step: Step, chunk: int, status: int, rows: Sequence[tuple[int, int]], size: int) -> Step:
        """A step in pieces, each with memory of its own for what lies in some slots: rows of a slot and a place."""
        table = self.words([*step.ints, 0])
        words = loop_words.apart_integers(step.kernel, table, status + 1, size, len(self.template), rows)
        address = native.loop_address("fg_apart")
        if not self.polls:
            return Step(address, words, step.total, chunk)
        return Step(address, [native.loop_address(POLL), status, *words], step.total, -chunk)

    def words(self, values: Sequence[int]) -> Address:
        """The address of words that live as long as the program."""
        self.kept.append(np.array(values, np.int64))
        return Address(self.kept[-1].ctypes.data, values)

    def _poll(self, every: int, status: int) -> loop_words.Poll:
        return loop_words.Poll(every if self.polls else loop_words.NEVER, status)

    def _region(self, plan: Plan) -> loop_words.Region:
        return self.table(self.steps_of(plan))

    def table(self, steps: Sequence[Step]) -> loop_words.Region:
        """Steps as the driver reads them: their address and number."""
        self.parallel |= any(step.is_shared for step in steps)
        rows = [word for s in steps for word in (s.kernel, self.words([*s.ints, 0]), s.total, s.chunk)]
        return self.words([*rows, 0]), len(steps)

    def _pairs(self, sources: Sequence[Var], targets: Sequence[Var]) -> list[tuple[int, int]]:
        return [(self.slots[a], self.slots[b]) for a, b in zip(sources, targets, strict=True)]

    def _carry(
        self, initial: Sequence[Var], results: Sequence[Var], spares: Sequence[Var], before: Any, after: Any
    ) -> list[tuple[int, int, int, int, int, int]]:
        rows = zip(initial, results, spares, before, after, strict=True)
        s = self.slots
        return [(s[a], s[b], s[c], s[d], s[e], b.type.nbytes) for a, b, c, d, e in rows]

    def _scan(self, region: Structured) -> list[int]:
        params, (plan,) = region.equation.params, region.plans
        n, m = params["consts"], params["consts"] + params["carry"]
        given, outputs = region.operands, region.equation.outputs
        inputs, results, count = plan.program.inputs, plan.outputs, params["carry"]
        stacked = [*zip(given[m:], inputs[m:], strict=True), *zip(outputs[count:], results[count:], strict=True)]
        slices = [(self.slots[a], self.slots[b], b.type.nbytes) for a, b in stacked]
        return loop_words.scan_integers(
            self._region(plan),
            self._poll(patience(plan), region.status),
            params["length"],
            params["reverse"],
            self._pairs(given[:n], inputs[:n]),
            self._carry(given[n:m], outputs[:count], region.spares, inputs[n:m], results[:count]),
            slices,
        )

    def _while(self, region: Structured) -> list[int]:
        outputs = region.equation.outputs
        return self._loop(region, outputs, region.spares)

    def _loop(self, region: Structured, results: Sequence[Var], spares: Sequence[Var]) -> list[int]:
        params, (cond, body) = region.equation.params, region.plans[:2]
        n, m = params["cond_consts"], params["cond_consts"] + params["body_consts"]
        given = region.operands
        before = body.program.inputs[m - n :]
        initial = given[m : m + len(before)]
        pairs = self._pairs((*given[:n], *before), cond.program.inputs)
        pairs += self._pairs(given[n:m], body.program.inputs[: m - n])
        carry = self._carry(initial, results, spares, before, body.outputs)
        return loop_words.while_integers(
            self._region(cond),
            self._region(body),
            self._poll(patience(body), region.status),
            self.slots[cond.outputs[0]],
            pairs,
            carry,
        )

    def _pull(self, region: Structured) -> list[int]:
        params, (_, body, back) = region.equation.params, region.plans
        count, consts = len(body.outputs), params["body_consts"]
        first, second, spares = region.spares[:count], region.spares[count : 2 * count], region.spares[2 * count :]
        before = body.program.inputs[consts:]
        inputs, moving = back.program.inputs[: consts + count], back.program.inputs[consts + count :]
        given = region.operands[params["cond_consts"] :]
        split = len(region.equation.inputs) - params["cond_consts"]  # zeros for the sums stand behind the operands
        cts, zeros = given[consts + count : split], given[split:]
        tape = [(self.slots[a], self.slots[b], a.type.nbytes) for a, b in zip(before, inputs[consts:], strict=True)]
        return loop_words.pull_integers(
            self._loop(region, first, second),
            _full(region, 1),
            self._region(back),
            self._pairs(given[:consts], inputs[:consts]),
            tape,
            self._carry((*zeros, *cts), region.equation.outputs, spares, moving, back.outputs),
        )

    def _tape(self, region: Structured, tape: Tape) -> list[int]:
        ahead, back = map(self._region, region.plans)
        begin, turn = (
            [(self.slots[a], self.slots[b], b.type.nbytes) for a, b in pairs] for pairs in (tape.begin, tape.turn)
        )
        parts = [(self.slots[v], 0, v.type.nbytes // tape.length) for v in tape.sections]
        return loop_words.tape_integers(
            ahead,
            back,
            self._poll(1, region.status),
            _full(region, tape.length),
            (self.slots[tape.count], self.slots[tape.holds]),
            tape.length,
            (begin, turn, parts),
        )

    def _cond(self, region: Structured) -> list[int]:
        number, *given = region.operands
        outputs = region.equation.outputs
        branches = [
            (
                self._region(plan),
                [*self._pairs(given, plan.program.inputs), *self._pairs(outputs, plan.outputs)],
            )
            for plan in region.plans
        ]
        return loop_words.cond_integers(self.slots[number], branches)
