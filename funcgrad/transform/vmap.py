"""How does a function of one example become one of a batch?
Each operation's batching rule, with the batch axis always first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from funcgrad.ir.primitive import Primitive, Values
from funcgrad.ir.program import Program
from funcgrad.ir.types import ArrayType
from funcgrad.ops.families import repeat
from funcgrad.trace.builder import evaluate, trace
from funcgrad.trace.frame import Frame, bind, type_of, weak_outputs
from funcgrad.trace.tracer import Tracer


class Batch(Frame):
    """A batch of `size` examples. A tracer's payload is the batch in the frame below; its type is one example's."""

    __slots__ = ("size",)

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def variable(self, batch: Any) -> Tracer:
        """A tracer for one example of `batch`, whose axis 0 counts examples."""
        kind = type_of(batch)
        return Tracer(self, ArrayType(kind.shape[1:], kind.dtype, kind.weak), batch)

    def below(self, tracer: Tracer) -> Any:
        """Nothing: an example is many values at once."""
        return None

    def explain(self) -> str:
        """The remedies under `vmap`."""
        return (
            "Under vmap a value stands for all examples of the batch at once. "
            "Use numpy.where (or lax.select) to choose between values, or pass the argument with in_axes=None if it "
            "is the same for all examples."
        )

    def process(self, primitive: Primitive, inputs: Values, params: dict[str, Any]) -> Values:
        """Apply the primitive's batching rule below."""
        batched = [type(x) is Tracer and x.frame is self for x in inputs]
        values = tuple(x.payload if b else x for x, b in zip(inputs, batched, strict=True))
        assert primitive.batch is not None
        outputs, flags = primitive.batch(self.size, values, batched, params)
        weak = weak_outputs(primitive, inputs, params) or (False,) * len(outputs)
        return tuple(self._output(out, w) if b else out for out, b, w in zip(outputs, flags, weak, strict=True))

    def _output(self, batch: Any, weak: bool) -> Tracer:
        kind = type_of(batch)
        return Tracer(self, ArrayType(kind.shape[1:], kind.dtype, weak), batch)

    def materialise(self, value: Any) -> Any:
        """A result as a batch with its axis in front; one that is the same for all examples is repeated."""
        mine = type(value) is Tracer and value.frame is self
        return value.payload if mine else repeat(value, self.size)


def vmap_values(
    function: Callable[..., Sequence[Any]], size: int, values: Sequence[Any], batched: Sequence[bool]
) -> list[Any]:
    """The outputs of a function of flat values, every one a batch."""
    with Batch(size) as frame:
        variables = [frame.variable(v) if b else v for v, b in zip(values, batched, strict=True)]
        return [frame.materialise(out) for out in function(*variables)]


def vmap_program(program: Program, size: int, batched: Sequence[bool]) -> Program:
    """The program for a batch of `size` examples; every output has a batch axis in front.

    Examples
    --------
    >>> import funcgrad as fg
    >>> program = fg.make_jaxpr(lambda x, y: x * y)(fg.numpy.ones(3), fg.numpy.ones(3))
    >>> print(vmap_program(program, 8, [True, False]))
    { lambda ; a:f64[8,3] b:f64[3]. let
        c:f64[8,3] = broadcast_in_dim[broadcast_dimensions=(1,) shape=(8,3)] b
        d:f64[8,3] = mul a c
      in (d,) }
    """
    types = [
        ArrayType((size, *t.shape), t.dtype, t.weak) if b else t
        for t, b in zip(program.input_types, batched, strict=True)
    ]
    return trace(lambda *xs: vmap_values(lambda *ys: evaluate(program, ys, bind), size, xs, batched), types)[0]
