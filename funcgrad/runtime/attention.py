"""Which native steps make attention?  One for the forward pass, one for the backward pass."""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence

from funcgrad.compile.native import Step, attention_address
from funcgrad.compile.native.attention import ANYWHERE, Parameter
from funcgrad.dtypes import code
from funcgrad.ir.program import Var
from funcgrad.lower.attention import COLUMNS, ROWS, Attention
from funcgrad.lower.calls import Call
from funcgrad.runtime.calls import ROUTINES, Slots

FORWARD = tuple(Parameter[f"SLOT_{name}"] for name in ("Q", "K", "V", "OUT", "TOP", "TOTAL"))
BACKWARD = tuple(
    Parameter[f"SLOT_{name}"] for name in ("Q", "K", "V", "TOP", "TOTAL", "DELTA", "CT", "DQ", "DK", "DV")
)  # operands, then results


def attention_steps(call: Call, slots: Slots) -> list[Step] | None:
    """The native step of a pass over scores."""
    if not isinstance(call, Attention):
        return None
    p = Parameter
    operands, results = call.inputs, call.equation.outputs
    order = BACKWARD if call.backward else FORWARD
    q, k, v = (a.type for a in call.equation.inputs[:3])
    bounds = (call.equation.params[side] for side in ("left", "right"))
    left, right = (ANYWHERE if bound is None else bound for bound in bounds)
    found = dict.fromkeys(p, 0)
    found |= {which: slots[a] for which, a in zip(order, (*operands, *results), strict=True) if isinstance(a, Var)}
    found |= {
        p.SLOT_ROOM: slots[call.room], p.ROOM: call.each,
        p.GROUPS: q.shape[0], p.EACH: q.shape[1], p.QUERIES: q.shape[2], p.KEYS: k.shape[1],
        p.FEATURES: q.shape[3], p.VALUES: v.shape[2], p.LEFT: left, p.RIGHT: right,
        p.ROWS: ROWS, p.COLUMNS: COLUMNS, p.SPAN: call.span, p.UNITS: call.units, p.CHUNK: call.chunk,
    }  # fmt: skip
    dtype = code(q.dtype)
    chunk = call.chunk if call.chunk < call.total else 0
    return [Step(attention_address(dtype, call.backward), [found[which] for which in p], call.total, chunk)]


def start(steps: Sequence[object]) -> None:
    """Have the kernels that attention needs compiled (or read) on other threads, while those of the program are."""
    for dtype in {code(step.room.type.dtype) for step in steps if isinstance(step, Attention)}:
        _start(dtype)


@functools.cache
def _start(dtype: str) -> None:
    threading.Thread(target=attention_address, args=(dtype, False), name="funcgrad-attention", daemon=True).start()


ROUTINES["attend"] = ROUTINES["attend_backward"] = attention_steps
