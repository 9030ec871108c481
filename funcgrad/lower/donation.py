"""Which results are written over arguments that were given away?  Those whose kernels read each element before they
write it at the same place.

A training step that gives its parameters away then needs the memory of one set of them and not of two, and its writes
go to lines that are in the cache already. Nothing else may read the argument later: that is so if no later step does,
and within a kernel if every read is at the index of the write and stands before it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from typing import Any

from funcgrad.ir.program import Var
from funcgrad.lower.calls import Call
from funcgrad.lower.loops import Kernel, Load, Store, walk
from funcgrad.lower.plan import Plan, buffers_of
from funcgrad.lower.products import Product
from funcgrad.lower.schedule import KernelStep


def over_arguments(plan: Plan, donated: Collection[int]) -> Plan:
    """The plan with results in the buffers of arguments (given by their numbers) where that changes nothing."""
    inputs = plan.program.inputs
    free = [inputs[k] for k in sorted(donated)]
    types = dict(zip(inputs, plan.arguments, strict=True))
    steps, outputs = list(plan.steps), list(plan.outputs)
    for number, (out, kind) in enumerate(zip(plan.outputs, plan.results, strict=True)):
        if out in inputs or out in plan.program.constants or plan.outputs.count(out) > 1:
            continue
        for given in free:
            if types[given] == kind and _is_safe(steps, given, out):
                steps = _renamed(steps, out, given)
                outputs[number] = given
                free.remove(given)
                break
    return dataclasses.replace(plan, steps=steps, outputs=tuple(outputs)) if steps != plan.steps else plan


def _is_safe(steps: Sequence[Any], given: Var, out: Var) -> bool:
    """Whether everything reads `given` before `out` is written in its place."""
    writing = [number for number, step in enumerate(steps) if out in buffers_of(step)]
    reading = [number for number, step in enumerate(steps) if given in buffers_of(step)]
    if not writing or not all(_is_known(steps[number], out) for number in writing):
        return False
    first = writing[0]
    if any(number > first for number in reading):
        return False
    step = steps[first]
    return first not in reading or (isinstance(step, KernelStep) and _reads_first(step, given, out))


def _is_known(step: Any, out: Var) -> bool:
    """Whether it is known how a step writes: a call that changes an operand in place is."""
    return isinstance(step, KernelStep | Product) or (isinstance(step, Call) and step.changes is out)


def _reads_first(step: KernelStep, given: Var, out: Var) -> bool:
    """Whether a kernel reads each element of `given` before it writes that of `out`, both at one index."""
    sources = {number for number, var in enumerate(step.buffers) if var is given}
    targets = {number for number, var in enumerate(step.buffers) if var is out}
    reads: set[Any] = set()
    writes: set[Any] = set()
    read_last = True
    for instruction in walk(step.kernel.body):
        if isinstance(instruction, Load) and instruction.buffer in targets:
            return False
        if isinstance(instruction, Load) and instruction.buffer in sources:
            reads.add(instruction.index)
            read_last = read_last and not writes
        elif isinstance(instruction, Store) and instruction.buffer in sources:
            return False
        elif isinstance(instruction, Store) and instruction.buffer in targets:
            writes.add(instruction.index)
    return read_last and len(writes) == 1 and reads <= writes


def _renamed(steps: Sequence[Any], out: Var, given: Var) -> list[Any]:
    """The steps, `given` being the buffer of `out`; copies of it onto itself are dropped."""
    found = []
    for step in steps:
        if out not in buffers_of(step):
            found.append(step)
        elif isinstance(step, Product):
            found.append(_renamed_product(step, out, given))
        elif isinstance(step, Call):
            inputs = tuple(given if a is out else a for a in step.inputs)
            equation = step.equation.replace(outputs=tuple(given if v is out else v for v in step.equation.outputs))
            found.append(dataclasses.replace(step, equation=equation, inputs=inputs))
        else:
            buffers = tuple(given if v is out else v for v in step.buffers)
            if not (given in step.buffers and _is_copy(step.kernel)):
                kernel = step.kernel._replace(aliased=True) if given in step.buffers else step.kernel
                found.append(dataclasses.replace(step, kernel=kernel, buffers=buffers))
    return found


def _renamed_product(product: Product, out: Var, given: Var) -> Product:
    def lie(matrix: Any) -> Any:
        return matrix._replace(var=given) if matrix is not None and matrix.var is out else matrix

    target = given if product.out is out else product.out
    return product._replace(x=lie(product.x), y=lie(product.y), lie=lie(product.lie), out=target)


def _is_copy(kernel: Kernel) -> bool:
    """Whether the kernel writes what it has read, and does nothing else."""
    loads = [i for i in walk(kernel.body) if isinstance(i, Load)]
    stores = [i for i in walk(kernel.body) if isinstance(i, Store)]
    return len(loads) == len(stores) == 1 and stores[0].value == loads[0].result and stores[0].index == loads[0].index
