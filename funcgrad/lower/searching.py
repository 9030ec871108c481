"""How is a place in a sorted line found?  By bisection, with as many steps for every number."""

from __future__ import annotations

import math

from funcgrad.dtypes import code
from funcgrad.ir.program import Var
from funcgrad.lower.calls import WRITERS, Call, is_native
from funcgrad.lower.lines import PIECE, comes_before, kernel_step, number
from funcgrad.lower.loops import INDEX, Carry
from funcgrad.lower.schedule import KernelStep
from funcgrad.lower.writer import Writer


def search_kernels(call: Call) -> list[KernelStep] | None:
    """Bisection for each number that is looked for; none where there are none."""
    ordered, query = call.inputs
    (out,), params = call.equation.outputs, call.equation.params
    kind = call.equation.inputs[0].type  # the buffer may be another array, reshaped
    if not isinstance(ordered, Var) or not isinstance(query, Var) or not out.type.size or not is_native(call.equation):
        return None
    w, dtype, n = Writer(), code(kind.dtype), kind.shape[-1]
    places, found = w.buffer(ordered, dtype), w.buffer(out, "i8", written=True)
    each = out.type.size // math.prod(kind.shape[:-1])
    task = w.open()
    home = w.op("mul", w.op("quotient", task, w.size(each)), w.size(n)) if params["batch_ndim"] else number(0)
    wanted = w.load(w.buffer(query, dtype), task)
    round_ = w.open()
    least, length = w.carried(INDEX), w.carried(INDEX)
    half = w.op("quotient", w.op("add", length, number(1)), number(2))
    probe = w.op("sub", w.op("add", least, half), number(1))
    inside = w.op("min", probe, w.size(max(n - 1, 0)))
    x = w.load(places, w.op("add", home, inside))
    passed = comes_before(w, x, wanted) if params["side"] == "left" else w.op("not", comes_before(w, wanted, x))
    passed = w.op("and", passed, w.op("gt", length, number(0)))
    carries = [
        Carry(least, number(0), w.op("select", passed, w.op("add", least, half), least), w.result(INDEX)),
        Carry(
            length,
            w.size(n),
            w.op("select", passed, w.op("sub", length, half), w.op("sub", half, w.op("min", length, number(1)))),
            w.result(INDEX),
        ),
    ]
    w.close(round_, number(0), w.size(n.bit_length() + 1 if n else 0), carries)
    w.store(found, task, carries[0].result)
    w.close(task, w.first, w.last, [])
    return [kernel_step(w, out.type.size, -(-PIECE // max(n.bit_length(), 1)))]


WRITERS["searchsorted"] = search_kernels
