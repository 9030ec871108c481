"""How does a native program run what has no kernel?  `HostCall`: a step that calls the primitive's NumPy reference.

The driver sees a kernel like any other; ctypes takes the GIL for it. `ROUTINES` holds what runs natively instead.
"""

from __future__ import annotations

import ctypes
import math
import threading
from collections.abc import Callable, Mapping

import numpy as np

from funcgrad.compile import native
from funcgrad.compile.native import Step
from funcgrad.compile.native.hosts import host_address, host_integers
from funcgrad.errors import SourceLocation, at_line
from funcgrad.ir.program import Atom, Literal, Var
from funcgrad.lower.calls import Call
from funcgrad.quiet import quiet

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
        steps = [Step(host_address(), host_integers(host.address, call.status), host.total, host.chunk)]
    return steps


PIECE = 1 << 14  # elements of a piece: a few hundred microseconds of a special function


def _by_elements(call: Call) -> int:
    """How many elements a call computes one by one, if it does: threads can share them (SciPy lets go of the lock)."""
    equation = call.equation
    if equation.primitive.family != "elementwise" or equation.primitive.into is not None:
        return 0
    shape = equation.outputs[0].type.shape
    return math.prod(shape) if all(a.type.shape in (shape, ()) for a in equation.inputs) else 0


class HostCall:
    """A kernel that is Python: it wraps the buffers in arrays, calls the reference, and copies the results.

    Attributes
    ----------
    equation
        What is computed.
    address
        Of the callback, which sets the word that it is given when it is done.
    total, chunk
        How many elements can be computed piece by piece, and how many make a piece; 1 and 0 for a call in one piece.
    """

    def __init__(self, call: Call, slots: Slots) -> None:
        self.equation = call.equation
        pairs = zip(call.inputs, call.equation.inputs, strict=True)  # a buffer may be another array, reshaped
        self._inputs = [(_place(a, slots), operand) for a, operand in pairs]
        self._outputs = [(slots[v], v) for v in call.equation.outputs]
        elements = _by_elements(call)
        self.total, self.chunk = (elements, PIECE) if elements >= 2 * PIECE else (1, 0)
        self._failed = threading.local()
        self._elsewhere: BaseException | None = None  # what another thread's piece raised
        self._callback = _KERNEL(self._run)  # kept: the driver holds its bare address
        self.address = ctypes.cast(self._callback, ctypes.c_void_p).value or 0

    def _run(self, bufs: int, done: int, first: int, last: int) -> None:
        try:
            addresses = ctypes.cast(bufs, ctypes.POINTER(ctypes.c_int64))
            primitive = self.equation.primitive
            inputs = [a.value if isinstance(a, Literal) else _view(addresses[k], a) for k, a in self._inputs]
            for x in inputs:
                if isinstance(x, np.ndarray):
                    x.flags.writeable = False
            outputs = tuple(_view(addresses[slot], v) for slot, v in self._outputs)
            if self.chunk:
                inputs = [np.ravel(x)[first:last] if isinstance(x, np.ndarray) and x.ndim else x for x in inputs]
                outputs = tuple(out.reshape(-1)[first:last] for out in outputs)
            with quiet():
                if primitive.into is not None:
                    primitive.into(outputs, tuple(inputs), dict(self.equation.params))
                else:
                    results = primitive.reference(*inputs, **self.equation.params)
                    results = results if primitive.multiple else (results,)
                    for out, x in zip(outputs, results, strict=True):
                        out[...] = x
            ctypes.c_int64.from_address(done).value = 1
        except BaseException as error:
            self._failed.error = self._elsewhere = error

    def failure(self) -> BaseException:
        """What the last call on this thread raised, with the user's line; a handler of signals, if it was none."""
        error = getattr(self._failed, "error", None) or self._elsewhere or native.interruption() or KeyboardInterrupt()
        self._failed.error = self._elsewhere = None
        return with_line(error, self.equation.source)


def with_line(error: BaseException, source: SourceLocation | None) -> BaseException:
    """An exception whose message ends with the user's line."""
    line = at_line(source)
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
