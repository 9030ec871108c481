"""How is a derivative taken forwards?  Every value carries a tangent; each operation's rule moves both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from funcgrad.dtypes import BFLOAT16, is_inexact
from funcgrad.ir.primitive import Primitive, Values
from funcgrad.ir.program import Program
from funcgrad.ir.types import ArrayType
from funcgrad.ops.comparison import in_dtype
from funcgrad.trace.builder import evaluate, trace
from funcgrad.trace.frame import Frame, bind, type_of, undisturbed, weak_outputs
from funcgrad.trace.tracer import Tracer
from funcgrad.transform.transpose import leaving_residuals, tangents_apart
from funcgrad.transform.vjp import instantiate


class Forward(Frame):
    """Forward mode. A tracer's payload is ``(primal, tangent)`` in the frame below."""

    __slots__ = ()

    def variable(self, primal: Any, tangent: Any) -> Tracer:
        """A tracer for `primal` moving along `tangent`."""
        kind = type_of(primal)
        return Tracer(
            self, kind, (kind.dtype.type(primal) if kind.weak and type(primal) is not Tracer else primal, tangent)
        )

    def below(self, tracer: Tracer) -> Any:
        """The primal."""
        return tracer.payload[0]

    def differentiates(self, tracer: Tracer) -> bool:
        """All of them do."""
        return True

    def process(self, primitive: Primitive, inputs: Values, params: dict[str, Any]) -> Values:
        """Apply the primitive's JVP rule below."""
        pairs = [x.payload if type(x) is Tracer and x.frame is self else (x, None) for x in inputs]
        primals = tuple(p for p, _ in pairs)
        if primitive.jvp is None:
            return bind(primitive, *primals, **params)
        given = tuple(t for _, t in pairs)
        apart = None
        if primitive.family == "structured" and level_of(given) > level_of(primals):
            apart = leaving_residuals(primitive, primals, params)
        if apart:
            behind = len(given) - len(apart[1])  # what only a condition reads
            outputs, tangents = tangents_apart(*apart, given[behind:])
        else:
            outputs, tangents = primitive.jvp(primals, given, params)
        if any(type(out) is Tracer and out.frame.level > level_of(primals) for out in outputs):
            # Outputs and tangents were computed together, in the frame of the tangents, where fewer values are known.
            outputs = bind(primitive, *primals, **params)
        weak = weak_outputs(primitive, inputs, params) or (False,) * len(outputs)
        return tuple(map(self._output, outputs, tangents, weak))

    def _output(self, primal: Any, tangent: Any, weak: bool) -> Any:
        kind = type_of(primal)
        if tangent is None or not is_inexact(kind.dtype):
            return primal
        if kind.dtype is BFLOAT16:  # Python floats in rules are float32 beside bfloat16
            tangent = in_dtype(tangent, BFLOAT16)
        return Tracer(self, ArrayType(kind.shape, kind.dtype, weak), (primal, tangent))

    def split(self, value: Any) -> tuple[Any, Any]:
        """``(primal, tangent)`` of a result; the tangent None for zero."""
        mine = type(value) is Tracer and value.frame is self
        return value.payload if mine else (value, None)


def level_of(values: Sequence[Any]) -> int:
    """Of the highest frame among values; 0 where all are arrays."""
    return max((x.frame.level for x in values if type(x) is Tracer), default=0)


@undisturbed
def jvp_values(
    function: Callable[..., Sequence[Any]], primals: Sequence[Any], tangents: Sequence[Any]
) -> tuple[list[Any], list[Any]]:
    """Outputs and output tangents (None for zero) of a function of flat values."""
    with Forward() as frame:
        variables = [p if t is None else frame.variable(p, t) for p, t in zip(primals, tangents, strict=True)]
        pairs = [frame.split(out) for out in function(*variables)]
    return [p for p, _ in pairs], [t for _, t in pairs]


def jvp_program(program: Program, moving: Sequence[bool]) -> Program:
    """The program ``(inputs, tangents of the moving inputs) -> (outputs, tangents of the floating outputs)``.

    Examples
    --------
    >>> import funcgrad as fg
    >>> program = fg.make_jaxpr(lambda x: fg.numpy.exp(x))(fg.numpy.ones(3))
    >>> print(jvp_program(program, [True]))
    { lambda ; a:f64[3] b:f64[3]. let
        c:f64[3] = exp a
        d:f64[3] = mul b c
      in (c, d) }
    """
    types = (*program.input_types, *(t for t, m in zip(program.input_types, moving, strict=True) if m))

    def pushed(*arguments: Any) -> list[Any]:
        inputs, given = arguments[: len(program.inputs)], iter(arguments[len(program.inputs) :])
        tangents = [next(given) if m else None for m in moving]
        outs, t_outs = jvp_values(lambda *xs: evaluate(program, xs, bind), inputs, tangents)
        smooth = [(o, t) for o, t in zip(outs, t_outs, strict=True) if is_inexact(type_of(o).dtype)]
        return [*outs, *(instantiate(t, o) for o, t in smooth)]

    return trace(pushed, types)[0]
