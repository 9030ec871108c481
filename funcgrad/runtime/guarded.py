"""Does generated code keep to its memory?  `GuardedExecutable`: what runs programs under `check_memory`.

Kernels compare the place of each load and store with the length of its buffer (`lower.guards`). Library products,
sorts, transforms, convolutions and host calls know only addresses: every argument, constant, temporary and result lies
between red zones, which are looked at after each step. Buffers that nobody has written hold the zones' pattern.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from funcgrad.compile import native
from funcgrad.compile.native import Step, slowcall
from funcgrad.compile.native.driver import STEP_WORDS
from funcgrad.errors import LINE, MemoryCheckError, at_line
from funcgrad.ir.program import Program
from funcgrad.lower.calls import Call
from funcgrad.lower.chains import Chain, apart
from funcgrad.lower.guards import ACCESSES, failed_access, guarded
from funcgrad.lower.plan import ALIGNMENT, ZONE, Plan
from funcgrad.lower.plan import Step as PlannedStep
from funcgrad.lower.schedule import KernelStep
from funcgrad.lower.structured import Structured
from funcgrad.runtime.executable import Executable
from funcgrad.runtime.profiling.explain import explain
from funcgrad.runtime.refusals import Names
from funcgrad.runtime.structured import everywhere, regions

PATTERN = 0xFB  # -2.6e36 in float32
BUG = "This is a mistake in funcgrad, not in your code: please report it."


class Place(NamedTuple):
    """Bytes of the memory of a call that may be written, and whose they are."""

    first: int
    end: int
    what: str


class GuardedExecutable(Executable):
    """A program that is looked after while it runs; it has no native entries."""

    def __init__(self, program: Program, donated: Collection[int] = ()) -> None:
        self._checked: dict[int, KernelStep] = {}
        self._accesses: list[tuple[KernelStep, int]] = []  # for each code, the kernel and which of its accesses it is
        self._origins: list[PlannedStep] = []  # of native steps
        super().__init__(program, donated)
        self._memory = _Memory(self)

    def __call__(
        self, leaves: Sequence[Any], names: Names | None = None
    ) -> tuple[list[Any], Callable[[list[Any]], Any] | None]:
        """The results; no native entry.

        Raises
        ------
        MemoryCheckError
            Something else was read or written than what is there for it.
        """
        _, descriptor = self.entry_for(leaves)
        ready = slowcall.prepare(descriptor, leaves)
        call = self._memory.call(ready)
        if slowcall.is_parallel(descriptor):
            native.runtime().start_pool()
        for number, step in enumerate(self._origins):
            status = native.runtime().run(ready.steps + 8 * STEP_WORDS * number, 1, ready.frame)
            if status:
                self.fail(names, status, leaves)
            broken = call.broken_zone()
            if broken:
                raise self._error(step, f"has written {broken}")
        call.finish(ready.results)
        return list(ready.results), None

    def failure(self, status: int) -> BaseException:
        """What a status tells of."""
        code, place = failed_access(status)
        number = code - self._first_code
        if number < 0:
            return super().failure(status)
        step, access = self._accesses[number]
        buffer, stores = divmod(access, ACCESSES)
        length = self._lowered(step).sizes[-1 - len(step.buffers) + buffer]
        does = f"{'stores to' if stores else 'loads from'} place {place}"
        return self._error(step, f"{does} of buffer {buffer} ({step.buffers[buffer].type}), which has {length} places")

    @property
    def _first_code(self) -> int:
        return self.plan.first_status + len(self.plan.failures)

    def _lowered(self, step: KernelStep) -> KernelStep:
        if id(step) not in self._checked:
            self._checked[id(step)] = guarded(step, self._first_code + len(self._accesses))
            self._accesses += [(step, k) for k in range(ACCESSES * len(step.buffers))]
        return self._checked[id(step)]

    def _native_steps(self, plan: Plan) -> list[Step]:
        if plan is not self.plan:
            return super()._native_steps(plan)
        self._origins, steps = [], []
        for step in plan.steps:
            made = super()._native_steps(replace(plan, steps=[step]))
            self._origins += [step] * len(made)
            steps += made
        return steps

    def _error(self, step: PlannedStep, what: str) -> MemoryCheckError:
        """What a step of the program has done, with what it computes, and for which of the user's lines."""
        for plan in everywhere(self.plan):
            for number, whole in enumerate(plan.steps):
                if step is whole or step in apart([whole]):
                    computes, lines, _ = explain(plan)[id(whole)]
                    where = "".join(f"{LINE}{line.file}:{line.number} (in {line.function})" for line in lines)
                    return MemoryCheckError(f"Step {number}, a {_kind(step)} ({computes}), {what}. {BUG}{where}")
        raise LookupError("the step is none of the program's")


