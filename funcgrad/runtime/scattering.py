"""How are many numbers added at places of a large array?  By a native routine whose pieces own places."""

from __future__ import annotations

import numpy as np

from funcgrad.compile.cpus import permutes_two
from funcgrad.compile.native import Step
from funcgrad.compile.native.scattering import Add, add_address
from funcgrad.dtypes import code
from funcgrad.ir.program import Var
from funcgrad.lower.calls import Call
from funcgrad.lower.places import MOST_NARROW
from funcgrad.ops.scatter import BY_PLACE
from funcgrad.runtime.calls import ROUTINES, Slots
from funcgrad.runtime.threads import get_num_threads

NUMBERS = frozenset({"f4", "f8", "i4", "u4", "i8", "u8"})
PIECE = 1 << 22  # bytes of a piece's places, or more
MOST_PIECES = 8


def is_added(dtype: np.dtype) -> bool:
    """Whether the routine adds such numbers, and the CPU has its instructions."""
    return permutes_two() and code(dtype) in NUMBERS


def add_steps(call: Call, slots: Slots) -> list[Step] | None:
    """The step of additions in place; None for others."""
    if call.changes is None:
        return None
    target, updates, index = call.inputs
    assert isinstance(target, Var)
    assert isinstance(updates, Var)
    assert isinstance(index, Var)
    kind, _, line = (a.type for a in call.equation.inputs)  # buffers may be other arrays, reshaped
    found = code(index.type.dtype)
    wide = found in ("u4", "i8", "u8") or kind.size >= MOST_NARROW
    pieces = min(max(kind.nbytes // PIECE, get_num_threads(), 2), MOST_PIECES) if permutes_two() else 1
    integers = [slots[target], slots[updates], slots[index], line.size, kind.size, pieces, call.status]
    add = Add(code(kind.dtype), found, wide, updates.type.size == 1, permutes_two())
    return [Step(add_address(add), integers, pieces, 1)]


ROUTINES["scatter_add"] = add_steps
BY_PLACE.append(is_added)
