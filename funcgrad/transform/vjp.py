"""How is a derivative taken backwards?  A tape notes the pullback of every operation;
cotangents run through it in reverse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from funcgrad.dtypes import BFLOAT16, WEAK, is_inexact
from funcgrad.errors import SourceLocation, user_location
from funcgrad.ir.primitive import Primitive, Pullback, Values
from funcgrad.ir.program import Program
from funcgrad.ir.types import ArrayType
from funcgrad.ops.arithmetic import add_any
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
        values: list[Any] = []
        sources: list[Tracer | None] = []
        wanted: list[bool] = []
        perhaps_weak = False
        for x in inputs:
            traced = type(x) is Tracer
            perhaps_weak = perhaps_weak or (x.type.weak if traced else type(x) in WEAK)
            if traced and x.frame is self:
                values.append(x.payload)
                sources.append(x)
                wanted.append(True)
            else:
                values.append(x)
                sources.append(None)
                wanted.append(False)
        if primitive.vjp is None:
            return bind(primitive, *values, **params)
        key = self._product_key(primitive, values, wanted, params) if primitive.family == "bilinear" else None
        if key is not None and key in self._products:
            return self._products[key]
        source = running.source or self._line(primitive, values)
        if source is running.source:
            outputs, pullback = primitive.vjp(values, wanted, params)
        else:
            before, running.source = running.source, source
            try:
                outputs, pullback = primitive.vjp(values, wanted, params)
            finally:
                running.source = before
        weak = (weak_outputs(primitive, inputs, params) if perhaps_weak else None) or (False,) * len(outputs)
        tracers = tuple(map(self._output, outputs, weak))
        smooth = tuple([t if type(t) is Tracer and t.frame is self else None for t in tracers])
        self.notes.append(Note(tuple(sources), smooth, pullback, source))
        if key is not None:
            self._products[key] = tracers
            self._kept.append(values)
        return tracers

    def _line(self, primitive: Primitive, values: Sequence[Any]) -> SourceLocation | None:
        """The user's line, where a program is being made of what is computed: it is that of the pullback too.

        Rules of the user's have lines of their own.
        """
        if primitive.family == "structured" or not any(type(x) is Tracer for x in values):
            return None
        return user_location()

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

    def pull(
        self, outputs: Sequence[Any], cotangents: Sequence[Any], inputs: Sequence[Tracer], last: bool = False
    ) -> list[Any]:
        """The cotangents of `inputs` for those of `outputs`; None for zero.

        The `last` time, each note is let go of when it has been read: residuals need not wait for garbage collection.
        """
        totals: dict[int, Any] = {}
        for out, ct in zip(outputs, cotangents, strict=True):
            if type(out) is Tracer and out.frame is self and ct is not None:
                _accumulate(totals, out, ct)
        before = running.source
        try:
            for inputs_of, outputs_of, pull, source in self._taken() if last else reversed(self.notes):
                if len(outputs_of) == 1:
                    incoming = [totals.pop(id(outputs_of[0]), None)]
                    if incoming[0] is None:
                        continue
                else:
                    incoming = _incoming(outputs_of, totals)
                    if not incoming:
                        continue
                running.source = source or before
                for x, ct in zip(inputs_of, pull(tuple(incoming)), strict=True):
                    if x is not None and ct is not None:
                        _accumulate(totals, x, ct)
        finally:
            running.source = before
        return [totals.get(id(x)) for x in inputs]

    def _taken(self) -> Iterator[Note]:
        """The notes, from the last one, each taken off the tape."""
        self._products.clear()
        self._kept.clear()
        while self.notes:
            yield self.notes.pop()


def _incoming(outputs: Sequence[Tracer | None], totals: dict[int, Any]) -> list[Any]:
    """The cotangents of several outputs, zeros for those that are absent; none at all if all of them are."""
    found = [None if t is None else totals.pop(id(t), None) for t in outputs]
    if all(ct is None for ct in found):
        return []
    return [zeros_like(t) if ct is None and t is not None else ct for ct, t in zip(found, outputs, strict=True)]


def _accumulate(totals: dict[int, Any], tracer: Tracer, ct: Any) -> None:
    if tracer.type.dtype is BFLOAT16:  # Python floats in rules are float32 beside bfloat16
        ct = in_dtype(ct, BFLOAT16)
    before = totals.get(id(tracer))
    if before is not None:
        traced = type(before) is Tracer and type(ct) is Tracer and before.type == ct.type
        ct = add_any(before, ct) if traced else before + ct
    totals[id(tracer)] = ct


def vjp_values(
    function: Callable[..., tuple[Sequence[Any], Any]], values: Sequence[Any]
) -> tuple[list[Any], Any, Callable[..., list[Any]]]:
    """Run `function` on flat `values` and give ``(outputs, aux, pullback)``, all in terms of the frame below.

    `function` returns its flat outputs and anything else, which is handed on. The pullback maps cotangents of the
    outputs (None for zero) to those of the values (likewise); ``pullback(cotangents, last=True)`` is its last call.
    An input that is also an output has its cotangent passed through.
    """
    with Tape() as tape:
        variables = [tape.variable(v) for v in values]
        outputs, aux = function(*variables)
        plain = [lower(tape, out) for out in outputs]

    def pullback(cotangents: Sequence[Any], last: bool = False) -> list[Any]:
        return tape.pull(outputs, cotangents, variables, last)

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
