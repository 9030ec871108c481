"""How is a sort run?  By a native kernel over lines, or over the pieces of long ones."""

from __future__ import annotations

import math

from funcgrad.compile.native import Step
from funcgrad.compile.native.sorting import function_for, sort_address
from funcgrad.ir.program import Var
from funcgrad.lower.calls import FAILURES, Call
from funcgrad.lower.lines import PIECE
from funcgrad.runtime.calls import ROUTINES, Slots


def sort_steps(call: Call, slots: Slots) -> list[Step] | None:
    """The step of an ascending sort along the last axis."""
    (x,), (out,), params = call.inputs, call.equation.outputs, call.equation.params
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


ROUTINES["sort"] = sort_steps
FAILURES["sort"] = lambda: MemoryError("sort: there was no memory for NumPy's sort of small integers")
