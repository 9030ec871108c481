"""How is a derivative taken backwards?  A tape notes the pullback of every operation;
cotangents run through it in reverse.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from funcgrad.dtypes import BFLOAT16, is_inexact
from funcgrad.errors import SourceLocation
from funcgrad.ir.primitive import Primitive, Pullback, Values
from funcgrad.ir.program import Program
from funcgrad.ir.types import ArrayType
from funcgrad.ops.comparison import in_dtype
from funcgrad.ops.families import zeros_like
from funcgrad.trace.builder import evaluate, trace
from funcgrad.trace.frame import Frame, bind, running, type_of, weak_outputs
from funcgrad.trace.tracer import Tracer


class Note(NamedTuple):
    """One operation on the tape; an operand or output that carries no derivative is None."""

    inputs: tuple[Tracer | None, ...]
    outputs: tuple[Tracer | None, ...]
    pullback: Pullback
    source: SourceLocation | None


class Tape(Frame):
    """Reverse mode: operations happen in the frame below at once; their pullbacks are kept.

    A tracer's payload is its value in the frame below, so that Python's ``if`` and ``float`` see numbers when there
    are any.
    """

    __slots__ = ("_kept", "_products", "notes")

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[Note] = []
        self._products: dict[Any, Values] = {}  # a product that the user writes twice is differentiated once
        self._kept: list[Any] = []  # its operands, so that their ids stay theirs

    def variable(self, value: Any) -> Tracer:
        """A tracer for `value`, to be differentiated by."""
        kind = type_of(value)
        return Tracer(self, kind, kind.dtype.type(value) if kind.weak and type(value) is not Tracer else value)

    def below(self, tracer: Tracer) -> Any:
        """The value."""
        return tracer.payload

    def process(self, primitive: Primitive, inputs: Values, params: dict[str, Any]) -> Values:
        """Apply the primitive below and note its pullback."""
        values, sources, wanted = [], [], []
        for x in inputs:
            mine = type(x) is Tracer and x.frame is self
            values.append(x.payload if mine else x)
            sources.append(x if mine else None)
            wanted.append(mine)
        if primitive.vjp is None:
            return bind(primitive, *values, **params)
        key = self._product_key(primitive, values, wanted, params) if primitive.family == "bilinear" else None
        if key is not None and key in self._products:
            return self._products[key]
        outputs, pullback = primitive.vjp(values, wanted, params)
        weak = weak_outputs(primitive, inputs, params) or (False,) * len(outputs)
        tracers = tuple(map(self._output, outputs, weak))
        smooth = tuple([t if type(t) is Tracer and t.frame is self else None for t in tracers])
        self.notes.append(Note(tuple(sources), smooth, pullback, running.source))
        if key is not None:
            self._products[key] = tracers
            self._kept.append(values)
        return tracers

    def _product_key(self, primitive: Primitive, values: Sequence[Any], wanted: list[bool], params: Any) -> Any:
        """What tells products apart whose operands cannot change in between:
        traced values (arrays can be written to).
        """
        if not all(w or type(x) is Tracer for x, w in zip(values, wanted, strict=True)):
            return None
        return (primitive.name, *map(id, values), *wanted, *params.items())

    def _output(self, value: Any, weak: bool) -> Any:
        kind = type_of(value)
        if not is_inexact(kind.dtype):
            return value
        return Tracer(self, kind if kind.weak is weak else ArrayType(kind.shape, kind.dtype, weak), value)

    def pull(self, outputs: Sequence[Any], cotangents: Sequence[Any], inputs: Sequence[Tracer]) -> list[Any]:
        """The cotangents of `inputs` for those of `outputs`; None for zero."""
        totals: dict[int, Any] = {}
        for out, ct in zip(outputs, cotangents, strict=True):
            if type(out) is Tracer and out.frame is self and ct is not None:
                _accumulate(totals, out, ct)
        before = running.source
        try:
            for note in reversed(self.notes):
                incoming = [None if t is None else totals.pop(id(t), None) for t in note.outputs]
                if any(ct is not None for ct in incoming):
                    running.source = note.source or before
                    self._spread(note, incoming, totals)
        finally:
            running.source = before
        return [totals.get(id(x)) for x in inputs]

    def _spread(self, note: Note, incoming: list[Any], totals: dict[int, Any]) -> None:
        if len(incoming) > 1:  # pullbacks of several outputs take zeros for those that are absent
            incoming = [
                zeros_like(t) if ct is None and t is not None else ct
                for ct, t in zip(incoming, note.outputs, strict=True)
            ]
        for source, ct in zip(note.inputs, note.pullback(tuple(incoming)), strict=True):
            if source is not None and ct is not None:
                _accumulate(totals, source, ct)


def _accumulate(totals: dict[int, Any], tracer: Tracer, ct: Any) -> None:
    if tracer.type.dtype is BFLOAT16:  # Python floats in rules are float32 beside bfloat16
        ct = in_dtype(ct, BFLOAT16)
    before = totals.get(id(tracer))
    totals[id(tracer)] = ct if before is None else before + ct


def vjp_values(
    function: Callable[..., tuple[Sequence[Any], Any]], values: Sequence[Any]
) -> tuple[list[Any], Any, Callable[[Sequence[Any]], list[Any]]]:
    """Run `function` on flat `values` and give ``(outputs, aux, pullback)``, all in terms of the frame below.

    `function` returns its flat outputs and anything else, which is handed on. The pullback maps cotangents of the
    outputs (None for zero) to those of the values (likewise). An input that is also an output has its cotangent
    passed through.
    """
    with Tape() as tape:
        variables = [tape.variable(v) for v in values]
        outputs, aux = function(*variables)
        plain = [lower(tape, out) for out in outputs]

    def pullback(cotangents: Sequence[Any]) -> list[Any]:
        return tape.pull(outputs, cotangents, variables)

    return plain, aux, pullback


def lower(frame: Frame, value: Any) -> Any:
    """What a tracer of `frame` stands for below it; anything else is itself."""
    return value.payload if type(value) is Tracer and value.frame is frame else value


def vjp_program(program: Program, wanted: Sequence[bool]) -> Program:
    """The program ``(inputs, cotangents of outputs) -> (outputs, cotangents of the wanted inputs)``.

    Cotangents are taken for floating and complex outputs only, in order.

    Examples
    --------
    >>> import funcgrad as fg
    >>> program = fg.make_jaxpr(lambda x, y: fg.numpy.sin(x) * y)(1.0, 2.0)
    >>> print(program)
    { lambda ; a:f64[]* b:f64[]*. let
        c:f64[]* = sin a
        d:f64[] = convert_element_type[dtype=float64] c
        e:f64[] = mul d b
      in (e,) }
    >>> print(vjp_program(program, [True, False]))
    { lambda ; a:f64[]* b:f64[]* c:f64[]. let
        d:f64[]* = sin a
        e:f64[] = convert_element_type[dtype=float64] d
        f:f64[] = mul e b
        g:f64[] = mul c b
        h:f64[]* = cos a
        i:f64[] = mul g h
      in (f, i) }
    """
    smooth = [is_inexact(t.dtype) for t in program.output_types]
    types = (*program.input_types, *(t for t, s in zip(program.output_types, smooth, strict=True) if s))

    def joint(*arguments: Any) -> list[Any]:
        inputs, given = arguments[: len(program.inputs)], iter(arguments[len(program.inputs) :])
        cotangents = [next(given) if s else None for s in smooth]
        with Tape() as tape:
            variables = [tape.variable(x) if w else x for x, w in zip(inputs, wanted, strict=True)]
            outputs = evaluate(program, variables, bind)
            plain = [lower(tape, out) for out in outputs]
            sources = [v for v, w in zip(variables, wanted, strict=True) if w]
            pulled = tape.pull(outputs, cotangents, sources)
        return [*plain, *map(instantiate, pulled, sources)]

    return trace(joint, types)[0]


def instantiate(ct: Any, like: Any) -> Any:
    """A cotangent, with zeros where it is absent."""
    return zeros_like(like) if ct is None else ct
