"""How is a sort run?  By a native kernel over lines, or over the pieces or parts of long ones."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from funcgrad.compile.native import Step
from funcgrad.compile.native.arranging import arrange_address
from funcgrad.compile.native.own_sort import own_sort_address
from funcgrad.compile.native.sorting import function_for, sort_address, vectorised
from funcgrad.compile.native.splitting import PARTS, SAMPLES, addresses, is_split, splits
from funcgrad.ir.program import Var
from funcgrad.ir.types import ArrayType
from funcgrad.lower import runs
from funcgrad.lower.calls import FAILURES, WRITERS, Call
from funcgrad.lower.lines import PIECE
from funcgrad.lower.runs import is_long
from funcgrad.lower.schedule import KernelStep
from funcgrad.lower.sorting import BUCKETS
from funcgrad.runtime.calls import ROUTINES, Slots

WORDS = np.dtype(np.uint64)
SPLIT_PIECES = 16  # of a line that is split


def sort_steps(call: Call, slots: Slots) -> list[Step] | None:
    """The step of an ascending sort along the last axis."""
    (x, *scratch), (out,), params = call.inputs, call.equation.outputs, call.equation.params
    if scratch:
        return _split_steps(call, slots)
    if not isinstance(x, Var) or params["descending"] or params["dimension"] != out.type.ndim - 1:
        return None
    n, pieces = out.type.shape[-1], params.get("pieces", 1)
    function = function_for(out.type.dtype, n)
    if function is None or not out.type.size:
        return None
    pair = slots[x], slots[out]
    integers = [*pair, function, n, pieces, -(-n // pieces), out.type.dtype.itemsize, call.status]
    chunk = 1 if pieces > 1 else max(PIECE // 4 // n, 1)
    total = math.prod(out.type.shape[:-1]) * pieces
    return [Step(sort_address(), integers, total, chunk if chunk < total else 0)]


def split_sort(call: Call) -> Sequence[KernelStep | Call] | None:
    """A long line's sort as one call with memory for samples and counts, where the CPU splits well; else in runs."""
    (out,) = call.equation.outputs
    dtype = out.type.dtype
    long = is_long(call) and out.type.shape[-1] >= SAMPLES
    if not (long and is_split(dtype) and splits() and function_for(dtype, 0)):
        return runs.sort_steps(call)
    count = math.prod(out.type.shape[:-1])
    scratch = (
        Var(ArrayType((count * SAMPLES,), dtype)),
        Var(ArrayType((count * SPLIT_PIECES * PARTS,), np.dtype(np.int64))),
    )
    equation = call.equation.replace(inputs=(*call.equation.inputs, *scratch))
    return [Call(equation, (*call.inputs, *scratch), call.status)]


def _split_steps(call: Call, slots: Slots) -> list[Step]:
    (out,) = call.equation.outputs
    n, count, dtype = out.type.shape[-1], math.prod(out.type.shape[:-1]), out.type.dtype
    x, samples, counts = (slots[v] for v in call.inputs if isinstance(v, Var))
    length = -(-n // SPLIT_PIECES)
    integers = [x, slots[out], samples, counts, function_for(dtype, 0) or 0, n, SPLIT_PIECES, length, call.status]
    kernels = addresses(dtype.str[1:])
    totals = {"sample": count, "count": count * SPLIT_PIECES, "places": count, "move": count * SPLIT_PIECES}
    return [
        Step(kernels[name], integers, total, 1 if total > count else 0)
        for name, total in {**totals, "sort": count * PARTS}.items()
    ]


def arrange_steps(call: Call, slots: Slots) -> list[Step] | None:
    """The step that puts buckets in order."""
    words, ends = call.inputs[0], call.inputs[-1]
    if not isinstance(words, Var) or not isinstance(ends, Var) or words.type.dtype != WORDS:
        return None
    sorts = [_sort_of(dtype) for dtype in (np.dtype(np.uint32), WORDS)]
    integers = [slots[words], slots[ends], slots[call.equation.outputs[0]], ends.type.size - BUCKETS, *sorts]
    return [Step(arrange_address(), integers, BUCKETS, max(BUCKETS * PIECE // words.type.size, 1))]


def _sort_of(dtype: np.dtype) -> int:
    found = function_for(dtype, 0) if vectorised() else None
    return found or own_sort_address(f"fg_sort_{dtype.kind}{dtype.itemsize}")


ROUTINES["arrange"] = arrange_steps
ROUTINES["sort"] = sort_steps
WRITERS["sort"] = split_sort
FAILURES["sort"] = lambda: MemoryError("sort: there was no memory for NumPy's sort of small integers")
