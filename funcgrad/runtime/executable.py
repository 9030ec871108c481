"""What runs a program?  `Executable`: its kernels, compiled; a native entry per kind of arguments;
and the way around it.

Dtypes and operations that have no kernels (complex numbers) are steps that call NumPy.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.array import Array
from funcgrad.compile import native
from funcgrad.compile.compiler import compile_kernels
from funcgrad.compile.native import (
    ArrayInput,
    Entry,
    Output,
    ScalarInput,
    Step,
    describe,
    gemm_address,
    gemm_integers,
    make_entry,
    slow_call,
)
from funcgrad.control.call import call
from funcgrad.errors import at_line
from funcgrad.ir.program import Program, Var
from funcgrad.lower.calls import Call
from funcgrad.lower.plan import Plan, make_plan
from funcgrad.lower.products import Product
from funcgrad.lower.schedule import KernelStep
from funcgrad.runtime.calls import HostCall, call_steps
from funcgrad.simplify import simplify

SPLIT_FLOPS = 4e6  # multiplications and additions of a product that is worth sharing out
LEAST_ROWS = 64  # of a product in each piece
MANY_ROWS = 512  # of a piece when there are more than two: every piece packs the other operand anew
MOST_PIECES = 16
SCALARS = (bool, int, float)


class Executable:
    """A compiled program.

    Attributes
    ----------
    program
        As traced.
    plan
        As lowered.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        start_runtime()
        self.plan = make_plan(simplify(program))
        self._hosts: dict[int, HostCall] = {}
        for dtype in {step.dtype for step in self.plan.steps if isinstance(step, Product)}:
            _start_products(dtype)
        self._slots, self._template = _slots(self.plan)
        self._steps = _native_steps(self.plan, self._slots, self._hosts)
        self._entries: dict[tuple[type | None, ...], tuple[Entry, Any]] = {}
        self._lock = threading.Lock()

    def __call__(self, leaves: Sequence[Any]) -> tuple[list[Any], Callable[[list[Any]], Any] | None]:
        """The results for known arguments, and the native entry for arguments of the same kinds."""
        entry, descriptor = self.entry_for(leaves)
        results = entry(list(leaves))
        if isinstance(results, list):
            return results, entry
        if results is None:
            results = slow_call(descriptor, leaves)
        if isinstance(results, list):
            return results, None
        if results in self._hosts:
            raise self._hosts[results].failure()
        message, line = self.plan.failures[results - 1]
        raise IndexError(f"{message}{at_line(line)}")

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
        for v, kind in zip(plan.program.inputs, kinds, strict=True):
            slot, dtype = self._slots[v], v.type.dtype
            scalar = kind is not None and (kind in SCALARS or issubclass(kind, np.generic))
            inputs.append(ScalarInput(slot, kind, dtype) if scalar and kind else ArrayInput(slot, dtype, v.type.shape))
        pairs = zip(plan.outputs, plan.program.outputs, strict=True)
        outputs = [Output(self._slots[v], a.type.dtype, a.type.shape) for v, a in pairs]
        heavy = any(step.chunk for step in self._steps) or sum(v.type.size for v in self._slots) > 4096
        descriptor = describe(
            inputs, outputs, self._template, self._steps, plan.arena_bytes, release_gil=heavy, result_type=Array
        )
        return make_entry(descriptor), descriptor


@functools.cache
def start_runtime() -> None:
    """Have the native runtime compiled (or read) on another thread while the first program is traced and lowered."""
    threading.Thread(target=native.runtime, name="funcgrad-runtime", daemon=True).start()


@functools.cache
def _start_products(dtype: str) -> None:
    """Likewise the kernels that call BLAS, while the program's own are compiled."""
    threading.Thread(target=gemm_address, args=(dtype,), name="funcgrad-products", daemon=True).start()


def _slots(plan: Plan) -> tuple[dict[Var, int], list[Any]]:
    """A number for every buffer, and what is known of its address (see `native.describe`)."""
    slots: dict[Var, int] = {}
    template: list[Any] = [None]
    for v in (*plan.program.inputs, *plan.outputs):
        slots[v] = len(template)
        template.append(None)
    for v, value in plan.program.constants.items():
        slots[v] = len(template)
        template.append(np.ascontiguousarray(value))
    for v, offset in plan.offsets.items():
        slots[v] = len(template)
        template.append(offset)
    return slots, template


def _native_steps(plan: Plan, slots: dict[Var, int], hosts: dict[int, HostCall]) -> list[Step]:
    kernels = [step.kernel for step in plan.steps if isinstance(step, KernelStep)]
    addresses = iter(compile_kernels(kernels))
    steps: list[Step] = []
    for step in plan.steps:
        if isinstance(step, KernelStep):
            integers = [*(slots[v] for v in step.buffers), *map(_word, step.sizes)]
            steps.append(Step(next(addresses), integers, step.total, step.chunk))
        elif isinstance(step, Call):
            steps += call_steps(step, slots, hosts)
        else:
            steps.append(_product_step(step, slots))
    return steps


def _word(size: int | float) -> int:
    """A kernel's parameter as 64 bits: a float as the double that it is."""
    return int(np.float64(size).view(np.int64)) if isinstance(size, float) else size


def _product_step(product: Product, slots: dict[Var, int]) -> Step:
    """A library product, cut into bands of rows (as its size says) when it is worth several threads."""
    m, n, k, x, y = product.m, product.n, product.k, product.x, product.y
    integers = gemm_integers(
        (slots[x.var], slots[y.var], slots[product.out]),
        (m, n, k),
        product.dtype,
        transposed=(x.transposed, y.transposed),
        leading=(x.leading, y.leading, n),
        strides=(x.stride, y.stride, m * n),
        offsets=(x.offset, y.offset, 0),
        alpha=product.alpha,
        beta=product.beta,
    )
    rows = product.batch * m
    pieces = min(rows // LEAST_ROWS, max(2, rows // MANY_ROWS), MOST_PIECES)  # as sizes say, never as threads do
    if 2.0 * rows * n * k < SPLIT_FLOPS or pieces < 2:
        return Step(gemm_address(product.dtype), integers, product.batch, 0)
    return Step(gemm_address(product.dtype, rows=True), integers, rows, -(-rows // pieces))


@functools.lru_cache(maxsize=1024)
def executable_for(program: Program) -> Executable:
    """The executable of a program, kept."""
    return Executable(program)


def _evaluate(*inputs: Any, program: Program, name: str) -> tuple[Any, ...]:
    """A call outside of any trace: compiled."""
    types = [v.type for v in program.inputs]
    leaves = [x if isinstance(x, np.ndarray) else t.dtype.type(x) for x, t in zip(inputs, types, strict=True)]
    results, _ = executable_for(program)(leaves)
    return tuple(results)


call.evaluate = _evaluate
