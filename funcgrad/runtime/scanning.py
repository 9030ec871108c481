"""How is a long running sum run?  By a native kernel over blocks, whose sums threads hand on."""

from __future__ import annotations

from funcgrad.compile.cpus import permutes_two, vector_widths
from funcgrad.compile.native import Step
from funcgrad.compile.native.scanning import Scan, addresses
from funcgrad.dtypes import code
from funcgrad.ir.program import Var
from funcgrad.lower.calls import Call
from funcgrad.lower.cumulative import FOLDS, WIDE
from funcgrad.runtime.calls import ROUTINES, Slots

TOGETHER = 2  # blocks that a thread takes before it looks for other work


def scan_steps(call: Call, slots: Slots) -> list[Step] | None:
    """The steps of a running fold that has a place for its state."""
    if len(call.inputs) == 1:
        return None
    x, state = call.inputs
    assert isinstance(x, Var)
    assert isinstance(state, Var)
    (out,), params, dtype = call.equation.outputs, call.equation.params, code(x.type.dtype)
    fold = FOLDS[call.equation.primitive.name]
    n = out.type.shape[params["axis"]]
    wide = WIDE.get(dtype, dtype) if fold == "add" else dtype
    scan = Scan(fold, dtype, wide, params["reverse"], call.streamed, _width())
    blocks = -(-n // scan.block)
    integers = [slots[x], slots[out], slots[state], state.type.nbytes, blocks, n]
    begin, kernel = addresses(scan)
    return [Step(begin, integers, 1, 0), Step(kernel, integers, blocks * (out.type.size // n), TOGETHER)]


def _width() -> int:
    """The bytes of a vector; of a CPU that is known by its name alone, of one that most have."""
    widest = vector_widths()[-1]
    return widest if permutes_two() else min(widest, 32)


for _name in FOLDS:
    ROUTINES[_name] = scan_steps
