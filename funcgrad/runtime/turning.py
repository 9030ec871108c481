"""How is a large transposition run?  By a native kernel, over panels of the result."""

from __future__ import annotations

from funcgrad.compile.native import Step
from funcgrad.compile.native.transpose import PANEL, transpose_address
from funcgrad.ir.program import Var
from funcgrad.lower.calls import Call
from funcgrad.lower.turning import turn
from funcgrad.runtime.calls import ROUTINES, Slots

PIECE = 2**16  # elements that are worth handing to a thread


def transpose_steps(call: Call, slots: Slots) -> list[Step] | None:
    """The step of a transposition that `turn` knows."""
    found, (x,), (out,) = turn(call.equation), call.inputs, call.equation.outputs
    if found is None or not isinstance(x, Var):
        return None
    m, _, out_stride = found.rows
    n, x_stride, _ = found.columns
    panels = -(-m // PANEL)
    (e0, x0, o0), (e1, x1, o1) = (*[(1, 0, 0)] * (2 - len(found.outer)), *found.outer)
    integers = [slots[x], slots[out], m, n, x_stride, out_stride, panels, e0, x0, o0, e1, x1, o1]
    total = panels * e0 * e1
    chunk = max(PIECE // (n * min(m, PANEL)), 1)
    return [Step(transpose_address(x.type.dtype.itemsize), integers, total, chunk if chunk < total else 0)]


ROUTINES["transpose"] = transpose_steps
