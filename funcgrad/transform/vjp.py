"""How is a derivative taken backwards?  A tape notes the pullback of every operation;
cotangents run through it in reverse.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from funcgrad.dtypes import BFLOAT16, INEXACT, WEAK, is_inexact
from funcgrad.errors import SourceLocation, user_location
from funcgrad.ir.primitive import Primitive, Pullback, Values
from funcgrad.ir.program import Program
from funcgrad.ir.types import ArrayType, type_of_value
from funcgrad.ops.arithmetic import add_any
from funcgrad.ops.comparison import in_dtype
from funcgrad.ops.families import collapse, zeros_like
from funcgrad.trace.builder import evaluate, trace
from funcgrad.trace.frame import Frame, bind, running, type_of, undisturbed, weak_outputs
from funcgrad.trace.tracer import Tracer


class Elementwise(NamedTuple):
    """What the pullback of an operation on elements reads: its output, and its operands."""

    partials: tuple[Callable[..., Any] | None, ...]
    output: Any
    operands: Sequence[Any]
    params: dict[str, Any]


# One operation on the tape: its operands, its outputs (None for what carries no derivative), the pullback, the line,
# and whether the pullback is a rule of the user's, who is told which cotangents are zero
Note = tuple[Sequence[Tracer | None], Sequence[Tracer | None], Pullback | Elementwise, SourceLocation | None, bool]
_elementwise = functools.partial(tuple.__new__, Elementwise)  # three times as fast as a named tuple's own constructor


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

    def differentiates(self, tracer: Tracer) -> bool:
        """All of them do."""
        return True

    def process(self, primitive: Primitive, inputs: Values, params: dict[str, Any]) -> Values:
        """Apply the primitive below and note its pullback."""
        values: list[Any] = []
        sources: list[Tracer | None] = []
        traced = perhaps_weak = False
        for x in inputs:
            source = None
            if type(x) is Tracer:
                if x.type.weak:
                    perhaps_weak = True
                if x.frame is self:
                    source = x
                    x = x.payload
                if type(x) is Tracer:
                    traced = True
            elif type(x) in WEAK:
                perhaps_weak = True
            values.append(x)
            sources.append(source)
        if primitive.vjp is None:
            return bind(primitive, *values, **params)
        weak = weak_outputs(primitive, inputs, params) if perhaps_weak else None
        if not traced:
            return self._note(primitive, values, sources, params, weak, running.source)
        key = self._product_key(primitive, values, sources, params) if primitive.family == "bilinear" else None
        if key is not None and key in self._products:
            return self._products[key]
        before = running.source
        # The line, where a program is being made, is the pullback's too; rules of the user's have lines of their own.
        line = before or (None if primitive.family == "structured" else user_location())
        running.source = line
        try:
            tracers = self._note(primitive, values, sources, params, weak, line)
        finally:
            running.source = before
        if key is not None:
            self._products[key] = tracers
            self._kept.append(values)
        return tracers

    def _note(
        self,
        primitive: Primitive,
        values: Sequence[Any],
        sources: Sequence[Tracer | None],
        params: dict[str, Any],
        weak: Sequence[bool] | None,
        line: SourceLocation | None,
    ) -> Values:
        """The outputs as tracers, and a note of how cotangents go back from them."""
        partials = primitive.partials
        if partials is None:
            assert primitive.vjp is not None
            outputs, pullback = primitive.vjp(values, [x is not None for x in sources], params)
            tracers = tuple(map(self._output, outputs, weak or (False,) * len(outputs)))
            smooth = tuple([t if type(t) is Tracer and t.frame is self else None for t in tracers])
            self.notes.append((sources, smooth, pullback, line, primitive.family == "custom"))
            return tracers
        out = primitive(*values, **params)  # type: ignore[operator]
        kind = out.type if type(out) is Tracer else type_of_value(out)
        if kind.dtype not in INEXACT:
            return (out,)
        flag = weak is not None and weak[0]
        tracer = Tracer(self, kind if kind.weak is flag else ArrayType(kind.shape, kind.dtype, flag), out)
        self.notes.append((sources, (tracer,), _elementwise((partials, out, values, params)), line, False))
        return (tracer,)

    def _product_key(self, primitive: Primitive, values: Sequence[Any], sources: Sequence[Any], params: Any) -> Any:
        """What tells products apart whose operands cannot change in between:
        traced values (arrays can be written to).
        """
        if not all(w is not None or type(x) is Tracer for x, w in zip(values, sources, strict=True)):
            return None
        return (primitive.name, *map(id, values), *(w is not None for w in sources), *params.items())

    def _output(self, value: Any, weak: bool) -> Any:
        kind = value.type if type(value) is Tracer else type_of_value(value)
        if kind.dtype not in INEXACT:
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
        before, line = running.source, None
        try:
            for sources, outs, pullback, source, custom in self._taken() if last else reversed(self.notes):
                if len(outs) == 1:
                    ct = totals.pop(id(outs[0]), None)
                    if ct is None:
                        continue
                    incoming = (ct,)
                else:
                    incoming = _incoming(outs, totals, custom)
                    if not incoming:
                        continue
                if source is not line:
                    line = source
                    running.source = source.reversed() if source else before
                if isinstance(pullback, Elementwise):
                    _pull_elements(pullback, sources, ct, totals)
                    continue
                for x, ct in zip(sources, pullback(incoming), strict=True):
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


def _pull_elements(pullback: Elementwise, sources: Sequence[Tracer | None], ct: Any, totals: dict[int, Any]) -> None:
    """Add up what an operation on elements hands back."""
    partials, output, operands, params = pullback
    shape = ct.shape
    for x, partial, operand in zip(sources, partials, operands, strict=False):
        if x is not None and partial is not None:
            term = partial(ct, output, *operands, **params)
            if operand.shape != shape:
                term = collapse(term, operand.shape)
            if id(x) in totals or x.type.dtype is BFLOAT16:
                _accumulate(totals, x, term)
            else:
                totals[id(x)] = term


def _incoming(outputs: Sequence[Tracer | None], totals: dict[int, Any], custom: bool) -> Values:
    """The cotangents of several outputs; zeros for those that are absent, or None for a `custom` pullback; none at all
    if all of them are.
    """
    found = tuple([None if t is None else totals.pop(id(t), None) for t in outputs])
    if all(ct is None for ct in found):
        return ()
    if custom:
        return found
    return tuple([zeros_like(t) if ct is None and t is not None else ct for ct, t in zip(found, outputs, strict=True)])


def _accumulate(totals: dict[int, Any], tracer: Tracer, ct: Any) -> None:
    if tracer.type.dtype is BFLOAT16:  # Python floats in rules are float32 beside bfloat16
        ct = in_dtype(ct, BFLOAT16)
    before = totals.get(id(tracer))
    if before is not None:
        traced = type(before) is Tracer and type(ct) is Tracer and before.type == ct.type
        ct = add_any(before, ct) if traced else before + ct
    totals[id(tracer)] = ct


@undisturbed
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
