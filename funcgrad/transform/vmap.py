"""How does a function of one example become one of a batch?
Each operation's batching rule, with the batch axis always first.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Hashable, Sequence
from types import TracebackType
from typing import Any, Self

from funcgrad.errors import at_line
from funcgrad.ir.primitive import Primitive, Values
from funcgrad.ir.program import Program
from funcgrad.ir.types import ArrayType
from funcgrad.ops.families import repeat
from funcgrad.trace.builder import evaluate, trace
from funcgrad.trace.frame import Frame, bind, running, type_of, undisturbed, weak_outputs
from funcgrad.trace.tracer import Tracer


class Axes(threading.local):
    """The named batch axes of this thread.

    Attributes
    ----------
    frames
        The active frames that have a name, outermost first.
    name
        The name of the frame whose batching rule runs.
    """

    name: Hashable = None

    def __init__(self) -> None:
        self.frames: list[Batch] = []

    def find(self, name: Hashable) -> Batch:
        """The innermost axis of that name, or a `NameError`."""
        for frame in reversed(self.frames):
            if frame.name == name:
                return frame
        raise NameError(f"unbound axis name: {name}. Name an axis with vmap(..., axis_name={name!r}).{at_line()}")


axes = Axes()


class Batch(Frame):
    """A batch of `size` examples. A tracer's payload is the batch in the frame below; its type is one example's.

    Collective operations find the frame by its `name`.
    """

    __slots__ = ("name", "size")

    def __init__(self, size: int, name: Hashable = None) -> None:
        super().__init__()
        self.size = size
        self.name = name

    def __enter__(self) -> Self:
        if self.name is not None:
            axes.frames.append(self)
        return super().__enter__()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        super().__exit__(kind, error, tb)
        if self.name is not None:
            axes.frames.pop()

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
        before, axes.name = axes.name, self.name
        try:
            outputs, flags = primitive.batch(self.size, values, batched, params)
        finally:
            axes.name = before
        weak = weak_outputs(primitive, inputs, params) or (False,) * len(outputs)
        return tuple(self._output(out, w) if b else out for out, b, w in zip(outputs, flags, weak, strict=True))

    def _output(self, batch: Any, weak: bool) -> Tracer:
        kind = type_of(batch)
        return Tracer(self, ArrayType(kind.shape[1:], kind.dtype, weak), batch)


class Environment(Batch):
    """A named axis without a batch: collective operations over it become equations of the program that is made."""

    __slots__ = ()

    def process(self, primitive: Primitive, inputs: Values, params: dict[str, Any]) -> Values:
        """Append an equation to the innermost program."""
        return running.builders[-1].process(primitive, inputs, params)


@undisturbed
def vmap_flagged(
    function: Callable[..., Sequence[Any]],
    size: int,
    values: Sequence[Any],
    batched: Sequence[bool],
    name: Hashable = None,
) -> tuple[list[Any], list[bool]]:
    """The outputs of a function of flat values, and which of them are batches; the others are the same for all."""
    with Batch(size, name) as frame:
        variables = [frame.variable(v) if b else v for v, b in zip(values, batched, strict=True)]
        outputs = function(*variables)
        flags = [type(out) is Tracer and out.frame is frame for out in outputs]
        return [out.payload if b else out for out, b in zip(outputs, flags, strict=True)], flags


def vmap_values(
    function: Callable[..., Sequence[Any]],
    size: int,
    values: Sequence[Any],
    batched: Sequence[bool],
    name: Hashable = None,
) -> list[Any]:
    """The outputs of a function of flat values, every one a batch."""
    outputs, flags = vmap_flagged(function, size, values, batched, name)
    return [out if b else repeat(out, size) for out, b in zip(outputs, flags, strict=True)]


def vmap_program(program: Program, size: int, batched: Sequence[bool], name: Hashable = None) -> Program:
    """The program for a batch of `size` examples along an axis that may have a name; every output has it in front.

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
    apply = bind if name is None else functools.partial(bind_named, name)
    return trace(lambda *xs: vmap_values(lambda *ys: evaluate(program, ys, apply), size, xs, batched, name), types)[0]


def bind_named(name: Hashable, primitive: Primitive, *inputs: Any, **params: Any) -> Values:
    """`bind`, but collective operations over the axis `name` reach its frame also where no operand is batched."""
    if params.get("axis_name") != name:
        return bind(primitive, *inputs, **params)
    frame = axes.find(name)
    inside = any(type(x) is Tracer and x.frame.level > frame.level for x in inputs)
    return bind(primitive, *inputs, **params) if inside else frame.process(primitive, inputs, params)


@functools.lru_cache(maxsize=512)
def _kept(program: Program, size: int, batched: tuple[bool, ...], name: Hashable) -> Program:
    return vmap_program(program, size, batched, name)


def kept_program(program: Program, size: int, batched: Sequence[bool]) -> Program:
    """`vmap_program`, kept for the next time: for batching rules of primitives that hold programs."""
    return _kept(program, size, tuple(batched), axes.name)


def clear() -> None:
    """Forget the programs that are kept."""
    _kept.cache_clear()
