"""What runs a program?  `Executable`: its kernels, compiled; a native entry per kind of arguments;
and the way around it.

Operations that have no kernels are steps that call NumPy.
"""

from __future__ import annotations

import copy
import functools
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import accumulate
from typing import Any, NamedTuple, NoReturn

import numpy as np

from funcgrad import config, forks
from funcgrad.array import Array
from funcgrad.compile import native
from funcgrad.compile.compiler import Code, compile_kernels, printed
from funcgrad.compile.cpus import streaming_pays, target
from funcgrad.compile.engine import Address
from funcgrad.compile.native import (
    ArrayInput,
    Entry,
    Output,
    ScalarInput,
    Step,
    describe,
    make_entry,
    regular,
    slow_call,
)
from funcgrad.compile.native.hosts import NO_POLL, POLL
from funcgrad.compile.native.standalone import VALUES, Argument, Layout
from funcgrad.control.call import call
from funcgrad.control.cond import cond
from funcgrad.control.scan import scan
from funcgrad.control.while_loop import while_, while_pull
from funcgrad.dtypes import BFLOAT16, code
from funcgrad.errors import at_line, user_location
from funcgrad.ir.primitive import Primitive
from funcgrad.ir.printer import Writer, inner_programs
from funcgrad.ir.program import Equation, Program, Var
from funcgrad.ir.types import ArrayType
from funcgrad.lower.calls import Call, Kept
from funcgrad.lower.chains import Chain, apart
from funcgrad.lower.donation import over_arguments
from funcgrad.lower.plan import ALIGNMENT, Plan, make_plan
from funcgrad.lower.products import Product
from funcgrad.lower.schedule import Apart, KernelStep
from funcgrad.lower.streams import past_caches
from funcgrad.lower.structured import Structured, TapeTooLong
from funcgrad.runtime import attention, convolution, factors, fourier, products
from funcgrad.runtime.calls import HostCall, call_steps, with_line
from funcgrad.runtime.refusals import Names, explained
from funcgrad.runtime.structured import Regions, add_slots, everywhere
from funcgrad.simplify import simplify
from funcgrad.trace.frame import type_of
from funcgrad.trace.function import uncollected

SCALARS = (bool, int, float, complex)
LARGE = 4096  # elements of all buffers of a program that lets other Python threads run meanwhile
_lock = forks.held(threading.RLock())  # of what executables remember