def _kind(step: PlannedStep) -> str:
    names = {KernelStep: "kernel", Call: "call", Structured: "loop or branch", Chain: "product with a kernel behind it"}
    return names.get(type(step), "library product")


class _Memory:
    """Where everything lies that a program reads and writes: every buffer between red zones."""

    def __init__(self, executable: Executable) -> None:
        plan, slots, template = executable.plan, executable._slots, executable._template
        self.places: list[Place] = []
        self.end = ZONE
        given = [(v, f"argument {k}") for k, v in enumerate(plan.program.inputs)]
        made = [(v, f"result {k}") for k, v in enumerate(plan.outputs)]
        constants = [(slot, x) for slot, x in enumerate(template) if isinstance(x, np.ndarray)]
        self.slots: dict[int, Place] = {}
        for v, what in (*given, *made):
            if slots[v] not in self.slots:  # a result may lie over an argument
                self.slots[slots[v]] = self._add(v.type.nbytes, what)
        self.inputs = [self.slots[slots[v]] for v, _ in given]
        self.outputs = [self.slots[slots[v]] for v, _ in made]
        self.constants = [(self._add(x.nbytes, f"the constant in slot {slot}"), x) for slot, x in constants]
        self.slots |= {slot: place for (slot, _), (place, _) in zip(constants, self.constants, strict=True)}
        arena = self.end
        self.temporaries = {slot: arena + offset for slot, offset in enumerate(template) if isinstance(offset, int)}
        self.places += sorted(_temporaries(plan, arena))
        self.end += plan.arena_bytes + ZONE
        free = np.ones(self.end, bool)
        for first, end, _ in self.places:
            free[first:end] = False
        self.zones = np.flatnonzero(free)

    def _add(self, size: int, what: str) -> Place:
        place = Place(self.end, self.end + size, what)
        self.places.append(place)
        self.end += -(-size // ALIGNMENT) * ALIGNMENT + ZONE
        return place

    def call(self, ready: slowcall.Prepared) -> _Call:
        """The memory of one call, whose frame leads there."""
        whole = np.full(self.end + ALIGNMENT, PATTERN, np.uint8)
        start = -whole.ctypes.data % ALIGNMENT
        memory = whole[start : start + self.end]
        address = memory.ctypes.data
        arguments: Any = ready.keep[1]
        known = [*zip(self.inputs, arguments, strict=True), *self.constants]
        for place, x in known:
            memory[place.first : place.end] = _bytes(x)
        for slot, place in self.slots.items():
            ready.table[slot] = address + place.first
        for slot, offset in self.temporaries.items():
            ready.table[slot] = address + offset
        return _Call(self, memory, [(place, x) for place, x in known if place not in self.outputs])


class _Call:
    """The memory of one call."""

    def __init__(self, layout: _Memory, memory: np.ndarray, known: list[tuple[Place, Any]]) -> None:
        self.layout, self.memory, self.known = layout, memory, known

    def broken_zone(self) -> str:
        """Where something was written between buffers; empty if nowhere."""
        zones = self.layout.zones
        broken = self.memory[zones] != PATTERN
        if not broken.any():
            return ""
        byte = int(zones[np.argmax(broken)])
        number = bisect.bisect(self.layout.places, byte, key=lambda place: place.first) - 1
        whose = self.layout.places[max(number, 0)]
        where = f"{byte - whose.end} bytes behind" if number >= 0 else f"{whose.first - byte} bytes before"
        return f"{where} {whose.what}"

    def finish(self, results: list[np.ndarray]) -> None:
        """Copy the results, if what was given is as it was."""
        for place, x in self.known:
            if not np.array_equal(self.memory[place.first : place.end], _bytes(x)):
                raise MemoryCheckError(f"The call has changed {place.what}. {BUG}{at_line()}")
        for place, result in zip(self.layout.outputs, results, strict=True):
            _bytes(result)[:] = self.memory[place.first : place.end]


def _bytes(x: Any) -> np.ndarray:
    """The memory of a contiguous array, as bytes."""
    return np.asarray(x).reshape(-1).view(np.uint8)


def _temporaries(plan: Plan, base: int) -> Iterator[Place]:
    """Those of a plan whose arena begins at `base`, and of its bodies."""
    inside = {arena for region in regions(plan) for arena in region.arenas}
    for v, offset in plan.offsets.items():
        if v not in inside:
            yield Place(base + offset, base + offset + v.type.nbytes, f"a temporary ({v.type})")
    for region in regions(plan):
        for number, (inner, arena) in enumerate(zip(region.plans, region.arenas, strict=True)):
            start = base + plan.offsets[arena]
            if not number and region.tape is None and region.equation.primitive.name.startswith("while"):
                yield Place(start, start + 1, "the answer of a condition")
            yield from _temporaries(inner, start)
