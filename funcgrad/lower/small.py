"""How are stacks of matrices of 5 to 8 rows computed?  By a kernel of their own, one matrix after another.

The formulas of `ops.linalg.small` are run on the elements of one matrix, and every operation becomes an instruction in
the body of a loop over the stack: such a body has too many instructions to be fused with what stands around it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.dtypes import code
from funcgrad.ir.primitive import Primitive, Values
from funcgrad.ir.program import Var
from funcgrad.ir.types import ArrayType
from funcgrad.lower.calls import FAILURES, WRITERS, Call
from funcgrad.lower.loops import Constant, Operand
from funcgrad.lower.schedule import KernelStep
from funcgrad.lower.writer import Writer
from funcgrad.ops.linalg.factorizations import NOT_POSITIVE
from funcgrad.ops.linalg.small import FORMULAS, is_small
from funcgrad.ops.linalg.solves import SINGULAR
from funcgrad.trace.frame import Frame, undisturbed
from funcgrad.trace.tracer import Tracer

PIECE = 256  # matrices that are worth handing to a thread
MOST_PIECES = 64


class Elements(Frame):
    """Tracers stand for values of a kernel: an operation on them is an instruction."""

    __slots__ = ("code", "writer")

    def __init__(self, writer: Writer, code: int) -> None:
        super().__init__()
        self.writer, self.code = writer, code

    def element(self, value: Operand, dtype: np.dtype) -> Tracer:
        """A value of the kernel as a tracer."""
        return Tracer(self, ArrayType((), dtype), value)

    def operand(self, x: Any) -> Operand:
        """The value of the kernel that a tracer, or a number, is."""
        if type(x) is Tracer:
            return x.payload  # type: ignore[no-any-return]
        number = np.asarray(x)
        return Constant(number.item(), code(number.dtype))

    def process(self, primitive: Primitive, inputs: Values, params: dict[str, Any]) -> Values:
        """The instructions that the primitive's `scalar` declares."""
        operands = [self.operand(x) for x in inputs]
        types = tuple(ArrayType((), np.dtype(x.dtype)) for x in operands)
        (kind,) = primitive.output_types(types, params)
        scalar: Any = primitive.scalar
        value = (
            self(scalar, *operands) if isinstance(scalar, str) else scalar(self, operands[0].dtype, *operands, **params)
        )
        return (self.element(value, kind.dtype),)

    def below(self, tracer: Tracer) -> Any:
        """Nothing: values are known when the kernel runs."""
        return None

    # What primitives' `scalar` declarations call

    def __call__(self, name: str, *operands: Operand) -> Operand:
        return self.writer.op(name, *operands)

    def constant(self, value: float, dtype: str) -> Operand:
        """A number."""
        return Constant(float(value) if dtype[0] == "f" else value, dtype)

    def check(self, condition: Operand) -> None:
        """Let the call fail unless `condition`."""
        self.writer.check(condition, self.writer.size(self.code, kind="code"))


@undisturbed
def kernel(call: Call) -> list[KernelStep] | None:
    """The kernel of an operation on small matrices."""
    types = tuple(a.type for a in call.equation.inputs)
    if not is_small(types) or not all(isinstance(a, Var) for a in call.inputs):
        return None
    w, (result,) = Writer(), call.equation.outputs
    places = [w.buffer(v, code(v.type.dtype)) for v in call.inputs]
    target = w.buffer(result, code(result.type.dtype), written=True)
    with Elements(w, call.status) as frame:
        index = w.open()
        operands = [_loaded(frame, place, index, t) for place, t in zip(places, types, strict=True)]
        formula: Callable[..., list[list[Any]]] = FORMULAS[call.equation.primitive.name]
        out = [x for row in formula(*operands, **call.equation.params) for x in row]
        for k, x in enumerate(out):
            w.store(target, _position(w, index, len(out), k), frame.operand(x))
        w.close(index, w.first, w.last, [])
    count = math.prod(types[0].shape[:-2])
    pieces = min(count // PIECE, MOST_PIECES)
    chunk = -(-count // pieces) if pieces > 1 else 0
    return [KernelStep(w.kernel(), tuple(w.keys), tuple(w.size_values), count, chunk, None)]


def _loaded(frame: Elements, buffer: int, index: Operand, kind: ArrayType) -> list[list[Tracer]]:
    """The elements of one matrix."""
    w, (rows, columns) = frame.writer, kind.shape[-2:]

    def element(k: int) -> Tracer:
        return frame.element(w.load(buffer, _position(w, index, rows * columns, k)), kind.dtype)

    return [[element(i * columns + j) for j in range(columns)] for i in range(rows)]


def _position(w: Writer, index: Operand, size: int, k: int) -> Operand:
    start = index if size == 1 else w.op("mul", index, Constant(size, "i8"))
    return start if k == 0 else w.op("add", start, Constant(k, "i8"))


def _failures(names: Sequence[str], message: str) -> None:
    for name in names:
        WRITERS[name] = kernel
        FAILURES[name] = lambda: np.linalg.LinAlgError(message)


_failures(("solve", "inv", "det"), SINGULAR)
_failures(("cholesky",), NOT_POSITIVE)