class Executable:
    """A compiled program.

    Attributes
    ----------
    program
        As traced.
    plan
        As lowered.
    """

    def __init__(self, program: Program, donated: Collection[int] = ()) -> None:
        self.program = program
        self._donated = bool(donated)
        start_runtime()
        plan = make_plan(simplify(program))
        plan = over_arguments(plan, donated) if donated else plan
        self.plan = past_caches(plan) if streaming_pays() else plan
        self._hosts: dict[int, HostCall] = {}
        everything = [step for inner in everywhere(self.plan) for step in apart(inner.steps)]
        products.start(step for step in everything if isinstance(step, Product))
        if any(isinstance(step, Structured) for step in everything):
            _start_loops()
        elif any(isinstance(step, KernelStep) and POLL in step.sizes for step in everything):
            _start_polls()
        attention.start(everything)
        factors.start(everything)
        fourier.start(everything)
        convolution.start(self.plan.steps)
        self._slots, self._template = _slots(self.plan)
        add_slots(self.plan, self._slots, self._template)
        self._codes = _compiled(self.plan, self._lowered)
        self._polls = True
        self._regions = Regions(self._slots, self._template, self._native_steps)
        self._steps = self._native_steps(self.plan)
        self._entries: dict[tuple[type | None, ...], tuple[Entry, Any]] = {}
        self._lock = _lock

    def __call__(
        self, leaves: Sequence[Any], names: Names | None = None
    ) -> tuple[list[Any], Callable[[list[Any]], Any] | None]:
        """The results for known arguments, and the native entry for arguments of the same kinds.

        Where a check fails, the error says which number it refused, and in which argument, if there are `names`.
        """
        entry, descriptor = self.entry_for(leaves)
        results = entry(list(leaves))
        if isinstance(results, list):
            return results, entry
        if results is None:  # arrays of other strides, mostly
            results = entry(regular(descriptor, leaves))
        if results is None:
            results = slow_call(descriptor, leaves)
        if isinstance(results, list):
            return results, None
        self.fail(names, results, leaves)

    def fail(self, names: Names | None, status: int, leaves: Sequence[Any] | None = None) -> NoReturn:
        """Raise what a status tells of, and what the `leaves` of the call, if they are there, tell of it."""
        error = self.failure(status)
        if leaves is not None and not self._donated:  # results may lie over what was donated
            error = explained(error, self.program, leaves, names)
        raise error

    def failure(self, status: int) -> BaseException:
        """What a status tells of."""
        if status in self._hosts:
            return self._hosts[status].failure()
        code, count = status & ((1 << native.loops.COUNT_BITS) - 1), status >> native.loops.COUNT_BITS
        error, line = self.plan.failures[code - 1]
        assert error is not None
        if isinstance(error, Kept):
            return with_line(error.take(), line)
        if isinstance(error, TapeTooLong):
            error = error.after(count)
        if isinstance(error, KeyboardInterrupt):
            raised = native.interruption()
            if raised is not None and type(raised) is not KeyboardInterrupt:  # by a handler of the user's
                return raised
        return type(error)(f"{error}{at_line(line)}")

    def layout(self, name: str, portable: bool = False) -> Layout:
        """What a native function of this program is made of, for the caller called `name`.

        Loops do not look at pending signals then. With `portable` kernels are texts for the CPU to compile for, and
        every address tells what lies there.

        Raises
        ------
        NotImplementedError
            Some operation is Python code.
        """
        for host in self._hosts.values():
            raise NotImplementedError(
                f"{name}: {host.equation.primitive.name} has no native code here: it calls Python, which a function "
                f"without the interpreter's lock cannot do{at_line(host.equation.source)}"
            )
        quiet = copy.copy(self)
        quiet._polls = False
        quiet._regions = Regions(self._slots, self._template, quiet._native_steps, polls=False)
        if portable:
            self._check_portable(name)
            quiet._codes = _printed(self.plan)
        steps = quiet._native_steps(self.plan)
        inputs = zip(self.plan.program.inputs, self.plan.arguments, strict=True)
        outputs = zip(self.plan.outputs, self.plan.results, strict=True)
        return Layout(
            tuple(Argument(self._slots[v], _by_value(t) or "ptr", t.size) for v, t in inputs),
            tuple(Argument(self._slots[v], VALUES.get(code(t.dtype), "ptr"), t.size) for v, t in outputs),
            self._template,
            steps,
            self.plan.arena_bytes,
            quiet._regions.parallel or any(step.is_shared for step in steps),
            (quiet._regions.kept, *self._codes.values()),
        )

    def _check_portable(self, name: str) -> None:
        for step in (s for plan in everywhere(self.plan) for s in plan.steps if isinstance(s, Call)):
            made = call_steps(step, self._slots, self._hosts)
            if any(not isinstance(native.kernel, Address) for native in made):
                raise NotImplementedError(
                    f"{name}: {step.equation.primitive.name} cannot leave the process: it runs code that another "
                    f"compiler made in memory{at_line(step.equation.source)}"
                )

    def entry_for(self, leaves: Sequence[Any]) -> tuple[Entry, Any]:
        """The native entry for arguments of these kinds: arrays, or Python or NumPy scalars of exactly these types."""
        kinds = tuple(None if isinstance(x, np.ndarray) else type(x) for x in leaves)
        found = self._entries.get(kinds)
        if found is None:
            with self._lock:
                found = self._entries.get(kinds)
                if found is None:
                    found = self._entries[kinds] = self._make_entry(kinds)
        return found

    def _make_entry(self, kinds: tuple[type | None, ...]) -> tuple[Entry, Any]:
        plan = self.plan
        inputs: list[ArrayInput | ScalarInput] = []
        for v, t, kind in zip(plan.program.inputs, plan.arguments, kinds, strict=True):
            slot = self._slots[v]
            scalar = kind is not None and (kind in SCALARS or issubclass(kind, np.generic)) and t.dtype != BFLOAT16
            inputs.append(ScalarInput(slot, kind, t.dtype) if scalar and kind else ArrayInput(slot, t.dtype, t.shape))
        pairs = zip(plan.outputs, plan.results, strict=True)
        donors = {v: k for k, v in enumerate(plan.program.inputs)}
        outputs = [Output(self._slots[v], t.dtype, t.shape, donors.get(v)) for v, t in pairs]
        large = sum(v.type.size for v in self._slots) > LARGE
        loops = bool(self._regions.kept) or any(isinstance(s, KernelStep) and s.points for s in self.plan.steps)
        heavy = large or loops or any(step.chunk for step in self._steps)
        descriptor = describe(
            inputs,
            outputs,
            self._template,
            self._steps,
            plan.arena_bytes,
            parallel=self._regions.parallel,
            release_gil=heavy,
            result_type=Array,
            keep=(*self._hosts.values(), self._regions.kept, *self._codes.values()),  # an entry may outlive this
        )
        return make_entry(descriptor), descriptor

    def _native_steps(self, plan: Plan) -> list[Step]:
        """The steps of the plan, or of a body in it."""
        steps: list[Step] = []
        for step in plan.steps:
            if isinstance(step, KernelStep):
                native_step = Step(self._codes[id(step)].address, self._integers(step), step.total, step.chunk)
                steps.append(self._apart(native_step, step.apart) if step.apart else native_step)
            elif isinstance(step, Call):
                steps += call_steps(step, self._slots, self._hosts)
            elif isinstance(step, Structured):
                steps.append(self._regions.step(step))
            elif isinstance(step, Chain):
                steps.append(self._chain(step))
            else:
                steps.append(products.native_step(step, self._slots))
        return steps

    def _apart(self, step: Step, apart: Apart) -> Step:
        """A kernel call whose pieces have some buffers for themselves."""
        ends = list(accumulate((-(-v.type.nbytes // ALIGNMENT) * ALIGNMENT for v in apart.own), initial=0))
        rows = [(self._slots[v], place) for v, place in zip(apart.own, ends, strict=False)]
        return self._regions.apart(step, step.chunk, apart.status, rows, ends[-1])

    def _lowered(self, step: KernelStep) -> KernelStep:
        """A kernel call as it is compiled."""
        return step

    def _integers(self, planned: KernelStep) -> list[int]:
        step = self._lowered(planned)
        sizes = step.sizes if self._polls else [NO_POLL if size == POLL else size for size in step.sizes]
        return [*(self._slots[v] for v in step.buffers), *map(_word, sizes)]

    def _chain(self, chain: Chain) -> Step:
        """A product and a kernel that take turns on bands of rows."""
        product = products.native_step(chain.product, self._slots, chain.band)
        links = [
            (product.kernel, product.ints, 1),
            (self._codes[id(chain.tail)].address, self._integers(chain.tail), chain.scale),
        ]
        words = [2, *(word for kernel, ints, scale in links for word in (kernel, self._regions.words(ints), scale))]
        return Step(native.runtime().address("fg_chain"), words, product.total, chain.band)


@functools.cache
def start_runtime() -> None:
    """Have the native runtime compiled (or read) on another thread while the first program is traced and lowered."""
    target()  # which may be one that there is not
    threading.Thread(target=native.runtime, name="funcgrad-runtime", daemon=True).start()


@functools.cache
def _start_loops() -> None:
    """Likewise the kernels that run loops and branches."""
    threading.Thread(target=native.loop_address, args=("fg_scan",), name="funcgrad-loops", daemon=True).start()


@functools.cache
def _start_polls() -> None:
    """Likewise what looks at pending signals, of which those kernels need no more."""
    threading.Thread(target=native.loop_address, args=(POLL,), name="funcgrad-polls", daemon=True).start()


def _slots(plan: Plan) -> tuple[dict[Var, int], list[Any]]:
    """A number for every buffer, and what is known of its address (see `native.describe`)."""
    slots: dict[Var, int] = {}
    template: list[Any] = [None]
    for v in dict.fromkeys((*plan.program.inputs, *plan.outputs)):
        slots[v] = len(template)
        template.append(None)
    for v, value in plan.program.constants.items():
        slots[v] = len(template)
        template.append(np.ascontiguousarray(value))
    for v, offset in plan.offsets.items():
        slots[v] = len(template)
        template.append(offset)
    return slots, template


def _compiled(plan: Plan, lowered: Callable[[KernelStep], KernelStep]) -> dict[int, Code]:
    """The code of every kernel of a plan and of its bodies, by the id of its step."""
    steps = [step for inner in everywhere(plan) for step in apart(inner.steps) if isinstance(step, KernelStep)]
    return dict(zip(map(id, steps), compile_kernels([lowered(step).kernel for step in steps]), strict=True))


class _Text(NamedTuple):
    """A kernel that is not compiled; its address is a number that no other one has."""

    address: Address


def _printed(plan: Plan) -> dict[int, Any]:
    """Likewise the text of every kernel, in the place of code."""
    steps = [step for inner in everywhere(plan) for step in apart(inner.steps) if isinstance(step, KernelStep)]
    symbols = {id(step): printed(step.kernel) for step in steps}
    numbers = {symbol: -1 - k for k, symbol in enumerate(dict.fromkeys(symbols.values()))}
    return {step: _Text(Address(numbers[symbol], symbol)) for step, symbol in symbols.items()}


def _by_value(kind: ArrayType) -> str | None:
    """LLVM's type of a scalar that a native function takes by value."""
    return None if kind.shape else VALUES.get(code(kind.dtype))


def _word(size: int | float | str) -> int:
    """A kernel's parameter as 64 bits: a float as the double that it is, a name as an address."""
    if isinstance(size, str):
        return native.loop_address(size)
    return int(np.float64(size).view(np.int64)) if isinstance(size, float) else size


EXECUTABLES: dict[bool, Callable[..., Executable]] = {False: Executable}  # by whether `check_memory` is on


def executable_for(program: Program, donated: tuple[int, ...] = ()) -> Executable:
    """The executable of a program, kept; results may take over the memory of `donated` arguments."""
    return executables(program, donated, config.check_memory.value)


@functools.lru_cache(maxsize=1024)
def executables(program: Program, donated: tuple[int, ...], checked: bool) -> Executable:
    """The executables that are kept."""
    return uncollected(EXECUTABLES[checked], program, donated)


def clear() -> None:
    """Forget the executables, and the programs of loops and branches that ran outside of any trace."""
    executables.cache_clear()
    _regions.clear()


def _evaluate(*inputs: Any, program: Program, name: str) -> tuple[Any, ...]:
    """A call outside of any trace: compiled."""
    types = [v.type for v in program.inputs]
    leaves = [x if isinstance(x, np.ndarray) else t.dtype.type(x) for x, t in zip(inputs, types, strict=True)]
    results, _ = executable_for(program)(leaves)
    return tuple(results)


def _evaluate_region(primitive: Primitive, *inputs: Any, **params: Any) -> tuple[Any, ...]:
    """A loop or branch outside of any trace: compiled, once for all that have the same listing."""
    operands = tuple(Var(ArrayType(t.shape, t.dtype)) for t in map(type_of, inputs))
    outputs = tuple(map(Var, primitive.output_types(tuple(v.type for v in operands), params)))
    program = Program(operands, (Equation(primitive, operands, outputs, params, user_location()),), outputs)
    writer = Writer()
    key = (writer.print(program), *_callbacks(writer), *_contents(program))
    if len(_regions) >= MOST_REGIONS:
        _regions.clear()
    program = _regions.setdefault(key, program)
    return _evaluate(*inputs, program=program, name=primitive.name)


def _callbacks(writer: Writer) -> Iterator[Any]:
    """What a listing has only names for: Python objects. (Rules change no values; programs that are kept keep ids.)"""
    for _, value in writer.objects.values():
        if not hasattr(value, "after"):
            yield value.identity if hasattr(value, "identity") else id(value)


def _contents(program: Program) -> Iterator[Any]:
    """What a listing does not tell: the constants, at any depth."""
    for value in program.constants.values():
        yield value.tobytes() if value.nbytes <= SMALL_CONSTANT else id(value)
    for equation in program.equations:
        for _, _, inner in inner_programs(equation.params):
            yield from _contents(inner)


_regions: dict[Any, Program] = {}
MOST_REGIONS, SMALL_CONSTANT = 1024, 1 << 16
call.evaluate = _evaluate
for _primitive in (scan, cond, while_, while_pull):
    _primitive.evaluate = functools.partial(_evaluate_region, _primitive)
