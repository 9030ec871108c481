"""How does a native program run what has no kernel?  `HostCall`: a step that calls the primitive's NumPy reference.

The driver sees a kernel like any other; ctypes takes the GIL for it. `ROUTINES` holds what runs natively instead.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Mapping

import numpy as np

from funcgrad.compile.native import Step
from funcgrad.errors import at_line
from funcgrad.ir.program import Atom, Literal, Var
from funcgrad.lower.calls import Call

Slots = Mapping[Var, int]
Routine = Callable[[Call, Slots], list[Step] | None]
ROUTINES: dict[str, Routine] = {}

_KERNEL = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)


def call_steps(call: Call, slots: Slots, hosts: dict[int, HostCall]) -> list[Step]:
    """The native steps of a call; those that run NumPy are noted in `hosts` by their status."""
    routine = ROUTINES.get(call.equation.primitive.name)
    steps = routine(call, slots) if routine else None
    if steps is None:
        host = hosts[call.status] = HostCall(call, slots)
        steps = [Step(host.address, [], 1, 0)]
    return steps


class HostCall:
    """A kernel that is Python: it wraps the buffers in arrays, calls the reference, and copies the results.

    Attributes
    ----------
    address
        Of the native function.
    """

    def __init__(self, call: Call, slots: Slots) -> None:
        self._equation, self._status = call.equation, call.status
        pairs = zip(call.inputs, call.equation.inputs, strict=True)  # a buffer may be another array, reshaped
        self._inputs = [(_place(a, slots), operand) for a, operand in pairs]
        self._outputs = [(slots[v], v) for v in call.equation.outputs]
        self._failed = threading.local()
        self._callback = _KERNEL(self._run)  # kept: the driver holds its bare address
        self.address = ctypes.cast(self._callback, ctypes.c_void_p).value or 0

    def _run(self, bufs: int, ints: int, first: int, last: int) -> None:
        addresses = ctypes.cast(bufs, ctypes.POINTER(ctypes.c_int64))
        try:
            primitive = self._equation.primitive
            inputs = [a.value if isinstance(a, Literal) else _view(addresses[k], a) for k, a in self._inputs]
            for x in inputs:
                if isinstance(x, np.ndarray):
                    x.flags.writeable = False
            outputs = tuple(_view(addresses[slot], v) for slot, v in self._outputs)
            with np.errstate(all="ignore"):
                if primitive.into is not None:
                    primitive.into(outputs, tuple(inputs), dict(self._equation.params))
                    return
                results = primitive.reference(*inputs, **self._equation.params)
            for out, x in zip(outputs, results if primitive.multiple else (results,), strict=True):
                out[...] = x
        except BaseException as error:
            self._failed.error = error
            ctypes.c_int64.from_address(addresses[0]).value = self._status

    def failure(self) -> BaseException:
        """What the last call on this thread raised, with the user's line."""
        error: BaseException = self._failed.error
        self._failed.error = None
        line = at_line(self._equation.source)
        if len(error.args) == 1 and isinstance(error.args[0], str) and line not in error.args[0]:
            error.args = (f"{error.args[0]}{line}",)
        return error


def _place(atom: Atom, slots: Slots) -> int:
    return slots[atom] if isinstance(atom, Var) else 0


def _view(address: int, atom: Var) -> np.ndarray:
    """The array in a buffer."""
    kind = atom.type
    if not kind.nbytes:
        return np.empty(kind.shape, kind.dtype)
    memory = memoryview((ctypes.c_char * kind.nbytes).from_address(address))
    return np.frombuffer(memory, kind.dtype).reshape(kind.shape)
