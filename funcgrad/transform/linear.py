"""Which part of forward mode waits for tangents?  That part, as a program of its own: it is linear."""

from __future__ import annotations

from collections.abc import Sequence

from funcgrad.dtypes import is_inexact
from funcgrad.ir.program import Program
from funcgrad.trace.builder import Builder, evaluate
from funcgrad.trace.frame import bind, type_of, undisturbed
from funcgrad.transform.jvp import jvp_values
from funcgrad.transform.partial import Split
from funcgrad.transform.vjp import instantiate


class TangentBuilder(Builder):
    """A builder of what happens to tangents; the rest is done at once."""

    __slots__ = ()
    whole = False


@undisturbed
def linear_split(program: Program, moving: Sequence[bool]) -> Split:
    """Forward mode of `program` in two parts: ``inputs -> (outputs, residuals)`` and ``(residuals, tangents of the
    moving inputs) -> tangents of the floating outputs``.

    Examples
    --------
    >>> import funcgrad as fg
    >>> program = fg.make_jaxpr(lambda x: fg.numpy.exp(x) * x)(fg.numpy.ones(3))
    >>> print(linear_split(program, [True]).unknown)
    { lambda ; a:f64[3] b:f64[3] c:f64[3]. let
        d:f64[3] = mul c a
        e:f64[3] = mul d b
        f:f64[3] = mul c a
        g:f64[3] = add e f
      in (g,) }
    """
    with Builder() as early:
        inputs = [early.parameter(t) for t in program.input_types]
        with TangentBuilder() as late:
            variables = [late.parameter(x.type) if m else None for x, m in zip(inputs, moving, strict=True)]
            outputs, moved = jvp_values(lambda *xs: evaluate(program, xs, bind), inputs, variables)
            pairs = zip(outputs, moved, strict=True)
            pushed = [instantiate(t, x) for x, t in pairs if is_inexact(type_of(x).dtype)]
            unknown = late.program([v for v in variables if v is not None], pushed)
            residuals = [x for x, _ in late.captures.values()]
        known = early.program(inputs, [*outputs, *residuals])
    return Split(known, unknown, len(residuals), (False,) * len(outputs) + (True,) * len(pushed))
